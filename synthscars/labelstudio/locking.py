"""One command at a time. Who starts or stops the platform second is told so; who writes second waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from synthscars.locks import lock_at_once
from synthscars.problems import PlatformError, WorkspaceError
from synthscars.workspace import Workspace

PATIENCE = 300.0
"""Seconds. A pull of many answers takes most of a minute."""


@contextmanager
def workspace_lock(workspace: Workspace, say: Callable[[str], None] = lambda line: None) -> Iterator[None]:
    """Hold the workspace for writing, after whoever holds it now.

    The companion pulls when it sees fit, for which nobody should be refused. say: told at once who is waited
    for. Raises `WorkspaceError` after `PATIENCE` seconds.
    """
    deadline = time.monotonic() + PATIENCE
    with ExitStack() as held:
        waiting = False
        while True:
            try:
                held.enter_context(workspace.lock())
                break
            except WorkspaceError as error:
                if time.monotonic() >= deadline:
                    raise
                if not waiting:
                    say(f"waiting: {error.message}")
                waiting = True
                time.sleep(0.2)
        yield


@contextmanager
def server_lock(folder: Path) -> Iterator[None]:
    """Nobody else starts or stops the server of this `platform/` folder meanwhile.

    Raises `PlatformError` at once if somebody does so right now.
    """
    with lock_at_once(folder / ".server.lock", partial(_busy, folder)):
        yield


@contextmanager
def platform_lock(workspace: Workspace) -> Iterator[None]:
    """Nobody else brings the platform up or down meanwhile: Label Studio, the project and the companion.

    Raises `PlatformError` at once if somebody does so right now.
    """
    folder = workspace.platform_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock_at_once(folder / ".platform.lock", partial(_busy, folder)):
        yield


def _busy(folder: Path, who: str) -> PlatformError:
    return PlatformError(
        f"another command is starting or stopping the platform of {folder.parent} right now{who}",
        fix="wait until it has finished, then look with `synthscars platform status`",
    )
