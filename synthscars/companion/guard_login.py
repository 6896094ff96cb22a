"""Logging in: not for addresses without a role, and not by trying passwords."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from urllib.parse import parse_qsl

from synthscars.companion.guard_refusals import RefusedError

WINDOW = 300.0
"""Seconds for which a failed try counts."""
PER_ACCOUNT, PER_ADDRESS = 10, 40
"""Failed tries within the window. A team may share one network address."""

_MOST = 10_000


class Throttle:
    """Counts failed tries by account and by network address. `clock`: seconds that only go forward."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def check(self, account: str, address: str) -> None:
        """Raise `RefusedError` 429 if there were too many."""
        for kind, name, most in (("account", account, PER_ACCOUNT), ("address", address, PER_ADDRESS)):
            tries = self._recent(kind, name)
            if len(tries) >= most:
                wait = max(1, round(tries[0] + WINDOW - self._clock()))
                raise RefusedError(
                    429,
                    f"Too many failed tries. Wait {max(1, round(wait / 60))} minutes, then try again.",
                    headers={"Retry-After": str(wait)},
                )

    def failed(self, account: str, address: str) -> None:
        """Note a failed try."""
        for kind, name in (("account", account), ("address", address)):
            self._recent(kind, name).append(self._clock())
            self._failed.move_to_end((kind, name))
        while len(self._failed) > _MOST:
            self._failed.popitem(last=False)

    def succeeded(self, account: str) -> None:
        """Forget the failed tries of an account whose password was right."""
        self._failed.pop(("account", account), None)

    def _recent(self, kind: str, name: str) -> deque[float]:
        tries = self._failed.setdefault((kind, name), deque())
        while tries and tries[0] <= self._clock() - WINDOW:
            tries.popleft()
        return tries


def form_fields(data: bytes) -> dict[str, str]:
    """The fields of a form as browsers send it. Raises `RefusedError` if it is none, or has a field twice."""
    try:
        pairs = parse_qsl(data.decode("utf-8"), keep_blank_values=True, max_num_fields=20)
    except ValueError as error:
        raise RefusedError(400, "The form cannot be read.") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise RefusedError(400, "The form has a field twice.")
    return fields
