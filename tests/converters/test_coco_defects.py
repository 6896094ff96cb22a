"""COCO instances: what is wrong in a file is named and kept, and costs nothing else."""

import math
from pathlib import Path

import pytest
from coco_files import SQUARE, foreign, looked, only, stored, written

from synthscars.problems import FormatError

BAD = {
    "2 points": ({"segmentation": [[1, 1, 2, 2]]}, "polygon.few_points"),
    "no partner": ({"segmentation": [[1, 1, 2, 2, 3, 3, 4]]}, "polygon.odd"),
    "no area": ({"segmentation": [[1, 1, 2, 2, 3, 3]]}, "polygon.no_area"),
    "texts": ({"segmentation": [["1", "1", "2", "2", "3", "9"]]}, "polygon.not_numbers"),
    "NaN": ({"segmentation": [[1, 1, math.nan, 2, 3, 9]]}, "polygon.not_numbers"),
    "a text": ({"segmentation": "polygon"}, "segmentation.wrong_type"),
    "nothing": ({}, "annotation.no_outline"),
    "an empty box": ({"bbox": [1, 1, 0, 5], "segmentation": []}, "annotation.no_outline"),
    "half a box": ({"bbox": [1, 1, 5]}, "annotation.no_outline"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_annotation_that_cannot_be_used_is_named_and_kept_and_the_others_are_read(
    case: str, tmp_path: Path
) -> None:
    annotation, code = BAD[case]
    content = foreign(annotation, {"segmentation": SQUARE})
    path = stored(tmp_path, content)
    (record,), problems = looked(path)
    (said,) = problems
    assert (said.code, said.severity) == (code, "error")
    assert (said.file, said.image, said.region) == (str(path), "a.png", "annotation 1")
    assert said.fix
    assert [artifact.artifact_id for artifact in record.artifacts] == ["2"]
    assert record.extra["coco"]["rejected_annotations"][0]["id"] == 1


def test_an_image_of_which_nothing_can_be_used_is_not_clean(tmp_path: Path) -> None:
    content = foreign({"segmentation": []})
    content["images"][0] |= {"status": "clean", "sha256": "a" * 64}
    (record,), _ = looked(stored(tmp_path, content))
    assert (record.status, record.artifacts) == ("annotated", ())
    # Nor does it become clean by being written and read again.
    again, _ = written(tmp_path, [record])
    (record,), _ = looked(stored(tmp_path, again))
    assert record.status == "annotated"
    assert record.extra["coco"]["rejected_annotations"] == content["annotations"]


ODD = {
    "crosses itself": ([[10, 10, 30, 30, 30, 10, 10, 35]], "polygon.crosses_itself"),
    "right of the image": ([[50, 10, 70, 10, 70, 30]], "polygon.outside"),
    "left of the image": ([[-5, 10, 30, 10, 30, 30]], "polygon.outside"),
    "not in a list": (SQUARE[0], "segmentation.flat"),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_outline_is_used_and_named(case: str, tmp_path: Path) -> None:
    segmentation, code = ODD[case]
    (record,), problems = looked(stored(tmp_path, foreign({"segmentation": segmentation})))
    (said,) = problems
    assert (said.code, said.severity) == (code, "warning")
    assert (said.image, said.region) == ("a.png", "annotation 1")
    assert len(record.artifacts) == 1


def test_the_good_polygons_of_an_annotation_are_used_and_the_bad_ones_kept(tmp_path: Path) -> None:
    content = foreign({"segmentation": [*SQUARE, [1, 1, 2, 2]]})
    (record,), problems = looked(stored(tmp_path, content))
    assert only(problems, "polygon.few_points").region == "annotation 1, polygon 1"
    assert len(record.artifacts[0].polygons) == 1
    assert record.artifacts[0].extra["coco"] == {"rejected_polygons": [[1, 1, 2, 2]]}


def test_points_in_pairs_are_read(tmp_path: Path) -> None:
    content = foreign({"segmentation": [[[10, 10], [30, 10], [30, 30]]]})
    (record,), problems = looked(stored(tmp_path, content))
    assert record.artifacts[0].polygons == ((10.0, 10.0, 30.0, 10.0, 30.0, 30.0),)
    assert not list(problems)


def test_ids_may_be_texts_and_sizes_fractions_and_annotations_may_come_first(tmp_path: Path) -> None:
    content = {
        "annotations": [{"id": "x1", "image_id": "7", "category_id": "1", "segmentation": SQUARE}],
        "categories": [{"id": 1, "name": "structure"}],
        "images": [{"id": 7.0, "file_name": "a.png", "width": "64", "height": 48.0}],
    }
    (record,), problems = looked(stored(tmp_path, content))
    assert not list(problems)
    assert (record.width, record.height) == (64, 48)
    assert [(each.artifact_id, each.category) for each in record.artifacts] == [("x1", "structure")]
    again, _ = written(tmp_path, [record])
    assert (again["images"][0]["id"], again["annotations"][0]["id"]) == (7, 1)


def test_annotations_of_no_image_are_told_once_with_their_number(tmp_path: Path) -> None:
    lost = [{"segmentation": SQUARE, "image_id": each} for each in (5, 6, None, "x", 7)]
    (record,), problems = looked(stored(tmp_path, foreign({"segmentation": SQUARE}, *lost)))
    (said,) = problems
    assert (said.code, said.severity, said.count, said.region) == (
        "annotation.no_image",
        "error",
        5,
        "annotation 2 (image 5)",
    )
    assert len(record.artifacts) == 1


def test_a_category_that_is_not_there_costs_the_category_alone(tmp_path: Path) -> None:
    (record,), problems = looked(stored(tmp_path, foreign({"segmentation": SQUARE, "category_id": 9})))
    said = only(problems, "category.missing")
    assert (said.severity, said.image, said.region) == ("warning", "a.png", "annotation 1")
    assert record.artifacts[0].category is None
    assert record.artifacts[0].extra["coco"] == {"category_id": 9}


def test_repeated_ids_of_annotations_cost_nothing(tmp_path: Path) -> None:
    twice = {"segmentation": SQUARE, "id": 7}
    (record,), problems = looked(stored(tmp_path, foreign(twice, twice)))
    assert only(problems, "annotation.repeated_id").severity == "warning"
    assert [artifact.artifact_id for artifact in record.artifacts] == ["7", "7-2"]
    again, _ = written(tmp_path, [record])
    assert len({entry["id"] for entry in again["annotations"]}) == 2


def test_a_repeated_id_of_an_image_is_an_error(tmp_path: Path) -> None:
    content = foreign({"segmentation": SQUARE})
    content["images"].append({**content["images"][0], "file_name": "b.png"})
    found, problems = looked(stored(tmp_path, content))
    assert [record.file_name for record in found] == ["a.png"]
    assert only(problems, "image.repeated_id").image == "b.png"


def test_an_unknown_label_is_told_once_and_comes_back(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "watermark", "supercategory": "text", "color": "#ff0000"}]
    content = foreign({"segmentation": SQUARE}, {"segmentation": SQUARE}, categories=categories)
    (record,), problems = looked(stored(tmp_path, content))
    assert only(problems, "label.unknown").region == "category 1"
    assert [artifact.extra["label"] for artifact in record.artifacts] == ["watermark"] * 2
    again, _ = written(tmp_path, [record])
    assert again["categories"][-1] == {**categories[0], "id": 4}


def test_fields_of_the_wrong_type_are_named_and_kept_where_they_were(tmp_path: Path) -> None:
    content = foreign({"segmentation": SQUARE, "votes": "many", "explanation": "Bent.", "score": 0.5})
    content["images"][0] |= {"caption": 5, "content_type": "human", "mood": "blue"}
    (record,), problems = looked(stored(tmp_path, content))
    assert [problem.code for problem in problems] == ["field.wrong_type"] * 2
    assert record.artifacts[0].explanation == "Bent."
    assert record.content_type == "human"
    again, _ = written(tmp_path, [record])
    assert (again["images"][0]["caption"], again["images"][0]["mood"]) == (5, "blue")
    assert (again["annotations"][0]["votes"], again["annotations"][0]["score"]) == ("many", 0.5)


def test_what_the_file_says_of_itself_comes_back(tmp_path: Path) -> None:
    content = foreign(
        {"segmentation": SQUARE}, info={"description": "mine", "year": 2025}, tool={"version": 3}
    )
    found, _ = looked(stored(tmp_path, content))
    again, _ = written(tmp_path, found)
    assert (again["info"], again["tool"]) == (content["info"], content["tool"])


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"images": 5}', '{"annotations": []}'])
def test_a_file_that_is_no_coco_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(text)
    with pytest.raises(FormatError, match=r"in\.json"):
        looked(tmp_path / "in.json")


def test_a_folder_without_any_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no COCO annotations"):
        looked(tmp_path)


def test_a_missing_image_is_named_where_a_folder_was_given(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    path = stored(tmp_path, foreign({"segmentation": SQUARE}))
    (record,), problems = looked(path, images=tmp_path / "pictures")
    assert only(problems, "image.missing").image == "a.png"
    assert (record.width, record.height) == (64, 48)
