"""The layout in which SynthScars was published (LEGION, arXiv 2503.15264), both ways.

::

    train/images/*.jpg                  test/images/*.png
    train/annotations/train.json        test/annotations/test.json

`annoations`, as the authors' README spells the folder, is read too. An annotation file is a list of objects
with one key, the annotation's id::

    [{"317": {"img_file_name": "a.jpg", "caption": "Upon examining the image. ...",
              "refs": [{"sentence": "the left hand", "bbox": [...],
                        "segmentation": [[x0, y0, x1, y1, ...], ...], "explanation": "..."}, ...]}}, ...]

Coordinates are pixels. The convention of `bbox` is documented nowhere, so boxes are kept as they are; new
ones are `[x, y, width, height]`, as in the COCO layout that this one descends from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from synthscars.converters.holds import ALL_STATUSES, IMAGE_FIELDS, Holds, narrow_record
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import (
    NO_PICTURES,
    Look,
    Names,
    SourcePictures,
    TargetPictures,
    look_at,
)
from synthscars.converters.reading import Where, decode_items, plain, read_bytes, shown_files
from synthscars.converters.synthscars_json_answers import as_annotations
from synthscars.converters.synthscars_json_entries import (
    NAMESPACE,
    entry_extra,
    file_name,
    has_own_ids,
    is_ours,
    read_entry,
    write_caption,
    write_entry,
)
from synthscars.problems import FormatError, Problems
from synthscars.records import ImageRecord

HOLDS = Holds(
    image=frozenset({"file_name", "caption", "split"}),
    artifact=frozenset({"outline", "phrase", "explanation"}),
    namespace=NAMESPACE,
    note="Ids and sizes come from the images. Captions and unknown keys come back as they were.",
)

# What was read from such a file is written again, whatever it says.
_HOLDS_OURS = msgspec.structs.replace(HOLDS, statuses=ALL_STATUSES)
_HOLDS_OUR_IDS = msgspec.structs.replace(_HOLDS_OURS, artifact=HOLDS.artifact | {"artifact_id"})

_FOLDERS = ("annotations", "annoations")
_SPLITS = frozenset({"train", "validation", "val", "test"})
_FOLDER_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


# Reading


class AnnotationFile(NamedTuple):
    """One annotation file, read but not yet understood.

    name: within the layout; images: the folder where its images should be; content: as it is on disk;
    entries: its list.
    """

    path: Path
    name: str
    split: str
    images: Path
    content: bytes
    entries: list[Any]


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read an annotation file, the folder of a split, or the whole layout; records in the order of the files.

    images: where the images are, if not in the `images` folder beside the annotations. The record of an image
    that is not there has width and height 0 and an id that is the sha256 of its split and file name.

    Every defect is reported with file, annotation id and place (`refs[3]`). An entry that is not one is set
    aside; a ref or polygon that cannot be used is kept in `extra` and comes back when the record is written.
    Raises `FormatError` if there is no annotation file or one is not a list.
    """
    for file in annotation_files(source, images):
        yield from read_file(file, problems)


def annotation_files(source: Path, images: Path | None = None) -> Iterator[AnnotationFile]:
    """The annotation files of a file, the folder of a split, or the whole layout, train before test.

    Raises `FormatError` if there is none or one is not a list.
    """
    for split, path in _find_files(source):
        content = read_bytes(path)
        entries = decode_items(content, str(path))
        if not isinstance(entries, list):
            raise FormatError(
                f"{path}: not a list of annotations", fix="give the file of the published layout"
            )
        name = path.relative_to(source).as_posix() if source.is_dir() else path.name
        yield AnnotationFile(path, name, split, images or _images_beside(path), content, entries)


def _find_files(source: Path) -> list[tuple[str, Path]]:
    if source.is_file():
        if source.parent.name in _FOLDERS:
            return [(source.resolve().parent.parent.name, source)]
        return [(source.stem if source.stem in _SPLITS else "", source)]
    found = [
        (folder.resolve().parent.name, path)
        for folder in (*(source / name for name in _FOLDERS), *source.glob("*/*"))
        if folder.name in _FOLDERS and folder.is_dir()
        for path in shown_files(folder, "*.json")
    ]
    if not found:
        raise FormatError(
            f"{source}: no annotation file",
            fix="give a .json file, or a folder with train/annotations/train.json",
        )
    # As they were published: train before test.
    return sorted(found, key=lambda each: (each[0] != "train", each[0] == "test", str(each[1])))


def _images_beside(path: Path) -> Path:
    in_layout = path.parent.parent / "images"
    return in_layout if path.parent.name in _FOLDERS and in_layout.is_dir() else path.parent / "images"


def read_file(
    file: AnnotationFile, problems: Problems, *, look: Callable[[Path], Look] = look_at
) -> Iterator[ImageRecord]:
    """The records of one annotation file, one per annotation. look: see `SourcePictures`."""
    everywhere = Where(problems, str(file.path))
    if file.entries and not file.images.is_dir():
        everywhere.warn(
            "image.no_folder",
            f"there is no folder {file.images}: sizes are unknown, and ids are made of file names",
            "say where the images are",
        )
    pictures = SourcePictures([file.images], "synthscars-json", look=look)
    seen: set[str] = set()
    for number, (key, entry) in enumerate(_entries(file.entries, everywhere)):
        where = everywhere.at(image=key)
        clean = _plain(entry, where)
        name = file_name(clean) if isinstance(clean, dict) else ""
        if not isinstance(clean, dict) or not name:
            what = "it names no image" if isinstance(clean, dict) else "it is not an object"
            place = where.at(region=f"entry {number}")
            place.add("entry.wrong_type", what, "write img_file_name, caption and refs")
            continue
        if key in seen:
            where.warn("id.repeated", "another annotation has the same id", "number them")
        seen.add(key)
        # Of the file name, not of the annotation: two annotations of one picture must have one id.
        picture = pictures.find(name, where, stand_in=f"{file.split}/{name}")
        yield msgspec.structs.replace(read_entry(clean, where, file.split, picture), source=file.name)


