"""Reads one rater's answer, the result items of an annotation: regions, and answers about the whole image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from synthscars.converters.labelstudio_shapes import geometry_of, item_rings, shape_of
from synthscars.converters.labelstudio_tasks import (
    CATEGORY,
    CONFIDENCE,
    CONTENT_TYPE,
    EXPLANATION,
    NO_ARTIFACT,
    PHRASE,
    SCENE,
    SKIP_REASON,
    SUBTYPE_PREFIX,
    Json,
)
from synthscars.converters.reading import classify, read_label
from synthscars.geometry import UNUSABLE, ring_faults
from synthscars.problems import Severity
from synthscars.records import Artifact, Ring

if TYPE_CHECKING:
    from synthscars.converters.labelstudio_answers import ImageReader

_PART = re.compile(r"(?P<id>.+)~([2-9]|[1-9]\d+)", re.ASCII)

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
        self.relations: list[Json] = []
        self.other: list[Any] = []
        self.rejected = 0
        self.no_artifact = False
        self.content_type: str | None = None
        self.scene = ""
        self.skip_reason = ""
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
        for number, item in enumerate(items):
            if not isinstance(item, dict):
                self._keep(item, "a result item is not an object", severity="error")
            elif item.get("type") == "relation":
                self.relations.append(item)
            elif not self._about_the_image(item):
                region_id = item.get("id") or (f"item-{number}" if shape_of(item) else None)
                if isinstance(region_id, str):
                    regions.setdefault(region_id, []).append(item)
                else:
                    self._keep(item, f"{item.get('type', 'an item without a type')} cannot be held")
        self._explaining = self._only_control(regions, "textarea")
        self._classing = self._only_control(regions, "choices")
        for region_id, belonging in regions.items():
            self._region(region_id, belonging)

    def _only_control(self, regions: dict[str, list[Json]], kind: str) -> str:
        """The one control of a kind that another project asks of regions; `""` if none, several, or ours."""
        if not self.reader.foreign:
            return ""
        names = {
            item["from_name"]
            for items in regions.values()
            if any(map(shape_of, items))
            for item in items
            if item.get("type") == kind and isinstance(item.get("from_name"), str)
        }
        ours = any(name in (PHRASE, EXPLANATION) or name.startswith(SUBTYPE_PREFIX) for name in names)
        return names.pop() if len(names) == 1 and not ours else ""

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
        elif control == SKIP_REASON and not shape_of(item):
            self.skip_reason = next(iter(_strings(item, "choices")), "")
        else:
            return False
        return True

    def _region(self, region_id: str, items: list[Json]) -> None:
        drawn = [item for item in items if shape_of(item)]
        # An item that only names labels repeats the shape of another.
        shapes = [item for item in drawn if item.get("type") != "labels"] or drawn
        if not shapes:
            kinds = ", ".join(sorted({str(item.get("type")) for item in items}))
            # Whoever drew a key point, or described a region that is gone, did not find the image clean.
            lost = any(map(_is_of_a_region, items))
            for item in items:
                what = f"{kinds} without a shape that has an area cannot be held"
                self._keep(item, what, region_id, severity="error" if lost else "warning")
            self.rejected += lost
            return
        shape = shapes[0]
        rings = item_rings(shape, *self._size)
        if any(geometry_of(other) != geometry_of(shape) for other in shapes[1:]):
            rings = "two regions share its id"
        faults = [] if isinstance(rings, str) else [fault for ring in rings for fault in self._faults(ring)]
        rings = next((what for code, what in faults if code in UNUSABLE), rings)
        if isinstance(rings, str):
            self.reader.warn(
                "region.bad_polygon",
                f"{self.rater_id}: {rings}",
                region=region_id,
                fix="draw the region again in Label Studio and pull again; its raw form is kept in extra",
                severity="error",
            )
            self.reader.rejected.append({"region_id": region_id, "rater_id": self.rater_id, "items": items})
            self.rejected += 1
            return
        for code, what in faults:
            self.reader.warn(code, f"{self.rater_id}: {what}", region=region_id, fix=_GEOMETRY_FIXES[code])
        self.reader.check_size(shape)
        self.artifacts.append(self._artifact(region_id, rings, shape, drawn, items))

    def _faults(self, ring: Ring) -> list[tuple[str, str]]:
        return list(ring_faults(ring, *self._size))

    def _artifact(
        self, region_id: str, rings: tuple[Ring, ...], shape: Json, drawn: list[Json], items: list[Json]
    ) -> Artifact:
        extra = {key: value for key, value in shape.items() if key not in _REGION_KEYS}
        if extra.get("origin") == "manual":
            del extra["origin"]
        if shape.get("image_rotation"):
            extra["image_rotation"] = shape["image_rotation"]
        if shape_of(shape) != "polygon":
            extra |= {"shape": shape_of(shape), "item": shape}
        texts = {PHRASE: "", EXPLANATION: ""}
        subtypes: list[str] = []
        labels = list(dict.fromkeys(label for item in drawn for label in _labels(item)))
        for item in items:
            control, kind = item.get("from_name"), item.get("type")
            if isinstance(control, str) and control in texts and kind == "textarea":
                texts[control] = "\n".join(_strings(item, "text"))
            elif isinstance(control, str) and control.startswith(SUBTYPE_PREFIX.rstrip("_")):
                subtypes += _strings(item, "choices")
            elif control == CONFIDENCE and kind == "choices" and control != self._classing:
                if chosen := _strings(item, "choices"):
                    extra["confidence"] = chosen[0]
            elif kind == "textarea" and control == self._explaining:
                texts[EXPLANATION] = "\n".join(_strings(item, "text"))
                extra["explained_in"] = control
            elif kind == "choices" and control == self._classing and _known(_strings(item, "choices")):
                # A label that the taxonomy knows says more about the region than the choice.
                if not _known(labels):
                    extra |= {"label": labels[0]} if labels else {}
                    labels = _strings(item, "choices")
            elif not shape_of(item):
                self._keep(item, f"the control {control!r} is not known", region_id)
        if not self.reader.foreign:
            self._report_missing(texts, region_id)
        category, subtype = self._classes(labels, subtypes, region_id, extra)
        return Artifact(
            artifact_id=region_id,
            category=category,
            subtype=subtype,
            polygons=rings,
            phrase=texts[PHRASE],
            explanation=texts[EXPLANATION],
            rater_id=self.rater_id,
            extra=extra,
        )

    def _report_missing(self, texts: dict[str, str], region_id: str) -> None:
        for control, text in texts.items():
            if not text:
                self.reader.warn(
                    f"region.no_{control}",
                    f"{self.rater_id} gave no {control}",
                    region=region_id,
                    fix="ask the rater",
                )

    def _classes(
        self, labels: list[str], subtypes: list[str], region_id: str, extra: Json
    ) -> tuple[str | None, str | None]:
        """Category and subtype. A label may also be the name of a subtype, as in other projects."""
        taxonomy = self.reader.taxonomy
        if len(labels) == 1:
            category, implied, kept = read_label(labels[0], self.reader.at(region_id))
            extra |= kept
            subtypes = subtypes or ([implied] if implied else [])
        else:
            category = self._one(labels, _ids(taxonomy.categories), CATEGORY, region_id, extra)
        subtype = self._one(subtypes, _ids(taxonomy.subtypes), "subtype", region_id, extra)
        if category and subtype and all(each.id != subtype for each in taxonomy.subtypes_of(category)):
            self.reader.warn(
                "region.subtype_mismatch",
                f"{self.rater_id}: {subtype} is no subtype of {category}",
                region=region_id,
                fix="ask the rater",
            )
        return category, subtype

    def _one(
        self, chosen: list[str], ids: dict[str, str], kind: str, region_id: str, extra: Json
    ) -> str | None:
        known = [ids[name.casefold()] for name in chosen if name.casefold() in ids]
        if len(known) != 1 or len(chosen) != 1:
            if chosen:
                extra[f"{kind}_choices"] = chosen
            if chosen or (kind == CATEGORY and not self.reader.foreign):
                said = f"chose {', '.join(chosen)}" if chosen else "chose none"
                used = known[0] if known else "unknown"
                self.reader.warn(
                    f"region.{kind}",
                    f"{self.rater_id} {said}; the {kind} is read as {used}",
                    region=region_id,
                    fix=f"let the rater choose one {kind} in Label Studio, and pull again",
                )
        return known[0] if known else None


def skip_reason(items: Any) -> str:
    """Why the rater skipped the image, by the id of the choice; `""` if they did not say."""
    chosen = [
        reason
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, dict) and item.get("from_name") == SKIP_REASON
        for reason in _strings(item, "choices")
    ]
    return chosen[0] if chosen else ""


def first_part(region_id: str) -> str | None:
    """`ID` for `ID~2`, `ID~3`, ...; `None` for an id that is no part's."""
    part = _PART.fullmatch(region_id)
    return part["id"] if part else None


