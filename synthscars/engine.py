"""Map a pure function over many items with threads, in order and in bounded memory.

Image decoding, hashing and Parquet writing release the GIL, so threads use all cores without copying images
between processes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def default_workers() -> int:
    """One thread per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
