import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco
from strategies import rings

from synthscars.geometry import (
    EDGE_TOLERANCE,
    UNUSABLE,
    area,
    bbox,
    clip,
    even_odd,
    from_rle,
    polygon,
    ring_faults,
    rings_faults,
    rle_area,
    rle_iou,
    simplify,
    to_mask,
    to_rle,
    to_rles,
)
from synthscars.problems import FormatError
from synthscars.records import Ring

WIDTH, HEIGHT = 60, 50
SQUARE = (2.0, 3.0, 6.0, 3.0, 6.0, 7.0, 2.0, 7.0)

several_rings = st.lists(rings(WIDTH, HEIGHT), min_size=1, max_size=3)
masks = hnp.array_shapes(min_dims=2, max_dims=2, max_side=14).flatmap(
    lambda shape: hnp.arrays(np.uint8, shape, elements=st.integers(0, 1))
)


def _rle(mask: np.ndarray) -> dict:
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))


def _centres() -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return shapely.points(columns + 0.5, rows + 0.5)


# Areas and boxes


def test_areas_worked_out_by_hand() -> None:
    assert area([]) == 0
    assert area([SQUARE]) == 16
    assert area([(0, 0, 4, 0, 0, 3)]) == 6
    # Two squares that share a quarter, and one beside them.
    assert area([SQUARE, (4, 5, 8, 5, 8, 9, 4, 9), (20, 20, 21, 20, 21, 21, 20, 21)]) == 16 + 16 - 4 + 1
    # A bow tie: two triangles of 4 that shoelace would set off against each other.
    assert area([(0, 0, 4, 4, 4, 0, 0, 4)]) == 8


@given(several_rings)
def test_the_area_is_that_of_the_union(some: list[Ring]) -> None:
    one_by_one = shapely.Polygon()
    for ring in some:
        one_by_one = one_by_one | shapely.Polygon(list(zip(ring[::2], ring[1::2], strict=True)))
    assert area(some) == pytest.approx(one_by_one.area, rel=1e-9)


@given(rings(WIDTH, HEIGHT))
def test_the_area_of_one_ring_is_the_shoelace_formula(ring: Ring) -> None:
    x, y = np.array(ring[::2]), np.array(ring[1::2])
    shoelace = abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2
    assert area([ring]) == pytest.approx(shoelace, rel=1e-9, abs=1e-9)


@given(several_rings)
def test_the_box_is_the_smallest_around_all_rings(some: list[Ring]) -> None:
    x, y, width, height = bbox(some)
    left, top, right, bottom = shapely.MultiPolygon([polygon(ring) for ring in some]).bounds
    assert (x, y) == (left, top)
    assert (width, height) == (right - left, bottom - top)


def test_the_box_of_nothing_is_empty() -> None:
    assert bbox([]) == (0, 0, 0, 0)
    assert bbox([()]) == (0, 0, 0, 0)


# Faults


@pytest.mark.parametrize(
    ("ring", "code"),
    [
        ((0, 0, 4, 0, 4, 4, 0), "polygon.odd"),
        ((0, 0, 4, math.nan, 4, 4), "polygon.not_finite"),
        ((0, 0, 4, math.inf, 4, 4), "polygon.not_finite"),
        ((), "polygon.few_points"),
        ((0, 0, 4, 0), "polygon.few_points"),
        ((1, 1, 2, 2, 3, 3), "polygon.no_area"),
        ((5, 5, 5, 5, 5, 5), "polygon.no_area"),
        # On one line as far as floating point can say; its area is not quite 0.
        ((0.1, 0.1, 0.2, 0.2, 0.7, 0.7), "polygon.no_area"),
        ((10.1, 10.2, 20.3, 20.4, 30.5, 30.6), "polygon.no_area"),
        ((0, 0, 4, 4, 4, 0, 0, 4), "polygon.crosses_itself"),
        ((-1, 0, 4, 0, 4, 4), "polygon.outside"),
        ((0, -0.1, 4, 0, 4, 4), "polygon.outside"),
        ((0, 0, 60.001, 0, 4, 4), "polygon.outside"),
        ((0, 0, 4, 0, 4, 50.1), "polygon.outside"),
        ((100, 100, 104, 100, 104, 104), "polygon.outside"),
    ],
)
def test_each_fault_has_its_code(ring: tuple[float, ...], code: str) -> None:
    found = list(ring_faults(ring, WIDTH, HEIGHT))
    assert [fault for fault, _ in found] == [code]
    assert all(what for _, what in found)


