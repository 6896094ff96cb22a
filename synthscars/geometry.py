"""Polygons and masks: one rasterizer (pycocotools), exact areas (shapely), COCO run-length encoding.

A ring is a flat sequence `x0, y0, x1, y1, ...` of float64 pixels in the upright image, origin at the top left
corner of the top left pixel, not closed. The rings of one region are united; a ring has no holes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pycocotools import mask as coco
from shapely.geometry import GeometryCollection, MultiPolygon, Polygon, box

from synthscars.problems import FormatError
from synthscars.records import Ring

Rings = Sequence[Sequence[float]]
Rle = dict[str, Any]
"""COCO run-length encoding: `{"size": [height, width], "counts": bytes}`, column-major."""

EDGE_TOLERANCE = 1e-6
"""Pixels by which a vertex may lie outside the image: rounding of percentages, not a mistake."""


def polygon(ring: Sequence[float]) -> Polygon:
    """A ring as a shapely polygon (which may be invalid). Needs at least 3 points."""
    shape: Polygon = shapely.polygons(np.asarray(ring, dtype=np.float64).reshape(-1, 2))
    return shape


def area(rings: Rings) -> float:
    """Exact area of the union of the rings, in square pixels; 0 for no rings."""
    shapes = [polygon(ring) for ring in rings]
    if len(shapes) == 1 and shapes[0].is_valid:  # most are, and the general way takes ten times as long
        return float(shapes[0].area)
    return float(shapely.union_all(shapely.make_valid(shapes)).area)


def bbox(rings: Rings) -> tuple[float, float, float, float]:
    """Bounding box `(x, y, width, height)` of all rings in pixels; zeros for no rings."""
    points = np.asarray([value for ring in rings for value in ring], dtype=np.float64).reshape(-1, 2)
    if not len(points):
        return (0.0, 0.0, 0.0, 0.0)
    x, y = points.min(axis=0).tolist()
    right, bottom = points.max(axis=0).tolist()
    return (x, y, right - x, bottom - y)


def ring_faults(ring: Sequence[float], width: int, height: int) -> Iterator[tuple[str, str]]:
    """What is wrong with a ring on an image of `width` x `height` pixels, as `(code, what)` pairs.

    Where the size is not known (0), only what lies left of or above the image is outside.
    Codes: `polygon.odd`, `polygon.not_finite`, `polygon.few_points` and `polygon.no_area` make a ring
    unusable (`UNUSABLE`); `polygon.crosses_itself` and `polygon.outside` do not.
    """
    if len(ring) % 2:
        yield "polygon.odd", f"{len(ring)} numbers, one coordinate has no partner"
        return
    if not all(math.isfinite(value) for value in ring):
        yield "polygon.not_finite", "a coordinate is not a finite number"
        return
    if len(ring) < 6:
        yield "polygon.few_points", f"{len(ring) // 2} points, a polygon needs 3"
        return
    shape = polygon(ring)
    # Thinner than rounding: points on one line need not give exactly 0 in floating point. The parts of a bow
    # tie cancel out, which only the slow `make_valid` sees.
    thin = EDGE_TOLERANCE * shape.length
    if shape.area <= thin and shapely.make_valid(shape).area <= thin:
        yield "polygon.no_area", "all points lie on one line"
        return
    if not shape.is_valid:
        yield "polygon.crosses_itself", shapely.is_valid_reason(shape)
    x, y, w, h = bbox([ring])
    known = width > 0 and height > 0
    overshoot = max(-x, -y, x + w - width, y + h - height) if known else max(-x, -y)
    if overshoot > EDGE_TOLERANCE:
        edge = f"the image of {width} x {height}" if known else "the left or the upper edge of the image"
        yield "polygon.outside", f"reaches {overshoot:.3g} pixels beyond {edge}"


_MOST_PIXELS = 2**32 - 1
"""pycocotools counts them in 32 bits; with more it is wrong, crashes or never ends."""

_MANY = 8
"""Rings from which on it is faster to look at them together."""


def rings_faults(rings: Rings, sizes: Sequence[tuple[int, int]]) -> list[list[tuple[str, str]]]:
    """The `ring_faults` of many rings, each with the (width, height) of its image: fast if most are sound."""
    sound = surely_sound(rings, sizes) if len(rings) >= _MANY else [False] * len(rings)
    return [
        [] if fine else list(ring_faults(ring, *size))
        for ring, size, fine in zip(rings, sizes, sound, strict=True)
    ]


def surely_sound(rings: Rings, sizes: Sequence[tuple[int, int]]) -> list[bool]:
    """Which of many rings surely have none of the `ring_faults`, in one go, as `sound_rings` says.

    sizes: (width, height) of each ring's image.
    """
    counts = np.fromiter(map(len, rings), dtype=np.intp, count=len(rings))
    whole = np.flatnonzero((counts % 2 == 0) & (counts >= 6))
    sound = np.zeros(len(rings), dtype=np.bool_)
    if len(whole):
        points = np.concatenate([np.asarray(rings[number], dtype=np.float64) for number in whole])
        edges = np.asarray(sizes, dtype=np.float64).reshape(-1, 2)[whole]
        sound[whole] = sound_rings(points.reshape(-1, 2), counts[whole] // 2, edges)
    return sound.tolist()


def sound_rings(
    points: npt.NDArray[np.float64], counts: npt.NDArray[np.intp], sizes: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which rings surely have none of the `ring_faults`, in one go; some of the others may have none either.

    points: shape (total, 2), the points of all rings one after another; counts: how many each has, 3 or more;
    sizes: shape (rings, 2), width and height of each ring's image, 0 where unknown.
    """
    owners = np.repeat(np.arange(len(counts)), counts)
    finite = np.ones(len(counts), dtype=np.bool_)
    finite[owners[~np.isfinite(points).all(axis=1)]] = False
    shapes = shapely.polygons(
        shapely.linearrings(np.where(finite[owners, None], points, 0.0), indices=owners)
    )
    # Half of the tolerance, so that rounding never makes this say what `ring_faults` does not.
    edges = np.where((sizes > 0).all(axis=1, keepdims=True), sizes, np.inf) + EDGE_TOLERANCE / 2
    bounds = shapely.bounds(shapes)
    with np.errstate(all="ignore"):  # of numbers so large that nothing can be calculated with them
        sound: npt.NDArray[np.bool_] = (
            finite
            & (shapely.area(shapes) > 2 * EDGE_TOLERANCE * shapely.length(shapes))
            & (bounds[:, :2] >= -EDGE_TOLERANCE / 2).all(axis=1)
            & (bounds[:, 2:] <= edges).all(axis=1)
            & shapely.is_valid(shapes)
        )
    return sound


