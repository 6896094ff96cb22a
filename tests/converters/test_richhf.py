"""RichHF-18K. `tests/data/richhf` was written by TensorFlow 2.21 (`TFRecordWriter`, `tf.io.encode_png`)."""

import hashlib
import shutil
import struct
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded
from PIL import Image

from synthscars.converters import formats
from synthscars.converters.richhf import misaligned_words, read
from synthscars.converters.tfrecord import Broken, Damaged, crc32c, read_example, read_frames
from synthscars.geometry import to_mask
from synthscars.problems import FormatError, Problems, UsageError
from synthscars.records import Artifact, ImageRecord

GOLDEN = Path(__file__).parent.parent / "data" / "richhf"
UID = "5f06f57d-0000-4000-8000-00000000000"
SCORES = {"artifact_score": 0.25, "misalignment_score": 0.75, "aesthetics_score": 0.5, "overall_score": 0.5}


# An independent writer of the few message types and of the framing


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def feature(value: object) -> bytes:
    if isinstance(value, (bytes, str)):
        return field(1, field(1, value.encode() if isinstance(value, str) else value))
    if isinstance(value, float):
        return field(2, field(1, struct.pack("<f", value)))
    return field(3, field(1, b"".join(map(varint, value))))


def example(features: dict) -> bytes:
    entries = (
        field(1, field(1, name.encode()) + field(2, feature(value))) for name, value in features.items()
    )
    return field(1, b"".join(entries))


