"""YOLO segmentation, as Ultralytics trains on it, both ways.

::

    data.yaml                 train: images/train    val: images/val    names: {0: physics, 1: ...}
    images/train/a.jpg        labels/train/a.txt     one region a line: class x1 y1 x2 y2 ... xn yn

Coordinates are parts of the width and height of the upright image, 0 to 1 (docs.ultralytics.com, "Instance
Segmentation Datasets Overview"; its checks: `verify_image_label` in `ultralytics/data/utils.py`). A line of
four numbers after the class is a box: centre, width, height.

An empty label file says that the image was looked at and is clean. An image without a label file was not
looked at; but Ultralytics trains on it as if it were clean, so such images go to `images/unlabelled`,
which no key of `data.yaml` names. Images without a split are written to `images/unsplit` and trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from synthscars.converters.holds import Holds, narrow
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import NO_PICTURES, Names, Picture, SourcePictures, TargetPictures
from synthscars.converters.reading import (
    UNLABELLED,
    Json,
    Where,
    label_of,
    number_ring,
    read_label,
    text,
    usable_ring,
)
from synthscars.converters.yolo_layout import IMAGE_SUFFIXES, Item, find_dataset
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Ring, Status
from synthscars.shapes import rectangle_ring
from synthscars.taxonomy import load_taxonomy

NAMESPACE = "yolo"

HOLDS = Holds(
    image=frozenset({"file_name", "split"}),
    artifact=frozenset({"category", "outline"}),
    statuses=frozenset({"clean", "unlabelled"}),
    outlines="rounded",
    several_rings=False,
    several_records=False,
    namespace=NAMESPACE,
    note="Ids and sizes come from the images, without which nothing can be read. An unlabelled image is held "
    "by the image file alone.",
)

_FOLDERS = {"train": "train", "validation": "val", "test": "test", "": "unsplit"}


# Reading


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read a dataset: its folder or its `data.yaml`; records sorted by the paths of the images.

    images: where images are looked for, by name, that are not in their place.

    A line that cannot be used is reported (`line 3`) and kept in `extra`. An image that is missing or damaged
    has no size, so its regions have none in pixels: it is reported, and its lines are kept in `extra`. Raises
    `FormatError` if there is nothing of a dataset.
    """
    dataset = find_dataset(source, problems, images)
    root = source.parent if source.is_file() else source
    inside = SourcePictures([root], NAMESPACE)
    outside = SourcePictures([images], NAMESPACE)
    for item in dataset.items:
        where = Where(problems, str(item.label or root), item.name)
        lines = _lines(item, where)
        if item.image is None:
            picture = Picture(inside.stand_in(item.name), 0, 0)
            where.add("image.missing", "there is no image of this name", "add it, or pass --images FOLDER")
        elif images is not None and not item.image.is_relative_to(root):
            picture = outside.find(item.image.relative_to(images).as_posix(), where)
        else:
            picture = inside.find(item.image.relative_to(root).as_posix(), where)
        yield _read_image(item, lines, picture, dataset.names, where)


def _lines(item: Item, where: Where) -> list[str] | None:
    """The lines of a label file; `None` if there is none, or none that can be read."""
    if item.label is None:
        return None
    try:
        return item.label.read_bytes().decode("utf-8-sig", "replace").splitlines()
    except OSError as error:
        where.add("label.unreadable", f"{error.strerror or error}", "check that you may read it")
        return None


def _read_image(
    item: Item, lines: list[str] | None, picture: Picture, names: dict[int, str], where: Where
) -> ImageRecord:
    rows = [(number, line.split()) for number, line in enumerate(lines or (), start=1) if line.strip()]
    artifacts: list[Artifact] = []
    rejected: list[str] = []
    if rows and not picture.width:
        if item.image is not None:
            what = "the image has no size, so nobody knows where its regions are; they are kept in extra"
            where.add("image.no_size", what, "replace the image")
        rejected = [" ".join(words) for _, words in rows]
    else:
        outlines = any(len(words) > 6 for _, words in rows)
        for number, words in rows:
            at = where.at(region=f"line {number}")
            artifact = _read_line(words, str(number), picture, names, outlines, at)
            if artifact is None:
                rejected.append(" ".join(words))
            else:
                artifacts.append(artifact)
    is_clean = lines is not None and not rows
    status: Status = "unlabelled" if item.label is None else "clean" if is_clean else "annotated"
    return ImageRecord(
        image_id=picture.image_id,
        file_name=PurePosixPath(item.name).name,
        width=picture.width,
        height=picture.height,
        status=status,
        artifacts=tuple(artifacts),
        split=item.split,
        source=item.name,
        extra={NAMESPACE: {"rejected": rejected}} if rejected else {},
    )


