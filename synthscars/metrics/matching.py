"""Which predicted region is which true one, by mask IoU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MIN_IOU = 0.5
"""Regions that overlap less are not the same."""


def match(
    ious: npt.NDArray[np.float64], least: float = MIN_IOU, allowed: npt.NDArray[np.bool_] | None = None
) -> list[tuple[int, int]]:
    """Pairs of a true and a predicted region, each in one pair at most; the best overlap comes first.

    ious: shape (true, predicted). allowed: same shape, which pairs may be. Of equally good pairs the first
    counts. Where neither the true nor the predicted regions of an image overlap, an IoU above 0.5 leaves no
    choice (Kirillov et al., Panoptic Segmentation, 2019), and this is the assignment with the greatest sum.
    """
    good = ious >= least if allowed is None else (ious >= least) & allowed
    true, predicted = np.nonzero(good)
    order = np.lexsort((predicted, true, -ious[true, predicted]))
    pairs: list[tuple[int, int]] = []
    taken_true: set[int] = set()
    taken_predicted: set[int] = set()
    for index in order.tolist():
        i, j = int(true[index]), int(predicted[index])
        if i not in taken_true and j not in taken_predicted:
            pairs.append((i, j))
            taken_true.add(i)
            taken_predicted.add(j)
    return pairs


def same(first: Sequence[str | None], second: Sequence[str | None]) -> npt.NDArray[np.bool_]:
    """Which pairs have the same label, shape (len(first), len(second)); no label is like none."""
    return np.array([[a is not None and a == b for b in second] for a in first], dtype=np.bool_).reshape(
        len(first), len(second)
    )
