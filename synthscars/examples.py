"""What people who load a release want of a row: masks, a picture with outlines, targets for training.

An *example* is one row of a release as any reader gives it: `datasets` (map-style or streaming, with any
`with_format`), pandas, polars, pyarrow, DuckDB, or `release.to_row`. Class labels may be numbers or names,
the image a decoded picture, an array or `{"bytes": ..., "path": ...}`. Only the columns that a function needs
are looked at, so that an image is not decoded for its masks.

All functions can be pickled, so they work in the processes of `Dataset.map` and of a `DataLoader`. Widths,
heights and masks are those of the upright image. Wrong rows raise `FormatError`, which names image and field.

Coordinates are float64 in a release. `with_format("numpy")`, `"torch"` and the like round them to float32
before anybody sees them. An outline of a few decimals is told from its rounded form; of others, a mask may
differ at its edge, in one of a thousand.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from synthscars.example_rows import (
    COLUMNS,
    artifacts_of,
    one,
    outlines_of,
    picture_of,
    record_of,
    rows,
    size_of,
    wrong,
)
from synthscars.geometry import to_mask
from synthscars.problems import Problems
from synthscars.records import ImageRecord

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["draw", "masks", "rows", "to_coco", "to_gcg", "to_record", "union_mask"]

Masks = npt.NDArray[np.bool_]


def masks(example: Any) -> Masks:
    """The mask of each artifact: bool, shape (artifacts, height, width), as pycocotools rasterizes them.

    Needs the columns `width`, `height` and `artifacts`. Raises `FormatError` if one is missing or wrong.
    """
    row = one(example)
    width, height = size_of(row)
    found = np.zeros((len(artifacts_of(row)), height, width), dtype=np.bool_)
    for number, rings in enumerate(outlines_of(row)):
        found[number] = to_mask(rings, width, height)
    return found


def union_mask(example: Any) -> Masks:
    """What is covered by any artifact: bool, shape (height, width); see `masks`."""
    row = one(example)
    width, height = size_of(row)
    return to_mask([ring for rings in outlines_of(row) for ring in rings], width, height)


def draw(
    example: Any, *, labels: bool = True, explanations: bool = False, font: str | Path | None = None
) -> Image.Image:
    """The image (RGB) with its artifacts outlined in the colours of their categories.

    labels: each artifact's phrase beside it. explanations: numbers instead of many words, and what they stand
    for below the picture. font: a font file, for scripts that DejaVu Sans does not have. Small images are
    enlarged by a whole factor.

    Needs the columns `image`, `width`, `height` and `artifacts`. Raises `FormatError` if one is missing or
    wrong, or if the image has another size than its row says (it was scaled, and its outlines were not).
    """
    from synthscars.drawing import draw_artifacts

    row = one(example)
    record = record_of(row, ("width", "height", "artifacts"))
    image = picture_of(row)
    if image.size != (record.width, record.height):
        raise wrong(
            row,
            "image",
            f"it has {image.width} x {image.height} pixels, its row says {record.width} x {record.height}",
            "draw before you scale, or scale the outlines, width and height as well",
        )
    return draw_artifacts(image, record.artifacts, labels=labels, explanations=explanations, font=font)


def to_gcg(example: Any) -> dict[str, Any]:
    """A target for grounded conversation (GLaMM, LEGION): the answer, and a mask for each `[SEG]` in it.

    answer: the caption with `<p> phrase </p> [SEG]` for each artifact. phrases: the words between the marks.
    masks: bool, shape (phrases, height, width). positions: of each, where its artifact stands in `artifacts`.
    All in the order of the answer, by the rules of `synthscars convert --to gcg`: every phrase has a place of
    its own; a caption that does not allow that is composed again. An artifact without an outline, or with
    neither phrase nor explanation, is left out.

    Needs the columns `width`, `height`, `artifacts` and `caption`; takes scene sentences from `reviews`, if
    they are there. Raises `FormatError` if one is missing or wrong.
    """
    from synthscars.converters.gcg_grounding import grounding_of

    row = one(example)
    needed = ["width", "height", "artifacts", "caption", *(["reviews"] if "reviews" in row else [])]
    record = record_of(row, needed)
    caption, places = grounding_of(record)
    spans = sorted((place.span, number) for number, place in enumerate(places) if place is not None)
    answer, end = "", 0
    for span, _ in spans:
        answer += f"{caption[end : span.start]}<p> {caption[span.start : span.end]} </p> [SEG]"
        end = span.end
    positions = [number for _, number in spans]
    found = np.zeros((len(positions), record.height, record.width), dtype=np.bool_)
    for index, number in enumerate(positions):
        found[index] = to_mask(record.artifacts[number].polygons, record.width, record.height)
    return {
        "answer": answer + caption[end:],
        "phrases": [caption[span.start : span.end] for span, _ in spans],
        "masks": found,
        "positions": positions,
    }


def to_coco(example: Any, image_id: int = 1) -> dict[str, Any]:
    """One image in COCO's words: `image_id`, `image`, `annotations`, `categories`, as `convert` writes them.

    This is what the image processors of `transformers` (DETR and its kin) take as annotations. image_id: the
    number of the image. Category ids are 1, 2, 3 in the order of the taxonomy; artifacts without a category
    have one of their own after those.

    Needs the columns `image_id`, `file_name`, `width`, `height`, `origin`, `status` and `artifacts`. Raises
    `FormatError` if one is missing or wrong.
    """
    from synthscars.converters.coco import write

    row = one(example)
    needed = ("image_id", "file_name", "width", "height", "origin", "status", "artifacts")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "one.json"
        write([record_of(row, needed)], path, Problems())
        found = json.loads(path.read_bytes())
    (image,) = found["images"]
    annotations = [{**each, "image_id": image_id} for each in found["annotations"]]
    image = {**image, "id": image_id}
    return {
        "image_id": image_id,
        "image": image,
        "annotations": annotations,
        "categories": found["categories"],
    }


def to_record(example: Any, split: str = "") -> ImageRecord:
    """The record that a row was made from; the image itself is not looked at.

    split: the split that the row is in. Needs all columns but `image` and `rater_list`. Raises `FormatError`
    if one is missing or wrong, or if a reader has rounded a large number (pandas: seeds).
    """
    return record_of(one(example), COLUMNS, split)
