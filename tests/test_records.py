import json
import math

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import artifacts, extras, records

from synthscars.jsonl import read_records, write_records
from synthscars.problems import FormatError
from synthscars.records import (
    Artifact,
    Generation,
    ImageRecord,
    Review,
    decode_record,
    encode_lines,
    encode_record,
    source_name,
)

PLAIN = ImageRecord(image_id="ab" * 32, file_name="a.png", width=8, height=8)


@given(records())
def test_any_record_survives_its_json(record: ImageRecord) -> None:
    assert decode_record(encode_record(record)) == record


@given(records())
def test_equal_records_give_equal_bytes(record: ImageRecord) -> None:
    line = encode_record(record)
    assert not {b"\n"[0], b"\r"[0]} & set(line)
    # Rebuilt from its own JSON with every object's keys turned round: equal, but made in another order.
    rebuilt = decode_record(json.dumps(_turned_round(json.loads(line))))
    assert rebuilt == record
    assert encode_record(rebuilt) == line


def _turned_round(value):
    if isinstance(value, dict):
        return {key: _turned_round(inner) for key, inner in reversed(value.items())}
    if isinstance(value, list):
        return [_turned_round(inner) for inner in value]
    return value


def test_whole_and_negative_zero_coordinates_give_the_bytes_of_their_equals() -> None:
    def record(*ring: float) -> ImageRecord:
        return msgspec.structs.replace(PLAIN, artifacts=(Artifact(artifact_id="a", polygons=(ring,)),))

    floats = record(0.0, 0.0, 4.0, 0.0, 4.0, 4.0)
    others = record(-0.0, 0, 4, 0, 4, 4)
    assert floats == others
    assert encode_record(floats) == encode_record(others)


@given(records(), extras(), extras(), extras())
def test_unknown_fields_are_kept_at_every_level_through_two_round_trips(
    record: ImageRecord, of_image, of_artifact, of_review
) -> None:
    raw = json.loads(encode_record(record))
    raw.update(of_image)
    for artifact in raw.get("artifacts", []):
        artifact.update(of_artifact)
    for review in raw.get("reviews", []):
        review.update(of_review)
    once = decode_record(json.dumps(raw))
    twice = decode_record(encode_record(once))
    assert twice == once
    # A field that stood both beside and inside `extra` keeps the value inside.
    assert once.extra == {**of_image, **record.extra}
    for read, written in zip(once.artifacts, record.artifacts, strict=True):
        assert read.extra == {**of_artifact, **written.extra}
    for read, written in zip(once.reviews, record.reviews, strict=True):
        assert read.extra == {**of_review, **written.extra}


def test_unknown_fields_of_a_generation_become_parameters() -> None:
    raw = json.loads(encode_record(msgspec.structs.replace(PLAIN, generation=Generation(tool="new"))))
    raw["generation"] |= {"upscaler": "4x", "denoise": 0.5, "nested": {"b": 2, "a": [1]}}
    record = decode_record(json.dumps(raw))
    assert record.generation is not None
    assert record.generation.parameters == {
        "upscaler": "4x",
        "denoise": "0.5",
        "nested": '{"a":[1],"b":2}',
    }
    assert decode_record(encode_record(record)) == record


@given(artifacts(), st.sampled_from([math.nan, math.inf, -math.inf]), st.data())
def test_a_coordinate_that_is_not_finite_is_refused_by_name(artifact: Artifact, value: float, data) -> None:
    ring = list(artifact.polygons[0])
    ring[data.draw(st.integers(0, len(ring) - 1))] = value
    broken = msgspec.structs.replace(artifact, artifact_id="left-hand", polygons=(tuple(ring),))
    with pytest.raises(FormatError, match=f"image {PLAIN.image_id}, artifact left-hand") as caught:
        encode_record(msgspec.structs.replace(PLAIN, artifacts=(broken,)))
    assert caught.value.fix


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"width": "8"}, r"\$\.width"),
        ({"height": 8.5}, r"\$\.height"),
        ({"status": "cleaned"}, r"\$\.status"),
        ({"artifacts": [{"artifact_id": "a", "polygons": [[0, 0, "4", 0, 4, 4]]}]}, r"polygons"),
        ({"artifacts": [{"artifact_id": "a"}, "b"]}, r"\$\.artifacts\[1\]"),
        ({"reviews": [{"status": "clean"}]}, r"rater_id"),
        ({"reviews": 3}, r"\$\.reviews"),
        ({"generation": []}, r"\$\.generation"),
        ({"extra": []}, r"\$\.extra"),
        ({"image_id": None}, r"\$\.image_id"),
    ],
)
def test_wrong_types_are_named(change: dict, named: str) -> None:
    raw = json.loads(encode_record(PLAIN)) | change
    with pytest.raises(FormatError, match=named) as caught:
        decode_record(json.dumps(raw), "records.jsonl, line 7")
    assert str(caught.value).startswith("records.jsonl, line 7: ")


