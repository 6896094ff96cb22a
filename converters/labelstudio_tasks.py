"""Records as Label Studio's tasks, annotations and result items, and the names of the controls in them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from synthscars.converters.labelstudio_shapes import geometry_of, item_rings
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Review

# Names of the controls in annotation_configs/label_config.xml.
IMAGE = "image"
CATEGORY = "category"
PHRASE = "phrase"
EXPLANATION = "explanation"
SUBTYPE_PREFIX = "subtype_"
CONTENT_TYPE = "content_type"
SCENE = "scene"
NO_ARTIFACT = "no_visible_artifact"
CONFIDENCE = "confidence"
SKIP_REASON = "skip_reason"
PROMPT = "prompt"

UNDECIDED = "nothing drawn, and 'no visible artifact' not chosen"
"""The `skip_reason` in the extra of a review whose rater submitted an answer, and did not skip."""

Json = dict[str, Any]

_RATER = re.compile(r"rater-(0|[1-9][0-9]{0,17})")
# Of an artifact's other fields, those that are Label Studio's own.
_SIZE: tuple[str, ...] = ("original_width", "original_height", "image_rotation")
_KEPT = frozenset({"origin", "meta", "score", "parentID", "image_rotation"})


def task_data(record: ImageRecord, image_url: str, *, show_prompt: bool = False) -> Json:
    """What the annotator's page knows about an image: no prompt, no generator, no file name.

    They would bias the answer, and real file names often hold the prompt or the generator's name.
    show_prompt: prompt and generator are told all the same, in one text.
    """
    made = record.generation
    prompt = f"{made.prompt} ({made.model or made.tool or 'unknown generator'})" if made else "unknown"
    return {
        "image": image_url,
        "image_id": record.image_id,
        "width": record.width,
        "height": record.height,
        **({PROMPT: prompt} if show_prompt else {}),
    }


def task(record: ImageRecord, image_url: str, problems: Problems | None = None) -> Json:
    """One task with an annotation per rater; artifacts of raters without an account become predictions.

    The data hold the file's name too. problems: told what such a task cannot give back: an artifact without a
    polygon, a finding without a region.
    """
    reviews = {review.rater_id: review for review in record.reviews}
    if problems is not None:
        _report_losses(record, problems)
    annotations: list[Json] = []
    predictions: list[Json] = []
    for rater_id, account, version in answerers(record):
        regions = [artifact for artifact in record.artifacts if artifact.rater_id == rater_id]
        review = reviews.get(rater_id) or Review(rater_id=rater_id, status="annotated")
        if account is not None:
            annotations.append(annotation(account, review, regions, record.width, record.height))
        else:
            items = results(regions, review, record.width, record.height)
            predictions.append({"model_version": version, "result": items})
    data = {**task_data(record, image_url), "file_name": record.file_name}
    return {"data": data, "annotations": annotations, "predictions": predictions}


def answerers(record: ImageRecord) -> list[tuple[str, int | None, str]]:
    """Everybody who drew or answered: rater, account, and without one the version of a prediction.

    An account is `rater-NUMBER`. The versions in one task differ.
    """
    raters = (review.rater_id for review in record.reviews)
    found: list[tuple[str, int | None, str]] = []
    versions: set[str] = set()
    for rater_id in dict.fromkeys((*raters, *(artifact.rater_id for artifact in record.artifacts))):
        account = _RATER.fullmatch(rater_id)
        if account:
            found.append((rater_id, int(account[1]), ""))
            continue
        names = itertools.chain(
            [rater_id or "synthscars"], (f"synthscars-{number}" for number in itertools.count(2))
        )
        version = next(name for name in names if name not in versions)
        versions.add(version)
        found.append((rater_id, None, version))
    return found


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


def annotation(
    completed_by: int, review: Review, artifacts: Sequence[Artifact], width: int, height: int
) -> Json:
    """One rater's answer as Label Studio's API takes it. width, height: the upright image's, in pixels."""
    # Where it is we who could make nothing of it, the answer was submitted.
    skipped = review.status == "skipped" and review.extra.get("skip_reason") != UNDECIDED
    items = _skipped(review) if skipped else results(artifacts, review, width, height)
    body: Json = {"completed_by": completed_by, "was_cancelled": skipped, "result": items}
    if review.seconds is not None:
        body["lead_time"] = review.seconds
    for key, value in review.extra.items():
        if key in ("ground_truth", "created_at", "updated_at"):
            body[key] = value
        elif key == "annotation_id" and value is not None:
            body["id"] = value
    return body


