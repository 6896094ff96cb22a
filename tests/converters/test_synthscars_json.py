import hashlib
import json
import math
import random
import shutil
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from strategies import records

from synthscars.caption import compose, ground
from synthscars.converters.pictures import TargetPictures
from synthscars.converters.synthscars_json import read, write
from synthscars.problems import FormatError, Problems, WorkspaceError
from synthscars.records import (
    Artifact,
    Generation,
    ImageRecord,
    Review,
    decode_record,
    encode_record,
)

GOLDEN = Path(__file__).parent.parent / "data" / "synthscars"
TRAIN = GOLDEN / "train" / "annotations" / "train.json"
TEST = GOLDEN / "test" / "annoations" / "test.json"

REF = {
    "sentence": "the left hand",
    "bbox": [1.0, 1.0, 4.0, 4.0],
    "segmentation": [[1.0, 1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 5.0]],
    "explanation": "It has six fingers.",
}
CAPTION = compose("A man waves", [("the left hand", "It has six fingers.")])
ENTRY = {"img_file_name": "a.png", "caption": CAPTION, "refs": [REF]}


def _layout(folder: Path, entries: list, size: tuple[int, int] = (16, 12)) -> Path:
    """An official folder with one split and one image, `a.png`."""
    (folder / "train" / "annotations").mkdir(parents=True)
    (folder / "train" / "images").mkdir()
    Image.new("RGB", size, "teal").save(folder / "train" / "images" / "a.png")
    (folder / "train" / "annotations" / "train.json").write_text(json.dumps(entries, indent=4))
    return folder


def _codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


def _again(folder: Path, found: list[ImageRecord]) -> list:
    """The entries that are written for records which have been through records' own JSON."""
    stored = [decode_record(encode_record(record)) for record in found]
    target = folder / "again.json"
    write(stored, target, Problems())
    return json.loads(target.read_bytes())


# The published layout


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
    assert _codes(problems) == {"explanation.empty": 1}
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
    assert _again(tmp_path, found) == json.loads(source.read_bytes())


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
    assert _codes(problems) == {"image.no_folder": 1}
    assert [(record.width, record.height) for record in first] == [(0, 0), (0, 0)]
    expected = hashlib.sha256(b"synthscars-json:train/dog.png").hexdigest()
    assert first[0].image_id == expected
    assert list(read(tmp_path / "train.json", Problems())) == first
    other = list(read(tmp_path / "val.json", Problems()))
    assert {record.image_id for record in other}.isdisjoint(record.image_id for record in first)
    assert _again(tmp_path, first) == json.loads(TRAIN.read_bytes())


# Defects, one at a time


def _ref(**change) -> dict:
    return {key: value for key, value in {**REF, **change}.items() if value != "DROP"}


BAD_REFS = {
    "collinear": (_ref(segmentation=[[1, 1, 2, 2, 3, 3]]), "polygon.no_area"),
    "odd": (_ref(segmentation=[[1, 1, 2, 2, 3, 3, 4]]), "polygon.odd"),
    "two points": (_ref(segmentation=[[1, 1, 2, 2]]), "polygon.few_points"),
    "no points": (_ref(segmentation=[[]]), "polygon.few_points"),
    "texts": (_ref(segmentation=[["1", "1", "2", "2", "3", "4"]]), "polygon.not_numbers"),
    "pairs": (_ref(segmentation=[[[1, 1], [2, 2], [3, 4]]]), "polygon.not_numbers"),
    "true": (_ref(segmentation=[[1, 1, 2, 2, 3, True]]), "polygon.not_numbers"),
    "no polygon": (_ref(segmentation=[]), "ref.no_polygon"),
    "run lengths": (_ref(segmentation={"size": [12, 16], "counts": "abc"}), "ref.no_polygon"),
    "no segmentation": (_ref(segmentation="DROP"), "ref.no_polygon"),
    "no sentence": (_ref(sentence="DROP"), "ref.wrong_type"),
    "a number for a sentence": (_ref(sentence=7), "ref.wrong_type"),
    "a list for an explanation": (_ref(explanation=["six fingers"]), "ref.wrong_type"),
    "a text": ("the left hand", "ref.wrong_type"),
    "nothing": (None, "ref.wrong_type"),
}


@pytest.mark.parametrize("name", BAD_REFS)
def test_a_bad_ref_is_reported_with_its_place_and_comes_back_but_is_no_artifact(tmp_path, name: str) -> None:
    bad, code = BAD_REFS[name]
    entries = [{"1": ENTRY}, {"317": {**ENTRY, "refs": [REF, bad, REF]}}]
    problems = Problems()
    good, mixed = read(_layout(tmp_path / "in", entries), problems)
    assert _codes(problems) == {code: 1}
    (problem,) = problems
    assert problem.severity == "error"
    assert problem.file.endswith("train.json")
    assert (problem.image, problem.region) == ("317", "refs[1]")
    assert problem.what
    assert problem.fix
    assert len(good.artifacts) == 1
    assert [artifact.artifact_id for artifact in mixed.artifacts] == ["317-0", "317-2"]
    assert _again(tmp_path, [good, mixed]) == entries


