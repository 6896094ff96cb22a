"""One entry of a SynthScars annotation file, to a record and back.

What a record has no place for is kept in `extra[NAMESPACE]`, so that an entry that was read is written again
as it was: the annotation id, the order of the keys, fields nobody knows, boxes, and refs and rings that could
not be used, with their positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, TypeVar

import msgspec

from synthscars import caption as grammar
from synthscars.converters.captions import is_stale, scene_of
from synthscars.converters.pictures import Picture, base_name
from synthscars.converters.reading import Json, Where, kind, number_ring, unknown_fields, usable_ring
from synthscars.geometry import bbox
from synthscars.problems import FormatError
from synthscars.records import Artifact, ImageRecord, Ring, Status

NAMESPACE = "synthscars_json"
ENTRY_KEYS = ["img_file_name", "caption", "refs"]
REF_KEYS = ["sentence", "bbox", "segmentation", "explanation"]


class RejectedRef(msgspec.Struct, frozen=True):
    """A ref that could not be used, and where it stood among the refs."""

    position: int
    ref: Any


class RejectedRing(msgspec.Struct, frozen=True):
    """A polygon that could not be used, and where it stood in its segmentation."""

    position: int
    ring: Any


class EntryExtra(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`extra[NAMESPACE]` of a record.

    keys: their order, if unusual. fields: values no record can hold. stale: the caption contradicted the
    artifacts when it was read.
    """

    id: str
    keys: list[str] | None = None
    fields: Json = {}
    rejected_refs: list[RejectedRef] = []
    stale: bool = False


