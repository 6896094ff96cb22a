"""Areas and boxes of many regions at once: what COCO wants beside every outline.

Areas are those of the exact polygons, as everywhere in synthscars. The shoelace formula gives that of a ring
that does not cross itself. Most rings show this cheaply, because they run once around a point that sees all
of them; GEOS has to look at the others, and only what is left goes through the slow, exact union.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from synthscars.records import Ring

Numbers = npt.NDArray[np.float64]


Box = list[float]
"""`[x, y, width, height]` in pixels, as COCO has it."""


def measure(regions: Sequence[Sequence[Ring]]) -> tuple[list[float], list[Box]]:
    """Area (of the union of its rings, in square pixels) and box of each region.

    regions: one or more rings each, of at least 3 points. The area is NaN where a coordinate is not finite.
    """
    rings = [ring for region in regions for ring in region]
    if not rings:
        return [], []
    areas, corners, plain = _measure_rings(rings)
    _look_closer(rings, plain)
    if len(rings) > len(regions):
        first = np.concatenate(([0], np.cumsum([len(region) for region in regions])[:-1]))
        # Of the corners, the greatest is the lowest coordinate with its sign turned.
        corners = np.maximum.reduceat(corners, first, axis=1)
        areas = [areas[number] for number in first]
        plain = [len(region) == 1 and plain[number] for region, number in zip(regions, first, strict=True)]
    for number, (region, sure) in enumerate(zip(regions, plain, strict=True)):
        if not sure:
            areas[number] = _exact_area(region)
    left, top, right, bottom = corners
    with np.errstate(all="ignore"):
        boxes = np.stack((-left, -top, right + left, bottom + top), axis=1)
    for number in np.flatnonzero(~np.isfinite(boxes).all(axis=1)):
        areas[number] = math.nan
    return areas, (boxes + 0.0).tolist()


def _look_closer(rings: Sequence[Ring], plain: list[bool]) -> None:
    """Mark those rings as plain, too, that GEOS finds valid: slower, but all at once."""
    import shapely

    doubtful = [number for number, sure in enumerate(plain) if not sure]
    if not doubtful:
        return
    lengths = np.fromiter((len(rings[number]) // 2 for number in doubtful), dtype=np.intp)
    flat = np.fromiter(chain.from_iterable(rings[number] for number in doubtful), dtype=np.float64)
    owners = np.repeat(np.arange(len(doubtful)), lengths)
    finite = np.isfinite(flat)
    points = np.where(finite, flat, 0.0).reshape(-1, 2)
    shapes = shapely.polygons(shapely.linearrings(points, indices=owners))
    valid = shapely.is_valid(shapes)
    valid[owners[~finite.reshape(-1, 2).all(axis=1)]] = False
    for number, sure in zip(doubtful, valid.tolist(), strict=True):
        plain[number] = sure


def _measure_rings(rings: Sequence[Ring]) -> tuple[list[float], Numbers, list[bool]]:
    """Shoelace areas, corners, and whether a ring surely does not cross itself.

    Corners: `-left, -top, right, bottom`, shape (4, rings).
    """
    lengths = np.fromiter(map(len, rings), dtype=np.intp, count=len(rings)) // 2
    flat = np.fromiter(chain.from_iterable(rings), dtype=np.float64, count=2 * int(lengths.sum()))
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    lasts = starts + lengths - 1
    # Axis by axis: numpy is several times as fast along numbers that lie side by side.
    x, y = np.ascontiguousarray(flat[::2]), np.ascontiguousarray(flat[1::2])
    with np.errstate(all="ignore"):
        corners = np.stack(
            (
                -np.minimum.reduceat(x, starts),
                -np.minimum.reduceat(y, starts),
                np.maximum.reduceat(x, starts),
                np.maximum.reduceat(y, starts),
            )
        )
        # Seen from the mean of the points: products of small numbers lose less than those of large ones.
        x -= np.repeat(np.add.reduceat(x, starts) / lengths, lengths)
        y -= np.repeat(np.add.reduceat(y, starts) / lengths, lengths)
        next_x, next_y = np.roll(x, -1), np.roll(y, -1)
        next_x[lasts], next_y[lasts] = x[starts], y[starts]
        cross = x * next_y - next_x * y
        areas = np.abs(np.add.reduceat(cross, starts)) / 2
        turns_left = np.minimum.reduceat(cross, starts) > 0
        turns_right = np.maximum.reduceat(cross, starts) < 0
        rises = np.add.reduceat(((y <= 0) & (next_y > 0)).astype(np.intp), starts)
    plain = (turns_left | turns_right) & (rises == 1)
    return areas.tolist(), corners, plain.tolist()


def _exact_area(rings: Sequence[Ring]) -> float:
    import shapely

    from synthscars.geometry import area, polygon

    if not all(np.isfinite(ring).all() for ring in rings):
        return math.nan
    shapes = np.array([polygon(ring) for ring in rings], dtype=object)
    if shapely.is_valid(shapes).all():
        # The pieces of a mask are many and do not overlap: looking at neighbours is quicker than uniting all.
        first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
        pairs = first < second
        if not shapely.relate_pattern(shapes[first[pairs]], shapes[second[pairs]], "T********").any():
            return float(shapely.area(shapes).sum())
    return area(rings)
