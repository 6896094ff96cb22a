"""Several annotations of one picture as several raters' answers in one record, and back.

The published files annotate some pictures twice and do not say by whom. A dataset needs one record an image;
each annotation becomes a `Review` of a rater of its own, named after the annotation (`annotation-317`), so
that `synthscars.consensus` can merge them as it merges any raters, and nothing of them is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from synthscars.converters.captions import scene_of
from synthscars.converters.reading import as_id, text
from synthscars.converters.synthscars_json_entries import NAMESPACE, entry_extra, is_ours
from synthscars.records import ImageRecord, Review, Status

_changed = msgspec.structs.replace


def as_answers(
    annotations: Sequence[ImageRecord], *, split: str = "", final: Iterable[int] = ()
) -> ImageRecord:
    """One record of several annotations of one image file, as `synthscars_json.read` gives them.

    Its caption is empty, as of any record with several raters: `synthscars.consensus` composes one. Each
    annotation's own is kept in its review. split: of the record; that of the first annotation if not given.
    final: positions of annotations that overrule the others.
    """
    chosen = set(final)
    taken: set[str] = set()
    reviews, artifacts = [], []
    for position, each in enumerate(annotations):
        rater = as_id(f"annotation-{entry_extra(each).id}", taken, "annotation")
        taken.add(rater)
        kept = {
            **each.extra.get(NAMESPACE, {}),
            "caption": each.caption,
            "file_name": each.file_name,
            "split": each.split,
            "source": each.source,
        }
        extra: dict[str, Any] = {NAMESPACE: kept}
        if position in chosen:
            extra["ground_truth"] = True
        reviews.append(Review(rater_id=rater, status=each.status, scene=scene_of(each), extra=extra))
        artifacts += [_changed(artifact, rater_id=rater) for artifact in each.artifacts]
    first = annotations[0]
    others = {key: value for each in reversed(annotations) for key, value in each.extra.items()}
    others.pop(NAMESPACE, None)
    return _changed(
        first,
        split=split or first.split,
        status=_status([each.status for each in annotations]),
        caption="",
        artifacts=tuple(artifacts),
        reviews=tuple(reviews),
        extra=others,
    )


def _status(statuses: Sequence[Status]) -> Status:
    if "annotated" in statuses:
        return "annotated"
    return "clean" if "clean" in statuses else statuses[0]


def as_annotations(record: ImageRecord) -> list[ImageRecord]:
    """The annotations that a record was made of by `as_answers`; the record itself if it was not.

    A record that consensus has merged since is one annotation.
    """
    ours = [review for review in record.reviews if _is_ours(review)]
    raters = {review.rater_id for review in ours}
    if not ours or any(each.votes is not None or each.rater_id not in raters for each in record.artifacts):
        return [record]
    return [_annotation(record, review) for review in ours]


def _is_ours(review: Review) -> bool:
    kept = review.extra.get(NAMESPACE)
    return isinstance(kept, dict) and isinstance(kept.get("id"), str)


def _annotation(record: ImageRecord, review: Review) -> ImageRecord:
    kept = dict(review.extra[NAMESPACE])
    caption, name, split, source = (
        text(kept.pop(key, "")) for key in ("caption", "file_name", "split", "source")
    )
    drawn = [artifact for artifact in record.artifacts if artifact.rater_id == review.rater_id]
    found = _changed(
        record,
        file_name=name or record.file_name,
        split=split,
        source=source,
        status=review.status,
        caption=caption,
        artifacts=tuple(_changed(artifact, rater_id="") for artifact in drawn),
        reviews=(),
        extra={**record.extra, NAMESPACE: kept},
    )
    assert is_ours(found)
    return found
