"""A sheet of example pictures with the outlines of their artifacts, for the card."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import msgspec
from PIL import Image, ImageOps

from synthscars.drawing import draw_artifacts
from synthscars.records import ImageRecord

_WIDTH = 1600
_COLUMNS = 2
_GAP = 16
_HIGHEST = 1.25
"""Height of a picture by its width; a higher one is made smaller, or it would be all there is to see."""


def example_sheet(
    records: Sequence[ImageRecord], picture: Callable[[str], bytes | None]
) -> tuple[Image.Image, list[ImageRecord]] | None:
    """Pictures with the outlines of their artifacts, in columns; None if there is no picture.

    A picture that is not at hand or does not decode is left out: whether it should is not the card's to say.
    """
    width = (_WIDTH - (_COLUMNS - 1) * _GAP) // _COLUMNS
    cells = []
    for record in records:
        data = picture(record.image_id)
        cell = _cell(record, data, width) if data else None
        if cell is not None:
            cells.append((cell, record))
    if not cells:
        return None
    # Each picture goes to the column that is the shortest so far.
    heights = [0] * min(_COLUMNS, len(cells))
    places = []
    for cell, _ in cells:
        column = heights.index(min(heights))
        places.append((column * (width + _GAP), heights[column]))
        heights[column] += cell.height + _GAP
    sheet = Image.new("RGB", (len(heights) * (width + _GAP) - _GAP, max(heights) - _GAP), "white")
    for (cell, _), place in zip(cells, places, strict=True):
        sheet.paste(cell, place)
    return sheet, [record for _, record in cells]


def _cell(record: ImageRecord, data: bytes, width: int) -> Image.Image | None:
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.draft("RGB", (2 * width, 2 * width))
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    height = min(round(image.height * width / image.width), round(_HIGHEST * width))
    image = ImageOps.contain(image, (width, max(1, height)), Image.Resampling.LANCZOS)
    factors = image.width / max(record.width, 1), image.height / max(record.height, 1)
    artifacts = [
        msgspec.structs.replace(
            artifact,
            polygons=tuple(
                tuple(value * factors[index % 2] for index, value in enumerate(ring))
                for ring in artifact.polygons
            ),
        )
        for artifact in record.artifacts
    ]
    # A small picture comes back larger.
    drawn = ImageOps.contain(draw_artifacts(image, artifacts), image.size, Image.Resampling.LANCZOS)
    cell = Image.new("RGB", (width, drawn.height), "white")
    cell.paste(drawn, ((width - drawn.width) // 2, 0))
    return cell
