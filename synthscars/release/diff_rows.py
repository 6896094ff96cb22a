"""Reads two releases so that their rows can be compared, also where columns or classes changed between them.

Class labels become the names that stand in the file itself, so a release of another taxonomy can be read.
Only columns that both releases have are compared; the others are a change of the schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from synthscars.problems import FormatError, Problems, ReleaseError
from synthscars.release.features import Row
from synthscars.release.files import DataFile, class_names, data_files, detection_files, opened
from synthscars.release.manifest import MANIFEST_NAME, Manifest, read_manifest
from synthscars.workspace import is_version

if TYPE_CHECKING:
    import pyarrow as pa

Paths = frozenset[str]
"""Columns by their path, `artifacts.category`; lists and structs have one as well."""

_REGIONS = ("artifacts", "rater_artifacts")
_NOT_COMPARED = frozenset(
    {"image", "rater_list", *(f"{name}.{part}" for name in _REGIONS for part in ("bbox", "area"))}
)
"""The image is its id; the others follow from other columns, with rounding."""

_LONGEST_VERSION = 40
_encoder = msgspec.json.Encoder(order="deterministic")


class Side(NamedTuple):
    """One of the two releases. version, taxonomy: of its manifest, `""` if it has none that can be read.

    columns: path → type. classes: path → names of the classes, in the order of their numbers. deprecated: the
    columns and classes that its manifest announces to go away. unread: how many files cannot be read.
    """

    folder: Path
    version: str
    taxonomy: str
    files: list[DataFile]
    columns: dict[str, str]
    classes: dict[str, tuple[str, ...]]
    deprecated: dict[str, str]
    unread: int


class SplitRow(NamedTuple):
    """A row with the names of its classes, and the split it is in. digest: equal for equal rows."""

    image_id: str
    split: str
    values: Row
    digest: bytes


def open_side(folder: Path, problems: Problems) -> Side:
    """Read what a release's manifest and the heads of its files say; no row is read.

    A file that cannot be read is reported, as is a manifest. Raises `FormatError` if there is no file, or
    none that can be read.
    """
    manifest = _manifest(folder, problems)
    columns: dict[str, str] = {}
    classes: dict[str, tuple[str, ...]] = {}
    files = []
    unread = 0
    for file in (*data_files(folder), *detection_files(folder)):
        try:
            with opened(file.path, ours=False) as reader:
                _check(reader.schema, file.path)
                columns |= _columns(reader.schema)
                classes |= class_names(reader.schema)
                if reader.unread:
                    problems.add(
                        "column.not_read",
                        f"not compared: {', '.join(reader.unread)[:300]}",
                        severity="warning",
                        file=str(file.path),
                        fix="only texts and numbers are compared in columns that a release does not have",
                    )
            files.append(file)
        except FormatError as error:
            what = error.message.removeprefix(f"{file.path}: ")
            problems.add("file.unreadable", what, file=str(file.path), fix=error.fix)
            damage = error
            unread += 1
    if not files:
        raise damage
    known = {path: names for path, names in classes.items() if path in columns}
    if manifest is None:
        return Side(folder, "", "", files, columns, known, {}, unread)
    version = _version(manifest, folder, problems)
    taxonomy, deprecated = manifest.taxonomy_version, manifest.deprecated
    return Side(folder, version, taxonomy, files, columns, known, deprecated, unread)


def _manifest(folder: Path, problems: Problems) -> Manifest | None:
    if not (folder / MANIFEST_NAME).is_file():
        return None
    try:
        return read_manifest(folder)
    except (ReleaseError, OSError) as error:
        problems.add(
            "manifest.unreadable",
            f"{error}; compared without it",
            severity="warning",
            file=str(folder / MANIFEST_NAME),
            fix="restore it, so that the versions can be judged",
        )
        return None


def _version(manifest: Manifest, folder: Path, problems: Problems) -> str:
    version = manifest.version
    sound = len(version) <= _LONGEST_VERSION and is_version(version)
    if not sound:
        problems.add(
            "manifest.version",
            f"{version[:_LONGEST_VERSION]!r} is no version, so nothing is said about it",
            severity="warning",
            file=str(folder / MANIFEST_NAME),
            fix="write it as MAJOR.MINOR.PATCH",
        )
    return version if sound else ""


def _check(schema: pa.Schema, path: Path) -> None:
    if "image_id" not in schema.names:
        raise FormatError(f"{path}: it has no column image_id", fix="give a release of synthscars")


def _columns(schema: pa.Schema) -> dict[str, str]:
    """Path → type of every column. Whether strings are large and what lists call their items is left out."""
    from pyarrow import types

    found: dict[str, str] = {}

    def walk(path: str, kind: pa.DataType, lists: int) -> None:
        while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            kind, lists = kind.value_type, lists + 1
        name = "struct" if types.is_struct(kind) else str(kind).removeprefix("large_")
        found[path] = "list of " * lists + name
        if types.is_struct(kind):
            for field in kind:
                walk(f"{path}.{field.name}", field.type, 0)

    for field in schema:
        if not field.name.startswith("__"):
            walk(field.name, field.type, 0)
    return found


def shared_paths(first: Side, second: Side) -> Paths:
    """The columns whose values are compared: those that both have."""
    return frozenset(first.columns.keys() & second.columns.keys()) - _NOT_COMPARED


def rows(
    side: Side,
    shared: Paths,
    problems: Problems | None = None,
    advance: Callable[[int], None] | None = None,
) -> Iterator[SplitRow]:
    """Every image of a release once, in the order of its files; at most a row group is in memory.

    Rows that cannot be read, and second ones of an image, are left out and reported to `problems`; without
    `problems` nothing is said, so that a second reading does not repeat it.
    """
    told = Problems() if problems is None else problems
    seen: set[str] = set()
    for file in side.files:
        with opened(file.path, ours=False, raters=True) as reader:
            classes = _of_raters_too(class_names(reader.schema))
            for row in reader.rows():
                if advance is not None:
                    advance(1)
                if isinstance(row, FormatError):
                    told.add(
                        "row.unreadable", row.message, file=str(file.path), fix="fetch or build it again"
                    )
                    continue
                image_id = row.values.get("image_id")
                if not isinstance(image_id, str) or image_id in seen:
                    told.add(
                        "row.wrong" if not isinstance(image_id, str) else "row.duplicate",
                        "its image has another row, which is used"
                        if isinstance(image_id, str)
                        else "it has no image_id",
                        file=str(file.path),
                        image=str(image_id or "")[:80],
                        region=f"row {row.number}",
                        fix="mend the row, or take it out",
                    )
                    continue
                seen.add(image_id)
                values = {
                    name: _named(value, name, shared, classes)
                    for name, value in row.values.items()
                    if name in shared
                }
                digest = blake2b(_encoder.encode(values), digest_size=16).digest()
                yield SplitRow(image_id, file.split, values, digest)


def _of_raters_too(classes: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    # The regions before and after merging are of one shape.
    drawn = {path: names for path, names in classes.items() if path.startswith("artifacts.")}
    return {**{f"rater_{path}": names for path, names in drawn.items()}, **classes}


def _named(value: Any, path: str, shared: Paths, classes: dict[str, tuple[str, ...]]) -> Any:
    """A value without what is not compared, class labels as names."""
    if path in classes:
        return _class_name(value, classes[path])
    if isinstance(value, dict):
        return {
            key: _named(item, f"{path}.{key}", shared, classes)
            for key, item in value.items()
            if f"{path}.{key}" in shared
        }
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [_named(item, path, shared, classes) for item in value]
    return value


def _class_name(value: Any, names: tuple[str, ...]) -> str | None:
    # Old readers write -1 for a null; pandas makes floats of a column with nulls.
    if value is None or value != value or value == -1:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return f"class {value}"
