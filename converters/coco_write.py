"""Writes records as COCO instances; see `synthscars.converters.coco` for the format."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO, Any, Literal

import msgspec

from synthscars.converters.coco_measures import measure
from synthscars.converters.coco_model import (
    DATASET_FIELDS,
    DEFAULT_SPLIT,
    HOLDS,
    INFO,
    NAMESPACE,
    SUPERCATEGORY,
    Annotation,
    Image,
    raters_of,
    without_outline,
)
from synthscars.converters.fields import own
from synthscars.converters.holds import narrow
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import NO_PICTURES, Names, TargetPictures, base_name
from synthscars.converters.reading import UNLABELLED, Json, classify, label_of, text
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord
from synthscars.taxonomy import load_taxonomy

Segmentation = Literal["polygons", "rle"]
"""Outlines as they are, or as masks of pixels: what pycocotools makes of them, compressed."""

_FOLDER_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_BATCH = 20_000
"""Coordinates that are measured together: enough for numpy, little in memory."""

_encode = msgspec.json.Encoder().encode
_NOTHING: Json = {}


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
    segmentation: Segmentation = "polygons",
) -> int:
    """Write records to one `.json` file, or as a folder with a file for each split; returns how many images.

    pictures: the images are put into the folder (not beside a single file). segmentation: see `Segmentation`;
    masks lose the exact outlines, which is reported.

    Images and annotations are numbered from 1 on, unless they were read from a COCO file and had other ids
    there. Categories have the ids 1, 2, 3 in the order of the taxonomy, other labels come after them. Raises
    `WorkspaceError` if the folder exists.
    """
    from synthscars.files import atomic_file

    losses = Losses(str(target), problems)
    found = narrow(records, HOLDS, losses)
    shared = _Shared(segmentation, losses)
    if target.suffix == ".json":
        names = _FreeNames()
        with atomic_file(target) as opened, _File(opened, target.parent, shared) as single:
            for record in found:
                single.add(record, names.give(record))
        count = single.images
    else:
        count = _write_folder(found, target, shared, pictures)
    losses.report()
    return count


def _write_folder(
    found: Iterable[ImageRecord], target: Path, shared: _Shared, pictures: TargetPictures
) -> int:
    from synthscars.files import atomic_file, atomic_folder

    splits: dict[str, _File] = {}
    names: dict[str, Names] = {}
    with atomic_folder(target) as folder, ExitStack() as stack:
        annotations = folder / "annotations"
        annotations.mkdir()

        def file_of(split: str) -> _File:
            if split not in splits:
                opened = stack.enter_context(atomic_file(annotations / f"instances_{split}.json"))
                splits[split] = stack.enter_context(_File(opened, annotations, shared))
                names[split] = Names()
            return splits[split]

        for record in found:
            split = record.split if _FOLDER_NAME.fullmatch(record.split) else DEFAULT_SPLIT
            file = file_of(split)
            # Nothing is lost by another name: the record's own is kept beside it.
            name = names[split].give(record, Losses("", Problems()), pictures.suffix(record))
            pictures.place(record, folder / "images" / split, name, shared.losses)
            file.add(record, name)
        if not splits:
            file_of(DEFAULT_SPLIT)
        for file in splits.values():
            # Each file lists the categories of all: no label may turn up later.
            file.flush()
    return sum(file.images for file in splits.values())


class _FreeNames:
    """Names in a single file, beside which no images are put: as they are, only never twice."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def give(self, record: ImageRecord) -> str:
        name = record.file_name
        if NAMESPACE in record.extra:
            given = text(own(record.extra, NAMESPACE).get("file_name"))
            name = given if base_name(given) == name else name
        if not name or self._taken.setdefault(name, record.image_id) != record.image_id:
            name = record.image_id + PurePosixPath(record.file_name).suffix
            self._taken[name] = record.image_id
        return name


