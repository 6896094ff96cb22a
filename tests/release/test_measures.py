from hypothesis import given
from hypothesis import strategies as st

from synthscars import geometry
from synthscars.release.measures import areas, boxes

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
