"""Files that could not be used, kept beside the reason, so that nothing is lost."""

from __future__ import annotations

import re

import msgspec

from synthscars.files import atomic_file
from synthscars.images import sha256
from synthscars.problems import Problem
from synthscars.workspace import Workspace

_LONGEST_NAME = 80


def quarantine(workspace: Workspace, data: bytes, problem: Problem) -> str:
    """Keep the bytes of a bad file and the problem with it; returns the name they were kept under.

    The same bytes from the same source (`problem.file`) get the same name and are written once; empty files
    of different names stay apart.
    """
    name = quarantine_name(data, problem.file)
    reason = workspace.quarantine_dir / f"{name}.json"
    if not reason.exists():
        with atomic_file(workspace.quarantine_dir / name) as file:
            file.write(data)
        entry = {"source": problem.file, "sha256": sha256(data), "bytes": len(data), "problem": problem}
        # Last: where there is a reason, the bytes are complete.
        with atomic_file(reason) as file:
            file.write(msgspec.json.format(msgspec.json.encode(entry), indent=2) + b"\n")
    return name


def quarantine_name(data: bytes, source: str) -> str:
    """Hash of the bytes, hash of the source, and its last part as far as any file system takes it."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", source.rpartition("/")[2])[-_LONGEST_NAME:]
    return f"{sha256(data)[:16]}-{sha256(source.encode())[:8]}-{safe}"
