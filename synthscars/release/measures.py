"""Boxes and areas of many regions at a time: the same numbers as one by one, in a fraction of the time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import shapely

from synthscars import geometry
from synthscars.records import Ring

Box = tuple[float, float, float, float]

Measures = dict[tuple[Ring, ...], tuple[list[float], float]]
"""Rings of a region → its bounding box and area."""


def measures(regions: Iterable[tuple[Ring, ...]]) -> Measures:
    """Boxes and areas of regions, which must be usable; each is measured once, however often it comes."""
    # What stands was drawn by somebody, so most outlines are there twice.
    found = list(dict.fromkeys(regions))
    return {
        rings: (list(box), size) for rings, box, size in zip(found, boxes(found), areas(found), strict=True)
    }


def boxes(regions: Sequence[geometry.Rings]) -> list[Box]:
    """`geometry.bbox` of each region: `(x, y, width, height)` in pixels."""
    found: list[Box] = [(0.0, 0.0, 0.0, 0.0)] * len(regions)
    counts = [sum(map(len, rings)) // 2 for rings in regions]
    some = [number for number, count in enumerate(counts) if count]
    if some:
        points = _points(ring for rings in regions for ring in rings)
        starts = np.cumsum([0, *(counts[number] for number in some[:-1])])
        least = np.minimum.reduceat(points, starts)
        size = np.maximum.reduceat(points, starts) - least
        for number, (x, y), (width, height) in zip(some, least.tolist(), size.tolist(), strict=True):
            found[number] = (x, y, width, height)
    return found


def areas(regions: Sequence[geometry.Rings]) -> list[float]:
    """`geometry.area` of each region, in square pixels."""
    # One ring that does not cross itself is the rule, and no rings need to be united.
    single = [rings[0] for rings in regions if len(rings) == 1]
    owners = np.repeat(np.arange(len(single)), [len(ring) // 2 for ring in single])
    shapes = shapely.polygons(shapely.linearrings(_points(single), indices=owners))
    plain = iter(zip(shapely.is_valid(shapes).tolist(), shapely.area(shapes).tolist(), strict=True))
    found = []
    for rings in regions:
        sound, size = next(plain) if len(rings) == 1 else (False, 0.0)
        found.append(size if sound else geometry.area(rings))
    return found


def _points(rings: Iterable[Sequence[float]]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The points of all rings one after another, shape (points, 2)."""
    return np.array(list(chain.from_iterable(rings)), dtype=np.float64).reshape(-1, 2)
