"""Folders of images and masks, and what is read from them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from converting import with_picture
from pictures import picture
from PIL import Image

from synthscars.converters.masks import read, write
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.geometry import to_mask
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord

GOLDEN = Path(__file__).parent.parent / "data" / "masks"
SIZE = (16, 12)
BOX = (2.0, 3.0, 8.0, 3.0, 8.0, 9.0, 2.0, 9.0)


def reads(source: Path, **options: object) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(read(source, problems, **options)), problems


def writes(found: list[ImageRecord], target: Path, images: Path | None, **options: object) -> Problems:
    problems = Problems()
    write(found, target, problems, pictures=TargetPictures(by_hash([images] if images else [])), **options)
    return problems


def codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


def grid(*boxes: tuple[int, int, int, int, int], dtype: type = np.uint8) -> np.ndarray:
    """16 x 12 pixels; boxes: left, top, right, bottom, value."""
    pixels = np.zeros(SIZE[::-1], dtype)
    for left, top, right, bottom, value in boxes:
        pixels[top:bottom, left:right] = value
    return pixels


def folder_of(folder: Path, mask: np.ndarray | bytes | None, name: str = "a.png", **save: object) -> Path:
    """Images `a` and `b` of 16 x 12 pixels; `mask` is that of `a`, `b` has one of the box 2, 3 to 8, 9."""
    for place, seed in (("a", 1), ("b", 2)):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        picture(seed, *SIZE).save(folder / "images" / f"{place}.png")
    path = folder / "masks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(mask, bytes):
        path.write_bytes(mask)
    elif mask is not None:
        Image.fromarray(mask).save(path, **save)
    Image.fromarray(grid((2, 3, 8, 9, 255))).save(folder / "masks" / "b.png")
    return folder


def first(folder: Path, **options: object) -> tuple[ImageRecord, Problems]:
    """What is read of `a`; `b` is always read as well as ever."""
    (one, other), problems = reads(folder, **options)
    assert [
        (to_mask(each.polygons, *SIZE) == (grid((2, 3, 8, 9, 1)) > 0)).all() for each in other.artifacts
    ] == [True]
    assert not [each for each in problems if each.image == "images/b.png"]
    return one, problems


def pixels(artifact: Artifact) -> np.ndarray:
    return to_mask(artifact.polygons, *SIZE).astype(np.uint8)


def record_of(*artifacts: Artifact, folder: Path, name: str = "a.png", **fields: object) -> ImageRecord:
    status = "annotated" if artifacts else "clean"
    fields = {"status": status, "width": SIZE[0], "height": SIZE[1], **fields}
    record = ImageRecord(image_id="", file_name=name, artifacts=artifacts, **fields)
    return with_picture(record, folder / "pictures", name, len(name))
