"""Records as JSON Lines, compressed or not: the form in which synthscars keeps them itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from synthscars.files import atomic_file
from synthscars.problems import Problems
from synthscars.records import ImageRecord, encode_lines
from synthscars.workspace import read_records, write_records

CAPABILITIES = "Everything. Not held: the images themselves."


def read(source: Path, problems: Problems) -> Iterator[ImageRecord]:
    """Read records in order. Raises `FormatError` naming the line if one is not a record."""
    yield from read_records(source)


def write(records: Iterable[ImageRecord], target: Path, problems: Problems) -> int:
    """Write records, compressed with zstandard if `target` ends in `.zst`; returns how many."""
    if target.suffix == ".zst":
        return write_records(target, records)
    count = 0
    with atomic_file(target) as file:
        for line in encode_lines(records):
            file.write(line)
            count += 1
    return count
