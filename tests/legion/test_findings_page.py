"""The page of a model's findings: what is on it, in which order, and that texts from outside stay texts."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from synthscars.legion.findings_page import SIDE, Overview, overview, pictures, to_page
from synthscars.legion.running import Item
from synthscars.predictions import PredictedRegion, Prediction

SQUARE = ((10.0, 10.0, 60.0, 10.0, 60.0, 60.0, 10.0, 60.0),)


def said(number: int, *scores: float | None, phrase: str = "the hand", **fields: float) -> Prediction:
    regions = tuple(
        PredictedRegion(
            phrase=phrase,
            explanation="It has six fingers.",
            category="structure",
            subtype="incomplete_redundant",
            polygons=SQUARE,
            score=score,
        )
        for score in scores
    )
    return Prediction(image_id=f"{number:064x}", width=1000, height=500, regions=regions, **fields)


def picture(number: int) -> Item:
    def load() -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (1000, 500), (number, 90, 90)).save(file, "PNG")
        return file.getvalue()

    return Item(f"{number}.png", load, f"{number:064x}")


def where(*items: Item) -> dict[str, Item]:
    return {item.image_id: item for item in items}


def page(seen: Overview, *items: Item) -> str:
    return "".join(to_page("legion-5m-abc", "outputs", seen, pictures(where(*items), seen)))


def test_everything_is_counted_and_the_surest_are_kept() -> None:
    seen = overview(
        [
            said(1, 0.2, 0.4, synthetic=0.9),
            said(2, synthetic=0.1),
            said(3, 0.9, synthetic=0.5),
            said(4, None),
            said(5, 0.4),
        ],
        most=3,
    )
    assert (seen.images, seen.found, seen.regions) == (5, 4, 5)
    assert (seen.judged, seen.generated) == (3, 2)
    assert seen.kinds == {("structure", "incomplete_redundant"): 5}
    # Of the two that are equally sure, the first comes first.
    assert [int(each.image_id, 16) for each in seen.shown] == [3, 1, 5]
    assert [int(each.image_id, 16) for each in seen.clean] == [2]


def test_pictures_are_read_only_where_they_are_shown() -> None:
    def refused() -> bytes:
        raise AssertionError("nobody wants it")

    seen = overview([said(1, 0.5), said(2, 0.4)], most=1)
    found = pictures(where(picture(1), Item("2.png", refused, f"{2:064x}")), seen)
    assert list(found) == [f"{1:064x}"]
    assert found[f"{1:064x}"].name == "1.png"


def test_the_page_shows_outlines_in_the_pixels_of_the_image_with_what_is_said_of_them() -> None:
    seen = overview([said(1, 0.25, synthetic=0.75), said(2)], most=10)
    text = page(seen, picture(1), picture(2))
    assert "What legion-5m-abc sees in outputs" in text
    assert 'viewBox="0 0 1000 500"' in text
    assert 'points="10.0 10.0 60.0 10.0 60.0 60.0 10.0 60.0"' in text
    assert "<b>the hand</b> It has six fingers." in text
    assert "score 0.25" in text
    assert "generated: 75%" in text
    assert "Something found: 1" in text
    assert "Nothing found: 1" in text
    assert "1.png" in text
    assert "2.png" in text


def test_pictures_are_small_and_those_that_are_gone_are_grey() -> None:
    def gone() -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    seen = overview([said(1, 0.5), said(2, 0.4)], most=10)
    found = pictures(where(picture(1), Item("2.png", gone, f"{2:064x}")), seen)
    address = found[f"{1:064x}"].address
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
        assert image.size == (SIDE, SIDE // 2)
    assert '<rect width="1000" height="500" fill="#808080"/>' in "".join(to_page("m", "s", seen, found))


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\x1b[2J"])
def test_nothing_from_outside_becomes_mark_up(text: str) -> None:
    region = PredictedRegion(phrase=text, explanation=text, category=text, subtype=text, polygons=SQUARE)
    strange = Prediction(image_id=f"{1:064x}", width=10, height=10, regions=(region,))
    seen = overview([strange, said(2)], most=5)
    item = picture(1)._replace(name=text)
    shown = "".join(to_page(text, text, seen, pictures(where(item), seen)))
    assert "<script" not in shown
    assert "<img src=x" not in shown
    assert "\x1b" not in shown


def test_no_prediction_at_all_is_a_page_too() -> None:
    text = page(overview([], most=5))
    assert "<b>0</b>images" in text
    assert "Something found" not in text
    assert "Nothing found" not in text
