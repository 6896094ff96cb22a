"""The published layout: records of any origin survive it, up to the losses that are declared."""

import hashlib
import json
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from published_layout import GOLDEN, codes_of, entries_again
from strategies import records

from synthscars.caption import compose
from synthscars.converters.pictures import TargetPictures
from synthscars.converters.synthscars_json import read, write
from synthscars.problems import Problems, WorkspaceError
from synthscars.records import (
    Artifact,
    Generation,
    ImageRecord,
    Review,
)


def _image(index: int, folder: Path, size: tuple[int, int]) -> tuple[str, Path]:
    path = folder / f"{index}.png"
    Image.new("RGB", size, (index * 37 % 256, index, 9)).save(path)
    return hashlib.sha256(path.read_bytes()).hexdigest(), path


def _without_losses(record: ImageRecord) -> ImageRecord:
    """What the format promises to hold of a record."""
    artifacts = tuple(
        Artifact(
            artifact_id="",
            polygons=artifact.polygons,
            phrase=artifact.phrase,
            explanation=artifact.explanation,
        )
        for artifact in record.artifacts
    )
    return ImageRecord(
        image_id=record.image_id,
        file_name="",
        width=record.width,
        height=record.height,
        status=record.status,
        artifacts=artifacts,
        split=record.split or "train",
    )


@settings(max_examples=25)
@given(st.lists(records(), max_size=3))
def test_any_records_survive_the_layout_up_to_the_declared_losses(tmp_path_factory, some) -> None:
    folder = tmp_path_factory.mktemp("layout")
    files: dict[str, Path] = {}
    originals = []
    for index, record in enumerate(some):
        image_id, path = _image(index, folder, (record.width, record.height))
        files[image_id] = path
        originals.append(msgspec.structs.replace(record, image_id=image_id))
    problems = Problems()
    held = [record for record in originals if record.status not in {"unlabelled", "skipped"}]
    assert write(originals, folder / "out", problems, pictures=TargetPictures(files.get)) == len(held)
    assert not problems.failed
    found = list(read(folder / "out", Problems())) if held else []
    key = lambda record: record.image_id  # noqa: E731
    for before, after in zip(sorted(held, key=key), sorted(found, key=key), strict=True):
        assert _without_losses(after) == _without_losses(before)
        assert after.file_name
        for artifact in after.artifacts:
            assert artifact.phrase in after.caption
        if before.artifacts and all(
            artifact.phrase in before.caption.strip('"').strip() for artifact in before.artifacts
        ):
            assert after.caption == (before.caption or after.caption)


def test_what_is_lost_is_counted_once_per_kind(tmp_path) -> None:
    artifact = Artifact(
        artifact_id="a",
        category="structure",
        subtype="deformed",
        polygons=((1.0, 1.0, 5.0, 1.0, 5.0, 5.0),),
        phrase="the hand",
        explanation="Six fingers.",
        rater_id="ada",
        votes=2,
    )
    record = ImageRecord(
        image_id="ab" * 32,
        file_name="a.png",
        width=16,
        height=12,
        content_type="human",
        status="annotated",
        artifacts=(artifact, msgspec.structs.replace(artifact, artifact_id="b", polygons=())),
        reviews=(Review(rater_id="ada", status="annotated", scene="A man waves"),),
        generation=Generation(tool="a1111"),
        license="cc-by-4.0",
        split="train",
    )
    unlabelled = msgspec.structs.replace(record, status="unlabelled", artifacts=())
    problems = Problems()
    assert write([record, record, unlabelled], tmp_path / "train.json", problems) == 2
    said = {problem.code: problem for problem in problems}
    assert len(said) == len(problems)
    assert said["loss.artifact.category"].what.startswith("2 categories")
    assert said["loss.artifact.outline"].what.startswith("2 artifacts")
    assert said["loss.artifact.outline"].severity == said["loss.status"].severity == "warning"
    expected = {"content_type", "reviews", "generation", "license"}
    expected |= {f"artifact.{field}" for field in ("category", "subtype", "rater_id", "votes")}
    assert {f"loss.{field}" for field in expected} <= set(said)
    assert all(said[f"loss.{field}"].severity == "info" for field in expected)
    assert not problems.failed
    # The caption is composed of the scene that a rater wrote, and names what is written.
    first, second = json.loads((tmp_path / "train.json").read_bytes())
    assert list(first) == ["0"]
    assert list(second) == ["1"]
    assert first["0"]["caption"] == compose("A man waves", [("the hand", "Six fingers.")])
    assert first["0"]["refs"] == [
        {
            "sentence": "the hand",
            "bbox": [1.0, 1.0, 4.0, 4.0],
            "segmentation": [[1.0, 1.0, 5.0, 1.0, 5.0, 5.0]],
            "explanation": "Six fingers.",
        }
    ]


