"""Areas and boxes of many regions at once: what COCO wants beside every outline.

Areas are those of the exact polygons, as everywhere in synthscars. The shoelace formula gives that of a ring
that does not cross itself. Most rings show this cheaply, because they run once around a point that sees all
of them; GEOS has to look at the others, and only what is left goes through the slow, exact union.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from synthscars.records import Ring

Points = npt.NDArray[np.float64]


Box = list[float]
"""`[x, y, width, height]` in pixels, as COCO has it."""


def measure(regions: Sequence[Sequence[Ring]]) -> tuple[list[float], list[Box]]:
    """Area (of the union of its rings, in square pixels) and box of each region.

    regions: one or more rings each, of at least 3 points. Not finite where a coordinate is not.
    """
    rings = [ring for region in regions for ring in region]
    if not rings:
        return [], []
    areas, low, high, plain = _measure_rings(rings)
    _look_closer(rings, plain)
    if len(rings) > len(regions):
        first = np.concatenate(([0], np.cumsum([len(region) for region in regions])[:-1]))
        low, high = np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)
        areas = [areas[number] for number in first]
        plain = [len(region) == 1 and plain[number] for region, number in zip(regions, first, strict=True)]
    for number, (region, sure) in enumerate(zip(regions, plain, strict=True)):
        if not sure:
            areas[number] = _exact_area(region)
    with np.errstate(all="ignore"):
        return areas, np.hstack((low, high - low)).tolist()


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


def _measure_rings(rings: Sequence[Ring]) -> tuple[list[float], Points, Points, list[bool]]:
    """Shoelace areas, lowest and highest coordinates, and whether a ring surely does not cross itself."""
    lengths = np.fromiter(map(len, rings), dtype=np.intp, count=len(rings)) // 2
    points = np.fromiter(chain.from_iterable(rings), dtype=np.float64).reshape(-1, 2)
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    with np.errstate(all="ignore"):
        low = np.minimum.reduceat(points, starts)
        high = np.maximum.reduceat(points, starts)
        # Seen from the mean of the points: products of small numbers lose less than those of large ones.
        means = np.add.reduceat(points, starts) / lengths[:, None]
        x, y = (points - np.repeat(means, lengths, axis=0)).T
        next_x, next_y = _shifted(x, starts, lengths), _shifted(y, starts, lengths)
        cross = x * next_y - next_x * y
        areas = np.abs(np.add.reduceat(cross, starts)) / 2
        turns_left = np.minimum.reduceat(cross, starts) > 0
        turns_right = np.maximum.reduceat(cross, starts) < 0
        rises = np.add.reduceat(((y <= 0) & (next_y > 0)).astype(np.intp), starts)
    plain = (turns_left | turns_right) & (rises == 1)
    return areas.tolist(), low, high, plain.tolist()


def _shifted(values: Points, starts: npt.NDArray[np.intp], lengths: npt.NDArray[np.intp]) -> Points:
    """The value of the next point of the same ring."""
    following = np.roll(values, -1)
    following[starts + lengths - 1] = values[starts]
    return following


def _exact_area(rings: Sequence[Ring]) -> float:
    from synthscars.geometry import area

    if not all(np.isfinite(ring).all() for ring in rings):
        return float("nan")
    return area(rings)
