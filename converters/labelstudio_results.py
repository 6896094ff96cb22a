"""Reads one rater's answer, the result items of an annotation: regions, and answers about the whole image."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from synthscars.converters.labelstudio_tasks import (
    CATEGORY,
    CONTENT_TYPE,
    EXPLANATION,
    NO_ARTIFACT,
    PHRASE,
    SCENE,
    SUBTYPE_PREFIX,
    Json,
)
from synthscars.geometry import UNUSABLE, ring_faults
from synthscars.problems import Severity
from synthscars.records import Artifact, Ring

if TYPE_CHECKING:
    from synthscars.converters.labelstudio_answers import ImageReader

_PART = re.compile(r"(?P<id>.+)~([2-9]|[1-9]\d+)")
REGION_TYPES = ("polygonlabels", "polygon")
"""Types of the result items that hold the outline of a region."""

_GEOMETRY_FIXES = {
    "polygon.outside": "it is kept; draw it within the picture in Label Studio, pull again",
    "polygon.crosses_itself": "it is kept; move its points in Label Studio until no edges cross, pull again",
}
_REGION_KEYS = {
    "id",
    "type",
    "from_name",
    "to_name",
    "value",
    "original_width",
    "original_height",
    "image_rotation",
}


class Answers:
    """The result items of one annotation, sorted into regions and answers about the whole image."""

    def __init__(self, reader: ImageReader, rater_id: str, items: Any) -> None:
        self.reader = reader
        self.rater_id = rater_id
        self.artifacts: list[Artifact] = []
        self.other: list[Any] = []
        self.rejected = 0
        self.no_artifact = False
        self.content_type: str | None = None
        self.scene = ""
        regions: dict[str, list[Json]] = {}
        if not isinstance(items, list):
            reader.warn(
                "annotation.bad_result",
                f"the answer of {rater_id} is not a list",
                fix="pull again; its raw form is kept in extra",
                severity="error",
            )
            self.other.append(items)
            self.rejected += 1
            return
        for item in items:
            if not isinstance(item, dict):
                self._keep(item, "a result item is not an object", severity="error")
            elif not self._about_the_image(item):
                region_id = item.get("id")
                if isinstance(region_id, str) and region_id and item.get("type") != "relation":
                    regions.setdefault(region_id, []).append(item)
                else:
                    self._keep(item, f"{item.get('type', 'an item without a type')} cannot be held")
        for region_id, belonging in regions.items():
            self._region(region_id, belonging)

    def _keep(self, item: Any, what: str, region: str = "", severity: Severity = "warning") -> None:
        self.reader.warn(
            "result.not_read",
            f"{self.rater_id}: {what}; its raw form is kept in extra",
            region=region,
            fix="if it marks an artifact, draw it as a polygon of a category in Label Studio, and pull again",
            severity=severity,
        )
        self.other.append(item)

    @property
    def _size(self) -> tuple[int, int]:
        return self.reader.base.width, self.reader.base.height

    def _about_the_image(self, item: Json) -> bool:
        control = item.get("from_name")
        if control == NO_ARTIFACT:
            self.no_artifact = self.no_artifact or bool(_strings(item, "choices"))
        elif control == CONTENT_TYPE:
            chosen = _strings(item, "choices")
            ids = _ids(self.reader.taxonomy.content_types)
            self.content_type = next(
                (ids[name.casefold()] for name in chosen if name.casefold() in ids), None
            )
            if chosen and self.content_type is None:
                self._keep(item, f"{chosen[0]!r} is not a content type")
        elif control == SCENE:
            self.scene = "\n".join(_strings(item, "text"))
        else:
            return False
        return True

    def _region(self, region_id: str, items: list[Json]) -> None:
        shapes = [item for item in items if item.get("type") in REGION_TYPES]
        if not shapes:
            kinds = ", ".join(sorted({str(item.get("type")) for item in items}))
            # Whoever drew a brush stroke, or described a region that is gone, did not find the image clean.
            lost = any(map(_is_of_a_region, items))
            for item in items:
                what = f"{kinds} without a polygon cannot be held"
                self._keep(item, what, region_id, severity="error" if lost else "warning")
            self.rejected += lost
            return
        ring = _ring(shapes[0], *self._size)
        if len(shapes) > 1 and any(shape.get("value") != shapes[0].get("value") for shape in shapes[1:]):
            ring = "two regions share its id"
        faults = [] if isinstance(ring, str) else list(ring_faults(ring, *self._size))
        ring = next((what for code, what in faults if code in UNUSABLE), ring)
        if isinstance(ring, str):
            self.reader.warn(
                "region.bad_polygon",
                f"{self.rater_id}: {ring}",
                region=region_id,
                fix="draw the region again in Label Studio and pull again; its raw form is kept in extra",
                severity="error",
            )
            self.reader.rejected.append({"region_id": region_id, "rater_id": self.rater_id, "items": items})
            self.rejected += 1
            return
        for code, what in faults:
            self.reader.warn(code, f"{self.rater_id}: {what}", region=region_id, fix=_GEOMETRY_FIXES[code])
        self.reader.check_size(shapes[0])
        self.artifacts.append(self._artifact(region_id, ring, shapes[0], items))

    def _artifact(self, region_id: str, ring: Ring, shape: Json, items: list[Json]) -> Artifact:
        extra = {key: value for key, value in shape.items() if key not in _REGION_KEYS}
        if extra.get("origin") == "manual":
            del extra["origin"]
        if shape.get("image_rotation"):
            extra["image_rotation"] = shape["image_rotation"]
            self.reader.warn(
                "region.rotated",
                "the picture was turned while the region was drawn",
                region=region_id,
                fix="check that the region lies where it should, and draw it again if not",
            )
        texts = {PHRASE: "", EXPLANATION: ""}
        subtypes: list[str] = []
        for item in items:
            control = item.get("from_name")
            if isinstance(control, str) and control in texts and item.get("type") == "textarea":
                texts[control] = "\n".join(_strings(item, "text"))
            elif isinstance(control, str) and control.startswith(SUBTYPE_PREFIX.rstrip("_")):
                subtypes += _strings(item, "choices")
            elif item.get("type") not in REGION_TYPES:
                self._keep(item, f"the control {control!r} is not known", region_id)
        for control, text in texts.items():
            if not text:
                self.reader.warn(
                    f"region.no_{control}",
                    f"{self.rater_id} gave no {control}",
                    region=region_id,
                    fix="ask the rater",
                )
        labels = _strings(shape, "polygonlabels")
        taxonomy = self.reader.taxonomy
        category = self._one(labels, _ids(taxonomy.categories), CATEGORY, region_id, extra)
        subtype = self._one(subtypes, _ids(taxonomy.subtypes), "subtype", region_id, extra)
        if category and subtype and all(each.id != subtype for each in taxonomy.subtypes_of(category)):
            self.reader.warn(
                "region.subtype_mismatch",
                f"{self.rater_id}: {subtype} is no subtype of {category}",
                region=region_id,
                fix="ask the rater",
            )
        return Artifact(
            artifact_id=region_id,
            category=category,
            subtype=subtype,
            polygons=(ring,),
            phrase=texts[PHRASE],
            explanation=texts[EXPLANATION],
            rater_id=self.rater_id,
            extra=extra,
        )

    def _one(
        self, chosen: list[str], ids: dict[str, str], kind: str, region_id: str, extra: Json
    ) -> str | None:
        known = [ids[name.casefold()] for name in chosen if name.casefold() in ids]
        if len(known) != 1 or len(chosen) != 1:
            if chosen:
                extra[f"{kind}_choices"] = chosen
            if chosen or kind == CATEGORY:
                said = f"chose {', '.join(chosen)}" if chosen else "chose none"
                used = known[0] if known else "unknown"
                self.reader.warn(
                    f"region.{kind}",
                    f"{self.rater_id} {said}; the {kind} is read as {used}",
                    region=region_id,
                    fix=f"let the rater choose one {kind} in Label Studio, and pull again",
                )
        return known[0] if known else None


def first_part(region_id: str) -> str | None:
    """`ID` for `ID~2`, `ID~3`, ...; `None` for an id that is no part's."""
    part = _PART.fullmatch(region_id)
    return part["id"] if part else None


