"""Artifacts as the shapes that a drawing tool has: a shape a ring, the shapes of one artifact in a group.

The tools know more kinds of shapes than rings (rectangles, ellipses, masks). What a shape was is kept in the
artifact's `extra[namespace]` and is drawn again as that, as long as its outline is still the same::

    {"shapes": [{"raw": {...}, "rings": 2, "rest": {...}}, ...], "group": 5}

One entry a shape: `raw` is the shape in the format's own words (none: a polygon), `rings` the number of rings
that it became (none: one), `rest` its keys that records have no field for. `group` is kept only if it joins
more than the shapes of this artifact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from synthscars.converters.fields import own, settle_id, settle_subtype
from synthscars.converters.reading import Json, Where, is_number, read_label
from synthscars.records import Artifact, Ring

_COUNTED = "rings"


class Drawn(NamedTuple):
    """A shape as it was read.

    label: as in the file. fields: checked, for an `Artifact`. fallback: its id, if the fields name none.
    raw, rest: see the module; raw is empty for a polygon. group: what it shares with others, `None`: nothing.
    """

    label: Any
    rings: tuple[Ring, ...]
    fields: Json
    where: Where
    fallback: str
    raw: Json
    rest: Json
    group: int | None = None


def join(drawn: Iterable[Drawn], namespace: str) -> tuple[Artifact, ...]:
    """The artifacts that the shapes of one image are, in the order of their first shapes.

    Shapes of one group, label, id and rater are one artifact, unless their texts say different things.
    """
    sets: list[list[Drawn]] = []
    growing: dict[Any, tuple[list[Drawn], Json]] = {}
    for one in drawn:
        key = (one.group, str(one.label), one.fields.get("artifact_id"), one.fields.get("rater_id"))
        known = growing.get(key) if one.group is not None else None
        if known is not None:
            differing = [name for name, value in one.fields.items() if known[1].get(name, value) != value]
            if not differing:
                known[0].append(one)
                known[1].update(one.fields)
                continue
            one.where.warn(
                "group.differs",
                f"the shapes of group {one.group} differ in {', '.join(sorted(differing))}",
                "they are read as artifacts of their own; make their texts equal to join them",
            )
        new = [one]
        sets.append(new)
        growing[key] = (new, dict(one.fields))
    shared = Counter(each[0].group for each in sets)
    taken: dict[str, set[str]] = {}
    return tuple(_artifact(each, namespace, shared[each[0].group] > 1, taken) for each in sets)


def _artifact(parts: list[Drawn], namespace: str, shared: bool, taken: dict[str, set[str]]) -> Artifact:
    first = parts[0]
    fields: Json = {}
    for part in reversed(parts):
        fields |= part.fields
    wanted, rater_id = fields.get("artifact_id", ""), fields.get("rater_id", "")
    artifact_id = settle_id(wanted, first.fallback, rater_id, taken, first.where)
    # A category that is none of the taxonomy is told from an unknown label by its own field.
    if fields.get("category") is not None and fields["category"] == first.label:
        category, subtype, label = first.label, None, Json()
    else:
        category, subtype, label = read_label(first.label, first.where)
    subtype = settle_subtype(category, fields.get("subtype"), first.where) or subtype
    kept: Json = {}
    entries = [_entry(part) for part in parts]
    if any(entry not in ({}, {_COUNTED: 0}) for entry in entries):
        kept["shapes"] = entries
    if first.group is not None and (shared or len(parts) == 1):
        kept["group"] = first.group
    return Artifact(
        **{
            **fields,
            "artifact_id": artifact_id,
            "category": category,
            "subtype": subtype,
            "polygons": tuple(ring for part in parts for ring in part.rings),
            "extra": {**label, **fields.get("extra", {}), **({namespace: kept} if kept else {})},
        }
    )


def _entry(part: Drawn) -> Json:
    entry: Json = {}
    if part.raw:
        entry["raw"] = part.raw
    if len(part.rings) != 1:
        entry[_COUNTED] = len(part.rings)
    if part.rest:
        entry["rest"] = part.rest
    return entry


class Part(NamedTuple):
    """A shape to be written: `raw`, as it was, or (where that is empty) a polygon of `ring`, which is empty
    for an artifact without an outline; and the other keys that it had.
    """

    ring: Ring
    raw: Json
    rest: Json


def apart(
    artifact: Artifact, namespace: str, rings_of: Callable[[Json], tuple[Ring, ...] | None]
) -> list[Part]:
    """The shapes of an artifact. rings_of: the rings that a raw shape is; `None` if it is not understood."""
    polygons = artifact.polygons
    parts: list[Part] = []
    position = 0
    for entry in _entries(own(artifact.extra, namespace), len(polygons)):
        count = whole_number(entry.get(_COUNTED, 1)) or 0
        rings = polygons[position : position + count]
        position += count
        raw, rest = own(entry, "raw"), own(entry, "rest")
        if raw and rings_of(raw) == rings:
            parts.append(Part((), raw, rest))
        else:
            parts += [Part(ring, {}, rest) for ring in rings or ((),)]
    return parts


def _entries(kept: Json, rings: int) -> list[Json]:
    """What is known about each shape; nothing, if the artifact has other rings now."""
    entries = kept.get("shapes")
    plain: list[Json] = [{} for _ in range(rings)] or [{_COUNTED: 0}]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return plain
    counts = [whole_number(entry.get(_COUNTED, 1)) for entry in entries]
    if any(count is None or count < 0 for count in counts) or sum(map(int, filter(None, counts))) != rings:
        return plain
    return entries


def groups(artifacts: Sequence[Artifact], counts: Sequence[int], namespace: str) -> list[int | None]:
    """The group of each artifact's shapes, of which there are `counts`: kept, new (from 1 on), or none."""
    kept = [whole_number(own(artifact.extra, namespace).get("group")) for artifact in artifacts]
    taken = set(kept)
    numbers: list[int | None] = []
    free = 1
    for group, count in zip(kept, counts, strict=True):
        if group is not None:
            numbers.append(group)
        elif count > 1:
            while free in taken:
                free += 1
            numbers.append(free)
            free += 1
        else:
            numbers.append(None)
    return numbers


def whole_number(value: Any) -> int | None:
    """A group or an index out of a file, `None` for anything that is no whole number."""
    return int(value) if is_number(value) and value == int(value) else None
