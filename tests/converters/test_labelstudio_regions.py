"""Regions in tasks of Label Studio: outlines, texts and labels, sound or not."""

from typing import Any

import msgspec
import pytest
from labelstudio_answers import BASE, BOX, HAND, SEEN, annotated, codes, items_of, read_one, task_of


def test_texts_are_joined_by_region_id_whatever_their_order() -> None:
    second = msgspec.structs.replace(HAND, artifact_id="r2", phrase="the right hand", explanation="It melts.")
    task = task_of(msgspec.structs.replace(BASE, artifacts=(HAND, second), reviews=(SEEN,)))
    task["annotations"][0]["result"].reverse()
    record, problems = read_one(task)
    texts = {one.artifact_id: (one.phrase, one.explanation) for one in record.artifacts}
    assert texts == {
        "r1": ("the left hand", "It has six fingers."),
        "r2": ("the right hand", "It melts."),
    }
    assert not len(problems)


def test_percent_become_pixels_of_the_upright_image() -> None:
    task = annotated()
    points = items_of(task)[0]["value"]["points"]
    assert points == [[10.0, 10.0], [30.0, 10.0], [30.0, 50.0]]
    record, _ = read_one(task)
    assert record.artifacts[0].polygons == (BOX,)


def test_a_size_that_was_swapped_by_orientation_is_read_upright_and_reported_once() -> None:
    task = annotated()
    for item in items_of(task):
        if "original_width" in item:
            item["original_width"], item["original_height"] = 100, 200
    record, problems = read_one(task)
    assert record.artifacts[0].polygons == (BOX,)
    assert codes(problems) == ["image.size_swapped"]


def test_the_size_in_the_workspace_counts_more_than_the_one_in_the_task() -> None:
    known = msgspec.structs.replace(BASE, width=400, height=200)
    record, problems = read_one(annotated(), images={BASE.image_id: known})
    assert (record.width, record.height) == (400, 200)
    assert record.artifacts[0].polygons == (tuple(2 * value for value in BOX),)
    assert "image.size_differs" in codes(problems)


@pytest.mark.parametrize(
    "points",
    [
        [],
        [[1, 1], [2, 2]],
        "x",
        None,
        [[1, 1], [2, 2], [3, float("nan")]],
        [[1, 1], [2, 2], [3]],
        [[1, 1], [2, 2], ["3", 3]],
        [[1, 1], [2, 2], [True, 3]],
        [[1, 1], [2, 2], [1e400, 3]],
        [[1, 1], [2, 2], 5],
    ],
)
def test_a_bad_polygon_costs_its_region_only_and_is_kept_raw(points: Any) -> None:
    second = msgspec.structs.replace(HAND, artifact_id="r2")
    task = task_of(msgspec.structs.replace(BASE, artifacts=(HAND, second), reviews=(SEEN,)))
    items_of(task)[0]["value"]["points"] = points
    record, problems = read_one(task)
    assert [one.artifact_id for one in record.artifacts] == ["r2"]
    (problem,) = problems
    assert (problem.code, problem.severity, problem.image) == ("region.bad_polygon", "error", BASE.image_id)
    assert problem.region == "region r1"
    assert problem.file == "tasks, task 7, a.png"
    (rejected,) = record.extra["rejected_regions"]
    assert rejected["region_id"] == "r1"
    assert [item["from_name"] for item in rejected["items"]] == [
        "category",
        "phrase",
        "explanation",
        "subtype_structure",
    ]


def test_what_cannot_be_held_is_reported_kept_raw_and_written_again() -> None:
    task = annotated()
    size = {"original_width": 200, "original_height": 100, "image_rotation": 0}
    point = {"id": "k1", "type": "keypointlabels", "from_name": "kp", **size, "value": {"x": 1, "y": 2}}
    rating = {"id": "q", "type": "rating", "from_name": "beauty", "value": {"rating": 3}}
    items_of(task).extend([point, rating])
    record, problems = read_one(task)
    assert record.artifacts == (HAND,)
    assert codes(problems) == ["result.not_read", "result.not_read"]
    assert record.reviews[0].extra["other_results"] == [point, rating]
    assert items_of(task_of(record)) == items_of(task)


def test_relations_between_regions_are_kept_and_written_again() -> None:
    task = annotated()
    relation = {"type": "relation", "from_id": "r1", "to_id": "r1", "direction": "right", "labels": ["of"]}
    items_of(task).append(relation)
    record, problems = read_one(task)
    assert not len(problems)
    assert record.reviews[0].extra["relations"] == [relation]
    assert items_of(task_of(record)) == items_of(task)


@pytest.mark.parametrize(
    "item",
    [
        # As the page writes them: whatever belongs to a region has the image's size.
        {"type": "keypointlabels", "from_name": "point", "original_width": 200, "value": {"x": 1, "y": 2}},
        {"type": "textarea", "from_name": "phrase", "value": {"text": ["the left hand"]}},
        {"type": "choices", "from_name": "subtype_structure", "value": {"choices": ["deformed"]}},
    ],
)
def test_an_answer_whose_only_region_cannot_be_read_is_not_clean(item: dict[str, Any]) -> None:
    task = task_of(BASE)
    task["annotations"] = [{"id": 1, "completed_by": 3, "result": [{"id": "r1", **item}]}]
    record, problems = read_one(task)
    assert (record.status, record.reviews[0].status) == ("skipped", "annotated")
    assert record.reviews[0].extra["unreadable"] == "no region could be read"
    assert codes(problems) == ["result.not_read"]
    assert problems.failed


