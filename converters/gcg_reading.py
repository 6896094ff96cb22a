"""One entry of a GCG annotation file, to a record. See `gcg` for the layout."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pycocotools import mask as coco

from synthscars.converters.fields import (
    read_artifact_values,
    read_image_values,
    settle_status,
    settle_subtype,
)
from synthscars.converters.gcg_grounding import as_loaded
from synthscars.converters.pictures import SourcePictures, base_name
from synthscars.converters.reading import (
    Json,
    Where,
    as_id,
    kind,
    number_ring,
    read_label,
    text,
    unknown_fields,
    usable_ring,
    whole,
)
from synthscars.converters.rle import read_rle
from synthscars.geometry import Rle, from_rle, to_rle
from synthscars.records import Artifact, ImageRecord, Ring

NAMESPACE = "gcg"

_ENTRY = (
    "file_name",
    "image_id",
    "sha256",
    "caption",
    "groundings",
    "ungrounded",
    "original_file_name",
    "original_caption",
    "width",
    "height",
)
_GROUNDING = ("token_positives", "rle_masks", "polygons", "category")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class _Found(NamedTuple):
    """What the groundings of an entry are: artifacts, what could not be used, and ids by rater."""

    artifacts: list[Artifact]
    rejected: list[Json]
    ids: dict[str, set[str]]


def read_entry(
    entry: Any, place: str, where: Where, split: str, pictures: SourcePictures
) -> ImageRecord | None:
    """The record of one entry, `None` if it names no image.

    place: names the entry in problems. split: the record's, unless the entry has its own.
    """
    name = text(entry.get("file_name")) if isinstance(entry, dict) else ""
    if not base_name(name):
        what = "it names no image" if isinstance(entry, dict) else f"it is {kind(entry)}, not an object"
        where.at(region=place).add("entry.wrong_type", what, "write file_name, caption and groundings")
        return None
    where = where.at(image=base_name(name))
    fields, rest = read_image_values(unknown_fields(entry, _ENTRY), where)
    kept: Json = {"fields": rest} if rest else {}
    image_id = next((each for key in ("sha256", "image_id") if _is_id(each := entry.get(key))), "")
    if "image_id" in entry and entry["image_id"] != image_id:
        kept["image_id"] = entry["image_id"]
    caption = entry.get("caption")
    if not isinstance(caption, str):
        where.warn("caption.wrong_type", f"the caption is {kind(caption)}, not a text", "write a caption")
        caption = ""
    groundings = entry.get("groundings")
    size = _size(entry, groundings)
    picture = pictures.find(name, where, image_id=image_id, size=size)
    width, height = (picture.width, picture.height) if picture.width else size
    found = _Found([], [], {})
    if isinstance(groundings, dict):
        loaded = as_loaded(caption)
        for key, grounding in groundings.items():
            here = where.at(region=f"groundings[{key[:60]!r}]")
            _read_grounding(key, grounding, loaded, (width, height), found, here)
    else:
        what = f"groundings is {kind(groundings)}, not an object with a phrase a grounding"
        where.add("groundings.wrong_type", what, "write the groundings")
        found.rejected.append({"groundings": groundings})
    _read_ungrounded(entry.get("ungrounded", []), (width, height), found, where)
    if found.rejected:
        kept["rejected"] = found.rejected
    return ImageRecord(
        **{
            "file_name": text(entry.get("original_file_name", base_name(name))),
            "split": split,
            "caption": text(entry.get("original_caption", caption)),
            **fields,
            "image_id": picture.image_id,
            "width": width,
            "height": height,
            "artifacts": tuple(found.artifacts),
            "status": settle_status(fields.get("status"), bool(found.artifacts), bool(found.rejected), where),
            "extra": {**fields.get("extra", {}), **({NAMESPACE: kept} if kept else {})},
        }
    )


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _size(entry: Json, groundings: Any) -> tuple[int, int]:
    """Width and height as the entry says them: the first mask's, else its own."""
    for grounding in groundings.values() if isinstance(groundings, dict) else ():
        masks = grounding.get("rle_masks") if isinstance(grounding, dict) else None
        for value in masks if isinstance(masks, list) else ():
            rle = read_rle(value)
            if not isinstance(rle, str):
                return rle["size"][1], rle["size"][0]
    return whole(entry.get("width")), whole(entry.get("height"))


def _read_grounding(
    key: str, grounding: Any, caption: str, size: tuple[int, int], found: _Found, where: Where
) -> None:
    position = len(found.artifacts) + len(found.rejected)
    polygons: tuple[Ring, ...] = ()
    if not isinstance(grounding, dict):
        what = f"it is {kind(grounding)}, not an object"
        where.add("grounding.wrong_type", what, "write token_positives and rle_masks")
    else:
        polygons = _outline(grounding, size, where)
    if not polygons:
        found.rejected.append({"key": key, "grounding": grounding})
        return
    values = unknown_fields(grounding, _GROUNDING)
    phrase = _phrase(key, grounding.get("token_positives"), caption, where)
    extra: Json = {}
    if phrase is None:
        extra["token_positives"] = grounding.get("token_positives")
    values = {"phrase": key if phrase is None else phrase, **values}
    _add(values, grounding.get("category"), str(position), polygons, extra, found, where)


