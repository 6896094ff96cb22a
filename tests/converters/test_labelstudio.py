import copy
import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from labelstudio_tasks import answered_records, spoil

from synthscars.converters import labelstudio
from synthscars.converters.labelstudio_tasks import results
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, Generation, ImageRecord, Review, encode_record

BASE = ImageRecord(image_id="ab" * 32, file_name="a.png", width=200, height=100)
BOX = (20.0, 10.0, 60.0, 10.0, 60.0, 50.0)
HAND = Artifact(
    artifact_id="r1",
    category="structure",
    subtype="deformed",
    polygons=(BOX,),
    phrase="the left hand",
    explanation="It has six fingers.",
    rater_id="rater-3",
)
SEEN = Review(rater_id="rater-3", status="annotated", content_type="human", scene="A person.")


def task_of(record: ImageRecord) -> dict[str, Any]:
    task = labelstudio.task(record, "/data/a.png", Problems())
    return {"id": 7, **json.loads(msgspec.json.encode(task))}


def annotated() -> dict[str, Any]:
    """A task with one region of one rater, as the server exports it."""
    return task_of(msgspec.structs.replace(BASE, artifacts=(HAND,), reviews=(SEEN,)))


def read_one(*tasks: Any, images: dict[str, ImageRecord] | None = None) -> tuple[ImageRecord, Problems]:
    problems = Problems()
    (record,) = labelstudio.read(list(tasks), problems, images)
    return record, problems


def codes(problems: Problems) -> list[str]:
    return [problem.code for problem in problems]


def items_of(task: dict[str, Any]) -> list[dict[str, Any]]:
    items = task["annotations"][0]["result"]
    assert isinstance(items, list)
    return items


@given(answered_records())
def test_what_every_rater_answered_survives_writing_and_reading(record: ImageRecord) -> None:
    problems = Problems()
    buffer = io.BytesIO()
    labelstudio.write([record], buffer, problems)
    (found,) = labelstudio.read(io.BytesIO(buffer.getvalue()), problems, {record.image_id: record})
    assert not problems.failed
    assert [plain(one) for one in found.artifacts] == [plain(one) for one in record.artifacts]
    for before, after in zip(record.artifacts, found.artifacts, strict=True):
        for ring, again in zip(before.polygons, after.polygons, strict=True):
            assert again == pytest.approx(ring, rel=0, abs=1e-9)
    assert [bare(one) for one in found.reviews] == list(record.reviews)
    # Everything that Label Studio never saw comes from what is known about the image.
    assert (found.generation, found.group_id, found.split) == (
        record.generation,
        record.group_id,
        record.split,
    )


def plain(artifact: Artifact) -> Artifact:
    rings = tuple(tuple(0.0 for _ in ring) for ring in artifact.polygons)
    said = {key: value for key, value in artifact.extra.items() if key == "confidence"}
    return msgspec.structs.replace(artifact, polygons=rings, extra=said)


def bare(review: Review) -> Review:
    said = {key: value for key, value in review.extra.items() if key == "skip_reason"}
    return msgspec.structs.replace(review, extra=said)


def skipped_task(*reasons: str, submitted: bool = False) -> dict[str, Any]:
    reviews = tuple(
        Review(rater_id=f"rater-{n}", status="skipped", extra={"skip_reason": reason} if reason else {})
        for n, reason in enumerate(reasons, start=1)
    )
    task = task_of(msgspec.structs.replace(BASE, reviews=reviews))
    for answer in task["annotations"]:
        answer["was_cancelled"] = not submitted
    return task


@pytest.mark.parametrize("submitted", [False, True])
def test_why_an_image_was_skipped_is_kept_whichever_button_was_pressed(submitted: bool) -> None:
    record, problems = read_one(skipped_task("damaged", submitted=submitted), images={BASE.image_id: BASE})
    assert record.status == record.reviews[0].status == "skipped"
    assert record.reviews[0].extra["skip_reason"] == record.extra["skip_reason"] == "damaged"
    assert codes(problems) == []
    again, _ = read_one(task_of(record), images={BASE.image_id: BASE})
    assert again.reviews[0].extra["skip_reason"] == "damaged"


def test_the_reason_that_most_raters_gave_is_the_images() -> None:
    task = skipped_task("damaged", "unclear", "", "unclear")
    assert read_one(task, images={BASE.image_id: BASE})[0].extra["skip_reason"] == "unclear"
    assert "skip_reason" not in read_one(skipped_task(""), images={BASE.image_id: BASE})[0].extra