def test_an_edited_record_gets_a_new_box_and_caption(tmp_path) -> None:
    (dog, *_) = read(GOLDEN, Problems())
    (leg,) = dog.artifacts
    moved = msgspec.structs.replace(leg, polygons=((0.0, 0.0, 2.0, 0.0, 2.0, 3.0),), phrase="the fifth leg")
    (entry,) = entries_again(tmp_path, [msgspec.structs.replace(dog, artifacts=(moved,))])
    assert entry["0"]["refs"][0]["bbox"] == [0.0, 0.0, 2.0, 3.0]
    assert entry["0"]["caption"] == compose(
        "A brown dog stands on grass and has five legs",
        [("the fifth leg", "A dog has four legs. This one grows between the others.")],
    )


def test_a_clean_image_is_written_as_such_and_read_as_such(tmp_path) -> None:
    record = ImageRecord(image_id="ab" * 32, file_name="a.png", width=16, height=12, status="clean")
    write([record], tmp_path / "test.json", Problems())
    problems = Problems()
    (found,) = read(tmp_path / "test.json", problems)
    assert found.status == "clean"
    assert codes_of(problems) == {"image.no_folder": 1}


def test_two_images_of_one_name_are_kept_apart(tmp_path) -> None:
    files = dict(_image(index, tmp_path, (8, 8)) for index in range(2))
    some = [
        ImageRecord(
            image_id=image_id, file_name="../out/a.png", width=8, height=8, status="clean", split="test"
        )
        for image_id in files
    ]
    problems = Problems()
    write(some, tmp_path / "out", problems, pictures=TargetPictures(files.get))
    assert len(list((tmp_path / "out" / "test" / "images").iterdir())) == 2
    assert {record.image_id for record in read(tmp_path / "out", Problems())} == set(files)
    assert codes_of(problems)["loss.file_name"] == 1


def test_images_that_are_not_at_hand_are_said_with_the_option_that_brings_them(tmp_path) -> None:
    record = ImageRecord(
        image_id="ab" * 32, file_name="a.png", width=8, height=8, status="clean", split="test"
    )
    problems = Problems()
    write([record], tmp_path / "out", problems, pictures=TargetPictures())
    (problem,) = problems
    assert (problem.code, problem.severity) == ("loss.image", "warning")
    assert "pass --images FOLDER" in problem.fix


@pytest.mark.parametrize("split", ["", "../../up", "a b", "x" * 41])
def test_a_split_that_is_no_folder_name_makes_no_path(tmp_path, split: str) -> None:
    record = ImageRecord(
        image_id="ab" * 32, file_name="a.png", width=8, height=8, status="clean", split=split
    )
    problems = Problems()
    write([record], tmp_path / "deep" / "out", problems)
    assert [path.name for path in (tmp_path / "deep" / "out").iterdir()] == ["train"]
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert codes_of(problems)["loss.split"] == 1


def test_a_folder_that_exists_is_left_alone_and_an_error_leaves_nothing(tmp_path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(WorkspaceError, match="exists already"):
        write([], tmp_path / "mine", Problems())

    def broken():
        yield from read(GOLDEN, Problems())
        raise RuntimeError("the disk is gone")

    for target in (tmp_path / "out", tmp_path / "out.json"):
        with pytest.raises(RuntimeError, match="the disk is gone"):
            write(broken(), target, Problems())
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_somebody_elses_extra_of_the_same_name_does_no_harm(tmp_path) -> None:
    (record, *_) = read(GOLDEN, Problems())
    for extra in ({"synthscars_json": 7}, {"synthscars_json": {"id": 3, "rejected_refs": "x"}}):
        strange = msgspec.structs.replace(record, extra=extra)
        (entry,) = entries_again(tmp_path, [strange])
        assert entry["0"]["refs"][0]["sentence"] == "the middle leg of the dog"


def test_no_records_make_an_empty_list(tmp_path) -> None:
    assert write([], tmp_path / "a.json", Problems()) == 0
    assert json.loads((tmp_path / "a.json").read_bytes()) == []


HARD_TEXTS = {
    "right-to-left": ("اليد اليسرى שלט", "👩🏽‍🎨 six fingers 🖐, e\u0301 vs é."),
    "markup": ("=HYPERLINK(A1)", "<script>alert('&amp;')</script> ]]> \"+1\""),
    "long": ("the left hand", "It melts away. " * 700_000),
}


@pytest.mark.parametrize("name", HARD_TEXTS)
def test_hard_texts_and_outlines_without_a_caption_come_back(tmp_path, name: str) -> None:
    phrase, explanation = HARD_TEXTS[name]
    star = tuple(
        8 + (5 + number % 2) * wave(math.pi * number / 1000)
        for number in range(2000)
        for wave in (math.cos, math.sin)
    )
    artifact = Artifact(artifact_id="a", polygons=(star,), phrase=phrase, explanation=explanation)
    record = ImageRecord(
        image_id="ab" * 32, file_name="a.png", width=16, height=16, artifacts=(artifact,), split="train"
    )
    write([record], tmp_path / "train.json", Problems())
    (found,) = read(tmp_path / "train.json", Problems())
    (again,) = found.artifacts
    assert (again.polygons, again.phrase, again.explanation) == ((star,), phrase, explanation)
    assert found.caption == compose("", [(phrase, explanation)])
