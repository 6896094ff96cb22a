import json
from collections import Counter
from pathlib import Path

import pytest
from official import BOX, entry, ref
from pictures import encoded, view

from synthscars.caption import compose
from synthscars.converters.synthscars_json import read, write
from synthscars.converters.synthscars_json_defects import mend
from synthscars.problems import Problem, Problems
from synthscars.records import ImageRecord, decode_record, encode_record


def _mended(folder: Path, item: dict) -> tuple[ImageRecord, list[Problem]]:
    """The record of one entry after `mend`, and what `mend` alone reported."""
    (folder / "images").mkdir(exist_ok=True)
    (folder / "images" / "a.png").write_bytes(encoded(view(0, 48, 48), "PNG"))
    (folder / "train.json").write_text(json.dumps([{"317": item}]))
    (record,) = read(folder / "train.json", Problems())
    problems = Problems()
    return mend(record, problems), list(problems)


def test_a_sound_annotation_passes_without_a_word(tmp_path: Path) -> None:
    record, problems = _mended(tmp_path, entry("a.png", ref("the left hand"), ref("the hand")))
    assert problems == []
    assert record == next(read(tmp_path / "train.json", Problems()))


def test_a_phrase_that_repeats_is_reported_once_with_how_often(tmp_path: Path) -> None:
    _, (problem,) = _mended(tmp_path, entry("a.png", ref(), ref("the foot"), ref(), ref()))
    assert (problem.code, problem.severity, problem.image) == ("phrase.repeated", "warning", "317")
    assert problem.what == "3 refs have the phrase 'the left hand'"
    assert "loader" in problem.fix


@pytest.mark.parametrize("lines", ["\n", " \n", "\n\n", "\r\n"])
def test_a_line_break_of_the_authors_scripts_becomes_a_space_and_the_original_is_kept(
    tmp_path: Path, lines: str
) -> None:
    item = entry("a.png")
    found = item["caption"].replace(" To elaborate", f"{lines}To elaborate")
    record, (problem,) = _mended(tmp_path, {**item, "caption": found})
    assert (problem.code, problem.severity) == ("caption.line_break", "info")
    assert record.caption == item["caption"]
    assert record.extra["caption_as_found"] == found


@pytest.mark.parametrize(
    "caption",
    [
        "There is something about the left hand.",
        "Upon examining the image. I have found: A man. the left hand:It has six fingers.",
        compose("A man", [("the left hand", "x")]).replace("artifacts.", "artifacts. Namely: "),
    ],
)
def test_a_caption_that_is_not_in_the_grammar_is_reported_and_kept_word_for_word(
    tmp_path: Path, caption: str
) -> None:
    record, problems = _mended(tmp_path, entry("a.png", caption=caption))
    assert [(problem.code, problem.severity) for problem in problems] == [
        ("caption.not_in_grammar", "warning")
    ]
    assert record.caption == caption


def test_a_caption_may_name_what_could_not_be_used(tmp_path: Path) -> None:
    bad = ref("the ear", [10, 10, 20, 20, 30, 30])
    for refs in ([bad, ref()], [ref(), bad]):
        record, problems = _mended(tmp_path, entry("a.png", *refs))
        assert len(record.artifacts) == 1
        assert problems == []


@pytest.mark.parametrize("change", [{"bbox": None}, {}])
def test_missing_boxes_are_counted_and_come_back_missing(tmp_path: Path, change: dict) -> None:
    without = {key: value for key, value in ref().items() if key != "bbox"} | change
    record, (problem,) = _mended(tmp_path, entry("a.png", ref("the foot"), without))
    assert (problem.code, problem.severity) == ("bbox.missing", "info")
    write([decode_record(encode_record(record))], tmp_path / "again.json", Problems())
    assert json.loads((tmp_path / "again.json").read_bytes()) == json.loads(
        (tmp_path / "train.json").read_bytes()
    )


@pytest.mark.parametrize(
    ("ring", "said"),
    [
        (
            [-1e-12, 10, 48 + 2e-12, 10, 40, 40],
            "coordinates lie up to 2e-12 pixels outside the image (2 of them)",
        ),
        ([10, 10, 40, 10, 40, 48.000001], "coordinates lie up to 1e-06 pixels outside the image (1 of them)"),
        ([0, 0, 48, 0, 48, 48], ""),
        ([10, 10, 40, 10, 40, 48.1], ""),  # no rounding: `read` says so
    ],
)
def test_rounding_at_the_edge_is_told_apart_from_a_mistake(tmp_path: Path, ring: list, said: str) -> None:
    record, problems = _mended(tmp_path, entry("a.png", ref(ring=ring)))
    assert Counter(problem.code for problem in problems) == ({"polygon.rounding": 1} if said else {})
    assert all(said in problem.what and problem.severity == "info" for problem in problems)
    assert record.artifacts[0].polygons == (tuple(map(float, ring)),)


def test_nothing_is_outside_an_image_of_unknown_size(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps([{"1": entry("a.png", ref(ring=[-1e-12, *BOX[1:]]))}]))
    (record,) = read(tmp_path / "train.json", Problems())
    problems = Problems()
    mend(record, problems)
    assert not list(problems)