class RefExtra(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`extra[NAMESPACE]` of an artifact.

    bbox_of: the box of the region when `fields["bbox"]` was read; ungrounded: the phrase was not in the
    caption then; whole_numbers: coordinates were written without a decimal point.
    """

    keys: list[str] | None = None
    fields: Json = {}
    bbox_of: list[float] | None = None
    rejected_rings: list[RejectedRing] = []
    ungrounded: bool = False
    whole_numbers: bool = False


def file_name(entry: Json) -> str:
    """The image's file name without its folders; `""` if the entry names no file."""
    name = entry.get("img_file_name")
    return base_name(name) if isinstance(name, str) else ""


# Reading


def read_entry(entry: Json, where: Where, split: str, picture: Picture) -> ImageRecord:
    """The record of one entry. Whatever is wrong with it is reported; bad refs stay in `extra`.

    where: its `image` is the annotation's id.
    """
    fields = unknown_fields(entry, ENTRY_KEYS)
    name = file_name(entry)
    if entry.get("img_file_name") != name:
        fields["img_file_name"] = entry.get("img_file_name")
    caption = entry.get("caption")
    if not isinstance(caption, str):
        where.warn("caption.missing", f"the caption is {kind(caption)}, not a text")
        fields |= {"caption": caption} if "caption" in entry else {}
        caption = ""
    refs = entry.get("refs")
    if not isinstance(refs, list):
        where.add("refs.missing", f"refs is {kind(refs)}, not a list", "list the artifacts")
        fields |= {"refs": refs} if "refs" in entry else {}
        refs = []
    artifacts: list[Artifact] = []
    rejected: list[RejectedRef] = []
    for position, ref in enumerate(refs):
        place = where.at(region=f"refs[{position}]")
        artifact = _read_ref(ref, _artifact_id(where.image, position), caption, place, picture)
        if artifact is None:
            rejected.append(RejectedRef(position, ref))
        else:
            artifacts.append(artifact)
    told = [(each.phrase, each.explanation) for each in artifacts]
    kept = EntryExtra(
        id=where.image,
        keys=_unusual(entry, ENTRY_KEYS),
        fields=fields,
        rejected_refs=rejected,
        stale=grammar.contradicts(caption, told),
    )
    return ImageRecord(
        image_id=picture.image_id,
        file_name=name,
        width=picture.width,
        height=picture.height,
        status=_status(refs, caption, where),
        caption=caption,
        artifacts=tuple(artifacts),
        split=split,
        extra={NAMESPACE: msgspec.to_builtins(kept)},
    )


def _artifact_id(annotation: str, position: int) -> str:
    return f"{annotation}-{position}"


def _status(refs: list[Any], caption: str, where: Where) -> Status:
    if refs:
        return "annotated"
    if says_clean(caption):
        return "clean"
    where.warn("refs.empty", "no artifacts, and the caption does not say that there are none")
    return "unlabelled"


def says_clean(caption: str) -> bool:
    """Whether a caption says, in the grammar, that there are no artifacts."""
    try:
        return not grammar.parse(caption).items
    except FormatError:
        return False


def _read_ref(ref: Any, artifact_id: str, caption: str, where: Where, picture: Picture) -> Artifact | None:
    if not isinstance(ref, dict):
        where.add("ref.wrong_type", f"it is {kind(ref)}, not an object", "describe the artifact")
        return None
    phrase, explanation, rings = ref.get("sentence"), ref.get("explanation", ""), ref.get("segmentation")
    if not isinstance(phrase, str) or not isinstance(explanation, str):
        key = "sentence" if not isinstance(phrase, str) else "explanation"
        where.add("ref.wrong_type", f"{key} is {kind(ref.get(key))}, not a text", f"write the {key}")
        return None
    if not isinstance(rings, list) or not rings:
        what = "segmentation is empty" if rings == [] else f"segmentation is {kind(rings)}, not a list"
        where.add("ref.no_polygon", what, "draw the artifact")
        return None
    polygons, rejected = _read_rings(rings, where, picture)
    if not polygons:
        return None
    fields = unknown_fields(ref, REF_KEYS)
    box = list(bbox(polygons))
    other_box = "bbox" in ref and not _same_numbers(ref["bbox"], box)
    if other_box:
        fields["bbox"] = ref["bbox"]
    if not phrase:
        where.warn("phrase.empty", "the sentence is empty", "name the place")
    elif not in_caption(phrase, caption):
        what = f"{phrase[:80]!r} does not stand in the caption"
        where.warn("phrase.not_in_caption", what, "LEGION's loader drops it")
    if not explanation:
        where.warn("explanation.empty", "no explanation", "say why it cannot be")
    numbers = [value for ring in rings if isinstance(ring, list) for value in ring]
    kept = RefExtra(
        keys=_unusual(ref, REF_KEYS),
        fields=fields,
        bbox_of=box if other_box else None,
        rejected_rings=rejected,
        ungrounded=not in_caption(phrase, caption),
        whole_numbers=all(isinstance(value, int) for value in numbers),
    )
    return Artifact(
        artifact_id=artifact_id,
        polygons=tuple(polygons),
        phrase=phrase,
        explanation=explanation,
        extra={NAMESPACE: msgspec.to_builtins(kept)} if kept != RefExtra() else {},
    )


def in_caption(phrase: str, caption: str) -> bool:
    """Whether LEGION's loader finds a phrase: it strips quotation marks and spaces off the caption first."""
    return phrase in caption.strip('"').strip()


def _read_rings(rings: list[Any], where: Where, picture: Picture) -> tuple[list[Ring], list[RejectedRing]]:
    polygons: list[Ring] = []
    rejected: list[RejectedRing] = []
    for number, raw in enumerate(rings):
        place = where if len(rings) == 1 else where.at(region=f"{where.region}, polygon {number}")
        ring = usable_ring(number_ring(raw), picture.width, picture.height, place)
        if ring is None:
            rejected.append(RejectedRing(number, raw))
        else:
            polygons.append(ring)
    return polygons, rejected


def _same_numbers(first: Any, second: Sequence[float]) -> bool:
    # 3 and 3.0 are equal, but another text.
    return isinstance(first, list) and [repr(value) for value in first] == [repr(value) for value in second]


def _unusual(values: Json, usual: list[str]) -> list[str] | None:
    return None if list(values) == usual else list(values)


# Writing


def write_entry(record: ImageRecord, name: str, caption: str) -> Json:
    """The entry of one record, under a file name and with a caption."""
    kept = entry_extra(record)
    refs = [write_ref(artifact) for artifact in record.artifacts if artifact.polygons]
    for rejected in kept.rejected_refs:
        refs.insert(rejected.position, rejected.ref)
    fields = dict(kept.fields)
    if file_name(fields) != name:
        fields.pop("img_file_name", None)  # the image goes by another name now
    if caption:
        fields.pop("caption", None)
    if refs:
        fields.pop("refs", None)
    values: Json = {"img_file_name": name, "caption": caption, "refs": refs}
    return _in_order(values | fields, kept.keys, ENTRY_KEYS)


def write_ref(artifact: Artifact) -> Json:
    """The ref of one artifact; its box is `[x, y, width, height]` unless the one it came with still fits."""
    kept = _ref_extra(artifact)
    rings: list[Any] = [list(ring) for ring in artifact.polygons]
    if kept.whole_numbers:
        rings = [[int(value) if value.is_integer() else value for value in ring] for ring in rings]
    for rejected in kept.rejected_rings:
        rings.insert(rejected.position, rejected.ring)
    box = list(bbox(artifact.polygons))
    fields = dict(kept.fields)
    if kept.bbox_of != box:
        fields.pop("bbox", None)  # the region was changed since
    values = {
        "sentence": artifact.phrase,
        "bbox": box,
        "segmentation": rings,
        "explanation": artifact.explanation,
    }
    return _in_order(values | fields, kept.keys, REF_KEYS)


def write_caption(record: ImageRecord) -> tuple[str, bool]:
    """The caption to write, and whether it had to be composed.

    A record's own caption is kept if it names every phrase, but for those that it did not name when it was
    read, and does not contradict the artifacts, unless it did so when it was read.
    """
    shown = [artifact for artifact in record.artifacts if artifact.polygons]
    fits = all(in_caption(each.phrase, record.caption) or _ref_extra(each).ungrounded for each in shown)
    if not is_ours(record):
        fits = says_clean(record.caption) if record.status == "clean" else fits and bool(record.caption)
    if fits and (not is_stale(record) or entry_extra(record).stale):
        return record.caption, False
    return grammar.compose(scene_of(record), [(each.phrase, each.explanation) for each in shown]), True


_Extra = TypeVar("_Extra", EntryExtra, RefExtra)


def is_ours(record: ImageRecord) -> bool:
    """Whether the record was read from an annotation file."""
    return bool(entry_extra(record).id)


def has_own_ids(record: ImageRecord) -> bool:
    """Whether the artifacts have the ids that they get anyway when the entry is read again."""
    kept = entry_extra(record)
    taken = {rejected.position for rejected in kept.rejected_refs}
    free = (position for position in count() if position not in taken)
    return all(each.artifact_id == _artifact_id(kept.id, next(free)) for each in record.artifacts)


def entry_extra(record: ImageRecord) -> EntryExtra:
    """What is kept of the entry that a record was read from; without an id if there is none."""
    return _extra(record.extra.get(NAMESPACE), EntryExtra) or EntryExtra(id="")


def _ref_extra(artifact: Artifact) -> RefExtra:
    return _extra(artifact.extra.get(NAMESPACE), RefExtra) or RefExtra()


def _extra(kept: Any, kind: type[_Extra]) -> _Extra | None:
    try:
        return msgspec.convert(kept, kind)
    except msgspec.ValidationError:  # somebody else's field of that name
        return None


def _in_order(values: Json, keys: Sequence[str] | None, usual: list[str]) -> Json:
    keys = usual if keys is None else keys
    # A box that was not there before is not added; a text or a list that came since is.
    added = [key for key in usual if key not in keys and key != "bbox" and values[key]]
    return {key: values[key] for key in [*keys, *added] if key in values}