class _Table:
    """Categories or licences: entries by name, each with an id."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields
        self._entries: dict[str, Json] = {}
        self._taken: set[int] = set()

    def give(self, name: str) -> int:
        """The id of that name; a new one if there is none yet."""
        if name not in self._entries:
            self._add(name, max(self._taken, default=0) + 1, {})
        found: int = self._entries[name]["id"]
        return found

    def keep(self, entries: Any, *, ids: bool) -> None:
        """Take over entries of a file that was read, with their ids if those are free."""
        for entry in entries if isinstance(entries, list) else ():
            name = entry.get("name") if isinstance(entry, dict) else None
            if isinstance(name, str) and name not in self._entries:
                number = entry.get("id")
                keeps = ids and type(number) is int and number not in self._taken
                self._add(name, number if keeps else max(self._taken, default=0) + 1, entry)

    def _add(self, name: str, number: int, entry: Json) -> None:
        rest = {key: value for key, value in entry.items() if key not in ("id", "name")}
        self._entries[name] = {"id": number, "name": name, **self._fields, **rest}
        self._taken.add(number)

    def entries(self) -> list[Json]:
        return list(self._entries.values())


class _Ids:
    """Numbers from 1 on; what had another number in the file it comes from keeps it, if that is free."""

    def __init__(self, lowest: int) -> None:
        self._lowest = lowest
        self._position = 0
        self._highest = 0
        # Of positions that got another number: bounded by what was read with unusual ids.
        self._other: set[int] = set()
        self._skipped: set[int] = set()

    def give(self, wanted: Any) -> int:
        self._position += 1
        if wanted is None and not self._other:
            self._highest = self._position
            return self._position
        keeps = type(wanted) is int and wanted >= self._lowest and self._is_free(wanted)
        number = wanted if keeps else self._position
        if not self._is_free(number):
            number = self._highest + 1
        if number != self._position:
            self._other.add(number)
            self._skipped.add(self._position)
        self._highest = max(self._highest, number)
        return number

    def _is_free(self, number: int) -> bool:
        used = 0 < number < self._position and number not in self._skipped
        return not used and number not in self._other


class _Shared:
    """What all files of one target have in common."""

    def __init__(self, segmentation: Segmentation, losses: Losses) -> None:
        self.segmentation = segmentation
        self.losses = losses
        self.licenses = _Table(url="")
        self.categories = _Table(supercategory=SUPERCATEGORY)
        for name in load_taxonomy().category_ids:
            self.categories.give(name)
        self._by_category: dict[str, tuple[int, str | None]] = {}
        self._by_label: dict[str, tuple[int, None]] = {}

    def category(self, artifact: Artifact) -> tuple[int, str | None]:
        """The id of an artifact's category, and the category itself if its name does not tell a reader."""
        category = artifact.category
        if category is None:
            label = label_of(artifact)
            if label not in self._by_label:
                # A label of the taxonomy would come back as a category.
                name = UNLABELLED if classify(label)[0] else label
                self._by_label[label] = self.categories.give(name), None
            return self._by_label[label]
        if category not in self._by_category:
            told = classify(category) == (category, None)
            self._by_category[category] = self.categories.give(category), None if told else category
        return self._by_category[category]


