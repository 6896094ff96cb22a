"""Raters against images whose answer is known."""

from __future__ import annotations

import msgspec
import pytest

from synthscars.metrics.gold import score_raters
from synthscars.records import Artifact, ImageRecord, Review


def square(name: str, x: float, side: float = 20, category: str = "structure", rater: str = "") -> Artifact:
    ring = (x, 10, x + side, 10, x + side, 10 + side, x, 10 + side)
    return Artifact(artifact_id=name, category=category, polygons=(ring,), phrase="here", rater_id=rater)


BASE = ImageRecord(image_id="a" * 64, file_name="a.png", width=100, height=50)
TRUE = msgspec.structs.replace(BASE, status="annotated", artifacts=(square("1", 0), square("2", 40)))
CLEAN = msgspec.structs.replace(BASE, image_id="b" * 64, status="clean")
KNOWN = {record.image_id: record for record in (TRUE, CLEAN)}


def answered(truth: ImageRecord, **raters: list[Artifact] | str) -> ImageRecord:
    """What raters made of an image: regions, or a status."""
    reviews, drawn = [], []
    for rater, answer in raters.items():
        status = answer if isinstance(answer, str) else "annotated" if answer else "clean"
        reviews.append(Review(rater_id=rater, status=status))  # type: ignore[arg-type]
        if not isinstance(answer, str):
            drawn += [msgspec.structs.replace(one, rater_id=rater) for one in answer]
    return msgspec.structs.replace(
        truth, status="annotated", artifacts=tuple(drawn), reviews=tuple(reviews), caption=""
    )


def test_each_rater_is_held_against_what_is_known() -> None:
    records = [
        answered(
            TRUE,
            perfect=[square("x", 0), square("y", 40)],
            half=[square("x", 0), square("z", 70, category="physics")],
            blind=[],
            lazy="skipped",
        ),
        answered(CLEAN, perfect=[], half=[square("q", 5)], blind=[]),
        msgspec.structs.replace(answered(TRUE, perfect=[]), image_id="c" * 64),  # nobody knows
    ]
    blind, half, lazy, perfect = score_raters(records, KNOWN)
    assert (perfect.rater_id, perfect.answered, perfect.iou, perfect.status_agreed) == (
        "perfect",
        2,
        1.0,
        1.0,
    )
    assert (perfect.found, perfect.missed, perfect.false_alarms, perfect.category) == (2, 0, 0, 1.0)
    # One of two, and one that is none, on an image of two; a false alarm on the clean one.
    assert (half.found, half.missed, half.false_alarms) == (1, 1, 2)
    assert half.iou == pytest.approx(400 / 1200)
    assert half.status_agreed == 0.5
    assert (blind.found, blind.missed, blind.false_alarms, blind.iou) == (0, 2, 0, 0.0)
    assert (blind.status_agreed, blind.category) == (0.5, None)
    assert (lazy.answered, lazy.skipped, lazy.iou, lazy.status_agreed) == (0, 1, None, None)


def test_a_category_counts_where_the_place_is_right() -> None:
    wrong = [square("x", 0, category="physics"), square("y", 40)]
    (rater,) = score_raters([answered(TRUE, someone=wrong)], KNOWN)
    assert (rater.found, rater.category) == (2, 0.5)


def test_nobody_answered_anything_known() -> None:
    assert score_raters([answered(TRUE, someone=[])], {}) == []
