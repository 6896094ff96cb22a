"""Records as Label Studio's tasks, annotations and result items, and the names of the controls in them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from synthscars.converters.losses import Losses
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
# Of an artifact's other fields, those that are Label Studio's own.
_KEPT = frozenset({"origin", "meta", "score", "parentID"})


def task_data(record: ImageRecord, image_url: str) -> Json:
    """What the annotator's page knows about an image: no prompt, no generator, no file name.

    They would bias the answer, and real file names often hold the prompt or the generator's name.
    """
    return {
        "image": image_url,
        "image_id": record.image_id,
        "width": record.width,
        "height": record.height,
    }


def task(record: ImageRecord, image_url: str, problems: Problems, losses: Losses | None = None) -> Json:
    """One task with an annotation per rater; artifacts of raters without an account become predictions.

    What would not come back, an artifact without a polygon or a finding without a region, is reported; fields
    that Label Studio has no place for are counted in `losses`. The data hold the file's name too.
    """
    reviews = {review.rater_id: review for review in record.reviews}
    raters = dict.fromkeys((*reviews, *(artifact.rater_id for artifact in record.artifacts)))
    _report_losses(record, problems)
    if losses is not None:
        _count_losses(record, losses)
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
    data = {**task_data(record, image_url), "file_name": record.file_name}
    return {"data": data, "annotations": annotations, "predictions": predictions}


def _report_losses(record: ImageRecord, problems: Problems) -> None:
    def lost(code: str, what: str, region: str = "") -> None:
        problems.add(
            code,
            what,
            severity="warning",
            file=record.file_name,
            image=record.image_id,
            region=region and f"region {region}",
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


def _count_losses(record: ImageRecord, losses: Losses) -> None:
    artifacts = record.artifacts
    known = {review.content_type for review in record.reviews if _RATER.fullmatch(review.rater_id)}
    fields: dict[str, tuple[int, str]] = {
        "votes": (
            sum(each.votes is not None or each.agreement is not None for each in artifacts),
            "artifacts' votes",
        ),
        "generation": (record.generation is not None, "generation metadata"),
        "caption": (bool(record.caption), "captions"),
        "group_id": (bool(record.group_id), "groups"),
        "split": (bool(record.split), "splits"),
        "source": (bool(record.source), "sources"),
        "license": (bool(record.license), "licences"),
        "origin": (record.origin == "real", "real images, written like synthetic ones"),
        "content_type": (
            record.content_type is not None and record.content_type not in known,
            "content types that no rater with an account chose",
        ),
        "extra": (
            bool(record.extra) + sum(bool(set(each.extra) - _KEPT) for each in artifacts),
            "images and artifacts with fields of other formats",
        ),
    }
    for field, (times, what) in fields.items():
        losses.count(field, what, record, int(times))
    losses.count(
        "rater",
        "regions without a rater with an account (rater-NUMBER) became predictions",
        record,
        sum(len(each.polygons) > 0 for each in artifacts if not _RATER.fullmatch(each.rater_id)),
        fix="they come back only once a rater confirms them in Label Studio: keep the records as well",
    )
    losses.count(
        "review",
        "answers of raters without an account (rater-NUMBER) became predictions",
        record,
        sum(not _RATER.fullmatch(each.rater_id) for each in record.reviews),
    )


def annotation(
    completed_by: int, review: Review, artifacts: Sequence[Artifact], width: int, height: int
) -> Json:
    """One rater's answer as Label Studio's API takes it. width, height: the upright image's, in pixels."""
    # With a reason it is we who could make nothing of an answer that was submitted.
    skipped = review.status == "skipped" and "skip_reason" not in review.extra
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
    kept = {key: value for key, value in artifact.extra.items() if key in _KEPT}
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
