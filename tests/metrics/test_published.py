"""Our figures against a literal reading of the published evaluation, on the same masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from published_evaluation import evaluate, true_mask
from pycocotools import mask as coco
from scoring import SIZE, random_records, shaken

from synthscars.metrics import score_images, value_of
from synthscars.metrics.masks import predicted_mask, rasterizer_of, union
from synthscars.records import ImageRecord

pytest.importorskip("cv2")


def write_annotations(path: Path, records: list[ImageRecord]) -> None:
    entries = [
        {
            str(number): {
                "img_file_name": f"images/{record.image_id}.png",
                "caption": record.caption,
                "refs": [
                    {"sentence": a.phrase, "explanation": a.explanation, "segmentation": list(a.polygons)}
                    for a in record.artifacts
                ],
            }
        }
        for number, record in enumerate(records)
    ]
    path.write_text(json.dumps(entries))


@pytest.mark.parametrize("seed", range(4))
def test_the_published_figures_are_ours_with_its_rasterizer(tmp_path: Path, seed: int) -> None:
    records = [record for record in random_records(60, seed) if record.artifacts]
    answers = shaken(records, seed)
    annotations = tmp_path / "test.json"
    write_annotations(annotations, records)
    fill = rasterizer_of("fillpoly")
    masks = {
        answer.image_id: coco.decode(
            union([predicted_mask(r, SIZE, SIZE, fill)[0] for r in answer.regions], SIZE, SIZE)
        )
        for answer in answers
    }
    published = evaluate(annotations, masks)
    scores = list(score_images(zip(answers, records, strict=True), rasterizer="fillpoly"))
    for name, value in published.items():
        assert value_of(name, scores) == pytest.approx(value, abs=1e-6)  # its 1e-6 below the line
    other = list(score_images(zip(answers, records, strict=True), rasterizer="coco"))
    assert value_of("fg_iou", other) != pytest.approx(published["fg_iou"], abs=1e-4)


def test_an_id_within_another_takes_the_masks_of_both_there_but_not_here(tmp_path: Path) -> None:
    """The published way finds an image by a part of its name; here an id is an id."""
    first, second = [record for record in random_records(20) if record.artifacts][:2]
    annotations = tmp_path / "test.json"
    write_annotations(annotations, [first, second])
    there = true_mask(annotations, first.image_id[:2], SIZE, SIZE)
    assert first.image_id[:2] == second.image_id[:2]
    alone = [int(true_mask(annotations, each.image_id, SIZE, SIZE).sum()) for each in (first, second)]
    assert int(there.sum()) > max(alone)
    here = next(iter(score_images([(None, first)], rasterizer="fillpoly")))
    assert here.pixels.true == alone[0]


def test_the_background_alone_scores_a_high_miou(tmp_path: Path) -> None:
    """Why mIoU is never reported alone."""
    records = [record for record in random_records(40) if record.artifacts]
    annotations = tmp_path / "test.json"
    write_annotations(annotations, records)
    nothing = {record.image_id: np.zeros((SIZE, SIZE), dtype=np.uint8) for record in records}
    published = evaluate(annotations, nothing)
    assert published["miou"] > 0.45
    assert published["fg_iou"] == published["f1"] == 0
    scores = list(score_images([(None, record) for record in records], rasterizer="fillpoly"))
    assert value_of("miou", scores) == pytest.approx(published["miou"], abs=1e-6)