KEPT_REFS = {
    "empty explanation": (_ref(explanation=""), "explanation.empty"),
    "no explanation": (_ref(explanation="DROP"), "explanation.empty"),
    "empty sentence": (_ref(sentence=""), "phrase.empty"),
    "not in the caption": (_ref(sentence="the right hand"), "phrase.not_in_caption"),
    "outside": (_ref(segmentation=[[1, 1, 16.5, 1, 5, 5]]), "polygon.outside"),
    "negative": (_ref(segmentation=[[-1, 1, 5, 1, 5, 5]]), "polygon.outside"),
    "bow tie": (_ref(segmentation=[[1, 1, 5, 5, 5, 1, 1, 5]]), "polygon.crosses_itself"),
}


@pytest.mark.parametrize("name", KEPT_REFS)
def test_a_doubtful_ref_is_reported_and_kept(tmp_path, name: str) -> None:
    doubtful, code = KEPT_REFS[name]
    entries = [{"1": {**ENTRY, "refs": [REF, doubtful]}}]
    problems = Problems()
    (record,) = read(_layout(tmp_path / "in", entries), problems)
    assert _codes(problems) == {code: 1}
    (problem,) = problems
    assert (problem.severity, problem.image, problem.region) == ("warning", "1", "refs[1]")
    assert len(record.artifacts) == 2
    assert _again(tmp_path, [record]) == entries


def test_rounding_at_the_edge_is_tolerated_and_kept(tmp_path) -> None:
    ring = [-1e-12, 0, 16 + 1e-12, 0, 16, 12.0000005]
    entries = [{"1": {**ENTRY, "refs": [_ref(segmentation=[ring])]}}]
    problems = Problems()
    (record,) = read(_layout(tmp_path / "in", entries), problems)
    assert not list(problems)
    assert record.artifacts[0].polygons == (tuple(ring),)
    assert _again(tmp_path, [record]) == entries


def test_one_bad_polygon_does_not_cost_the_others_of_its_ref(tmp_path) -> None:
    good = REF["segmentation"][0]
    entries = [{"1": {**ENTRY, "refs": [_ref(segmentation=[[1, 1], good, [2, 2, 3, 3, 4, 4]])]}}]
    problems = Problems()
    (record,) = read(_layout(tmp_path / "in", entries), problems)
    assert [problem.region for problem in problems] == ["refs[0], polygon 0", "refs[0], polygon 2"]
    assert record.artifacts[0].polygons == (tuple(good),)
    assert _again(tmp_path, [record]) == entries


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({**ENTRY, "caption": None}, "caption.missing"),
        ({**ENTRY, "caption": 3}, "caption.missing"),
        ({key: value for key, value in ENTRY.items() if key != "caption"}, "caption.missing"),
        ({**ENTRY, "refs": None}, "refs.missing"),
        ({**ENTRY, "refs": {"0": REF}}, "refs.missing"),
        ({key: value for key, value in ENTRY.items() if key != "refs"}, "refs.missing"),
        ({**ENTRY, "refs": []}, "refs.empty"),
        ({**ENTRY, "img_file_name": "gone.png"}, "image.missing"),
        ({**ENTRY, "img_file_name": "../../secret.png"}, "image.missing"),
    ],
)
def test_an_entry_with_a_defect_is_reported_and_comes_back(tmp_path, entry: dict, code: str) -> None:
    problems = Problems()
    found = list(read(_layout(tmp_path / "in", [{"9": entry}]), problems))
    assert code in _codes(problems)
    assert {problem.image for problem in problems} == {"9"}
    assert _again(tmp_path, found) == [{"9": entry}]


@pytest.mark.parametrize(
    "item",
    [
        {"9": None},
        {"9": [ENTRY]},
        {"9": {"caption": CAPTION, "refs": []}},
        {"9": {**ENTRY, "img_file_name": 5}},
        {"9": {**ENTRY, "img_file_name": ""}},
        {"9": {**ENTRY, "img_file_name": "images/.."}},
        ENTRY,
        {},
        [],
        "9",
        None,
    ],
)
def test_what_is_no_entry_is_set_aside_with_its_place_and_the_rest_is_read(tmp_path, item) -> None:
    problems = Problems()
    found = list(read(_layout(tmp_path / "in", [{"1": ENTRY}, item, {"2": ENTRY}]), problems))
    assert [record.artifacts[0].artifact_id for record in found] == ["1-0", "2-0"]
    assert _codes(problems) == {"entry.wrong_type": 1}
    (problem,) = problems
    assert problem.region == "entry 1"
    assert problem.file.endswith("train.json")