def test_a_ring_can_have_two_faults() -> None:
    found = [code for code, _ in ring_faults((-5, 0, 4, 4, 4, 0, -5, 4), WIDTH, HEIGHT)]
    assert found == ["polygon.crosses_itself", "polygon.outside"]
    assert not UNUSABLE & set(found)


def test_how_far_a_ring_reaches_out_is_said() -> None:
    ((_, what),) = ring_faults((0, 0, 63.5, 0, 4, 4), WIDTH, HEIGHT)
    assert "3.5 pixels" in what
    assert "60 x 50" in what


@pytest.mark.parametrize("overshoot", [1e-12, EDGE_TOLERANCE / 2])
def test_rounding_at_the_edge_is_no_fault(overshoot: float) -> None:
    ring = (-overshoot, -overshoot, WIDTH + overshoot, 0, WIDTH, HEIGHT + overshoot)
    assert not list(ring_faults(ring, WIDTH, HEIGHT))


@given(rings(WIDTH, HEIGHT))
def test_a_good_ring_has_no_fault(ring: Ring) -> None:
    assert not list(ring_faults(ring, WIDTH, HEIGHT))


def test_a_thin_but_real_region_is_no_fault() -> None:
    assert not list(ring_faults((0, 0, 40, 0, 40, 0.01, 0, 0.01), WIDTH, HEIGHT))


# Masks


def test_a_square_covers_its_pixels() -> None:
    expected = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    expected[3:7, 2:6] = True
    np.testing.assert_array_equal(to_mask([SQUARE], WIDTH, HEIGHT), expected)
    assert to_rle([SQUARE], WIDTH, HEIGHT)["size"] == [HEIGHT, WIDTH]


def test_no_rings_give_an_empty_mask_of_the_right_size() -> None:
    assert to_mask([], WIDTH, HEIGHT).shape == (HEIGHT, WIDTH)
    assert rle_area(to_rle([], WIDTH, HEIGHT)) == 0


def _assert_centres_decide(ring) -> None:
    # The rasterizer works on a grid five times finer: only a centre within 0.3 pixels of the outline may
    # differ.
    shape = polygon(ring)
    differing = shapely.contains(shape, _centres()) != to_mask([ring], WIDTH, HEIGHT)
    assert all(shapely.distance(shape.exterior, _centres()[differing]) < 0.3)


@given(rings(WIDTH, HEIGHT))
def test_pixels_are_set_where_their_centre_lies_inside(ring: Ring) -> None:
    _assert_centres_decide(ring)


@given(several_rings)
def test_the_mask_area_is_the_exact_area_but_for_pixels_on_the_outline(some: list[Ring]) -> None:
    outline = sum(polygon(ring).length for ring in some)
    assert abs(rle_area(to_rle(some, WIDTH, HEIGHT)) - area(some)) <= 0.5 * outline


@given(several_rings)
def test_several_rings_are_united_and_overlaps_count_once(some: list[Ring]) -> None:
    single = [to_mask([ring], WIDTH, HEIGHT) for ring in some]
    united = to_mask(some, WIDTH, HEIGHT)
    np.testing.assert_array_equal(united, np.logical_or.reduce(single))
    assert rle_area(to_rle(some, WIDTH, HEIGHT)) == united.sum()


@given(rings(WIDTH, HEIGHT), st.floats(-40, 40), st.floats(-40, 40))
def test_what_lies_outside_the_image_is_cut_off(ring: Ring, dx: float, dy: float) -> None:
    shifted = [value + (dy if index % 2 else dx) for index, value in enumerate(ring)]
    _assert_centres_decide(shifted)


@given(masks)
def test_the_outline_of_a_mask_is_exact(mask: np.ndarray) -> None:
    height, width = mask.shape
    found = from_rle(_rle(mask))
    assert area(found) == rle_area(_rle(mask)) == mask.sum()
    np.testing.assert_array_equal(to_mask(found, width, height), mask.astype(np.bool_))
    # Along pixel edges, without points on straight edges.
    for ring in found:
        assert all(value.is_integer() for value in ring)
        assert not [code for code, _ in ring_faults(ring, width, height)]
        assert area([simplify(ring, 0)]) == area([ring])
        assert len(simplify(ring, 0)) == len(ring)


@given(several_rings)
def test_polygons_survive_a_mask_up_to_pixels(some: list[Ring]) -> None:
    rle = to_rle(some, WIDTH, HEIGHT)
    again = from_rle(rle)
    assert area(again) == rle_area(rle)
    assert to_rle(again, WIDTH, HEIGHT) == rle


