"""Outlines of masks: their connected parts, and masks of another size than their image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthscars.geometry import polygon
from synthscars.records import Ring


def connected(rings: Sequence[Ring]) -> list[tuple[Ring, ...]]:
    """The rings of a mask by connected part (pixels that touch at an edge or a corner are one part)."""
    import shapely

    shapes: list[Any] = [polygon(ring) for ring in rings]
    part = list(range(len(rings)))

    def root(index: int) -> int:
        while part[index] != index:
            part[index] = part[part[index]]
            index = part[index]
        return index

    for first, second in shapely.STRtree(shapes).query(shapes, predicate="intersects").T.tolist():
        low, high = sorted((root(first), root(second)))
        part[high] = low
    groups: dict[int, list[Ring]] = {}
    for index, ring in enumerate(rings):
        groups.setdefault(root(index), []).append(ring)
    return [tuple(group) for group in groups.values()]


def scaled(rings: Sequence[Ring], x: float, y: float) -> tuple[Ring, ...]:
    """Rings of a mask that is `x` times narrower and `y` times lower than its image, on the image."""
    if (x, y) == (1, 1):
        return tuple(rings)
    return tuple(tuple(value * (y if index % 2 else x) for index, value in enumerate(ring)) for ring in rings)
