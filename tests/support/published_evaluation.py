"""The evaluation that was published with LEGION, read literally, as an independent reference and as a peer.

Written from its description: for every image the whole annotation file is read again; an entry belongs to the
image if the id occurs anywhere in its file name; each ring is cut off to whole numbers and filled by
`cv2.fillPoly` into one mask; IoU of both classes is taken with 1e-6 in the denominator, F1 is that of the
foreground; both are averaged over the images.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]


def true_mask(annotations: Path, image_id: str, height: int, width: int) -> Mask:
    """The mask of an image, from the annotation file, which is read anew."""
    return mask_of(json.loads(annotations.read_text(encoding="utf-8")), image_id, height, width)


def mask_of(entries: list[Any], image_id: str, height: int, width: int) -> Mask:
    """The mask of an image, from annotations that were read already."""
    import cv2

    mask = np.zeros((height, width), dtype=np.uint8)
    for entry in entries:
        for value in entry.values():
            if image_id in value["img_file_name"]:
                for ref in value["refs"]:
                    for ring in ref["segmentation"]:
                        points = np.array(ring, dtype=np.float32).reshape(-1, 2).astype(np.int32)
                        cv2.fillPoly(mask, [points], [1])
    return mask


def iou(predicted: Mask, true: Mask, value: int) -> float:
    shared = ((predicted == value) & (true == value)).sum()
    either = ((predicted == value) | (true == value)).sum()
    return float(shared / (either + 1e-6))


def f1(predicted: Mask, true: Mask) -> float:
    both = int(((predicted == 1) & (true == 1)).sum())
    extra = int(((predicted == 1) & (true == 0)).sum())
    missed = int(((predicted == 0) & (true == 1)).sum())
    if not both + extra + missed:
        return 1.0
    precision = both / (both + extra) if both + extra else 0.0
    recall = both / (both + missed) if both + missed else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def evaluate(annotations: Path, predicted: dict[str, Mask]) -> dict[str, float]:
    """Mean over the images of `fg_iou`, `miou` and `f1`. predicted: id → mask, shape (height, width)."""
    rows = []
    for image_id, mask in predicted.items():
        true = true_mask(annotations, image_id, *mask.shape)
        foreground, background = iou(mask, true, 1), iou(mask, true, 0)
        rows.append((foreground, (foreground + background) / 2, f1(mask, true)))
    return dict(zip(("fg_iou", "miou", "f1"), np.mean(rows, axis=0).tolist(), strict=True))
