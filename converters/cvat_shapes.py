"""The elements inside an `<image>` of CVAT for images 1.1: shapes and tags, read and written.

Source of the format: https://docs.cvat.ai/docs/other/xml_format, and
`cvat/apps/dataset_manager/formats/cvat.py` in https://github.com/cvat-ai/cvat.

| element | geometry |
|---|---|
| polygon | `points="x,y;x,y;..."` |
| box | `xtl ytl xbr ybr`, turned by `rotation` degrees around its centre, clockwise on the screen |
| ellipse | `cx cy rx ry`, `rotation` likewise |
| mask | `rle` of the rows of the box `left top width height`, background first |
| polyline, points, cuboid, skeleton | no area: no region |
| tag | of the whole image |
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

import msgspec
from pycocotools import mask as coco

from synthscars.converters.cvat_xml import from_json, tag, to_json
from synthscars.converters.fields import NOT_TEXT, own, read_artifact_values
from synthscars.converters.parts import Drawn, Part, whole_number
from synthscars.converters.reading import Json, Where, number_ring, plain, usable_rings
from synthscars.converters.rle import read_rle
from synthscars.records import Ring
from synthscars.shapes import ellipse_ring, mask_rings, rectangle_ring, turned_corner

SHAPES = frozenset({"polygon", "box", "ellipse", "mask"})
WITHOUT_AREA = frozenset({"polyline", "points", "cuboid", "skeleton"})

_GEOMETRY = {
    "polygon": ("points",),
    "box": ("xtl", "ytl", "xbr", "ybr", "rotation"),
    "ellipse": ("cx", "cy", "rx", "ry", "rotation"),
    "mask": ("rle", "left", "top", "width", "height"),
}
_DEFAULTS = {"source": "manual", "occluded": "0", "z_order": "0"}


REJECTED = "rejected_shapes"
"""An attribute of the image: shapes that could not be used, as JSON."""

# Attributes: every value is a text


def values_of(element: Element, where: Where) -> tuple[Json, Json]:
    """The `<attribute>`s of a shape or tag as values, and what else is in it."""
    values: Json = {}
    rest: Json = {}
    for child in element:
        name = child.get("name")
        if child.tag != "attribute" or not name:
            rest.setdefault("elements", []).append(to_json(child))
        elif name in values:
            where.warn("attribute.repeated", f"two attributes are named {name[:60]!r}", "the first counts")
        else:
            values[name] = _decoded(name, child.text or "")
    return values, rest


def _decoded(name: str, text: str) -> Any:
    if name not in NOT_TEXT and name != REJECTED:
        return text
    try:
        return plain(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError):
        return text  # of the wrong type, which is reported by whoever reads the field


def attribute_elements(values: Json, indent: str) -> list[str]:
    """Values as `<attribute>`s."""
    return [tag("attribute", {"name": name}, indent, as_text(name, value)) for name, value in values.items()]


def as_text(name: str, value: Any) -> str:
    """A value as an attribute has it: a text as it is, anything else as JSON."""
    if isinstance(value, str) and name not in NOT_TEXT:
        return value
    return msgspec.json.encode(value).decode()


# Shapes


def read_shape(element: Element, width: int, height: int, where: Where, fallback: str) -> Drawn | None:
    """A shape on an image of that size (0: unknown); `None` if it cannot be used, which is reported."""
    rings = usable_rings(outline_of(element.tag, element.attrib, width, height), width, height, where)
    if not rings:
        return None
    geometry = _GEOMETRY[element.tag]
    raw: Json = {key: element.attrib[key] for key in geometry if key in element.attrib}
    raw = {} if element.tag == "polygon" else {"element": element.tag, **raw}
    return read_region(element, rings, where, fallback, raw)


def read_region(
    element: Element, rings: tuple[Ring, ...], where: Where, fallback: str, raw: Json | None = None
) -> Drawn:
    """A shape whose outline is known, or a tag that says what is wrong with the image, but not where."""
    values, rest = values_of(element, where)
    fields, unread = read_artifact_values(values, where)
    if unread:
        rest["attributes"] = unread
    known = ("label", "group_id", *_GEOMETRY.get(element.tag, ()))
    other = {key: value for key, value in element.attrib.items() if key not in known}
    if changed := {key: value for key, value in other.items() if _DEFAULTS.get(key) != value}:
        rest["xml"] = changed
    return Drawn(
        label=element.get("label"),
        rings=rings,
        fields=fields,
        where=where,
        fallback=fallback,
        raw=raw or {},
        rest=rest,
        group=_group(element.get("group_id", ""), where),
    )


def _group(text: str, where: Where) -> int | None:
    if text in ("", "0"):
        return None
    try:
        return int(text)
    except ValueError:
        where.warn("group.not_a_number", f"the group_id is {text[:40]!r}", "it joins nothing")
        return None


def outline_of(element: str, attributes: Json, width: int = 0, height: int = 0) -> tuple[Ring, ...] | str:
    """The rings that a shape is, or what is wrong with it. width, height: of the image, 0 if unknown."""
    if element == "polygon":
        ring = number_ring(_numbers(str(attributes.get("points", "")).replace(";", ",")))
        return ring if isinstance(ring, str) else (ring,)
    if element == "mask":
        return _mask(attributes)
    names = _GEOMETRY[element][:4]
    if missing := [name for name in names if name not in attributes]:
        return f"a {element} without {', '.join(missing)}"
    numbers = _numbers(
        ",".join([*(str(attributes[name]) for name in names), str(attributes.get("rotation", 0))])
    )
    checked = number_ring(numbers)
    if isinstance(checked, str):
        return checked
    left, top, right, bottom, rotation = checked
    if element == "ellipse":
        return (ellipse_ring(left, top, right, bottom, rotation),)
    if right < left or bottom < top:
        return f"a box from {left}, {top} to {right}, {bottom}"
    size = (right - left, bottom - top)
    return (rectangle_ring(*turned_corner(left, top, *size, rotation), *size, rotation),)


def _numbers(text: str) -> list[float | str]:
    numbers: list[float | str] = []
    for part in text.split(","):
        try:
            # Python also reads `1_000` and the digits of other scripts, which no tool writes.
            numbers.append(float(part) if part.isascii() and "_" not in part else part)
        except ValueError:
            numbers.append(part)
    return numbers


def _mask(attributes: Json) -> tuple[Ring, ...] | str:
    box = [_whole(attributes.get(key)) for key in ("left", "top", "width", "height")]
    runs = [_whole(run) for run in str(attributes.get("rle", "")).split(",")]
    left, top, width, height = box
    if left is None or top is None or width is None or height is None or None in runs:
        return "a mask whose rle, left, top, width and height are not all whole numbers"
    # The runs run along the rows: down the columns of the transposed mask.
    found = read_rle({"size": [width, height], "counts": runs})
    if isinstance(found, str):
        return found
    mask = coco.decode(found).T.astype(bool)
    if not mask.any():
        return "the mask covers no pixel"
    return tuple(
        tuple(value + (top if index % 2 else left) for index, value in enumerate(ring))
        for ring in mask_rings(mask)
    )


def _whole(value: Any) -> int | None:
    try:
        return whole_number(int(str(value).strip()[:20]))
    except ValueError:
        return None


def rings_of(raw: Json) -> tuple[Ring, ...] | None:
    """The rings that a raw shape is, `None` if it is not understood."""
    element = raw.get("element")
    if element not in SHAPES:
        return None
    outline = outline_of(str(element), raw)
    return None if isinstance(outline, str) else outline


def write_shape(part: Part, label: str, values: Json, group: int | None, indent: str) -> str:
    """The element that a part of an artifact is: a shape, or a tag where it has no outline."""
    rest = part.rest
    element = str(part.raw.get("element", "polygon" if part.ring else "tag"))
    xml = {key: str(value) for key, value in {**_DEFAULTS, **own(rest, "xml")}.items()}
    if element == "tag":
        del xml["occluded"], xml["z_order"]
    z_order = {"z_order": xml.pop("z_order")} if "z_order" in xml else {}
    pairs = zip(part.ring[::2], part.ring[1::2], strict=True)
    points = {"points": ";".join(f"{x!r},{y!r}" for x, y in pairs)} if part.ring else {}
    raw = {key: str(value) for key, value in part.raw.items() if key != "element"}
    grouped = {} if group is None else {"group_id": str(group)}
    shape = {"label": label, **xml, **points, **raw, **z_order, **grouped}
    children = attribute_elements({**own(rest, "attributes"), **values}, indent + "  ")
    return tag(element, shape, indent, children=children + other_elements(rest, indent + "  "))


def other_elements(rest: Json, indent: str) -> list[str]:
    """The elements in a shape, tag or image that are not known, as they were."""
    found = rest.get("elements")
    return [from_json(each, indent) for each in found] if isinstance(found, list) else []
