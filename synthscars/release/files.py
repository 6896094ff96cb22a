"""Reads the Parquet files of a release: the records without the images, and the images one by one.

Whatever else reads a release (pandas, DuckDB, the Hugging Face Hub) may have written it again: the files need
no manifest, and columns that others added are kept.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from synthscars.images import sha256
from synthscars.problems import FormatError
from synthscars.records import ORIGINS, STATUSES
from synthscars.release.configs import DATA, DETECTION
from synthscars.release.features import DESCRIPTIONS, Row
from synthscars.release.splits import SPLITS
from synthscars.taxonomy import load_taxonomy

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS = 100
CACHED_GROUPS = 2

_COLUMNS = tuple(dict.fromkeys(name.split(".")[0] for name in DESCRIPTIONS))
_NOT_READ = frozenset({"image", "rater_list", "rater_artifacts"})
"""Columns that no record is made from, or only if it is asked for: they need not be there."""

_FIX = "fetch or build it again"
_SHARD_NAME = re.compile(r"([a-z]+)-[0-9]+(-of-[0-9]+)?")


class DataFile(NamedTuple):
    """One Parquet file, and the split that it is of (`""`: its name does not tell)."""

    path: Path
    split: str


class RawRow(NamedTuple):
    """One row of a file. number: its place, from 0. more: what other columns than a release's hold."""

    number: int
    values: Row
    more: dict[str, Any]


def data_files(source: Path) -> list[DataFile]:
    """The files of a release, of a folder of such files, or the one that is given; `train` before `test`.

    Without those that only the config `detection` has. Raises `FormatError` if there is none.
    """
    if source.is_file():
        return [DataFile(source, _split_of(source))]
    folders = (source / DATA, source)
    paths = next((found for found in map(_parquet_in, folders) if found), [])
    if not paths:
        raise FormatError(
            f"{source}: no Parquet file in it",
            fix="give the folder of a release, with data/train-00000-of-00001.parquet or the like in it",
        )
    return _in_order(paths)


def detection_files(source: Path) -> list[DataFile]:
    """The files of a release whose images are in the config `detection` alone; most releases have none."""
    return _in_order(_parquet_in(source / DETECTION)) if source.is_dir() else []


def _in_order(paths: list[Path]) -> list[DataFile]:
    files = [DataFile(path, _split_of(path)) for path in paths]
    return sorted(files, key=lambda file: (_order(file.split), file.split, file.path.name))


