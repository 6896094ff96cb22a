"""Records at rest: JSON Lines, one record a line, compressed with zstandard or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

from synthscars.files import atomic_file
from synthscars.problems import FormatError
from synthscars.records import ImageRecord, decode_record, encode_lines


def write_records(path: Path, records: Iterable[ImageRecord]) -> int:
    """Write records as JSON Lines, atomically, compressed if `path` ends in `.zst`; returns how many.

    Equal records give equal bytes.
    """
    count = 0
    with (
        atomic_file(path) as file,
        _compressed(file) if path.suffix == ".zst" else nullcontext(file) as stream,
    ):
        for line in encode_lines(records):
            stream.write(line)
            count += 1
    return count


def _compressed(file: IO[bytes]) -> AbstractContextManager[Any]:
    import zstandard

    return zstandard.ZstdCompressor(level=10, write_checksum=True).stream_writer(file, closefd=False)


def read_records(path: Path) -> Iterator[ImageRecord]:
    """Read JSON Lines of records, compressed (`.zst`) or not.

    Raises `FormatError` naming the file and the line if one is not a record, or the file is cut short.
    """
    import zstandard

    fix = "pull again, or restore the file from a backup"
    try:
        with path.open("rb") as file:
            lines = _decompressed_lines(file) if path.suffix == ".zst" else file
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    record = decode_record(line, f"{path}, line {number}")
                except FormatError as error:
                    other = "; `synthscars convert` reads other formats"
                    raise FormatError(error.message, fix=fix + other) from error
                yield record
    except (zstandard.ZstdError, EOFError) as error:
        raise FormatError(f"{path}: {error}", fix=fix) from error


def _decompressed_lines(file: IO[bytes]) -> Iterator[bytes]:
    # Not `stream_reader`: it takes the end of the file for the end of the data, so a file that was cut short
    # after a whole line would just seem to hold fewer records.
    import zstandard

    frame = zstandard.ZstdDecompressor().decompressobj()
    rest = b""
    while chunk := file.read(zstandard.DECOMPRESSION_RECOMMENDED_INPUT_SIZE):
        if frame.eof:
            raise EOFError("something follows the end of the compressed data")
        *lines, rest = (rest + frame.decompress(chunk)).split(b"\n")
        yield from lines
    if not frame.eof or frame.unused_data:
        raise EOFError("the file is cut short" if not frame.eof else "something follows the compressed data")
    if rest:
        yield rest
