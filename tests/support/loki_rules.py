"""The mask that LEGION is measured with on LOKI, said again in other words.

`generate_loki_mask`, `eval/utils.py` of LEGION: the file is opened as UTF-16; each `region` is x, y, width
and height; the corners are cut off to whole pixels and pushed onto the image; the rectangle between them is
filled, both corners included.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def mask(path: Path, image: str, width: int, height: int) -> np.ndarray:
    """The union of the boxes of the image whose path holds `image`."""
    result = np.zeros((height, width), dtype=bool)
    items = json.loads(path.read_text(encoding="utf-16"))
    for region in next(item for item in items if image in item["image_path"])["problems"]["regional"]:
        x, y, box_width, box_height = region["region"]
        left, top = max(0, int(x)), max(0, int(y))
        right, bottom = min(width - 1, int(x + box_width)), min(height - 1, int(y + box_height))
        result[top : bottom + 1, left : right + 1] = True
    return result
