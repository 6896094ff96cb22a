"""Writes rows into Parquet files: the same rows give the same bytes.

Images are stored uncompressed: they are compressed already, and a second compression would hide from content
deduplication (the Hugging Face Hub's, or a backup's) that two releases hold the same image. Row groups are
small, so that a reader can fetch a few images without the rest.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from synthscars.engine import map_ordered
from synthscars.files import atomic_file
from synthscars.problems import ReleaseError
from synthscars.release.features import Row, features, to_row
from synthscars.release.prepare import Ready

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_ROWS = 100
ROW_GROUP_BYTES = 128 * 2**20
SHARD_BYTES = 400 * 10**6

_IMAGE_COLUMN = "image.bytes"


class Shard(msgspec.Struct, frozen=True):
    """One written file. path: relative to the release. arrow_bytes: size of its rows in memory."""

    path: str
    split: str
    rows: int
    bytes: int
    arrow_bytes: int
    sha256: str


def write_split(
    folder: Path, split: str, images: Sequence[Ready], *, workers: int | None = None
) -> Iterator[Shard]:
    """Write the images of one split, in this order, as `data/<split>-00000-of-0000N.parquet`.

    Yields every shard once it is complete. Raises `ReleaseError` if an image changes while it is read.
    """
    parts = list(_cut(images, most_bytes=SHARD_BYTES)) or [[]]
    for number, part in enumerate(parts):
        name = f"data/{split}-{number:05d}-of-{len(parts):05d}.parquet"
        arrow_bytes = _write_shard(folder / name, part, workers)
        with (folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
        yield Shard(name, split, len(part), size, arrow_bytes, digest)


def _write_shard(path: Path, images: Sequence[Ready], workers: int | None) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = features().arrow_schema
    columns = _leaf_columns(schema)
    small = [column for column in columns if column != _IMAGE_COLUMN]
    arrow_bytes = 0
    with (
        atomic_file(path) as file,
        pq.ParquetWriter(
            file,
            schema,
            compression={column: "NONE" if column == _IMAGE_COLUMN else "ZSTD" for column in columns},
            use_dictionary=small,
            write_statistics=small,
            write_page_index=True,
        ) as writer,
    ):
        for group in _cut(images, most_bytes=ROW_GROUP_BYTES, most_items=ROW_GROUP_ROWS):
            table = pa.Table.from_pylist(list(map_ordered(_load_row, group, workers=workers)), schema=schema)
            writer.write_table(table, row_group_size=len(group))
            arrow_bytes += table.nbytes
    return arrow_bytes


def _load_row(image: Ready) -> Row:
    data = image.original.read_bytes()
    if hashlib.sha256(data).hexdigest() != image.record.image_id:
        raise ReleaseError(
            f"image {image.record.image_id} changed while the release was being built",
            fix="leave the images alone and build again",
        )
    return to_row(image.record, data)


def _cut(images: Iterable[Ready], *, most_bytes: int, most_items: int | None = None) -> Iterator[list[Ready]]:
    part: list[Ready] = []
    size = 0
    for image in images:
        if part and (size + image.bytes > most_bytes or len(part) == most_items):
            yield part
            part, size = [], 0
        part.append(image)
        size += image.bytes
    if part:
        yield part


def _leaf_columns(schema: pa.Schema) -> list[str]:
    # Parquet names the leaves of nested columns in its own way; an empty file tells how.
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.ParquetWriter(buffer, schema).close()
    names = pq.ParquetFile(buffer).schema
    return [names.column(index).path for index in range(len(names.names))]
