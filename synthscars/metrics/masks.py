"""Masks of regions in run-length encoding, by either of the two rasterizers of LEGION's published code.

`coco` is pycocotools, which its training uses (`frPyObjects`, `merge`), and `synthscars.geometry`. `fillpoly`
is its evaluation: the vertices as float32, cut off to whole numbers, `cv2.fillPoly` one ring after another;
it also sets the pixels that the outline runs through, so regions are larger by about half a pixel all round.

A mask that a model gives as run lengths is what it is, whatever the rasterizer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from synthscars.converters.rle import read_rle
from synthscars.geometry import Rings, Rle, to_rle
from synthscars.predictions import PredictedRegion
from synthscars.problems import SynthScarsError, UsageError

Rasterizer = Literal["coco", "fillpoly"]
RASTERIZERS: tuple[Rasterizer, ...] = get_args(Rasterizer)

Rasterize = Callable[[Rings, int, int], Rle]
"""Rings, width and height → the mask of their union."""


class Flaw(NamedTuple):
    """What is wrong with an outline: the code of the problem, what was seen, and what to do."""

    code: str
    what: str
    fix: str


def rasterizer_of(name: str) -> Rasterize:
    """The rasterizer of a name. Raises `UsageError` if there is none, `SynthScarsError` without OpenCV."""
    if name == "coco":
        return to_rle
    if name != "fillpoly":
        raise UsageError(f"there is no rasterizer {name}", fix=f"there are {', '.join(RASTERIZERS)}")
    if find_spec("cv2") is None:
        raise SynthScarsError(
            "the rasterizer fillpoly is OpenCV's, which is not installed",
            fix="pip install opencv-python-headless, or take the rasterizer coco",
        )
    return _fill


def _fill(rings: Rings, width: int, height: int) -> Rle:
    import cv2

    mask: npt.NDArray[np.uint8] = np.zeros((height, width), dtype=np.uint8)
    for ring in rings:
        # A vertex that 32 bits cannot hold would turn up on the other side.
        points = np.clip(ring, -(2**24), 2**24).astype(np.float32).astype(np.int32)
        if len(points) >= 6:
            cv2.fillPoly(mask, [points.reshape(-1, 2)], [1])
    rle: Rle = coco.encode(np.asfortranarray(mask))
    return rle


def nothing(width: int, height: int) -> Rle:
    """The mask of nothing at all."""
    return to_rle([], width, height)


def union(masks: Sequence[Rle], width: int, height: int) -> Rle:
    """What any of the masks covers."""
    if len(masks) == 1:
        return masks[0]
    rle: Rle = coco.merge(list(masks)) if masks else nothing(width, height)
    return rle


def both(first: Rle, second: Rle) -> int:
    """Number of pixels that two masks of one size share."""
    return int(coco.area(coco.merge([first, second], intersect=True)))


def predicted_mask(
    region: PredictedRegion, width: int, height: int, rasterize: Rasterize
) -> tuple[Rle, list[Flaw]]:
    """The mask of a region that a model sees, and what is wrong with its outline.

    A mask that cannot be read covers nothing, as does a ring that is none.
    """
    if region.rle is not None:
        found = read_rle({"size": list(region.rle.size), "counts": region.rle.counts})
        if isinstance(found, str):
            fix = "write counts as pycocotools encodes them, size as [height, width]"
            return nothing(width, height), [Flaw("prediction.mask", found, fix)]
        if found["size"] != [height, width]:
            what = "the mask has {1} x {0} pixels".format(*found["size"])
            return nothing(width, height), [
                Flaw(
                    "prediction.mask_size",
                    f"{what}, the image {width} x {height}",
                    "scale the mask to the size of the upright image",
                )
            ]
        return found, []
    flaws = list(_ring_flaws(region.polygons))
    rings = [ring for ring in region.polygons if len(ring) >= 6 and len(ring) % 2 == 0]
    return rasterize(rings, width, height), flaws


def _ring_flaws(rings: Rings) -> Iterator[Flaw]:
    for number, ring in enumerate(rings):
        if len(ring) % 2:
            what = f"ring {number} has {len(ring)} numbers: a coordinate has no partner"
            yield Flaw("prediction.ring", what, "write rings as [x0, y0, x1, y1, ...]")
        elif len(ring) < 6:
            what = f"ring {number} has {len(ring) // 2} points, a polygon needs 3"
            yield Flaw("prediction.ring", what, "leave it out, or give the region as a mask")
