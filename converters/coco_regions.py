"""Reads one annotation of a COCO file: polygons, masks, or only a box; see `synthscars.converters.coco`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from synthscars.converters.coco_model import NAMESPACE
from synthscars.converters.fields import read_artifact_values, settle_subtype
from synthscars.converters.reading import (
    Json,
    Where,
    as_id,
    flat_ring,
    is_number,
    kind,
    number_ring,
    read_label,
    unknown_fields,
    usable_ring,
)
from synthscars.converters.rle import read_rle
from synthscars.geometry import from_rle, surely_sound
from synthscars.records import Artifact, Ring
from synthscars.shapes import rectangle_ring

_TAKEN = ("id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd")
_KEPT = "the annotation is kept in the image's extra"

BOX_ONLY = "box_only"
REJECTED_POLYGONS = "rejected_polygons"


class Label(NamedTuple):
    """What the name of a category says; extra: an unknown name. name: as it is in the file."""

    category: str | None
    subtype: str | None
    extra: Json
    name: str


class Outline(NamedTuple):
    """rings: those that can be used. rejected: raw polygons that cannot. box_only: it is the bounding box."""

    rings: tuple[Ring, ...]
    rejected: list[Any]
    box_only: bool = False


class Sizes(NamedTuple):
    """Width and height in pixels, 0 where unknown: of the upright image, and what the file says of it."""

    image: tuple[int, int]
    said: tuple[int, int]


def key_of(value: Any) -> str:
    """An id as a key: 7, 7.0 and "7" are the same; `""` for what cannot be an id."""
    if isinstance(value, str):
        return value.strip()
    return str(int(value)) if is_number(value) and value == int(value) else ""


def kept_id(raw: Json, number: int) -> Json:
    """What to keep of an id that differs from `number`, which it would get anyway when written."""
    key = key_of(raw.get("id"))
    value = int(key) if key.isdecimal() and len(key) < 19 else raw.get("id")
    return {"id": value} if "id" in raw and value != number else {}


def read_label_of(category: Json, where: Where) -> Label:
    """What an entry of `categories` says."""
    name = category.get("name")
    found = read_label(name, where)
    return Label(*found, name if isinstance(name, str) else "")


def sound_rings_of(
    annotations: Sequence[Json], sizes: Sequence[tuple[int, int]]
) -> list[tuple[Ring, ...] | None]:
    """The rings of each annotation whose polygons surely have nothing wrong with them, else `None`.

    sizes: of the image of each annotation. Many at a time, because one by one takes twice as long.
    """
    found = [_rings_in(raw) if all(size) else None for raw, size in zip(annotations, sizes, strict=True)]
    rings = [ring for each in found for ring in each or ()]
    edges = [size for each, size in zip(found, sizes, strict=True) for _ in each or ()]
    sound = iter(surely_sound(rings, edges))
    return [each if each and all(list(islice(sound, len(each)))) else None for each in found]


def _rings_in(raw: Json) -> tuple[Ring, ...] | None:
    try:
        return msgspec.convert(raw.get("segmentation"), tuple[Ring, ...])
    except msgspec.ValidationError:  # a mask, points, nonsense
        return None


def read_annotation(
    raw: Json,
    label: Label | None,
    sizes: Sizes,
    number: int,
    taken: dict[str, set[str]],
    where: Where,
    sound: tuple[Ring, ...] | None = None,
) -> Artifact | None:
    """The artifact of an annotation, `None` if nothing can be drawn; whatever is wrong is reported.

    label: `None` if the file has no such category. number: the id that it would get anyway. taken: artifact
    ids by rater, to which this one's is added. sound: its rings, if they are sound on an image of the size
    that the file says.
    """
    outline = Outline(sound, []) if sound and sizes.image == sizes.said else read_outline(raw, sizes, where)
    if not outline.rings:
        return None
    values = unknown_fields(raw, _TAKEN)
    if type(values.get("rater_id")) is int:
        values["rater_id"] = str(values["rater_id"])
    fields, kept = read_artifact_values(values, where)
    kept |= kept_id(raw, number)
    if outline.rejected:
        kept[REJECTED_POLYGONS] = outline.rejected
    if outline.box_only:
        kept[BOX_ONLY] = True
    if raw.get("iscrowd") not in (None, 0, False):
        kept["iscrowd"] = 1 if raw["iscrowd"] in (1, True, "1") else raw["iscrowd"]
    if label is None:
        kept["category_id"] = raw.get("category_id")
        label = Label(None, None, {}, "")
    category, subtype = label.category, label.subtype
    if fields.get("category") not in (None, category) and fields["category"] == label.name:
        category, subtype, label = fields["category"], None, label._replace(extra={})
    ids = taken.setdefault(fields.get("rater_id", ""), set())
    artifact_id = as_id(fields.get("artifact_id"), ids, "") or as_id(raw.get("id"), ids, str(number))
    ids.add(artifact_id)
    return Artifact(
        **{
            **fields,
            "artifact_id": artifact_id,
            "category": category,
            "subtype": settle_subtype(category, fields.get("subtype"), where) or subtype,
            "polygons": outline.rings,
            "extra": {**fields.get("extra", {}), **label.extra, **({NAMESPACE: kept} if kept else {})},
        }
    )


def read_outline(raw: Json, sizes: Sizes, where: Where) -> Outline:
    """The outline of an annotation."""
    segmentation = raw.get("segmentation")
    if isinstance(segmentation, dict):
        return _read_mask(segmentation, sizes, where)
    if isinstance(segmentation, list) and segmentation:
        return _read_polygons(segmentation, sizes, where)
    if segmentation not in (None, []):
        what = f"the segmentation is {kind(segmentation)}, neither polygons nor a mask"
        where.add("segmentation.wrong_type", what, f"write polygons; {_KEPT}")
        return Outline((), [])
    return _read_box(raw.get("bbox"), sizes, where)


def _read_polygons(segmentation: list[Any], sizes: Sizes, where: Where) -> Outline:
    if all(map(is_number, segmentation)):
        where.warn(
            "segmentation.flat",
            "the segmentation is one list of numbers, not a list of polygons",
            "it is read as one polygon; the COCO API would not take it",
        )
        segmentation = [segmentation]
    rings: list[Ring] = []
    rejected: list[Any] = []
    for number, polygon in enumerate(segmentation):
        at = where.at(region=f"{where.region}, polygon {number}") if len(segmentation) > 1 else where
        points = isinstance(polygon, list) and polygon and all(isinstance(each, list) for each in polygon)
        ring = usable_ring(flat_ring(polygon) if points else number_ring(polygon), *sizes.image, at)
        if ring is None:
            rejected.append(polygon)
        else:
            rings.append(ring)
    return Outline(tuple(rings), rejected)


def _read_mask(segmentation: Json, sizes: Sizes, where: Where) -> Outline:
    rle = read_rle(segmentation)
    if isinstance(rle, str):
        where.add("mask.damaged", rle, f"export it again; {_KEPT}")
        return Outline((), [])
    size = (rle["size"][1], rle["size"][0])
    if all(sizes.said) and size != sizes.said:
        where.add(
            "mask.size_differs",
            f"the mask has {size[0]} x {size[1]} pixels, the image {sizes.said[0]} x {sizes.said[1]}",
            f"export it in the size of the image; {_KEPT}",
        )
        return Outline((), [])
    rings = from_rle(rle)
    if not rings:
        where.add(
            "mask.empty", "no pixel of the mask is set", f"draw the region again, or remove it; {_KEPT}"
        )
    return Outline(rings, [])


def _read_box(box: Any, sizes: Sizes, where: Where) -> Outline:
    is_box = isinstance(box, list) and len(box) == 4 and all(map(is_number, box))
    if not is_box or box[2] <= 0 or box[3] <= 0:
        what = f"no segmentation, and the bbox is {str(box)[:60]}, not [x, y, width, height]"
        where.add("annotation.no_outline", what, f"draw the region; {_KEPT}")
        return Outline((), [])
    ring = usable_ring(rectangle_ring(*map(float, box)), *sizes.image, where)
    return Outline((ring,) if ring else (), [], box_only=True)
