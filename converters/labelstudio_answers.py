"""Reads the answers of all raters about one image out of Label Studio's tasks."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

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
from synthscars.problems import Problems, Severity
from synthscars.records import Artifact, ImageRecord, Review, Ring, Status
from synthscars.taxonomy import Taxonomy

_PART = re.compile(r"(?P<id>.+)~(?P<part>[2-9]|[1-9]\d+)")
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
_PARSED = {"id", "result", "completed_by", "was_cancelled", "lead_time", "task", "project", "result_count"}


class ImageReader:
    """Reads the tasks of one image; holds what every problem has to name."""

    def __init__(
        self,
        source: str,
        image_id: str,
        tasks: list[Json],
        known: ImageRecord | None,
        problems: Problems,
        taxonomy: Taxonomy,
    ) -> None:
        self.where = f"{source}, task {tasks[0].get('id')}"
        self.image_id = image_id
        self.tasks = tasks
        self.problems = problems
        self.taxonomy = taxonomy
        self.rejected: list[Json] = []
        self.base = known or self._from_task()
        self.size_reported = False

    def warn(
        self, code: str, what: str, region: str = "", fix: str = "", severity: Severity = "warning"
    ) -> None:
        """Report a problem of this image."""
        self.problems.add(
            code, what, severity=severity, file=self.where, image=self.image_id, region=region, fix=fix
        )

    def record(self) -> ImageRecord:
        """The image with everybody's regions and answers."""
        reviews: list[Review] = []
        artifacts: list[Artifact] = []
        if len(self.tasks) > 1:
            ids = ", ".join(str(task.get("id")) for task in self.tasks)
            self.warn("task.repeated", f"{len(self.tasks)} tasks show this image ({ids}); read as one")
        for rater_id, answers in self._by_rater().items():
            review, regions = self._review(rater_id, answers)
            reviews.append(review)
            artifacts += regions
        return msgspec.structs.replace(
            self.base,
            status=_status(artifacts, reviews),
            content_type=_agreed(reviews) or self.base.content_type,
            artifacts=tuple(artifacts),
            reviews=tuple(reviews),
            extra={**self.base.extra, **self._extra()},
        )

    def _from_task(self) -> ImageRecord:
        data = self.tasks[0]["data"]
        width, height = _size(data.get("width")), _size(data.get("height"))
        if not width or not height:
            width, height = self._size_from_results()
            severity: Severity = "warning" if width else "error"
            self.warn("image.no_size", "the task's data hold no size of the image", severity=severity)
        name = data.get("file_name")
        return ImageRecord(
            image_id=self.image_id,
            file_name=name if isinstance(name, str) else "",
            width=width,
            height=height,
        )

    def _size_from_results(self) -> tuple[int, int]:
        for task in self.tasks:
            for annotation in _dicts(task.get("annotations")):
                for item in _dicts(annotation.get("result")):
                    width, height = _size(item.get("original_width")), _size(item.get("original_height"))
                    if width and height:
                        return width, height
        return 0, 0

    def _extra(self) -> Json:
        predictions = [entry for task in self.tasks for entry in _dicts(task.get("predictions"))]
        found = {
            "label_studio_tasks": [task.get("id") for task in self.tasks],
            "rejected_regions": self.rejected,
            "predictions": predictions,
        }
        return {key: value for key, value in found.items() if value}

    # One rater

    def _by_rater(self) -> dict[str, list[Json]]:
        raters: dict[str, list[Json]] = {}
        for task in self.tasks:
            given = task.get("annotations", [])
            if not isinstance(given, list):
                self.warn("task.bad_annotations", "the annotations are not a list", severity="error")
                self.rejected.append({"annotations": given})
                continue
            for annotation in given:
                if not isinstance(annotation, dict):
                    self.warn("annotation.not_an_object", "an annotation is not an object", severity="error")
                    self.rejected.append({"annotation": annotation})
                    continue
                raters.setdefault(self._rater_id(annotation), []).append(annotation)
        return raters

    def _rater_id(self, annotation: Json) -> str:
        who = annotation.get("completed_by")
        number = who.get("id") if isinstance(who, dict) else who
        if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
            return f"rater-{number}"
        self.warn(
            "annotation.no_rater",
            f"annotation {annotation.get('id')} does not say who made it",
            fix="its regions are kept under the rater 'rater-unknown'",
        )
        return "rater-unknown"

    def _review(self, rater_id: str, given: list[Json]) -> tuple[Review, list[Artifact]]:
        *earlier, latest = sorted(given, key=_age)
        extra: Json = {
            "annotation_id": latest.get("id"),
            **{key: value for key, value in latest.items() if key not in _PARSED and value not in (None, {})},
        }
        if earlier:
            self.warn(
                "annotation.repeated",
                f"{rater_id} answered {len(given)} times; the latest, annotation {latest.get('id')}, counts",
                fix="the earlier answers are kept in the review's extra",
            )
            extra["earlier_annotations"] = [{**one, "completed_by": rater_id} for one in earlier]
        items = latest.get("result", [])
        if latest.get("was_cancelled") is True:
            if items:
                extra["result"] = items
            review = Review(rater_id=rater_id, status="skipped", seconds=_seconds(latest), extra=extra)
            return review, []
        answers = _Answers(self, rater_id, items)
        if answers.other:
            extra["other_results"] = answers.other
        artifacts = _join_parts(answers.artifacts)
        drawn = bool(artifacts) or answers.rejected > 0
        if drawn and answers.no_artifact:
            self.warn("annotation.contradiction", f"{rater_id} drew regions and chose 'no visible artifact'")
        if not drawn and not answers.no_artifact:
            self.warn(
                "annotation.empty",
                f"{rater_id} drew no region and did not choose 'no visible artifact'; read as clean",
                fix="ask the rater",
            )
        review = Review(
            rater_id=rater_id,
            status="annotated" if drawn else "clean",
            content_type=answers.content_type,
            scene=answers.scene,
            seconds=_seconds(latest),
            extra=extra,
        )
        return review, artifacts

    # One region

    def ring(self, item: Json) -> Ring | str:
        """The polygon of a result item in pixels, or what is wrong with it."""
        value = item.get("value")
        points = value.get("points") if isinstance(value, dict) else None
        if not isinstance(points, list):
            return "it has no list of points"
        flat: list[float] = []
        for point in points:
            if not isinstance(point, list) or len(point) != 2 or not all(_is_number(part) for part in point):
                return f"{str(point)[:60]} is not a point"
            flat += (point[0] * self.base.width / 100, point[1] * self.base.height / 100)
        if len(points) < 3:
            return f"it has {len(points)} points, a polygon needs 3"
        if not self.base.width or not self.base.height:
            return "the size of the image is not known"
        if not all(math.isfinite(number) for number in flat):
            return "a coordinate is not a finite number"
        return tuple(flat)

    def check_size(self, item: Json) -> None:
        """Report, once per image, a size that differs from the upright one: percent fit any size."""
        size = (item.get("original_width"), item.get("original_height"))
        upright = (self.base.width, self.base.height)
        if self.size_reported or size in ((None, None), upright):
            return
        self.size_reported = True
        if size == upright[::-1]:
            self.warn(
                "image.size_swapped",
                f"the regions were drawn on {size[0]} x {size[1]} pixels, upright the image has "
                f"{upright[0]} x {upright[1]}; read on the upright size",
                fix="check that the regions lie where they should: the picture may have been shown turned",
            )
        else:
            self.warn(
                "image.size_differs",
                f"the regions were drawn on {size[0]} x {size[1]} pixels, the image has "
                f"{upright[0]} x {upright[1]}; read on the latter",
            )


