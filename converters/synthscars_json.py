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
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import msgspec

from synthscars.converters.holds import Holds
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import NO_PICTURES, TargetPictures
from synthscars.converters.synthscars_json_entries import (
    NAMESPACE,
    Picture,
    Where,
    entry_extra,
    file_name,
    is_ours,
    read_entry,
    write_caption,
    write_entry,
)
from synthscars.problems import FormatError, ImageError, Problems
from synthscars.records import ImageRecord

HOLDS = Holds(
    image=frozenset({"file_name", "caption", "split"}),
    artifact=frozenset({"outline", "phrase", "explanation"}),
    namespace=NAMESPACE,
    note="Ids and sizes come from the images. Captions and unknown keys come back as they were.",
)

_FOLDERS = ("annotations", "annoations")
_SPLITS = frozenset({"train", "validation", "val", "test"})
_FOLDER_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


# Reading


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read an annotation file, the folder of a split, or the whole layout; records in the order of the files.

    images: where the images are, if not in the `images` folder beside the annotations. The record of an image
    that is not there has width and height 0 and an id that is the sha256 of its split and file name.

    Every defect is reported with file, annotation id and place (`refs[3]`). An entry that is not one is set
    aside; a ref or polygon that cannot be used is kept in `extra` and comes back when the record is written.
    Raises `FormatError` if there is no annotation file or one is not a list.
    """
    for split, path in _annotation_files(source):
        name = path.relative_to(source).as_posix() if source.is_dir() else path.name
        yield from _read_file(path, name, split, problems, images or _images_beside(path))


def _annotation_files(source: Path) -> list[tuple[str, Path]]:
    if source.is_file():
        if source.parent.name in _FOLDERS:
            return [(source.resolve().parent.parent.name, source)]
        return [(source.stem if source.stem in _SPLITS else "", source)]
    found = [
        (folder.resolve().parent.name, path)
        for folder in (*(source / name for name in _FOLDERS), *source.glob("*/*"))
        if folder.name in _FOLDERS and folder.is_dir()
        for path in folder.glob("*.json")
        if not path.name.startswith(".")
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


def _read_file(path: Path, name: str, split: str, problems: Problems, images: Path) -> Iterator[ImageRecord]:
    try:
        entries = json.loads(path.read_bytes(), parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: {error}", fix="fetch the file again") from error
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}") from error
    if not isinstance(entries, list):
        raise FormatError(f"{path}: not a list of annotations", fix="give the file of the published layout")
    pictures = _Pictures(images, split) if images.is_dir() else None
    if pictures is None and entries:
        problems.add(
            "image.no_folder",
            f"there is no folder {images}: sizes are unknown, and ids are made of file names",
            fix="say where the images are",
            severity="warning",
            file=str(path),
        )
    seen: set[str] = set()
    for number, (key, entry) in enumerate(_entries(entries, path, problems)):
        where = Where(str(path), key, problems)
        clean = _representable(entry, where)
        if not isinstance(clean, dict) or not file_name(clean):
            what = "it names no image" if isinstance(clean, dict) else "it is not an object"
            where.add("entry.wrong_type", what, "write img_file_name, caption and refs", f"entry {number}")
            continue
        if key in seen:
            where.add("id.repeated", "another annotation has the same id", "number them", warning=True)
        seen.add(key)
        picture = pictures.find(file_name(clean), where) if pictures else _stand_in(split, file_name(clean))
        yield msgspec.structs.replace(read_entry(clean, where, split, picture), source=name)


def _integer(digits: str) -> int | float:
    # Python refuses to read an integer of thousands of digits, which would cost the whole file.
    return int(digits) if len(digits) < 30 else float(digits)


def _entries(entries: list[Any], path: Path, problems: Problems) -> Iterator[tuple[str, Any]]:
    for number, item in enumerate(entries):
        where = Where(str(path), "", problems)
        if not isinstance(item, dict) or not item:
            what = "it is not an object with an id as its key"
            where.add("entry.wrong_type", what, 'write {"id": {...}}', f"entry {number}")
        elif len(item) > 1:
            # Annotations in one object are read one by one, but an entry without its id is none.
            if not all(isinstance(value, dict) for value in item.values()):
                what = f"it has {len(item)} keys, not one id"
                where.add("entry.wrong_type", what, 'write {"id": {...}}', f"entry {number}")
                continue
            what = f"{len(item)} annotations share one object"
            where.add("entry.many_ids", what, "give each its own", f"entry {number}", warning=True)
            yield from item.items()
        else:
            yield from item.items()


def _representable(value: Any, where: Where) -> Any:
    """The value without what a record's JSON cannot hold: lone surrogates, numbers of any size, NaN."""
    found: set[str] = set()

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                found.add("half of a character")
                return value.encode(errors="replace").decode()
        elif isinstance(value, dict):
            return {clean(key): clean(inner) for key, inner in value.items()}
        elif isinstance(value, list):
            return [clean(inner) for inner in value]
        elif isinstance(value, float) and not abs(value) < float("inf"):
            found.add("a number that is not finite")
            return None
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            found.add("a number beyond 64 bits")
            return None
        return value

    try:
        cleaned = clean(value)
    except RecursionError:
        return None
    for what in sorted(found):
        where.add(
            "json.not_representable", f"it holds {what}, which is left out", "write it again", warning=True
        )
    return cleaned


