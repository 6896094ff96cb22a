import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from converting import changed, with_picture
from hypothesis import given
from hypothesis import strategies as st
from nonsense import with_nonsense
from PIL import Image

from synthscars.caption import compose
from synthscars.converters import formats
from synthscars.converters.lisa import read, write
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.geometry import to_mask
from synthscars.problems import FormatError, Problems, UsageError
from synthscars.records import Artifact, ImageRecord

GOLDEN = Path(__file__).parent.parent / "data" / "lisa"
BOX = (10.0, 10.0, 40.5, 10.0, 40.5, 30.25, 10.0, 30.25)
OTHER = (50.0, 20.0, 60.0, 20.0, 60.0, 40.0)
OUTPUTS = "The hand has six fingers, and a human hand has five."


def artifact(artifact_id: str = "r1", **fields: object) -> Artifact:
    return Artifact(**{"artifact_id": artifact_id, "polygons": (BOX,), **fields})


def record(folder: Path, name: str, *found: Artifact, seed: int = 0, **fields: object) -> ImageRecord:
    values = {"image_id": "", "file_name": "", "width": 64, "height": 48, "artifacts": found}
    status = "annotated" if found else "clean"
    return with_picture(ImageRecord(**{**values, "status": status, **fields}), folder, name, seed)


def written(tmp_path: Path, *records: ImageRecord) -> tuple[Path, Problems]:
    problems = Problems()
    pictures = TargetPictures(by_hash([tmp_path / "pictures"]))
    write(records, tmp_path / "out", problems, pictures=pictures)
    return tmp_path / "out", problems


def codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


# ReasonSeg


def test_a_folder_of_reason_seg_becomes_records() -> None:
    problems = Problems()
    dog, hand, nothing, sign = read(GOLDEN, problems)
    assert list(problems) == []
    assert [(one.file_name, one.split, one.status) for one in (dog, hand, nothing, sign)] == [
        ("dog.jpg", "train", "annotated"),
        ("hand.jpg", "train", "annotated"),
        ("nothing.jpg", "validation", "skipped"),
        ("sign.jpg", "validation", "annotated"),
    ]
    assert [(one.width, one.height) for one in (dog, hand, nothing, sign)] == [
        (48, 64),
        (64, 48),
        (40, 30),
        (40, 40),
    ]
    # Points are as they were; what is explained in words is the explanation of the only artifact.
    assert hand.artifacts == (
        Artifact(
            artifact_id="shape-0",
            polygons=((10.5, 10.25, 30.0, 10.0, 30.0, 30.75, 10.0, 30.0),),
            explanation=OUTPUTS,
        ),
    )
    # The texts are about the image as a whole.
    assert hand.caption == "the part of the picture that no human body has"
    assert dog.caption == "the extra leg"
    assert dog.extra["lisa"]["text"] == ["the extra leg", "a leg too many"]
    # What is to be ignored, and what has no meaning any more, is no artifact.
    assert [each.artifact_id for each in dog.artifacts] == ["shape-0", "shape-3"]
    assert [each["shape"]["label"] for each in dog.extra["lisa"]["others"]] == ["ignore", "flag"]
    # Shapes of one group are one artifact; cp1252 is read as LISA reads it.
    assert [len(each.polygons) for each in sign.artifacts] == [2]
    assert sign.caption == "What can’t be read on the café’s sign?"


def test_what_was_read_is_written_as_it_was(tmp_path) -> None:
    found = [one for one in read(GOLDEN, Problems()) if one.status != "skipped"]
    problems = Problems()
    pictures = TargetPictures(by_hash([GOLDEN]))
    assert write(found, tmp_path / "out", problems, pictures=pictures) == 3
    assert list(problems) == []
    for name in ("train/dog", "train/hand", "val/sign"):
        before = (GOLDEN / f"{name}.json").read_bytes()
        before = json.loads(before.decode("cp1252" if name == "val/sign" else "utf-8"))
        after = json.loads((tmp_path / "out" / f"{name}.json").read_bytes())
        assert {key: after[key] for key in before} | {"shapes": []} == before | {"shapes": []}
        for old, new in zip(before["shapes"], after["shapes"], strict=True):
            assert {key: new[key] for key in old} == old
        assert (tmp_path / "out" / f"{name}.jpg").read_bytes() == (GOLDEN / f"{name}.jpg").read_bytes()
    explained = "explanatory/train.json"
    assert json.loads((tmp_path / "out" / explained).read_bytes()) == json.loads(
        (GOLDEN / explained).read_bytes()
    )
    assert list(read(tmp_path / "out", Problems())) == found


