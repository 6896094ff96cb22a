"""Which images and masks a folder holds, and which belong together.

Masks lie in a folder beside that of the images, either of them perhaps with a folder for each split. The mask
of an image has its name (or `NAME_mask`); masks of single regions are `NAME/000.png` or `NAME_000.png`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from synthscars.converters.reading import Where

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "img_dir", "JPEGImages")
MASK_FOLDERS = ("labels", "masks", "mask", "annotations", "ann_dir", "SegmentationClass", "gt")
"""`labels` first: in PAL4Inpaint, they are the artifacts, and `masks` are the holes that were filled."""

SPLITS = {
    **dict.fromkeys(("train", "training", "trainset", "trainset_subset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset"), "validation"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}
_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff"})
_NUMBERED = re.compile(r"(.+)[_-]\d+")
_WHOLE = re.compile(r"(.+)[_-](?:mask|masks|label|labels|gt|seg|segmentation|pal)")


class Pair(NamedTuple):
    """One image and its masks. name: path without suffix; image: its file, if there is one.

    whole: masks of the whole image; regions: one a region, in order.
    """

    split: str
    name: str
    image: Path | None
    whole: tuple[Path, ...]
    regions: tuple[Path, ...]


def find_pairs(source: Path, images: Path | None, where: Where) -> list[Pair]:
    """Everything in a folder, sorted by name. images: where the images are, if not beside the masks."""
    pairs: list[Pair] = []
    for base in _bases(source):
        masks = _mask_folder(base, where)
        beside = next((base / name for name in IMAGE_FOLDERS if (base / name).is_dir()), None)
        if masks is None and base == source and beside is None:
            masks = source
        if masks is not None or beside is not None:
            pairs += _pairs(masks, beside, images, SPLITS.get(base.name, ""), where)
    return sorted(pairs, key=lambda pair: (pair.name, str(pair.image)))


def _bases(source: Path) -> Iterator[Path]:
    known = {*IMAGE_FOLDERS, *MASK_FOLDERS}
    below = [path for path in sorted(source.iterdir()) if path.is_dir() and path.name not in known]
    inside = [path for path in below if any((path / name).is_dir() for name in known)]
    if not inside or any((source / name).is_dir() for name in known):
        yield source
    yield from inside


def _mask_folder(base: Path, where: Where) -> Path | None:
    found = [base / name for name in MASK_FOLDERS if next(_files(base / name), None) is not None]
    if len(found) > 1:
        others = ", ".join(path.name for path in found[1:])
        where.warn(
            "masks.several_folders",
            f"{base}: {found[0].name} is read, {others} is not (in PAL4Inpaint, labels are the artifacts and "
            "masks the holes that were filled)",
            "take the folder away that does not hold the artifacts",
        )
    return found[0] if found else None


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for path in folder.rglob("*"):
            if path.suffix.lower() in _SUFFIXES and path.is_file():
                yield path


class _Images:
    """Image files by path without suffix, and by name alone where that is enough.

    What is in one folder is not looked for in those after it.
    """

    def __init__(self, *folders: Path | None) -> None:
        self.by_place: dict[str, list[Path]] = {}
        self._by_stem: dict[str, set[str]] = {}
        for folder in folders:
            known = set(self.by_place)
            for path in sorted(_files(folder)) if folder else ():
                place = path.relative_to(folder).with_suffix("").as_posix() if folder else ""
                if place in known:
                    continue
                self.by_place.setdefault(place, []).append(path)
                self._by_stem.setdefault(path.stem, set()).add(place)

    def place(self, name: str) -> str | None:
        """The place of the image that a mask of this name would belong to."""
        if name in self.by_place:
            return name
        same = self._by_stem.get(PurePosixPath(name).name, set())
        return next(iter(same)) if len(same) == 1 else None


def _pairs(
    masks: Path | None, beside: Path | None, elsewhere: Path | None, split: str, where: Where
) -> Iterator[Pair]:
    images = _Images(beside, elsewhere)
    whole: dict[str, list[Path]] = {}
    regions: dict[str, list[Path]] = {}
    for path in sorted(_files(masks)) if masks else ():
        name = path.relative_to(masks or path).with_suffix("").as_posix()
        place, is_region = _belongs(PurePosixPath(name), images)
        (regions if is_region else whole).setdefault(place, []).append(path)
    # Images elsewhere may be of another dataset: without a mask, nothing is said of them.
    unmasked = _Images(beside).by_place
    for place in sorted({*whole, *regions, *unmasked}):
        named = [SPLITS[part] for part in PurePosixPath(place).parts[:-1] if part in SPLITS]
        same: list[Path | None] = [*images.by_place.get(place, ())]
        if len(same) > 1 and (place in whole or place in regions):
            what = f"{len(same)} images of this name have the same masks"
            where.at(image=place).warn("image.same_mask", what, "rename one of them")
        for image in same or [None]:
            yield Pair(
                split or (named[-1] if named else ""),
                place,
                image,
                tuple(whole.get(place, ())),
                tuple(sorted(regions.get(place, ()), key=lambda path: (len(path.stem), path.stem))),
            )


def _belongs(name: PurePosixPath, images: _Images) -> tuple[str, bool]:
    """The image that a mask belongs to, and whether it is of one region."""
    above = name.parent.as_posix()
    if (place := images.place(name.as_posix())) is not None:
        return place, False
    if above != "." and (place := images.place(above)) is not None:
        return place, True
    for pattern, is_region in ((_NUMBERED, True), (_WHOLE, False)):
        match = pattern.fullmatch(name.name)
        if match and (place := images.place((name.parent / match[1]).as_posix())) is not None:
            return place, is_region
    # Without images, a name that ends in a number may be just a name.
    if not images.by_place and name.name.isdecimal() and above != "." and name.parent.name not in SPLITS:
        return above, True
    return name.as_posix(), False