def test_a_reason_to_skip_beside_a_region_is_a_contradiction_and_is_kept() -> None:
    task = annotated()
    reason = skipped_task("damaged")["annotations"][0]["result"]
    items_of(task).extend(reason)
    record, problems = read_one(task, images={BASE.image_id: BASE})
    assert (record.status, codes(problems)) == ("annotated", ["annotation.contradiction"])
    assert record.reviews[0].extra["other_results"] == reason
    assert "skip_reason" not in record.extra


@settings(max_examples=300)
@given(st.data())
def test_nonsense_anywhere_in_a_task_never_ends_the_reading_nor_touches_other_images(
    data: st.DataObject,
) -> None:
    spoiled = annotated()
    spoil(data, spoiled)
    other = msgspec.structs.replace(BASE, image_id="cd" * 32, artifacts=(HAND,), reviews=(SEEN,))
    problems = Problems()
    images = {record.image_id: record for record in (BASE, other)}
    tasks = [spoiled, task_of(other)]
    found = {record.image_id: record for record in labelstudio.read(tasks, problems, images)}
    assert found[other.image_id].artifacts == (HAND,)
    for problem in problems:
        assert problem.fix, problem
        assert problem.region == "" or problem.region.startswith("region "), problem
    for record in found.values():
        encode_record(record)
    # Whatever became of the spoiled region, somebody is told, unless its answer is still whole.
    spoiled_record = found.get(BASE.image_id)
    if spoiled_record is None:
        assert problems.failed
    elif not spoiled_record.artifacts:
        assert len(problems) or spoiled_record.status in ("unlabelled", "skipped")


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


def test_looked_at_and_clean_is_not_unlabelled() -> None:
    clean = Review(rater_id="rater-1", status="clean")
    assert read_one(task_of(msgspec.structs.replace(BASE, reviews=(clean,))))[0].status == "clean"
    assert read_one(task_of(BASE))[0].status == "unlabelled"


EMPTY = {"id": 1, "completed_by": 1, "result": [], "was_cancelled": False}


def test_an_answer_with_nothing_drawn_is_undecided_unless_the_rater_said_that_nothing_is_there() -> None:
    record, problems = read_one({**task_of(BASE), "annotations": [EMPTY]})
    (review,) = record.reviews
    assert (record.status, review.status) == ("skipped", "skipped")
    assert review.extra["skip_reason"] == "nothing drawn, and 'no visible artifact' not chosen"
    assert [(one.code, one.severity) for one in problems] == [("annotation.empty", "warning")]
    said = labelstudio.results([], Review(rater_id="x", status="clean"), 200, 100)
    record, problems = read_one({**task_of(BASE), "annotations": [{**EMPTY, "result": said}]})
    assert (record.status, record.reviews[0].extra.get("skip_reason")) == ("clean", None)
    assert not len(problems)


def test_what_an_undecided_rater_said_about_the_whole_image_survives_writing_and_reading() -> None:
    about = labelstudio.results([], SEEN, 200, 100)
    record, _ = read_one({**task_of(BASE), "annotations": [{**EMPTY, "result": about}]})
    again, problems = read_one(task_of(record))
    assert again.reviews == record.reviews
    assert (again.reviews[0].scene, again.reviews[0].content_type) == ("A person.", "human")
    assert codes(problems) == ["annotation.empty"]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["skipped"], "skipped"),
        (["skipped", "clean"], "clean"),
        (["clean", "skipped", "annotated"], "annotated"),
        ([], "unlabelled"),
    ],
)
def test_the_status_of_an_image_follows_from_all_its_raters(statuses: list[Any], expected: str) -> None:
    answers = [Review(rater_id=f"rater-{number}", status=status) for number, status in enumerate(statuses)]
    regions = [
        msgspec.structs.replace(HAND, rater_id=one.rater_id) for one in answers if one.status == "annotated"
    ]
    record, _ = read_one(
        task_of(msgspec.structs.replace(BASE, reviews=tuple(answers), artifacts=tuple(regions)))
    )
    assert record.status == expected
    assert [review.status for review in record.reviews] == statuses


def test_regions_in_a_skipped_answer_are_not_used_but_kept() -> None:
    task = annotated()
    task["annotations"][0]["was_cancelled"] = True
    record, _ = read_one(task)
    assert (record.status, record.artifacts) == ("skipped", ())
    assert record.reviews[0].extra["result"] == items_of(task)


