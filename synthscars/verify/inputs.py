"""What of a release is held in memory: its records without what no figure needs, and how each image looks.

How it looks is a thumbnail of 8 x 8 pixels: enough to find a similar image, and 192 numbers for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image

from synthscars.engine import map_ordered
from synthscars.images import open_image, upright
from synthscars.problems import ImageError, Problem, Problems, ReleaseError
from synthscars.records import Generation, ImageRecord
from synthscars.release.as_format import read
from synthscars.release.files import EmbeddedImages

SIDE = 8
"""Pixels of a thumbnail's sides."""

Looks = npt.NDArray[np.float32]
"""Thumbnails: shape (images, 192), RGB from 0 to 1."""


class Inputs(NamedTuple):
    """The images of a release that somebody looked at, by split, in the order of its rows.

    validation: of every split that is neither `train` nor `test`. photographs: the test images that only the
    config `detection` has.
    """

    train: list[ImageRecord]
    test: list[ImageRecord]
    validation: list[ImageRecord]
    photographs: list[ImageRecord]


def read_inputs(folder: Path, problems: Problems) -> Inputs:
    """The records of a release; what cannot be read is reported and left out.

    Raises `ReleaseError` if there is nothing to learn from or nothing to be tested on.
    """
    found = Inputs([], [], [], [])
    for record in read(folder, problems):
        judged = record.status in ("annotated", "clean")
        if judged:
            group = {"train": found.train, "test": found.test}.get(record.split, found.validation)
            group.append(_slim(record))
        elif record.split == "test":
            found.photographs.append(_slim(record))
    for name, records in (("train", found.train), ("test", found.test)):
        if not records:
            raise ReleaseError(
                f"{folder} has no annotated images in the split {name}",
                fix="build it with shares for train and test in synthscars.toml",
            )
    return found


def _slim(record: ImageRecord) -> ImageRecord:
    made = record.generation
    return msgspec.structs.replace(
        record,
        generation=Generation(tool=made.tool, model=made.model) if made else None,
        reviews=(),
        extra={},
    )


def thumbnail_of(image: Image.Image) -> npt.NDArray[np.float32]:
    """How an upright image looks, from far away: shape (192,)."""
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel() / np.float32(255)


def read_looks(
    folder: Path,
    records: Sequence[ImageRecord],
    problems: Problems,
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Looks:
    """A thumbnail of each image, in the order of the records; grey for those that cannot be decoded."""
    images = EmbeddedImages(folder)

    def look(record: ImageRecord) -> npt.NDArray[np.float32] | Problem:
        try:
            data = images(record.image_id)
            if data is None:
                raise ImageError("its bytes are not in the release", code="image.missing")
            return thumbnail_of(upright(open_image(data)))
        except ImageError as error:
            return Problem(code=error.code, what=error.message, fix=error.fix, image=record.image_id)

    looks = np.full((len(records), 3 * SIDE * SIDE), 0.5, dtype=np.float32)
    for number, found in enumerate(map_ordered(look, records, workers=workers)):
        if isinstance(found, Problem):
            problems.extend([found])
        else:
            looks[number] = found
        if progress is not None:
            progress(1)
    return looks


def nearest(
    looks: Looks, among: Looks, forbidden: Callable[[int], npt.NDArray[np.intp]] | None = None
) -> Iterator[int]:
    """For each image, the number of the most similar one of `among` (squared difference of the thumbnails).

    forbidden: gives the numbers that do not count for an image, itself for instance. Of equally similar ones
    the first; -1 if there is none. Memory: one row of distances at a time.
    """
    squares = (among.astype(np.float64) ** 2).sum(axis=1)
    for number, look in enumerate(looks):
        distance = squares - 2 * (among @ look)
        if forbidden is not None:
            distance[forbidden(number)] = np.inf
        best = int(np.argmin(distance)) if len(distance) else -1
        yield best if best >= 0 and np.isfinite(distance[best]) else -1
