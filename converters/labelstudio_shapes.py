"""The shapes that Label Studio draws on images, as rings in pixels.

In a result item, lengths are percent of the picture, which is another length along x than along y; shapes are
turned in pixels. A rectangle turns clockwise around its top left corner, an ellipse around its centre, which
is its `x, y` (the reference calls it a corner; the editor's sources do not). `image_rotation` says how the
whole picture stood on the screen; coordinates are those of the picture as it lies in its file, upright.

Sources: labelstud.io/tags (rectanglelabels, ellipselabels, polygonlabels, brushlabels, bitmasklabels), the
editor's region models (HumanSignal/label-studio, web/libs/editor/src/regions), and for brush strokes the
format of @thi.ng/rle-pack.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from synthscars.converters.reading import flat_ring, is_number, kind, whole
from synthscars.records import Ring

Json = dict[str, Any]

SHAPES = ("polygon", "rectangle", "ellipse", "brush", "bitmask")
"""Shapes with an area. Each is a type of result items of its own, and with labels, as `polygonlabels`."""

MAX_MASK = 50_000_000
"""Pixels of a mask beyond which it is not unpacked: a few bytes can declare any number."""

_GEOMETRY = frozenset(
    {
        *("points", "closed", "x", "y", "width", "height", "radiusX", "radiusY", "rotation"),
        *("format", "rle", "touches", "imageDataURL"),
    }
)


def shape_of(item: Mapping[str, Any]) -> str:
    """Which of `SHAPES` a result item holds, `""` if none.

    An item of type `labels` repeats the shape of the region that it labels.
    """
    named = item.get("type")
    if not isinstance(named, str):
        return ""
    if named.removesuffix("labels") in SHAPES:
        return named.removesuffix("labels")
    if named == "magicwand":
        return "brush"  # the tool has a type of its own, and paints a mask as the brush does
    value = item.get("value")
    if named != "labels" or not isinstance(value, dict):
        return ""
    for field, shape in (
        ("points", "polygon"),
        ("radiusX", "ellipse"),
        ("width", "rectangle"),
        ("rle", "brush"),
        ("imageDataURL", "bitmask"),
    ):
        if field in value:
            return shape
    return ""


def geometry_of(item: Mapping[str, Any]) -> Json:
    """The part of an item's value that says where the region is, without labels and texts."""
    value = item.get("value")
    return {key: part for key, part in value.items() if key in _GEOMETRY} if isinstance(value, dict) else {}


def item_rings(item: Mapping[str, Any], width: int, height: int) -> tuple[Ring, ...] | str:
    """The outline of a region in pixels of the upright image of that size, or what is wrong with it.

    Polygons, rectangles and ellipses are one ring (which may be unusable), masks any number of sound ones.
    """
    if not width or not height:
        return "the size of the image is not known"
    value = item.get("value")
    if not isinstance(value, dict):
        return f"its value is {kind(value)}, not an object"
    shape = shape_of(item)
    if shape == "polygon":
        ring = flat_ring(value.get("points"))
        return ring if isinstance(ring, str) else (_rescaled(ring, (100, 100), (width, height)),)
    # Where the picture had another size when it was drawn on, shapes are turned and masks are made at that.
    drawn = whole(item.get("original_width")) or width, whole(item.get("original_height")) or height
    if shape in ("rectangle", "ellipse"):
        ring = _turned(value, shape, *drawn)
        return ring if isinstance(ring, str) else (_rescaled(ring, drawn, (width, height)),)
    mask = brush_mask(value, *drawn) if shape == "brush" else _bitmask(value)
    if isinstance(mask, str):
        return mask
    if not mask.any():
        return f"the {shape} covers no pixel"
    from synthscars.shapes import mask_rings

    size = mask.shape[1], mask.shape[0]
    return tuple(_rescaled(ring, size, (width, height)) for ring in mask_rings(mask))


def _rescaled(ring: Ring, old: tuple[int, int], new: tuple[int, int]) -> Ring:
    # Multiplied first, which is the inverse of how percent are written, up to the last bit.
    (old_x, old_y), (new_x, new_y) = old, new
    points = zip(ring[::2], ring[1::2], strict=True)
    return tuple(value for x, y in points for value in (x * new_x / old_x, y * new_y / old_y))


