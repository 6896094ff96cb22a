"""What Label Studio has no place for, kept in the `meta` of a task: it comes back with the task's answers.

`meta` is a free field of every task that neither annotators nor the data manager's columns show. It holds the
whole record, and a digest of the answers as they were written. As long as the answers are the same, the
record is what it was; once somebody has answered, only what is said about the image itself still holds.

Outlines are those of the answers. Only those of raters without an account, which became predictions, are kept
here as well, because an export of the server names predictions by number alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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
    without_account = {rater_id for rater_id, account, _ in answerers(record) if account is None}
    fields["artifacts"] = [
        {
            **msgspec.to_builtins(
                artifact
                if artifact.rater_id in without_account
                else msgspec.structs.replace(artifact, polygons=())
            ),
            "regions": region_count(artifact, record.width, record.height),
        }
        for artifact in record.artifacts
    ]
    return {"record": fields, **_answers(task)}


def kept(task: Json) -> Json:
    """What `keep` made; empty if the task has nothing of the kind."""
    meta = task.get("meta")
    found = meta.get(KEY) if isinstance(meta, dict) else None
    return found if isinstance(found, dict) and isinstance(found.get("record"), dict) else {}


def kept_fields(task: Json, where: Where) -> Json:
    """Fields of the record that still hold where somebody has answered since."""
    fields, _ = read_image_values(kept(task).get("record", {}), where)
    return {name: value for name, value in fields.items() if name in _OF_THE_IMAGE}


def _answers(task: Json) -> Json:
    """Equal for tasks with the same answers and predictions, in whatever order the server lists them."""
    annotations, predictions = _dicts(task.get("annotations")), _listed(task.get("predictions"))
    said = [[_account(one), bool(one.get("was_cancelled")), one.get("result")] for one in annotations]
    predicted = [[one.get("model_version"), one.get("result")] for one in _dicts(predictions)]
    return {
        "answers": _digest(said),
        "predictions": len(predictions),
        # Of predictions that are only numbers, nothing but their number can be told.
        "predicted": None if _only_numbers(predictions) else _digest(predicted),
    }


def _only_numbers(predictions: list[Any]) -> bool:
    return bool(predictions) and all(type(one) is int for one in predictions)


def _digest(said: list[Any]) -> str:
    return hashlib.sha256(b"\n".join(sorted(map(_canonical, said)))).hexdigest()


def _unchanged(found: Json, task: Json) -> bool:
    now = _answers(task)
    if now["predicted"] is None:
        now["predicted"] = found.get("predicted")
    return all(found.get(key) == value for key, value in now.items())


def _canonical(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def restored(task: Json, where: Where) -> ImageRecord | None:
    """The record that a task was written from, `None` if its answers are others by now or it was not ours.

    Faults of outlines are reported. A ring that cannot be used is left out, and kept in `extra`.
    """
    found = kept(task)
    if not found or not _unchanged(found, task):
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
        shapes: Sequence[Any] = artifact.polygons if items is None else items
        for shape in shapes:
            usable = _usable(shape, bare, where.at(region=f"region {artifact.artifact_id}"))
            rings += usable
            if not usable:
                region = {"region_id": artifact.artifact_id, "rater_id": artifact.rater_id, "items": [shape]}
                rejected.append(region)
        if rings or not shapes:
            artifacts.append(msgspec.structs.replace(artifact, polygons=tuple(rings)))
    extra = {**bare.extra, "rejected_regions": rejected} if rejected else bare.extra
    return msgspec.structs.replace(bare, artifacts=tuple(artifacts), extra=extra)


def _taken_apart(fields: Json, task: Json) -> tuple[ImageRecord, list[list[Json] | None]]:
    """The record, and the items that hold the outlines of each artifact, `None` if it has them itself.

    Raises one of several errors if the record is none, or does not fit the task.
    """
    given = fields.get("artifacts", [])
    counts = [artifact["regions"] for artifact in given]
    bare = decode_record(
        _canonical({**fields, "artifacts": [unknown_fields(artifact, ("regions",)) for artifact in given]})
    )
    waiting = _regions_by_rater(bare, task)
    found: list[list[Json] | None] = []
    for artifact, count in zip(bare.artifacts, counts, strict=True):
        if artifact.rater_id not in waiting:
            found.append(None)
            continue
        items = waiting[artifact.rater_id][:count]
        del waiting[artifact.rater_id][:count]
        if len(items) != count:
            raise ValueError("a region is missing")
        found.append(items)
    if any(waiting.values()) or bare.image_id != task["data"].get("image_id"):
        raise ValueError("it is about something else")
    return bare, found


def _usable(shape: Json | Ring, record: ImageRecord, where: Where) -> list[Ring]:
    """The rings of an item, or a ring, that can be used; what is wrong with them is reported."""
    size = (record.width, record.height)
    made = item_rings(shape, *size) if isinstance(shape, dict) else [shape]
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
    """The items that hold outlines, in order, by the rater with an account whose answer they are in."""
    accounts = {_account(one): one for one in _dicts(task.get("annotations"))}
    return {
        rater_id: [item for item in _dicts(accounts.get(account, {}).get("result")) if shape_of(item)]
        for rater_id, account, _ in answerers(record)
        if account is not None
    }


def _account(annotation: Json) -> Any:
    who = annotation.get("completed_by")
    return who.get("id") if isinstance(who, dict) else who


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dicts(value: Any) -> list[Json]:
    return [entry for entry in _listed(value) if isinstance(entry, dict)]
