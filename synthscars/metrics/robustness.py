"""How much worse a model is on the same images after they were perturbed, or than another model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from synthscars.metrics.resampling import ROUNDS, bootstrap_gain
from synthscars.metrics.scores import ImageScore
from synthscars.metrics.statistics import value_of

COMPARED = ("fg_iou", "f1", "pooled_f1", "pq", "rouge_l", "css", "detection_accuracy", "detection_auroc")
"""Figures of the table."""


class Change(msgspec.Struct, frozen=True):
    """A figure, how much higher it is than the one it is compared with, and the interval of that."""

    value: float | None
    change: float | None
    low: float | None = None
    high: float | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One other set of predictions: its name, and each figure's change against the first set."""

    name: str
    figures: dict[str, Change]


def compare(
    base: Sequence[ImageScore],
    others: Mapping[str, Sequence[ImageScore]],
    *,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> list[Comparison]:
    """Each of the others against `base`, on the same images.

    Raises `UsageError` if they are of other images.
    """
    return [
        Comparison(
            name=name, figures={figure: _change(base, scores, figure, seed, rounds) for figure in COMPARED}
        )
        for name, scores in others.items()
    ]


def _change(
    base: Sequence[ImageScore], scores: Sequence[ImageScore], figure: str, seed: int, rounds: int
) -> Change:
    before, after = value_of(figure, base), value_of(figure, scores)
    if before is None or after is None:
        return Change(after, None)
    interval = bootstrap_gain(scores, base, figure, seed, rounds) if rounds else None
    return Change(after, after - before, *(interval or ()))
