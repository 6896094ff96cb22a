import gc
import itertools
import threading
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthscars.engine import default_workers, map_ordered, rare_collections


@settings(max_examples=20)
@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 8))
def test_results_come_in_the_order_of_their_items(delays: list[int], workers: int) -> None:
    def work(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 1000)
        return item[0]

    assert list(map_ordered(work, enumerate(delays), workers=workers)) == list(range(len(delays)))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_an_endless_source_is_read_only_as_far_as_needed(workers: int) -> None:
    taken = 0

    def endless():
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield number

    results = map_ordered(lambda number: number * number, endless(), workers=workers)
    for count, result in enumerate(itertools.islice(results, 50)):
        assert result == count * count
        assert taken <= count + 2 * workers
    results.close()


def test_no_more_items_are_in_work_than_there_are_workers() -> None:
    lock, working, most = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        time.sleep(0.002)
        with lock:
            working -= 1

    list(map_ordered(work, range(40), workers=3))
    assert most == 3


def test_items_are_worked_on_at_the_same_time() -> None:
    # Each waits for the other: done one after the other, this would time out.
    barrier = threading.Barrier(2, timeout=10)
    assert len(list(map_ordered(lambda _: barrier.wait(), range(2), workers=2))) == 2


def test_an_exception_is_raised_at_the_turn_of_its_item_and_ends_the_work() -> None:
    started: list[int] = []

    def work(number: int) -> int:
        started.append(number)
        if number == 5:
            raise ValueError("number five")
        return number

    results = map_ordered(work, range(1000), workers=2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="number five"):
        next(results)
    assert list(results) == []
    assert len(started) < 20


def test_an_exception_of_the_source_is_raised() -> None:
    def source():
        yield 1
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        list(map_ordered(lambda number: number, source()))


def test_leaving_early_leaves_no_threads_behind() -> None:
    before = threading.active_count()
    results = map_ordered(lambda number: number, itertools.count(), workers=4)
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before


def test_nothing_gives_nothing() -> None:
    assert list(map_ordered(lambda number: number, [])) == []
    assert default_workers() >= 1


@pytest.mark.parametrize("before", [(700, 10, 10), (200_000, 5, 5), (0, 10, 10)])
def test_reference_cycles_are_looked_for_less_often_only_meanwhile(before: tuple[int, int, int]) -> None:
    own = gc.get_threshold()
    try:
        gc.set_threshold(*before)
        with suppress(KeyError), rare_collections():
            # Never more often than before, and not at all if somebody switched it off.
            assert gc.get_threshold()[0] == (max(before[0], 500_000) if before[0] else 0)
            raise KeyError
        assert gc.get_threshold() == before
    finally:
        gc.set_threshold(*own)


def test_the_last_of_several_who_want_few_collections_puts_the_usual_number_back() -> None:
    usual = gc.get_threshold()
    first, second = rare_collections(), rare_collections()
    first.__enter__()
    second.__enter__()
    rare = gc.get_threshold()
    first.__exit__(None, None, None)
    assert gc.get_threshold() == rare != usual
    second.__exit__(None, None, None)
    assert gc.get_threshold() == usual
