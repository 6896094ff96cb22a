from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scoring import SIZE, artifact, box, prediction, random_records, record, region, shaken

from synthscars.geometry import to_rle
from synthscars.metrics import score_image, score_images
from synthscars.metrics.instances import Precision, mask_ap
from synthscars.predictions import Prediction, to_prediction
from synthscars.records import ImageRecord
from synthscars.taxonomy import load_taxonomy

CATEGORIES = load_taxonomy().category_ids


def by_pycocotools(records: list[ImageRecord], answers: list[Prediction], categories: bool) -> list[float]:
    """AP, AP50 and AP75 as the library of COCO's authors has them."""

    def annotation(image: int, each: Any) -> dict[str, Any]:
        rle = to_rle(each.polygons, SIZE, SIZE)
        return {
            "image_id": image,
            "category_id": CATEGORIES.index(each.category) + 1 if categories else 1,
            "segmentation": rle,
            "area": float(coco.area(rle)),
            "bbox": coco.toBbox(rle).tolist(),
            "iscrowd": 0,
        }

    truth = [annotation(n, a) for n, r in enumerate(records, start=1) for a in r.artifacts]
    found = [
        {**annotation(n, r), "score": r.score} for n, p in enumerate(answers, start=1) for r in p.regions
    ]
    gold = COCO()
    gold.dataset = {
        "images": [{"id": n, "height": SIZE, "width": SIZE} for n in range(1, len(records) + 1)],
        "annotations": [{**each, "id": n} for n, each in enumerate(truth, start=1)],
        "categories": [{"id": n} for n in range(1, len(CATEGORIES) + 1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        gold.createIndex()
        evaluation = COCOeval(gold, gold.loadRes(found), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:3].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_ap_equals_pycocotools(seed: int) -> None:
    records = random_records(40, seed)
    answers = shaken(records, seed, by=1.5)
    found = mask_ap(list(score_images(zip(answers, records, strict=True))))
    for name, categories in (("any", False), ("all", True)):
        ours = [found[name].ap, found[name].ap50, found[name].ap75]
        theirs = by_pycocotools(records, answers, categories)
        assert ours == pytest.approx(theirs, abs=1e-9)
        assert 0.02 < theirs[0] < 0.9


def test_the_truth_has_an_ap_of_one_and_nothing_of_zero() -> None:
    records = random_records(20)
    perfect = mask_ap([score_image(to_prediction(each), each) for each in records])
    assert perfect["any"].ap == perfect["all"].ap == pytest.approx(1.0)
    nothing = mask_ap([score_image(None, each) for each in records])
    assert nothing["any"] == nothing["all"] == Precision(0.0, 0.0, 0.0)


def test_a_category_that_the_truth_does_not_have_is_not_averaged() -> None:
    truth = record(artifact(box(0, 0, 10, 10), "structure"), artifact(box(30, 30, 40, 40), None))
    answer = prediction(truth, region(box(0, 0, 10, 10), "structure"), region(box(50, 50, 60, 60), "physics"))
    found = mask_ap([score_image(answer, truth)])
    assert found["physics"] == found["distortion"] == Precision()
    assert found["all"].ap == found["structure"].ap == pytest.approx(1.0)
    # The region without a category is one that was missed.
    assert found["any"].ap == pytest.approx(np.mean(np.linspace(0, 1, 101) <= 0.5))


def test_without_images_there_is_nothing_to_say() -> None:
    assert mask_ap([])["any"] == mask_ap([])["all"] == Precision()
