"""Finding out whether a process number still belongs to the process that it was noted for."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path


def exists(pid: int) -> bool:
    """Whether a process with this number runs. One that has ended but was not collected yet does not."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        # "1234 (any name) S ...": Z is ended and not collected, which in a container may last for ever.
        state = (Path("/proc") / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in (b"Z", b"X")


def command_line(pid: int) -> str:
    """The command line of a process, empty if there is none or it may not be read."""
    proc = Path("/proc") / str(pid)
    if Path("/proc/self").exists():
        try:
            return os.fsdecode((proc / "cmdline").read_bytes().replace(b"\0", b" ")).strip()
        except OSError:
            return ""
    command = ["ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def variable(pid: int, name: str) -> str | None:
    """A variable of the environment that a process was started with, `None` if that cannot be told."""
    try:
        entries = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return None
    prefix = os.fsencode(f"{name}=")
    return next((os.fsdecode(entry[len(prefix) :]) for entry in entries if entry.startswith(prefix)), "")


def kill(pid: int, seconds: float = 10.0) -> None:
    """Kill a process at once and wait until it is gone, for at most some seconds."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + seconds
    while exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)


def end_group(pid: int, seconds: float = 10.0) -> bool:
    """End the process group that a process leads, by force if it takes longer; whether it is gone."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(pid, sign)
        deadline = time.monotonic() + seconds
        while exists(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not exists(pid):
            return True
    return False
