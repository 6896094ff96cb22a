"""The Parquet files of a release, row by row with the images, and the manifest that they should fit.

Rows are turned into Python values one at a time, so that memory is bounded by a few rows and the row group
that is being read, however the files were written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synthscars.converters.reading import Where
from synthscars.problems import FormatError, Problems, ReleaseError
from synthscars.release.check.items import Item
from synthscars.release.configs import DETECTION
from synthscars.release.features import DESCRIPTIONS, Row, features, from_row
from synthscars.release.files import DataFile, opened
from synthscars.release.manifest import MANIFEST_NAME, Manifest, read_manifest
from synthscars.taxonomy import load_taxonomy

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BATCH_ROWS = 25
_FETCH = "fetch the release again, or build it again"
_COLUMNS = tuple(dict.fromkeys(name.split(".")[0] for name in DESCRIPTIONS))


def _damaged() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return (OSError, pa.ArrowException, ValueError, OverflowError, MemoryError)


# Rows


def items_of(file: DataFile, name: str, problems: Problems) -> Iterator[Item]:
    """Every image of a file; what cannot be read is reported. name: of the file in problems."""
    import pyarrow.parquet as pq

    where = Where(problems, name)
    try:
        parquet = pq.ParquetFile(file.path)
    except _damaged() as error:
        where.add("file.unreadable", f"it cannot be read as Parquet: {error}", _FETCH)
        return
    with parquet:
        if not _check_schema(file.path, parquet.schema_arrow, where):
            return
        yield from _rows(parquet, file.split, where)


def _check_schema(path: Path, schema: pa.Schema, where: Where) -> bool:
    """Report columns that are not as expected; whether the rows can be read."""
    try:
        with opened(path):
            pass
    except FormatError as error:
        what = error.message.removeprefix(f"{path}: ")
        where.add("schema.wrong", what, error.fix or _FETCH)
        return False
    expected = features().arrow_schema
    missing = [name for name in expected.names if name not in schema.names and name != "rater_artifacts"]
    if missing:
        where.add("schema.column_missing", f"it has no column {', '.join(missing)}", _FETCH)
    other = [
        f"{field.name} ({_kind(schema.field(field.name).type)}, not {_kind(field.type)})"
        for field in expected
        if field.name in schema.names and not schema.field(field.name).type.equals(field.type)
    ]
    if other:
        where.warn("schema.type", f"columns of another type: {'; '.join(other)[:400]}", "build it again")
    added = [name for name in schema.names if name not in expected.names]
    if added:
        what = f"columns that a release does not have: {', '.join(added)[:300]}"
        where.add("schema.column_added", what, "nothing, if they are wanted", severity="info")
    return True


def _kind(kind: pa.DataType) -> str:
    text = str(kind)
    return text if len(text) < 40 else text.split("<")[0]


def _rows(parquet: pq.ParquetFile, split: str, where: Where) -> Iterator[Item]:
    columns = [name for name in _COLUMNS if name in parquet.schema_arrow.names]
    first = 0
    for group in range(parquet.num_row_groups):
        number = first
        try:
            for batch in parquet.iter_batches(
                _BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False
            ):
                for index in range(batch.num_rows):
                    item = _item(batch.slice(index, 1), split, where.at(region=f"row {number}"))
                    if item is not None:
                        yield item
                    number += 1
        except _damaged() as error:
            last = first + parquet.metadata.row_group(group).num_rows - 1
            where.add("row.unreadable", f"rows {number} to {last} are damaged: {error}", _FETCH)
        first += parquet.metadata.row_group(group).num_rows


def _item(batch: pa.RecordBatch, split: str, where: Where) -> Item | None:
    try:
        (row,) = batch.to_pylist()
    except (ValueError, OverflowError) as error:  # a text that is none, for instance
        where.add("row.unreadable", f"it cannot be read: {error}", _FETCH)
        return None
    where = where.at(image=str(row.get("image_id"))[:80])
    if _has_unknown_label(row, where):
        return None
    try:
        record = from_row(row, split)
        regions = from_row(row, split, raters=True).artifacts if row.get("rater_artifacts") else ()
    except FormatError as error:
        where.add("row.wrong", error.message.split(": ", 1)[-1], "mend the row, or take it out")
        return None
    if len(record.image_id) != 64 or set(record.image_id) - set("0123456789abcdef"):
        where.add("image.bad_id", "image_id is no sha256 in lower-case hex", "mend the row, or take it out")
        return None
    image = row.pop("image", None)
    data = image.get("bytes") if isinstance(image, Mapping) else None
    annotated = not where.file.startswith(f"{DETECTION}/")
    return Item(record, where.file, lambda: data, row, regions, annotated)


def _has_unknown_label(row: Row, where: Where) -> bool:
    """Report class labels beyond the vocabulary, which no reader could name."""
    taxonomy = load_taxonomy()
    kinds = {"category": taxonomy.category_ids, "subtype": taxonomy.subtype_ids}
    said = [("", "content type", row.get("content_type"), taxonomy.content_type_ids)]
    said += [
        (f"artifact {each.get('artifact_id')}", field, each.get(field), names)
        for each in row.get("artifacts") or ()
        if isinstance(each, Mapping)  # what is none is refused with its row
        for field, names in kinds.items()
    ]
    wrong = [each for each in said if isinstance(each[2], int) and not -1 <= each[2] < len(each[3])]
    for region, field, value, names in wrong:
        what = f"there is no {field} {value}: the taxonomy has {len(names)}"
        place = where.at(region=region or where.region)
        place.add("label.unknown", what, f"known are {', '.join(names)}")
    return bool(wrong)


# Manifest


class Stored(NamedTuple):
    """Where an image was found, as the manifest has it."""

    split: str
    group: str


def manifest_of(source: Path, problems: Problems) -> Manifest | None:
    """The manifest of a release; that there is none, or that it cannot be read, is reported."""
    where = Where(problems, MANIFEST_NAME)
    if not (source / MANIFEST_NAME).is_file():
        what = "there is none, so nothing says what the files should be"
        where.add("manifest.missing", what, "nothing, if this is no whole release", severity="info")
        return None
    try:
        manifest = read_manifest(source)
    except ReleaseError as error:
        where.add("manifest.unreadable", error.message.split(": ", 1)[-1], _FETCH)
        return None
    ours = load_taxonomy().version
    if manifest.taxonomy_version != ours:
        what = f"the release has taxonomy {manifest.taxonomy_version}, this version of synthscars {ours}"
        where.warn("manifest.taxonomy", what, "check it with the version of synthscars that it names")
    return manifest


def check_files(manifest: Manifest, files: Mapping[str, Path], problems: Problems) -> bool:
    """Compare files with the manifest; whether all that it lists are there. files: by relative name."""
    whole = True
    for shard in manifest.files:
        path = files.get(shard.path)
        if path is None:
            whole = False
            what = f"{shard.rows} images of the release are in it, and it is not there"
            problems.add("file.missing", what, fix=_FETCH, file=shard.path)
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != shard.sha256:
            what = "it is not the file that was built (sha256 differs)"
            problems.add("file.altered", what, fix=_FETCH, file=shard.path)
    for name in files.keys() - {shard.path for shard in manifest.files}:
        what = "the manifest does not know it, and load_dataset reads it all the same"
        problems.add("file.unlisted", what, fix="remove it, or build the release again", file=name)
    return whole


def check_images(
    manifest: Manifest, found: Mapping[str, Stored], artifacts: int, whole: bool, problems: Problems
) -> None:
    """Compare the images that were found with the manifest. whole: all of its rows could be read."""

    def report(code: str, what: str, images: list[str]) -> None:
        if images:
            first = images[0]
            text = f"{len(images)} images {what}"
            problems.add(code, text, fix=_FETCH, file=MANIFEST_NAME, image=first, count=len(images))

    listed = {**manifest.images, **manifest.detection_images}
    report(
        "manifest.image_unlisted",
        "are in the files, not in the manifest",
        sorted(found.keys() - listed.keys()),
    )
    moved = [
        image
        for image, stored in sorted(found.items())
        if image in listed and stored != (listed[image].split, listed[image].group)
    ]
    report("manifest.image_moved", "are in another split or group than the manifest says", moved)
    if not whole:
        return  # what is missing was said of the files
    report(
        "manifest.image_missing",
        "are in the manifest, not in the files",
        sorted(listed.keys() - found.keys()),
    )
    if found.keys() == listed.keys() and artifacts != manifest.artifacts:
        what = f"it counts {manifest.artifacts} artifacts, the files have {artifacts}"
        problems.add("manifest.artifacts", what, fix=_FETCH, file=MANIFEST_NAME)
