"""The files of a release that is being written, and those that need not be written again.

A file is taken over from the version before, or from a build that was interrupted, if its rows are made from
the same (`Shard.key`) and its bytes are those that were written then.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from synthscars.files import atomic_file
from synthscars.release.shards import Shard

_STATE = ".state"
_READ_BYTES = 2**24


def finished(folder: Path) -> dict[str, Shard]:
    """By their paths, the files in it that an interrupted build had finished, as `note` wrote them down."""
    found: dict[str, Shard] = {}
    for path in sorted((folder / _STATE).glob("*.json")):
        try:
            shard = msgspec.json.decode(path.read_bytes(), type=Shard)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError):
            continue  # damaged, or of another version of synthscars: cleared away like what is not wanted
        found[shard.path] = shard
    return found


def note(folder: Path, shard: Shard) -> None:
    """Write down that a file is finished."""
    with atomic_file(_note(folder, shard)) as file:
        file.write(msgspec.json.encode(shard))


def _note(folder: Path, shard: Shard) -> Path:
    return folder / _STATE / f"{shard.path.replace('/', '-')}.json"


def clear(folder: Path, keep: Iterable[Shard] = ()) -> None:
    """Remove everything but these files and the notes about them."""
    kept = {folder / shard.path for shard in keep} | {_note(folder, shard) for shard in keep}
    for inner, folders, names in os.walk(folder, topdown=False):
        # A symbolic link to a folder is listed with the folders, and not gone into.
        for name in [*names, *(name for name in folders if Path(inner, name).is_symlink())]:
            if Path(inner, name) not in kept:
                Path(inner, name).unlink()
        if Path(inner) != folder and not any(Path(inner).iterdir()):
            Path(inner).rmdir()


def forget(folder: Path) -> None:
    """Remove the notes: the folder is complete."""
    shutil.rmtree(folder / _STATE, ignore_errors=True)


def drop_unless_useful(folder: Path) -> None:
    """Remove the folder if no file in it is finished."""
    if not finished(folder):
        shutil.rmtree(folder, ignore_errors=True)


def is_whole(path: Path, shard: Shard) -> bool:
    """Whether a file has the bytes that it had when it was written; not if it cannot be read."""
    try:
        return path.stat().st_size == shard.bytes and digest(path) == shard.sha256
    except OSError:
        return False


def digest(path: Path) -> str:
    """The sha256 of a file, lower-case hex."""
    # Much at a time: after each part a thread waits for its turn with the interpreter, which others keep
    # busy, and with the 256 KiB of `hashlib.file_digest` it waited longer than it hashed.
    found = hashlib.sha256()
    memory = memoryview(bytearray(max(min(path.stat().st_size, _READ_BYTES), 2**16)))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(memory):
            found.update(memory[:count])
    return found.hexdigest()


def take_over(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`: a second name for it, or a copy where that cannot be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        # Not a second name for a symbolic link, which may point nowhere from another folder.
        os.link(source.resolve(), target)
    except OSError:  # another disk, or a file system without hard links
        with source.open("rb") as old, atomic_file(target) as new:
            shutil.copyfileobj(old, new, 2**20)
