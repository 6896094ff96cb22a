"""Writes rows into Parquet files: the same rows give the same bytes.

Images are stored uncompressed: they are compressed already, and a second compression would hide from content
deduplication (the Hugging Face Hub's, or a backup's) that two releases hold the same image. Each has a page
of its own, so that pages are cut where the content is, and one that is taken out leaves those behind it as
they were. Row groups are small, so that a reader can fetch a few images without the rest.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from synthscars.engine import map_ordered
from synthscars.files import atomic_file
from synthscars.release.features import features, to_row
from synthscars.release.waiting import Ready

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP_ROWS = 100
ROW_GROUP_BYTES = 64 * 2**20

LAYOUT = 2
"""Raised whenever this module or `to_row` would write other bytes for the same images."""

_IMAGE_COLUMN = "image.bytes"
_NUMBERS = ("polygons.list.element.list.element", "bbox.list.element")
"""How the columns end that hold numbers of which hardly any occurs twice, so that a dictionary is a loss."""

_PAGES = {"write_batch_size": 1, "data_page_size": 16 * 2**10}
"""Whether a page is full is looked at after each row, so any picture of more than 16 KiB ends one. Pages of
the default size hold several pictures, and a row that was taken out moved a fifth of a file. The writer's
`use_content_defined_chunking` cuts at the same places (it does not cut within a value), but reads every byte
to find them, which took longer than writing."""

Load = Callable[[Ready, memoryview], None]
"""Fills as many bytes as an image file has (`Ready.bytes`) with it; raises `ReleaseError` if it is another.

Into memory that is there already: new memory for every image would take longer than reading it."""


class Shard(msgspec.Struct, frozen=True, omit_defaults=True):
    """One written file. path: relative to the release. arrow_bytes: size of its rows in memory.

    key: hash of what its rows were made from, so that the next version can tell without writing it whether
    it would be the same.
    """

    path: str
    split: str
    rows: int
    bytes: int
    arrow_bytes: int
    sha256: str
    key: str = ""


def new_key() -> hashlib._Hash:
    """A hash to feed with what makes the rows of a file; columns and their classes are in it already."""
    layout = LAYOUT, ROW_GROUP_ROWS, ROW_GROUP_BYTES, features().to_dict()
    return hashlib.sha256(msgspec.json.encode(layout, order="deterministic"))


def write_shard(path: Path, images: Iterable[Ready], load: Load, *, workers: int | None = None) -> int:
    """Write a file with these images, in this order; returns `arrow_bytes` of `Shard`.

    workers: threads that read images, beside this one; with 1 this one reads them as well. In memory are as
    many row groups as there are workers, and two more.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = features().arrow_schema
    columns = _leaf_columns(schema)
    small = [column for column in columns if column != _IMAGE_COLUMN]
    small_schema = pa.schema([field for field in schema if field.name != "image"])
    # Memory of row groups that are written: to get new memory for each would take as long as reading it.
    spare: list[pa.Buffer] = []

    def table(group: list[Ready]) -> tuple[pa.Table, pa.Buffer]:
        rows = [to_row(image.record, b"", image.drawn, image.measured) for image in group]
        small_table = pa.Table.from_pylist(rows, schema=small_schema)
        memory = _memory(sum(image.bytes for image in group), spare)
        columns = {"image": _image_column(group, load, memory, schema.field("image").type)}
        columns |= dict(zip(small_table.column_names, small_table.columns, strict=True))
        return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema), memory

    groups = _row_groups(images)
    tables = map(table, groups) if workers == 1 else map_ordered(table, groups, workers=workers, ahead=1)
    arrow_bytes = 0
    with (
        atomic_file(path) as file,
        _native(file) as sink,
        pq.ParquetWriter(
            sink,
            schema,
            compression={column: "NONE" if column == _IMAGE_COLUMN else "ZSTD" for column in columns},
            use_dictionary=[column for column in small if not column.endswith(_NUMBERS)],
            write_statistics=small,
            write_page_index=True,
            **_PAGES,
        ) as writer,
    ):
        for rows, memory in tables:
            writer.write_table(rows, row_group_size=max(rows.num_rows, 1))
            arrow_bytes += rows.nbytes
            spare.append(memory)
    return arrow_bytes


def _memory(size: int, spare: list[pa.Buffer]) -> pa.Buffer:
    """At least so many bytes."""
    import pyarrow as pa

    with suppress(IndexError):  # of a list that other threads take from as well
        memory = spare.pop()
        if memory.size >= size:
            return memory
    return pa.allocate_buffer(size + size // 8)


def _image_column(group: list[Ready], load: Load, memory: pa.Buffer, kind: pa.DataType) -> pa.StructArray:
    import numpy as np
    import pyarrow as pa

    offsets = np.zeros(len(group) + 1, dtype=np.int32)
    np.cumsum([image.bytes for image in group], out=offsets[1:])
    content = memoryview(memory).cast("B")
    for image, start, end in zip(group, offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        load(image, content[start:end])
    data = pa.BinaryArray.from_buffers(pa.binary(), len(group), [None, pa.py_buffer(offsets), memory])
    names = pa.array([image.record.file_name for image in group], pa.string())
    return pa.StructArray.from_arrays([data, names], fields=[kind.field("bytes"), kind.field("path")])


def _native(file: IO[bytes]) -> pa.NativeFile:
    """The same file, written without going through Python, which would copy each page once more."""
    import pyarrow as pa

    try:
        file.name.encode()
    except UnicodeEncodeError:  # Arrow has no other names than UTF-8
        return pa.PythonFile(os.fdopen(os.dup(file.fileno()), "wb"), mode="w")
    return pa.OSFile(file.name, "wb")


def _row_groups(images: Iterable[Ready]) -> Iterator[list[Ready]]:
    part: list[Ready] = []
    size = 0
    for image in images:
        if part and (size + image.bytes > ROW_GROUP_BYTES or len(part) == ROW_GROUP_ROWS):
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