def join_parts(artifacts: list[Artifact]) -> list[Artifact]:
    """Make one artifact of the regions `ID`, `ID~2`, ... as long as their answers are equal."""
    joined: dict[str, Artifact] = {}
    for artifact in artifacts:
        first = joined.get(first_part(artifact.artifact_id) or "")
        if first is not None and _answers_of(first) == _answers_of(artifact):
            joined[first.artifact_id] = msgspec.structs.replace(
                first, polygons=first.polygons + artifact.polygons
            )
        else:
            joined[artifact.artifact_id] = artifact
    return list(joined.values())


def _answers_of(artifact: Artifact) -> tuple[object, ...]:
    return artifact.category, artifact.subtype, artifact.phrase, artifact.explanation


def _ring(item: Json, width: int, height: int) -> Ring | str:
    """The polygon of a result item in pixels of the upright image, or what is wrong with it."""
    value = item.get("value")
    points = value.get("points") if isinstance(value, dict) else None
    if not isinstance(points, list):
        return "it has no list of points"
    flat: list[float] = []
    for point in points:
        if not isinstance(point, list) or len(point) != 2 or not all(is_number(part) for part in point):
            return f"{str(point)[:60]} is not a point"
        flat += (point[0] * width / 100, point[1] * height / 100)
    if len(points) < 3:
        return f"it has {len(points)} points, a polygon needs 3"
    if not width or not height:
        return "the size of the image is not known"
    if not all(math.isfinite(number) for number in flat):
        return "a coordinate is not a finite number"
    return tuple(flat)


def _strings(item: Json, field: str) -> list[str]:
    value = item.get("value")
    found = value.get(field) if isinstance(value, dict) else None
    if isinstance(found, str):
        return [found]
    return [entry for entry in found if isinstance(entry, str)] if isinstance(found, list) else []


def _is_of_a_region(item: Json) -> bool:
    control = item.get("from_name")
    ours = isinstance(control, str) and (
        control in (CATEGORY, PHRASE, EXPLANATION) or control.startswith(SUBTYPE_PREFIX)
    )
    # The page writes the image's size to whatever belongs to a region, and to nothing else.
    return ours or "original_width" in item


def _ids(entries: Sequence[Any]) -> dict[str, str]:
    """Ids by id and by name, because a config made by hand may lack the aliases."""
    return {name.casefold(): entry.id for entry in entries for name in (entry.name, entry.id)}


def is_number(value: Any) -> bool:
    """Whether a value is a number that arithmetic cannot make infinite."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
