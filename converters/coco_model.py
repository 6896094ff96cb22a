"""What reader and writer of COCO share: what the format holds, names of keys, entries as they are written."""

from __future__ import annotations

from typing import Any

import msgspec

from synthscars.converters.holds import everything_but
from synthscars.converters.reading import Json
from synthscars.records import Artifact, Generation, ImageRecord, Review, Ring

NAMESPACE = "coco"

HOLDS = everything_but(
    namespace=NAMESPACE,
    note="Fields that COCO does not have are extra keys, which other tools ignore. An artifact without an "
    "outline is kept on its image, where tools do not look. Masks (RLE) are read as outlines that cover the "
    "same pixels, boxes without a mask as rectangles.",
)

DATASET_FIELDS = "dataset_fields"
"""In `extra[NAMESPACE]` of the first image of a file: what the file itself says, to be written again."""

REJECTED = "rejected_annotations"
WITHOUT_OUTLINE = "artifacts_without_outline"
POSITION = "position"
"""Of an artifact without an outline: where it stands among the artifacts of its image."""

DEFAULT_SPLIT = "default"

SUPERCATEGORY = "artifact"

INFO: Json = {
    "description": "Visible artifacts in AI-generated images",
    "url": "",
    "version": "",
    "contributor": "synthscars",
}
"""Without year and date: equal records give equal files."""


class Image(msgspec.Struct, omit_defaults=True, gc=False):
    """An entry of `images`, in the order of its keys; those with a default are left out if they have it."""

    id: int
    file_name: str
    width: int
    height: int
    sha256: str
    status: str
    rater_list: list[str]
    license: int | None = None
    original_name: str | None = None
    origin: str = "synthetic"
    content_type: str | None = None
    caption: str = ""
    reviews: tuple[Review, ...] = ()
    generation: Generation | None = None
    group_id: str = ""
    split: str = ""
    source: str = ""
    artifacts_without_outline: list[Any] = []
    extra: Json = {}


class Annotation(msgspec.Struct, omit_defaults=True, gc=False):
    """An entry of `annotations`, likewise. segmentation: rings, or a mask as `write_rle` has it."""

    id: int
    image_id: int
    category_id: int
    iscrowd: int
    area: float
    bbox: list[float]
    segmentation: tuple[Ring, ...] | Json
    artifact_id: str
    rater_id: str
    category: str | None = None
    subtype: str | None = None
    phrase: str = ""
    explanation: str = ""
    votes: int | None = None
    agreement: float | None = None
    extra: Json = {}


def raters_of(record: ImageRecord) -> list[str]:
    """Who looked at the image and found just the artifacts that are theirs.

    Not who skipped it, nor whose regions could not be read: KaLOS would count that as having found nothing.
    """
    found: dict[str, None] = {}
    for artifact in record.artifacts:
        if artifact.rater_id:
            found[artifact.rater_id] = None
    for review in record.reviews:
        if review.status == "clean":
            found[review.rater_id] = None
    return list(found)


def without_outline(position: int, artifact: Artifact) -> Json:
    """The entry for an artifact that has no outline."""
    return {POSITION: position, **msgspec.to_builtins(artifact)}