def _read_line(
    words: list[str], number: str, picture: Picture, names: dict[int, str], outlines: bool, where: Where
) -> Artifact | None:
    values = [_number(word) for word in words]
    index, numbers = values[0], values[1:]
    if not isinstance(index, float) or index != index // 1 or index < 0:
        where.add("class.wrong", f"{words[0][:40]!r} is no number of a class", "write a whole number from 0")
        return None
    own: Json = {}
    is_box = len(numbers) in (4, 5)
    if is_box:
        # Predictions that were saved with `save_conf` have their confidence at the end.
        if len(numbers) == 5:
            own = {NAMESPACE: {"confidence": numbers.pop()}}
        numbers = _corners(numbers)
    ring = number_ring(numbers)
    if not isinstance(ring, str):
        if any(not -1 <= value <= 2 for value in ring):
            where.add(
                "polygon.not_normalised",
                "coordinates are farther outside than the image is large: are they pixels?",
                "divide x by the width and y by the height of the image",
            )
            return None
        size = (picture.width, picture.height)
        ring = tuple(value * size[place % 2] for place, value in enumerate(ring))
    usable = usable_ring(ring, picture.width, picture.height, where)
    if usable is None:
        return None
    if is_box and outlines:
        what = "a box among outlines, which Ultralytics would take for an outline of two points"
        where.warn("region.box", what, "it is read as a box; draw its outline")
    category, subtype, extra = _read_class(int(index), names, where)
    return Artifact(
        artifact_id=number, category=category, subtype=subtype, polygons=(usable,), extra={**extra, **own}
    )


def _number(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def _corners(box: list[Any]) -> list[Any]:
    """The corners of a box given by centre, width and height."""
    if not all(isinstance(value, float) for value in box):
        return box
    x, y, width, height = box
    return list(rectangle_ring(x - width / 2, y - height / 2, width, height))


def _read_class(index: int, names: dict[int, str], where: Where) -> tuple[str | None, str | None, Json]:
    if index in names:
        return read_label(names[index], where)
    where.warn(
        "label.unknown",
        f"class {index} has no name in data.yaml",
        "the artifact is kept without a category, the number in its extra",
    )
    return None, None, {"label": str(index)}


# Writing


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
) -> int:
    """Write a dataset into a new folder; returns how many images.

    pictures: the images are put into it. Without them, it can be read only where they are found elsewhere,
    and unlabelled images cannot be held.

    Classes 0 to 2 are always the categories of the taxonomy; unknown labels and artifacts of unknown category
    follow in the order in which they come. What lies outside the image is cut off and reported, because
    Ultralytics drops a whole image for it. What the format cannot hold is reported once per kind, as
    `loss.*`. Raises `WorkspaceError` if the folder exists.
    """
    from synthscars.files import atomic_folder

    losses = Losses(str(target), problems)
    with atomic_folder(target) as folder:
        writer = _Writer(folder, target, pictures, losses, problems)
        count = sum(writer.add(record) for record in narrow(map(_label_kept, records), HOLDS, losses))
        writer.finish()
    losses.report()
    return count


def _label_kept(record: ImageRecord) -> ImageRecord:
    """The record with unknown labels where they are not taken for fields of another format."""
    if not any("label" in artifact.extra for artifact in record.artifacts):
        return record
    artifacts = []
    for artifact in record.artifacts:
        if not artifact.category and (label := text(artifact.extra.get("label"))):
            rest = {key: value for key, value in artifact.extra.items() if key not in ("label", NAMESPACE)}
            artifact = msgspec.structs.replace(artifact, extra={**rest, NAMESPACE: {"label": label}})
        artifacts.append(artifact)
    return msgspec.structs.replace(record, artifacts=tuple(artifacts))


