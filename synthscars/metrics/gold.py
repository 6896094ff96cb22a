"""How well each rater answers images whose answer is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from synthscars.metrics.scores import ImageScore, score_image
from synthscars.metrics.statistics import label_hits, value_of, with_artifacts
from synthscars.predictions import PredictedRegion, Prediction
from synthscars.records import Artifact, ImageRecord, Review


class RaterGold(msgspec.Struct, frozen=True, kw_only=True):
    """One rater on the images with a known answer.

    answered: images judged; skipped: not judged, which count nowhere else. iou: of the unions of all regions,
    mean over the images with artifacts. found, missed: known artifacts; false_alarms: regions that are none
    of them. status_agreed: share of the judged images with the right answer to whether there is an artifact.
    category: share of the found artifacts whose category is right. `None` where there is nothing to count.
    """

    rater_id: str
    answered: int
    skipped: int
    iou: float | None
    found: int
    missed: int
    false_alarms: int
    status_agreed: float | None
    category: float | None


def score_raters(records: Iterable[ImageRecord], known: Mapping[str, ImageRecord]) -> list[RaterGold]:
    """Hold every rater's answers against the known ones, by rater.

    records: with the regions and reviews of all raters, as a pull gives them. known: by image id. Regions are
    matched as `evaluate` matches those of a model.
    """
    scores: dict[str, list[ImageScore]] = {}
    agreed: dict[str, list[bool]] = {}
    skipped: dict[str, int] = {}
    for record in records:
        truth = known.get(record.image_id)
        if truth is None:
            continue
        for review in record.reviews:
            rater = review.rater_id
            skipped.setdefault(rater, 0)
            if review.status == "skipped":
                skipped[rater] += 1
                continue
            own = [artifact for artifact in record.artifacts if artifact.rater_id == rater]
            scores.setdefault(rater, []).append(score_image(_as_prediction(record, own), truth))
            agreed.setdefault(rater, []).append(_saw_something(review) == (truth.status == "annotated"))
    return [
        _summary(rater, scores.get(rater, []), agreed.get(rater, []), skipped[rater])
        for rater in sorted(skipped)
    ]


def _saw_something(review: Review) -> bool:
    return review.status == "annotated"


def _as_prediction(record: ImageRecord, artifacts: Iterable[Artifact]) -> Prediction:
    regions = tuple(
        PredictedRegion(
            phrase=artifact.phrase,
            explanation=artifact.explanation,
            category=artifact.category,
            subtype=artifact.subtype,
            polygons=artifact.polygons,
        )
        for artifact in artifacts
    )
    return Prediction(image_id=record.image_id, width=record.width, height=record.height, regions=regions)


def _summary(rater: str, scores: list[ImageScore], agreed: list[bool], skipped: int) -> RaterGold:
    hits = [hit for score in scores for hit in label_hits(score, "category") if hit is not None]
    return RaterGold(
        rater_id=rater,
        answered=len(scores),
        skipped=skipped,
        iou=value_of("fg_iou", scores) if any(map(with_artifacts, scores)) else None,
        found=sum(score.quality.matched for score in scores),
        missed=sum(score.quality.missed for score in scores),
        false_alarms=sum(score.quality.invented for score in scores),
        status_agreed=sum(agreed) / len(agreed) if agreed else None,
        category=sum(hits) / len(hits) if hits else None,
    )