def _add(
    values: Json,
    label: Any,
    fallback: str,
    polygons: tuple[Ring, ...],
    kept: Json,
    found: _Found,
    where: Where,
) -> None:
    fields, rest = read_artifact_values(values, where)
    if rest:
        kept["fields"] = rest
    category, subtype, other_label = read_label(label, where)
    subtype = settle_subtype(category, fields.get("subtype"), where) or subtype
    ids = found.ids.setdefault(fields.get("rater_id", ""), set())
    artifact_id = as_id(fields.get("artifact_id"), ids, fallback)
    if artifact_id != fields.get("artifact_id", artifact_id):
        repeated = fields["artifact_id"]
        where.warn("id.repeated", f"another has the id {repeated!r}", f"it is read as {artifact_id!r}")
    ids.add(artifact_id)
    extra = {**other_label, **fields.get("extra", {}), **({NAMESPACE: kept} if kept else {})}
    fields |= {"artifact_id": artifact_id, "category": category, "subtype": subtype, "extra": extra}
    found.artifacts.append(Artifact(**{**fields, "polygons": polygons}))


def _phrase(key: str, span: Any, caption: str, where: Where) -> str | None:
    """The words that the grounding stands at; `None` if its span is not one."""
    if (
        isinstance(span, list)
        and len(span) == 2
        and all(type(each) is int for each in span)
        and 0 <= span[0] < span[1] <= len(caption)
    ):
        words = caption[span[0] : span[1]]
        # A key may go on after the phrase, to be another one than that of an equal phrase.
        if words.casefold() in key.casefold():
            return words
        where.warn(
            "span.differs",
            f"token_positives are the words {words[:60]!r} of the caption",
            "the key counts; correct token_positives, which is what the loaders read",
        )
        return key
    where.warn(
        "span.wrong",
        f"token_positives are {str(span)[:60]}, not the first character and the one after the last",
        "write them; the loaders put the mask there",
    )
    return None


def _outline(grounding: Json, size: tuple[int, int], where: Where) -> tuple[Ring, ...]:
    """The rings of a grounding, empty if it has none that can be used; what is wrong is reported."""
    masks = grounding.get("rle_masks")
    if not isinstance(masks, list) or not masks:
        what = "rle_masks is empty" if masks == [] else f"rle_masks is {kind(masks)}, not a list"
        where.add("mask.missing", what, "write a mask; the phrase is kept in extra")
        return ()
    rles: list[Rle] = []
    for number, value in enumerate(masks):
        rle = read_rle(value)
        here = where if len(masks) == 1 else where.at(region=f"{where.region}, mask {number}")
        if isinstance(rle, str):
            here.add("mask.wrong", rle, "write the mask again; its raw form is kept in extra")
        elif (rle["size"][1], rle["size"][0]) != size:
            what = f"the mask is {rle['size'][1]} x {rle['size'][0]} pixels, the image {size[0]} x {size[1]}"
            here.add("mask.other_size", what, "write the mask again; its raw form is kept in extra")
        else:
            rles.append(rle)
    if len(rles) < len(masks):
        return ()
    rle = coco.merge(rles) if len(rles) > 1 else rles[0]
    if int(coco.area(rle)) < sum(int(coco.area(each)) for each in rles):
        where.warn(
            "mask.overlap", "its masks overlap, and the loaders add them up to more than 1", "they are united"
        )
    rings = _rings(grounding.get("polygons"), size, where)
    if rings and to_rle(rings, *size) == rle:
        return rings
    if not coco.area(rle):
        where.add("mask.empty", "the mask has no pixel", "draw the region; its raw form is kept in extra")
        return ()
    if rings:
        where.warn("mask.differs", "polygons and mask are not the same region", "the mask counts")
    return from_rle(rle)


def _rings(polygons: Any, size: tuple[int, int], where: Where) -> tuple[Ring, ...]:
    if polygons is None:
        return ()
    if not isinstance(polygons, list):
        where.warn("polygons.wrong_type", f"polygons is {kind(polygons)}, not a list", "the mask counts")
        return ()
    rings = [usable_ring(number_ring(each), *size, where) for each in polygons]
    return tuple(ring for ring in rings if ring is not None)


def _read_ungrounded(values: Any, size: tuple[int, int], found: _Found, where: Where) -> None:
    """Artifacts that stand beside the groundings, put back to their positions."""
    if not isinstance(values, list):
        where.add("ungrounded.wrong_type", f"ungrounded is {kind(values)}, not a list", "write a list")
        found.rejected.append({"ungrounded": values})
        return
    for number, value in enumerate(values):
        here = where.at(region=f"ungrounded[{number}]")
        if not isinstance(value, dict):
            here.add("grounding.wrong_type", f"it is {kind(value)}, not an object", "describe the artifact")
            found.rejected.append({"ungrounded": value})
            continue
        position = value.get("position")
        polygons = _rings(value.get("polygons"), size, here)
        known = unknown_fields(value, ("position", "polygons", "category"))
        _add(known, value.get("category"), f"ungrounded-{number}", polygons, {}, found, here)
        if type(position) is int and 0 <= position < len(found.artifacts):
            found.artifacts.insert(position, found.artifacts.pop())