class _Writer:
    """Writes label files image by image, and `data.yaml` at the end."""

    def __init__(
        self, folder: Path, target: Path, pictures: TargetPictures, losses: Losses, problems: Problems
    ) -> None:
        self._folder = folder
        self._target = target
        self._pictures = pictures
        self._losses = losses
        self._problems = problems
        self._names: dict[str, Names] = {}
        self._classes = {name: index for index, name in enumerate(load_taxonomy().category_ids)}
        for split in ("train", "val"):  # Ultralytics wants both, even if one is empty
            (folder / "images" / split).mkdir(parents=True)
            (folder / "labels" / split).mkdir(parents=True)

    def add(self, record: ImageRecord) -> int:
        """Write one image; returns 0 if there is no place for it."""
        if record.split not in _FOLDERS:
            self._losses.count("split", "splits that YOLO has no name for", record)
        split = _FOLDERS.get(record.split, "unsplit")
        unlabelled = record.status == "unlabelled" and not record.artifacts
        place = f"unlabelled/{split}" if unlabelled else split
        lines = list(self._lines(record))
        if record.artifacts and not lines:
            what = (
                "images left out, because nothing of their regions can be held and they would count as clean"
            )
            self._losses.count("status", what, record, severity="warning")
            return 0
        name = self._name(record, place)
        placed = self._pictures.place(record, self._folder / "images" / place, name, self._losses)
        if unlabelled:
            if not placed:
                what = "unlabelled images left out, because only the image file could say that they are there"
                self._losses.count("status", what, record, severity="warning")
            return int(placed)
        path = (self._folder / "labels" / place / name).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines), encoding="utf-8")
        return 1

    def _name(self, record: ImageRecord, place: str) -> str:
        suffix = self._pictures.suffix(record) or ".png"
        if PurePosixPath(record.file_name).suffix.lower() not in IMAGE_SUFFIXES and record.file_name:
            self._losses.count("file_name", "file names without the suffix of an image got one", record)
            record = msgspec.structs.replace(record, file_name=record.file_name + suffix)
        if (
            PurePosixPath(record.file_name).stem.casefold() == "classes"
        ):  # then its labels would be classes.txt
            record = msgspec.structs.replace(record, file_name="")
        names = self._names.setdefault(place, Names(unique_stems=True))
        return names.give(record, self._losses, suffix)

    def _lines(self, record: ImageRecord) -> Iterator[str]:
        for artifact in record.artifacts:
            own = artifact.extra.get(NAMESPACE)
            label = text(own.get("label")) if isinstance(own, dict) else ""
            name = label_of(artifact)
            name = label if label and name == UNLABELLED else name
            for ring in self._inside(artifact, record):
                index = self._classes.setdefault(name, len(self._classes))
                yield f"{index} {_parts(ring, record.width, record.height)}\n"

    def _inside(self, artifact: Artifact, record: ImageRecord) -> list[Ring]:
        """The part of an outline that is on the image."""
        from synthscars.geometry import UNUSABLE, clip, ring_faults

        kept: list[Ring] = []
        for ring in artifact.polygons:
            faults = dict(ring_faults(ring, record.width, record.height))
            if "polygon.outside" in faults:
                self._problems.add(
                    "polygon.outside",
                    f"{faults['polygon.outside']}: cut off at its edge",
                    fix="Ultralytics refuses a whole image for it; look at the region",
                    severity="warning",
                    file=str(self._target),
                    image=record.image_id,
                    region=f"artifact {artifact.artifact_id}",
                )
                pieces: Iterable[Ring] = clip(ring, record.width, record.height)
            else:
                pieces = () if UNUSABLE & faults.keys() else (ring,)
            kept += pieces
        if not kept:
            what = "artifacts were left out, because nothing of their outline can be drawn"
            self._losses.count("artifact.outline", what, record, severity="warning")
        elif len(kept) > 1:
            self._losses.count(
                "artifact.rings", "artifacts of several rings became one artifact a ring", record
            )
        return kept

    def finish(self) -> None:
        """Write `data.yaml`."""
        import yaml  # type: ignore[import-untyped, unused-ignore]

        found = {each for each in _FOLDERS.values() if (self._folder / "labels" / each).is_dir()}
        used = {each for each in found if any((self._folder / "labels" / each).iterdir())}
        trained = [each for each in ("train", "unsplit") if each in used] or ["train"]
        paths = [f"images/{each}" for each in trained]
        values: Json = {"train": paths[0] if len(paths) == 1 else paths, "val": "images/val"}
        values |= {each: f"images/{each}" for each in ("test", "unsplit") if each in used}
        values["names"] = {index: name for name, index in self._classes.items()}
        head = "# An empty label file: the image was looked at and is clean. None: nobody looked at it.\n"
        body = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        (self._folder / "data.yaml").write_text(head + body, encoding="utf-8")
        if used and "val" not in used:
            self._problems.add(
                "split.no_validation",
                "there are no images for validation, without which Ultralytics does not train",
                fix="give some of the records the split validation",
                severity="info",
                file=str(self._target),
            )


def _parts(ring: Ring, width: int, height: int) -> str:
    """Coordinates as parts of width and height; `repr` of a float reads back as the same float."""
    sizes = (width, height)
    parts = (value / sizes[place % 2] for place, value in enumerate(ring))
    return " ".join(repr(min(max(0.0, part), 1.0)) for part in parts)