UNUSABLE = frozenset({"polygon.odd", "polygon.not_finite", "polygon.few_points", "polygon.no_area"})
"""Codes of `ring_faults` that leave nothing to rasterize."""


def to_rle(rings: Rings, width: int, height: int) -> Rle:
    """Rasterize the union of the rings with pycocotools. A ring of fewer than 3 points covers nothing.

    Raises `FormatError` if the image has 2^32 pixels or more, which no image has but a record may say.
    """
    if width * height > _MOST_PIXELS:
        raise FormatError(
            f"an image is said to have {width} x {height} pixels, which no image has",
            fix="mend the size in its record",
        )
    near = [ring for ring in (_near(ring, width, height) for ring in rings) if len(ring) >= 6]
    if not near:
        nothing = {"size": [height, width], "counts": [height * width]}
        return coco.frPyObjects(nothing, height, width)  # type: ignore[no-any-return]
    return coco.merge(coco.frPyObjects(near, height, width))  # type: ignore[no-any-return]


def _near(ring: Sequence[float], width: int, height: int) -> list[float]:
    """The ring without what lies farther from the image than the image is large.

    pycocotools needs memory for the whole length of an outline, and crashes if it is too long.
    """
    size = max(width, height)
    low, high = float(-size), float(2 * size)
    if len(ring) < 2 or (min(ring) >= low and max(ring) <= high):
        return list(ring)
    points = list(zip(ring[::2], ring[1::2], strict=False))
    # One straight cut after another (Sutherland and Hodgman): each edge that crosses it ends there.
    for axis, limit, sign in ((0, low, 1), (0, high, -1), (1, low, 1), (1, high, -1)):
        kept: list[tuple[float, float]] = []
        for (x0, y0), (x1, y1) in zip([points[-1], *points[:-1]], points, strict=True) if points else ():
            start, end = (x0, x1) if axis == 0 else (y0, y1)
            if (sign * start < sign * limit) != (sign * end < sign * limit):
                part = (limit - start) / (end - start)
                kept.append((limit, y0 + part * (y1 - y0)) if axis == 0 else (x0 + part * (x1 - x0), limit))
            if sign * end >= sign * limit:
                kept.append((x1, y1))
        points = kept
    return [value for point in points for value in point]