def test_a_hole_stays_a_hole() -> None:
    mask = np.ones((9, 11), dtype=np.uint8)
    mask[2:4, 3:5] = 0
    mask[6:8, 7:10] = 0
    found = from_rle(_rle(mask))
    assert len(found) > 1
    assert area(found) == sum(area([ring]) for ring in found) == 9 * 11 - 4 - 6
    np.testing.assert_array_equal(to_mask(found, 11, 9), mask.astype(np.bool_))


@pytest.mark.parametrize("far", [500.0, 1e9, 1e200])
def test_what_lies_far_outside_is_cut_off_before_it_takes_memory(far: float) -> None:
    assert to_rle([(-far, -far, far, -far, far, far, -far, far)], 40, 30) == _rle(np.ones((30, 40)))
    assert to_rle([(-far, 10.0, far, 10.0, far, 20.0, -far, 20.0)], 40, 30) == to_rle(
        [(0.0, 10.0, 40.0, 10.0, 40.0, 20.0, 0.0, 20.0)], 40, 30
    )
    assert rle_area(to_rle([(far, far, 2 * far, far, far, 2 * far)], 40, 30)) == 0


def test_a_ring_of_fewer_than_three_points_covers_nothing() -> None:
    assert rle_area(to_rle([(1.0, 1.0, 5.0, 5.0), (1.0, 1.0), ()], 40, 30)) == 0
    assert to_rle([(1.0, 1.0, 5.0, 5.0), SQUARE], 40, 30) == to_rle([SQUARE], 40, 30)


@pytest.mark.parametrize("size", [(10_000_000, 640), (2**16, 2**16), (1, 2**32)])
def test_a_size_that_no_image_has_is_refused(size: tuple[int, int]) -> None:
    # pycocotools counts pixels in 32 bits: it would crash, never end, or be wrong.
    for rasterize in (to_rle, lambda rings, *size: to_rles([rings], *size)):
        for some in ([], [SQUARE], [SQUARE, SQUARE]):
            with pytest.raises(FormatError, match="which no image has"):
                rasterize(some, *size)


far_away = st.tuples(rings(WIDTH, HEIGHT), st.sampled_from([1.0, 1e4, 1e12])).map(
    lambda given: tuple(value * given[1] for value in given[0])
)
short = st.lists(st.floats(0, 40), max_size=2).map(lambda values: (*values, *values))


@given(st.lists(st.lists(rings(WIDTH, HEIGHT) | far_away | short, max_size=3), max_size=5))
def test_many_regions_give_the_masks_that_each_gives_alone(regions: list[list[Ring]]) -> None:
    assert to_rles(regions, WIDTH, HEIGHT) == [to_rle(some, WIDTH, HEIGHT) for some in regions]


def test_regions_come_from_top_to_bottom_and_those_that_touch_at_a_corner_are_apart() -> None:
    mask = np.zeros((6, 7), dtype=np.uint8)
    mask[0:2, 4:7] = mask[2:5, 1:4] = 1
    mask[3, 2] = 0  # a hole, cut along its left edge
    assert [area([ring]) for ring in from_rle(_rle(mask))] == [6, 3, 5]
    assert [min(zip(ring[1::2], ring[::2], strict=True)) for ring in from_rle(_rle(mask))] == [
        (0, 4), (2, 1), (2, 2),
    ]  # fmt: skip


def test_an_empty_mask_has_no_outline_and_a_full_one_is_the_image() -> None:
    assert from_rle(_rle(np.zeros((5, 4)))) == ()
    (ring,) = from_rle(_rle(np.ones((5, 4))))
    assert set(zip(ring[::2], ring[1::2], strict=True)) == {(0, 0), (4, 0), (4, 5), (0, 5)}


@given(st.lists(several_rings, max_size=3), st.lists(several_rings, max_size=3))
def test_intersection_over_union_is_that_of_the_decoded_masks(first, second) -> None:
    found = rle_iou(
        [to_rle(some, WIDTH, HEIGHT) for some in first], [to_rle(some, WIDTH, HEIGHT) for some in second]
    )
    assert found.shape == (len(first), len(second))
    for row, one in enumerate(first):
        for column, other in enumerate(second):
            a, b = to_mask(one, WIDTH, HEIGHT), to_mask(other, WIDTH, HEIGHT)
            assert found[row, column] == pytest.approx((a & b).sum() / max((a | b).sum(), 1))


