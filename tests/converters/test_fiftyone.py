"""FiftyOne dataset folders, and what people change in them. `tests/data/fiftyone/foreign` is one
that FiftyOne wrote (make_foreign.py).
"""

import json
from pathlib import Path

import pytest
from converting import assert_same, changed
from fiftyone_folders import (
    FOREIGN,
    RECORD,
    RING,
    TRIANGLE,
    codes,
    folder_with,
    polyline,
    read,
    samples,
    write,
)

from synthscars.converters import fiftyone, formats
from synthscars.geometry import area
from synthscars.images import sha256
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord

# A folder that FiftyOne wrote


def test_a_folder_of_fiftyone_is_read_with_all_its_kinds_of_regions() -> None:
    (hand, sky), problems = read(FOREIGN)
    assert hand.image_id == sha256((FOREIGN / "data" / "hand.png").read_bytes())
    assert (hand.width, hand.height, hand.split, hand.status) == (60, 40, "test", "annotated")
    assert hand.content_type == "human"
    structure, glitch, box, mask, class_1, class_7 = hand.artifacts
    assert structure == Artifact(
        artifact_id="6b059b075654b255ad7671ed",
        category="structure",
        polygons=((6.0, 4.0, 30.0, 4.0, 30.0, 20.0),),
        phrase="the left hand",
        explanation="six fingers",
        extra={"fiftyone": {"field": "ground_truth", "attributes": {"tags": ["hard"], "mood": "odd"}}},
    )
    # The second ring of a filled polyline is a hole to FiftyOne.
    assert area(glitch.polygons) == pytest.approx(24 * 16 - 12 * 8)
    assert glitch.extra["label"] == "glitch"
    assert box.polygons == ((30.0, 10.0, 45.0, 10.0, 45.0, 30.0, 30.0, 30.0),)
    assert box.extra["fiftyone"] == {"field": "predictions", "attributes": {"confidence": 0.75}}
    assert (mask.category, mask.subtype) == ("distortion", "noise_blurring")
    assert area(mask.polygons) == 20 * 10 - 2 * 4
    assert all(value == int(value) for ring in mask.polygons for value in ring)
    assert (class_1.category, area(class_1.polygons)) == ("distortion", 100)
    assert (class_7.extra["label"], area(class_7.polygons)) == ("sky", 25)
    assert sky.status == "unlabelled"
    assert codes(problems) == [
        ("label.unknown", "hand.png", "ground_truth[1]"),
        ("polyline.open", "hand.png", "ground_truth[2]"),
        ("label.unknown", "hand.png", "classes"),
        ("field.no_region", "", ""),
    ]
    assert all(one.file and one.fix for one in problems)


def test_what_records_have_no_place_for_is_written_again_as_fields_of_fiftyone(tmp_path: Path) -> None:
    found, _ = read(FOREIGN)
    assert not len(write(found, tmp_path / "out", FOREIGN / "data"))
    before, after = samples(FOREIGN)[0], samples(tmp_path / "out")[0]
    for name in ("reviewer", "score", "points"):
        assert after[name] == before[name]
    assert after["_id"] == before["_id"]
    assert sorted(after["tags"]) == sorted(before["tags"])
    assert [len(after[name]["polylines"]) for name in ("ground_truth", "predictions", "classes")] == [2, 2, 2]
    assert after["ground_truth"]["polylines"][0]["mood"] == "odd"
    again, problems = read(tmp_path / "out")
    assert_same(again, found, fiftyone.HOLDS)
    assert [one.extra for one in again] == [one.extra for one in found]
    assert [one.extra for image in again for one in image.artifacts] == [
        one.extra for image in found for one in image.artifacts
    ]
    assert not problems.failed


def test_a_folder_with_a_file_for_each_sample_is_read_alike(tmp_path: Path) -> None:
    folder = tmp_path / "dirs"
    (folder / "samples").mkdir(parents=True)
    (folder / "metadata.json").write_bytes((FOREIGN / "metadata.json").read_bytes())
    for number, each in enumerate(samples(FOREIGN)):
        (folder / "samples" / f"{number:06d}-x.json").write_text(json.dumps(each))
    assert formats.detect(folder).name == "fiftyone"
    found = [one.artifacts for one in read(folder)[0]]
    assert found == [one.artifacts for one in read(FOREIGN)[0]]


# People edit in FiftyOne


def edited(tmp_path: Path, record: ImageRecord, change) -> tuple[ImageRecord, Problems]:
    write([record], tmp_path / "out")
    (found,) = samples(tmp_path / "out")
    change(found)
    (read_again,), problems = read(folder_with(tmp_path / "edited", found))
    return read_again, problems


def test_a_region_that_was_added_to_a_clean_image_makes_it_annotated(tmp_path: Path) -> None:
    clean = changed(RECORD, status="clean", artifacts=(), image_id="c" * 64, file_name="a.png")
    found, problems = edited(
        tmp_path, clean, lambda each: each["artifacts"]["polylines"].append(polyline([TRIANGLE]))
    )
    assert found.status == "annotated"
    assert found.artifacts[0].polygons == (RING,)
    assert [one.code for one in problems] == ["status.contradiction"]


def test_a_label_that_was_changed_takes_its_old_subtype_away(tmp_path: Path) -> None:
    found, problems = edited(
        tmp_path,
        changed(RECORD, image_id="a" * 64, file_name="a.png"),
        lambda each: each["artifacts"]["polylines"][0].update(label="physics"),
    )
    assert (found.artifacts[0].category, found.artifacts[0].subtype) == ("physics", None)
    assert [one.code for one in problems] == ["subtype.mismatch"]


def test_tags_and_fields_that_were_added_are_kept(tmp_path: Path) -> None:
    found, _ = edited(
        tmp_path,
        changed(RECORD, image_id="a" * 64, file_name="a.png"),
        lambda each: each.update(tags=["train", "to check"], uniqueness=0.5),
    )
    assert found.split == "train"
    assert found.extra["fiftyone"] == {"tags": ["to check"], "fields": {"uniqueness": 0.5}}
