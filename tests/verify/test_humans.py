"""People as a ceiling: each rater against what the others of the image agree on."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from verifying import toy, toy_release

from synthscars.metrics import value_of
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.verify.humans import rater_scores, score_raters


def judged(record: ImageRecord, shifts: dict[str, float | None]) -> ImageRecord:
    """As several raters drew it: each moved by so many pixels, `None` who found nothing."""
    drawn: list[Artifact] = []
    reviews: list[Review] = []
    for rater, shift in shifts.items():
        if shift is not None:
            drawn += [
                replace(
                    each,
                    artifact_id=f"{rater}-{each.artifact_id}",
                    rater_id=rater,
                    polygons=tuple(tuple(v + shift for v in ring) for ring in each.polygons),
                )
                for each in record.artifacts
            ]
        status = "annotated" if shift is not None else "clean"
        reviews.append(Review(rater_id=rater, status=status, scene=record.reviews[0].scene))  # type: ignore[arg-type]
    return replace(record, artifacts=tuple(drawn), reviews=tuple(reviews), caption="", status="annotated")


TOYS = [toy(number, "test")[0] for number in range(12)]


def test_raters_who_agree_reach_the_top() -> None:
    scores = list(score_raters(judged(each, {"ada": 0, "ben": 0, "cleo": 0}) for each in TOYS))
    assert len(scores) == 3 * len(TOYS)
    for metric in ("fg_iou", "pooled_f1", "rouge_l"):
        assert value_of(metric, scores) == pytest.approx(1)


def test_the_ceiling_falls_with_disagreement() -> None:
    def ceiling(shift: float | None) -> float:
        scores = score_raters(judged(each, {"ada": 0, "ben": 0, "cleo": shift}) for each in TOYS)
        return value_of("fg_iou", scores) or 0.0

    assert 1 > ceiling(1) > ceiling(3) > 0
    # Who finds nothing is wrong on every image; the others are right, but the two left cannot confirm it.
    assert ceiling(None) < ceiling(1)


def test_nobody_is_held_against_themselves() -> None:
    """With one rater there is no truth without them."""
    assert list(score_raters(judged(each, {"ada": 0}) for each in TOYS)) == []


def test_all_answers_of_an_image_are_drawn_together() -> None:
    scores = list(score_raters([judged(TOYS[0], {"ada": 0, "ben": 0, "cleo": 1})]))
    assert {score.group_id for score in scores} == {TOYS[0].image_id}
    assert len({score.image_id for score in scores}) == 3


def test_a_release_whose_raters_are_not_known_has_no_ceiling(tmp_path: Path) -> None:
    toy_release(
        tmp_path / "1.0.0", [toy(number, split) for number, split in enumerate(("train", "test") * 6)]
    )
    assert rater_scores(tmp_path / "1.0.0") == []
