"""Shapes of Label Studio as rings, against what its own package, shapely and Pillow make of them."""

import base64
import io
import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from converting import changed
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageDraw
from shapely import affinity
from shapely.geometry import box

from synthscars.converters import labelstudio
from synthscars.converters.labelstudio_shapes import brush_mask, item_rings, shape_of, unpack_rle
from synthscars.geometry import area, polygon, to_mask
from synthscars.problems import Problems
from synthscars.records import ImageRecord

WIDTH, HEIGHT = 200, 100
SIZE = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}


def item(kind: str, **value: Any) -> dict[str, Any]:
    return {"id": "r1", "from_name": "shape", "to_name": "image", "type": kind, **SIZE, "value": value}


def the_ring(one: dict[str, Any], width: int = WIDTH, height: int = HEIGHT) -> tuple[float, ...]:
    rings = item_rings(one, width, height)
    assert not isinstance(rings, str), rings
    (ring,) = rings
    return ring


def test_percent_of_a_rectangle_become_its_corners_in_pixels() -> None:
    ring = the_ring(item("rectanglelabels", x=10, y=20, width=30, height=50, rectanglelabels=["x"]))
    assert ring == (20, 20, 80, 20, 80, 70, 20, 70)


def test_a_quarter_turn_of_a_rectangle_is_made_in_pixels_around_its_corner() -> None:
    # 30 % of 200 pixels is 60, which after a quarter turn stand upright: 60 % of 100.
    ring = the_ring(item("rectangle", x=50, y=20, width=30, height=10, rotation=90))
    assert ring == (100, 20, 100, 80, 90, 80, 90, 20)


@given(*[st.floats(0, 100)] * 2, *[st.floats(1, 100)] * 2, st.floats(0, 360))
def test_turned_rectangles_and_ellipses_are_what_shapely_turns(
    x: float, y: float, first: float, second: float, degrees: float
) -> None:
    left, top = x * WIDTH / 100, y * HEIGHT / 100
    wide, high = first * WIDTH / 100, second * HEIGHT / 100
    drawn = polygon(the_ring(item("rectangle", x=x, y=y, width=first, height=second, rotation=degrees)))
    true = affinity.rotate(box(left, top, left + wide, top + high), degrees, origin=(left, top))
    assert shapely.hausdorff_distance(drawn, true) < 1e-6
    drawn = polygon(the_ring(item("ellipse", x=x, y=y, radiusX=first, radiusY=second, rotation=degrees)))
    circle = affinity.scale(shapely.Point(left, top).buffer(1, quad_segs=500), wide, high)
    true = affinity.rotate(circle, degrees, origin=(left, top))
    assert shapely.hausdorff_distance(drawn.exterior, true.exterior) < 0.0013 * max(wide, high) + 1e-3


def test_a_shape_that_was_drawn_on_another_size_is_turned_at_that_size() -> None:
    one = item("rectangle", x=50, y=20, width=30, height=10, rotation=90)
    assert the_ring(one, 400, 100) == (200, 20, 200, 80, 180, 80, 180, 20)


def test_the_turned_picture_changes_no_coordinates() -> None:
    # The editor turns what it shows, not what it stores: coordinates are those of the picture as it lies.
    turned = {**item("rectangle", x=10, y=20, width=30, height=50), "image_rotation": 90}
    assert the_ring(turned) == (20, 20, 80, 20, 80, 70, 20, 70)


masks = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40).flatmap(
    lambda shape: hnp.arrays(np.bool_, shape, elements=st.booleans(), fill=st.booleans())
)


