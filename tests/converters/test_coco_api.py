"""COCO instances: what is written is valid for the COCO API and KaLOS."""

import contextlib
import copy
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import (
    BOX,
    CORNER,
    DATA,
    SQUARE,
    TRIANGLE,
    annotated,
    drawn,
    foreign,
    image,
    looked,
    only,
    stored,
    written,
)
from converting import changed
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from strategies import records

from synthscars.converters.coco import HOLDS, write
from synthscars.converters.coco_measures import measure
from synthscars.converters.holds import EVERYTHING
from synthscars.geometry import area, bbox, to_mask, to_rle
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Review

# Valid for the COCO API


def perfect(path: Path, kind: str, api: Any, evaluation: Any) -> float:
    """AP of a file against itself, as detections of score 1."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = api(str(path))
        detections = [{**copy.deepcopy(each), "score": 1.0} for each in truth.dataset["annotations"]]
        found = evaluation(truth, truth.loadRes(detections), kind)
        found.evaluate()
        found.accumulate()
        found.summarize()
    return float(found.stats[0])


def several(folder: Path) -> Path:
    """A file of two raters, several rings, unknown labels, artifacts without outline, images without any."""
    label = {"label": "watermark"}
    shadow = Artifact(artifact_id="r3", phrase="the shadow")
    write(
        [
            image(1, status="clean"),
            annotated(
                2, drawn(BOX, TRIANGLE), shadow, drawn(CORNER, artifact_id="r2", category=None, extra=label)
            ),
            annotated(3, drawn(TRIANGLE, rater_id="ben", category="physics"), drawn(BOX, category=None)),
        ],
        folder / "several.json",
        Problems(),
    )
    return folder / "several.json"


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_pycocotools_finds_a_file_of_ours_perfect_against_itself(kind: str, tmp_path: Path) -> None:
    assert perfect(several(tmp_path), kind, COCO, COCOeval) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_faster_coco_eval_finds_a_file_of_ours_perfect_against_itself(kind: str, tmp_path: Path) -> None:
    faster = pytest.importorskip("faster_coco_eval")
    assert perfect(several(tmp_path), kind, faster.COCO, faster.COCOeval_faster) == pytest.approx(1)


def test_masks_of_the_coco_api_are_ours_pixel_by_pixel(tmp_path: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO(str(several(tmp_path)))
    shapes = {1: (BOX, TRIANGLE), 2: (CORNER,), 3: (TRIANGLE,), 4: (BOX,)}
    for number, rings in shapes.items():
        assert np.array_equal(api.annToMask(api.anns[number]), to_mask(rings, 200, 160))


@settings(max_examples=25)
@given(st.lists(records(), min_size=1, max_size=3))
def test_any_records_make_a_file_that_the_coco_api_takes(tmp_path_factory, found: list[ImageRecord]) -> None:
    for options in ({}, {"segmentation": "rle"}):
        content, _ = written(tmp_path_factory.mktemp("coco"), found, **options)
        with contextlib.redirect_stdout(io.StringIO()):
            api = COCO()
            api.dataset = content
            api.createIndex()
            if content["annotations"]:
                api.loadRes([{**each, "score": 1.0} for each in content["annotations"]])
        rings = [artifact.polygons for record in found for artifact in record.artifacts]
        sizes = [(record.width, record.height) for record in found for _ in record.artifacts]
        assert len(rings) == len(api.anns)
        for annotation, outline, size in zip(content["annotations"], rings, sizes, strict=True):
            mask = api.annToMask(annotation)
            assert np.array_equal(mask, to_mask(outline, *size))
            if options:
                assert annotation["area"] == mask.sum()
                assert isinstance(annotation["segmentation"]["counts"], str)
            else:
                assert annotation["area"] == pytest.approx(area(outline))
                assert annotation["bbox"] == pytest.approx(bbox(outline), abs=1e-9)


def test_masks_are_what_pycocotools_makes_of_the_outlines_and_lose_them(tmp_path: Path) -> None:
    content, problems = written(tmp_path, [annotated(1, drawn(BOX, TRIANGLE))], segmentation="rle")
    (annotation,) = content["annotations"]
    expected = to_rle((BOX, TRIANGLE), 200, 160)
    assert annotation["segmentation"] == {"size": [160, 200], "counts": expected["counts"].decode()}
    assert annotation["area"] == float(masks.area(expected))
    assert annotation["bbox"] == masks.toBbox(expected).tolist()
    assert only(problems, "loss.artifact.outline").count == 1
    found, _ = looked(stored(tmp_path, content))
    assert to_rle(found[0].artifacts[0].polygons, 200, 160) == expected


def test_numbers_and_categories_are_what_tools_count_on(tmp_path: Path) -> None:
    found = [
        annotated(1, drawn(category=None, extra={"label": "watermark"}), drawn(TRIANGLE, artifact_id="r2")),
        annotated(2, drawn(category=None), drawn(category="distortion", artifact_id="r2"), license="CC0-1.0"),
    ]
    content, problems = written(tmp_path, found)
    assert not list(problems)
    assert [(entry["id"], entry["name"]) for entry in content["categories"]] == [
        (1, "physics"),
        (2, "structure"),
        (3, "distortion"),
        (4, "watermark"),
        (5, "artifact"),
    ]
    assert [entry["id"] for entry in content["images"]] == [1, 2]
    assert [entry["id"] for entry in content["annotations"]] == [1, 2, 3, 4]
    assert [entry["category_id"] for entry in content["annotations"]] == [4, 2, 5, 3]
    assert content["licenses"] == [{"id": 1, "name": "CC0-1.0", "url": ""}]
    assert [entry.get("license") for entry in content["images"]] == [None, 1]
    assert content["info"]["description"]


def test_kalos_is_told_who_looked_and_who_found_what(tmp_path: Path) -> None:
    """KaLOS wants `rater_list` on every image and `rater_id` on every annotation, and ignores all others."""
    reviews = (
        Review(rater_id="anna", status="annotated"),
        Review(rater_id="ben", status="clean"),
        Review(rater_id="carl", status="skipped"),
        Review(rater_id="dora", status="annotated", extra={"unreadable": "no region could be read"}),
    )
    found = [annotated(1, drawn(), reviews=reviews), annotated(2, drawn(rater_id="")), image(3)]
    content, _ = written(tmp_path, found)
    # Carl did not judge, and Dora drew something: neither found nothing.
    assert [entry["rater_list"] for entry in content["images"]] == [["anna", "ben"], [], []]
    assert [entry["rater_id"] for entry in content["annotations"]] == ["anna", ""]


def test_a_file_made_for_kalos_says_which_images_are_clean(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "a.png", "width": 64, "height": 48, "rater_list": [7, "ben"]},
        {"id": 2, "file_name": "b.png", "width": 64, "height": 48, "rater_list": [7, "ben"]},
        {"id": 3, "file_name": "c.png", "width": 64, "height": 48, "rater_list": []},
        {"id": 4, "file_name": "d.png", "width": 64, "height": 48, "rater_list": ["ben"]},
    ]
    bad = {"segmentation": [[1, 1, 2, 2]], "rater_id": "ben", "image_id": 4}
    content = foreign({"segmentation": SQUARE, "rater_id": 7}, bad, images=images)
    found, _ = looked(stored(tmp_path, content))
    assert [record.status for record in found] == ["annotated", "clean", "unlabelled", "annotated"]
    assert found[0].reviews == (
        Review(rater_id="7", status="annotated"),
        Review(rater_id="ben", status="clean"),
    )
    assert found[0].artifacts[0].rater_id == "7"
    assert found[3].reviews == (Review(rater_id="ben", status="annotated"),)


def test_equal_records_give_equal_bytes_and_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    found = list(looked(DATA / "synthscars.json")[0])
    for name in ("a.json", "b.json"):
        write(iter(found), tmp_path / name, Problems())
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_coordinates_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    found = [annotated(1, drawn((0.0, 0.0, math.nan, 1.0, 5.0, 5.0)), drawn(artifact_id="r2"))]
    content, problems = written(tmp_path, found)
    assert [entry["artifact_id"] for entry in content["annotations"]] == ["r2"]
    assert only(problems, "loss.artifact.outline").severity == "error"


def test_it_holds_everything() -> None:
    assert (HOLDS.image, HOLDS.artifact, HOLDS.statuses) == (
        EVERYTHING.image,
        EVERYTHING.artifact,
        EVERYTHING.statuses,
    )
    assert HOLDS.regionless


@pytest.mark.parametrize(
    "artifact",
    [
        drawn(category=None, extra={"label": "structure"}),
        drawn(category=None, extra={"label": "artifact"}),
        drawn(category=None, extra={"label": 7}),
        drawn(category="someone's own"),
        drawn(extra={"label": "watermark"}),
        drawn(extra={"coco": "no object"}),
        Artifact(artifact_id="r1", category="physics", explanation="The light is wrong everywhere."),
    ],
)
def test_unusual_artifacts_come_back_equal(artifact: Artifact, tmp_path: Path) -> None:
    found = [annotated(1, drawn(artifact_id="r0"), artifact, drawn(artifact_id="r9"))]
    content, _ = written(tmp_path, found)
    assert looked(stored(tmp_path, content))[0] == found


@pytest.mark.parametrize("name", ["", "a/b.png", "..", "../../etc/passwd", "A.png", "\x00", "1.png"])
def test_unusual_file_names_come_back_and_no_two_files_have_one_name(name: str, tmp_path: Path) -> None:
    found = [annotated(1, drawn()), annotated(2, drawn(), file_name=name)]
    content, problems = written(tmp_path, found)
    names = [entry["file_name"] for entry in content["images"]]
    assert all(names)
    assert len(set(names)) == 2
    assert looked(stored(tmp_path, content))[0] == found
    write(found, tmp_path / "folder", problems)
    assert looked(tmp_path / "folder")[0] == found
    assert not [problem for problem in problems if problem.severity != "info"]


# Measures


@given(
    st.lists(
        st.lists(
            st.lists(st.integers(0, 8).map(float), min_size=6, max_size=16).filter(
                lambda ring: not len(ring) % 2
            ),
            min_size=1,
            max_size=3,
        ),
        max_size=6,
    )
)
def test_measures_are_those_of_the_exact_union_whatever_crosses_itself(regions: list) -> None:
    areas, boxes = measure(regions)
    for rings, found, box in zip(regions, areas, boxes, strict=True):
        assert found == pytest.approx(area(rings), abs=1e-9)
        assert box == pytest.approx(bbox(rings))


def test_numbers_stay_what_they_were_and_new_ones_are_free(tmp_path: Path) -> None:
    def numbered(number: int, wanted: Any) -> ImageRecord:
        return changed(image(number), extra={"coco": {"id": wanted}} if wanted is not None else {})

    wanted = [5, None, 1, 5, None, 3, 2, "x"]
    content, _ = written(tmp_path, [numbered(index, each) for index, each in enumerate(wanted)])
    found = [entry["id"] for entry in content["images"]]
    assert found[:3] == [5, 2, 1]
    assert len(set(found)) == len(found)
    assert all(type(each) is int for each in found)
