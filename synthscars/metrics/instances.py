"""Mask AP of COCO, by `faster-coco-eval`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import msgspec

from synthscars.metrics.scores import ImageScore, Region
from synthscars.problems import SynthScarsError
from synthscars.taxonomy import load_taxonomy


class Precision(msgspec.Struct, frozen=True):
    """Average precision over IoU 0.50 to 0.95, at 0.50, and at 0.75; `None` where nothing is to be found."""

    ap: float | None = None
    ap50: float | None = None
    ap75: float | None = None


def mask_ap(scores: Sequence[ImageScore]) -> dict[str, Precision]:
    """AP by category, `"all"`: the mean over the categories, `"any"`: of all regions as one category.

    Regions without a category are only in `"any"`. Regions are ranked by their score, 1 if a model gives
    none; of equal ones the first counts more. At most 100 regions of an image count, as in COCO. Raises
    `SynthScarsError` if `faster-coco-eval` is not installed.
    """
    if find_spec("faster_coco_eval") is None:
        raise SynthScarsError(
            "mask AP needs faster-coco-eval, which is not installed", fix='pip install "synthscars[metrics]"'
        )
    categories = list(load_taxonomy().category_ids)
    found = {"any": _evaluate(scores, None)}
    for category in categories:
        found[category] = _evaluate(scores, category)
    there = [found[category] for category in categories if found[category].ap is not None]
    found["all"] = Precision(
        *(
            sum(getattr(each, name) for each in there) / len(there) if there else None
            for name in Precision.__struct_fields__
        )
    )
    return found


def _evaluate(scores: Sequence[ImageScore], category: str | None) -> Precision:
    from faster_coco_eval import COCO, COCOeval_faster

    judged = [score for score in scores if score.judged]

    def wanted(region: Region) -> bool:
        return category is None or region.category == category

    images = [{"id": n, "width": s.width, "height": s.height} for n, s in enumerate(judged, start=1)]
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, score in enumerate(judged, start=1):
        size = [score.height, score.width]
        truth += [
            {**_annotation(number, region, size), "id": len(truth) + place, "iscrowd": 0}
            for place, region in enumerate(filter(wanted, score.truth), start=1)
        ]
        found += [
            {**_annotation(number, region, size), "score": 1.0 if region.score is None else region.score}
            for region in filter(wanted, score.found)
        ]
    if not truth:
        return Precision()
    if not found:
        return Precision(0.0, 0.0, 0.0)
    # The library writes into what it is given.
    gold = COCO({"images": images, "annotations": truth, "categories": [{"id": 1, "name": "artifact"}]})
    evaluation = COCOeval_faster(gold, gold.loadRes(found), "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return Precision(*(max(float(value), 0.0) for value in evaluation.stats[:3]))


def _annotation(image: int, region: Region, size: list[int]) -> dict[str, Any]:
    from pycocotools import mask as coco

    rle = {"size": size, "counts": region.counts.decode("ascii")}
    box = [float(value) for value in coco.toBbox(rle)]
    return {"image_id": image, "category_id": 1, "segmentation": rle, "area": region.area, "bbox": box}
