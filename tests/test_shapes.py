import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely import affinity
from shapely.geometry import Point, box

from synthscars.geometry import polygon
from synthscars.shapes import ellipse_ring, mask_rings, rectangle_ring, turned_corner

PLACES = st.floats(-1000, 1000)
LENGTHS = st.floats(0.5, 2000)
DEGREES = st.floats(-720, 720)


def moved(first: shapely.Geometry, second: shapely.Geometry) -> float:
    return float(shapely.hausdorff_distance(first, second))


def test_a_rectangle_starts_at_its_corner_and_runs_clockwise_on_the_screen() -> None:
    assert rectangle_ring(10, 20, 30, 5) == (10, 20, 40, 20, 40, 25, 10, 25)


def test_a_quarter_turn_is_exact_and_clockwise_around_the_corner() -> None:
    assert rectangle_ring(10, 20, 30, 5, 90) == (10, 20, 10, 50, 5, 50, 5, 20)
    assert rectangle_ring(10, 20, 30, 5, 360) == rectangle_ring(10, 20, 30, 5)
    assert rectangle_ring(10, 20, 30, 5, -90) == rectangle_ring(10, 20, 30, 5, 270)


@given(PLACES, PLACES, LENGTHS, LENGTHS, DEGREES)
def test_a_turned_rectangle_is_what_shapely_turns(
    x: float, y: float, width: float, height: float, degrees: float
) -> None:
    # shapely's y points up, so what it calls counter-clockwise is clockwise on the screen.
    expected = affinity.rotate(box(x, y, x + width, y + height), degrees, origin=(x, y))
    assert moved(polygon(rectangle_ring(x, y, width, height, degrees)), expected) < 1e-6


@given(PLACES, PLACES, LENGTHS, LENGTHS, DEGREES)
def test_a_rectangle_turned_around_its_centre_is_what_shapely_turns(
    x: float, y: float, width: float, height: float, degrees: float
) -> None:
    expected = affinity.rotate(box(x, y, x + width, y + height), degrees, origin="center")
    corner = turned_corner(x, y, width, height, degrees)
    assert moved(polygon(rectangle_ring(*corner, width, height, degrees)), expected) < 1e-6


@given(PLACES, PLACES, LENGTHS, LENGTHS, DEGREES, st.integers(3, 200))
def test_an_ellipse_is_as_accurate_as_it_says(
    cx: float, cy: float, rx: float, ry: float, degrees: float, points: int
) -> None:
    ring = ellipse_ring(cx, cy, rx, ry, degrees, points)
    assert len(ring) == 2 * points
    true = affinity.rotate(affinity.scale(Point(0, 0).buffer(1, quad_segs=2000), rx, ry), degrees, (0, 0))
    found = affinity.translate(polygon(ring), -cx, -cy)
    assert found.area == pytest.approx(
        math.pi * rx * ry * math.sin(2 * math.pi / points) * points / 2 / math.pi
    )
    assert found.difference(true.buffer(1e-3)).area == 0
    assert moved(found.exterior, true.exterior) <= max(rx, ry) * (1 - math.cos(math.pi / points)) + 1e-3


def test_an_ellipse_never_leaves_an_image_whose_edge_it_touches() -> None:
    ring = ellipse_ring(50, 40, 50, 40)
    assert min(ring) == 0
    assert max(ring[::2]) == 100
    assert max(ring[1::2]) == 80


@given(st.binary(min_size=63, max_size=63))
def test_the_rings_of_a_mask_cover_just_its_pixels(noise: bytes) -> None:
    mask = (np.frombuffer(noise, dtype=np.uint8) > 127).reshape(7, 9)
    rings = mask_rings(mask)
    covered = shapely.union_all([polygon(ring) for ring in rings])
    assert covered.area == mask.sum()
    rows, columns = np.nonzero(mask)
    for row, column in zip(rows, columns, strict=True):
        assert covered.contains(Point(column + 0.5, row + 0.5))


def test_an_empty_mask_has_no_rings() -> None:
    assert mask_rings(np.zeros((3, 4), dtype=bool)) == ()