def test_our_mask_is_the_mask_that_lisa_is_trained_on(tmp_path) -> None:
    rules = pytest.importorskip("lisa_rules", exc_type=ImportError)
    samples = rules.load(GOLDEN / "train") | rules.load(GOLDEN / "val")
    for one in read(GOLDEN, Problems()):
        found = samples[one.file_name].mask == 1
        ours = np.zeros_like(found)
        for each in one.artifacts:
            ours |= to_mask(each.polygons, one.width, one.height)
        ours &= samples[one.file_name].mask != 255
        # OpenCV draws the edges too, a pixel wide, and cuts vertices off to whole pixels.
        assert not (found & ~grown(ours)).any()
        assert not (ours & ~grown(found)).any()


def grown(mask: np.ndarray) -> np.ndarray:
    """A mask with what lies within two pixels of it."""
    padded = np.pad(mask, 2)
    height, width = mask.shape
    moved = [padded[y : y + height, x : x + width] for y in range(5) for x in range(5)]
    return np.logical_or.reduce(moved)


def test_lisa_finds_every_image_of_an_export_with_its_texts_and_its_mask(tmp_path) -> None:
    rules = pytest.importorskip("lisa_rules", exc_type=ImportError)
    folder = tmp_path / "pictures"
    hand = artifact(phrase="the hand", explanation="It melts.", category="structure")
    sky = artifact("r2", phrase="the sky", explanation="It burns.", polygons=(OTHER,), category="physics")
    two = record(folder, "a.png", hand, sky, split="train")
    clean = record(folder, "b.jpg.png", seed=1, caption=compose("A tree", []), split="train")
    target, problems = written(tmp_path, two, clean)
    assert list(problems) == []
    samples = rules.load(target / "train")
    assert samples.keys() == {"a.jpg", "b_jpg.jpg"}
    sample = samples["a.jpg"]
    # One mask, so one text that speaks of all of it.
    assert sample.texts == [compose("", [("the hand", "It melts."), ("the sky", "It burns.")])]
    assert sample.is_sentence
    shapes = [
        {"label": "target", "points": [[10, 10], [40, 10], [40, 30], [10, 30]]},
        {"label": "target", "points": [[50, 20], [60, 20], [60, 40]]},
    ]
    assert np.array_equal(sample.mask, rules.mask(shapes, 48, 64))
    assert not samples["b_jpg.jpg"].mask.any()
    assert json.loads((target / "explanatory" / "train.json").read_bytes()) == [
        {"image": "a.jpg", "query": sample.texts[0], "outputs": "It melts. It burns."}
    ]
    assert formats.detect(target).name == "lisa"
    assert formats.detect(target / "train" / "a.json").name == "lisa"
    found = {one.file_name: one for one in read(target, Problems())}
    assert found == {"a.png": two, "b.jpg.png": clean}


def test_marks_of_the_tokenizer_are_taken_apart_and_come_back(tmp_path) -> None:
    hand = artifact(phrase="the [SEG] hand", explanation="It says <image>.")
    one = record(tmp_path / "pictures", "a.png", hand)
    target, problems = written(tmp_path, one)
    assert codes(problems) == {"caption.marks": 1}
    content = json.loads((target / "train" / "a.json").read_bytes())
    assert "[SEG]" not in content["text"][0]
    assert "<image>" not in (target / "explanatory" / "train.json").read_text()
    assert list(read(target, Problems())) == [one]


