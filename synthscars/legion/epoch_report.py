"""How images of the validation split are answered after an epoch: figures, and a picture to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from synthscars.files import atomic_file
from synthscars.geometry import rle_area, to_rle
from synthscars.legion.dataset import unpacked
from synthscars.legion.modeling_legion import LegionForArtifactAnalysis
from synthscars.legion.predictor import Predictor
from synthscars.legion.processing_legion import LegionProcessor
from synthscars.predictions import Prediction

_SHOWN = 8


def answered(
    model: LegionForArtifactAnalysis, processor: LegionProcessor, rows: Any, picture: Path
) -> dict[str, float]:
    """Answer every row and compare with the truth; draws the first eight beside it.

    Returns `fg_iou` (mean over images with artifacts of the IoU of the union masks, on the scaled image),
    `regions` (predicted per image) and `true_regions`. For the release's own figures there is `evaluate`.
    """
    training = model.training
    model.eval()
    examples = [unpacked(row) for row in rows]
    images = [Image.fromarray(each["pixels"][: each["height"], : each["width"]]) for each in examples]
    found = Predictor.of(model, processor).predict(images, [each["image_id"] for each in examples])
    model.train(training)
    ious = [
        _iou(example, prediction)
        for example, prediction in zip(examples, found, strict=True)
        if example["rings"]
    ]
    _draw(examples[:_SHOWN], images[:_SHOWN], found[:_SHOWN], picture)
    return {
        "fg_iou": round(float(np.mean(ious)), 4) if ious else 0.0,
        "regions": round(float(np.mean([len(each.regions) for each in found])), 3),
        "true_regions": round(float(np.mean([len(each["rings"]) for each in examples])), 3),
    }


def _iou(example: dict[str, Any], prediction: Prediction) -> float:
    """IoU of the union of the true regions and the union of the predicted ones."""
    from pycocotools import mask as coco

    width, height = prediction.width, prediction.height
    true = coco.merge([to_rle(rings, width, height) for rings in example["rings"]])
    masks = [
        {"size": list(each.rle.size), "counts": each.rle.counts.encode()}
        for each in prediction.regions
        if each.rle
    ]
    if not masks:
        return 0.0
    found = coco.merge(masks)
    both = rle_area(coco.merge([true, found], intersect=True))
    return both / max(rle_area(true) + rle_area(found) - both, 1)


def _draw(
    examples: list[dict[str, Any]], images: list[Image.Image], found: list[Prediction], picture: Path
) -> None:
    """Truth above, prediction below, side by side."""
    from synthscars.drawing import draw_artifacts
    from synthscars.geometry import from_rle
    from synthscars.records import Artifact

    columns = []
    for example, image, prediction in zip(examples, images, found, strict=True):
        true = [
            Artifact(
                artifact_id=str(number), polygons=tuple(map(tuple, rings)), phrase=example["phrases"][number]
            )
            for number, rings in enumerate(example["rings"])
        ]
        seen = [
            Artifact(
                artifact_id=str(number),
                category=each.category,
                polygons=from_rle({"size": list(each.rle.size), "counts": each.rle.counts.encode()}),
                phrase=each.phrase,
            )
            for number, each in enumerate(prediction.regions)
            if each.rle
        ]
        columns.append([draw_artifacts(image, true), draw_artifacts(image, seen)])
    if not columns:
        return
    width = max(each.width for column in columns for each in column)
    height = max(each.height for column in columns for each in column)
    sheet = Image.new("RGB", (width * len(columns), height * 2), "white")
    for number, column in enumerate(columns):
        for row, each in enumerate(column):
            sheet.paste(each, (number * width, row * height))
    picture.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(picture) as file:
        sheet.save(file, "PNG")