def _entries(entries: list[Any], everywhere: Where) -> Iterator[tuple[str, Any]]:
    for number, item in enumerate(entries):
        where = everywhere.at(region=f"entry {number}")
        if not isinstance(item, dict) or not item:
            where.add("entry.wrong_type", "it is not an object with an id as its key", 'write {"id": {...}}')
        elif len(item) > 1:
            # Annotations in one object are read one by one, but an entry without its id is none.
            if not all(isinstance(value, dict) for value in item.values()):
                where.add("entry.wrong_type", f"it has {len(item)} keys, not one id", 'write {"id": {...}}')
                continue
            where.warn("entry.many_ids", f"{len(item)} annotations share one object", "give each its own")
            yield from item.items()
        else:
            yield from item.items()


def _plain(entry: Any, where: Where) -> Any:
    """The entry as records can hold it; `None` if it is nested too deep for anybody."""
    found: set[str] = set()
    try:
        clean = plain(entry, found.add)
    except RecursionError:
        return None
    for what in sorted(found):
        where.warn("json.not_representable", f"it holds {what}, which became a text", "write it again")
    return clean


# Writing


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
) -> int:
    """Write records to one `.json` file, or as the whole layout into a new folder; returns how many.

    pictures: the images are put into the layout (not beside a single file). The count is that of annotations:
    several that `synthscars import` made one record of become several again.

    A caption is written as it is if it names every phrase, else composed from its scene. Annotation ids and
    boxes that were read come back; other images are numbered. What the format cannot hold is reported once
    per kind, as `loss.*`. Raises `WorkspaceError` if the folder exists.
    """
    from synthscars.files import atomic_file, atomic_folder

    losses = Losses(str(target), problems)
    if target.suffix == ".json":
        with atomic_file(target) as file:
            single = _SplitWriter(file, None, NO_PICTURES)
            count = 0
            for record in _annotations(records, losses):
                if record.split not in {"", target.stem}:
                    losses.count("split", "splits of images, all written to one file", record)
                count += single.add(record, losses)
            single.finish()
    else:
        with atomic_folder(target) as folder, ExitStack() as stack:
            splits: dict[str, _SplitWriter] = {}

            def writer_of(split: str) -> _SplitWriter:
                if split not in splits:
                    (folder / split / "annotations").mkdir(parents=True)
                    (folder / split / "images").mkdir()
                    path = folder / split / "annotations" / f"{split}.json"
                    opened = stack.enter_context(path.open("wb"))
                    splits[split] = _SplitWriter(opened, folder / split / "images", pictures)
                return splits[split]

            count = 0
            for record in _annotations(records, losses):
                count += writer_of(_split_of(record, losses)).add(record, losses)
            if not splits:
                writer_of("train")
            for writer in splits.values():
                writer.finish()
    losses.report()
    return count


def _annotations(records: Iterable[ImageRecord], losses: Losses) -> Iterator[ImageRecord]:
    """Records as they were read, also those that `as_answers` made one of."""
    for record in records:
        annotations = as_annotations(record)
        if annotations != [record]:
            others = len(record.reviews) - len(annotations)
            losses.count("reviews", IMAGE_FIELDS["reviews"], record, others)
        yield from annotations


def _split_of(record: ImageRecord, losses: Losses) -> str:
    if _FOLDER_NAME.fullmatch(record.split):
        return record.split
    losses.count("split", "images without a usable split were written to train", record)
    return "train"


class _SplitWriter:
    """Writes one annotation file, entry by entry, as `json.dump(..., indent=4)` would."""

    def __init__(self, file: IO[bytes], folder: Path | None, pictures: TargetPictures) -> None:
        self._file = file
        self._folder = folder
        self._pictures = pictures
        self._next = 0
        self._ids: set[str] = set()
        self._names = Names()
        self._count = 0

    def add(self, record: ImageRecord, losses: Losses) -> int:
        """Write one record; returns 0 if the format has no place for it."""
        if is_ours(record) and record.source.endswith(".json"):
            # The annotation file that it was read from, as whoever reads this one will say again.
            record = msgspec.structs.replace(record, source="")
        ours = _HOLDS_OUR_IDS if has_own_ids(record) else _HOLDS_OURS
        narrowed = narrow_record(record, ours if is_ours(record) else HOLDS, losses)
        if narrowed is None:
            return 0
        caption, composed = write_caption(record)
        if composed and record.caption:
            losses.count("caption", "captions did not name every phrase and were composed anew", record)
        name = self._name(record, losses)
        entry = {self._id(record): write_entry(narrowed, name, caption)}
        text = json.dumps(entry, indent=4).replace("\n", "\n    ")
        self._file.write(b",\n    " if self._count else b"[\n    ")
        self._file.write(text.encode())
        self._count += 1
        return 1

    def finish(self) -> None:
        """Close the list."""
        self._file.write(b"\n]" if self._count else b"[]")

    def _id(self, record: ImageRecord) -> str:
        found = entry_extra(record).id
        if not found:
            while str(self._next) in self._ids:
                self._next += 1
            found = str(self._next)
        self._ids.add(found)
        return found

    def _name(self, record: ImageRecord, losses: Losses) -> str:
        if self._folder is None and is_ours(record):
            return record.file_name  # as it was: there is no image to be stored under it
        name = self._names.give(record, losses, self._pictures.suffix(record))
        if self._folder is not None:
            self._pictures.place(record, self._folder, name, losses)
        return name
