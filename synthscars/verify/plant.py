"""Plants label errors in records, to measure how many of them the review list finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import numpy as np

from synthscars import caption
from synthscars.geometry import rle_iou, to_rle
from synthscars.problems import FormatError
from synthscars.records import Artifact, ImageRecord, Ring

Planted = dict[tuple[str, str], Literal["mask", "text"]]
"""`image_id` and `artifact_id` of what is wrong now, and what is."""

_NOT_THERE = 0.3
"""IoU with the true mask above which a swapped one is no error that anybody could see."""

_Swap = Callable[[Artifact, ImageRecord, Artifact, ImageRecord], "Artifact | None"]


def plant_errors(
    records: Sequence[ImageRecord], *, masks: float = 0.05, texts: float = 0.05, seed: int = 0
) -> tuple[list[ImageRecord], Planted]:
    """Swap the masks of a share of the artifacts, and the texts of another share, in pairs.

    A swapped mask (scaled to its new image) covers another place than the true one; a swapped text differs in
    phrase and explanation. An artifact without such a partner is left as it is. Captions say what the
    artifacts say now. Whatever is not swapped stays equal.
    """
    rng = np.random.default_rng(seed)
    places = [(i, j) for i, record in enumerate(records) for j in range(len(record.artifacts))]
    order = rng.permutation(len(places)).tolist()
    artifacts = [list(record.artifacts) for record in records]
    planted: Planted = {}
    for kind, share, swap in (("mask", masks, _other_mask), ("text", texts, _other_text)):
        wanted = round(share * len(places)) // 2 * 2
        done = 0
        while done < wanted and order:
            first = places[order.pop()]
            for place, candidate in enumerate(reversed(order)):
                second = places[candidate]
                pair = _swapped(first, second, artifacts, records, swap)
                if pair is not None:
                    del order[len(order) - 1 - place]
                    for (i, j), artifact in zip((first, second), pair, strict=True):
                        artifacts[i][j] = artifact
                        key = (records[i].image_id, artifact.artifact_id)
                        planted[key] = "mask" if kind == "mask" else "text"
                    done += 2
                    break
    changed = [
        record if tuple(now) == record.artifacts else _with(record, tuple(now))
        for record, now in zip(records, artifacts, strict=True)
    ]
    return changed, planted


def _swapped(
    first: tuple[int, int],
    second: tuple[int, int],
    artifacts: Sequence[Sequence[Artifact]],
    records: Sequence[ImageRecord],
    swap: _Swap,
) -> tuple[Artifact, Artifact] | None:
    if first[0] == second[0]:
        return None
    one, other = artifacts[first[0]][first[1]], artifacts[second[0]][second[1]]
    changed = swap(one, records[first[0]], other, records[second[0]])
    back = swap(other, records[second[0]], one, records[first[0]])
    return (changed, back) if changed is not None and back is not None else None


def _other_mask(
    artifact: Artifact, record: ImageRecord, other: Artifact, its_record: ImageRecord
) -> Artifact | None:
    factors = record.width / its_record.width, record.height / its_record.height
    rings: tuple[Ring, ...] = tuple(
        tuple(value * factors[place % 2] for place, value in enumerate(ring)) for ring in other.polygons
    )
    masks = [to_rle(each, record.width, record.height) for each in (artifact.polygons, rings)]
    if float(np.nan_to_num(rle_iou(masks[:1], masks[1:])[0, 0])) > _NOT_THERE:
        return None
    return msgspec.structs.replace(artifact, polygons=rings)


def _other_text(
    artifact: Artifact, record: ImageRecord, other: Artifact, its_record: ImageRecord
) -> Artifact | None:
    if artifact.phrase == other.phrase or artifact.explanation == other.explanation:
        return None
    return msgspec.structs.replace(artifact, phrase=other.phrase, explanation=other.explanation)


def _with(record: ImageRecord, artifacts: tuple[Artifact, ...]) -> ImageRecord:
    try:
        phrases = [artifact.phrase for artifact in record.artifacts]
        scene = caption.parse(record.caption, phrases).scene
    except FormatError:
        scene = record.reviews[0].scene if record.reviews else ""
    text = caption.compose(scene, [(artifact.phrase, artifact.explanation) for artifact in artifacts])
    return msgspec.structs.replace(record, artifacts=artifacts, caption=text if record.caption else "")
