import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco
from scoring import box
from strategies import rings

from synthscars.geometry import from_mask, to_mask
from synthscars.metrics.masks import both, nothing, predicted_mask, rasterizer_of, union
from synthscars.predictions import PredictedRegion, Rle
from synthscars.problems import SynthScarsError, UsageError

COCO = rasterizer_of("coco")


def rle_of(mask: np.ndarray) -> Rle:
    found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return Rle(size=tuple(found["size"]), counts=found["counts"].decode())


@given(st.lists(rings(96, 64), max_size=3))
def test_coco_is_the_rasterizer_of_the_whole_project(outline: list) -> None:
    assert (coco.decode(COCO(outline, 96, 64)).astype(bool) == to_mask(outline, 96, 64)).all()


@given(st.lists(rings(96, 64), max_size=3))
def test_fillpoly_cuts_vertices_off_and_fills_with_opencv(outline: list) -> None:
    cv2 = pytest.importorskip("cv2")
    expected = np.zeros((64, 96), dtype=np.uint8)
    for ring in outline:
        cv2.fillPoly(expected, [np.array(ring, np.float32).reshape(-1, 2).astype(np.int32)], [1])
    assert (coco.decode(rasterizer_of("fillpoly")(outline, 96, 64)) == expected).all()


def test_fillpoly_also_takes_the_pixels_under_the_outline() -> None:
    pytest.importorskip("cv2")
    ring = box(10.9, 10.9, 20.9, 15.9)
    assert int(coco.area(rasterizer_of("fillpoly")([ring], 64, 64))) == 11 * 6
    assert int(coco.area(COCO([ring], 64, 64))) == 10 * 5


def test_fillpoly_survives_vertices_that_are_far_away() -> None:
    pytest.importorskip("cv2")
    far = box(-1e300, -1e9, 32, 1e18)
    assert coco.area(rasterizer_of("fillpoly")([far], 64, 64)) > 0


def test_without_opencv_fillpoly_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setattr("synthscars.metrics.masks.find_spec", lambda name: None)
    with pytest.raises(SynthScarsError) as caught:
        rasterizer_of("fillpoly")
    assert "opencv-python-headless" in caught.value.fix
    with pytest.raises(UsageError):
        rasterizer_of("opencv")


@given(st.lists(st.integers(0, 2**20 - 1), min_size=2, max_size=4))
def test_union_and_intersection_are_those_of_the_pixels(bits: list[int]) -> None:
    pixels = [np.array([bit >> n & 1 for n in range(20)], dtype=np.uint8).reshape(4, 5) for bit in bits]
    rles = [coco.encode(np.asfortranarray(each)) for each in pixels]
    assert (coco.decode(union(rles, 5, 4)) == np.max(pixels, axis=0)).all()
    assert both(rles[0], rles[1]) == int((pixels[0] & pixels[1]).sum())
    assert coco.area(union([], 5, 4)) == coco.area(nothing(5, 4)) == 0


def test_a_mask_counts_before_polygons_whatever_the_rasterizer() -> None:
    mask = np.zeros((6, 8), dtype=bool)
    mask[1:3, 2:7] = True
    region = PredictedRegion(polygons=(box(0, 0, 8, 6),), rle=rle_of(mask))
    found, flaws = predicted_mask(region, 8, 6, lambda *_: pytest.fail("rasterized"))
    assert (coco.decode(found).astype(bool) == mask).all()
    assert flaws == []
    polygons, _ = predicted_mask(PredictedRegion(polygons=from_mask(mask)), 8, 6, COCO)
    assert polygons["counts"] == found["counts"]


@pytest.mark.parametrize(
    ("region", "code"),
    [
        (PredictedRegion(rle=Rle(size=(6, 8), counts="not run lengths \x00")), "prediction.mask"),
        (PredictedRegion(rle=Rle(size=(6, 8), counts="")), "prediction.mask"),
        (PredictedRegion(rle=Rle(size=(6, 8), counts="0000")), "prediction.mask"),
        (PredictedRegion(rle=rle_of(np.ones((8, 6)))), "prediction.mask_size"),
        (PredictedRegion(polygons=((1, 1, 5, 1, 5),)), "prediction.ring"),
        (PredictedRegion(polygons=((1, 1, 5, 5),)), "prediction.ring"),
    ],
)
def test_what_cannot_be_read_covers_nothing_and_says_why(region: PredictedRegion, code: str) -> None:
    found, flaws = predicted_mask(region, 8, 6, COCO)
    assert coco.area(found) == 0
    assert [flaw.code for flaw in flaws] == [code]
    assert flaws[0].fix


def test_a_good_ring_beside_a_bad_one_counts() -> None:
    region = PredictedRegion(polygons=((1, 1, 5), box(0, 0, 4, 4)))
    found, flaws = predicted_mask(region, 8, 6, COCO)
    assert coco.area(found) == 16
    assert len(flaws) == 1