def test_who_answered_may_be_a_number_or_an_object_and_no_address_is_kept() -> None:
    task = annotated()
    task["annotations"][0]["completed_by"] = {"id": 3, "email": "ada@example.org"}
    earlier = copy.deepcopy(task["annotations"][0])
    earlier.update(id=1, updated_at="2001-01-01T00:00:00Z")
    task["annotations"][0].update(id=2, updated_at="2002-01-01T00:00:00Z")
    task["annotations"].append(earlier)
    record, _ = read_one(task)
    assert record.raters == ("rater-3",)
    assert b"ada@example.org" not in encode_record(record)


def test_of_several_answers_of_one_rater_the_latest_counts_and_the_earlier_are_kept() -> None:
    task = annotated()
    latest = task["annotations"][0]
    latest.update(id=9, updated_at="2026-02-02T00:00:00Z")
    earlier = {"id": 12, "completed_by": 3, "result": [], "updated_at": "2026-02-01T00:00:00Z"}
    task["annotations"].append(earlier)
    record, problems = read_one(task)
    assert record.artifacts == (HAND,)
    assert codes(problems) == ["annotation.repeated"]
    (review,) = record.reviews
    assert review.extra["annotation_id"] == 9
    assert [one["id"] for one in review.extra["earlier_annotations"]] == [12]


def test_what_an_adjudicator_marked_as_ground_truth_counts_more_than_the_latest_answer() -> None:
    task = annotated()
    task["annotations"][0].update(id=9, updated_at="2026-02-01T00:00:00Z", ground_truth=True)
    later = {"id": 12, "completed_by": 3, "result": [], "updated_at": "2026-02-02T00:00:00Z"}
    task["annotations"].append(later)
    record, problems = read_one(task)
    assert record.artifacts == (HAND,)
    assert record.reviews[0].extra["ground_truth"] is True
    assert [one["id"] for one in record.reviews[0].extra["earlier_annotations"]] == [12]
    assert codes(problems) == ["annotation.repeated"]


def test_answers_of_deleted_accounts_are_not_taken_for_one_raters() -> None:
    task = annotated()
    second = copy.deepcopy(task["annotations"][0])
    for number, annotation in enumerate((task["annotations"][0], second), start=1):
        annotation.update(id=number, completed_by=None)
    task["annotations"].append(second)
    record, problems = read_one(task)
    assert record.raters == ("rater-unknown-1", "rater-unknown-2")
    assert [one.rater_id for one in record.artifacts] == list(record.raters)
    assert codes(problems) == ["annotation.no_rater"] * 2


def test_drafts_that_nobody_submitted_are_mentioned_without_names() -> None:
    draft = {"id": 4, "user": "ada@example.org", "result": [{"id": "r1"}]}
    record, problems = read_one({**task_of(BASE), "drafts": [draft, 5]})
    assert record.status == "unlabelled"
    assert b"ada@example.org" not in encode_record(record)
    assert [(one.code, one.severity) for one in problems] == [("draft.not_submitted", "info")]


def test_two_tasks_of_one_image_are_read_as_one() -> None:
    other = task_of(msgspec.structs.replace(BASE, reviews=(Review(rater_id="rater-4", status="clean"),)))
    record, problems = read_one(annotated(), {**other, "id": 8})
    assert record.raters == ("rater-3", "rater-4")
    assert codes(problems) == ["task.repeated"]


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


@pytest.mark.parametrize("others", [[], ["clean"], ["clean", "clean"]])
def test_an_image_whose_every_region_is_bad_is_neither_clean_nor_annotated_nor_unlabelled(
    others: list[Any],
) -> None:
    answers = [Review(rater_id=f"rater-{number}", status=status) for number, status in enumerate(others, 10)]
    task = task_of(msgspec.structs.replace(BASE, artifacts=(HAND,), reviews=(SEEN, *answers)))
    items_of(task)[0]["value"]["points"] = []
    record, problems = read_one(task)
    assert record.status == "skipped"
    assert [one.status for one in record.reviews] == ["annotated", *others]
    assert record.reviews[0].extra["unreadable"] == "no region could be read"
    assert record.reviews[0].scene == "A person."
    assert codes(problems) == ["region.bad_polygon"]


@pytest.mark.parametrize("drawn", [[HAND], []])
def test_whoever_drew_and_chose_that_nothing_is_there_did_not_find_the_image_clean(
    drawn: list[Artifact],
) -> None:
    task = annotated()
    if not drawn:
        items_of(task)[0]["value"]["points"] = []
    items_of(task).extend(labelstudio.results([], Review(rater_id="x", status="clean"), 200, 100))
    record, problems = read_one(task)
    assert (list(record.artifacts), record.status) == (drawn, "annotated" if drawn else "skipped")
    assert "annotation.contradiction" in codes(problems)


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


