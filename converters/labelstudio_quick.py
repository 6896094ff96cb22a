"""Reads the tasks that are as they should be, many at a time, and leaves every other to `ImageReader`.

Most tasks of an export are answers of our own controls in which nothing is amiss: polygons within the picture
that do not cross themselves, each with a category, a phrase and an explanation. What they become is the same
as `ImageReader` would make of them; whatever it would report, and whatever is unusual, is not read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, islice
from typing import Any, NamedTuple

import msgspec
import numpy as np

from synthscars.converters.labelstudio_answers import agreed, status_of
from synthscars.converters.labelstudio_images import name_in
from synthscars.converters.labelstudio_tasks import (
    CATEGORY,
    CONFIDENCE,
    CONTENT_TYPE,
    EXPLANATION,
    NO_ARTIFACT,
    PHRASE,
    SCENE,
    SUBTYPE_PREFIX,
)
from synthscars.geometry import sound_rings
from synthscars.records import Artifact, ImageRecord, Review, Ring, Status
from synthscars.taxonomy import load_taxonomy

_NO_POINTS = msgspec.Raw(b"[]")


class _Value(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    # The texts of a region repeat its points: only those of the polygon itself are looked at.
    points: msgspec.Raw = _NO_POINTS
    closed: bool = True
    text: list[str] | None = None
    choices: list[str] | None = None
    polygonlabels: list[str] | None = None


class _Item(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: str
    from_name: str
    type: str
    value: _Value
    to_name: str = ""
    original_width: int | None = None
    original_height: int | None = None
    image_rotation: int = 0
    origin: str = "manual"


class _Account(msgspec.Struct, gc=False):
    # As snapshots name somebody.
    id: int


class _Annotation(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: int
    completed_by: int | _Account
    result: list[_Item]
    was_cancelled: bool = False
    lead_time: float | None = None
    prediction: Any = None
    result_count: Any = None
    task: Any = None
    project: Any = None
    created_username: Any = None
    # Kept in the review's extra.
    ground_truth: Any = None
    created_at: Any = None
    updated_at: Any = None
    draft_created_at: Any = None
    unique_id: Any = None
    import_id: Any = None
    last_action: Any = None
    bulk_created: Any = None
    updated_by: Any = None
    parent_prediction: Any = None
    parent_annotation: Any = None
    last_created_by: Any = None


_KEPT = (
    *("prediction", "ground_truth", "created_at", "updated_at", "draft_created_at", "unique_id", "import_id"),
    *(
        "last_action",
        "bulk_created",
        "updated_by",
        "parent_prediction",
        "parent_annotation",
        "last_created_by",
    ),
)


class _Data(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    image_id: str
    width: int
    height: int
    image: str = ""
    file_name: str = ""


class Task(msgspec.Struct, gc=False):
    """A task as a raw export has it; `decode_task` refuses any that is not quickly read."""

    data: _Data
    id: int | None = None
    annotations: list[_Annotation] = []
    predictions: list[Any] = []
    drafts: list[Any] = []
    completions: list[Any] = []
    meta: dict[str, Any] | None = None


decode_task = msgspec.json.Decoder(Task).decode
decode_tasks = msgspec.json.Decoder(list[Task]).decode
_decode_numbers = msgspec.json.Decoder(list[float]).decode
_IN_NUMBERS = b"0123456789+-.eE \t\r\n"


class _Region(msgspec.Struct, gc=False):
    category: str = ""
    subtype: str | None = None
    phrase: str = ""
    explanation: str = ""
    confidence: str = ""
    points: msgspec.Raw | None = None


class _Draft(NamedTuple):
    """A record that lacks its artifacts, and what is known of them: id, rater, texts, points in percent."""

    record: ImageRecord
    regions: list[tuple[str, str, _Region]]


def quick_records(
    tasks: Iterable[Task | None], known: Mapping[str, ImageRecord] | None, repeated: frozenset[str]
) -> list[ImageRecord | None]:
    """The record of each task, `None` where it is left to `ImageReader`.

    known: see `labelstudio.read`. repeated: images that other tasks show as well.
    """
    drafts = [_draft(task, known) if task and task.data.image_id not in repeated else None for task in tasks]
    regions = [region.points for draft in drafts if draft for _, _, region in draft.regions]
    sizes = [(draft.record.width, draft.record.height) for draft in drafts if draft for _ in draft.regions]
    rings = iter(_rings(regions, sizes))
    return [draft and _finished(draft, list(islice(rings, len(draft.regions)))) for draft in drafts]


def _draft(task: Task, known: Mapping[str, ImageRecord] | None) -> _Draft | None:
    data = task.data
    base = known.get(data.image_id) if known is not None else _base(data)
    plain = not (task.predictions or task.drafts or task.completions or task.meta) and _is_small(task.id)
    if base is None or not plain:
        return None
    regions: list[tuple[str, str, _Region]] = []
    reviews: list[Review] = []
    for given in task.annotations:
        found = _answer(given, base)
        if found is None:
            return None
        reviews.append(found[0])
        regions += [(region_id, found[0].rater_id, region) for region_id, region in found[1].items()]
    if len({review.rater_id for review in reviews}) < len(reviews):
        return None
    record = msgspec.structs.replace(
        base,
        status="annotated" if regions else status_of((), reviews),
        content_type=agreed(reviews) or base.content_type,
        artifacts=(),
        reviews=tuple(reviews),
        extra={**base.extra, "label_studio_tasks": [task.id]},
    )
    return _Draft(record, regions)


def _base(data: _Data) -> ImageRecord | None:
    if not data.image_id or not data.image or not 0 < data.width <= 10**6 or not 0 < data.height <= 10**6:
        return None
    name = data.file_name or name_in(data.image)
    return ImageRecord(image_id=data.image_id, file_name=name, width=data.width, height=data.height)


def _answer(given: _Annotation, base: ImageRecord) -> tuple[Review, dict[str, _Region]] | None:
    regions: dict[str, _Region] = {}
    size = (base.width, base.height)
    clean, content_type, scene = False, None, ""
    for item in given.result:
        control, value = item.from_name, item.value
        if item.type == "relation":
            return None
        if control == NO_ARTIFACT:
            clean = clean or bool(value.choices)
            continue
        if control == CONTENT_TYPE:
            content_type = _only(value.choices)
            if content_type not in _content_types():
                return None
            continue
        if control == SCENE:
            scene = "\n".join(value.text or ())
            continue
        region = regions.get(item.id)
        if region is None:
            region = regions[item.id] = _Region()
        if control == CATEGORY and item.type == "polygonlabels":
            drawn_on = (item.original_width, item.original_height)
            plain = item.origin == "manual" and not item.image_rotation and drawn_on in (size, (None, None))
            if region.points is not None or not plain:
                return None
            region.category, region.points = _only(value.polygonlabels), value.points
        elif control == PHRASE and item.type == "textarea":
            region.phrase = "\n".join(value.text or ())
        elif control == EXPLANATION and item.type == "textarea":
            region.explanation = "\n".join(value.text or ())
        elif control.startswith(SUBTYPE_PREFIX) and item.type == "choices":
            if region.subtype is not None:
                return None
            region.subtype = _only(value.choices)
        elif control == CONFIDENCE and item.type == "choices":
            region.confidence = _only(value.choices)
            if not region.confidence:
                return None
        else:
            return None
    if clean == bool(regions) or not all(map(_is_whole, regions, regions.values())):
        return None
    review = _review(given, "clean" if clean else "annotated", content_type, scene)
    return (review, regions) if review else None


def _only(chosen: list[str] | None) -> str:
    """The one thing chosen, `""` if none or several, which is no id of anything."""
    return chosen[0] if chosen and len(chosen) == 1 else ""


def _is_whole(region_id: str, region: _Region) -> bool:
    named = (region.category, region.subtype) in _classes() and bool(region.phrase and region.explanation)
    # A tilde may make it a part of another region.
    return named and region.points is not None and region_id != "" and "~" not in region_id


def _review(given: _Annotation, status: Status, content_type: str | None, scene: str) -> Review | None:
    seconds = given.lead_time
    who = given.completed_by
    account = who.id if isinstance(who, _Account) else who
    plain = not given.was_cancelled and account >= 0 and _is_small(account) and _is_small(given.id)
    # A whole number beyond 64 bits is no number to a record, which cannot be told from a float here.
    if not plain or not (seconds is None or abs(seconds) < 2**53):
        return None
    extra: dict[str, Any] = {"annotation_id": given.id}
    for field in _KEPT:
        value = getattr(given, field)
        if value is not None and value != {}:
            if isinstance(value, dict) and "email" in value:
                value = value.get("id")
            if not _is_small(value):
                return None
            extra[field] = value
    return Review(
        rater_id=f"rater-{account}",
        status=status,
        content_type=content_type,
        scene=scene,
        seconds=seconds,
        extra=extra,
    )


def _is_small(value: Any) -> bool:
    """Whether a value is kept as it is: a text, no long number, nothing that may name somebody."""
    return value is None or isinstance(value, (str, bool)) or (isinstance(value, int) and abs(value) < 2**53)


def _rings(points: Sequence[msgspec.Raw | None], sizes: Sequence[tuple[int, int]]) -> list[Ring | None]:
    """The rings in pixels; `None` for one with any fault. points: in percent, as they stand in the file."""
    if not points:
        return []
    numbers = [_numbers(each) for each in points]
    counts = np.fromiter((len(each) // 2 for each in numbers), dtype=np.intp, count=len(numbers))
    flat = np.fromiter(chain.from_iterable(numbers), dtype=np.float64)
    edges = np.asarray(sizes, dtype=np.float64)
    pixels = flat.reshape(-1, 2) * np.repeat(edges, counts, axis=0) / 100
    sound = sound_rings(pixels, counts, edges).tolist()
    values = pixels.ravel().tolist()
    ends = (2 * np.cumsum(counts)).tolist()
    return [
        tuple(values[start:end]) if fine else None
        for start, end, fine in zip([0, *ends[:-1]], ends, sound, strict=True)
    ]


_ON_ONE_SPOT = [0.0] * 6


def _numbers(points: msgspec.Raw | None) -> list[float]:
    """The numbers in a list of `[x, y]`; of anything else, a ring that has a fault."""
    raw = bytes(points or b"")
    # Without its numbers, a list of pairs is known by its brackets and commas alone.
    frame = raw.translate(None, _IN_NUMBERS)
    count = frame.count(b"[") - 1
    if count < 3 or frame != b"[" + b"[,]," * (count - 1) + b"[,]]":
        return _ON_ONE_SPOT
    try:
        return _decode_numbers(b"[%b]" % raw.translate(None, b"[]"))
    except msgspec.DecodeError:
        return _ON_ONE_SPOT


def _finished(draft: _Draft, rings: list[Ring | None]) -> ImageRecord | None:
    artifacts: list[Artifact] = []
    for (region_id, rater_id, region), ring in zip(draft.regions, rings, strict=True):
        if ring is None:
            return None
        artifacts.append(
            Artifact(
                artifact_id=region_id,
                category=region.category,
                subtype=region.subtype,
                polygons=(ring,),
                phrase=region.phrase,
                explanation=region.explanation,
                rater_id=rater_id,
                extra={"confidence": region.confidence} if region.confidence else {},
            )
        )
    return msgspec.structs.replace(draft.record, artifacts=tuple(artifacts))


@cache
def _classes() -> frozenset[tuple[str, str | None]]:
    taxonomy = load_taxonomy()
    alone = [(category, None) for category in taxonomy.category_ids]
    return frozenset([*alone, *((each.category, each.id) for each in taxonomy.subtypes)])


@cache
def _content_types() -> frozenset[str]:
    return frozenset(load_taxonomy().content_type_ids)
