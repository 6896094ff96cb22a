"""Records as JSON Lines, compressed or not: the form in which synthscars keeps them itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from synthscars.converters.holds import EVERYTHING
from synthscars.converters.pictures import NO_PICTURES, TargetPictures
from synthscars.jsonl import read_records, write_records
from synthscars.problems import Problems
from synthscars.records import ImageRecord

HOLDS = EVERYTHING


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read records in order. Raises `FormatError` naming the line if one is not a record."""
    yield from read_records(source)


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
) -> int:
    """Write records, compressed with zstandard if `target` ends in `.zst`; returns how many."""
    return write_records(target, records)
