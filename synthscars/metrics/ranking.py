"""Areas under curves of a detector's probabilities, for many weightings of the images at once.

Equal probabilities are one point of a curve, so their order decides nothing: the figures are those of
scikit-learn's `roc_auc_score` and `average_precision_score` with `sample_weight`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from synthscars.metrics.overlap import Array, ratio


def auroc(truth: npt.NDArray[np.bool_], scores: Array, weights: Array) -> Array:
    """Area under the ROC curve, shape (rounds,): NaN where one of the classes has no weight.

    truth, scores: shape (images,). weights: shape (rounds, images).
    """
    positive, negative = _by_score(truth, scores, weights)
    below = np.cumsum(negative[:, ::-1], axis=1)[:, ::-1] - negative
    won = (positive * (below + negative / 2)).sum(axis=1)
    return ratio(won, positive.sum(axis=1) * negative.sum(axis=1))


def average_precision(truth: npt.NDArray[np.bool_], scores: Array, weights: Array) -> Array:
    """Average precision (precision at each recall, not interpolated), shape (rounds,); see `auroc`.

    NaN where the true class has no weight.
    """
    positive, negative = _by_score(truth, scores, weights)
    hits = np.cumsum(positive, axis=1)
    precision = ratio(hits, hits + np.cumsum(negative, axis=1), 0.0)
    return ratio((precision * positive).sum(axis=1), positive.sum(axis=1))


def _by_score(truth: npt.NDArray[np.bool_], scores: Array, weights: Array) -> tuple[Array, Array]:
    """Weight of both classes at each different score, the highest first: shapes (rounds, scores)."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    if not len(order):
        return np.zeros((len(weights), 0)), np.zeros((len(weights), 0))
    sorted_weights = weights[:, order]
    sorted_truth = truth[order]
    return (
        np.add.reduceat(sorted_weights * sorted_truth, starts, axis=1),
        np.add.reduceat(sorted_weights * ~sorted_truth, starts, axis=1),
    )
