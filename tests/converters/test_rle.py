import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nonsense import VALUES
from pycocotools import mask as coco

from synthscars.converters.rle import read_rle, write_rle


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.randoms(use_true_random=False),
    st.sampled_from([0, 0.03, 0.5, 1]),
)
def test_masks_are_read_as_pycocotools_wrote_them(height: int, width: int, random, density: float) -> None:
    bits = [random.random() < density for _ in range(height * width)]
    mask = np.asfortranarray(np.array(bits, dtype=np.uint8).reshape(height, width))
    encoded = coco.encode(mask)
    assert read_rle(write_rle(encoded)) == encoded
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate(([-1], mask.flatten("F"), [-1])))))
    plain = [*([0] if mask[0, 0] else []), *map(int, runs)]
    assert read_rle({"size": [height, width], "counts": plain}) == encoded


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (None, "the mask is missing"),
        ({"counts": "0"}, "size is None"),
        ({"size": [5], "counts": "0"}, r"size is \[5\]"),
        ({"size": [10**9, 10**9], "counts": [10**18]}, "size is"),
        ({"size": [5, 5]}, "no run lengths"),
        ({"size": [5, 5], "counts": "é"}, "no run lengths"),
        ({"size": [5, 5], "counts": "o" * 50}, "no run lengths"),
        ({"size": [5, 5], "counts": [30, -5]}, "no run lengths"),
        ({"size": [5, 5], "counts": [True, 24]}, "no run lengths"),
        # pycocotools would read on in whatever lies behind it in memory.
        ({"size": [5, 5], "counts": "0"}, "cover 0 pixels, not the 25"),
        ({"size": [5, 5], "counts": [20]}, "cover 20 pixels, not the 25"),
    ],
)
def test_what_is_no_mask_is_told(value: object, what: str) -> None:
    assert isinstance(read_rle(value), str)
    with pytest.raises(ValueError, match=what):
        raise ValueError(read_rle(value))


@given(
    st.fixed_dictionaries({"size": st.just([4, 4]) | VALUES, "counts": st.text(max_size=20) | VALUES})
    | VALUES
)
def test_nothing_gets_to_pycocotools_unchecked(value: object) -> None:
    found = read_rle(value)
    if not isinstance(found, str):
        assert coco.decode(found).max(initial=0) <= 1