def mask_crc(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:  # bit by bit, not by table
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def frame(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + mask_crc(length) + data + mask_crc(data)


def heat(*boxes: tuple[int, int, int, int, int], size: int = 8) -> bytes:
    """A heat map as PNG; boxes: left, top, right, bottom, value."""
    pixels = np.zeros((size, size), np.uint8)
    for left, top, right, bottom, value in boxes:
        pixels[top:bottom, left:right] = value
    return encoded(Image.fromarray(pixels), "PNG")


def rating(name: str = "a.png", **changes: object) -> dict:
    features = {
        "filename": f"train/{name}",
        "artifact_map": heat((1, 1, 5, 5, 170)),
        "misalignment_map": heat(),
        "prompt_misalignment_label": "1 0",
        **SCORES,
        **changes,
    }
    return {key: value for key, value in features.items() if value is not None}


def written(folder: Path, *parts: dict | bytes) -> Path:
    path = folder / "train.tfrecord"
    path.write_bytes(b"".join(part if isinstance(part, bytes) else frame(example(part)) for part in parts))
    return path


def reads(path: Path, **options: object) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(read(path, problems, **options)), problems


def codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


# The published files


def test_the_golden_folder_is_read_in_the_order_of_its_splits() -> None:
    found, _ = reads(GOLDEN)
    assert [(one.file_name, one.split, one.status) for one in found] == [
        (f"{UID}1.jpg", "train", "annotated"),
        (f"{UID}2.png", "train", "clean"),
        (f"{UID}3.png", "train", "skipped"),
        (f"{UID}4.png", "validation", "skipped"),
    ]


def test_a_region_is_what_two_of_three_raters_marked_on_the_scale_of_the_image() -> None:
    first, *_ = reads(GOLDEN)[0]
    path = GOLDEN / "images" / first.file_name
    expected = np.zeros((8, 8), bool)
    expected[1:6, 1:6] = True
    expected[3, 3] = False  # one rater's mark in the middle
    expected[6, 6] = True
    assert first.image_id == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (first.width, first.height) == (16, 16)
    (artifact,) = first.artifacts
    assert artifact == Artifact(artifact_id="1", polygons=artifact.polygons)
    assert (to_mask(artifact.polygons, 16, 16) == expected.repeat(2, 0).repeat(2, 1)).all()
    assert first.extra["richhf"] == {
        "filename": f"train/{UID}1.png",
        **SCORES,
        "prompt_misalignment_label": "1 0 1",
        "threshold": 0.5,
        "map_size": [8, 8],
    }


def test_clean_is_said_only_by_an_empty_map_with_the_best_score() -> None:
    _, clean, faint, scored_down = reads(GOLDEN)[0]
    assert not clean.artifacts
    assert faint.extra["richhf"]["skip_reason"] == "marked by fewer raters than the threshold: 0.33"
    assert scored_down.extra["richhf"]["skip_reason"] == "nothing is marked, but the artifact score is 0.50"


def test_another_threshold_takes_the_marks_of_a_single_rater() -> None:
    found, _ = reads(GOLDEN, threshold=0.3)
    assert [one.status for one in found] == ["annotated", "clean", "annotated", "skipped"]
    assert found[2].extra["richhf"]["threshold"] == 0.3
    for wrong in (0, 1.5, float("nan")):
        with pytest.raises(UsageError, match="threshold"):
            reads(GOLDEN, threshold=wrong)


def test_connected_parts_become_artifacts_only_if_asked_for(tmp_path: Path) -> None:
    boxes = heat((0, 0, 2, 2, 255), (2, 2, 3, 3, 255), (5, 5, 8, 8, 255))
    path = written(tmp_path, rating(artifact_map=boxes))
    assert [len(one.artifacts) for one in reads(path)[0]] == [1]
    (record,), _ = reads(path, split_components=True)
    # Pixels that touch at a corner are one part.
    assert [to_mask(one.polygons, 8, 8).sum() for one in record.artifacts] == [5, 9]


def test_images_that_are_not_at_hand_have_the_size_of_their_map_which_is_said_once_a_file(tmp_path) -> None:
    for name in ("train", "dev"):
        shutil.copy(GOLDEN / f"{name}.tfrecord", tmp_path)
    found, problems = reads(tmp_path)
    assert {(one.width, one.height) for one in found} == {(8, 8)}
    assert [(one.code, one.count, bool(one.fix)) for one in problems] == [
        ("image.size_of_map", 3, True),
        ("image.size_of_map", 1, True),
    ]
    assert len({one.image_id for one in found}) == 4


def test_a_map_of_other_proportions_than_the_image_is_reported(tmp_path: Path) -> None:
    Image.new("RGB", (32, 16)).save(tmp_path / "a.webp")
    (record,), problems = reads(written(tmp_path, rating()), images=tmp_path)
    assert record.file_name == "a.webp"
    expected = np.zeros((16, 32), bool)
    expected[2:10, 4:20] = True
    assert (to_mask(record.artifacts[0].polygons, 32, 16) == expected).all()
    assert codes(problems) == {"map.stretched": 1}


def test_words_are_matched_as_the_authors_do() -> None:
    prompt = "RichHF-18K: a dataset for rich human feedback on generative images."
    words = misaligned_words("0 1 0 0 0 1 0 0 1 0", prompt)  # the example in their code
    assert words == ["RichHF-18K", "dataset", "for", "rich", "feedback", "on", "images"]
    assert misaligned_words("1 0", "one two three") is None
    assert misaligned_words("1 x", "one two") is None


def test_prompts_of_pick_a_pic_give_the_misaligned_words() -> None:
    found, problems = reads(GOLDEN, prompts={f"{UID}1": "A man, waving", f"{UID}2": "too many words here"})
    assert found[0].generation.prompt == "A man, waving"
    assert found[0].extra["richhf"]["misaligned_words"] == ["man"]
    assert found[0].artifacts[0].phrase == ""
    (said,) = [one for one in problems if one.code == "words.mismatch"]
    assert said.image.endswith("2.png")


def test_features_that_nobody_knows_are_kept() -> None:
    assert reads(GOLDEN)[0][2].extra["richhf"]["raters"] == [3, -1]


def test_it_is_recognised_by_its_name() -> None:
    assert formats.detect(GOLDEN).name == "richhf"
    assert formats.detect(GOLDEN / "dev.tfrecord").name == "richhf"


# Damaged files


@pytest.mark.parametrize(
    ("changes", "code", "severity"),
    [
        ({"artifact_map": None}, "map.missing", "error"),
        ({"artifact_map": 0.5}, "map.missing", "error"),
        ({"artifact_map": b"no image"}, "map.damaged", "error"),
        ({"artifact_map": heat((1, 1, 5, 5, 255))[:-30]}, "map.damaged", "error"),
        ({"artifact_score": None}, "feature.missing", "warning"),
        ({"artifact_score": "high"}, "feature.wrong_type", "warning"),
        ({"artifact_score": float("nan")}, "", ""),
        ({"prompt_misalignment_label": [1, 0]}, "feature.wrong_type", "warning"),
        ({"filename": None}, "image.no_name", "error"),
        ({"filename": 0.5}, "image.no_name", "error"),
    ],
)
def test_a_wrong_feature_is_reported_and_the_other_images_are_read(
    changes: dict, code: str, severity: str, tmp_path: Path
) -> None:
    path = written(tmp_path, rating("a.png", **changes), rating("b.png"))
    found, problems = reads(path)
    assert [one.status for one in found] == ["annotated", "annotated"]
    assert (found[1].file_name, len(found[1].artifacts)) == ("b.png", 1)
    if code:
        said = next(one for one in problems if one.code == code)
        assert said.severity == severity
        assert said.file == str(path)
        assert said.image in ("train/a.png", "record 1")
        assert said.fix


def test_a_record_with_a_wrong_checksum_is_set_aside(tmp_path: Path) -> None:
    damaged = bytearray(frame(example(rating("a.png"))))
    damaged[200] ^= 1
    found, problems = reads(written(tmp_path, bytes(damaged), rating("b.png")))
    assert [one.file_name for one in found] == ["b.png"]
    (said,) = [one for one in problems if one.severity == "error"]
    assert (said.code, said.image) == ("record.checksum", "record 1")


def test_a_record_that_is_no_example_is_set_aside(tmp_path: Path) -> None:
    found, problems = reads(written(tmp_path, frame(b"\x0a\xff\xff\xff"), rating("b.png")))
    assert [one.file_name for one in found] == ["b.png"]
    assert codes(problems)["record.damaged"] == 1


@pytest.mark.parametrize("cut", [-1, -20, -2, 5])
def test_a_file_that_is_cut_short_says_how_much_was_read(cut: int, tmp_path: Path) -> None:
    whole = frame(example(rating("a.png"))) + frame(example(rating("b.png")))
    second = len(whole) // 2
    found, problems = reads(written(tmp_path, whole[:cut] if cut < 0 else whole[: second + cut]))
    assert [one.file_name for one in found] == ["a.png"]
    (said,) = [one for one in problems if one.code == "file.broken"]
    assert said.image == "record 2"
    assert "1 records were read" in said.what


def test_a_broken_or_monstrous_length_ends_the_file(tmp_path: Path) -> None:
    huge = struct.pack("<Q", 2**60)
    wrong = struct.pack("<QI", 5, 0) + b"hello"
    for head in (huge + mask_crc(huge), wrong):
        found, problems = reads(written(tmp_path, rating("a.png"), head, rating("b.png")))
        assert len(found) == 1
        assert codes(problems)["file.broken"] == 1


def test_two_records_of_one_image_are_reported(tmp_path: Path) -> None:
    found, problems = reads(written(tmp_path, rating(), rating()))
    assert len(found) == 2
    assert codes(problems)["image.repeated"] == 1


def test_a_name_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    (tmp_path / "images").mkdir()
    (record,), problems = reads(written(tmp_path, rating("../../secret.png")), images=tmp_path / "images")
    assert record.file_name == "secret.png"
    assert codes(problems)["image.missing"] == 1


def test_a_folder_without_tfrecords_or_a_missing_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no TFRecord"):
        reads(tmp_path)
    with pytest.raises(FormatError, match=r"none\.tfrecord"):
        reads(tmp_path / "none.tfrecord")


@given(st.data())
def test_no_damage_whatever_raises(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray((GOLDEN / "train.tfrecord").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "train.tfrecord"
    path.write_bytes(content)
    reads(path)


@given(st.binary(max_size=80))
def test_no_message_whatever_raises_anything_but_damaged(data: bytes) -> None:
    for message in (data, field(1, data), field(1, field(1, data))):
        with suppress(Damaged):
            read_example(message)


# The framing and the messages


def test_the_checksum_is_crc32c() -> None:
    # RFC 3720, B.4, and the check value of the catalogue of CRCs.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_frames_of_tensorflow_are_read(tmp_path: Path) -> None:
    content = (GOLDEN / "dev.tfrecord").read_bytes()
    # Checked by hand: a length of 0x194, and its checksum.
    assert content[:12] == bytes.fromhex("9401000000000000 5bd581aa")
    with (GOLDEN / "dev.tfrecord").open("rb") as file:
        (data,) = read_frames(file)
    assert data == content[12:-4]
    assert list(read_example(data)) == sorted(
        ["filename", "artifact_map", "misalignment_map", "prompt_misalignment_label", *SCORES]
    )
    assert read_example(data)["filename"] == [f"dev/{UID}4.png".encode()]
    (tmp_path / "empty").write_bytes(b"")
    with (tmp_path / "empty").open("rb") as file:
        assert list(read_frames(file)) == []
    (tmp_path / "short").write_bytes(content[:7])
    with (tmp_path / "short").open("rb") as file, pytest.raises(Broken, match="head"):
        list(read_frames(file))


def test_numbers_are_read_packed_and_one_by_one() -> None:
    one_by_one = field(2, b"\x0d" + struct.pack("<f", 0.5) + b"\x0d" + struct.pack("<f", -2.0))
    whole = field(3, b"\x08" + varint(-1) + b"\x08" + varint(7))
    message = field(
        1, b"".join(field(1, field(1, n) + field(2, v)) for n, v in [(b"f", one_by_one), (b"i", whole)])
    )
    assert read_example(message) == {"f": [0.5, -2.0], "i": [-1, 7]}