class _File:
    """One annotation file, written image by image.

    COCO wants all images before the first annotation: annotations wait in a temporary file beside it.
    """

    def __init__(self, file: IO[bytes], folder: Path, shared: _Shared) -> None:
        self._file = file
        self._spool: IO[bytes] = TemporaryFile(dir=folder)  # noqa: SIM115 (closed by __exit__)
        self._shared = shared
        self._image_ids = _Ids(lowest=0)
        # To COCOeval, 0 is the number of an annotation that nothing matches.
        self._annotation_ids = _Ids(lowest=1)
        self.images = self._annotations = 0
        self._waiting: list[tuple[Artifact, int, ImageRecord]] = []
        self._coordinates = 0
        self._rest: Json = {}

    def __enter__(self) -> _File:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._spool:
            if kind is None:
                self._finish()

    def add(self, record: ImageRecord, name: str) -> None:
        """Write an image, which is called `name` in this file, and its annotations."""
        kept, extra = _apart(record.extra) if NAMESPACE in record.extra else (_NOTHING, record.extra)
        if not self.images:
            self._begin(own(kept, DATASET_FIELDS))
        number = self._image_ids.give(kept.get("id"))
        regionless: list[Any] = []
        for position, artifact in enumerate(record.artifacts):
            if coordinates := _coordinates(artifact):
                self._waiting.append((artifact, number, record))
                self._coordinates += coordinates
            else:
                regionless.append(without_outline(position, artifact))
        if self._coordinates >= _BATCH:
            self.flush()
        # In the order of the fields: half the time of naming them.
        image = Image(
            number,
            name,
            record.width,
            record.height,
            record.image_id,
            record.status,
            raters_of(record),
            self._shared.licenses.give(record.license) if record.license else None,
            None if base_name(name) == record.file_name else record.file_name,
            record.origin,
            record.content_type,
            record.caption,
            record.reviews,
            record.generation,
            record.group_id,
            record.split,
            record.source,
            regionless,
            extra,
        )
        used = ("id", "file_name", DATASET_FIELDS)
        line = _with_kept(image, kept, used) if kept else _encode(image)
        self._file.write((b",\n" if self.images else b"\n") + line)
        self.images += 1

    def flush(self) -> None:
        """Measure the artifacts that wait, and put their annotations into the temporary file."""
        lines: list[bytes] = []
        areas, boxes = measure([artifact.polygons for artifact, _, _ in self._waiting])
        for (artifact, image, record), area, box in zip(self._waiting, areas, boxes, strict=True):
            if not math.isfinite(area):
                what = "artifacts with a coordinate that is not finite were left out"
                self._shared.losses.count("artifact.outline", what, record, severity="error")
                continue
            kept, extra = _NOTHING, artifact.extra
            if NAMESPACE in extra:
                kept, extra = _apart(extra)
            category_id, category = self._shared.category(artifact)
            annotation = Annotation(
                self._annotation_ids.give(kept.get("id")),
                image,
                category_id,
                1 if kept.get("iscrowd") == 1 else 0,
                area,
                box,
                artifact.polygons,
                artifact.artifact_id,
                artifact.rater_id,
                category,
                artifact.subtype,
                artifact.phrase,
                artifact.explanation,
                artifact.votes,
                artifact.agreement,
                extra,
            )
            if self._shared.segmentation == "rle":
                _make_mask(annotation, record, self._shared.losses)
            lines.append(_with_kept(annotation, kept, ("id",)) if kept else _encode(annotation))
        if lines:
            self._spool.write((b",\n" if self._annotations else b"\n") + b",\n".join(lines))
        self._annotations += len(lines)
        self._waiting = []
        self._coordinates = 0

    def _begin(self, kept: Json) -> None:
        """Write the head of the file; kept: what the file that the first image comes from said of itself."""
        self._shared.licenses.keep(kept.get("licenses"), ids=True)
        self._shared.categories.keep(kept.get("categories"), ids=False)
        known = ("info", "licenses", "categories", "images", "annotations")
        self._rest = {key: value for key, value in kept.items() if key not in known}
        info = _encode(kept.get("info", INFO))
        self._file.write(b'{"info":' + info + b',\n"images":[')

    def _finish(self) -> None:
        if not self.images:
            self._begin({})
        self.flush()
        self._file.write(b'\n],\n"annotations":[' if self.images else b'],\n"annotations":[')
        self._spool.seek(0)
        shutil.copyfileobj(self._spool, self._file, 1024 * 1024)
        self._file.write(b"\n]" if self._annotations else b"]")
        tables = {
            "licenses": self._shared.licenses.entries(),
            "categories": self._shared.categories.entries(),
        }
        for key, value in {**tables, **self._rest}.items():
            self._file.write(b",\n" + _encode(key) + b":" + _encode(value))
        self._file.write(b"}\n")


def _coordinates(artifact: Artifact) -> int:
    """How many its outline has; 0 for one that the COCO API cannot take: it would read 4 numbers as a box."""
    count = 0
    for ring in artifact.polygons:
        length = len(ring)
        if length < 6 or length % 2:
            return 0
        count += length
    return count


def _make_mask(annotation: Annotation, record: ImageRecord, losses: Losses) -> None:
    from pycocotools import mask as coco

    from synthscars.converters.rle import write_rle
    from synthscars.geometry import rle_area, to_rle

    rle = to_rle(annotation.segmentation, record.width, record.height)  # type: ignore[arg-type]
    losses.count("artifact.outline", "outlines became masks of whole pixels, as asked for", record)
    annotation.segmentation = write_rle(rle)
    annotation.area = float(rle_area(rle))
    annotation.bbox = coco.toBbox(rle).tolist()


def _apart(extra: Json) -> tuple[Json, Json]:
    """What COCO itself keeps in `extra`, to be written in its own places, and the rest."""
    kept = own(extra, NAMESPACE)
    # What was not kept by COCO is no object, and stays.
    rest = {key: value for key, value in extra.items() if key != NAMESPACE or not isinstance(value, dict)}
    return kept, rest


def _with_kept(entry: Image | Annotation, kept: Json, used: Iterable[str]) -> bytes:
    """An entry with the keys that its file had besides, except those that are `used` otherwise."""
    others = {key: value for key, value in kept.items() if key not in used}
    return _encode({**others, **msgspec.to_builtins(entry)} if others else entry)