def _skipped(review: Review) -> list[Json]:
    """What a rater had answered before they skipped, and why they did."""
    reason = review.extra.get("skip_reason")
    items = _raw_items(review, "result")
    if isinstance(reason, str) and reason and not any(item.get("from_name") == SKIP_REASON for item in items):
        items.append(_item("image-skip-reason", SKIP_REASON, "choices", {"choices": [reason]}))
    return items


def results(artifacts: Sequence[Artifact], review: Review | None, width: int, height: int) -> list[Json]:
    """The result items of some artifacts and, if there is a review, of its answers about the whole image.

    Relations and items that were not understood when they were read are written again.
    """
    items: list[Json] = []
    taken = {artifact.artifact_id for artifact in artifacts}
    for artifact in artifacts:
        # A part may have become an artifact of its own: its id must not be given away twice.
        parts = (f"{artifact.artifact_id}~{number}" for number in itertools.count(2))
        free = (part for part in parts if part not in taken)
        ids = itertools.chain([artifact.artifact_id], free)
        for shape in _shapes(artifact, width, height):
            items += _region_items(artifact, next(ids), shape)
    if review is not None:
        if review.status == "clean":
            items.append(_item("image-no-artifact", NO_ARTIFACT, "choices", {"choices": [NO_ARTIFACT]}))
        if review.content_type:
            items.append(
                _item("image-content-type", CONTENT_TYPE, "choices", {"choices": [review.content_type]})
            )
        if review.scene:
            items.append(_item("image-scene", SCENE, "textarea", {"text": [review.scene]}))
        items += _raw_items(review, "relations") + _raw_items(review, "other_results")
    return items


def region_count(artifact: Artifact, width: int, height: int) -> int:
    """As how many regions an artifact is written: one for each ring, or one of the shape it was drawn in."""
    return sum(1 for _ in _shapes(artifact, width, height))


def _shapes(artifact: Artifact, width: int, height: int) -> Iterator[Json]:
    """The items that hold the outline, without id, labels and texts."""
    drawn = artifact.extra.get("item")
    if (
        isinstance(drawn, dict)
        and artifact.polygons
        and item_rings(drawn, width, height) == artifact.polygons
    ):
        yield {**drawn, "value": geometry_of(drawn)}
        return
    for ring in artifact.polygons:
        points = [[x * 100 / width, y * 100 / height] for x, y in zip(ring[::2], ring[1::2], strict=True)]
        yield {
            **_item("", CATEGORY, "polygonlabels", {"points": points, "closed": True}),
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            **{key: value for key, value in artifact.extra.items() if key in _KEPT},
        }


def _region_items(artifact: Artifact, region_id: str, shape: Json) -> Iterator[Json]:
    kind = str(shape["type"])
    label = artifact.category or artifact.extra.get("label")
    field = kind if kind.endswith("labels") else "labels"
    yield {**shape, "id": region_id, "value": {**shape["value"], **({field: [label]} if label else {})}}
    if label and field != kind:
        value = {**shape["value"], field: [label]}
        yield {**shape, "id": region_id, "from_name": CATEGORY, "type": field, "value": value}
    # Every answer repeats the shape, as the page writes it, except for masks, which may be large.
    repeated = {key: part for key, part in shape["value"].items() if key not in ("rle", "imageDataURL")}
    size = {key: shape[key] for key in _SIZE if key in shape}
    for control, text in ((PHRASE, artifact.phrase), (EXPLANATION, artifact.explanation)):
        if text:
            yield {**_item(region_id, control, "textarea", {**repeated, "text": [text]}), **size}
    if artifact.subtype:
        control = f"{SUBTYPE_PREFIX}{artifact.category or ''}"
        yield {**_item(region_id, control, "choices", {**repeated, "choices": [artifact.subtype]}), **size}
    confidence = artifact.extra.get("confidence")
    if isinstance(confidence, str) and confidence:
        yield {**_item(region_id, CONFIDENCE, "choices", {**repeated, "choices": [confidence]}), **size}


def _raw_items(review: Review, field: str) -> list[Json]:
    found = review.extra.get(field)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _item(region_id: str, control: str, kind: str, value: Json) -> Json:
    return {"id": region_id, "from_name": control, "to_name": IMAGE, "type": kind, "value": value}
