"""Records as Label Studio's tasks, annotations and result items, and the names of the controls in them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Review, Ring

# Names of the controls in annotation_configs/label_config.xml.
IMAGE = "image"
CATEGORY = "category"
PHRASE = "phrase"
EXPLANATION = "explanation"
SUBTYPE_PREFIX = "subtype_"
CONTENT_TYPE = "content_type"
SCENE = "scene"
NO_ARTIFACT = "no_visible_artifact"

Json = dict[str, Any]

_RATER = re.compile(r"rater-(\d+)")


def task_data(record: ImageRecord, image_url: str) -> Json:
    """What the annotator's page knows about an image: no prompt, no generator, they would bias the answer."""
    return {
        "image": image_url,
        "image_id": record.image_id,
        "file_name": record.file_name,
        "width": record.width,
        "height": record.height,
    }


def task(record: ImageRecord, image_url: str, problems: Problems) -> Json:
    """One task with an annotation per rater; artifacts of raters without an account become predictions.

    What would not come back, an artifact without a polygon or a finding without a region, is reported.
    """
    reviews = {review.rater_id: review for review in record.reviews}
    raters = dict.fromkeys((*reviews, *(artifact.rater_id for artifact in record.artifacts)))
    _report_losses(record, problems)
    annotations: list[Json] = []
    predictions: list[Json] = []
    for rater_id in raters:
        regions = [artifact for artifact in record.artifacts if artifact.rater_id == rater_id]
        review = reviews.get(rater_id) or Review(rater_id=rater_id, status="annotated")
        account = _RATER.fullmatch(rater_id)
        if account:
            annotations.append(annotation(int(account[1]), review, regions, record.width, record.height))
        else:
            items = results(regions, review, record.width, record.height)
            predictions.append({"model_version": rater_id or "synthscars", "result": items})
            problems.add(
                "rater.no_account",
                f"the regions of {rater_id or 'an unnamed rater'} are written as predictions",
                severity="info",
                image=record.image_id,
            )
    return {"data": task_data(record, image_url), "annotations": annotations, "predictions": predictions}


def _report_losses(record: ImageRecord, problems: Problems) -> None:
    def lost(code: str, what: str, region: str = "") -> None:
        problems.add(
            code,
            what,
            severity="warning",
            image=record.image_id,
            region=region,
            fix="keep the records as well",
        )

    for artifact in record.artifacts:
        if not artifact.polygons:
            lost("artifact.no_polygon", "an artifact without a polygon is left out", artifact.artifact_id)
    drew = {artifact.rater_id for artifact in record.artifacts if artifact.polygons}
    for review in record.reviews:
        if review.status == "annotated" and review.rater_id not in drew:
            lost("review.no_region", f"{review.rater_id} saw artifacts, but no region of theirs is here")
    if record.status in ("clean", "skipped") and not record.reviews:
        lost("status.no_rater", f"it is {record.status}, but nobody said so: written as not looked at")


def annotation(
    completed_by: int, review: Review, artifacts: Sequence[Artifact], width: int, height: int
) -> Json:
    """One rater's answer as Label Studio's API takes it. width, height: the upright image's, in pixels."""
    skipped = review.status == "skipped"
    body: Json = {
        "completed_by": completed_by,
        "was_cancelled": skipped,
        "result": [] if skipped else results(artifacts, review, width, height),
    }
    if review.seconds is not None:
        body["lead_time"] = review.seconds
    for key, value in review.extra.items():
        if key in ("ground_truth", "created_at", "updated_at"):
            body[key] = value
        elif key == "annotation_id" and value is not None:
            body["id"] = value
    return body


def results(artifacts: Sequence[Artifact], review: Review | None, width: int, height: int) -> list[Json]:
    """The result items of some artifacts and, if there is a review, of its answers about the whole image."""
    items: list[Json] = []
    taken = {artifact.artifact_id for artifact in artifacts}
    for artifact in artifacts:
        # A part may have become an artifact of its own: its id must not be given away twice.
        parts = (f"{artifact.artifact_id}~{number}" for number in itertools.count(2))
        free = (part for part in parts if part not in taken)
        ids = itertools.chain([artifact.artifact_id], free)
        for ring in artifact.polygons:
            items += _region_items(artifact, next(ids), ring, width, height)
    if review is not None:
        if review.status == "clean":
            items.append(_item("image-no-artifact", NO_ARTIFACT, "choices", {"choices": [NO_ARTIFACT]}))
        if review.content_type:
            items.append(
                _item("image-content-type", CONTENT_TYPE, "choices", {"choices": [review.content_type]})
            )
        if review.scene:
            items.append(_item("image-scene", SCENE, "textarea", {"text": [review.scene]}))
    return items


def _region_items(artifact: Artifact, region_id: str, ring: Ring, width: int, height: int) -> Iterator[Json]:
    points = [[x * 100 / width, y * 100 / height] for x, y in zip(ring[::2], ring[1::2], strict=True)]
    shape = {"points": points, "closed": True}
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    kept = {
        key: value for key, value in artifact.extra.items() if key in ("origin", "meta", "score", "parentID")
    }
    labels = {"polygonlabels": [artifact.category]} if artifact.category else {}
    yield {**_item(region_id, CATEGORY, "polygonlabels", {**shape, **labels}), **size, **kept}
    for control, text in ((PHRASE, artifact.phrase), (EXPLANATION, artifact.explanation)):
        if text:
            yield {**_item(region_id, control, "textarea", {**shape, "text": [text]}), **size}
    if artifact.subtype:
        control = f"{SUBTYPE_PREFIX}{artifact.category or ''}"
        yield {**_item(region_id, control, "choices", {**shape, "choices": [artifact.subtype]}), **size}


def _item(region_id: str, control: str, kind: str, value: Json) -> Json:
    return {"id": region_id, "from_name": control, "to_name": IMAGE, "type": kind, "value": value}
