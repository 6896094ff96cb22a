"""Pulls on our own account: one at a time, further apart while they fail."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence

import pytest

pytest.importorskip("prometheus_client")

from synthscars.companion.measures import Measures
from synthscars.companion.reconcile import MOST_SECONDS, Reconciler
from synthscars.workspace import Workspace


def reconciler(workspace: Workspace, script: str, *arguments: str, every: float = 10) -> Reconciler:
    return Reconciler(workspace, every, Measures(), [sys.executable, "-c", script, *arguments], first=0)


def test_what_a_pull_found_is_noted(workspace: Workspace) -> None:
    for code in (0, 1):
        pulls = reconciler(workspace, f"print({json.dumps(json.dumps({'images': 7}))}); exit({code})")
        asyncio.run(pulls.once())
        assert (pulls.state.images, pulls.state.failures, pulls.state.error) == (7, 0, "")
        assert pulls.state.at > 0
        assert pulls.pause() == 600


def test_after_failures_it_waits_longer_and_says_why(workspace: Workspace) -> None:
    pulls = reconciler(
        workspace,
        "import sys; print('error: Label Studio is not running\\n  → start it', file=sys.stderr); exit(3)",
    )
    waits = []
    for _ in range(5):
        asyncio.run(pulls.once())
        waits.append(pulls.pause())
    assert waits == [1200, 2400, MOST_SECONDS, MOST_SECONDS, MOST_SECONDS]
    assert pulls.state.error == "Label Studio is not running"
    assert (pulls.state.at, pulls.state.running) == (0, False)


def test_a_command_that_is_not_there_is_a_failure_too(workspace: Workspace) -> None:
    pulls = Reconciler(workspace, 10, Measures(), ["/nowhere/synthscars"])
    asyncio.run(pulls.once())
    assert pulls.state.failures == 1
    assert "/nowhere/synthscars" in pulls.state.error


def test_there_is_never_more_than_one(workspace: Workspace) -> None:
    log = workspace.root / "runs"
    script = (
        "import sys, pathlib, time; p = pathlib.Path(sys.argv[1]); "
        "p.write_text((p.read_text() if p.exists() else '') + 'x'); time.sleep(0.5)"
    )

    async def twice() -> None:
        pulls = reconciler(workspace, script, str(log))
        await asyncio.gather(pulls.once(), pulls.once(), pulls.once())

    asyncio.run(twice())
    assert log.read_text() == "x"


def test_its_process_ends_with_it(workspace: Workspace) -> None:
    from synthscars.labelstudio import processes

    note = workspace.root / "pid"
    script = (
        "import os, sys, time; new = sys.argv[1] + '.new'; open(new, 'w').write(str(os.getpid())); "
        "os.rename(new, sys.argv[1]); time.sleep(600)"
    )

    async def cancelled() -> None:
        task = asyncio.create_task(reconciler(workspace, script, str(note)).run())
        while not note.exists():
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert not processes.exists(int(note.read_text()))


def test_zero_minutes_are_never(workspace: Workspace) -> None:
    pulls = reconciler(workspace, "raise SystemExit(0)", every=0)
    asyncio.run(pulls.run())
    assert pulls.state.at == 0


def test_by_default_it_is_the_command_that_anybody_would_use(workspace: Workspace) -> None:
    command: Sequence[str] = Reconciler(workspace, 10, Measures())._command
    assert list(command[1:]) == [
        "-m",
        "synthscars",
        "platform",
        "pull",
        "--json",
        "--workspace",
        str(workspace.root),
    ]
