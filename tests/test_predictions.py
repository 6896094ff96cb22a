import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import records, rings, texts

from synthscars import predictions
from synthscars.predictions import (
    PredictedRegion,
    Prediction,
    Rle,
    decode_prediction,
    encode_prediction,
    read_header,
    read_predictions,
    to_prediction,
    write_predictions,
)
from synthscars.problems import FormatError, Problems
from synthscars.records import ImageRecord

PLAIN = Prediction(image_id="ab" * 32, width=8, height=6)


@st.composite
def regions(draw: st.DrawFn) -> PredictedRegion:
    return PredictedRegion(
        phrase=draw(texts()),
        explanation=draw(texts()),
        category=draw(st.sampled_from([None, "structure", "of another taxonomy"])),
        polygons=tuple(draw(st.lists(rings(), max_size=2))),
        rle=draw(st.sampled_from([None, Rle(size=(6, 8), counts="`1")])),
        score=draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
    )


@st.composite
def any_predictions(draw: st.DrawFn) -> Prediction:
    return Prediction(
        image_id=draw(texts()),
        width=draw(st.integers(1, 4000)),
        height=draw(st.integers(1, 4000)),
        text=draw(texts()),
        synthetic=draw(st.none() | st.floats(0, 1)),
        regions=tuple(draw(st.lists(regions(), max_size=3))),
    )


@given(any_predictions())
def test_any_prediction_survives_its_line(prediction: Prediction) -> None:
    line = encode_prediction(prediction)
    assert b"\n" not in line
    assert decode_prediction(line) == prediction


def test_numbers_of_numpy_are_written_as_numbers() -> None:
    ring = np.array([0, 0, 4, 0, 4.5, 4])
    region = PredictedRegion(polygons=(ring,), score=np.float32(0.5))
    found = decode_prediction(encode_prediction(msgspec.structs.replace(PLAIN, regions=(region,))))
    assert found.regions == (PredictedRegion(polygons=((0, 0, 4, 0, 4.5, 4),), score=0.5),)


def test_a_file_holds_its_header_and_its_predictions_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    answers = [msgspec.structs.replace(PLAIN, image_id=f"{number}", text="x") for number in (3, 1, 2)]
    assert write_predictions(path, answers, {"model": "tiny", "seed": 7}) == 3
    again = tmp_path / "again.jsonl"
    write_predictions(again, iter(answers), {"seed": 7, "model": "tiny"})
    assert again.read_bytes() == path.read_bytes()
    assert read_header(path) == {
        "format": "synthscars.predictions",
        "version": 1,
        "model": "tiny",
        "seed": 7,
    }
    problems = Problems()
    assert list(read_predictions(path, problems)) == answers
    assert not len(problems)


def test_a_file_needs_no_header_and_unknown_fields_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps({"image_id": "a", "width": 8, "height": 6, "seconds": 3}) + "\n\n")
    assert read_header(path) == {}
    assert list(read_predictions(path, Problems())) == [Prediction(image_id="a", width=8, height=6)]


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[1, 2]",
        b'{"image_id": "x"}',
        b'{"image_id": "x", "width": 0, "height": 6}',
        b'{"image_id": "x", "width": 8, "height": 6, "synthetic": 1.5}',
        b'{"image_id": "x", "width": 8, "height": 6, "regions": [{"score": NaN}]}',
        b'{"image_id": "x", "width": 8, "height": 6, "regions": [{"polygons": [["1"]]}]}',
        b'{"image_id": "\xff", "width": 8, "height": 6}',
    ],
)
def test_a_bad_line_is_a_problem_and_not_the_end(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    good = encode_prediction(PLAIN)
    path.write_bytes(line + b"\n" + good + b"\n")
    problems = Problems()
    assert list(read_predictions(path, problems)) == [PLAIN]
    (problem,) = problems
    assert (problem.code, problem.file) == ("prediction.line", "answers.jsonl, line 1")


def test_a_line_of_any_length_takes_no_more_memory_than_a_long_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "MAX_LINE", 200)
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b"x" * 1000 + b"\n" + encode_prediction(PLAIN) + b"\n" + b"x" * 401)
    problems = Problems()
    assert list(read_predictions(path, problems)) == [PLAIN]
    assert [(each.file, "longer" in each.what) for each in problems] == [
        ("answers.jsonl, line 1", True),
        ("answers.jsonl, line 3", True),
    ]


def test_the_first_prediction_of_an_image_counts(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    write_predictions(path, [PLAIN, msgspec.structs.replace(PLAIN, text="another")])
    problems = Problems()
    assert list(read_predictions(path, problems)) == [PLAIN]
    assert [(each.code, each.image) for each in problems] == [("prediction.twice", PLAIN.image_id)]


def test_a_file_of_another_format_or_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    for header in ({"format": "other"}, {"format": "synthscars.predictions", "version": 2}):
        path.write_text(json.dumps(header) + "\n")
        with pytest.raises(FormatError, match=r"not synthscars\.predictions 1"):
            list(read_predictions(path, Problems()))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_could_not_be_read_again_is_not_written(bad: float) -> None:
    for region in (PredictedRegion(score=bad), PredictedRegion(polygons=((0.0, bad, 1.0, 1.0, 2.0, 2.0),))):
        with pytest.raises(FormatError, match=f"image {PLAIN.image_id}"):
            encode_prediction(msgspec.structs.replace(PLAIN, regions=(region,)))
    with pytest.raises(FormatError, match="probability"):
        encode_prediction(msgspec.structs.replace(PLAIN, synthetic=bad))
    with pytest.raises(FormatError, match="synthetic"):
        encode_prediction(msgspec.structs.replace(PLAIN, synthetic=1.5))


@given(records())
def test_the_perfect_prediction_says_what_the_record_says(record: ImageRecord) -> None:
    found = decode_prediction(encode_prediction(to_prediction(record)))
    assert (found.image_id, found.width, found.height) == (record.image_id, record.width, record.height)
    assert found.text == record.caption
    assert (found.synthetic == 1.0) == (record.origin == "synthetic")
    assert [(r.phrase, r.explanation, r.category, r.subtype, r.polygons) for r in found.regions] == [
        (a.phrase, a.explanation, a.category, a.subtype, a.polygons) for a in record.artifacts
    ]
