"""The audit log: a line for every request that changes something, or tries to. Lines are only ever added.

`platform/audit/YYYY-MM-DD.jsonl`, by the day in UTC. Never in it: queries, bodies, cookies, secrets.
"""

from __future__ import annotations

import logging
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from synthscars.companion.guard_refusals import RefusedError

FOLDER_NAME = "audit"
ROOM = 1 << 20
"""Bytes that have to be free on the disk: a change that cannot be written down is not passed on."""

_log = logging.getLogger(__name__)


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request. at: when its answer was known. user: Label Studio's number, 0 if not known.

    status: HTTP's, as it was answered. sha256: of the body as it came, `""` where it holds a password or was
    passed on unread. kept: where the answer of a refused submission was put.
    """

    at: datetime
    user: int = 0
    email: str = ""
    role: str = ""
    address: str = ""
    method: str
    path: str
    status: int
    project: int = 0
    task: int = 0
    annotation: int = 0
    sha256: str = ""
    kept: str = ""


class Audit:
    """Adds lines to the log of a platform folder."""

    def __init__(self, platform_dir: Path) -> None:
        self._folder = platform_dir / FOLDER_NAME

    def require_room(self) -> None:
        """Raise `RefusedError` 503 if a line could not be written."""
        try:
            os.close(self._open())
            if shutil.disk_usage(self._folder).free >= ROOM:
                return
            why = "the disk is full"
        except OSError as error:
            why = error.strerror or type(error).__name__
        _log.error("the audit log in %s cannot be written: %s", self._folder, why)
        raise RefusedError(
            503,
            "Nothing can be changed now, because the server cannot write its log. What you have drawn is "
            "still on your page: leave it open, and tell the person who manages the project.",
        )

    def add(self, entry: Entry) -> None:
        """Add a line, in one piece also if several processes do so at once."""
        line = msgspec.json.encode(entry) + b"\n"
        descriptor = self._open()
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{datetime.now(UTC).date().isoformat()}.jsonl"
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