def test_nothing_in_common_with_nothing_is_no_overlap() -> None:
    empty = to_rle([], WIDTH, HEIGHT)
    assert rle_iou([empty], [empty])[0, 0] == 0


# Simplification


@given(rings(WIDTH, HEIGHT), st.floats(0, 5))
def test_a_simplified_outline_stays_within_the_tolerance(ring: Ring, tolerance: float) -> None:
    simple = simplify(ring, tolerance)
    assert 6 <= len(simple) <= len(ring)
    points = set(zip(ring[::2], ring[1::2], strict=True))
    assert set(zip(simple[::2], simple[1::2], strict=True)) <= points
    moved = shapely.hausdorff_distance(polygon(ring).exterior, polygon(simple).exterior)
    assert moved <= tolerance + 1e-9


def test_points_on_a_straight_edge_go_first() -> None:
    assert len(simplify((0, 0, 5, 0, 10, 0, 10, 10, 0, 10), 0.1)) == 8


def test_a_ring_is_cut_off_at_the_edge_of_the_image():
    assert area(clip((-5, -5, 5, -5, 5, 5, -5, 5), 10, 10)) == 25
    assert clip((20, 20, 30, 20, 30, 30), 10, 10) == ()
    # A U whose base lies below the image leaves its two arms.
    u = (1, 0, 3, 0, 3, 12, 6, 12, 6, 0, 8, 0, 8, 14, 1, 14)
    arms = clip(u, 10, 10)
    assert sorted(area([arm]) for arm in arms) == [20, 20]


@given(rings(40, 30))
def test_cutting_off_leaves_what_shapely_leaves(ring):
    clipped = clip(ring, 25, 20)
    expected = polygon(ring).intersection(shapely.box(0, 0, 25, 20)).area
    assert area(clipped) == pytest.approx(expected, abs=1e-6)
    for piece in clipped:
        x, y, width, height = bbox([piece])
        assert min(x, y) >= 0
        assert x + width <= 25 + 1e-9
        assert y + height <= 20 + 1e-9


COORDINATES = st.one_of(
    st.floats(-2, 70),
    st.integers(-1, 62).map(float),
    st.sampled_from([math.nan, math.inf, -math.inf, 1e200, -0.0, 60 + 5e-7, 60 + 2e-6, -9e-7, -1.1e-6]),
)
LOOSE_RINGS = st.one_of(
    st.lists(COORDINATES, max_size=16).map(tuple),
    rings(WIDTH, HEIGHT),
    # Thin, on one line, bow ties, closed, of one point.
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=7).map(
        lambda points: tuple(float(value) for point in points for value in point)
    ),
    st.floats(1e-9, 1e-5).map(lambda thin: (0.0, 0.0, 40.0, 0.0, 40.0, thin, 0.0, thin)),
)


@given(st.lists(st.tuples(LOOSE_RINGS, st.sampled_from([(WIDTH, HEIGHT), (0, 0), (40, 0), (10**5, 10**5)]))))
def test_many_rings_have_the_faults_that_each_has_alone(drawn: list[tuple[Ring, tuple[int, int]]]) -> None:
    # Few are looked at one by one, many together.
    for times in (1, 9):
        found = rings_faults([ring for ring, _ in drawn] * times, [size for _, size in drawn] * times)
        assert found == [list(ring_faults(ring, *size)) for ring, size in drawn] * times


def test_rings_without_a_fault_are_told_without_a_closer_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthscars.geometry.ring_faults", None)
    sound = [SQUARE, (0, 0, 60, 0, 60, 50, 0, 50)] * 5
    assert rings_faults(sound, [(WIDTH, HEIGHT)] * 10) == [[]] * 10


def test_rings_of_the_even_odd_rule_keep_their_holes() -> None:
    outer = (0.0, 0.0, 10.0, 0.0, 10.0, 10.0, 0.0, 10.0)
    hole = (2.0, 2.0, 6.0, 2.0, 6.0, 6.0, 2.0, 6.0)
    apart = (20.0, 0.0, 22.0, 0.0, 22.0, 2.0, 20.0, 2.0)
    assert even_odd([outer, apart]) == (outer, apart)
    found = even_odd([outer, hole, apart])
    assert area(found) == 100 - 16 + 4
    assert not to_mask(found, 30, 12)[3:5, 3:5].any()
    assert even_odd([outer, outer]) == ()
