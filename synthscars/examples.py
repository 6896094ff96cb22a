"""What people who load a release want of a row: masks, a picture with outlines, targets for training.

An *example* is one row of a release as any reader gives it: `datasets` (map-style or streaming, with any
`with_format`), pandas, polars, pyarrow, DuckDB, or `release.to_row`. Class labels may be numbers or names,
the image a decoded picture, an array or `{"bytes": ..., "path": ...}`. Only the columns that a function needs
are looked at, so that an image is not decoded for its masks.

Which regions are meant depends on the config. Of `default`: `artifacts`, what stands after merging, or with
`raters=True` `rater_artifacts`, what every rater drew. Of `raters`: the latter, for it has no others. Rows of
`detection` have neither, which is an error. So is a null in `rater_artifacts`: what each rater drew is not
known, which is not the same as nothing. `filter(lambda row: row["rater_artifacts"] is not None)` leaves such
rows out.

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
    column_of,
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


def masks(example: Any, *, raters: bool = False) -> Masks:
    """The mask of each artifact: bool, shape (artifacts, height, width), as pycocotools rasterizes them.

    raters: of each region of `rater_artifacts`, in its order; whose it is stands in its `rater_id`.

    Needs the columns `width`, `height` and `artifacts` or `rater_artifacts`. Raises `FormatError` if one is
    missing or wrong.
    """
    row = one(example)
    column = column_of(row, raters)
    width, height = size_of(row)
    found = np.zeros((len(artifacts_of(row, column)), height, width), dtype=np.bool_)
    for number, rings in enumerate(outlines_of(row, column)):
        found[number] = to_mask(rings, width, height)
    return found


def union_mask(example: Any, *, raters: bool = False) -> Masks:
    """What is covered by any artifact: bool, shape (height, width); see `masks`."""
    row = one(example)
    width, height = size_of(row)
    return to_mask(
        [ring for rings in outlines_of(row, column_of(row, raters)) for ring in rings], width, height
    )


def draw(
    example: Any,
    *,
    labels: bool = True,
    explanations: bool = False,
    font: str | Path | None = None,
    raters: bool = False,
) -> Image.Image:
    """The image (RGB) with its artifacts outlined in the colours of their categories.

    labels: each artifact's phrase beside it. explanations: numbers instead of many words, and what they stand
    for below the picture. font: a font file, for scripts that DejaVu Sans does not have. Small images are
    enlarged by a whole factor. raters: what every rater drew, in one colour each, with their names below,
    also (if there is a column `reviews`) of those who found nothing.

    Needs the columns `image`, `width`, `height` and `artifacts` or `rater_artifacts`. Raises `FormatError` if
    one is missing or wrong, or if the image has another size than its row says (it was scaled, and its
    outlines were not).
    """
    from synthscars.drawing import draw_artifacts

    row = one(example)
    column = column_of(row, raters)
    drawn = column == "rater_artifacts"
    record = record_of(row, column, ["reviews"] if drawn and "reviews" in row else [])
    image = picture_of(row)
    if image.size != (record.width, record.height):
        raise wrong(
            row,
            "image",
            f"it has {image.width} x {image.height} pixels, its row says {record.width} x {record.height}",
            "draw before you scale, or scale the outlines, width and height as well",
        )
    judged = [each.rater_id for each in record.reviews if each.status in ("annotated", "clean")]
    return draw_artifacts(
        image,
        record.artifacts,
        labels=labels,
        explanations=explanations,
        font=font,
        raters=sorted({*judged, *(each.rater_id for each in record.artifacts)}) if drawn else None,
    )


def to_gcg(example: Any, *, raters: bool = False) -> dict[str, Any]:
    """A target for grounded conversation (GLaMM, LEGION): the answer, and a mask for each `[SEG]` in it.

    answer: the caption with `<p> phrase </p> [SEG]` for each artifact. phrases: the words between the marks.
    masks: bool, shape (phrases, height, width). positions: of each, where its artifact stands in its column.
    All in the order of the answer, by the rules of `synthscars convert --to gcg`: every phrase has a place of
    its own; a caption that does not allow that is composed again. An artifact without an outline, or with
    neither phrase nor explanation, is left out. raters: of what every rater drew, so that what several saw is
    told once for each of them.

    Needs the columns `width`, `height`, `caption` and `artifacts` or `rater_artifacts`; takes scene sentences
    from `reviews`, if they are there. Raises `FormatError` if one is missing or wrong.
    """
    from synthscars.converters.gcg_grounding import grounding_of

    row = one(example)
    needed = ["caption", *(["reviews"] if "reviews" in row else [])]
    record = record_of(row, column_of(row, raters), needed)
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


def to_coco(example: Any, image_id: int = 1, *, raters: bool = False) -> dict[str, Any]:
    """One image in COCO's words: `image_id`, `image`, `annotations`, `categories`, as `convert` writes them.

    This is what the image processors of `transformers` (DETR and its kin) take as annotations. image_id: the
    number of the image. Category ids are 1, 2, 3 in the order of the taxonomy; artifacts without a category
    have one of their own after those. raters: what every rater drew, with `rater_id` and the image's
    `rater_list`, in which (if there is a column `reviews`) are also those who found nothing.

    Needs the columns `image_id`, `file_name`, `width`, `height`, `origin`, `status` and `artifacts` or
    `rater_artifacts`. Raises `FormatError` if one is missing or wrong.
    """
    from synthscars.converters.coco import write

    row = one(example)
    column = column_of(row, raters)
    judged = column == "rater_artifacts" and "reviews" in row
    needed = ["image_id", "file_name", "origin", "status", *(["reviews"] if judged else [])]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "one.json"
        write([record_of(row, column, needed)], path, Problems())
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


def to_record(example: Any, split: str = "", *, raters: bool = False) -> ImageRecord:
    """The record that a row was made from; the image itself is not looked at.

    split: the split that the row is in. raters: as it was before merging: with what every rater drew, never
    `clean` beside regions, without a caption that tells of other regions. Needs all columns but `image` and
    `rater_list`, and only one of `artifacts` and `rater_artifacts`. Raises `FormatError` if one is missing or
    wrong, or if a reader has rounded a large number (pandas: seeds).
    """
    row = one(example)
    return record_of(row, column_of(row, raters), COLUMNS, split)