def test_an_answer_about_the_whole_image_that_we_do_not_know_does_not_make_it_annotated() -> None:
    task = task_of(msgspec.structs.replace(BASE, reviews=(Review(rater_id="rater-3", status="clean"),)))
    items_of(task).append({"id": "q", "type": "rating", "from_name": "beauty", "value": {"rating": 3}})
    record, problems = read_one(task)
    assert record.status == "clean"
    assert codes(problems) == ["result.not_read"]
    assert not problems.failed


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


def test_tasks_that_name_no_image_or_an_unknown_one_are_set_aside_with_a_problem() -> None:
    problems = Problems()
    foreign = {**annotated(), "id": 8, "data": {"image_id": "../../etc/passwd"}}
    nameless = {"id": 9, "data": {"image": "x.png"}}
    found = list(labelstudio.read([annotated(), foreign, nameless, 5], problems, {BASE.image_id: BASE}))
    assert [record.image_id for record in found] == [BASE.image_id]
    assert codes(problems) == ["task.unknown_image", "task.no_image_id", "task.not_an_object"]


def test_raters_without_an_account_become_predictions() -> None:
    drawn = [
        msgspec.structs.replace(HAND, rater_id=name) for name in ("legion", "", "rater-03", "synthscars")
    ]
    problems = Problems()
    task = labelstudio.task(msgspec.structs.replace(BASE, artifacts=tuple(drawn)), "/data/a.png", problems)
    assert task["annotations"] == []
    versions = [one["model_version"] for one in task["predictions"]]
    assert versions == ["legion", "synthscars", "rater-03", "synthscars-2"]
    assert not len(problems)


FULL = msgspec.structs.replace(
    BASE,
    origin="real",
    content_type="human",
    status="annotated",
    caption="A caption.",
    artifacts=(
        msgspec.structs.replace(HAND, rater_id="", votes=2, agreement=0.9, extra={"x": 1}),
        msgspec.structs.replace(HAND, rater_id="", artifact_id="r2", polygons=(BOX, BOX), category=None),
        msgspec.structs.replace(HAND, polygons=()),
        HAND,
    ),
    reviews=(msgspec.structs.replace(SEEN, extra={"y": 2}), Review(rater_id="ada", status="clean")),
    generation=Generation(tool="a1111", prompt="a hand"),
    group_id="g",
    split="train",
    source="b.zip",
    license="cc0",
    extra={"z": [1, None]},
)


def test_what_label_studio_has_no_place_for_comes_back_from_the_tasks_meta() -> None:
    buffer, problems = io.BytesIO(), Problems()
    labelstudio.write([FULL], buffer, problems)
    (found,) = labelstudio.read(io.BytesIO(buffer.getvalue()), problems)
    assert found == FULL
    assert not len(problems)


def written_task(record: ImageRecord) -> dict[str, Any]:
    buffer = io.BytesIO()
    labelstudio.write([record], buffer, Problems())
    (task,) = json.loads(buffer.getvalue())
    assert isinstance(task, dict)
    return task


def test_no_answer_that_is_imported_becomes_ground_truth_by_itself() -> None:
    # The server's bulk import takes it for true unless it is said.
    said = msgspec.structs.replace(SEEN, extra={"ground_truth": True})
    for review, expected in ((SEEN, False), (said, True)):
        (answer,) = written_task(msgspec.structs.replace(BASE, artifacts=(HAND,), reviews=(review,)))[
            "annotations"
        ]
        assert answer["ground_truth"] is expected


def test_a_task_comes_back_whole_from_a_server_that_added_its_own_fields_and_listed_otherwise() -> None:
    task = written_task(msgspec.structs.replace(FULL, artifacts=(*FULL.artifacts, HAND_OF_A_MODEL)))
    task["predictions"].reverse()
    for number, answer in enumerate([*task["annotations"], *task["predictions"]], start=1):
        answer |= {"id": number, "created_at": "2026-01-01T00:00:00Z"}
    task["annotations"][0]["completed_by"] = {"id": 3, "email": "ada@example.org"}
    record, problems = read_one({"id": 5, **task, "drafts": []})
    assert record == msgspec.structs.replace(FULL, artifacts=(*FULL.artifacts, HAND_OF_A_MODEL))
    assert not len(problems)


