"""The shapes of labelme (`labelme/_shape.py`, `labelme/utils/shape.py`): their outlines, and back.

| shape_type | points |
|---|---|
| polygon, or none at all | the ring |
| rectangle | two opposite corners |
| oriented_rectangle | its four corners |
| circle | the centre and a point on the edge |
| mask | the corner pixels of its box; `mask` is a PNG of that box in base64 |
| point, points, line, linestrip | no area: no region |
"""

from __future__ import annotations

import base64
import math

import numpy as np

from synthscars.converters.fields import read_artifact_values
from synthscars.converters.parts import Drawn, Part, whole_number
from synthscars.converters.reading import Json, Where, flat_ring, kind, unknown_fields, usable_rings
from synthscars.images import open_image
from synthscars.problems import ImageError
from synthscars.records import Ring
from synthscars.shapes import ellipse_ring, mask_rings, rectangle_ring

WITHOUT_AREA = ("point", "points", "line", "linestrip")

# labelme 7 opens no file that has a shape with other numbers of points, or a mask in another kind of shape.
_POINTS = {"rectangle": 2, "oriented_rectangle": 4, "circle": 2}

_KEYS = ("label", "points", "group_id", "description", "shape_type", "mask", "flags")


def read_shape(shape: Json, width: int, height: int, where: Where, fallback: str) -> Drawn | None:
    """A shape on an image of that size (0: unknown); `None` if it cannot be used, which is reported."""
    rings = usable_rings(outline_of(shape), width, height, where)
    if not rings:
        return None
    values = unknown_fields(shape, _KEYS)
    # A key of that name is another's, and is read only where the description says nothing.
    other = values.pop("explanation", None)
    explanation = shape.get("description") or other
    if explanation:
        values["explanation"] = explanation
    fields, rest = read_artifact_values(values, where)
    if other and other != explanation:
        rest["explanation"] = other
    if shape.get("flags"):
        rest["flags"] = shape["flags"]
    given = shape.get("group_id")
    group = whole_number(given)
    if group is None and given is not None:
        where.warn("group.not_a_number", f"the group_id is {str(given)[:40]!r}", "it joins nothing")
        rest["group_id"] = given
    raw: Json = {"shape_type": shape.get("shape_type"), "points": shape["points"]}
    if raw["shape_type"] == "mask":
        raw["mask"] = shape["mask"]
    elif raw["shape_type"] in (None, "polygon") or len(raw["points"]) > _POINTS[raw["shape_type"]]:
        raw = {}
    return Drawn(
        label=shape.get("label"),
        rings=rings,
        fields=fields,
        where=where,
        fallback=fallback,
        raw=raw,
        rest=rest,
        group=group,
    )


def write_shape(part: Part, label: str, values: Json, group: int | None) -> Json:
    """The shape that a part of an artifact is, with the keys in labelme's order."""
    rest = dict(part.rest)
    flags = rest.pop("flags", {})
    unread = rest.pop("group_id", None)
    values = dict(values)
    points = [list(point) for point in zip(part.ring[::2], part.ring[1::2], strict=True)]
    return {
        **rest,
        "label": label,
        "points": part.raw.get("points", points),
        "group_id": unread if group is None else group,
        "description": values.pop("explanation", ""),
        "shape_type": part.raw.get("shape_type", "polygon"),
        "flags": flags,
        "mask": part.raw.get("mask"),
        **values,
    }


def rings_of(raw: Json) -> tuple[Ring, ...] | None:
    """The rings that a raw shape is, `None` if it is not understood."""
    outline = outline_of(raw)
    return None if isinstance(outline, str) else outline


def outline_of(shape: Json) -> tuple[Ring, ...] | str:
    """The rings that a shape is, or what is wrong with it."""
    name = shape.get("shape_type")
    ring = flat_ring(shape.get("points"))
    if isinstance(ring, str):
        return ring
    if name in (None, "polygon"):
        return (ring,)
    if name == "rectangle" and len(ring) == 4:
        left, right = sorted(ring[::2])
        top, bottom = sorted(ring[1::2])
        return (rectangle_ring(left, top, right - left, bottom - top),)
    if name in ("rectangle", "oriented_rectangle") and len(ring) == 8:
        return (ring,)
    if name == "circle" and len(ring) == 4:
        x, y, edge_x, edge_y = ring
        radius = math.hypot(edge_x - x, edge_y - y)
        return (ellipse_ring(x, y, radius, radius),)
    if name == "mask" and len(ring) == 4:
        return _mask(shape.get("mask"), int(ring[0]), int(ring[1]))
    if name in ("rectangle", "oriented_rectangle", "circle", "mask"):
        return f"a {name} of {len(ring) // 2} points"
    return f"a shape of the type {str(name)[:40]!r}, which is not known"


def _mask(data: object, left: int, top: int) -> tuple[Ring, ...] | str:
    if not isinstance(data, str):
        return f"the mask is {kind(data)}, not a PNG in base64"
    try:
        pixels = np.asarray(open_image(base64.b64decode(data)))
    except ImageError as error:
        return f"the mask cannot be read: {error.message}"
    except ValueError as error:
        return f"the mask is no base64: {error}"
    if pixels.ndim != 2:
        return "the mask is a picture in colours"
    if not pixels.any():
        return "the mask covers no pixel"
    return tuple(
        tuple(value + (top if index % 2 else left) for index, value in enumerate(ring))
        for ring in mask_rings(pixels.astype(np.bool_))
    )
