"""A model without anything learned: it marks the most colourful spot of a picture, and says so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from PIL import Image
from pycocotools import mask as coco

from synthscars.caption import compose
from synthscars.geometry import from_mask, polygon, to_mask
from synthscars.predictions import PredictedRegion, Prediction, Rle

PHRASE, EXPLANATION = "the most colourful spot", "No paint is as bright as this."


class SaturatedBlob:
    """Marks the largest connected part of the most saturated 2 % of the pixels of an image.

    calls: how many images each call brought. A picture without any colour has no region.
    """

    name = "saturated-blob 1"

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict(
        self, images: Sequence[Image.Image], image_ids: Sequence[str], *, batch_size: int = 8
    ) -> list[Prediction]:
        self.calls.append(len(images))
        return [self._one(image, image_id) for image, image_id in zip(images, image_ids, strict=True)]

    def _one(self, image: Image.Image, image_id: str) -> Prediction:
        assert image.mode == "RGB"
        width, height = image.size
        saturation = np.asarray(image.convert("HSV"))[..., 1]
        regions: tuple[PredictedRegion, ...] = ()
        if saturation.any():
            rings = from_mask(saturation >= max(1, np.quantile(saturation, 0.98)))
            largest = max(rings, key=lambda ring: float(shapely.area(polygon(ring))))
            found = coco.encode(np.asfortranarray(to_mask([largest], width, height).astype(np.uint8)))
            regions = (
                PredictedRegion(
                    phrase=PHRASE,
                    explanation=EXPLANATION,
                    category="distortion",
                    subtype="color_texture",
                    rle=Rle(size=(height, width), counts=found["counts"].decode()),
                    score=float(saturation.max()) / 255,
                ),
            )
        items = [(region.phrase, region.explanation) for region in regions]
        return Prediction(
            image_id=image_id,
            width=width,
            height=height,
            text=compose("A picture", items),
            synthetic=0.5,
            regions=regions,
        )
