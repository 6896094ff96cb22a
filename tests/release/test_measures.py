import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synthscars import geometry
from synthscars.release.measures import areas, boxes, coverage

numbers = st.floats(-2000, 2000) | st.integers(0, 30).map(float)
rings = st.lists(numbers, min_size=3, max_size=8).flatmap(
    lambda xs: st.lists(numbers, min_size=len(xs), max_size=len(xs)).map(
        lambda ys: tuple(value for point in zip(xs, ys, strict=True) for value in point)
    )
)
regions = st.lists(st.lists(rings, max_size=3).map(tuple), max_size=6)


@given(regions)
def test_many_regions_have_the_boxes_and_areas_that_each_has_alone(regions) -> None:
    assert boxes(regions) == [geometry.bbox(rings) for rings in regions]
    assert areas(regions) == [geometry.area(rings) for rings in regions]


def test_rings_that_cross_themselves_or_lie_on_each_other_count_once() -> None:
    square = (0.0, 0.0, 10.0, 0.0, 10.0, 10.0, 0.0, 10.0)
    bow_tie = (0.0, 0.0, 10.0, 10.0, 10.0, 0.0, 0.0, 10.0)
    shifted = tuple(value + 5 for value in square)
    assert areas([(square,), (bow_tie,), (square, shifted), ()]) == [100.0, 50.0, 175.0, 0.0]
    assert boxes([(), (square, shifted)]) == [(0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 15.0, 15.0)]


sides = st.integers(1, 3000)


@given(st.lists(st.tuples(st.lists(rings, max_size=4), st.tuples(sides, sides)), max_size=5))
def test_coverage_counts_the_masks_of_the_images_drawn_to_one_size(images) -> None:
    expected = np.zeros((16, 16), dtype=np.int64)
    for drawn, (width, height) in images:
        scale = 16 / width, 16 / height
        scaled = [[value * scale[n % 2] for n, value in enumerate(ring)] for ring in drawn]
        expected += geometry.to_mask(scaled, 16, 16)
    assert (coverage(images, 16) == expected).all()
