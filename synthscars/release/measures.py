"""Boxes, areas and masks of many regions at a time: the same as one by one, in a fraction of the time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain, pairwise

import numpy as np
import numpy.typing as npt
import shapely

from synthscars import geometry
from synthscars.records import Artifact

Box = tuple[float, float, float, float]

_Points = npt.NDArray[np.float64]

Measures = Sequence[tuple[list[float], float]]
"""Bounding box and area of each of some regions."""


def measures(artifacts: Sequence[Artifact]) -> list[tuple[list[float], float]]:
    """Box and area of the region of each, which must be usable."""
    # What stands was drawn by somebody, so most outlines are there twice, as the same object. Not looked up
    # by what they are: to hash all numbers of each takes longer than some of the measuring.
    different = list({id(artifact.polygons): artifact.polygons for artifact in artifacts}.values())
    points = _points(different)
    measured = zip(different, boxes(different, points), areas(different, points), strict=True)
    found = {id(rings): (list(box), size) for rings, box, size in measured}
    return [found[id(artifact.polygons)] for artifact in artifacts]


def boxes(regions: Sequence[geometry.Rings], points: _Points | None = None) -> list[Box]:
    """`geometry.bbox` of each region: `(x, y, width, height)` in pixels. points: all theirs, if at hand."""
    points = _points(regions) if points is None else points
    found: list[Box] = [(0.0, 0.0, 0.0, 0.0)] * len(regions)
    counts = _counts(regions)
    some = [number for number, count in enumerate(counts) if count]
    if some:
        starts = np.cumsum([0, *(counts[number] for number in some[:-1])])
        least = np.minimum.reduceat(points, starts)
        size = np.maximum.reduceat(points, starts) - least
        for number, (x, y), (width, height) in zip(some, least.tolist(), size.tolist(), strict=True):
            found[number] = (x, y, width, height)
    return found


def areas(regions: Sequence[geometry.Rings], points: _Points | None = None) -> list[float]:
    """`geometry.area` of each region, in square pixels. points: all theirs, if at hand."""
    points = _points(regions) if points is None else points
    # One ring that does not cross itself is the rule, and no rings need to be united.
    single = np.array([len(rings) == 1 for rings in regions], dtype=np.bool_)
    counts = np.array(_counts(regions), dtype=np.intp)
    owners = np.repeat(np.arange(single.sum()), counts[single])
    shapes = shapely.polygons(shapely.linearrings(points[np.repeat(single, counts)], indices=owners))
    plain = iter(zip(shapely.is_valid(shapes).tolist(), shapely.area(shapes).tolist(), strict=True))
    found = []
    for rings in regions:
        sound, size = next(plain) if len(rings) == 1 else (False, 0.0)
        found.append(size if sound else geometry.area(rings))
    return found


def coverage(images: Sequence[tuple[geometry.Rings, tuple[int, int]]], cells: int) -> npt.NDArray[np.int64]:
    """How many images have a region in each part of the picture, shape (cells, cells), top row first.

    images: the rings of all regions of an image, and its (width, height).
    """
    if not images:
        return np.zeros((cells, cells), dtype=np.int64)
    drawn = [rings for rings, _ in images]
    points = _points(drawn)
    points *= np.repeat([(cells / width, cells / height) for _, (width, height) in images], _counts(drawn), 0)
    flat, start = points.ravel(), 0
    scaled: list[list[npt.NDArray[np.float64]]] = []
    for rings in drawn:
        ends = list(accumulate(map(len, rings), initial=start))
        scaled.append([flat[first:last] for first, last in pairwise(ends)])
        start = ends[-1]
    return geometry.count_masks(geometry.to_rles(scaled, cells, cells))


def _counts(regions: Iterable[geometry.Rings]) -> list[int]:
    """How many points each has."""
    return [sum(map(len, rings)) // 2 for rings in regions]


def _points(regions: Iterable[geometry.Rings]) -> _Points:
    """The points of all rings of all regions one after another, shape (points, 2)."""
    values = chain.from_iterable(chain.from_iterable(regions))
    return np.fromiter(values, dtype=np.float64).reshape(-1, 2)