@settings(max_examples=60)
@given(masks)
def test_brush_strokes_are_unpacked_as_label_studios_own_package_packs_and_unpacks_them(
    mask: np.ndarray,
) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="needs the extra `platform`")
    height, width = mask.shape
    rle = brush.mask2rle(mask.astype(np.uint8) * 255)
    values, lengths = unpack_rle(bytes(rle), 4 * mask.size)
    assert np.array_equal(np.repeat(values, lengths), brush.decode_rle(rle))
    found = brush_mask({"format": "rle", "rle": rle}, width, height)
    assert np.array_equal(found, mask)
    rings = item_rings({"type": "brush", "value": {"rle": rle}}, width, height)
    if mask.any():
        assert not isinstance(rings, str)
        assert np.array_equal(to_mask(rings, width, height), mask)
        assert area(rings) == mask.sum()
    else:
        assert rings == "the brush covers no pixel"


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.integers(0, 255)), min_size=1), st.integers(1, 16)
)
def test_every_way_to_pack_a_run_is_understood(runs: list[tuple[bool, int, int]], word: int) -> None:
    """The format from its description, written by hand: literal runs, other widths, other words."""
    widths = (3, 4, 8, 16)
    bits, expected = "", []
    for number, (repeated, length, value) in enumerate(runs):
        value %= 1 << word
        which = number % 4
        length = min(length, 1 << widths[which])
        values = [value] * length if repeated else [(value + step) % (1 << word) for step in range(length)]
        bits += f"{int(repeated)}{which:02b}{length - 1:0{widths[which]}b}"
        bits += "".join(f"{each:0{word}b}" for each in (values[:1] if repeated else values))
        expected += values
    head = f"{len(expected):032b}{word - 1:05b}" + "".join(f"{width - 1:04b}" for width in widths)
    stream = head + bits
    stream += "0" * (-len(stream) % 8)
    packed = bytes(int(stream[at : at + 8], 2) for at in range(0, len(stream), 8))
    values, lengths = unpack_rle(packed, len(expected))
    assert np.repeat(values, lengths).tolist() == expected


@given(st.binary(max_size=60))
def test_noise_instead_of_a_brush_stroke_is_said_to_be_unreadable(noise: bytes) -> None:
    packed = list((4 * WIDTH * HEIGHT).to_bytes(4, "big") + noise)
    found = brush_mask({"rle": packed}, WIDTH, HEIGHT)
    assert isinstance(found, str) or found.shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("one", "what"),
    [
        (item("polygon"), "the points are missing, not a list"),
        (item("polygon", points=[[1, 1], [2], [3, 3]]), "point 1 is [2], not two numbers"),
        (item("rectangle", x=1, y=2, width=3), "its height is None, not a number"),
        (item("rectangle", x=1, y=2, width=3, height="4"), "its height is 4, not a number"),
        (item("ellipse", x=1, y=2, radiusX=float("nan"), radiusY=2), "its radiusX is nan, not a number"),
        (item("ellipse", x=1, y=2, radiusX=1, radiusY=2, rotation=[]), "its rotation is [], not a number"),
        (item("brush", format="png", rle=[1]), "its format is png, not rle"),
        (item("brush", rle="AAAA"), "its rle is a text, not a list of numbers"),
        (item("brush", rle=[1, 2, 256]), "its rle cannot be read: bytes must be in range(0, 256)"),
        (item("brush", rle=[1]), "its rle cannot be read: it ends early"),
        (item("brush", rle=[0] * 40), "its rle cannot be read: it holds 0 values instead of 80000"),
        (
            {**item("brush", rle=[]), "original_width": 10**6, "original_height": 10**6},
            "its mask has 1000000 x",
        ),
        (
            item("bitmask", imageDataURL="data:image/png;base64,AAAA"),
            "the picture of its mask cannot be read",
        ),
        (item("bitmask", imageDataURL="https://example.org/x.png"), "it has no picture of its mask"),
        ({"type": "polygon", "value": 5}, "its value is a number, not an object"),
    ],
)
def test_what_is_wrong_with_a_shape_is_said(one: dict[str, Any], what: str) -> None:
    found = item_rings(one, WIDTH, HEIGHT)
    assert isinstance(found, str)
    assert found.startswith(what)


