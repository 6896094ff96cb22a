"""Hold a release against images whose artifacts are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from synthscars.consensus import clusters
from synthscars.problems import ReleaseError
from synthscars.records import Artifact, ImageRecord

_MIN_IOU = 0.5


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How a release agrees with the truth.

    images: images of the release. known: true artifacts on all images of the truth. matched: those of them
    that the release has, with the same category and a mask IoU of at least 0.5. invented: artifacts of the
    release that match none. mean_iou: over the matched ones (0 without any). texts_equal, subtypes_equal:
    matched ones whose phrase and explanation, or subtype, are equal to the letter. missing: `image_id` and
    `artifact_id` of known artifacts that are not matched.
    """

    images: int
    known: int
    matched: int
    invented: int
    mean_iou: float
    texts_equal: int
    subtypes_equal: int
    missing: tuple[tuple[str, str], ...]


def score(release: Iterable[ImageRecord], truth: Mapping[str, ImageRecord]) -> Score:
    """Compare the records of a release with the true records by `image_id`.

    Raises `ReleaseError` if the release has an image that the truth does not know.
    """
    found = {record.image_id: record for record in release}
    if unknown := sorted(found.keys() - truth.keys()):
        raise ReleaseError(f"the truth does not know {len(unknown)} images, the first is {unknown[0]}")
    missing: list[tuple[str, str]] = []
    ious: list[float] = []
    texts = subtypes = invented = 0
    for image_id, true in truth.items():
        released = found[image_id].artifacts if image_id in found else ()
        both = [_drawn_by("truth", a) for a in true.artifacts] + [_drawn_by("release", a) for a in released]
        for members, pairwise in clusters(both, true.width, true.height, _MIN_IOU):
            if len(members) == 2:
                first, second = members
                ious.append(float(pairwise[0, 1]))
                texts += (first.phrase, first.explanation) == (second.phrase, second.explanation)
                subtypes += first.subtype == second.subtype
            elif members[0].rater_id == "release":
                invented += 1
            else:
                missing.append((image_id, members[0].artifact_id))
    return Score(
        images=len(found),
        known=sum(len(true.artifacts) for true in truth.values()),
        matched=len(ious),
        invented=invented,
        mean_iou=sum(ious) / len(ious) if ious else 0.0,
        texts_equal=texts,
        subtypes_equal=subtypes,
        missing=tuple(missing),
    )


def _drawn_by(rater: str, artifact: Artifact) -> Artifact:
    return msgspec.structs.replace(artifact, rater_id=rater)
