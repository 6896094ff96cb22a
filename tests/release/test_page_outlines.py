"""Outlines over a picture: whose outline is drawn, with how many points, and where its number stands."""

from __future__ import annotations

import re

import numpy as np
import pytest
from pycocotools import mask as coco

from synthscars.geometry import to_mask
from synthscars.predictions import PredictedRegion, Rle
from synthscars.release.page_outlines import outline, outlined, picture

SQUARE = (10.0, 10.0, 60.0, 10.0, 60.0, 60.0, 10.0, 60.0)


def region(mask: np.ndarray) -> PredictedRegion:
    found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return PredictedRegion(rle=Rle(size=mask.shape, counts=found["counts"].decode()))


def test_the_outline_of_a_mask_covers_it() -> None:
    rows, columns = np.mgrid[:300, :400]
    disc = (rows - 150) ** 2 + (columns - 200) ** 2 < 80**2
    drawn = to_mask(outline(region(disc), 400, 300), 400, 300).astype(bool)
    assert (drawn & disc).sum() / (drawn | disc).sum() > 0.97


def test_of_a_mask_in_many_pieces_the_largest_are_drawn() -> None:
    specks = np.zeros((400, 400), bool)
    specks[::4, ::4] = True
    specks[100:300, 100:300] = True
    rings = outline(region(specks), 400, 400)
    assert sum(len(ring) // 2 for ring in rings) <= 600
    assert to_mask(rings, 400, 400)[200, 200]


@pytest.mark.parametrize("rle", [Rle(size=(10, 20), counts="abc"), Rle(size=(300, 400), counts="\u00e4")])
def test_a_mask_of_another_size_or_that_is_none_has_no_outline(rle: Rle) -> None:
    assert outline(PredictedRegion(rle=rle), 400, 300) == ()


def test_the_numbers_of_regions_at_one_place_stand_beside_each_other() -> None:
    text = "".join(outlined([(True, [SQUARE])] * 3, "is", 1000))
    places = [float(x) for x in re.findall(r'class="mark" x="([^"]+)"', text)]
    assert places == [pytest.approx(1000 / 18 + 1000 / 16 * number, abs=0.1) for number in range(3)]


def test_what_the_picture_is_not_about_is_thin_and_has_no_number() -> None:
    text = "".join(outlined([(False, [SQUARE]), (True, [SQUARE])], "was", 100))
    assert text.count('class="same"') == text.count('class="was"') == 1
    assert re.findall(r">(\d+)</text>", text) == ["2"]


def test_a_picture_that_is_not_at_hand_is_grey() -> None:
    assert picture("", 40, 30) == '<rect width="40" height="30" fill="#808080"/>'
    assert picture("data:x", 40, 30, "p1").startswith('<image width="40" height="30" id="p1"')