def to_rles(
    regions: Sequence[Sequence[Sequence[float] | npt.NDArray[np.float64]]], width: int, height: int
) -> list[Rle]:
    """`to_rle` of many regions on images of one size: the same, in half the time."""
    rings = [np.asarray(ring, dtype=np.float64) for region in regions for ring in region]
    points = np.concatenate(rings) if rings else np.zeros(0)
    size = max(width, height)
    if len(points) and not (points.min() >= -size and points.max() <= 2 * size):
        rings = [np.asarray(_near(ring.tolist(), width, height)) for ring in rings]
    nothing = to_rle((), width, height)
    solid = [ring for ring in rings if len(ring) >= 6]
    found = iter(coco.frPyObjects(solid, height, width) if solid else ())
    every = iter([next(found) if len(ring) >= 6 else nothing for ring in rings])
    parts = (list(islice(every, len(region))) for region in regions)
    return [part[0] if len(part) == 1 else coco.merge(part) if part else nothing for part in parts]


def to_mask(rings: Rings, width: int, height: int) -> npt.NDArray[np.bool_]:
    """Boolean mask of shape (height, width) of the union of the rings."""
    return coco.decode(to_rle(rings, width, height)).astype(np.bool_)  # type: ignore[no-any-return]


def count_masks(rles: Sequence[Rle]) -> npt.NDArray[np.int64]:
    """How many of these masks, which are of one size, have each pixel; shape (height, width)."""
    return coco.decode(list(rles)).sum(axis=2, dtype=np.int64)  # type: ignore[no-any-return]


def rle_area(rle: Rle) -> int:
    """Number of pixels that are set."""
    return int(coco.area(rle))


def rle_iou(first: Sequence[Rle], second: Sequence[Rle]) -> npt.NDArray[np.float64]:
    """Intersection over union of every pair, shape (len(first), len(second)), without decoding."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    return np.asarray(coco.iou(list(first), list(second), [0] * len(second)), dtype=np.float64)


def from_rle(rle: Rle) -> tuple[Ring, ...]:
    """The outline of a mask as rings along pixel edges; their area is exactly the number of pixels.

    A region with a hole is cut into pieces without one, because rings cannot say where a hole is. Pixels that
    touch at a corner only are in rings of their own. Regions come from top to bottom.
    """
    return from_mask(coco.decode(rle).astype(np.bool_))


def from_mask(mask: npt.NDArray[np.bool_]) -> tuple[Ring, ...]:
    """As `from_rle`, for a boolean mask of shape (height, width)."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return ()
    top, left = rows[0], columns[0]
    edges = _pixel_edges(mask[top : rows[-1] + 1, left : columns[-1] + 1]) + np.array([left, top])
    faces = shapely.get_parts(shapely.polygonize(shapely.linestrings(edges)))
    # A face is all region or all hole, as is the pixel below and to the right of the first of its corners.
    corners, owners = shapely.get_coordinates(shapely.get_exterior_ring(faces), return_index=True)
    order = np.lexsort((corners[:, 0], corners[:, 1], owners))
    x, y = corners[order[np.unique(owners, return_index=True)[1]]].astype(np.intp).T
    order = np.lexsort((x, y))
    found: list[Ring] = []
    for face in faces[order][mask[y, x][order]]:
        # `simplify` drops the points that cuts left on straight edges.
        pieces = [shapely.simplify(piece, 0) for piece in _without_holes(face)] if face.interiors else [face]
        found += map(_ring, pieces)
    return tuple(found)


