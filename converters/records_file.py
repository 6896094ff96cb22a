"""Records as JSON Lines, compressed or not: the form in which synthscars keeps them itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from synthscars.jsonl import read_records, write_records
from synthscars.problems import Problems
from synthscars.records import ImageRecord

CAPABILITIES = "Everything. Not held: the images themselves."


def read(source: Path, problems: Problems) -> Iterator[ImageRecord]:
    """Read records in order. Raises `FormatError` naming the line if one is not a record."""
    yield from read_records(source)


def write(records: Iterable[ImageRecord], target: Path, problems: Problems) -> int:
    """Write records, compressed with zstandard if `target` ends in `.zst`; returns how many."""
    return write_records(target, records)
