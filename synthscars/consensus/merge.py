"""One answer per image by majority, from what its raters drew independently.

Two raters' regions are the same artifact if they have the same category and overlap enough (mask IoU). A
region stands if more than half of the raters who judged the image drew it. Its outline and texts are those of
the rater whose region agrees best with the others': a polygon and a sentence that an expert made, not an
average that nobody did.

An adjudicator overrules the majority by making one annotation final (`synthscars adjudicate`), which Label
Studio keeps as its ground-truth mark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from synthscars import caption, geometry
from synthscars.images import too_large
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Review

_Value = TypeVar("_Value")


def adjudicate(
    records: Iterable[ImageRecord], problems: Problems, *, min_iou: float = 0.5
) -> Iterator[ImageRecord]:
    """Yield every record with its raters' answers merged into one; `reviews` stay as they are.

    `votes` and `agreement` of each artifact are set, the caption is composed. An image is `clean` if most
    raters say so, and `skipped` with `extra["skip_reason"] = "disputed"` if they drew regions of which none
    stands. Regions that do not stand are reported (`consensus.unconfirmed`). Records that nobody reviewed
    pass as they are, and so do merged ones: merging twice changes nothing. So does a record with a size that
    no image may have, which is reported (`image.too_large`).
    """
    for record in records:
        merged = any(artifact.votes is not None for artifact in record.artifacts)
        problem = None if merged else too_large(record)
        if problem:
            problems.extend([problem])
        yield record if merged or problem else _adjudicate(record, problems, min_iou)


def _adjudicate(record: ImageRecord, problems: Problems, min_iou: float) -> ImageRecord:
    reviews = _deciding(record.reviews)
    if not reviews:
        if not any(review.status == "skipped" for review in record.reviews):
            return record
        # Also if an adjudicator skipped what others drew: their regions do not stand.
        return msgspec.structs.replace(record, status="skipped", artifacts=(), caption="")
    needed = len(reviews) // 2 + 1
    deciding = {review.rater_id for review in reviews}
    drawn = [artifact for artifact in record.artifacts if artifact.rater_id in deciding]

    standing: list[Artifact] = []
    for cluster, ious in clusters(drawn, record.width, record.height, min_iou):
        merged = best_of(cluster, ious)
        if len(cluster) >= needed:
            standing.append(merged)
        else:
            problems.add(
                "consensus.unconfirmed",
                f"drawn by {len(cluster)} of {len(reviews)} raters ({merged.phrase or 'no phrase'})",
                severity="info",
                fix=f"if it should stand: synthscars adjudicate {record.image_id[:12]} {merged.rater_id}",
                file=record.file_name,
                image=record.image_id,
                region=f"region {merged.artifact_id} of {merged.rater_id}",
            )

    extra = record.extra
    if standing:
        status = "annotated"
    elif sum(review.status == "clean" for review in reviews) >= needed:
        status = "clean"
    else:
        status = "skipped"
        extra = {**extra, "skip_reason": "disputed"}
        problems.add(
            "consensus.disputed",
            f"{len(reviews)} raters, and neither a region nor 'no artifact' has a majority",
            severity="warning",
            fix=f"make one answer final: synthscars adjudicate {record.image_id[:12]} RATER",
            file=record.file_name,
            image=record.image_id,
        )
    scene = _most_common([review.scene for review in reviews if review.scene.strip()]) or ""
    return msgspec.structs.replace(
        record,
        status=status,
        content_type=_most_common([r.content_type for r in reviews if r.content_type]) or record.content_type,
        artifacts=tuple(standing),
        caption=caption.compose(scene, [(a.phrase, a.explanation) for a in standing])
        if status != "skipped"
        else "",
        extra=extra,
    )


def _deciding(reviews: Sequence[Review]) -> list[Review]:
    """Those whose answer counts: the adjudicator's if there is one, else everyone's who did not skip."""
    final = [review for review in reviews if review.extra.get("ground_truth") is True]
    return [review for review in final or reviews if review.status in ("annotated", "clean")]


def clusters(
    drawn: Sequence[Artifact], width: int, height: int, min_iou: float
) -> Iterator[tuple[list[Artifact], npt.NDArray[np.float64]]]:
    """Group regions of one image that show the same artifact; each group comes with its pairwise mask IoU.

    Regions of different raters with the same category and an IoU of at least `min_iou` belong together. The
    best overlapping pairs are joined first, and a rater gives at most one region to a group.
    """
    if len({artifact.rater_id for artifact in drawn}) < 2:  # nothing to compare
        itself = np.ones((1, 1))
        for artifact in drawn:
            yield [artifact], itself
        return
    masks = list(_rles(drawn, width, height))
    ious = geometry.rle_iou(masks, masks)
    groups = {index: [index] for index in range(len(drawn))}
    group_of = list(range(len(drawn)))
    pairs = [
        (i, j)
        for i in range(len(drawn))
        for j in range(i)
        if ious[i, j] >= min_iou and drawn[i].category == drawn[j].category
    ]
    # Equal pairs are told apart by names, so that the order of the regions decides nothing.
    for i, j in sorted(pairs, key=lambda pair: (-ious[pair], sorted(_name(drawn[index]) for index in pair))):
        first, second = sorted((group_of[i], group_of[j]))
        raters = [drawn[index].rater_id for index in groups[first] + groups[second]]
        if first != second and len(set(raters)) == len(raters):
            groups[first] += groups.pop(second)
            for index in groups[first]:
                group_of[index] = first
    for members in groups.values():
        members.sort()
        yield [drawn[index] for index in members], ious[np.ix_(members, members)]


def _name(artifact: Artifact) -> tuple[str, str]:
    return artifact.rater_id, artifact.artifact_id


def _rles(drawn: Sequence[Artifact], width: int, height: int) -> Iterator[geometry.Rle]:
    """The masks of regions, without rings that cannot be rasterized."""
    rings = [ring for artifact in drawn for ring in artifact.polygons]
    faults = iter(geometry.rings_faults(rings, [(width, height)] * len(rings)))
    for artifact in drawn:
        usable = [
            ring
            for ring in artifact.polygons
            if not any(code in geometry.UNUSABLE for code, _ in next(faults))
        ]
        yield geometry.to_rle(usable, width, height)


def best_of(cluster: Sequence[Artifact], ious: npt.NDArray[np.float64]) -> Artifact:
    """The member that agrees best with the others, one with both texts before one without."""
    if len(cluster) == 1:  # by far the most frequent, and nothing to choose from
        (alone,) = cluster
        return msgspec.structs.replace(alone, subtype=alone.subtype or None, votes=1, agreement=None)
    others = len(cluster) - 1
    agreement = (ious.sum(axis=1) - ious.diagonal()) / others
    complete = [bool(a.phrase.strip() and a.explanation.strip()) for a in cluster]
    best = min(
        range(len(cluster)),
        key=lambda index: (not complete[index], -agreement[index], _name(cluster[index])),
    )
    chosen = cluster[best]
    # The chosen rater's subtype wins a tie.
    subtypes = [chosen.subtype, *(member.subtype for member in cluster if member is not chosen)]
    return msgspec.structs.replace(
        chosen,
        subtype=_most_common([subtype for subtype in subtypes if subtype]),
        votes=len(cluster),
        agreement=float(agreement[best]),
    )


def _most_common(values: Sequence[_Value]) -> _Value | None:
    """The most frequent value, of equally frequent ones the first; `None` if there is none."""
    if len(values) < 2:
        return values[0] if values else None
    return Counter(values).most_common(1)[0][0]
