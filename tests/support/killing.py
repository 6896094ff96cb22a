"""Kill a process between two changes of what is on disk, chosen by number instead of by the clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

# Between two of these calls, what is on disk under its final name is the same.
_COUNTED = """
import os, signal, sys, threading
from pathlib import Path

left, lock = int(sys.argv.pop(1)), threading.Lock()

def counted(function):
    def call(*args, **options):
        global left
        with lock:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **options)
    return call

os.fsync = counted(os.fsync)
Path.replace, Path.rename, Path.mkdir = counted(Path.replace), counted(Path.rename), counted(Path.mkdir)
"""

# Before each request is sent, and after each answer is there.
_ASKING = """
import httpx

def asking(function):
    def call(*args, **options):
        counted(lambda: None)()
        try:
            return function(*args, **options)
        finally:
            counted(lambda: None)()
    return call

httpx.Client.send = asking(httpx.Client.send)
"""


def killed_at(step: int, code: str, *arguments: object, requests: bool = False) -> bool:
    """Run Python code and kill it (SIGKILL) when it is about to make a folder, sync or rename the n-th time.

    requests: before and after every HTTP request counts too. The code finds its arguments in `sys.argv[1:]`.
    Returns whether it was killed; `False`: it ended before,
    without an error.
    """
    command = [
        sys.executable,
        "-c",
        _COUNTED + (_ASKING if requests else "") + code,
        str(step),
        *map(str, arguments),
    ]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, env=environment)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0
