"""Outlines of what other tools draw besides polygons: rectangles, ellipses, masks. All as rings.

Coordinates are pixels as in `synthscars.geometry`; x points right and y down, so a positive rotation turns
clockwise on the screen. Where a tool has percent or fractions of the image, turn them into pixels first: they
are another length along x than along y, and a rotation would shear the shape.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from synthscars.geometry import from_mask
from synthscars.records import Ring


def rectangle_ring(x: float, y: float, width: float, height: float, rotation: float = 0.0) -> Ring:
    """A rectangle with its top left corner at `(x, y)`, turned by `rotation` degrees around that corner.

    The ring starts there and runs clockwise on the screen. (CVAT and others turn around the centre: hand in
    `x, y = turned_corner(...)`.)
    """
    if not rotation % 360:
        return (x, y, x + width, y, x + width, y + height, x, y + height)
    cos, sin = _turn(rotation)
    corners = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    return tuple(value for dx, dy in corners for value in (x + dx * cos - dy * sin, y + dx * sin + dy * cos))


def turned_corner(x: float, y: float, width: float, height: float, rotation: float) -> tuple[float, float]:
    """Where the top left corner of a rectangle goes that is turned around its centre.

    x, y: the corner before it is turned. `rectangle_ring(*turned_corner(...), width, height, rotation)` is
    the rectangle turned around its centre.
    """
    if not rotation % 360:
        return x, y
    cos, sin = _turn(rotation)
    half_width, half_height = width / 2, height / 2
    return (
        x + half_width - half_width * cos + half_height * sin,
        y + half_height - half_width * sin - half_height * cos,
    )


def ellipse_ring(cx: float, cy: float, rx: float, ry: float, rotation: float = 0.0, points: int = 64) -> Ring:
    """An ellipse around `(cx, cy)` with the radii `rx`, `ry`, turned by `rotation` degrees around its centre.

    All points lie on the ellipse, the first at its end along the (turned) x axis. The ring never leaves the
    ellipse; it stays within `1 - cos(pi / points)` of the greater radius of it (0.12 % with 64 points), and
    its area is smaller by the factor `sin(2 * pi / points) * points / (2 * pi)` (0.16 %).
    """
    cos, sin = _turn(rotation)
    ring: list[float] = []
    for number in range(points):
        along, across = _turn(360 * number / points)
        dx, dy = rx * along, ry * across
        ring += (cx + dx * cos - dy * sin, cy + dx * sin + dy * cos)
    return tuple(ring)


def mask_rings(mask: npt.NDArray[np.bool_]) -> tuple[Ring, ...]:
    """The outline of a boolean mask of shape (height, width) as rings along pixel edges.

    Their area is exactly the number of pixels that are set; a region with a hole is cut into pieces.
    """
    return from_mask(mask)


def _turn(degrees: float) -> tuple[float, float]:
    """Cosine and sine, exact at the multiples of a quarter turn."""
    quarters, rest = divmod(degrees, 90)
    if not rest:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(quarters) % 4]
    return math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