@pytest.mark.parametrize("line", ["", "{", "[]", "null", '"text"', "NaN", b"\xff\xfe", '{"image_id": "a"'])
def test_what_is_no_record_is_refused(line: str | bytes) -> None:
    with pytest.raises(FormatError, match=r"^line 3: "):
        decode_record(line, "line 3")


def test_an_extra_that_is_wrong_is_refused_also_beside_unknown_fields() -> None:
    raw = json.loads(encode_record(PLAIN)) | {"extra": [], "brand_new": 1}
    with pytest.raises(FormatError, match="line 1: "):
        decode_record(json.dumps(raw), "line 1")


def test_a_missing_field_is_named() -> None:
    with pytest.raises(FormatError, match="file_name"):
        decode_record('{"image_id": "a"}')


def test_raters_are_those_of_the_reviews() -> None:
    reviews = (Review(rater_id="ada", status="clean"), Review(rater_id="bo", status="annotated"))
    assert msgspec.structs.replace(PLAIN, reviews=reviews).raters == ("ada", "bo")


@settings(max_examples=20)
@given(st.lists(records(max_artifacts=1), max_size=3), st.sampled_from([".jsonl", ".jsonl.zst"]))
def test_any_records_survive_a_file(tmp_path_factory, some: list[ImageRecord], suffix: str) -> None:
    folder = tmp_path_factory.mktemp("records")
    path = folder / f"some{suffix}"
    if suffix == ".jsonl":
        path.write_bytes(b"".join(encode_lines(some)))
    else:
        assert write_records(path, some) == len(some)
    assert list(read_records(path)) == some


def test_the_same_records_give_the_same_file(tmp_path) -> None:
    some = [msgspec.structs.replace(PLAIN, file_name=f"{number}.png") for number in range(50)]
    write_records(tmp_path / "a.zst", some)
    write_records(tmp_path / "b.zst", iter(some))
    assert (tmp_path / "a.zst").read_bytes() == (tmp_path / "b.zst").read_bytes()


def test_a_compressed_file_is_plain_json_lines_to_other_tools(tmp_path) -> None:
    write_records(tmp_path / "a.jsonl.zst", [PLAIN, PLAIN])
    with (tmp_path / "a.jsonl.zst").open("rb") as file:
        plain = zstandard.ZstdDecompressor().stream_reader(file).read()
    assert [json.loads(line) for line in plain.splitlines()] == [json.loads(encode_record(PLAIN))] * 2


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_short_is_refused_by_name(tmp_path, kept: float) -> None:
    # Incompressible enough to fill several zstandard blocks.
    some = [
        msgspec.structs.replace(PLAIN, image_id=f"{number * 0x9E3779B97F4A7C15 % 2**256:064x}")
        for number in range(5000)
    ]
    path = tmp_path / "cut.jsonl.zst"
    write_records(path, some)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(FormatError, match=r"cut\.jsonl\.zst"):
        list(read_records(path))


def test_a_plain_file_that_is_cut_short_names_the_line(tmp_path) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_bytes(b"".join(encode_lines([PLAIN, PLAIN]))[:-20])
    with pytest.raises(FormatError, match=r"cut\.jsonl, line 2"):
        list(read_records(path))


def test_a_file_that_is_not_compressed_after_all_is_refused_by_name(tmp_path) -> None:
    path = tmp_path / "plain.jsonl.zst"
    path.write_bytes(encode_record(PLAIN))
    with pytest.raises(FormatError, match=r"plain\.jsonl\.zst"):
        list(read_records(path))


def test_a_source_is_what_was_ingested_not_the_file_in_it() -> None:
    assert source_name("generations/sdnext/x.jpg") == "generations"
    assert source_name("batch.zip") == "batch.zip"
    assert source_name("") == ""
