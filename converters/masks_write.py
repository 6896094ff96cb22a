"""Writes masks: one PNG a region, or one an image, and `masks.jsonl` beside them. See `masks`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO, Literal, NamedTuple, get_args

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image

from synthscars.converters.holds import Holds, everything_but, narrow
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import NO_PICTURES, Names, TargetPictures
from synthscars.converters.reading import Json, label_of
from synthscars.problems import Problems, UsageError
from synthscars.records import Artifact, ImageRecord, encode_record
from synthscars.taxonomy import load_taxonomy

SIDE_CAR = "masks.jsonl"
CLASSES = "classes.json"

Kind = Literal["regions", "indexed", "binary"]

_FOLDERS = {"train": "train", "validation": "val", "test": "test"}
_UNITED = ("artifact_id", "subtype", "phrase", "explanation", "rater_id", "votes", "agreement", "extra")
_HOLDS: dict[Kind, Holds] = {
    "regions": everything_but(outlines="pixels"),
    "indexed": everything_but(*(f"artifact.{name}" for name in _UNITED), outlines="pixels", regionless=False),
    "binary": everything_but(
        "artifact.category", *(f"artifact.{name}" for name in _UNITED), outlines="pixels", regionless=False
    ),
}
_COLOURS = ((230, 25, 75), (60, 180, 75), (0, 130, 200), (255, 225, 25), (145, 30, 180), (70, 240, 240))
_LEVEL = 1
"""Of compression: masks are so plain that more takes longer and saves little."""


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
    kind: Kind = "regions",
) -> int:
    """Write masks into a new folder; returns how many images.

    kind: `regions` loses nothing but what lies between pixels; `indexed` unites the regions of one category,
    the smaller one on top where two overlap; `binary` unites all regions. pictures: the images are put
    beside the masks.

    An image that is clean has a mask that is all background, one that is unlabelled or skipped has none (with
    `regions`, only `masks.jsonl` tells them apart). What the format cannot hold is reported once per kind, as
    `loss.*`. Raises `WorkspaceError` if the folder exists, `UsageError` for an unknown kind.
    """
    from synthscars.files import atomic_folder

    if kind not in get_args(Kind):
        raise UsageError(f"there is no kind {kind!r} of masks", fix=f"kinds: {', '.join(get_args(Kind))}")
    losses = Losses(str(target), problems)
    count = 0
    with atomic_folder(target) as folder, (folder / SIDE_CAR).open("wb") as side_car:
        writer = _Writer(folder, side_car, kind, pictures, losses)
        for record in narrow(records, _HOLDS[kind], losses):
            writer.add(record)
            count += 1
        writer.finish()
    losses.report()
    return count


class _Writer:
    """Writes images and masks one by one."""

    def __init__(
        self, folder: Path, side_car: IO[bytes], kind: Kind, pictures: TargetPictures, losses: Losses
    ) -> None:
        self._folder = folder
        self._side_car = side_car
        self._kind = kind
        self._pictures = pictures
        self._losses = losses
        self._names: dict[str, Names] = {}
        self._classes = {name: index for index, name in enumerate(load_taxonomy().category_ids, start=1)}
        (folder / "masks").mkdir()

    def add(self, record: ImageRecord) -> None:
        """Write the masks of one image, its line, and its file."""
        split = _FOLDERS.get(record.split, "")
        names = self._names.setdefault(split, Names(unique_stems=True))
        # The list keeps the name as it was, so nothing is lost if the file has another one.
        is_split = PurePosixPath(record.file_name).stem.casefold() in _FOLDERS.values()
        named = msgspec.structs.replace(record, file_name="") if is_split else record
        name = names.give(named, Losses("", Problems()), self._pictures.suffix(record))
        stem = PurePosixPath(name).stem
        place = PurePosixPath("masks", split, stem if stem.strip(".") else record.image_id)
        placed = self._pictures.place(record, self._folder / "images" / split, name, self._losses)
        line: Json = {"image": PurePosixPath("images", split, name).as_posix() if placed else None}
        if self._kind == "regions":
            line["masks"] = self._regions(record, place)
            bare = tuple(msgspec.structs.replace(each, polygons=()) for each in record.artifacts)
        else:
            line["mask"] = self._whole(record, place)
            bare = ()
        kept = msgspec.structs.replace(record, artifacts=bare)
        line["record"] = msgspec.Raw(encode_record(kept))
        self._side_car.write(msgspec.json.encode(line) + b"\n")

    def _regions(self, record: ImageRecord, place: PurePosixPath) -> list[str | None]:
        paths: list[str | None] = []
        for number, artifact in enumerate(record.artifacts):
            if not artifact.polygons:
                paths.append(None)
                continue
            pixels = np.zeros((record.height, record.width), dtype=np.uint8)
            if not _draw(artifact, 255, pixels).pixels:
                what = "artifacts cover no pixel: their masks are empty"
                self._losses.count("artifact.outline", what, record, severity="warning")
            path = place / f"{number:03}.png"
            self._save(pixels, path)
            paths.append(path.as_posix())
        return paths

    def _whole(self, record: ImageRecord, place: PurePosixPath) -> str | None:
        from synthscars.geometry import rle_area, to_rle

        if not record.artifacts and record.status in ("unlabelled", "skipped"):
            return None
        size = (record.width, record.height)
        pixels = np.zeros(size[::-1], dtype=np.uint8)
        by_area = sorted(record.artifacts, key=lambda each: -rle_area(to_rle(each.polygons, *size)))
        drawn: set[int] = set()
        for artifact in by_area:
            index = self._index(label_of(artifact)) if self._kind == "indexed" else 255
            drawn.add(index)
            hidden = _draw(artifact, index, pixels).hidden
            what = "pixels of regions are hidden by regions of another category"
            self._losses.count("artifact.outline", what, record, hidden, severity="warning")
        united = "their image" if self._kind == "binary" else "their image and category"
        what = f"artifacts became one with the others of {united}"
        self._losses.count("artifact.artifact_id", what, record, len(by_area) - len(drawn))
        path = place.with_name(f"{place.name}.png")
        self._save(pixels, path)
        return path.as_posix()

    def _index(self, name: str) -> int:
        return self._classes.setdefault(name, len(self._classes) + 1)

    def _save(self, pixels: npt.NDArray[np.uint8], place: PurePosixPath) -> None:
        path = self._folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels)
        if self._kind == "indexed":
            image.putpalette([value for colour in _palette() for value in colour])
        image.save(path, "PNG", compress_level=_LEVEL)

    def finish(self) -> None:
        """Write what the indices mean."""
        if self._kind == "indexed":
            names = {"background": 0, **self._classes}
            (self._folder / CLASSES).write_bytes(msgspec.json.format(msgspec.json.encode(names)) + b"\n")


class _Drawn(NamedTuple):
    """Pixels of a region, and how many of them had another value before."""

    pixels: int
    hidden: int


def _draw(artifact: Artifact, value: int, onto: npt.NDArray[np.uint8]) -> _Drawn:
    """Set the pixels of a region, as pycocotools rasterizes it, to a value."""
    from pycocotools import mask as coco

    from synthscars.geometry import to_rle

    height, width = onto.shape
    rle = to_rle(artifact.polygons, width, height)
    # Masks are decoded column by column, so only the part that matters is turned into rows.
    x, y, w, h = (int(number) for number in coco.toBbox(rle))
    bits = coco.decode(rle)[y : y + h, x : x + w].astype(np.bool_)
    part = onto[y : y + h, x : x + w]
    hidden = int(np.count_nonzero(bits & (part != 0) & (part != value)))
    part[bits] = value
    return _Drawn(int(np.count_nonzero(bits)), hidden)


def _palette() -> list[tuple[int, int, int]]:
    """Black, and colours that are told apart."""
    return [(0, 0, 0), *(_COLOURS[index % len(_COLOURS)] for index in range(255))]
