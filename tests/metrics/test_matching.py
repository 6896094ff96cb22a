import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from synthscars.metrics.matching import match, same

IOUS = hnp.arrays(
    np.float64,
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
    elements=st.sampled_from([0, 0.3, 0.5, 0.7, 1]),
)


@given(IOUS)
def test_every_region_is_in_one_pair_at_most_and_none_is_left_that_could_be(ious: np.ndarray) -> None:
    pairs = match(ious)
    assert all(ious[pair] >= 0.5 for pair in pairs)
    true, found = {i for i, _ in pairs}, {j for _, j in pairs}
    assert len(true) == len(found) == len(pairs)
    assert not any(
        ious[i, j] >= 0.5
        for i in range(ious.shape[0])
        for j in range(ious.shape[1])
        if i not in true and j not in found
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6))
def test_where_regions_do_not_overlap_it_is_the_assignment_with_the_greatest_sum(
    seed: int, rows: int, columns: int
) -> None:
    # Two labellings of the same pixels: regions of one do not overlap.
    rng = np.random.default_rng(seed)
    first = rng.integers(0, rows, 200)
    second = np.where(rng.random(200) < 0.7, first % columns, rng.integers(0, columns, 200))
    ious = np.array(
        [
            [
                ((first == i) & (second == j)).sum() / max(((first == i) | (second == j)).sum(), 1)
                for j in range(columns)
            ]
            for i in range(rows)
        ]
    )
    ious[ious <= 0.5] = 0
    best = linear_sum_assignment(-ious)
    assert sorted(match(ious)) == [(i, j) for i, j in zip(*best, strict=True) if ious[i, j] > 0]


def test_only_allowed_pairs_are_made() -> None:
    ious = np.array([[0.9, 0.6]])
    assert match(ious) == [(0, 0)]
    assert match(ious, allowed=same(["structure"], ["physics", "structure"])) == [(0, 1)]
    assert not same([None], [None]).any()