def join_parts(artifacts: list[Artifact]) -> list[Artifact]:
    """Make one artifact of the regions `ID`, `ID~2`, ... as long as their answers are equal."""
    joined: dict[str, Artifact] = {}
    for artifact in artifacts:
        first = joined.get(first_part(artifact.artifact_id) or "")
        if first is not None and _is_part_of(first, artifact):
            joined[first.artifact_id] = msgspec.structs.replace(
                first, polygons=first.polygons + artifact.polygons
            )
        else:
            joined[artifact.artifact_id] = artifact
    return list(joined.values())


def _is_part_of(first: Artifact, artifact: Artifact) -> bool:
    # Only polygons are written in parts.
    polygons = "shape" not in first.extra and "shape" not in artifact.extra
    return polygons and _answers_of(first) == _answers_of(artifact)


def _answers_of(artifact: Artifact) -> tuple[object, ...]:
    return (
        artifact.category,
        artifact.subtype,
        artifact.phrase,
        artifact.explanation,
        artifact.extra.get("confidence"),
    )


def _labels(item: Json) -> list[str]:
    named = _strings(item, str(item.get("type")))
    return named or _strings(item, "labels")


def _known(labels: list[str]) -> bool:
    return any(classify(label)[0] for label in labels)


def _strings(item: Json, field: str) -> list[str]:
    value = item.get("value")
    found = value.get(field) if isinstance(value, dict) else None
    if isinstance(found, str):
        return [found]
    return [entry for entry in found if isinstance(entry, str)] if isinstance(found, list) else []


def _is_of_a_region(item: Json) -> bool:
    control = item.get("from_name")
    ours = isinstance(control, str) and (
        control in (CATEGORY, PHRASE, EXPLANATION, CONFIDENCE) or control.startswith(SUBTYPE_PREFIX)
    )
    # The page writes the image's size to whatever belongs to a region, and to nothing else.
    return ours or "original_width" in item


def _ids(entries: Sequence[Any]) -> dict[str, str]:
    """Ids by id and by name, because a config made by hand may lack the aliases."""
    return {name.casefold(): entry.id for entry in entries for name in (entry.name, entry.id)}
