import json
from pathlib import Path

import msgspec
from official import entry, layout, ref
from pictures import encoded, view

from synthscars.consensus import adjudicate
from synthscars.converters.synthscars_json import read, write
from synthscars.converters.synthscars_json_answers import as_annotations, as_answers
from synthscars.problems import Problems
from synthscars.records import ImageRecord, Review, decode_record, encode_record

MOVED = [11, 10, 40, 10, 40, 40, 11, 40]
ELSEWHERE = [60, 10, 90, 10, 90, 40, 60, 40]


def _annotations(folder: Path, *entries: dict) -> list[ImageRecord]:
    files = {"train/images/a.png": encoded(view(0), "PNG")}
    return list(read(layout(folder, {"train": list(entries)}, files), Problems()))


def test_each_annotation_becomes_the_answer_of_a_rater_named_after_it(tmp_path: Path) -> None:
    first = entry("a.png", ref(), scene="A man waves")
    second = entry("a.png", ref("the hand", MOVED), ref("the sign", ELSEWHERE), scene="Somebody waves")
    one, two = _annotations(tmp_path, first, second)
    merged = as_answers([one, two])
    assert merged.raters == ("annotation-0", "annotation-1")
    assert [review.scene for review in merged.reviews] == ["A man waves", "Somebody waves"]
    assert [review.status for review in merged.reviews] == ["annotated", "annotated"]
    assert [(each.rater_id, each.artifact_id) for each in merged.artifacts] == [
        ("annotation-0", "0-0"),
        ("annotation-1", "1-0"),
        ("annotation-1", "1-1"),
    ]
    assert merged.caption == ""
    assert [review.extra["synthscars_json"]["caption"] for review in merged.reviews] == [
        first["caption"],
        second["caption"],
    ]
    assert merged.status == "annotated"
    assert merged.image_id == one.image_id


def test_consensus_keeps_what_annotations_agree_on(tmp_path: Path) -> None:
    two = _annotations(
        tmp_path, entry("a.png"), entry("a.png", ref("the hand", MOVED), ref("the sign", ELSEWHERE))
    )
    (agreed,) = adjudicate([as_answers(two)], Problems())
    assert [artifact.votes for artifact in agreed.artifacts] == [2]
    assert agreed.caption.startswith("Upon examining the image. I have found: A man waves.")
    assert as_annotations(agreed) == [agreed]


def test_annotations_that_agree_on_nothing_are_disputed_unless_one_is_final(tmp_path: Path) -> None:
    two = _annotations(tmp_path, entry("a.png"), entry("a.png", ref("the sign", ELSEWHERE)))
    problems = Problems()
    (disputed,) = adjudicate([as_answers(two)], problems)
    assert (disputed.status, disputed.extra["skip_reason"]) == ("skipped", "disputed")
    assert "consensus.disputed" in {problem.code for problem in problems}
    (decided,) = adjudicate([as_answers(two, final=[1])], Problems())
    assert [artifact.phrase for artifact in decided.artifacts] == ["the sign"]


def test_an_annotation_of_which_nothing_could_be_used_still_says_that_something_is_wrong(
    tmp_path: Path,
) -> None:
    bad = entry("a.png", ref(ring=[10, 10, 20, 20, 30, 30]))
    merged = as_answers(_annotations(tmp_path, bad, bad))
    assert [review.status for review in merged.reviews] == ["annotated", "annotated"]
    assert merged.status == "annotated"
    assert merged.artifacts == ()


def test_writing_gives_back_every_annotation_as_it_was(tmp_path: Path) -> None:
    entries = [
        {**entry("a.png", ref(), ref("the ear", [1, 1, 2, 2, 3, 3])), "note": "unknown"},
        entry("other.png"),
        entry("a.png", ref("the sign", ELSEWHERE), scene="Somebody waves"),
    ]
    one, other, two = _annotations(tmp_path / "in", *entries)
    records = [as_answers([one, two]), other]
    stored = [decode_record(encode_record(record)) for record in records]
    assert [*map(as_annotations, stored)] == [[one, two], [other]]
    problems = Problems()
    assert write(stored, tmp_path / "out", problems) == 3
    assert {problem.code for problem in problems} == set()
    written = json.loads((tmp_path / "out/train/annotations/train.json").read_bytes())
    assert written == [{"0": entries[0]}, {"2": entries[2]}, {"1": entries[1]}]


def test_names_and_splits_of_equal_files_come_back(tmp_path: Path) -> None:
    files = {
        f"{split}/images/{name}.png": encoded(view(0), "PNG")
        for split, name in (("train", "a"), ("test", "b"))
    }
    splits = {"train": [entry("a.png")], "test": [entry("b.png", scene="Somebody")]}
    one, two = read(layout(tmp_path, splits, files), Problems())
    merged = as_answers([one, two], split="test")
    assert merged.split == "test"
    assert as_annotations(merged) == [one, two]
    # Both are number 0 of their split.
    assert merged.raters == ("annotation-0", "annotation-0-2")


def test_a_rater_who_came_later_keeps_the_record_one(tmp_path: Path) -> None:
    two = _annotations(tmp_path, entry("a.png"), entry("a.png"))
    merged = as_answers(two)
    mark = msgspec.structs.replace(
        merged, reviews=(*merged.reviews, Review(rater_id="import", status="skipped"))
    )
    assert as_annotations(mark) == two
    drawn = msgspec.structs.replace(merged.artifacts[0], rater_id="anna")
    later = msgspec.structs.replace(merged, artifacts=(*merged.artifacts, drawn))
    assert as_annotations(later) == [later]
    problems = Problems()
    write([mark], tmp_path / "train.json", problems)
    (loss,) = problems
    assert (loss.code, loss.count) == ("loss.reviews", 1)