def data_url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def test_a_bitmask_covers_what_is_not_transparent() -> None:
    image = Image.new("RGBA", (WIDTH, HEIGHT), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((10, 20, 29, 49), fill=(0, 0, 0, 255))
    ring = the_ring(item("bitmasklabels", imageDataURL=data_url(image), bitmasklabels=["x"]))
    assert polygon(ring).equals(box(10, 20, 30, 50))
    opaque = item("bitmask", imageDataURL=data_url(Image.new("RGB", (WIDTH, HEIGHT))))
    assert item_rings(opaque, WIDTH, HEIGHT) == "the picture of its mask has no transparency"


def test_the_shape_of_an_item_is_told_by_its_type_and_of_mere_labels_by_their_value() -> None:
    kinds = (
        "polygonlabels",
        "polygon",
        "ellipse",
        "brushlabels",
        "bitmask",
        "keypointlabels",
        "textarea",
        None,
    )
    assert [shape_of({"type": kind}) for kind in kinds] == [
        "polygon",
        "polygon",
        "ellipse",
        "brush",
        "bitmask",
        "",
        "",
        "",
    ]
    assert shape_of(item("labels", x=1, y=1, width=5, height=5, labels=["x"])) == "rectangle"
    assert shape_of(item("labels", labels=["x"])) == ""
    # The editor's magic wand paints a mask.
    assert shape_of(item("magicwand", rle=[])) == "brush"


# In records

GOLDEN = Path(__file__).parents[1] / "data" / "labelstudio" / "shapes.json"


def read_golden() -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(labelstudio.read(GOLDEN, problems)), problems


def test_every_shape_of_an_export_becomes_rings_and_is_kept_as_it_was() -> None:
    (record,), problems = read_golden()
    assert not len(problems), [str(one) for one in problems]
    found = {one.artifact_id: one for one in record.artifacts}
    tasks = json.loads(GOLDEN.read_bytes())
    drawn = {one["id"]: one for one in tasks[0]["annotations"][0]["result"] if shape_of(one)}
    assert found["poly1"].extra == {}
    assert found["poly1"].polygons == ((20.0, 10.0, 60.0, 10.0, 60.0, 50.0),)
    assert found["rect1"].polygons == ((100.0, 20.0, 140.0, 20.0, 140.0, 40.0, 100.0, 40.0),)
    assert (found["rect1"].category, found["rect1"].subtype) == ("structure", "deformed")
    assert area(found["ell1"].polygons) == pytest.approx(math.pi * 20 * 10, rel=2e-3)
    assert area(found["brush1"].polygons) == 24
    assert [one.extra.get("shape") for one in record.artifacts] == [
        None,
        "rectangle",
        "ellipse",
        "brush",
        None,
    ]
    for artifact in record.artifacts:
        if "shape" in artifact.extra:
            assert artifact.extra["item"] == drawn[artifact.artifact_id]
    # A region drawn with a shape tool and labelled with another.
    assert (found["two1"].category, found["two1"].explanation) == ("physics", "It floats.")


def test_every_shape_is_written_as_it_was_drawn_and_read_again() -> None:
    (record,), _ = read_golden()
    task = labelstudio.task(record, "/data/a.png")
    before = [one for one in json.loads(GOLDEN.read_bytes())[0]["annotations"][0]["result"] if shape_of(one)]
    after = [one for one in task["annotations"][0]["result"] if shape_of(one)]
    drawn = {one["id"]: one for one in before if shape_of(one) != "polygon"}
    assert {one["id"]: one for one in after if shape_of(one) != "polygon"} == drawn
    problems = Problems()
    (found,) = labelstudio.read([{"id": 1, **task}], problems)
    assert not len(problems)
    assert [one.polygons for one in found.artifacts] == [one.polygons for one in record.artifacts]


def test_a_shape_whose_outline_was_changed_since_is_written_as_the_polygon_it_is_now() -> None:
    (record,), _ = read_golden()
    moved = changed(record.artifacts[1], polygons=((0.0, 0.0, 50.0, 0.0, 50.0, 50.0),))
    (shape, *_) = labelstudio.results([moved], None, WIDTH, HEIGHT)
    assert (shape["type"], shape["value"]["points"]) == (
        "polygonlabels",
        [[0.0, 0.0], [25.0, 0.0], [25.0, 50.0]],
    )


def test_a_noisy_stroke_becomes_one_artifact_of_many_rings() -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="needs the extra `platform`")
    mask = np.array([[random.Random(x * 7 + y).random() < 0.3 for x in range(WIDTH)] for y in range(HEIGHT)])
    rle = brush.mask2rle(mask.astype(np.uint8) * 255)
    result = [item("brushlabels", format="rle", rle=rle, brushlabels=["structure"])]
    data = {"image_id": "ab" * 32, "image": "/x.png", "width": WIDTH, "height": HEIGHT}
    (record,) = labelstudio.read(
        [{"id": 1, "data": data, "annotations": [{"id": 1, "completed_by": 1, "result": result}]}], Problems()
    )
    (artifact,) = record.artifacts
    assert len(artifact.polygons) > 100
    assert np.array_equal(to_mask(artifact.polygons, WIDTH, HEIGHT), mask)
