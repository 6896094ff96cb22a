"""Starting and stopping is one command's business at a time; who comes second is told so at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from synthscars.locks import lock_at_once
from synthscars.problems import PlatformError
from synthscars.workspace import Workspace


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
