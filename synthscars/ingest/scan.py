"""What a walk over sources finds, and what it leaves alone."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable

import msgspec

from synthscars.problems import Problems, Severity

IMAGE_SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"}
    | {".heic", ".heif", ".jxl", ".jp2", ".ppm", ".tga"}
)
"""Files with these are taken for images; those that turn out to be none, or of a format that cannot be used,
are set aside with the reason. Other files are counted and left alone."""

MAX_BYTES = 512 * 2**20
"""Larger files are not read."""

FIX_UNREADABLE = "check that it is there and that you may read it, then ingest again"

_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Candidate(msgspec.Struct, frozen=True):
    """One file that should be an image. `load` reads its bytes and may raise `OSError`."""

    source: str
    load: Callable[[], bytes]

    @property
    def file_name(self) -> str:
        """The last part of `source`."""
        return self.source.rpartition("/")[2]


class Scan:
    """Counts what is left alone.

    ignored: files that are not images, by suffix (`hidden`: names that start with a dot).
    refused: files that could not be read or must not be; a problem was added for each.
    noted: problems added so far, of any severity.
    """

    def __init__(self, problems: Problems) -> None:
        self.ignored: Counter[str] = Counter()
        self.refused = 0
        self.noted = 0
        self._problems = problems

    def refuse(self, code: str, file: str, what: str, fix: str) -> None:
        """Count a file that cannot be used, and say why."""
        self.refused += 1
        self.note(code, file, what, fix, "error")

    def note(self, code: str, file: str, what: str, fix: str, severity: Severity) -> None:
        """Say something about a file or folder."""
        self.noted += 1
        self._problems.add(code, what, fix=fix, severity=severity, file=file)


def printable(name: str) -> str:
    """A file's name as text that is safe to store and to show.

    Bytes that are no UTF-8, control characters and marks that turn the writing direction become escapes such
    as `\\x1b`.
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    bad = unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in _BIDI_CONTROLS
    return character.encode("unicode_escape").decode("ascii") if bad else character


def reason(error: OSError) -> str:
    """What went wrong, without the path: that is where the file lies on this machine."""
    return error.strerror or type(error).__name__
