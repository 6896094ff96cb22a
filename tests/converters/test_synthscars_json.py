"""The published layout of SynthScars, read and written again."""

import hashlib
import json
import shutil
from pathlib import Path

import msgspec
import pytest
from published_layout import GOLDEN, TEST, TRAIN, codes_of, entries_again

from synthscars.caption import ground
from synthscars.converters.pictures import TargetPictures
from synthscars.converters.synthscars_json import read, write
from synthscars.problems import Problems
from synthscars.records import (
    Artifact,
)


def test_the_golden_folder_is_read_in_order_with_both_spellings() -> None:
    problems = Problems()
    dog, sign, hand = read(GOLDEN, problems)
    assert [record.split for record in (dog, sign, hand)] == ["train", "train", "test"]
    assert [record.file_name for record in (dog, sign, hand)] == ["dog.png", "sign.jpg", "hand.png"]
    assert [record.source for record in (dog, hand)] == [
        "train/annotations/train.json",
        "test/annoations/test.json",
    ]
    for record, split in ((dog, "train"), (sign, "train"), (hand, "test")):
        data = (GOLDEN / split / "images" / record.file_name).read_bytes()
        assert record.image_id == hashlib.sha256(data).hexdigest()
        # `sign.jpg` is stored on its side.
        assert (record.width, record.height) == (64, 48)
        assert record.status == "annotated"
        assert record.origin == "synthetic"
    (leg,) = dog.artifacts
    assert leg == Artifact(
        artifact_id="0-0",
        polygons=((30.0, 30.0, 33.0, 30.0, 33.0, 43.0, 30.0, 43.0),),
        phrase="the middle leg of the dog",
        explanation="A dog has four legs. This one grows between the others.",
    )
    assert [len(artifact.polygons) for artifact in sign.artifacts] == [1, 2]
    # Rounding at the lower edge is no problem; the empty explanation is.
    assert codes_of(problems) == {"explanation.empty": 1}
    (problem,) = problems
    assert (problem.image, problem.region, problem.severity) == ("4", "refs[0]", "warning")
    assert problem.file.endswith("test/annoations/test.json")


def test_captions_are_kept_word_for_word_and_ground_their_phrases() -> None:
    for record in read(GOLDEN, Problems()):
        items = [(artifact.phrase, artifact.explanation) for artifact in record.artifacts]
        spans = ground(record.caption, items)
        assert [record.caption[start:end] for start, end in spans] == [phrase for phrase, _ in items]


@pytest.mark.parametrize("source", [TRAIN, TEST])
def test_reading_and_writing_gives_the_same_json_also_through_records_at_rest(tmp_path, source: Path) -> None:
    found = list(read(source, Problems()))
    assert entries_again(tmp_path, found) == json.loads(source.read_bytes())


def test_a_file_of_whole_or_of_fractional_numbers_comes_back_byte_by_byte(tmp_path) -> None:
    for source in (TRAIN, TEST):
        write(read(source, Problems()), tmp_path / source.name, Problems())
    assert (tmp_path / "test.json").read_bytes() == TEST.read_bytes()
    # In `train.json` one ring mixes the two: equal as numbers, but not as text.
    assert json.loads((tmp_path / "train.json").read_bytes()) == json.loads(TRAIN.read_bytes())
    assert b"30,\n                            26,\n" in TRAIN.read_bytes()


def test_ids_of_artifacts_that_come_back_are_no_loss_and_others_are(tmp_path: Path) -> None:
    found = list(read(GOLDEN, Problems()))
    problems = Problems()
    write(found, tmp_path / "same.json", problems)
    assert "loss.artifact.artifact_id" not in {problem.code for problem in problems}
    first = found[0].artifacts[0]
    renamed = msgspec.structs.replace(first, artifact_id="mine")
    changed = msgspec.structs.replace(found[0], artifacts=(renamed, *found[0].artifacts[1:]))
    write([changed], tmp_path / "other.json", problems)
    assert "loss.artifact.artifact_id" in {problem.code for problem in problems}


def test_a_whole_layout_comes_back_with_its_images(tmp_path) -> None:
    files = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in GOLDEN.glob("*/images/*")}
    problems = Problems()
    target = tmp_path / "copy"
    assert write(read(GOLDEN, Problems()), target, problems, pictures=TargetPictures(files.get)) == 3
    assert list(problems) == []
    written = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    assert written == [
        "test/annotations/test.json",
        "test/images/hand.png",
        "train/annotations/train.json",
        "train/images/dog.png",
        "train/images/sign.jpg",
    ]
    for name in written:
        if name.endswith(".json"):
            original = GOLDEN / name.replace("test/annotations", "test/annoations")
            assert json.loads((target / name).read_bytes()) == json.loads(original.read_bytes())
        else:
            assert (target / name).read_bytes() == (GOLDEN / name).read_bytes()


def test_a_split_folder_and_a_file_give_the_same_records_as_the_whole() -> None:
    whole = [record for record in read(GOLDEN, Problems()) if record.split == "train"]
    without_source = [msgspec.structs.replace(record, source="") for record in whole]
    for source in (GOLDEN / "train", TRAIN):
        found = [msgspec.structs.replace(record, source="") for record in read(source, Problems())]
        assert found == without_source


def test_images_can_lie_elsewhere(tmp_path) -> None:
    alone = tmp_path / "train.json"
    shutil.copy(TRAIN, alone)
    problems = Problems()
    found = list(read(alone, problems, images=GOLDEN / "train" / "images"))
    assert [record.width for record in found] == [64, 64]
    assert not list(problems)
    assert found[0].split == "train"


def test_without_images_one_warning_says_so_and_ids_are_stable(tmp_path) -> None:
    for name in ("train.json", "val.json"):
        shutil.copy(TRAIN, tmp_path / name)
    problems = Problems()
    first = list(read(tmp_path / "train.json", problems))
    assert codes_of(problems) == {"image.no_folder": 1}
    assert [(record.width, record.height) for record in first] == [(0, 0), (0, 0)]
    expected = hashlib.sha256(b"synthscars-json:train/dog.png").hexdigest()
    assert first[0].image_id == expected
    assert list(read(tmp_path / "train.json", Problems())) == first
    other = list(read(tmp_path / "val.json", Problems()))
    assert {record.image_id for record in other}.isdisjoint(record.image_id for record in first)
    assert entries_again(tmp_path, first) == json.loads(TRAIN.read_bytes())
