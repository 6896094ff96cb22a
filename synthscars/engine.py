"""Map a pure function over many items with threads, in order and in bounded memory.

Image decoding, hashing and Parquet writing release the GIL, so threads use all cores without copying images
between processes.
"""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

_COLLECT_AFTER = 500_000

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def default_workers() -> int:
    """One thread per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Rare:
    """The thresholds are those of the process: the last who needs others puts the usual ones back."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.users = 0
        self.usual = gc.get_threshold()


_rare = _Rare()


@contextmanager
def rare_collections() -> Iterator[None]:
    """Have Python look for reference cycles less often, in all threads.

    Records are trees of many small objects without cycles, and with Python's own thresholds nearly a tenth of
    the time of a build goes into looking through them.
    """
    with _rare.lock:
        if not _rare.users:
            _rare.usual = usual = gc.get_threshold()
            if usual[0]:  # 0: whoever uses this has switched it off
                gc.set_threshold(max(usual[0], _COLLECT_AFTER), *usual[1:])
        _rare.users += 1
    try:
        yield
    finally:
        with _rare.lock:
            _rare.users -= 1
            if not _rare.users:
                gc.set_threshold(*_rare.usual)


def map_ordered(
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    *,
    workers: int | None = None,
    ahead: int | None = None,
) -> Iterator[_Result]:
    """Yield `function(item)` for every item, in the order of the items.

    At most `workers + ahead` results wait at a time, however many items there are; ahead: as many as there
    are workers if not given, fewer where results are large. An exception of `function` is raised here, at its
    item's turn.
    """
    count = workers or default_workers()
    most = count + (count if ahead is None else ahead)
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(count, thread_name_prefix="synthscars") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