def _turned(value: Json, shape: str, width: int, height: int) -> Ring | str:
    from synthscars.shapes import ellipse_ring, rectangle_ring

    lengths = ("width", "height") if shape == "rectangle" else ("radiusX", "radiusY")
    numbers: list[float] = []
    given: Json = {"rotation": 0, **{name: part for name, part in value.items() if part is not None}}
    for name in ("x", "y", *lengths, "rotation"):
        number: Any = given.get(name)
        if not is_number(number):
            return f"its {name} is {str(number)[:60]}, not a number"
        numbers.append(number)
    x, y, first, second, rotation = numbers
    make = rectangle_ring if shape == "rectangle" else ellipse_ring
    return make(x * width / 100, y * height / 100, first * width / 100, second * height / 100, rotation)


def brush_mask(value: Mapping[str, Any], width: int, height: int) -> npt.NDArray[np.bool_] | str:
    """The pixels that a brush stroke covers, shape (height, width), or what is wrong with it.

    value: of a result item, with the picture of the stroke in `rle`: RGBA, row by row, packed; covered is
    what is not fully transparent.
    """
    if value.get("format", "rle") != "rle":
        return f"its format is {str(value.get('format'))[:60]}, not rle"
    packed = value.get("rle")
    if not isinstance(packed, list):
        return f"its rle is {kind(packed)}, not a list of numbers"
    if width * height > MAX_MASK:
        return f"its mask has {width} x {height} pixels, more than {MAX_MASK:,}"
    try:
        values, lengths = unpack_rle(bytes(packed), 4 * width * height)
    except (TypeError, ValueError, OverflowError) as error:
        return f"its rle cannot be read: {error}"
    rgba = np.repeat(values > 0, lengths)
    return rgba[3::4].reshape(height, width)


def unpack_rle(packed: bytes, expected: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Values and how often each is repeated, from the bit stream of @thi.ng/rle-pack.

    The stream: the number of values (32 bits), the bits of a value less one (5), four widths less one (4
    each); then runs, each of a bit (1: one value repeated, 0: so many values), which of the four widths the
    length has (2), the length less one, and the value or values.

    Raises `ValueError` if it ends early or does not hold `expected` values.
    """
    at = 0

    def take(bits: int) -> int:
        nonlocal at
        end = at + bits
        if end > 8 * len(packed):
            raise ValueError("it ends early")
        found = int.from_bytes(packed[at // 8 : (end + 7) // 8], "big") >> (-end % 8)
        at = end
        return found & ((1 << bits) - 1)

    total, word = take(32), take(5) + 1
    if total != expected:
        raise ValueError(f"it holds {total} values instead of {expected}")
    widths = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    lengths: list[int] = []
    done = 0
    while done < total:
        repeated = take(1)
        # The last run may be longer than what is left.
        length = min(take(widths[take(2)]) + 1, total - done)
        done += length
        if repeated:
            values.append(take(word))
            lengths.append(length)
        else:
            values += (
                take(8 * length).to_bytes(length, "big") if word == 8 else (take(word) for _ in range(length))
            )
            lengths += [1] * length
    return np.asarray(values, dtype=np.uint32), np.asarray(lengths, dtype=np.int64)


def _bitmask(value: Mapping[str, Any]) -> npt.NDArray[np.bool_] | str:
    """The pixels of a bitmask, a PNG in a data URL that is transparent where nothing was painted."""
    from synthscars.images import open_image
    from synthscars.problems import ImageError

    url = value.get("imageDataURL")
    head, _, data = url.partition(",") if isinstance(url, str) else ("", "", "")
    if not head.startswith("data:image/png") or not head.endswith(";base64"):
        return "it has no picture of its mask"
    try:
        image = open_image(b64decode(data, validate=True))
    except (binascii.Error, ValueError) as error:
        return f"the picture of its mask cannot be read: {error}"
    except ImageError as error:
        return f"the picture of its mask cannot be read: {error.message}"
    if image.width * image.height > MAX_MASK:
        return f"its mask has {image.width} x {image.height} pixels, more than {MAX_MASK:,}"
    if not image.has_transparency_data:
        return "the picture of its mask has no transparency"
    return np.asarray(image.convert("RGBA").getchannel("A")) > 0
