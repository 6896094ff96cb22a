import math
from pathlib import Path

import msgspec
import pytest

from synthscars.labelstudio.preannotate import uncertain_first, uncertainty, version_name, write_scores
from synthscars.predictions import PredictedRegion, Prediction
from synthscars.problems import Problems


def predicted(name: str, *scores: float | None, synthetic: float | None = None) -> Prediction:
    regions = tuple(PredictedRegion(score=score) for score in scores)
    return Prediction(image_id=name, width=9, height=9, regions=regions, synthetic=synthetic)


@pytest.mark.parametrize(
    ("prediction", "doubt"),
    [
        (predicted("a", 0.5, 0.99), 1.0),
        (predicted("a", 1.0, 0.9), 0.2),
        (predicted("a", 7.0), 0.0),
        (predicted("a", None, 0.75), 0.5),
        (predicted("a", synthetic=0.9), 0.2),
        (predicted("a", 1.0, synthetic=0.5), 0.0),
        (predicted("a", None), None),
        (predicted("a", math.nan), None),
        (predicted("a"), None),
    ],
)
def test_a_model_is_as_uncertain_as_its_most_doubtful_region(
    prediction: Prediction, doubt: float | None
) -> None:
    assert uncertainty(prediction) == (None if doubt is None else pytest.approx(doubt))


def test_the_most_uncertain_comes_first_and_the_untold_are_counted(tmp_path: Path) -> None:
    problems = Problems()
    given = [predicted("b", 0.9), predicted("a", 0.5), predicted("d"), predicted("c", 0.5)]
    scores = uncertain_first(given, problems)
    assert write_scores(tmp_path / "p.jsonl", scores) == 3
    lines = [msgspec.json.decode(line) for line in (tmp_path / "p.jsonl").read_bytes().splitlines()]
    assert [(line["image_id"], line["score"]) for line in lines] == [("a", 1.0), ("c", 1.0), ("b", 0.2)]
    assert [(one.code, one.count) for one in problems] == [("prediction.no_score", 1)]


def test_names_of_models_can_be_told_apart_in_the_servers_lists() -> None:
    assert version_name(" tiny,  1.0 ") == "tiny 1.0"
    assert version_name(",") == "model"