HAND_OF_A_MODEL = msgspec.structs.replace(HAND, rater_id="legion", phrase="the right hand")


def test_a_draft_is_no_answer_and_changes_nothing_but_what_is_kept() -> None:
    draft = {"id": 4, "user": "ada@example.org", "result": [{"id": "r1"}]}
    record, problems = read_one({"id": 5, **written_task(FULL), "drafts": [draft]})
    kept = {**FULL.extra, "drafts": [{"id": 4, "result": [{"id": "r1"}]}]}
    assert record == msgspec.structs.replace(FULL, extra=kept)
    assert codes(problems) == ["draft.not_submitted"]


def test_once_somebody_has_answered_only_what_is_said_about_the_image_itself_still_holds() -> None:
    task = written_task(FULL)
    said = labelstudio.results([], Review(rater_id="x", status="clean"), 200, 100)
    task["annotations"].append({"id": 9, "completed_by": 5, "result": said})
    record, problems = read_one({"id": 5, **task})
    assert (record.status, record.raters) == ("annotated", ("rater-3", "rater-5"))
    assert record.artifacts == (HAND,)
    assert (record.caption, record.generation, record.split) == ("", FULL.generation, "train")
    assert record.extra["z"] == [1, None]
    assert codes(problems) == ["task.predictions"]
    (problem,) = problems
    assert problem.what.startswith("2 regions of 1 images are only predictions")


def test_the_workspace_counts_more_than_what_a_task_brings() -> None:
    record, problems = read_one({"id": 5, **written_task(FULL)}, images={BASE.image_id: BASE})
    assert record.artifacts == (HAND,)
    assert record.generation is None
    assert codes(problems) == ["task.predictions"]


def test_predictions_come_back_from_an_export_that_has_only_their_numbers() -> None:
    record = msgspec.structs.replace(
        BASE,
        status="annotated",
        artifacts=(msgspec.structs.replace(HAND, rater_id="legion"),),
        reviews=(msgspec.structs.replace(SEEN, rater_id="legion"),),
    )
    task = written_task(record)
    assert read_one({**task, "predictions": [41]})[0] == record
    # One more, or none left: not what was written.
    for predictions in ([41, 42], []):
        found, problems = read_one({**task, "predictions": predictions})
        assert (found.status, found.artifacts) == ("unlabelled", ())
        assert codes(problems) == ["task.predictions_by_number"] * bool(predictions)


@pytest.mark.parametrize(
    "spoiled", [{}, {"artifacts": 5}, {"artifacts": [{}]}, {"image_id": 7}, {"status": "odd"}]
)
def test_a_damaged_meta_is_told_and_the_answers_are_read(spoiled: dict[str, Any]) -> None:
    task = written_task(FULL)
    record = task["meta"]["synthscars"]["record"]
    if spoiled:
        record |= spoiled
    else:
        record.clear()
    found, problems = read_one({"id": 5, **task})
    assert found.artifacts == (HAND,)
    assert "task.damaged_meta" in codes(problems)
    assert not problems.failed


def test_what_label_studio_holds_is_no_loss() -> None:
    record = msgspec.structs.replace(
        BASE, content_type="human", status="annotated", artifacts=(HAND,), reviews=(SEEN,)
    )
    problems = Problems()
    labelstudio.write([record, BASE], io.BytesIO(), problems)
    assert not len(problems)


def test_regions_that_nobody_confirmed_are_counted_once_when_they_are_read() -> None:
    made = [msgspec.structs.replace(HAND, rater_id="", artifact_id=name) for name in ("r1", "r2")]
    predicted = msgspec.structs.replace(BASE, artifacts=tuple(made))
    other = msgspec.structs.replace(predicted, image_id="cd" * 32)
    problems = Problems()
    found = list(labelstudio.read([task_of(predicted), task_of(other)], problems))
    assert [(one.status, one.artifacts) for one in found] == [("unlabelled", ())] * 2
    (problem,) = problems
    assert (problem.code, problem.severity) == ("task.predictions", "warning")
    assert problem.what.startswith("4 regions of 2 images are only predictions")


@pytest.mark.parametrize(("origin", "left"), [("prediction", 0), ("prediction-changed", 0), (None, 1)])
def test_a_prediction_that_a_rater_made_their_own_is_confirmed(origin: str | None, left: int) -> None:
    task = annotated()
    task["predictions"] = [{"id": 1, "result": copy.deepcopy(items_of(task))}]
    for item in items_of(task):
        if origin:
            item["origin"] = origin
    record, problems = read_one(task)
    assert record.status == "annotated"
    assert codes(problems) == ["task.predictions"] * left


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


