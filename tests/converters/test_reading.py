"""What every reader shares."""

import json
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthscars.converters.reading import (
    Where,
    as_id,
    decode_json,
    flat_ring,
    is_number,
    label_of,
    load_json,
    number_ring,
    plain,
    read_label,
    usable_ring,
    whole,
)
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, ImageRecord, decode_record, encode_record


def json_values() -> st.SearchStrategy[object]:
    """Whatever a parser of JSON may give, with what is none (NaN, half characters, huge integers)."""
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5)
    return st.recursive(
        leaves | st.just("\ud800"),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    )


@pytest.mark.parametrize("before", ["", " ", "\n"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_integers_that_no_record_can_hold_become_texts(before: str, sign: str) -> None:
    number = f"{before}{sign}1234567890123456789012345"
    content = f'{{"a":{number},"b":[{number},1,{number}]}}'.encode()
    found = decode_json(content, "in.json")
    assert [type(each) for each in (found["a"], *found["b"])] == [str, str, int, str]


def test_a_file_full_of_hashes_is_read_the_quick_way() -> None:
    content = {
        "sha256": "6391e4fa8b1bf960b7931db4848c2351491827b1234567890123456789012345",
        "id": 2**62 // 10,
    }
    with patch("synthscars.converters.reading.json.loads", side_effect=AssertionError("the slow way")):
        assert decode_json(json.dumps(content).encode(), "in.json") == content


def test_json_that_is_not_quite_json_is_read_as_far_as_a_record_can_hold_it() -> None:
    content = b'\xef\xbb\xbf{"nan": NaN, "far": 1e999, "half": "\\ud800", "deep": [[-Infinity]], "int": 3}'
    found = decode_json(content, "in.json")
    assert found == {"nan": "nan", "far": "inf", "half": "?", "deep": [["-inf"]], "int": 3}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xff", b"[1,]", b"[" * 100_000 + b"]" * 100_000])
def test_what_is_no_json_is_refused_with_the_name_of_the_file(content: bytes) -> None:
    with pytest.raises(FormatError, match=r"in\.json"):
        decode_json(content, "in.json")


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"missing\.json"):
        load_json(tmp_path / "missing.json")


@given(json_values())
def test_plain_values_can_be_held_by_a_record(value: object) -> None:
    found = plain(value)
    record = ImageRecord(image_id="a", file_name="a", width=1, height=1, extra={"x": found})
    assert decode_record(encode_record(record)).extra == {"x": found}
    assert plain(found) == found


@pytest.mark.parametrize(
    ("value", "size"),
    [(5, 5), (5.0, 5), (5.5, 0), (0, 0), (-1, 0), (True, 0), ("5", 0), (None, 0), (10**7, 0), (10**400, 0)],
)
def test_a_size_is_a_whole_number_of_pixels_or_unknown(value: object, size: int) -> None:
    assert whole(value) == size


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e301, True, "1", None])
def test_what_arithmetic_cannot_use_is_no_number(value: object) -> None:
    assert not is_number(value)


RING = (10.0, 10.0, 50.0, 10.0, 30.0, 40.0)


def test_rings_are_read_from_points_and_from_flat_lists() -> None:
    assert flat_ring([[10, 10], [50, 10], [30, 40]]) == RING
    assert number_ring([10, 10, 50, 10, 30, 40]) == RING


@pytest.mark.parametrize(
    "points", [None, 3, "x", {}, [1], [[1]], [[1, 2, 3]], [[1, "x"]], [[1, None]], [[True, 1]]]
)
def test_points_that_are_none_are_said_to_be_none(points: object) -> None:
    assert isinstance(flat_ring(points), str)


@pytest.mark.parametrize("values", [None, 3, "x", {}, [[1, 2]], ["x"], [None], [float("nan")]])
def test_flat_lists_that_are_none_are_said_to_be_none(values: object) -> None:
    assert isinstance(number_ring(values), str)


@pytest.mark.parametrize(
    ("ring", "used", "code"),
    [
        (RING, True, ""),
        ("no ring at all", False, "polygon.not_numbers"),
        (RING[:5], False, "polygon.odd"),
        (RING[:4], False, "polygon.few_points"),
        ((0.0, 0.0, 1.0, 1.0, 2.0, 2.0), False, "polygon.no_area"),
        ((-5.0, 10.0, 50.0, 10.0, 30.0, 40.0), True, "polygon.outside"),
        ((0.0, 0.0, 40.0, 40.0, 40.0, 0.0, 0.0, 30.0), True, "polygon.crosses_itself"),
    ],
)
def test_a_ring_is_used_or_reported_with_its_place(ring, used: bool, code: str) -> None:
    problems = Problems()
    where = Where(problems, "in.json").at(image="a.png", region="shapes[3]")
    found = usable_ring(ring, 100, 80, where)
    assert found == (ring if used else None)
    said = [(one.code, one.file, one.image, one.region) for one in problems]
    assert said == ([(code, "in.json", "a.png", "shapes[3]")] if code else [])
    assert all(one.fix and (one.severity == "warning") is used for one in problems)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("structure", ("structure", None, {})),
        ("STRUCTURE", ("structure", None, {})),
        ("deformed", ("structure", "deformed", {})),
        ("Noise and blurring", ("distortion", "noise_blurring", {})),
        ("", (None, None, {})),
        (None, (None, None, {})),
        ("artifact", (None, None, {})),
        ("cat", (None, None, {"label": "cat"})),
        (7, (None, None, {"label": "7"})),
        ({"a": 1}, (None, None, {"label": "{'a': 1}"})),
    ],
)
def test_labels_name_categories_and_subtypes_or_are_kept(label: object, expected: tuple) -> None:
    problems = Problems()
    assert read_label(label, Where(problems, "in.json")) == expected
    assert [one.code for one in problems] == ["label.unknown"] * bool(expected[2])


@pytest.mark.parametrize("label", ["structure", "physics", "cat", "artifact"])
def test_a_label_is_written_as_it_was_read(label: str) -> None:
    category, subtype, extra = read_label(label, Where(Problems(), "in.json"))
    assert label_of(Artifact(artifact_id="a", category=category, subtype=subtype, extra=extra)) == label


@given(st.lists(st.none() | st.text(max_size=2) | st.integers(0, 3) | st.sampled_from(["a", "a-2"])))
def test_ids_are_kept_where_they_can_be_and_never_repeat(values: list) -> None:
    taken: set[str] = set()
    for number, value in enumerate(values):
        found = as_id(value, taken, f"f{number}")
        assert found not in taken
        if isinstance(value, str) and value and value not in taken:
            assert found == value
        taken.add(found)


def test_json_in_another_encoding_is_read_by_its_mark_or_said_to_be_so() -> None:
    text = '{"label": "Fläche"}'
    assert decode_json(text.encode("utf-16"), "a.json") == {"label": "Fläche"}
    with pytest.raises(FormatError, match=r"a\.json: it is not text in UTF-8") as caught:
        decode_json(text.encode("cp1252"), "a.json")
    assert "Windows-1252" in caught.value.fix
