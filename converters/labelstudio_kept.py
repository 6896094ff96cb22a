"""What Label Studio has no place for, kept in the `meta` of a task: it comes back with the task's answers.

`meta` is a free field of every task that neither annotators nor the data manager's columns show. It holds the
whole record except its outlines, and a digest of the answers as they were written. As long as the answers are
the same, the record is what it was; once somebody has answered, only what is said about the image itself
still holds.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from synthscars.converters.fields import read_image_values
from synthscars.converters.labelstudio_shapes import item_rings, shape_of
from synthscars.converters.labelstudio_tasks import Json, answerers, region_count
from synthscars.converters.reading import Where, unknown_fields
from synthscars.geometry import UNUSABLE, rings_faults
from synthscars.problems import FormatError
from synthscars.records import Artifact, ImageRecord, Ring, decode_record

KEY = "synthscars"
"""The key in a task's `meta`."""

OTHERS = "label_studio"
"""The key in a record's `extra` for the fields of a task that synthscars has no use for."""

# What no answer changes. Status and caption follow from the answers.
_OF_THE_IMAGE = frozenset(
    {"origin", "content_type", "generation", "group_id", "split", "source", "license", "extra"}
)


def keep(record: ImageRecord, task: Json) -> Json:
    """What to put under `KEY`; task: the task without it."""
    fields: Json = msgspec.to_builtins(msgspec.structs.replace(record, artifacts=()))
    fields["artifacts"] = [
        {
            **msgspec.to_builtins(msgspec.structs.replace(artifact, polygons=())),
            "regions": region_count(artifact, record.width, record.height),
        }
        for artifact in record.artifacts
    ]
    return {"record": fields, "answers": digest(task)}


def kept(task: Json) -> Json:
    """What `keep` made; empty if the task has nothing of the kind."""
    meta = task.get("meta")
    found = meta.get(KEY) if isinstance(meta, dict) else None
    return found if isinstance(found, dict) and isinstance(found.get("record"), dict) else {}


def kept_fields(task: Json, where: Where) -> Json:
    """Fields of the record that still hold where somebody has answered since."""
    fields, _ = read_image_values(kept(task).get("record", {}), where)
    return {name: value for name, value in fields.items() if name in _OF_THE_IMAGE}


def digest(task: Json) -> str:
    """Equal for tasks with the same answers and predictions, in whatever order the server lists them."""
    annotations, predictions = _dicts(task.get("annotations")), _dicts(task.get("predictions"))
    said: list[Any] = [
        *([_account(one), bool(one.get("was_cancelled")), one.get("result")] for one in annotations),
        *([one.get("model_version"), one.get("result")] for one in predictions),
    ]
    return hashlib.sha256(b"\n".join(sorted(map(_canonical, said)))).hexdigest()


def _canonical(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def restored(task: Json, where: Where) -> ImageRecord | None:
    """The record that a task was written from, `None` if its answers are others by now or it was not ours.

    Faults of outlines are reported. A ring that cannot be used is left out, and kept in `extra`.
    """
    found = kept(task)
    if not found or digest(task) != found.get("answers"):
        return None
    try:
        bare, regions = _taken_apart(found["record"], task)
    except (FormatError, KeyError, TypeError, ValueError):
        what = "what synthscars kept in the task's meta is damaged; the answers are read without it"
        where.warn("task.damaged_meta", what, "convert again")
        return None
    artifacts: list[Artifact] = []
    rejected: list[Json] = []
    for artifact, items in zip(bare.artifacts, regions, strict=True):
        rings: list[Ring] = []
        for item in items:
            usable = _usable(item, bare, where.at(region=f"region {artifact.artifact_id}"))
            rings += usable
            if not usable:
                region = {"region_id": artifact.artifact_id, "rater_id": artifact.rater_id, "items": [item]}
                rejected.append(region)
        if rings or not items:
            artifacts.append(msgspec.structs.replace(artifact, polygons=tuple(rings)))
    extra = {**bare.extra, "rejected_regions": rejected} if rejected else bare.extra
    return msgspec.structs.replace(bare, artifacts=tuple(artifacts), extra=extra)


def _taken_apart(fields: Json, task: Json) -> tuple[ImageRecord, list[list[Json]]]:
    """The record without outlines, and the items that hold those of each artifact.

    Raises one of several errors if the record is none, or does not fit the task.
    """
    given = fields.get("artifacts", [])
    counts = [artifact["regions"] for artifact in given]
    bare = decode_record(
        _canonical({**fields, "artifacts": [unknown_fields(artifact, ("regions",)) for artifact in given]})
    )
    waiting = _regions_by_rater(bare, task)
    found: list[list[Json]] = []
    for artifact, count in zip(bare.artifacts, counts, strict=True):
        found.append(waiting[artifact.rater_id][:count])
        del waiting[artifact.rater_id][:count]
        if len(found[-1]) != count:
            raise ValueError("a region is missing")
    if any(waiting.values()) or bare.image_id != task["data"].get("image_id"):
        raise ValueError("it is about something else")
    return bare, found


def _usable(item: Json, record: ImageRecord, where: Where) -> list[Ring]:
    size = (record.width, record.height)
    made = item_rings(item, *size)
    if isinstance(made, str):
        where.add("region.bad_polygon", made, "draw it again; its raw form is kept in extra")
        return []
    usable: list[Ring] = []
    for ring, faults in zip(made, rings_faults(made, [size] * len(made)), strict=True):
        bad = next((what for code, what in faults if code in UNUSABLE), "")
        if bad:
            where.add("region.bad_polygon", bad, "draw it again; its raw form is kept in extra")
            continue
        usable.append(ring)
        for code, what in faults:
            where.warn(code, what, "it is kept as it is; look at it")
    return usable


def _regions_by_rater(record: ImageRecord, task: Json) -> dict[str, list[Json]]:
    """The items that hold outlines, in order, by the rater whose answer or prediction they are in."""
    accounts = {_account(one): one for one in _dicts(task.get("annotations"))}
    versions = {one.get("model_version"): one for one in _dicts(task.get("predictions"))}
    found: dict[str, list[Json]] = {}
    for rater_id, account, version in answerers(record):
        answer = versions.get(version, {}) if account is None else accounts.get(account, {})
        found[rater_id] = [item for item in _dicts(answer.get("result")) if shape_of(item)]
    return found


def _account(annotation: Json) -> Any:
    who = annotation.get("completed_by")
    return who.get("id") if isinstance(who, dict) else who


def _dicts(value: Any) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