def _stand_in(split: str, name: str) -> Picture:
    from synthscars.images import sha256

    # Of the file name, not of the annotation: two annotations of one picture must have one id.
    return Picture(sha256(f"synthscars-json:{split}/{name}".encode()), 0, 0)


class _Pictures:
    """Id and size of the images of one folder, each file decoded once."""

    def __init__(self, folder: Path, split: str) -> None:
        self._folder = folder
        self._split = split
        self._known: dict[str, Picture] = {}

    def find(self, name: str, where: Where) -> Picture:
        if name not in self._known:
            self._known[name] = self._look(name, where)
        return self._known[name]

    def _look(self, name: str, where: Where) -> Picture:
        from synthscars.images import inspect_image, sha256

        try:
            data = (self._folder / name).read_bytes()
        except (OSError, ValueError):
            where.add("image.missing", f"there is no {name} in {self._folder}", "add the image", warning=True)
            return _stand_in(self._split, name)
        try:
            info, _ = inspect_image(data)
        except ImageError as error:
            where.add(error.code, f"{name}: {error.message}", error.fix, warning=True)
            return Picture(sha256(data), 0, 0)
        return Picture(info.image_id, info.width, info.height)


# Writing


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
) -> int:
    """Write records to one `.json` file, or as the whole layout into a new folder; returns how many.

    pictures: the images are put into the layout (not beside a single file).

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
            for record in records:
                if record.split not in {"", target.stem}:
                    losses.count("split", "splits of images, all written to one file", record)
                count += single.add(record, losses)
            single.finish()
    else:
        with atomic_folder(target) as folder, ExitStack() as stack:
            splits: dict[str, _SplitWriter] = {}
            count = 0
            for record in records:
                split = _split_of(record, losses)
                if split not in splits:
                    (folder / split / "annotations").mkdir(parents=True)
                    (folder / split / "images").mkdir()
                    path = folder / split / "annotations" / f"{split}.json"
                    opened = stack.enter_context(path.open("wb"))
                    splits[split] = _SplitWriter(opened, folder / split / "images", pictures)
                count += splits[split].add(record, losses)
            for writer in splits.values():
                writer.finish()
    losses.report()
    return count


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
        self._names: dict[str, str] = {}
        self._count = 0

    def add(self, record: ImageRecord, losses: Losses) -> int:
        """Write one record; returns 0 if the format has no place for it."""
        if record.status in {"unlabelled", "skipped"} and not record.artifacts and not is_ours(record):
            losses.count(
                record.status,
                f"images are {record.status}: written, they would count as clean",
                record,
                severity="warning",
            )
            return 0
        _count_losses(record, losses)
        caption, composed = write_caption(record)
        if composed and record.caption:
            losses.count("caption", "captions did not name every phrase and were composed anew", record)
        name = self._name(record, losses)
        entry = {self._id(record): write_entry(record, name, caption)}
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
        suffix = self._pictures.suffix(record)
        name = file_name({"img_file_name": record.file_name})
        fits = bool(name) and len(name.encode()) <= 200 and name.isprintable()
        if not fits or self._names.get(name, record.image_id) != record.image_id:
            name = f"{record.image_id}{suffix or (Path(name).suffix if fits else '')}"
        if name != record.file_name:
            losses.count("file_name", "file names were unusable or taken, and were changed", record)
        if self._folder is not None:
            self._pictures.place(record, self._folder, name, losses)
        self._names[name] = record.image_id
        return name


def _count_losses(record: ImageRecord, losses: Losses) -> None:
    """Count the fields of a record that are not written."""
    artifacts, extra = record.artifacts, set(record.extra) - {NAMESPACE}
    fields: dict[str, tuple[int, str]] = {
        "no_polygon": (
            sum(not each.polygons for each in artifacts),
            "artifacts without a polygon were left out",
        ),
        "category": (sum(each.category is not None for each in artifacts), "categories of artifacts"),
        "subtype": (sum(each.subtype is not None for each in artifacts), "subtypes of artifacts"),
        "rater_id": (sum(bool(each.rater_id) for each in artifacts), "artifacts' raters"),
        "votes": (sum(each.votes is not None for each in artifacts), "artifacts' votes"),
        "content_type": (record.content_type is not None, "content types"),
        "reviews": (len(record.reviews), "reviews"),
        "generation": (record.generation is not None, "generation metadata"),
        "group_id": (bool(record.group_id), "groups"),
        "license": (bool(record.license), "licences"),
        "origin": (record.origin == "real", "real images, written like synthetic ones"),
        "extra": (
            bool(extra) + sum(bool(set(each.extra) - {NAMESPACE}) for each in artifacts),
            "images and artifacts with fields of other formats",
        ),
    }
    for field, (times, what) in fields.items():
        losses.count(field, what, record, int(times), severity="warning" if field == "no_polygon" else "info")
