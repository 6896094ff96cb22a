from __future__ import annotations

import msgspec
import numpy as np
import pytest
from scipy import stats
from scoring import SIZE, artifact, box, prediction, random_records, record, region, shaken

from synthscars.metrics import ImageScore, bootstrap, bootstrap_gain, score_images, value_of
from synthscars.metrics.resampling import _draws, _groups
from synthscars.metrics.statistics import STATISTICS, ordered
from synthscars.problems import UsageError


def middling(count: int = 50, by: float = 3.0) -> list[ImageScore]:
    records = random_records(count)
    return list(score_images(zip(shaken(records, by=by), records, strict=True)))


SCORES = middling()


def alone(scores: list[ImageScore]) -> list[ImageScore]:
    return [msgspec.structs.replace(score, group_id="") for score in scores]


@pytest.mark.parametrize("name", STATISTICS)
def test_weights_are_how_often_an_image_was_drawn(name: str) -> None:
    """The vectorised figures are those of the images really drawn, written down as often as they were."""
    listed = ordered(SCORES)
    figure = STATISTICS[name](listed)
    rng = np.random.default_rng(1)
    for weights in np.stack([np.bincount(rng.integers(50, size=50), minlength=50) for _ in range(5)]):
        drawn = [
            msgspec.structs.replace(score, image_id=f"{score.image_id}-{copy}")
            for score, times in zip(listed, weights, strict=True)
            for copy in range(times)
        ]
        expected = value_of(name, drawn)
        found = float(figure(weights[None].astype(float))[0])
        assert (np.isnan(found) and expected is None) or found == pytest.approx(expected, abs=1e-12)


def test_the_interval_of_a_mean_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    rows = [record(artifact(box(0, 0, 10, 10)), image_id=f"{n:03d}") for n in range(80)]
    answers = [prediction(each, region(box(0, 0, 10, float(rng.integers(0, 11))))) for each in rows]
    scores = list(score_images(zip(answers, rows, strict=True)))
    values = [score.pixels.overlap()["fg_iou"] for score in scores]
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    found = bootstrap(scores, "fg_iou", seed=2, rounds=20_000)
    assert found == pytest.approx((expected.low, expected.high), abs=0.004)


def test_the_same_seed_gives_the_same_interval_in_whatever_order_the_scores_come() -> None:
    assert bootstrap(SCORES, "pooled_f1", 3, 200) == bootstrap(SCORES[::-1], "pooled_f1", 3, 200)
    assert bootstrap(SCORES, "pooled_f1", 3, 200) != bootstrap(SCORES, "pooled_f1", 4, 200)


def test_whole_groups_are_drawn() -> None:
    listed = ordered(SCORES)
    groups = _groups(listed)
    for weights in _draws(groups, seed=0, rounds=20):
        for group in set(groups.tolist()):
            assert len(set(weights[0, groups == group])) == 1
    assert len(set(groups.tolist())) < len(listed)


def test_copies_of_an_image_do_not_make_us_surer() -> None:
    single = alone([score for score in SCORES if score.truth])
    copies = [
        msgspec.structs.replace(score, image_id=f"{score.image_id}-{n}", group_id=score.image_id)
        for score in single
        for n in range(9)
    ]

    def width(scores: list[ImageScore]) -> float:
        low, high = bootstrap(scores, "fg_iou", 0, 2000)
        return high - low

    assert width(copies) == pytest.approx(width(single), rel=0.1)
    assert width(alone(copies)) < width(single) / 2


def test_a_gain_is_measured_on_the_same_draws() -> None:
    better, worse = middling(by=1.0), middling(by=6.0)
    gain = value_of("fg_iou", better) - value_of("fg_iou", worse)
    low, high = bootstrap_gain(better, worse, "fg_iou", 0, 500)
    assert 0 < low < gain < high
    assert bootstrap_gain(better, better, "fg_iou", 0, 100) == (0.0, 0.0)
    with pytest.raises(UsageError, match="different images"):
        bootstrap_gain(better, worse[1:], "fg_iou")


def test_a_figure_without_a_value_has_no_interval() -> None:
    clean = [record(image_id=str(n)) for n in range(5)]
    scores = list(score_images((None, each) for each in clean))
    assert bootstrap(scores, "fg_iou", rounds=20) is None
    assert bootstrap([], "fg_iou", rounds=20) is None


def test_a_statistic_of_ones_own_can_be_given() -> None:
    def share_of_large(scores):  # images of which a twentieth is covered
        large = np.array([score.pixels.true > SIZE * SIZE / 20 for score in scores], dtype=float)
        return lambda weights: weights @ large / weights.sum(axis=1)

    low, high = bootstrap(SCORES, share_of_large, rounds=200)
    assert low < value_of(share_of_large, SCORES) < high


def test_many_rounds_are_taken_in_parts_and_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap(SCORES, "f1", 0, 300)
    monkeypatch.setattr("synthscars.metrics.resampling._CELLS", 7 * len(SCORES))
    assert bootstrap(SCORES, "f1", 0, 300) == pytest.approx(whole, abs=1e-12)