class _Answers:
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
            reader.warn("annotation.bad_result", f"the answer of {rater_id} is not a list", severity="error")
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
            region,
            severity=severity,
        )
        self.other.append(item)

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
        shapes = [item for item in items if item.get("type") in ("polygonlabels", "polygon")]
        if not shapes:
            kinds = ", ".join(sorted({str(item.get("type")) for item in items}))
            for item in items:
                self._keep(item, f"{kinds} without a polygon cannot be held", region_id)
            return
        ring = self.reader.ring(shapes[0])
        if len(shapes) > 1 and any(shape.get("value") != shapes[0].get("value") for shape in shapes[1:]):
            ring = "two regions share its id"
        if isinstance(ring, str):
            self.reader.warn(
                "region.bad_polygon",
                f"{self.rater_id}: {ring}",
                region_id,
                fix="draw the region again in Label Studio and pull again; its raw form is kept in extra",
                severity="error",
            )
            self.reader.rejected.append({"region_id": region_id, "rater_id": self.rater_id, "items": items})
            self.rejected += 1
            return
        self.reader.check_size(shapes[0])
        self.artifacts.append(self._artifact(region_id, ring, shapes[0], items))

    def _artifact(self, region_id: str, ring: Ring, shape: Json, items: list[Json]) -> Artifact:
        extra = {key: value for key, value in shape.items() if key not in _REGION_KEYS}
        if extra.get("origin") == "manual":
            del extra["origin"]
        if shape.get("image_rotation"):
            extra["image_rotation"] = shape["image_rotation"]
            self.reader.warn(
                "region.rotated", "the picture was turned while the region was drawn: check it", region_id
            )
        texts = {PHRASE: "", EXPLANATION: ""}
        subtypes: list[str] = []
        for item in items:
            control = item.get("from_name")
            if isinstance(control, str) and control in texts and item.get("type") == "textarea":
                texts[control] = "\n".join(_strings(item, "text"))
            elif isinstance(control, str) and control.startswith(SUBTYPE_PREFIX.rstrip("_")):
                subtypes += _strings(item, "choices")
            elif item.get("type") not in ("polygonlabels", "polygon"):
                self._keep(item, f"the control {control!r} is not known", region_id)
        for control, text in texts.items():
            if not text:
                self.reader.warn(
                    f"region.no_{control}",
                    f"{self.rater_id} gave no {control}",
                    region_id,
                    fix="ask the rater",
                )
        labels = _strings(shape, "polygonlabels")
        return Artifact(
            artifact_id=region_id,
            category=self._one(labels, _ids(self.reader.taxonomy.categories), CATEGORY, region_id, extra),
            subtype=self._one(subtypes, _ids(self.reader.taxonomy.subtypes), "subtype", region_id, extra),
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
                    f"region.{kind}", f"{self.rater_id} {said}; the {kind} is read as {used}", region_id
                )
        return known[0] if known else None


