"""What a format can hold of a record, and the one place where a record is narrowed to it.

Every format declares a `Holds`. `narrow` turns records into what the format can hold of them and counts the
rest, so a writer never meets a field that it has no place for, and the table of the documentation, the loss
report and the round-trip tests all speak of the same declaration.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Literal

import msgspec

from synthscars.converters.losses import Losses
from synthscars.records import STATUSES, Artifact, ImageRecord, Status

Outlines = Literal["exact", "rounded", "pixels", "boxes", "none"]
"""How outlines come back: equal as float64, within 1e-6 pixels, as the pixels they cover, as boxes."""

IMAGE_FIELDS: dict[str, str] = {
    "image_id": "ids of images",
    "file_name": "file names",
    "size": "sizes in pixels",
    "origin": "real images, written like synthetic ones",
    "content_type": "content types",
    "status": "states",
    "caption": "captions",
    "reviews": "raters' answers about whole images",
    "generation": "generation metadata",
    "group_id": "groups",
    "split": "splits",
    "source": "sources",
    "license": "licences",
    "extra": "images with fields of other formats",
}
"""Fields of an image that a format holds or not, and how their loss is named."""

ARTIFACT_FIELDS: dict[str, str] = {
    "artifact_id": "ids of artifacts",
    "category": "categories of artifacts",
    "subtype": "subtypes of artifacts",
    "outline": "outlines of artifacts",
    "phrase": "phrases",
    "explanation": "explanations",
    "rater_id": "artifacts' raters",
    "votes": "artifacts' votes",
    "agreement": "artifacts' agreement",
    "extra": "artifacts with fields of other formats",
}
"""Fields of an artifact, likewise."""

# `image_id` and `size` are facts about the image file and are never taken out of a record; `outline` and
# `status` have rules of their own below.
_PLAIN_IMAGE_FIELDS = tuple(
    name for name in IMAGE_FIELDS if name not in ("image_id", "file_name", "size", "status", "extra")
)
_PLAIN_ARTIFACT_FIELDS = tuple(
    name for name in ARTIFACT_FIELDS if name not in ("artifact_id", "outline", "extra")
)
ALL_STATUSES: frozenset[Status] = frozenset(STATUSES)


class Holds(msgspec.Struct, frozen=True, kw_only=True):
    """What a format holds.

    image, artifact: names out of `IMAGE_FIELDS` and `ARTIFACT_FIELDS`. An image without `image_id` or `size`
    gets them from its file when it is read.
    statuses: states of an image *without* artifacts that come back. An image in any other is left out: it
    would come back as something that nobody said. An image with artifacts comes back as annotated, unless
    `image` has `status`.
    outlines: see `Outlines`. several_rings: an artifact of several rings stays one artifact. several_records:
    an image may have several records (annotations that nobody merged). regionless: an artifact without an
    outline can be held.
    namespace: the key of `extra` that holds what the format itself has and records have not.
    text: what becomes of a text, where the format cannot hold any text.
    note: what else a user should know, in one sentence or two.
    """

    image: frozenset[str]
    artifact: frozenset[str]
    statuses: frozenset[Status] = frozenset({"clean"})
    outlines: Outlines = "exact"
    several_rings: bool = True
    several_records: bool = True
    regionless: bool = False
    namespace: str = ""
    text: Callable[[str], str] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        unknown = (self.image - set(IMAGE_FIELDS)) | (self.artifact - set(ARTIFACT_FIELDS))
        if unknown:
            raise ValueError(f"no such fields: {', '.join(sorted(unknown))}")


EVERYTHING = Holds(
    image=frozenset(IMAGE_FIELDS),
    artifact=frozenset(ARTIFACT_FIELDS),
    statuses=ALL_STATUSES,
    regionless=True,
)


def everything_but(*fields: str, **changes: Any) -> Holds:
    """A format that holds all fields but these: `license` of the image, `artifact.votes` of its artifacts."""
    unknown = set(fields) - set(IMAGE_FIELDS) - {f"artifact.{name}" for name in ARTIFACT_FIELDS}
    if unknown:
        raise ValueError(f"no such fields: {', '.join(sorted(unknown))}")
    image = frozenset(IMAGE_FIELDS) - set(fields)
    artifact = frozenset(name for name in ARTIFACT_FIELDS if f"artifact.{name}" not in fields)
    settings = {"statuses": ALL_STATUSES, "regionless": True, **changes}
    return Holds(image=image, artifact=artifact, **settings)


def narrow(records: Iterable[ImageRecord], holds: Holds, losses: Losses) -> Iterator[ImageRecord]:
    """What the format can hold of each record; the rest is counted in `losses`.

    An image that would come back in another state is left out and counted.
    """
    seen: set[str] = set()
    for record in records:
        if not holds.several_records:
            if record.image_id in seen:
                what = "records of an image that has one already were left out"
                fix = "merge the records of an image first (`synthscars consensus`)"
                losses.count("record", what, record, severity="error", fix=fix)
                continue
            seen.add(record.image_id)
        narrowed = narrow_record(record, holds, losses)
        if narrowed is not None:
            yield narrowed


def narrow_record(record: ImageRecord, holds: Holds, losses: Losses) -> ImageRecord | None:
    """What the format can hold of one record, `None` if it would tell an untruth about the image."""
    artifacts = _narrow_artifacts(record, holds, losses)
    # Somebody saw something, whatever the record says: without it, the image must not become clean.
    status = "annotated" if record.status == "clean" and record.artifacts else record.status
    if not artifacts and status not in holds.statuses:
        what = f"images left out, because they are {status} and would come back as something else"
        losses.count("status", what, record, severity="warning")
        return None
    changes: dict[str, Any] = {}
    for name in _PLAIN_IMAGE_FIELDS:
        if name not in holds.image and (value := getattr(record, name)) != _IMAGE_DEFAULTS[name]:
            changes[name] = _IMAGE_DEFAULTS[name]
            losses.count(name, IMAGE_FIELDS[name], record, len(value) if name == "reviews" else 1)
    if "extra" not in holds.image and (extra := _own(record.extra, holds)) != record.extra:
        changes["extra"] = extra
        losses.count("extra", IMAGE_FIELDS["extra"], record)
    if artifacts != record.artifacts:
        changes["artifacts"] = artifacts
    if "status" not in holds.image and record.status != "annotated" and artifacts:
        changes["status"] = "annotated"
        losses.count(
            "status", f"images with artifacts that are {record.status}, written as annotated", record
        )
    if holds.text:
        changes |= _narrow_texts(msgspec.structs.replace(record, **changes), holds.text, losses)
    return msgspec.structs.replace(record, **changes) if changes else record


def _narrow_artifacts(record: ImageRecord, holds: Holds, losses: Losses) -> tuple[Artifact, ...]:
    kept: list[Artifact] = []
    taken = {artifact.artifact_id for artifact in record.artifacts}
    for artifact in record.artifacts:
        if any(len(ring) % 2 for ring in artifact.polygons):
            what = "artifacts had rings with a coordinate too many, which were left out"
            losses.count("artifact.outline", what, record, severity="error", fix="draw them again")
            even = tuple(ring for ring in artifact.polygons if len(ring) % 2 == 0)
            artifact = msgspec.structs.replace(artifact, polygons=even)
        if not artifact.polygons and not holds.regionless:
            what = "artifacts without an outline were left out"
            losses.count("artifact.outline", what, record, severity="warning")
            continue
        changes: dict[str, Any] = {}
        for name in _PLAIN_ARTIFACT_FIELDS:
            if name not in holds.artifact and getattr(artifact, name) != _ARTIFACT_DEFAULTS[name]:
                changes[name] = _ARTIFACT_DEFAULTS[name]
                losses.count(f"artifact.{name}", ARTIFACT_FIELDS[name], record)
        if "artifact_id" not in holds.artifact:
            losses.count("artifact.artifact_id", ARTIFACT_FIELDS["artifact_id"], record)
        if "extra" not in holds.artifact and (extra := _own(artifact.extra, holds)) != artifact.extra:
            changes["extra"] = extra
            losses.count("artifact.extra", ARTIFACT_FIELDS["extra"], record)
        if artifact.polygons and holds.outlines in _COARSE:
            losses.count("artifact.outline", f"outlines became {_COARSE[holds.outlines]}", record)
        if changes:
            artifact = msgspec.structs.replace(artifact, **changes)
        if len(artifact.polygons) > 1 and not holds.several_rings:
            losses.count("artifact.rings", "artifacts of several rings became one artifact a ring", record)
            kept += ring_by_ring(artifact, taken)
        else:
            kept.append(artifact)
    return tuple(kept)


_COARSE = {"pixels": "masks of whole pixels", "boxes": "bounding boxes", "none": "nothing"}


def ring_by_ring(artifact: Artifact, taken: Collection[str] = ()) -> list[Artifact]:
    """One artifact for each ring of an artifact: `ID`, `ID~2`, `ID~3`, …, but none of the ids `taken`."""
    parts = (f"{artifact.artifact_id}~{number}" for number in itertools.count(2))
    ids = itertools.chain([artifact.artifact_id], (part for part in parts if part not in taken))
    return [
        msgspec.structs.replace(artifact, artifact_id=artifact_id, polygons=(ring,))
        for artifact_id, ring in zip(ids, artifact.polygons, strict=False)
    ]


def _narrow_texts(record: ImageRecord, text: Callable[[str], str], losses: Losses) -> dict[str, Any]:
    changed = 0

    def walk(value: Any) -> Any:
        nonlocal changed
        if isinstance(value, str):
            narrowed = text(value)
            changed += narrowed != value
            return narrowed
        if isinstance(value, dict):
            return {walk(key): walk(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(inner) for inner in value]
        return value

    fields = walk(msgspec.to_builtins(record))
    losses.count(
        "text", "texts held characters that the format cannot hold, which were replaced", record, changed
    )
    narrowed = msgspec.convert(fields, ImageRecord)
    return {name: getattr(narrowed, name) for name in record.__struct_fields__}


def _own(extra: dict[str, Any], holds: Holds) -> dict[str, Any]:
    return {key: value for key, value in extra.items() if holds.namespace and key == holds.namespace}


_IMAGE_DEFAULTS = {
    name: getattr(ImageRecord(image_id="", file_name="", width=0, height=0), name)
    for name in _PLAIN_IMAGE_FIELDS
}
_ARTIFACT_DEFAULTS = {name: getattr(Artifact(artifact_id=""), name) for name in _PLAIN_ARTIFACT_FIELDS}
