"""Looks at a file or folder to tell its format: by name, first item of a list, or keys of an object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from synthscars.problems import FormatError

_HEAD = 64 * 1024
_LONGEST = 16 * 1024 * 1024
"""Bytes that are read to recognise a file: a little, and more only if its first item is longer than that."""


class Evidence:
    """What a file or folder looks like; nothing is read before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name.lower()
        self.is_folder = path.is_dir()
        self._inside: dict[Path, Evidence] = {}

    def __contains__(self, pattern: str) -> bool:
        """Whether a folder holds something of that pattern (`annotations/*.json`) that is not hidden."""
        return self.is_folder and next(self._shown(pattern), None) is not None

    def _shown(self, pattern: str) -> Iterator[Path]:
        # Archives from a Mac hold a `._NAME` beside every NAME, which is no JSON, and comes first.
        return (path for path in self.path.glob(pattern) if not path.name.startswith("."))

    def within(self, *patterns: str) -> Evidence | None:
        """The first file in the folder that one of the patterns names."""
        if not self.is_folder:
            return None
        for pattern in patterns:
            found = min((path for path in self._shown(pattern) if path.is_file()), default=None)
            if found is not None:
                # The same one to all that ask: it knows what it has read.
                return self._inside.setdefault(found, Evidence(found))
        return None

    @cached_property
    def head(self) -> str:
        """The start of a file as text, without leading white space; `""` of a folder or a binary file."""
        return self._start(_HEAD)

    def _start(self, size: int) -> str:
        if self.is_folder:
            return ""
        try:
            with self.path.open("rb") as file:
                data = file.read(size)
        except OSError as error:
            raise FormatError(f"{self.path}: {error.strerror or error}") from error
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        return data.decode("utf-16" if utf16 else "utf-8-sig", errors="replace").lstrip()

    @cached_property
    def first(self) -> Any:
        """The first item of a JSON list, or of JSON Lines; `None` if there is none."""
        if not self.head.startswith(("[", "{")):
            return None
        size = _HEAD
        while True:
            head = self._start(size)
            try:
                return json.JSONDecoder().raw_decode(head.removeprefix("[").lstrip())[0]
            except (ValueError, RecursionError):
                if size >= min(_LONGEST, self.path.stat().st_size):
                    return None
                size *= 16

    @property
    def fault(self) -> str:
        """Why a file that starts like JSON is none, in words; `""` if it is JSON, or never began to be."""
        if not self.head.startswith(("[", "{")):
            return ""
        try:
            json.loads(self.path.read_bytes())
        except (ValueError, RecursionError) as error:
            return str(error)
        return ""

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of a JSON object that is the whole file; empty for anything else."""
        if not self.head.startswith("{"):
            return frozenset()
        content = self.path.read_bytes()
        try:
            return frozenset(msgspec.json.decode(content, type=dict[str, msgspec.Raw]))
        except ValueError:  # also of keys that are not UTF-8
            pass
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            return frozenset()
        return frozenset(found) if isinstance(found, dict) else frozenset()
