"""How well people do it, by the metrics of the model: what one rater says against what the others agree on.

For every image that several raters judged, each is left out once: the truth is what a majority of the others
drew (`synthscars.consensus`), and the rater's own regions and texts are the answer. It is a ceiling in the
sense that a model can hardly be asked to agree with people more than they agree with each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from synthscars.caption import compose
from synthscars.consensus import adjudicate
from synthscars.metrics import ImageScore, score_image
from synthscars.predictions import PredictedRegion, Prediction
from synthscars.problems import Problems
from synthscars.records import ImageRecord, Review
from synthscars.release.as_format import read


def rater_scores(folder: Path, split: str = "test") -> list[ImageScore]:
    """The scores of all raters on the images of one split; empty where single raters' regions are not known.

    An image has as many scores as it has raters, so intervals must draw whole images (`group_id` is set).
    """
    wanted = (record for record in read(folder, Problems(), raters=True) if record.split == split)
    return list(score_raters(wanted))


def score_raters(records: Iterable[ImageRecord]) -> Iterator[ImageScore]:
    """records: with every rater's regions as artifacts, before they were merged."""
    for record in records:
        judged = [review for review in record.reviews if review.status in ("annotated", "clean")]
        if len(judged) < 2:
            continue
        for review in judged:
            others = [each for each in judged if each.rater_id != review.rater_id]
            truth = _without(record, review.rater_id, others)
            if truth.status in ("annotated", "clean"):
                score = score_image(_answer(record, review), truth)
                yield msgspec.structs.replace(
                    score,
                    image_id=f"{record.image_id}/{review.rater_id}",
                    group_id=record.group_id or record.image_id,
                )


def _without(record: ImageRecord, rater: str, others: list[Review]) -> ImageRecord:
    (truth,) = adjudicate(
        [
            msgspec.structs.replace(
                record,
                artifacts=tuple(each for each in record.artifacts if each.rater_id != rater),
                reviews=tuple(others),
                caption="",
            )
        ],
        Problems(),
    )
    return truth


def _answer(record: ImageRecord, review: Review) -> Prediction:
    mine = [artifact for artifact in record.artifacts if artifact.rater_id == review.rater_id]
    return Prediction(
        image_id=record.image_id,
        width=record.width,
        height=record.height,
        text=compose(review.scene, [(each.phrase, each.explanation) for each in mine]),
        regions=tuple(
            PredictedRegion(
                phrase=each.phrase,
                explanation=each.explanation,
                category=each.category,
                subtype=each.subtype,
                polygons=each.polygons,
            )
            for each in mine
        ),
    )
