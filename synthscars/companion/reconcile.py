"""Answers are fetched on our own account, every few minutes: exports are the truth, webhooks only hints.

It is `synthscars platform pull` as a process of its own: it cannot slow the proxy down, gives its memory
back, and takes the workspace's lock as anybody does. There is never more than one.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from synthscars.companion.measures import Measures
from synthscars.services.logs import log
from synthscars.workspace import Workspace

MOST_SECONDS = 3600.0
"""A pull that takes longer is ended; and so long at most is waited after failures."""

CALM_SECONDS = 5.0
"""After the first hint, because one answer seldom comes alone."""

HINTED_SECONDS = 60.0
"""Between two pulls at least, however many hints there are: every one of them keeps an export. Twice as long
after each failure."""

SHARE = 10
"""A pull is followed by a pause so many times as long at least."""

FIRST_SECONDS = 20.0
"""After the start, when nobody waits for the server any more."""

_LONGEST = 300


class Reconciled(msgspec.Struct):
    """How it went. at, seconds: end (since 1970) and duration of the last one that worked.

    failures: since then. error: what the last failure said. running: right now.
    """

    every_minutes: float = 0
    running: bool = False
    at: float = 0
    seconds: float = 0
    failures: int = 0
    error: str = ""
    images: int = 0


class Reconciler:
    """Runs a command again and again. every: minutes between two runs, 0 for never."""

    def __init__(
        self,
        workspace: Workspace,
        every: float,
        measures: Measures,
        command: Sequence[str] = (),
        first: float = FIRST_SECONDS,
        calm: float = CALM_SECONDS,
        least: float = HINTED_SECONDS,
    ) -> None:
        self.state = Reconciled(every_minutes=every)
        self._measures = measures
        self._first, self._calm, self._least = first, calm, least
        self._hinted = asyncio.Event()
        self._command = list(command) or [
            *(sys.executable, "-m", "synthscars", "platform", "pull", "--json"),
            *("--workspace", str(workspace.root)),
        ]

    async def run(self) -> None:
        """Until it is cancelled; a process that runs then is ended."""
        if not self.state.every_minutes:
            return
        await asyncio.sleep(self._first)
        while True:
            self._hinted.clear()
            await self.once()
            await self._rest()

    def hurry(self) -> None:
        """Something was answered: the next run comes in some seconds, but for the pauses that are needed."""
        self._hinted.set()

    async def _rest(self) -> None:
        """Wait for the next run."""
        begun, longest = time.monotonic(), self.pause()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hinted.wait(), longest)
        waited = time.monotonic() - begun
        # What went wrong may have been another command at work; hints do not mend anything else.
        pause = self._least * 2**self.state.failures
        least = max(waited + self._calm, pause, SHARE * self.state.seconds)
        await asyncio.sleep(max(0.0, min(longest, least) - waited))

    def pause(self) -> float:
        """Seconds until the next run: twice as long after every failure, at most an hour."""
        usual = self.state.every_minutes * 60
        return min(usual * 2**self.state.failures, max(MOST_SECONDS, usual)) if self.state.failures else usual

    async def once(self) -> None:
        """One run; what goes wrong is noted, never raised."""
        state = self.state
        if state.running:
            return
        state.running = True
        begun = time.monotonic()
        try:
            code, out, err = await self._process()
        except OSError as error:
            code, out, err = 3, b"", str(error).encode()
        finally:
            state.running = False
        seconds = time.monotonic() - begun
        # 1: items had to be set aside, the rest was fetched.
        worked = code in (0, 1)
        self._measures.pulls.labels("done" if worked else "failed").inc()
        self._measures.pull_seconds.set(seconds)
        if worked:
            state.at, state.seconds, state.failures, state.error = time.time(), seconds, 0, ""
            state.images = _images(out)
            self._measures.pull_at.set(state.at)
            log("reconciled", seconds=round(seconds, 2), images=state.images)
        else:
            state.failures += 1
            state.error = _last_words(err, code)
            log("reconciliation_failed", failures=state.failures, code=code, error=state.error)
        self._measures.pull_failures.set(state.failures)

    async def _process(self) -> tuple[int, bytes, bytes]:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), MOST_SECONDS)
        except TimeoutError:
            return 3, b"", f"it took longer than {MOST_SECONDS:.0f} s and was ended".encode()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, out, err


def _images(out: bytes) -> int:
    try:
        found: Any = msgspec.json.decode(out)
    except msgspec.DecodeError:
        return 0
    images = found.get("images") if isinstance(found, dict) else None
    return images if isinstance(images, int) else 0


def _last_words(err: bytes, code: int) -> str:
    """The message of the command, or the end of what it said."""
    lines = [line.strip() for line in err.decode(errors="replace").splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith("error: ")), lines[-1] if lines else "")
    return told.removeprefix("error: ")[:_LONGEST] or f"it ended with {code}"