def test_repeated_ids_and_entries_in_one_object_are_read_and_reported(tmp_path) -> None:
    problems = Problems()
    found = list(
        read(_layout(tmp_path / "in", [{"1": ENTRY}, {"1": ENTRY}, {"2": ENTRY, "3": ENTRY}]), problems)
    )
    assert len(found) == 4
    assert _codes(problems) == {"id.repeated": 1, "entry.many_ids": 1}
    # All four annotate one picture.
    assert len({record.image_id for record in found}) == 1


def test_a_damaged_image_is_reported_and_its_annotation_kept(tmp_path) -> None:
    folder = _layout(tmp_path / "in", [{"1": ENTRY}])
    image = folder / "train" / "images" / "a.png"
    image.write_bytes(image.read_bytes()[:50])
    problems = Problems()
    (record,) = read(folder, problems)
    assert _codes(problems) == {"image.damaged": 1}
    assert record.image_id == hashlib.sha256(image.read_bytes()).hexdigest()
    assert (record.width, record.height) == (0, 0)
    assert len(record.artifacts) == 1


def test_nan_huge_numbers_and_half_characters_spoil_their_ref_alone(tmp_path) -> None:
    folder = _layout(tmp_path / "in", [])
    text = json.dumps(
        [{"1": {**ENTRY, "refs": [REF, _ref(segmentation=[["X", 1, 2, 2, 3, 4]])]}}, {"2": ENTRY}]
    )
    path = folder / "train" / "annotations" / "train.json"
    for bad in ("NaN", "-Infinity", "1e999", "9" * 5000, "9" * 25):
        path.write_text(text.replace('"X"', bad))
        problems = Problems()
        first, second = read(folder, problems)
        assert _codes(problems) == {"json.not_representable": 1, "polygon.not_numbers": 1}
        assert len(first.artifacts) == len(second.artifacts) == 1
        encode_record(first)
    path.write_text(text.replace("six fingers", "six \\ud800 fingers").replace('["X"', "[5"))
    problems = Problems()
    first, _ = read(folder, problems)
    assert _codes(problems)["json.not_representable"] == 2
    assert first.artifacts[0].explanation == "It has six ? fingers."
    encode_record(first)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Expecting value"),
        (b'[{"1": {"img_file_name": "a.p', "Unterminated"),
        (b'{"1": {}}', "not a list"),
        (b'"text"', "not a list"),
        (b"\xff\xfe\x00", "not text in UTF-16"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_a_file_that_is_not_one_is_refused_by_name(tmp_path, content: bytes, said: str) -> None:
    path = tmp_path / "train.json"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=said) as caught:
        list(read(path, Problems()))
    assert str(path) in str(caught.value)
    assert caught.value.fix


def test_deep_nesting_spoils_its_entry_alone(tmp_path) -> None:
    path = tmp_path / "train.json"
    deep = "[" * 700 + "]" * 700
    path.write_text(f'[{{"1": {{"img_file_name": "a.png", "x": {deep}}}}}, {json.dumps({"2": ENTRY})}]')
    problems = Problems()
    found = list(read(path, problems))
    assert found[-1].artifacts[0].artifact_id == "2-0"
    for record in found:
        encode_record(record)


def test_a_folder_without_annotations_is_refused(tmp_path) -> None:
    for source in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FormatError, match="no annotation file"):
            list(read(source, Problems()))


@settings(max_examples=40)
@given(st.randoms(use_true_random=False))
def test_any_damage_to_a_file_is_reported_and_costs_no_other_entry(
    tmp_path_factory, chance: random.Random
) -> None:
    entries = json.loads(json.dumps([{str(number): ENTRY} for number in range(3)]))
    entry = entries[1]["1"]
    junk = [None, True, -1, 1e308, "", "\x00", [], {}, [[]], [{}], "a" * 1000, {"refs": [REF]}]
    for _ in range(chance.randint(1, 4)):
        refs = entry["refs"]
        inner = (
            refs[0] if isinstance(refs, list) and refs and isinstance(refs[0], dict) and refs[0] else entry
        )
        place = chance.choice([entry, inner])
        place[chance.choice([*place])] = chance.choice(junk)
    folder = tmp_path_factory.mktemp("damaged")
    problems = Problems()
    found = list(read(_layout(folder / "in", entries), problems))
    by_id = {record.artifacts[0].artifact_id for record in found if record.artifacts}
    assert {"0-0", "2-0"} <= by_id
    again = _again(folder, found)
    if len(again) == 3:
        assert again == json.loads(json.dumps(entries))
    else:
        assert again == [entries[0], entries[2]]
        assert _codes(problems)["entry.wrong_type"] == 1


# Records of any origin


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
    (entry,) = _again(tmp_path, [msgspec.structs.replace(dog, artifacts=(moved,))])
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
    assert _codes(problems) == {"image.no_folder": 1}


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
    assert _codes(problems)["loss.file_name"] == 1


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
    assert _codes(problems)["loss.split"] == 1


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
        (entry,) = _again(tmp_path, [strange])
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