def _join_parts(artifacts: list[Artifact]) -> list[Artifact]:
    joined: dict[str, Artifact] = {}
    for artifact in artifacts:
        part = _PART.fullmatch(artifact.artifact_id)
        first = joined.get(part["id"]) if part else None
        if first is not None and _answers_of(first) == _answers_of(artifact):
            joined[first.artifact_id] = msgspec.structs.replace(
                first, polygons=first.polygons + artifact.polygons
            )
        else:
            joined[artifact.artifact_id] = artifact
    return list(joined.values())


def _answers_of(artifact: Artifact) -> tuple[object, ...]:
    return artifact.category, artifact.subtype, artifact.phrase, artifact.explanation


def _status(artifacts: Sequence[Artifact], reviews: Sequence[Review]) -> Status:
    if artifacts:
        return "annotated"
    answers = {review.status for review in reviews}
    # Somebody whose every region was bad did see artifacts: such an image is neither clean nor annotated.
    if "annotated" in answers:
        return "unlabelled"
    return "clean" if "clean" in answers else "skipped" if "skipped" in answers else "unlabelled"


def _agreed(reviews: Sequence[Review]) -> str | None:
    found = {review.content_type for review in reviews if review.content_type}
    return found.pop() if len(found) == 1 else None


def _age(annotation: Json) -> tuple[str, int]:
    when = annotation.get("updated_at") or annotation.get("created_at")
    number = annotation.get("id")
    return when if isinstance(when, str) else "", number if isinstance(number, int) else 0


def _seconds(annotation: Json) -> float | None:
    seconds = annotation.get("lead_time")
    return float(seconds) if seconds is not None and _is_number(seconds) else None


def _strings(item: Json, field: str) -> list[str]:
    value = item.get("value")
    found = value.get(field) if isinstance(value, dict) else None
    if isinstance(found, str):
        return [found]
    return [entry for entry in found if isinstance(entry, str)] if isinstance(found, list) else []


def _ids(entries: Sequence[Any]) -> dict[str, str]:
    """Ids by id and by name, because a config made by hand may lack the aliases."""
    return {name.casefold(): entry.id for entry in entries for name in (entry.name, entry.id)}


def _dicts(value: Any) -> list[Json]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _size(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**6 else 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
