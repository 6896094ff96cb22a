"""What LISA's loader makes of a folder, said again in other words.

The rules (`utils/reason_seg_dataset.py`, `utils/data_processing.py`): images are `*.jpg`, the file of each is
found by replacing `.jpg` by `.json` in its path; it is opened as text in the machine's encoding, else as
cp1252; shapes are drawn from the largest to the smallest, with vertices cut off to whole pixels and with
their edges, as 1, or as 255 if their label holds "ignore"; those labelled "flag" are not drawn.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np


class Sample(NamedTuple):
    """One image: its texts, whether they are sentences, and its mask of 0, 1 and 255."""

    texts: list[str]
    is_sentence: bool
    mask: np.ndarray


def load(folder: Path) -> dict[str, Sample]:
    """Every sample of the folder of a split, by the name of its image."""
    found = {}
    for image in sorted(folder.glob("*.jpg")):
        given = _json(Path(str(image).replace(".jpg", ".json")))
        # Two of them are picked at random: there must be at least one.
        assert given["text"]
        pixels = cv2.imread(str(image))
        found[image.name] = Sample(
            given["text"], given["is_sentence"], mask(given["shapes"], *pixels.shape[:2])
        )
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        return json.loads(path.read_text(encoding="cp1252"))


def mask(shapes: list[dict[str, Any]], height: int, width: int) -> np.ndarray:
    """The mask of shapes."""
    drawn = []
    for shape in shapes:
        if shape["label"].lower() != "flag":
            canvas = np.zeros((height, width), dtype=np.uint8)
            _draw(canvas, shape["points"], 1)
            drawn.append((int(canvas.sum()), shape))
    result = np.zeros((height, width), dtype=np.uint8)
    for _, shape in sorted(drawn, key=lambda each: -each[0]):
        _draw(result, shape["points"], 255 if "ignore" in shape["label"].lower() else 1)
    return result


def _draw(canvas: np.ndarray, points: list[list[float]], value: int) -> None:
    corners = np.array([points], dtype=np.int32)
    cv2.polylines(canvas, corners, True, value, 1)
    cv2.fillPoly(canvas, corners, value)
