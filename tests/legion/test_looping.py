"""When an answer counts as a loop, and that none is written to its end."""

from __future__ import annotations

import pytest
import torch

from synthscars.legion.looping import EVERY, LEAST, PERIODS, TIMES, StopLoops

OTHER = list(range(100, 140))


def done(*rows: list[int]) -> list[bool]:
    return StopLoops()(torch.tensor(rows), None).tolist()


@pytest.mark.parametrize("period", PERIODS)
def test_the_same_tokens_four_times_on_end_are_a_loop_and_three_times_are_not(period: int) -> None:
    times = max(TIMES, -(-LEAST // period))
    tokens = list(range(period))
    assert done(OTHER + tokens * times) == [True]
    assert done([99, *OTHER, *(tokens * times)[1:]]) == [False]
    assert done([*OTHER[1:], *tokens * times, 99]) == [False]


def test_each_row_is_looked_at_by_itself() -> None:
    assert done(OTHER[:24], [7] * 24, [7, 8] * 12, [*OTHER[:18], *[7] * 6]) == [False, True, True, False]


def test_a_loop_is_looked_for_once_in_a_few_tokens() -> None:
    assert [done([7] * (4 * LEAST + more)) for more in range(EVERY + 1)] == [[True], *[[False]] * 3, [True]]


def test_a_text_that_is_shorter_than_any_loop_is_none() -> None:
    assert done([7] * (LEAST - EVERY)) == [False]
    assert done([]) == [False]
