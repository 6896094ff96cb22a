"""The annotations of a Datumaro item: regions, labels, captions, and what is none of these; read and written.

Source of the format: `datumaro/plugins/data_formats/datumaro/{base,exporter}.py` in
https://github.com/open-edge-platform/datumaro.

| type | geometry |
|---|---|
| polygon | `points`: the ring, flat |
| bbox | `bbox`: `[x, y, width, height]` |
| ellipse | `points`: `[x0, y0, x1, y1]` of the box around it |
| mask | `rle`: COCO run-length encoding, as text |
| label | of the whole image |
| caption | `caption`: text about the whole image |
| points, polyline, cuboid_2d, cuboid_3d | no area: no region |

CVAT exports a turned box or ellipse as the upright one, with the attribute `rotation`: degrees around its
centre, clockwise on the screen (`cvat/apps/dataset_manager/bindings.py` in https://github.com/cvat-ai/cvat).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synthscars.converters.fields import own, read_artifact_values
from synthscars.converters.parts import Drawn, Part, whole_number
from synthscars.converters.reading import (
    UNLABELLED,
    Json,
    Where,
    classify,
    is_number,
    kind,
    number_ring,
    text,
    unknown_fields,
    usable_rings,
)
from synthscars.converters.rle import read_rle
from synthscars.geometry import from_rle
from synthscars.records import STATUSES, Ring
from synthscars.shapes import ellipse_ring, rectangle_ring, turned_corner

SHAPES = frozenset({"polygon", "bbox", "ellipse", "mask"})
WITHOUT_AREA = frozenset({"points", "polyline", "cuboid_2d", "cuboid_3d"})

_GEOMETRY = {"polygon": "points", "bbox": "bbox", "ellipse": "points", "mask": "rle"}
_DEFAULTS: Json = {"id": 0, "group": 0, "z_order": 0, "object_id": -1}


class Annotations:
    """Sorts the annotations of one item.

    width, height: of the image, 0 if unknown. drawn: its artifacts; other: to be kept and written again, some
    of which may be shapes without an area (`has_other_shapes`); rejected: kept, but cannot be used; status,
    caption: of the image, if an annotation says them.
    """

    def __init__(self, labels: Sequence[str], width: int, height: int) -> None:
        self._labels = labels
        self._size = (width, height)
        self.drawn: list[Drawn] = []
        self.other: list[Any] = []
        self.has_other_shapes = False
        self.rejected: list[Any] = []
        self.status: Any = None
        self.caption: str | None = None

    def add(self, annotation: Any, number: int, where: Where) -> None:
        """Take one annotation in; whatever is wrong with it is reported."""
        if not isinstance(annotation, dict):
            where.add(
                "annotation.not_an_object", f"it is {kind(annotation)}", "draw it again; it is kept in extra"
            )
            self.rejected.append(annotation)
            return
        name = annotation.get("type")
        if isinstance(name, str) and name in SHAPES:
            self._add_shape(annotation, name, number, where)
        elif name == "label":
            self._add_label(annotation, number, where)
        elif name == "caption" and self.caption is None and isinstance(annotation.get("caption"), str):
            self.caption = annotation["caption"]
        elif isinstance(name, str) and name in WITHOUT_AREA:
            where.add(
                "shape.no_area",
                f"{name!r} has no area and is no region",
                "draw a polygon around the place; the shape is kept in extra",
            )
            self.has_other_shapes = True
            self.other.append(self._by_name(annotation))
        else:
            if name != "caption":
                where.warn(
                    "shape.unknown", f"the type {str(name)[:40]!r} is not known", "it is kept in extra"
                )
            self.other.append(self._by_name(annotation))

    def _add_shape(self, annotation: Json, name: str, number: int, where: Where) -> None:
        rings = usable_rings(outline_of(annotation), *self._size, where)
        if not rings:
            self.rejected.append(self._by_name(annotation))
            return
        if name == "mask" and all(self._size) and annotation["rle"]["size"] != [*reversed(self._size)]:
            where.warn(
                "mask.size_differs",
                f"the mask has {annotation['rle']['size'][::-1]} pixels, the image {[*self._size]}",
                "look whether the region lies where it should",
            )
        raw: Json = {}
        if name != "polygon":
            raw = {"type": name, _GEOMETRY[name]: annotation[_GEOMETRY[name]]}
        if _rotation(annotation):
            raw["attributes"] = {"rotation": annotation["attributes"]["rotation"]}
        self.drawn.append(self._drawn(annotation, rings, raw, f"annotation-{number}", where))

    def _add_label(self, annotation: Json, number: int, where: Where) -> None:
        label = self._label(annotation)
        attributes = annotation.get("attributes")
        ours = isinstance(attributes, dict) and "artifact_id" in attributes
        if ours or label == UNLABELLED or (label and classify(label)[0]):
            self.drawn.append(self._drawn(annotation, (), {}, f"annotation-{number}", where))
        elif label in STATUSES:
            self.status = label
        else:
            self.other.append(self._by_name(annotation))

    def _by_name(self, annotation: Json) -> Json:
        """The annotation with its label's name: the file that it is written to has numbers of its own."""
        if annotation.get("label_id") is None:
            return annotation
        label = self._label(annotation)
        said = {"label": label} if label else {"no_such_label": annotation["label_id"]}
        return {**unknown_fields(annotation, ("label_id",)), **said}

    def _drawn(
        self, annotation: Json, rings: tuple[Ring, ...], raw: Json, fallback: str, where: Where
    ) -> Drawn:
        given = annotation.get("attributes")
        values = unknown_fields(own(annotation, "attributes"), own(raw, "attributes"))
        fields, unread = read_artifact_values(values, where)
        label = self._label(annotation, where)
        known = ("type", "attributes", "label_id", _GEOMETRY.get(text(annotation.get("type")), ""))
        group = whole_number(annotation.get("group")) or None
        rest: Json = {
            "attributes": unread,
            "keys": {
                key: value
                for key, value in unknown_fields(annotation, known).items()
                if _DEFAULTS.get(key) != value and not (key == "group" and group is not None)
            },
        }
        if given and not isinstance(given, dict):
            where.warn("field.wrong_type", f"the attributes are {kind(given)}", "they are kept in extra")
            rest["keys"]["attributes"] = given
        rest = {key: value for key, value in rest.items() if value}
        return Drawn(label, rings, fields, where, fallback, raw, rest, group)

    def _label(self, annotation: Json, where: Where | None = None) -> str | None:
        number = annotation.get("label_id")
        if number is None:
            return None
        index = whole_number(number)
        if index is None or not 0 <= index < len(self._labels):
            if where:
                what = f"there is no label {str(number)[:40]}"
                where.warn("label.no_such_id", what, "the artifact has no category; choose one")
            return None
        return self._labels[index]


