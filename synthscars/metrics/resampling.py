"""How far a figure would move if other images had been drawn: percentile intervals of a bootstrap.

Whole groups of images are drawn (`group_id`: near-duplicates and variants of one picture), because images of
one group are no independent witnesses. All rounds are calculated at once, some hundred at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from synthscars.metrics.overlap import Array
from synthscars.metrics.scores import ImageScore
from synthscars.metrics.statistics import STATISTICS, Statistic, ordered
from synthscars.problems import UsageError

ROUNDS = 1000
LEVEL = 0.95
_CELLS = 2_000_000
"""Weights that are held at a time: 16 MB."""

Interval = tuple[float, float]


def bootstrap(
    scores: Iterable[ImageScore],
    statistic: str | Statistic,
    seed: int = 0,
    rounds: int = ROUNDS,
    *,
    level: float = LEVEL,
) -> Interval | None:
    """The interval that holds `level` of the rounds, `(low, high)`; `None` if the figure has no value.

    statistic: a name of `STATISTICS`, or one of your own. The order of the scores does not matter.
    """
    prepare = STATISTICS[statistic] if isinstance(statistic, str) else statistic
    return intervals(scores, {"it": prepare}, seed, rounds, level=level)["it"]


def intervals(
    scores: Iterable[ImageScore],
    statistics: Mapping[str, Statistic],
    seed: int = 0,
    rounds: int = ROUNDS,
    *,
    level: float = LEVEL,
) -> dict[str, Interval | None]:
    """As `bootstrap`, for many figures from the same draws."""
    listed = ordered(scores)
    prepared = {name: prepare(listed) for name, prepare in statistics.items()}
    drawn: dict[str, list[Array]] = {name: [] for name in statistics}
    for weights in _draws(_groups(listed), seed, rounds):
        for name, figure in prepared.items():
            drawn[name].append(figure(weights))
    return {name: _interval(values, level) for name, values in drawn.items()}


def bootstrap_gain(
    ours: Iterable[ImageScore],
    theirs: Iterable[ImageScore],
    statistic: str | Statistic,
    seed: int = 0,
    rounds: int = ROUNDS,
    *,
    level: float = LEVEL,
) -> Interval | None:
    """The interval of how much higher a figure is for `ours` than for `theirs`, on the same draws of images.

    Raises `UsageError` if both are not about the same images.
    """
    first, second = ordered(ours), ordered(theirs)
    if [score.image_id for score in first] != [score.image_id for score in second]:
        raise UsageError("the scores are of different images", fix="score both models on the same images")
    prepare = STATISTICS[statistic] if isinstance(statistic, str) else statistic
    figure, other = prepare(first), prepare(second)
    gains = [figure(weights) - other(weights) for weights in _draws(_groups(first), seed, rounds)]
    return _interval(gains, level)


def _groups(scores: Sequence[ImageScore]) -> Array:
    """The number of each image's group, shape (images,)."""
    # A group may have the name of an image that is in another one.
    names = [(bool(score.group_id), score.group_id or score.image_id) for score in scores]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.intp)


def _draws(groups: Array, seed: int, rounds: int) -> Iterator[Array]:
    """How often each image was drawn, shape (rounds, images), some rounds at a time."""
    count = int(groups.max()) + 1 if len(groups) else 0
    if not count:
        return
    rng = np.random.default_rng(seed)
    # One stream of draws, whatever the number of rounds at a time.
    step = max(1, _CELLS // max(count, len(groups)))
    for start in range(0, rounds, step):
        size = min(step, rounds - start)
        draws = rng.integers(count, size=(size, count))
        draws += count * np.arange(size)[:, None]
        weights = np.bincount(draws.ravel(), minlength=size * count).reshape(size, count)
        yield weights[:, groups].astype(np.float64)


def _interval(parts: Sequence[Array], level: float) -> Interval | None:
    values = np.concatenate(parts) if parts else np.array([])
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
