"""The fields of records as plain keys of another format (extra keys, attributes), and back.

A format with free keys holds every field under its own name: `status`, `caption`, `reviews` on the image,
`phrase`, `rater_id`, `votes` on the region. Whoever reads them checks each by itself, because people edit
such files: a field of the wrong type is reported and left where it was, the others count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from synthscars.converters.reading import Json, Where, as_id, classify, kind, label_of, text
from synthscars.problems import FormatError
from synthscars.records import Artifact, ImageRecord, Status, decode_record
from synthscars.taxonomy import load_taxonomy

IMAGE_NAMES = frozenset(ImageRecord.__struct_fields__) - {"artifacts", "width", "height"}
ARTIFACT_NAMES = frozenset(Artifact.__struct_fields__) - {"polygons"}
NOT_TEXT = frozenset({"reviews", "generation", "extra", "votes", "agreement"})
"""Fields whose value is no text: JSON, where a format has only texts."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_BLANK: Json = {"image_id": "", "file_name": "", "width": 0, "height": 0}


def image_values(record: ImageRecord, namespace: str) -> Json:
    """The fields of an image as JSON, except its size, its artifacts and `extra[namespace]`.

    Empty fields are left out, `image_id`, `file_name` and `status` never.
    """
    values: Json = msgspec.to_builtins(msgspec.structs.replace(record, artifacts=(), extra={}))
    for name in ("width", "height"):
        del values[name]
    values["status"] = record.status
    if extra := _without(record.extra, namespace):
        values["extra"] = extra
    return values


def artifact_values(artifact: Artifact, namespace: str) -> Json:
    """The fields of an artifact as JSON, except its outline, `extra[namespace]` and what its label says."""
    values: Json = msgspec.to_builtins(msgspec.structs.replace(artifact, polygons=(), extra={}))
    category = values.pop("category", None)
    if category is not None and classify(category) != (category, None):
        values["category"] = category
    extra = _without(artifact.extra, namespace)
    if (
        category is None
        and classify(label_of(artifact))[0] is None
        and extra.get("label") == label_of(artifact)
    ):
        del extra["label"]
    if extra:
        values["extra"] = extra
    return values


def _without(extra: Json, namespace: str) -> Json:
    return {key: value for key, value in extra.items() if key != namespace or not isinstance(value, dict)}


def own(extra: Mapping[str, Any], namespace: str) -> Json:
    """What a format itself kept in `extra[namespace]`; empty if that is nothing it could have kept."""
    kept = extra.get(namespace)
    return kept if isinstance(kept, dict) else {}


def read_image_values(values: Mapping[str, Any], where: Where) -> tuple[Json, Json]:
    """Fields for an `ImageRecord`, and the keys that are none, or have a value that it cannot have."""
    fields, rest = _read(values, IMAGE_NAMES, _image, where)
    if not _SHA256.fullmatch(fields.get("image_id", "")) and "image_id" in fields:
        where.warn("field.wrong_type", "image_id is no sha256 in lower-case hex", "it is not used")
        rest["image_id"] = fields.pop("image_id")
    return fields, rest


def read_artifact_values(values: Mapping[str, Any], where: Where) -> tuple[Json, Json]:
    """Fields for an `Artifact`, and the keys that are none, or have a value that it cannot have."""
    return _read(values, ARTIFACT_NAMES, _artifact, where)


def _read(values: Mapping[str, Any], names: frozenset[str], convert: Any, where: Where) -> tuple[Json, Json]:
    known = {name: value for name, value in values.items() if name in names}
    rest = {name: value for name, value in values.items() if name not in names}
    try:
        return convert(known), rest
    except (FormatError, TypeError, ValueError, OverflowError):
        pass
    fields: Json = {}
    for name, value in known.items():
        try:
            fields |= convert({name: value})
        except (FormatError, TypeError, ValueError, OverflowError):
            rest[name] = value
            where.warn(
                "field.wrong_type",
                f"{name} is {kind(value)} that it cannot be: {str(value)[:60]!r}",
                "it is kept in extra and not used",
            )
    return fields, rest


def _image(known: Json) -> Json:
    record = decode_record(msgspec.json.encode({**_BLANK, **known}))
    return {name: getattr(record, name) for name in known}


def _artifact(known: Json) -> Json:
    line = msgspec.json.encode({**_BLANK, "artifacts": [{"artifact_id": "", **known}]})
    (artifact,) = decode_record(line).artifacts
    return {name: getattr(artifact, name) for name in known}


def settle_status(said: Status | None, has_artifacts: bool, rejected: bool, where: Where) -> Status:
    """The state of an image whose file says `said`, or nothing.

    Regions drawn in another tool make an image annotated, whatever it was before; those that cannot be used
    still say that something is wrong.
    """
    if has_artifacts:
        if said == "clean":
            where.warn(
                "status.contradiction",
                "it is said to be clean and has regions; the regions count",
                "remove the regions or the state",
            )
        return said if said == "skipped" else "annotated"
    if rejected and said != "skipped":
        return "annotated"
    return said or "unlabelled"


def settle_id(wanted: str, fallback: str, rater_id: str, taken: dict[str, set[str]], where: Where) -> str:
    """The id of an artifact: `wanted`, or one like it or `fallback` where its rater has that already.

    taken: the ids of each rater on the image, to which this is added.
    """
    ids = taken.setdefault(rater_id, set())
    found = as_id(wanted, ids, fallback)
    if wanted and found != wanted:
        where.warn("id.repeated", f"another region has the id {wanted!r}", f"it is read as {found!r}")
    ids.add(found)
    return found


def settle_subtype(category: str | None, subtype: str | None, where: Where) -> str | None:
    """The subtype, unless it belongs to another category: then the label was changed, and it was not."""
    known = {each.id: each.category for each in load_taxonomy().subtypes}
    if subtype is None or category is None or known.get(subtype, category) == category:
        return subtype
    where.warn(
        "subtype.mismatch",
        f"{subtype!r} is no subtype of {text(category)!r}",
        "the label counts; choose the subtype again",
    )
    return None