def outline_of(shape: Json) -> tuple[Ring, ...] | str:
    """The rings that a shape is, or what is wrong with it."""
    name = text(shape.get("type"))
    if name == "mask":
        found = read_rle(shape.get("rle"))
        if isinstance(found, str):
            return found
        return from_rle(found) or "the mask covers no pixel"
    ring = number_ring(shape.get(_GEOMETRY.get(name, "")))
    if isinstance(ring, str):
        return ring
    if name == "polygon":
        return (ring,)
    if len(ring) != 4:
        return f"a {name} of {len(ring)} numbers, not 4"
    x, y, third, fourth = ring
    rotation = _rotation(shape)
    if name == "bbox":
        corner = turned_corner(x, y, third, fourth, rotation)
        return (
            (rectangle_ring(*corner, third, fourth, rotation),) if min(third, fourth) > 0 else "an empty bbox"
        )
    radii = (abs(third - x) / 2, abs(fourth - y) / 2)
    return (ellipse_ring((x + third) / 2, (y + fourth) / 2, *radii, rotation),)


def _rotation(shape: Json) -> float:
    given: Any = own(shape, "attributes").get("rotation")
    return float(given) if shape.get("type") in ("bbox", "ellipse") and is_number(given) else 0.0


def rings_of(raw: Json) -> tuple[Ring, ...] | None:
    """The rings that a raw shape is, `None` if it is not understood."""
    outline = outline_of(raw)
    return None if isinstance(outline, str) else outline


def write_annotation(part: Part, label_id: int, values: Json, group: int | None) -> Json:
    """The annotation that a part of an artifact is, with the keys in Datumaro's order."""
    keys = dict(own(part.rest, "keys"))
    name = part.raw.get("type", "polygon" if part.ring else "label")
    found: Json = {
        "id": keys.pop("id", 0),
        "type": name,
        "attributes": {**own(part.raw, "attributes"), **own(part.rest, "attributes"), **values},
        "group": keys.pop("group", 0) if group is None else group,
        "label_id": label_id,
    }
    keys.pop("attributes", None)
    if part.ring:
        found["points"] = list(part.ring)
    if name != "label":
        found["z_order"] = keys.pop("z_order", 0)
    return {**found, **unknown_fields(part.raw, ("type", "attributes")), **keys}
