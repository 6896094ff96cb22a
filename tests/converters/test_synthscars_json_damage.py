"""The published layout: what is wrong in it is reported with its place, and comes back."""

import hashlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from published_layout import CAPTION, ENTRY, REF, codes_of, entries_again, layout_of

from synthscars.converters.synthscars_json import read
from synthscars.problems import FormatError, Problems
from synthscars.records import (
    encode_record,
)


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
    good, mixed = read(layout_of(tmp_path / "in", entries), problems)
    assert codes_of(problems) == {code: 1}
    (problem,) = problems
    assert problem.severity == "error"
    assert problem.file.endswith("train.json")
    assert (problem.image, problem.region) == ("317", "refs[1]")
    assert problem.what
    assert problem.fix
    assert len(good.artifacts) == 1
    assert [artifact.artifact_id for artifact in mixed.artifacts] == ["317-0", "317-2"]
    assert entries_again(tmp_path, [good, mixed]) == entries


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
    (record,) = read(layout_of(tmp_path / "in", entries), problems)
    assert codes_of(problems) == {code: 1}
    (problem,) = problems
    assert (problem.severity, problem.image, problem.region) == ("warning", "1", "refs[1]")
    assert len(record.artifacts) == 2
    assert entries_again(tmp_path, [record]) == entries


def test_rounding_at_the_edge_is_tolerated_and_kept(tmp_path) -> None:
    ring = [-1e-12, 0, 16 + 1e-12, 0, 16, 12.0000005]
    entries = [{"1": {**ENTRY, "refs": [_ref(segmentation=[ring])]}}]
    problems = Problems()
    (record,) = read(layout_of(tmp_path / "in", entries), problems)
    assert not list(problems)
    assert record.artifacts[0].polygons == (tuple(ring),)
    assert entries_again(tmp_path, [record]) == entries


def test_one_bad_polygon_does_not_cost_the_others_of_its_ref(tmp_path) -> None:
    good = REF["segmentation"][0]
    entries = [{"1": {**ENTRY, "refs": [_ref(segmentation=[[1, 1], good, [2, 2, 3, 3, 4, 4]])]}}]
    problems = Problems()
    (record,) = read(layout_of(tmp_path / "in", entries), problems)
    assert [problem.region for problem in problems] == ["refs[0], polygon 0", "refs[0], polygon 2"]
    assert record.artifacts[0].polygons == (tuple(good),)
    assert entries_again(tmp_path, [record]) == entries


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
    found = list(read(layout_of(tmp_path / "in", [{"9": entry}]), problems))
    assert code in codes_of(problems)
    assert {problem.image for problem in problems} == {"9"}
    assert entries_again(tmp_path, found) == [{"9": entry}]


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
    found = list(read(layout_of(tmp_path / "in", [{"1": ENTRY}, item, {"2": ENTRY}]), problems))
    assert [record.artifacts[0].artifact_id for record in found] == ["1-0", "2-0"]
    assert codes_of(problems) == {"entry.wrong_type": 1}
    (problem,) = problems
    assert problem.region == "entry 1"
    assert problem.file.endswith("train.json")


def test_repeated_ids_and_entries_in_one_object_are_read_and_reported(tmp_path) -> None:
    problems = Problems()
    found = list(
        read(layout_of(tmp_path / "in", [{"1": ENTRY}, {"1": ENTRY}, {"2": ENTRY, "3": ENTRY}]), problems)
    )
    assert len(found) == 4
    assert codes_of(problems) == {"id.repeated": 1, "entry.many_ids": 1}
    # All four annotate one picture.
    assert len({record.image_id for record in found}) == 1


def test_a_damaged_image_is_reported_and_its_annotation_kept(tmp_path) -> None:
    folder = layout_of(tmp_path / "in", [{"1": ENTRY}])
    image = folder / "train" / "images" / "a.png"
    image.write_bytes(image.read_bytes()[:50])
    problems = Problems()
    (record,) = read(folder, problems)
    assert codes_of(problems) == {"image.damaged": 1}
    assert record.image_id == hashlib.sha256(image.read_bytes()).hexdigest()
    assert (record.width, record.height) == (0, 0)
    assert len(record.artifacts) == 1


def test_nan_huge_numbers_and_half_characters_spoil_their_ref_alone(tmp_path) -> None:
    folder = layout_of(tmp_path / "in", [])
    text = json.dumps(
        [{"1": {**ENTRY, "refs": [REF, _ref(segmentation=[["X", 1, 2, 2, 3, 4]])]}}, {"2": ENTRY}]
    )
    path = folder / "train" / "annotations" / "train.json"
    for bad in ("NaN", "-Infinity", "1e999", "9" * 5000, "9" * 25):
        path.write_text(text.replace('"X"', bad))
        problems = Problems()
        first, second = read(folder, problems)
        assert codes_of(problems) == {"json.not_representable": 1, "polygon.not_numbers": 1}
        assert len(first.artifacts) == len(second.artifacts) == 1
        encode_record(first)
    path.write_text(text.replace("six fingers", "six \\ud800 fingers").replace('["X"', "[5"))
    problems = Problems()
    first, _ = read(folder, problems)
    assert codes_of(problems)["json.not_representable"] == 2
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
    found = list(read(layout_of(folder / "in", entries), problems))
    by_id = {record.artifacts[0].artifact_id for record in found if record.artifacts}
    assert {"0-0", "2-0"} <= by_id
    again = entries_again(folder, found)
    if len(again) == 3:
        assert again == json.loads(json.dumps(entries))
    else:
        assert again == [entries[0], entries[2]]
        assert codes_of(problems)["entry.wrong_type"] == 1
