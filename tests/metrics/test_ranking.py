import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from synthscars.metrics.ranking import auroc, average_precision


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.sampled_from([1, 2, 5]))
def test_they_equal_scikit_learn_and_torchmetrics_with_ties_and_weights(
    seed: int, count: int, levels: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(count) < 0.6
    assume(0 < truth.sum() < count)
    scores = rng.integers(0, levels + 1, count) / levels
    weights = rng.integers(1, 4, (3, count)).astype(float)
    for row, area, precision in zip(
        weights, auroc(truth, scores, weights), average_precision(truth, scores, weights), strict=True
    ):
        assert area == pytest.approx(roc_auc_score(truth, scores, sample_weight=row), abs=1e-12)
        assert precision == pytest.approx(
            average_precision_score(truth, scores, sample_weight=row), abs=1e-12
        )
    target, found = torch.tensor(truth).long(), torch.tensor(scores)
    ones = np.ones((1, count))
    assert auroc(truth, scores, ones)[0] == pytest.approx(float(binary_auroc(found, target)), abs=1e-6)
    assert average_precision(truth, scores, ones)[0] == pytest.approx(
        float(binary_average_precision(found, target)), abs=1e-6
    )


def test_hand_worked_cases() -> None:
    truth = np.array([True, False, True, False])
    ones = np.ones((1, 4))
    assert auroc(truth, np.array([0.9, 0.8, 0.7, 0.1]), ones) == 0.75
    assert average_precision(truth, np.array([0.9, 0.8, 0.7, 0.1]), ones) == (1 + 2 / 3) / 2
    # All alike: whatever the order, half.
    assert auroc(truth, np.full(4, 0.3), ones) == average_precision(truth, np.full(4, 0.3), ones) == 0.5


def test_with_one_class_there_is_nothing_to_rank() -> None:
    ones = np.ones((1, 2))
    assert np.isnan(auroc(np.array([True, True]), np.array([0.1, 0.2]), ones)).all()
    assert np.isnan(average_precision(np.array([False, False]), np.array([0.1, 0.2]), ones)).all()
    assert np.isnan(auroc(np.zeros(0, dtype=bool), np.zeros(0), np.ones((1, 0)))).all()
