"""Every figure, defined once, for any weights of the images.

A `Statistic` looks at the scores and gives a function of weights: shape (rounds, images) → (rounds,). All
weights 1 give the figure itself; how often each image was drawn gives one round of a bootstrap each. Most
figures are made from sums over images, so scores of any shards can be put together. What has no value (0 of
0) is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from synthscars.metrics import ranking
from synthscars.metrics.overlap import OVERLAPS, Array, overlaps, ratio
from synthscars.metrics.scores import ImageScore, Quality

Weighted = Callable[[Array], Array]
Statistic = Callable[[Sequence[ImageScore]], Weighted]

THRESHOLD = 0.5
"""From this probability on, an image is called generated."""

QUALITY = ("pq", "sq", "rq", "precision", "recall")


def with_artifacts(score: ImageScore) -> bool:
    """Whether there is something to find: a true mask with at least one pixel."""
    return score.judged and score.pixels.true > 0


def is_clean(score: ImageScore) -> bool:
    """Whether somebody looked and there is nothing to find."""
    return score.judged and score.pixels.true == 0


def _mean(value: Callable[[ImageScore], float | None]) -> Statistic:
    """The mean over the images that have a value."""

    def prepare(scores: Sequence[ImageScore]) -> Weighted:
        values = [value(score) for score in scores]
        there = np.array([each is not None for each in values], dtype=np.float64)
        numbers = np.array([each or 0.0 for each in values], dtype=np.float64)
        return lambda weights: ratio(weights @ numbers, weights @ there)

    return prepare


def _sums(columns: Callable[[ImageScore], Sequence[float]], result: Callable[[Array], Array]) -> Statistic:
    """A figure made from sums over the images. result: shape (rounds, columns) → (rounds,)."""

    def prepare(scores: Sequence[ImageScore]) -> Weighted:
        table = np.array([columns(score) for score in scores], dtype=np.float64)
        return lambda weights: result(weights @ table) if len(table) else np.full(len(weights), np.nan)

    return prepare


def _per_image(name: str) -> Statistic:
    return _mean(lambda score: score.pixels.overlap()[name] if with_artifacts(score) else None)


def _pooled(name: str) -> Statistic:
    def columns(score: ImageScore) -> Sequence[float]:
        pixels = score.pixels
        return (pixels.tp, pixels.fp, pixels.fn, pixels.tn)

    def result(sums: Array) -> Array:
        # Of no pixels at all nothing is said, not that all of them agree.
        return np.where(sums.sum(axis=-1) > 0, overlaps(sums)[name], np.nan)

    return _sums(columns, result)


def quality_of(name: str, of: Callable[[ImageScore], Quality] = lambda score: score.quality) -> Statistic:
    """Panoptic quality `pq` with its parts `sq` and `rq`, or `precision` or `recall` of regions."""

    def columns(score: ImageScore) -> Sequence[float]:
        found = of(score)
        return (found.matched, found.iou, found.invented, found.missed)

    def result(sums: Array) -> Array:
        matched, iou, invented, missed = np.moveaxis(sums, -1, 0)
        below = matched + (invented + missed) / 2
        figures = {
            "pq": (iou, below),
            "sq": (iou, matched),
            "rq": (matched, below),
            "precision": (matched, matched + invented),
            "recall": (matched, matched + missed),
        }
        return ratio(*figures[name])

    return _sums(columns, result)


def _of_matches(value: Callable[[ImageScore], Iterable[float | None]]) -> Statistic:
    """The mean over all matched regions that have a value."""

    def columns(score: ImageScore) -> Sequence[float]:
        values = [each for each in value(score) if each is not None]
        return (sum(values), len(values))

    return _sums(columns, lambda sums: ratio(sums[..., 0], sums[..., 1]))


def label_hits(score: ImageScore, name: str) -> list[float | None]:
    """For each matched region whose true `category` or `subtype` is known, whether it was told."""
    pairs = [(getattr(score.truth[m.true], name), getattr(score.found[m.found], name)) for m in score.matches]
    return [None if true is None else float(true == found) for true, found in pairs]


def _called(score: ImageScore) -> float:
    """Whether an image was told rightly; not to say anything is wrong."""
    if score.synthetic is None:
        return 0.0
    return float((score.synthetic >= THRESHOLD) == (score.origin == "synthetic"))


def _balanced(scores: Sequence[ImageScore]) -> Weighted:
    table = np.array(
        [(_called(s) * (s.origin == o), s.origin == o) for s in scores for o in ("synthetic", "real")],
        dtype=np.float64,
    ).reshape(-1, 4)

    def result(weights: Array) -> Array:
        sums = weights @ table
        return (ratio(sums[:, 0], sums[:, 1]) + ratio(sums[:, 2], sums[:, 3])) / 2

    return result


def _ranked(area: Callable[..., Array]) -> Statistic:
    def prepare(scores: Sequence[ImageScore]) -> Weighted:
        truth = np.array([score.origin == "synthetic" for score in scores], dtype=np.bool_)
        # Without a probability: as likely as not.
        values = [THRESHOLD if score.synthetic is None else score.synthetic for score in scores]
        found = np.array(values, dtype=np.float64)
        return lambda weights: area(truth, found, weights)

    return prepare


STATISTICS: Mapping[str, Statistic] = {
    **{name: _per_image(name) for name in OVERLAPS},
    **{f"pooled_{name}": _pooled(name) for name in OVERLAPS},
    "false_alarm_rate": _mean(lambda score: float(score.pixels.predicted > 0) if is_clean(score) else None),
    "false_alarm_area": _mean(
        lambda score: score.pixels.predicted / (score.width * score.height) if is_clean(score) else None
    ),
    **{name: quality_of(name) for name in QUALITY},
    "matched_iou": _of_matches(lambda score: [each.iou for each in score.matches]),
    "category_accuracy": _of_matches(lambda score: label_hits(score, "category")),
    "subtype_accuracy": _of_matches(lambda score: label_hits(score, "subtype")),
    "rouge_l": _mean(lambda score: score.rouge_l if with_artifacts(score) else None),
    "css": _mean(lambda score: score.css if with_artifacts(score) else None),
    "clean_rouge_l": _mean(lambda score: score.rouge_l if is_clean(score) else None),
    "clean_css": _mean(lambda score: score.css if is_clean(score) else None),
    "phrase_rouge_l": _of_matches(lambda score: [each.phrase for each in score.matches]),
    "explanation_rouge_l": _of_matches(lambda score: [each.explanation for each in score.matches]),
    "region_css": _of_matches(lambda score: [each.css for each in score.matches]),
    "detection_accuracy": _mean(_called),
    "detection_balanced": _balanced,
    "detection_ap": _ranked(ranking.average_precision),
    "detection_auroc": _ranked(ranking.auroc),
}
"""By name. `fg_iou` and the like are averaged over images with artifacts, `pooled_…` are of all pixels."""


def ordered(scores: Iterable[ImageScore]) -> list[ImageScore]:
    """The scores in the order of their ids, in which all sums are made: shards may come in any."""
    return sorted(scores, key=lambda score: score.image_id)


def value_of(statistic: str | Statistic, scores: Iterable[ImageScore]) -> float | None:
    """One figure, `None` where it has no value. statistic: a name of `STATISTICS`, or one of your own."""
    listed = ordered(scores)
    prepare = STATISTICS[statistic] if isinstance(statistic, str) else statistic
    found = float(prepare(listed)(np.ones((1, len(listed))))[0]) if listed else np.nan
    return None if np.isnan(found) else found