def _parquet_in(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.parquet") if path.is_file() and not path.name.startswith(".")]


def _split_of(path: Path) -> str:
    if path.stem in SPLITS:
        return path.stem
    found = _SHARD_NAME.fullmatch(path.stem)
    return found[1] if found else ""


def _order(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


# Records


class RowReader:
    """Reads the rows of one file, as many at a time as a row group of a release has; never the images.

    raters: also the column `rater_artifacts`, if there is one. unread: columns that others added and that
    are not read, because they hold neither texts nor numbers. schema: the columns, also those that are not
    read. Use it as `with opened(path) as reader`.
    """

    def __init__(self, file: pq.ParquetFile, path: Path, *, ours: bool = True, raters: bool = False) -> None:
        self._file = file
        self.schema = schema = file.schema_arrow
        if ours:
            _check(schema, path)
        added = [field for field in schema if field.name not in _COLUMNS and field.name[:2] != "__"]
        self._more = [field.name for field in added if _is_plain(field.type)]
        self.unread = [f"{field.name} ({field.type})" for field in added if not _is_plain(field.type)]
        skipped = _NOT_READ - {"rater_artifacts"} if raters else _NOT_READ
        known = [name for name in _COLUMNS if name not in skipped and name in schema.names]
        self._columns = known + self._more

    def rows(self) -> Iterator[RawRow | FormatError]:
        """Every row; an error instead of those that cannot be read."""
        number = 0
        for group in range(self._file.num_row_groups):
            first = number
            try:
                for batch in self._file.iter_batches(
                    BATCH_ROWS, row_groups=[group], columns=self._columns, use_threads=False
                ):
                    for values in _as_rows(batch):
                        if isinstance(values, FormatError):
                            yield FormatError(f"row {number}: {values.message}")
                        else:
                            yield RawRow(number, values, {name: values.get(name) for name in self._more})
                        number += 1
            except _damaged() as error:
                last = first + self._file.metadata.row_group(group).num_rows - 1
                yield FormatError(f"rows {number} to {last} are damaged: {error}")
            number = first + self._file.metadata.row_group(group).num_rows


@contextmanager
def opened(path: Path, *, ours: bool = True, raters: bool = False) -> Iterator[RowReader]:
    """Open a file to read its rows. Raises `FormatError` naming it if it is no file of a release.

    ours: false also takes columns and classes of other versions of synthscars (see `class_names`). raters:
    see `RowReader`.
    """
    with _parquet(path) as file:
        try:
            reader = RowReader(file, path, ours=ours, raters=raters)
        except _damaged() as error:
            raise FormatError(f"{path}: its columns cannot be read: {error}", fix=_FIX) from error
        yield reader


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except _damaged() as error:
        raise FormatError(f"{path}: it cannot be read as Parquet: {error}", fix=_FIX) from error
    with file:
        yield file


def _damaged(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What reading a damaged file raises, and `more`."""
    import pyarrow as pa

    return (OSError, pa.ArrowException, ValueError, MemoryError, *more)


def _as_rows(batch: pa.RecordBatch) -> Iterator[Row | FormatError]:
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError):  # one text that is none would cost the others
        for number in range(batch.num_rows):
            try:
                yield from batch.slice(number, 1).to_pylist()
            except (ValueError, OverflowError) as error:
                yield FormatError(f"it cannot be read: {error}")


def _check(schema: pa.Schema, path: Path) -> None:
    missing = [name for name in _COLUMNS if name not in schema.names and name not in _NOT_READ]
    if missing:
        raise FormatError(
            f"{path}: not a file of a release: it has no column {', '.join(missing[:4])}"
            f"{f' and {len(missing) - 4} more' if len(missing) > 4 else ''}",
            fix="give a release of synthscars, or convert the data into another format first",
        )
    for name, ours in _labels().items():
        theirs = _names(schema, name)
        if theirs is not None and theirs != list(ours[: len(theirs)]):
            raise FormatError(
                f"{path}: the classes of {name} are {', '.join(map(str, theirs))}, not {', '.join(ours)}",
                fix="read it with the version of synthscars that its manifest.json names",
            )


def _labels() -> dict[str, tuple[str, ...]]:
    taxonomy = load_taxonomy()
    return {
        "origin": ORIGINS,
        "content_type": taxonomy.content_type_ids,
        "status": STATUSES,
        "artifacts.category": taxonomy.category_ids,
        "artifacts.subtype": taxonomy.subtype_ids,
        "rater_artifacts.category": taxonomy.category_ids,
        "rater_artifacts.subtype": taxonomy.subtype_ids,
        "reviews.status": STATUSES,
        "reviews.content_type": taxonomy.content_type_ids,
    }


def class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """The names of the classes in a file's own order, by column (`artifacts.category`); this version's where
    the file gives none."""
    return {
        column: tuple(map(str, theirs)) if (theirs := _names(schema, column)) is not None else ours
        for column, ours in _labels().items()
    }


def _names(schema: pa.Schema, column: str) -> list[Any] | None:
    """The class names that a file gives a column, as `datasets` writes them; `None` if it gives none."""
    try:
        feature: Any = msgspec.json.decode((schema.metadata or {})[b"huggingface"])["info"]["features"]
        first, *nested = column.split(".")
        feature = feature[first]
        for name in nested:
            feature = feature["feature"][name]
        names = feature["names"]
    except (KeyError, TypeError, ValueError, msgspec.DecodeError):
        return None
    return names if isinstance(names, list) else None


def _is_plain(kind: pa.DataType) -> bool:
    from pyarrow import types

    tests = (types.is_boolean, types.is_integer, types.is_floating, types.is_string, types.is_large_string)
    return any(test(kind) for test in tests)


# Images


class _Place(NamedTuple):
    file: int
    group: int
    row: int


class EmbeddedImages:
    """Finds the original bytes of an image in a release by its id; a `Finder` of the converters.

    The ids are read when the first image is wanted, and then one row group at a time: asked for images in the
    order of the rows, it reads each group once. Bytes that do not belong to their id are none. May be called
    from several threads.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._files: list[Path] = []
        self._places: dict[str, _Place] | None = None
        self._groups: OrderedDict[tuple[int, int], pa.ChunkedArray | None] = OrderedDict()
        self._lock = Lock()

    def __call__(self, image_id: str) -> bytes | None:
        """The bytes of an image, `None` if they are not there or not those of the id."""
        with self._lock:
            if self._places is None:
                self._places = self._index()
            place = self._places.get(image_id)
            if place is None:
                return None
            group = self._group(place.file, place.group)
            image = group[place.row].as_py() if group is not None else None
        data = image.get("bytes") if isinstance(image, Mapping) else None
        return data if isinstance(data, bytes) and sha256(data) == image_id else None

    def _index(self) -> dict[str, _Place]:
        places: dict[str, _Place] = {}
        for path, _ in [*data_files(self._source), *detection_files(self._source)]:
            self._files.append(path)
            try:
                with _parquet(path) as file:
                    for group in range(file.num_row_groups):
                        table = file.read_row_group(group, columns=["image_id"])
                        for row, image_id in enumerate(table["image_id"].to_pylist()):
                            places.setdefault(image_id, _Place(len(self._files) - 1, group, row))
            except _damaged(FormatError, KeyError):
                continue  # whoever reads the records reports it
        return places

    def _group(self, number: int, group: int) -> pa.ChunkedArray | None:
        key = (number, group)
        if key not in self._groups:
            while len(self._groups) >= CACHED_GROUPS:
                self._groups.popitem(last=False)
            try:
                with _parquet(self._files[number]) as file:
                    self._groups[key] = file.read_row_group(group, columns=["image.bytes"])["image"]
            except _damaged(FormatError, KeyError):
                self._groups[key] = None
        self._groups.move_to_end(key)
        return self._groups[key]