def test_a_subtype_of_another_category_is_kept_and_reported() -> None:
    task = annotated()
    items_of(task)[0]["value"]["polygonlabels"] = ["physics"]
    record, problems = read_one(task)
    assert (record.artifacts[0].category, record.artifacts[0].subtype) == ("physics", "deformed")
    assert codes(problems) == ["region.subtype_mismatch"]


def test_missing_texts_are_warned_of_and_the_region_is_kept() -> None:
    bare = msgspec.structs.replace(HAND, phrase="", explanation="")
    record, problems = read_one(task_of(msgspec.structs.replace(BASE, artifacts=(bare,), reviews=(SEEN,))))
    assert record.artifacts == (bare,)
    assert sorted(codes(problems)) == ["region.no_explanation", "region.no_phrase"]
    assert not problems.failed


def test_a_text_in_several_entries_becomes_lines() -> None:
    task = annotated()
    for item in items_of(task):
        if item["from_name"] == "explanation":
            item["value"]["text"] = ["It has six fingers.", " And no nails."]
    record, _ = read_one(task)
    assert record.artifacts[0].explanation == "It has six fingers.\n And no nails."


def test_names_are_understood_where_a_hand_made_interface_lacks_the_ids() -> None:
    task = annotated()
    for item in items_of(task):
        if item["from_name"] == "category":
            item["value"]["polygonlabels"] = ["Structure"]
        elif item["from_name"] == "subtype_structure":
            item["value"]["choices"] = ["Incomplete or redundant"]
    record, _ = read_one(task)
    assert (record.artifacts[0].category, record.artifacts[0].subtype) == (
        "structure",
        "incomplete_redundant",
    )


def test_two_labels_on_a_region_keep_the_first_and_say_so() -> None:
    task = annotated()
    items_of(task)[0]["value"]["polygonlabels"] = ["physics", "structure"]
    record, problems = read_one(task)
    assert record.artifacts[0].category == "physics"
    assert record.artifacts[0].extra["category_choices"] == ["physics", "structure"]
    assert codes(problems) == ["region.category", "region.subtype_mismatch"]
    assert all(problem.fix and problem.region == "region r1" for problem in problems)


def test_an_artifact_of_several_rings_is_one_artifact_again() -> None:
    other = (100.0, 10.0, 120.0, 10.0, 120.0, 50.0)
    split = msgspec.structs.replace(HAND, polygons=(BOX, other, BOX))
    record, problems = read_one(task_of(msgspec.structs.replace(BASE, artifacts=(split,), reviews=(SEEN,))))
    assert record.artifacts == (split,)
    assert not len(problems)


def test_a_part_that_a_rater_described_otherwise_stays_an_artifact_of_its_own() -> None:
    split = msgspec.structs.replace(HAND, polygons=(BOX, BOX))
    task = task_of(msgspec.structs.replace(BASE, artifacts=(split,), reviews=(SEEN,)))
    for item in items_of(task):
        if item["id"] == "r1~2" and item["from_name"] == "phrase":
            item["value"]["text"] = ["the right hand"]
    record, _ = read_one(task)
    assert [one.artifact_id for one in record.artifacts] == ["r1", "r1~2"]


def test_the_rings_of_one_artifact_never_take_the_id_of_another() -> None:
    # As when a rater described the second of three parts anew: the others stay one artifact.
    shifted = [tuple(value + step for value in BOX) for step in (0, 10, 20)]
    whole = msgspec.structs.replace(HAND, polygons=(shifted[0], shifted[2]))
    part = msgspec.structs.replace(HAND, artifact_id="r1~2", polygons=(shifted[1],), phrase="the thumb")
    record, problems = read_one(
        task_of(msgspec.structs.replace(BASE, artifacts=(whole, part), reviews=(SEEN,)))
    )
    assert record.artifacts == (whole, part)
    assert not len(problems)


@pytest.mark.parametrize(
    ("points", "found"),
    [
        ([[0, 0], [30, 0], [30, 50]], []),
        # A millionth of a pixel is 5e-7 percent of 200 pixels.
        ([[-4e-7, -9e-7], [100 + 4e-7, 0], [50, 100 + 9e-7]], []),
        ([[0, 0], [101, 0], [30, 50]], ["polygon.outside"]),
        ([[0, 0], [30, 50], [30, 0], [0, 60]], ["polygon.crosses_itself"]),
        ([[0, 0], [30, 50], [30, -1], [0, 60]], ["polygon.crosses_itself", "polygon.outside"]),
    ],
)
def test_a_polygon_with_a_fault_is_kept_and_told_when_it_is_read(points: Any, found: list[str]) -> None:
    task = annotated()
    for item in items_of(task):
        if "points" in item["value"]:
            item["value"]["points"] = points
    record, problems = read_one(task)
    assert [one.artifact_id for one in record.artifacts] == ["r1"]
    assert codes(problems) == found
    for problem in problems:
        assert (problem.severity, problem.region) == ("warning", "region r1")
        assert "pull again" in problem.fix


def test_a_polygon_on_one_line_cannot_be_used() -> None:
    task = annotated()
    items_of(task)[0]["value"]["points"] = [[0, 0], [10, 10], [20, 20]]
    record, problems = read_one(task)
    assert record.artifacts == ()
    assert codes(problems) == ["region.bad_polygon"]
