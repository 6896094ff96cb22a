"""Pulls on our own account, with small commands in the place of the pull."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from synthscars.companion import reconcile
from synthscars.companion.measures import Measures
from synthscars.companion.reconcile import MOST_SECONDS, Reconciler
from synthscars.labelstudio import processes
from synthscars.workspace import Workspace


def command(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def reconciler(workspace: Workspace, code: str, every: float = 10) -> Reconciler:
    return Reconciler(workspace, every, Measures(), command(code), first=0)


@pytest.mark.parametrize("code", [0, 1])
def test_a_pull_that_worked_is_noted(workspace: Workspace, code: int) -> None:
    pulls = reconciler(workspace, f"print('{{\"images\": 7}}'); raise SystemExit({code})")
    pulls.state.failures, pulls.state.error = 3, "before"
    asyncio.run(pulls.once())
    state = pulls.state
    assert (state.images, state.failures, state.error, state.running) == (7, 0, "", False)
    assert state.at > 0
    assert pulls.pause() == 600


@pytest.mark.parametrize("said", ["nothing", "[]", '{"images": "7"}', '{"images": null}', ""])
def test_what_it_says_need_not_be_what_was_expected(workspace: Workspace, said: str) -> None:
    pulls = reconciler(workspace, f"print({said!r})")
    asyncio.run(pulls.once())
    assert (pulls.state.images, pulls.state.failures) == (0, 0)


def test_failures_are_told_and_waited_for_longer_each_time(workspace: Workspace) -> None:
    code = "import sys; [print(one, file=sys.stderr) for one in ('working', {0!r}, 'bye')]; sys.exit(3)"
    pulls = reconciler(workspace, code.format("error: the disk is full"))
    waits = []
    for _ in range(12):
        pulls.state.failures += 1
        waits.append(pulls.pause())
    assert waits[:2] == [1200, 2400]
    assert max(waits) == MOST_SECONDS
    pulls.state.failures = 0
    asyncio.run(pulls.once())
    assert (pulls.state.failures, pulls.state.error, pulls.state.at) == (1, "the disk is full", 0)


def test_a_command_that_is_not_there_is_a_failure_like_others(workspace: Workspace) -> None:
    pulls = Reconciler(workspace, 10, Measures(), ["/nowhere/synthscars"], first=0)
    asyncio.run(pulls.once())
    assert pulls.state.failures == 1
    assert "/nowhere/synthscars" in pulls.state.error
    assert not pulls.state.running


_SLEEPER = "import os, pathlib, time; pathlib.Path({0!r}).write_text(str(os.getpid())); time.sleep(600)"


async def _number(path: str) -> int:
    while not (Path(path).exists() and Path(path).read_text()):
        await asyncio.sleep(0.02)
    return int(Path(path).read_text())


def test_a_pull_that_takes_too_long_is_ended(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "MOST_SECONDS", 2.0)
    note = str(workspace.root / "pid")
    pulls = reconciler(workspace, _SLEEPER.format(note))
    asyncio.run(pulls.once())
    assert "was ended" in pulls.state.error
    assert not processes.exists(int((workspace.root / "pid").read_text()))


def test_it_ends_its_process_when_it_is_cancelled_and_never_runs_two(workspace: Workspace) -> None:
    note = str(workspace.root / "pid")
    pulls = reconciler(workspace, _SLEEPER.format(note))

    async def cancelled() -> int:
        task = asyncio.create_task(pulls.run())
        pid = await _number(note)
        assert pulls.state.running
        await pulls.once()  # at once: one runs already
        assert processes.exists(pid)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pid

    pid = asyncio.run(cancelled())
    assert not processes.exists(pid)
    assert not pulls.state.running


def test_no_minutes_mean_never(workspace: Workspace) -> None:
    pulls = reconciler(workspace, "raise SystemExit(3)", every=0)
    asyncio.run(pulls.run())
    assert pulls.state.failures == 0


def test_by_default_it_is_our_own_pull_of_this_workspace(workspace: Workspace) -> None:
    pulls = Reconciler(workspace, 10, Measures())
    asyncio.run(pulls.once())
    # There is no server here: the pull says so in its own words.
    assert pulls.state.failures == 1
    assert "not running" in pulls.state.error
    assert str(workspace.root) in pulls.state.error.replace("\n", "")
