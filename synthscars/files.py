"""Writing files and folders whole or not at all.

Each is written under a name that starts with `.tmp-` and renamed when it is complete, so a kill leaves either
the old state or the new one, and at worst something that `remove_temporary` clears away.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from synthscars.problems import WorkspaceError

BUILDING = ".building"
_TEMPORARY = ".tmp-"
_REPLACED = ".replaced-"


@contextmanager
def atomic_file(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """Open a new file for writing that takes its name only when the block ends without an error.

    Makes the folder if needed, replaces an older file, and is on disk when the block has ended. private: only
    its owner can read it, from the moment it exists.
    """
    _make_folder(path.parent)
    temporary = _temporary_beside(path)
    try:
        with open(temporary, "xb", opener=_private if private else None) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if error.filename is None:  # a full disk does not say whose write it refused
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a new folder to fill, which takes its name only when the block ends without an error.

    The folders in it are synced, its files are the caller's to sync (as `atomic_file` does). `replace`: an
    older folder of that name makes way at the very end; after a kill in just that moment `remove_temporary`
    puts it back. Otherwise raises `WorkspaceError` if `path` exists already.
    """
    _make_folder(path.parent)
    temporary = _temporary_beside(path)
    try:
        temporary.mkdir()
        yield temporary
        take_name(temporary, path, replace=replace)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def building_folder(parent: Path) -> Path:
    """The folder in `parent` in which a folder is built that is to be gone on with after an error or a kill.

    Give it its name with `take_name` when it is complete. There is one, so only one process at a time may
    build in `parent`; what it holds at first is the caller's to check or to remove.
    """
    folder = parent / BUILDING
    _make_folder(folder)
    return folder


def take_name(folder: Path, path: Path, *, replace: bool) -> None:
    """Give a complete folder its name, `replace` as in `atomic_folder`; its files must have been synced."""
    for inner, _, _ in os.walk(folder, topdown=False):
        sync_folder(Path(inner))
    if path.exists() and not replace:
        raise WorkspaceError(f"{path} exists already", fix="choose another name, or remove it first")
    aside = path.with_name(_REPLACED + path.name)
    try:
        if path.exists():
            # No portable call swaps two folders.
            path.rename(aside)
        folder.rename(path)
        sync_folder(path.parent)
    finally:
        if replace:
            _settle(aside, path)


def _settle(aside: Path, path: Path) -> None:
    """Put a folder that had to make way back if its replacement is not there, else remove it."""
    if not aside.exists():
        return
    if path.exists():
        shutil.rmtree(aside)
    else:
        aside.rename(path)


def _temporary_beside(path: Path) -> Path:
    # Only the start of the name, so that it stays below the 255 bytes that a name may have.
    return path.with_name(f"{_TEMPORARY}{secrets.token_hex(6)}-{path.name[:40]}")


def is_temporary(path: Path) -> bool:
    """Whether this is what a killed `atomic_file` or `atomic_folder` left behind."""
    return re.match(re.escape(_TEMPORARY) + "[0-9a-f]{12}-", path.name) is not None


def remove_temporary(folder: Path) -> None:
    """Clear away what killed writers left in a folder. Call it only while nobody else writes there."""
    if not folder.is_dir():
        return
    for path in list(folder.iterdir()):
        if path.name.startswith(_REPLACED):
            _settle(path, folder / path.name.removeprefix(_REPLACED))
        elif path.name.startswith(_TEMPORARY):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make_folder(folder: Path) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