def test_images_that_lisa_would_take_for_clean_are_left_out_and_counted(tmp_path) -> None:
    bare = Artifact(artifact_id="r1", phrase="the sky")
    unlabelled = record(tmp_path / "pictures", "a.png", status="unlabelled")
    skipped = record(tmp_path / "pictures", "b.png", status="skipped", seed=1)
    undrawn = record(tmp_path / "pictures", "c.png", bare, seed=2)
    target, problems = written(tmp_path, unlabelled, skipped, undrawn)
    assert codes(problems) == {"loss.status": 3, "loss.artifact.outline": 1}
    assert {problem.severity for problem in problems} == {"warning"}
    assert list(read(target, Problems())) == []


def test_two_records_of_one_image_have_a_file_each(tmp_path) -> None:
    one = record(tmp_path / "pictures", "a.png", artifact(rater_id="anna"))
    target, _ = written(tmp_path, one, changed(one, artifacts=(artifact(rater_id="ben"),)))
    assert sorted(path.name for path in (target / "train").iterdir()) == [
        "a.jpg",
        "a.json",
        "a~2.jpg",
        "a~2.json",
    ]
    assert [each.artifacts[0].rater_id for each in read(target, Problems())] == ["anna", "ben"]


def test_a_text_that_was_read_is_kept_until_the_caption_changes(tmp_path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "pictures")
    dog, *_ = read(GOLDEN, Problems())
    target, _ = written(tmp_path, changed(dog, caption="A dog with five legs."))
    content = json.loads((target / "train" / "dog.json").read_bytes())
    assert (content["text"], content["is_sentence"]) == (["A dog with five legs."], True)


def test_a_single_file_cannot_hold_them(tmp_path) -> None:
    with pytest.raises(UsageError, match="a file for each image"):
        write([], tmp_path / "out.json", Problems())


# Files that are not as they should be

SHAPE = {"label": "target", "points": [[10, 10], [40, 10], [40, 30]]}


def read_files(folder: Path, **files: object) -> tuple[dict[str, ImageRecord], Problems]:
    (folder / "train").mkdir(exist_ok=True)
    good = {"text": ["the hand"], "is_sentence": False, "shapes": [SHAPE]}
    for name, content in {"good": good, **files}.items():
        Image.new("RGB", (64, 48), "teal").save(folder / "train" / f"{name}.jpg")
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (folder / "train" / f"{name}.json").write_bytes(data)
    problems = Problems()
    return {one.file_name: one for one in read(folder, problems)}, problems


