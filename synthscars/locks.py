"""Locks between processes: who comes second is told at once who came first, and never waits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from synthscars.problems import SynthScarsError

_WORDS = 3


@contextmanager
def lock_at_once(path: Path, busy: Callable[[str], SynthScarsError]) -> Iterator[None]:
    """Hold the lock of a file; it ends with the process.

    busy: makes the error to raise if another process has it, from who that is: " (`synthscars platform pull`,
    process 123)", or "" where that cannot be told.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise busy(_who(path)) from error
    try:
        yield
    finally:
        lock.release()


def _who(path: Path) -> str:
    """Who holds the lock of a file, as the kernel tells it; only Linux does."""
    try:
        inode = f":{path.stat().st_ino}"
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return ""
    for line in lines:
        # "1: FLOCK  ADVISORY  WRITE 30623 fe:00:2868379 0 EOF"
        fields = line.split()
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].endswith(inode):
            words = _words(fields[4])
            return f" ({words}process {fields[4]})" if fields[4] != str(os.getpid()) else ""
    return ""


def _words(pid: str) -> str:
    """The command of a process if it is one of ours, without its options."""
    try:
        given = os.fsdecode((Path("/proc") / pid / "cmdline").read_bytes()).rstrip("\0").split("\0")
    except OSError:
        return ""
    names = [Path(word).name for word in given]
    if "synthscars" not in names:
        return ""
    words = given[names.index("synthscars") + 1 :][:_WORDS]
    until = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    return f"`{' '.join(['synthscars', *words[:until]])}`, "