def _pixel_edges(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The border between what is set and what is not, as lines from corner to corner: shape (lines, 2, 2)."""
    padded = np.pad(mask, 1)
    # At the upper left corner of each pixel: whether the border runs from there to each side.
    down, right = padded[1:, 1:] != padded[1:, :-1], padded[1:, 1:] != padded[:-1, 1:]
    up, left = padded[:-1, 1:] != padded[:-1, :-1], padded[1:, :-1] != padded[:-1, :-1]
    y, x = np.nonzero((down | up) & (right | left))
    lines: list[npt.NDArray[np.float64]] = []
    # In each row of corners, one where a line starts and one where it ends take turns; so in each column.
    for order, starts, ends in ((np.lexsort((x, y)), right, left), (np.lexsort((y, x)), down, up)):
        places = y[order], x[order]
        points = np.stack(places[::-1], axis=1)
        lines.append(np.stack([points[starts[places]], points[ends[places]]], axis=1).astype(np.float64))
    return np.concatenate(lines)


def _without_holes(shape: Any) -> Iterator[Polygon]:
    if isinstance(shape, (MultiPolygon, GeometryCollection)):
        for part in shape.geoms:
            yield from _without_holes(part)
    elif isinstance(shape, Polygon) and not shape.is_empty:
        if not shape.interiors:
            yield shape
            return
        # Cut through the middle one of the holes, along a pixel edge, so that the pieces stay exact.
        holes = shapely.bounds(list(shape.interiors))
        hole_left, _, hole_right, _ = sorted(holes.tolist())[len(holes) // 2]
        middle = (hole_left + hole_right) / 2
        cut = math.floor(middle) if math.floor(middle) >= hole_left else middle
        left, bottom, right, top = shape.bounds
        yield from _without_holes(shape.intersection(box(left, bottom, cut, top)))
        yield from _without_holes(shape.intersection(box(cut, bottom, right, top)))


def _ring(shape: Polygon) -> Ring:
    points = np.asarray(shape.exterior.coords)[:-1]
    return tuple(points.flatten().tolist())


def clip(ring: Sequence[float], width: int, height: int) -> tuple[Ring, ...]:
    """The part of a ring that is on the image: several rings if the edge cuts it apart, or none."""
    inside = shapely.make_valid(polygon(ring)).intersection(box(0, 0, width, height))
    return tuple(_ring(piece) for piece in _without_holes(inside) if piece.area > 0)


def even_odd(rings: Rings) -> tuple[Ring, ...]:
    """Rings of a tool that fills them by the even-odd rule, where a ring inside another is a hole.

    The same rings if none meets another; else rings whose union covers the same, cut where there are holes.
    """
    shapes = [polygon(ring) for ring in rings]
    meeting = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    if len(meeting[0]) == len(shapes):  # each meets itself
        return tuple(tuple(map(float, ring)) for ring in rings)
    united = shapely.Polygon()
    for shape in shapes:
        united = united.symmetric_difference(shapely.make_valid(shape))
    return tuple(_ring(piece) for piece in _without_holes(united) if piece.area > 0)


def simplify(ring: Sequence[float], tolerance: float) -> Ring:
    """The ring with fewer points, its outline moved by at most `tolerance` pixels (Douglas-Peucker)."""
    shape: Any = polygon(ring)
    # GEOS may also drop the point where the ring starts, and then moves the outline by up to twice as much.
    for step in (tolerance, tolerance / 2):
        simple = shape.simplify(step, preserve_topology=True)
        if shapely.hausdorff_distance(shape.exterior, simple.exterior) <= tolerance:
            return _ring(simple)
    return _ring(shape.simplify(0, preserve_topology=True))
