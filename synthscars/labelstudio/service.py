"""The companion process of a workspace: start it, find it again, stop it.

People come to the companion; Label Studio stands behind it, at a port of its own that is told to nobody.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import msgspec

import synthscars
from synthscars.labelstudio import processes
from synthscars.labelstudio.companion_file import (
    LOOPBACK,
    Companion,
    new_companion,
    read_companion,
    save_companion,
)
from synthscars.labelstudio.environment import Say
from synthscars.labelstudio.server import STOP_SECONDS, free_port, require
from synthscars.problems import PlatformError
from synthscars.workspace import Workspace

LOG_NAME = "companion.log"
START_SECONDS = 120.0
_MODULE = "synthscars.companion"
_LOG_LINES = 15
# Not below a path: Label Studio's pages name everything from the root.
_PUBLIC = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?")


def plan_companion(
    workspace: Workspace, say: Say, *, port: int | None = None, host: str = "", public_url: str = ""
) -> Companion:
    """Where the companion is to listen, before anything is started: the running one's place if it has one.

    port: preferred, the workspace's setting if not given; another is taken if it is busy. host: the address
    to listen at, loopback if not given. public_url: under which people reach it, needed if host is not
    loopback. Raises `PlatformError` if they are missing or do not go together.
    """
    known = read_companion(workspace.platform_dir)
    public_url = public_url.rstrip("/")
    if host and host not in LOOPBACK and not public_url:
        raise PlatformError(
            f"{host} is open to others, and passwords would go over the network as they are",
            fix="name the https address of the proxy before it with --public-url "
            "(docs/how-to/serve-a-team.md), or leave out --host",
        )
    if public_url and not _PUBLIC.fullmatch(public_url):
        raise PlatformError(
            f"{public_url} is no address of a proxy that speaks https",
            fix="give it like https://scars.example.org, without a path",
        )
    companion = known or new_companion()
    if is_running(workspace, companion):
        wanted = (port or companion.port, host or companion.host, public_url or companion.public_url)
        if wanted == (companion.port, companion.host, companion.public_url):
            return companion
        say("ending the running companion: it was started for another address")
        stop_companion(workspace)
    # One that ended by itself comes back where people know it; one that was stopped, where it is wanted now.
    ended = companion.pid != 0
    if ended and not host:
        host, public_url = companion.host, public_url or companion.public_url
    listening = host or LOOPBACK[0]
    chosen = port or (companion.port if ended else 0) or workspace.settings.platform.port
    return msgspec.structs.replace(
        companion,
        host=listening,
        port=free_port(chosen, say) if listening in LOOPBACK else chosen,
        public_url=public_url,
        version=synthscars.__version__,
    )


def start_companion(workspace: Workspace, companion: Companion, say: Say) -> tuple[Companion, bool]:
    """Start it as planned, and say whether it had to be started. Label Studio has to run.

    Raises `PlatformError` with the end of its log if it does not answer in time.
    """
    upstream = require(workspace).url
    if is_running(workspace, companion):
        if companion.upstream == upstream and answers(companion):
            return companion, False
        moved = companion.upstream != upstream
        say(f"ending a companion {'whose Label Studio has moved' if moved else 'that does not answer'}")
        _end(workspace, companion.pid)
    folder = workspace.platform_dir
    # Its health tells it from whatever else may answer at that port.
    companion = msgspec.structs.replace(
        companion, upstream=upstream, instance=os.urandom(8).hex(), pid=0, ready=False
    )
    save_companion(folder, companion)
    say(f"starting the companion on {companion.local_url}")
    process = _launch(workspace)
    companion = msgspec.structs.replace(companion, pid=process.pid)
    save_companion(folder, companion)
    deadline = time.monotonic() + START_SECONDS
    while not answers(companion):
        if process.poll() is not None or time.monotonic() > deadline:
            what = "ended at once" if process.poll() is not None else "does not answer"
            _end(workspace, process.pid)
            raise PlatformError(
                f"the companion {what}; the end of {folder / LOG_NAME}:\n{_log_tail(folder)}",
                fix="look at the log; run `synthscars platform up` again",
            )
        time.sleep(0.2)
    companion = msgspec.structs.replace(companion, ready=True)
    save_companion(folder, companion)
    return companion, True


def find_companion(workspace: Workspace) -> Companion | None:
    """The running companion, `None` if there is none; notes of a dead one are not believed."""
    companion = read_companion(workspace.platform_dir)
    return companion if companion is not None and is_running(workspace, companion) else None


def stop_companion(workspace: Workspace) -> bool:
    """End it; `False` if it was not running. Its secrets stay, so that signed addresses go on working."""
    companion = read_companion(workspace.platform_dir)
    if companion is None or not is_running(workspace, companion):
        return False
    _end(workspace, companion.pid)
    save_companion(workspace.platform_dir, msgspec.structs.replace(companion, pid=0, ready=False))
    return True


def is_running(workspace: Workspace, companion: Companion) -> bool:
    """Whether its process is there, and still is that of this workspace."""
    pid = companion.pid
    if pid <= 0 or not processes.exists(pid):
        return False
    return processes.command_line(pid).endswith(f"-m {_MODULE} {workspace.root}")


def answers(companion: Companion) -> bool:
    """Whether it is this companion that answers, with Label Studio or without it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{companion.local_url}/companion/health", timeout=10) as response:
            found = json.load(response)
    except urllib.error.HTTPError as error:
        # 503: it says that Label Studio is away.
        with error, suppress(ValueError):
            found = json.load(error)
            return isinstance(found, dict) and found.get("instance") == companion.instance
        return False
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("instance") == companion.instance


def _launch(workspace: Workspace) -> subprocess.Popen[bytes]:
    folder = workspace.platform_dir
    if (folder / LOG_NAME).exists():
        (folder / LOG_NAME).replace(folder / f"{LOG_NAME}.1")
    log = os.open(folder / LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(workspace.root)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    finally:
        os.close(log)


def _end(workspace: Workspace, pid: int) -> None:
    if processes.end_group(pid, 2 * STOP_SECONDS):
        return
    raise PlatformError(f"the companion process {pid} does not end", fix=f"end it yourself: kill -9 {pid}")


def _log_tail(folder: Path) -> str:
    try:
        lines = (folder / LOG_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return "(there is no log)"
    return "\n".join(lines[-_LOG_LINES:])
