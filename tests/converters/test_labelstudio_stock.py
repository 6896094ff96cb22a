"""The converter that comes with label-studio-sdk beside ours, on the same exports.

The name of each test says what the stock converter really does and what ours does instead;
docs/label-studio-side-by-side.md is the table of them.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labelstudio_tasks import exported
from pictures import picture

from synthscars.converters import formats, labelstudio
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.taxonomy import load_taxonomy

stock_converter = pytest.importorskip("label_studio_sdk.converter", reason="needs the extra `platform`")

BOX = (20.0, 10.0, 60.0, 10.0, 60.0, 50.0)
WIDTH, HEIGHT = 200, 100


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def hand(rater: int = 3, **changes: Any) -> Artifact:
    fields: dict[str, Any] = {
        "artifact_id": "r1",
        "category": "structure",
        "subtype": "deformed",
        "polygons": (BOX,),
        "phrase": "the left hand",
        "explanation": "It has six fingers.",
        "rater_id": f"rater-{rater}",
        **changes,
    }
    return Artifact(**fields)


def image(*artifacts: Artifact, number: int = 1, **changes: Any) -> ImageRecord:
    fields: dict[str, Any] = {
        "image_id": f"{number:02x}" * 32,
        "file_name": f"{number}.png",
        "width": WIDTH,
        "height": HEIGHT,
        "artifacts": artifacts,
        **changes,
    }
    return ImageRecord(**fields)


def drawn(*artifacts: Artifact, number: int = 1, **changes: Any) -> dict[str, Any]:
    """A task as the server exports it."""
    return exported(image(*artifacts, number=number, **changes), number)


def items_of(task: dict[str, Any]) -> list[dict[str, Any]]:
    result = task["annotations"][0]["result"]
    assert isinstance(result, list)
    return result


def with_points(points: list[list[float]]) -> dict[str, Any]:
    task = drawn(hand())
    for item in items_of(task):
        item["value"]["points"] = points
    return task


CLEAN = (Review(rater_id="rater-3", status="clean", content_type="human"),)


def stock(folder: Path, tasks: list[Any], kind: str = "COCO", cut: int | None = None) -> Any:
    """What the stock converter makes of an export."""
    from synthscars.labelstudio.interface import label_config

    source, target = folder / "export.json", folder / "stock"
    source.write_text(json.dumps(tasks)[:cut])
    converter = stock_converter.Converter(
        label_config(load_taxonomy()), str(target), download_resources=False
    )
    convert = converter.convert_to_coco if kind == "COCO" else converter.convert_to_json_min
    convert(str(source), str(target), is_dir=False)
    return json.loads((target / "result.json").read_text())


def ours(folder: Path, tasks: list[Any], cut: int | None = None) -> tuple[Any, Problems]:
    """The COCO file that synthscars makes of the same export."""
    source, target, problems = folder / "export.json", folder / "ours.json", Problems()
    source.write_text(json.dumps(tasks)[:cut])
    formats.convert(source, target, problems, from_="labelstudio", to="coco", how="none")
    return json.loads(target.read_text()), problems


def read(tasks: list[Any]) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(labelstudio.read(tasks, problems)), problems


def codes(problems: Problems) -> list[str]:
    return [problem.code for problem in problems]


def test_the_text_of_a_region_is_lost_and_is_kept(tmp_path: Path) -> None:
    tasks = [drawn(hand())]
    assert set(stock(tmp_path, tasks)["annotations"][0]) == {
        *("id", "image_id", "category_id", "segmentation", "bbox", "ignore", "iscrowd", "area")
    }
    (annotation,) = ours(tmp_path, tasks)[0]["annotations"]
    assert (annotation["phrase"], annotation["explanation"]) == ("the left hand", "It has six fingers.")
    assert (annotation["subtype"], annotation["rater_id"]) == ("deformed", "rater-3")


def test_two_annotators_become_two_images_and_stay_one(tmp_path: Path) -> None:
    tasks = [drawn(hand(3), hand(4, explanation="It melts."))]
    first, second = stock(tmp_path, tasks)["images"]
    assert first["file_name"] == second["file_name"]
    assert first["id"] != second["id"]
    made, _ = ours(tmp_path, tasks)
    (one,) = made["images"]
    assert one["rater_list"] == ["rater-3", "rater-4"]
    assert [annotation["rater_id"] for annotation in made["annotations"]] == ["rater-3", "rater-4"]


def test_an_image_found_clean_is_dropped_and_is_clean(tmp_path: Path) -> None:
    tasks = [drawn(number=1, reviews=CLEAN), drawn(hand(), number=2), drawn(number=3)]
    by_stock = stock(tmp_path, tasks)
    # What is there without a region is the image that nobody looked at, not the one found clean.
    assert [one["width"] for one in by_stock["images"]] == [200, None]
    assert len(tasks) - len(by_stock["images"]) == 1
    made, _ = ours(tmp_path, tasks)
    assert [one["status"] for one in made["images"]] == ["clean", "annotated", "unlabelled"]


def test_sizes_of_turned_photographs_are_swapped_and_are_upright(tmp_path: Path) -> None:
    photograph = picture(1, HEIGHT, WIDTH)
    exif = photograph.getexif()
    exif[0x0112] = 6
    path = tmp_path / "images" / "1.png"
    path.parent.mkdir()
    photograph.save(path.with_suffix(".jpg"), exif=exif)
    tasks = [drawn(hand(), file_name="1.jpg")]
    tasks[0]["data"]["image"] = str(path.with_suffix(".jpg"))
    # The annotator saw it upright, 200 x 100: the region is put elsewhere.
    by_stock = stock(tmp_path, tasks)
    assert (by_stock["images"][0]["width"], by_stock["images"][0]["height"]) == (HEIGHT, WIDTH)
    assert by_stock["annotations"][0]["segmentation"] == [[10.0, 20.0, 30.0, 20.0, 30.0, 100.0]]
    made, _ = ours(tmp_path, tasks)
    assert (made["images"][0]["width"], made["images"][0]["height"]) == (WIDTH, HEIGHT)
    assert made["annotations"][0]["segmentation"] == [list(BOX)]


def test_a_polygon_without_points_aborts_everything_and_costs_itself(tmp_path: Path) -> None:
    tasks = [with_points([]), drawn(hand(), number=2)]
    with pytest.raises(ValueError, match="not enough values to unpack"):
        stock(tmp_path, tasks)
    made, problems = ours(tmp_path, tasks)
    assert len(made["images"]) == 2
    assert len(made["annotations"]) == 1
    (problem,) = problems
    assert (problem.code, problem.region, problem.image) == ("region.bad_polygon", "region r1", "01" * 32)
    assert problem.fix


@pytest.mark.parametrize("points", [[[1.0, 1.0]], [[1.0, 1.0], [2.0, 2.0]]])
def test_one_or_two_points_become_regions_without_area_and_are_refused(tmp_path: Path, points: Any) -> None:
    tasks = [with_points(points)]
    (annotation,) = stock(tmp_path, tasks)["annotations"]
    assert annotation["area"] == 0
    assert len(annotation["segmentation"][0]) == 2 * len(points)
    made, problems = ours(tmp_path, tasks)
    assert made["annotations"] == []
    assert codes(problems) == ["region.bad_polygon"]


def test_points_outside_the_image_pass_in_silence_and_are_told(tmp_path: Path) -> None:
    tasks = [with_points([[-10, 0], [150, 0], [50, 50]])]
    (annotation,) = stock(tmp_path, tasks)["annotations"]
    assert annotation["bbox"] == [-20.0, 0.0, 320.0, 50.0]
    _, problems = read(tasks)
    (problem,) = problems
    assert problem.code == "polygon.outside"
    assert "100 pixels beyond the image of 200 x 100" in problem.what


def test_brush_strokes_are_skipped_and_become_outlines(tmp_path: Path) -> None:
    tasks = json.loads((Path(__file__).parents[1] / "data" / "labelstudio" / "shapes.json").read_bytes())
    # Of a polygon, a rectangle, an ellipse, a stroke and a labelled polygon, all but the first are unknown to
    # the interface, and are left out in silence.
    assert len(stock(tmp_path, tasks)["annotations"]) == 1
    made, problems = ours(tmp_path, tasks)
    stroke = next(one for one in made["annotations"] if one["artifact_id"] == "brush1")
    assert (stroke["area"], stroke["bbox"]) == (24.0, [30.0, 50.0, 6.0, 4.0])
    assert len(made["annotations"]) == 5
    assert not len(problems)


def test_of_two_labels_the_first_is_kept_in_silence_and_both_are_kept_and_told(tmp_path: Path) -> None:
    tasks = [drawn(hand(subtype=None))]
    items_of(tasks[0])[0]["value"]["polygonlabels"] = ["physics", "structure"]
    by_stock = stock(tmp_path, tasks)
    names = {one["id"]: one["name"] for one in by_stock["categories"]}
    assert names[by_stock["annotations"][0]["category_id"]] == "physics"
    (record,), problems = read(tasks)
    assert record.artifacts[0].extra["category_choices"] == ["physics", "structure"]
    assert codes(problems) == ["region.category"]


def test_answers_about_the_whole_image_become_categories_and_stay_answers(tmp_path: Path) -> None:
    tasks = [drawn(hand(), reviews=(Review(rater_id="rater-3", status="annotated", content_type="human"),))]
    categories = {one["name"] for one in stock(tmp_path, tasks)["categories"]}
    assert {"human", "scene", "no_visible_artifact", "deformed"} < categories
    made, _ = ours(tmp_path, tasks)
    assert [one["name"] for one in made["categories"]] == list(load_taxonomy().category_ids)
    assert made["images"][0]["content_type"] == "human"


def test_json_min_has_texts_without_their_regions_and_ours_joins_them_by_id(tmp_path: Path) -> None:
    # The second region has no explanation: nothing says which of the two is meant.
    tasks = [drawn(hand(), hand(artifact_id="r2", phrase="the right hand", explanation=""))]
    (minimal,) = stock(tmp_path, tasks, "JSON_MIN")
    assert minimal["phrase"] == ["the left hand", "the right hand"]
    assert minimal["explanation"] == "It has six fingers."
    assert all("id" not in region for region in minimal["category"])
    (record,), _ = read(tasks)
    assert [(one.phrase, one.explanation) for one in record.artifacts] == [
        ("the left hand", "It has six fingers."),
        ("the right hand", ""),
    ]


def test_a_skipped_image_is_dropped_and_is_skipped(tmp_path: Path) -> None:
    tasks = [drawn(reviews=(Review(rater_id="rater-3", status="skipped"),))]
    assert stock(tmp_path, tasks)["images"] == []
    made, _ = ours(tmp_path, tasks)
    assert [one["status"] for one in made["images"]] == ["skipped"]


def test_turned_rectangles_are_boxes_without_an_outline_and_are_outlines(tmp_path: Path) -> None:
    task = drawn(hand())
    value = {"x": 50, "y": 20, "width": 30, "height": 10, "rotation": 90, "rectanglelabels": ["structure"]}
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    items_of(task)[:] = [
        {
            **size,
            "id": "r1",
            "from_name": "category",
            "to_name": "image",
            "type": "rectanglelabels",
            "value": value,
        }
    ]
    (annotation,) = stock(tmp_path, [task])["annotations"]
    assert annotation["segmentation"] == []
    made, _ = ours(tmp_path, [task])
    assert made["annotations"][0]["segmentation"] == [[100, 20, 100, 80, 90, 80, 90, 20]]
    assert annotation["bbox"] != pytest.approx(made["annotations"][0]["bbox"])


def test_a_file_that_was_cut_short_ends_in_an_error_without_a_name_and_with_one(tmp_path: Path) -> None:
    tasks = [drawn(hand(), number=number) for number in range(1, 9)]
    whole = json.dumps(tasks)
    with pytest.raises(Exception, match=r"premature EOF|parse error|Incomplete JSON") as caught:
        stock(tmp_path, tasks, cut=len(whole) // 2)
    assert "export.json" not in str(caught.value)
    with pytest.raises(FormatError, match=r"export\.json: it is cut short"):
        ours(tmp_path, tasks, cut=len(whole) // 2)
    assert not (tmp_path / "ours.json").exists()


def test_the_documentation_names_each_of_these_tests_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "label-studio-side-by-side.md").read_text(encoding="utf-8")
    here = {name for name in globals() if name.startswith("test_")} - {
        "test_the_documentation_names_each_of_these_tests_and_no_other"
    }
    named = {word.strip("`|, ") for word in page.split() if word.startswith("`test_")} - {
        "test_labelstudio_stock.py"
    }
    assert named == here