def test_a_task_that_push_made_is_read_without_the_workspace_under_its_name_there() -> None:
    url = f"/data/local-files/?d=images/ab/{BASE.image_id}.png"
    record, _ = read_one({"id": 7, "data": labelstudio.task_data(BASE, url), "annotations": []})
    assert record.file_name == f"{BASE.image_id}.png"
    record, _ = read_one({"id": 7, "data": labelstudio.task_data(BASE, url)}, images={BASE.image_id: BASE})
    assert record.file_name == "a.png"


def test_task_data_hold_nothing_that_would_bias_the_annotator() -> None:
    assert set(labelstudio.task_data(BASE, "/data/a.png")) == {
        "image",
        "image_id",
        "width",
        "height",
    }


def test_result_items_are_what_label_studio_itself_would_store() -> None:
    shape, phrase, explanation, subtype, *whole = results([HAND], SEEN, 200, 100)
    value = {"points": [[10.0, 10.0], [30.0, 10.0], [30.0, 50.0]], "closed": True}
    common = {
        "id": "r1",
        "to_name": "image",
        "original_width": 200,
        "original_height": 100,
        "image_rotation": 0,
    }
    assert shape == {
        **common,
        "from_name": "category",
        "type": "polygonlabels",
        "value": {**value, "polygonlabels": ["structure"]},
    }
    assert phrase["value"] == {**value, "text": ["the left hand"]}
    assert explanation["value"] == {**value, "text": ["It has six fingers."]}
    assert (subtype["from_name"], subtype["value"]["choices"]) == ("subtype_structure", ["deformed"])
    assert [item["from_name"] for item in whole] == ["content_type", "scene"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"id": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_list_of_tasks_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "000001.json"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"000001\.json"):
        list(labelstudio.read(path, Problems()))


def test_a_compressed_export_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "000001.json.zst"
    whole = zstandard.compress(json.dumps([annotated()]).encode())
    path.write_bytes(whole)
    assert len(list(labelstudio.read(path, Problems()))) == 1
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError):
        list(labelstudio.read(path, Problems()))


def test_not_a_number_in_a_file_spoils_its_region_only(tmp_path: Path) -> None:
    task = annotated()
    items_of(task)[0]["value"]["points"][0][0] = float("nan")
    path = tmp_path / "export.json"
    path.write_text(json.dumps([task]), encoding="utf-8")
    assert "NaN" in path.read_text(encoding="utf-8")
    problems = Problems()
    (record,) = labelstudio.read(path, problems)
    assert codes(problems) == ["region.bad_polygon"]
    assert b'"nan"' in encode_record(record)


def test_a_written_file_can_be_read_back(tmp_path: Path) -> None:
    record = msgspec.structs.replace(BASE, artifacts=(HAND,), reviews=(SEEN,))
    path = tmp_path / "tasks.json"
    assert (
        labelstudio.write([record, msgspec.structs.replace(BASE, image_id="cd" * 32)], path, Problems()) == 2
    )
    first, second = labelstudio.read(path, Problems())
    assert (first.artifacts, second.status) == ((HAND,), "unlabelled")


def test_a_compressed_file_is_compressed_and_can_be_read_back(tmp_path: Path) -> None:
    target = tmp_path / "tasks.json.zst"
    record = msgspec.structs.replace(BASE, artifacts=(HAND,), reviews=(SEEN,))
    assert labelstudio.write([record], target, Problems()) == 1
    (found,) = labelstudio.read(target, Problems())
    assert found.artifacts == (HAND,)
    assert json.loads(zstandard.ZstdDecompressor().stream_reader(target.read_bytes()).read())


def test_what_would_not_come_back_is_reported_when_it_is_written() -> None:
    bare = msgspec.structs.replace(HAND, polygons=())
    problems = Problems()
    for record in (
        msgspec.structs.replace(BASE, artifacts=(bare,), reviews=(SEEN,)),
        msgspec.structs.replace(BASE, status="clean"),
        msgspec.structs.replace(BASE, artifacts=(HAND,), reviews=(SEEN,)),
    ):
        labelstudio.task(record, "/data/a.png", problems)
    assert codes(problems) == ["artifact.no_polygon", "review.no_region", "status.no_rater"]
    assert [problem.where for problem in problems] == [
        f"a.png, image {BASE.image_id}, region r1",
        f"a.png, image {BASE.image_id}",
        f"a.png, image {BASE.image_id}",
    ]