def with_shape(**changes: object) -> dict:
    return {"text": ["the hand"], "is_sentence": False, "shapes": [{**SHAPE, **changes}, SHAPE]}


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        (7, "shape.wrong_type"),
        ({**SHAPE, "label": 7}, "shape.wrong_type"),
        ({"label": "target"}, "polygon.not_numbers"),
        ({**SHAPE, "points": [[1, 2], [3, 4], [5]]}, "polygon.not_numbers"),
        ({**SHAPE, "points": [[1, 2], [3, 4], ["5", 6]]}, "polygon.not_numbers"),
        ({**SHAPE, "points": [[1, 2], [3, 4], [float("nan"), 6]]}, "polygon.not_numbers"),
        ({**SHAPE, "points": [[1, 2], [3, 4]]}, "polygon.few_points"),
        ({**SHAPE, "points": [[1, 1], [2, 2], [3, 3]]}, "polygon.no_area"),
    ],
)
def test_a_shape_that_cannot_be_used_is_reported_and_the_rest_read(
    tmp_path, shape: object, code: str
) -> None:
    content = {"text": ["the hand"], "is_sentence": False}
    found, problems = read_files(
        tmp_path, bad={**content, "shapes": [SHAPE, shape]}, only={**content, "shapes": [shape]}
    )
    assert codes(problems) == {code: 2}
    first, second = problems
    assert (first.severity, first.image, first.region) == ("error", "bad.jpg", "shapes[1]")
    assert (second.image, second.region) == ("only.jpg", "shapes[0]")
    assert first.file.endswith("train/bad.json")
    assert first.fix
    assert [len(found[name].artifacts) for name in ("bad.jpg", "only.jpg", "good.jpg")] == [1, 0, 1]
    # It still says that something is wrong.
    assert found["only.jpg"].status == "annotated"
    assert found["only.jpg"].extra["lisa"]["rejected"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"points": [[-5, 10], [40, 10], [40, 30]]}, "polygon.outside"),
        ({"points": [[10, 10], [90, 10], [40, 30]]}, "polygon.outside"),
        ({"points": [[10, 10], [40, 40], [40, 10], [10, 30]]}, "polygon.crosses_itself"),
        ({"label": "elephant"}, "label.unknown"),
        ({"category": "elephant"}, "label.unknown"),
        ({"votes": "many"}, "field.wrong_type"),
    ],
)
def test_what_is_doubtful_is_used_and_reported(tmp_path, changes: dict, code: str) -> None:
    found, problems = read_files(tmp_path, bad=with_shape(**changes))
    assert codes(problems) == {code: 1}
    (problem,) = problems
    assert (problem.severity, problem.region) == ("warning", "shapes[0]")
    assert len(found["bad.jpg"].artifacts) == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b'{"text": ["a"', "file.unreadable"),
        (b"[]", "file.unreadable"),
        (b"7", "file.unreadable"),
        ({"is_sentence": True}, "file.unreadable"),
        ({"text": ["a"], "is_sentence": True, "shapes": 7}, "shapes.wrong_type"),
        ({"text": ["a"], "is_sentence": True}, "shapes.wrong_type"),
        ({"text": 7, "is_sentence": True, "shapes": []}, "text.wrong_type"),
        ({"text": ["a", 7], "is_sentence": True, "shapes": []}, "text.wrong_type"),
        ({"text": "a", "is_sentence": True, "shapes": []}, "text.wrong_type"),
    ],
)
def test_one_bad_file_does_not_touch_the_others(tmp_path, content: object, code: str) -> None:
    found, problems = read_files(tmp_path, bad=content)
    assert codes(problems) == {code: 1}
    assert next(iter(problems)).file.endswith("bad.json")
    assert len(found["good.jpg"].artifacts) == 1


def test_ids_that_repeat_are_told_apart(tmp_path) -> None:
    content = {"text": ["a"], "is_sentence": True, "shapes": [{**SHAPE, "artifact_id": "same"}] * 2}
    found, problems = read_files(tmp_path, bad=content)
    assert codes(problems) == {"id.repeated": 1}
    assert [each.artifact_id for each in found["bad.jpg"].artifacts] == ["same", "same-2"]


def test_a_missing_image_is_reported(tmp_path) -> None:
    read_files(tmp_path)
    (tmp_path / "train" / "good.jpg").unlink()
    problems = Problems()
    (found,) = read(tmp_path, problems)
    assert codes(problems) == {"image.missing": 1}
    assert (found.file_name, found.width, found.height) == ("good.jpg", 0, 0)
    assert len(found.artifacts) == 1


def test_an_image_without_shapes_is_not_taken_for_clean(tmp_path) -> None:
    found, problems = read_files(tmp_path, empty={"text": ["a"], "is_sentence": True, "shapes": []})
    assert list(problems) == []
    assert found["empty.jpg"].status == "unlabelled"


@pytest.mark.parametrize("content", [b"{", b"7", b"{}", b"\x81"])
def test_a_file_alone_that_is_none_cannot_be_read(tmp_path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.json"):
        list(read(tmp_path / "a.json", Problems()))


@given(data=st.data())
def test_nonsense_anywhere_never_stops_the_reader_nor_the_writer(tmp_path_factory, data) -> None:
    folder = tmp_path_factory.mktemp("nonsense")
    hand = artifact(phrase="the hand", category="structure", polygons=(BOX, OTHER), rater_id="anna")
    target, _ = written(folder, record(folder / "pictures", "a.png", hand, artifact("r2")))
    content = json.loads((target / "train" / "a.json").read_bytes())
    ignored = {"label": "ignore", "points": [[1, 1], [2, 2], [3, 1]]}
    content["shapes"].append(ignored)
    data.draw(with_nonsense(content))
    found, _ = read_files(folder, bad=content)
    assert len(found["good.jpg"].artifacts) == 1
    write(found.values(), folder / "again", Problems())
