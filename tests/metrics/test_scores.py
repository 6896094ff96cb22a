from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from pycocotools import mask as coco
from scoring import SIZE, artifact, box, prediction, random_records, record, region, shaken
from sklearn.metrics import f1_score, jaccard_score
from torchmetrics.functional.classification import binary_f1_score, binary_jaccard_index

from synthscars.geometry import to_mask
from synthscars.metrics import decode_score, encode_score, score_image, score_images
from synthscars.metrics.checks import MAX_REGIONS
from synthscars.metrics.overlap import Pixels
from synthscars.metrics.scores import ImageScore
from synthscars.metrics.statistics import label_hits
from synthscars.predictions import Rle, to_prediction
from synthscars.problems import FormatError, Problems

HAND, FACE = box(0, 0, 10, 10), box(30, 30, 50, 50)


def test_a_hand_worked_image() -> None:
    truth = record(
        artifact(HAND, "structure", subtype="deformed"), artifact(FACE, "physics", phrase="the face")
    )
    answer = prediction(
        truth,
        region(box(0, 0, 10, 8), "structure", subtype="asymmetrical", phrase="the left hand"),
        region(box(30, 30, 50, 40), "distortion"),
        region(box(60, 60, 64, 64), "structure"),
        text="x",
    )
    score = score_image(answer, truth)
    assert score.pixels == Pixels(tp=80 + 200, fp=16, fn=20 + 200, tn=SIZE**2 - 516)
    assert score.pixels.overlap()["fg_iou"] == 280 / 516
    # The face is found at an IoU of just 0.5.
    assert [(m.true, m.found, m.iou) for m in score.matches] == [(0, 0, 0.8), (1, 1, 0.5)]
    assert score.quality == msgspec.structs.replace(score.quality, matched=2, iou=1.3, invented=1, missed=0)
    assert label_hits(score, "category") == [1.0, 0.0]
    assert label_hits(score, "subtype") == [0.0, None]
    assert score.matches[0].phrase == 2 * (2 / 3) * 1 / (2 / 3 + 1)
    hand, face = score.categories["structure"], score.categories["physics"]
    assert hand.pixels == Pixels(tp=80, fp=16, fn=20, tn=SIZE**2 - 116)
    assert (hand.covered, hand.found) == (80, 1)
    # Another category was said, so alone it is missed; but the place was seen.
    assert (face.pixels.tp, face.covered, face.found, face.quality.missed) == (0, 200, 1, 1)
    assert score.categories["distortion"].quality.invented == 1


@pytest.mark.parametrize("seed", range(3))
def test_pixel_figures_equal_scikit_learn_and_torchmetrics(seed: int) -> None:
    records = [each for each in random_records(30, seed) if each.artifacts]
    for truth, answer in zip(records, shaken(records, seed), strict=True):
        true = to_mask([r for a in truth.artifacts for r in a.polygons], SIZE, SIZE)
        seen = to_mask([r for a in answer.regions for r in a.polygons], SIZE, SIZE)
        found = score_image(answer, truth).pixels.overlap()
        flat = (true.ravel(), seen.ravel())
        if not seen.any():
            assert found["fg_iou"] == found["f1"] == 0
            continue
        assert found["fg_iou"] == pytest.approx(jaccard_score(*flat), abs=1e-12)
        assert found["bg_iou"] == pytest.approx(jaccard_score(*flat, pos_label=False), abs=1e-12)
        assert found["miou"] == pytest.approx(jaccard_score(*flat, average="macro"), abs=1e-12)
        assert found["f1"] == pytest.approx(f1_score(*flat), abs=1e-12)
        tensors = (torch.tensor(seen), torch.tensor(true))
        assert found["fg_iou"] == pytest.approx(float(binary_jaccard_index(*tensors)), abs=1e-6)
        assert found["f1"] == pytest.approx(float(binary_f1_score(*tensors)), abs=1e-6)


def test_matches_have_the_iou_of_pycocotools() -> None:
    records = random_records(20)
    for truth, answer in zip(records, shaken(records), strict=True):
        for each in score_image(answer, truth).matches:
            masks = [
                to_mask(ring, SIZE, SIZE)
                for ring in (truth.artifacts[each.true].polygons, answer.regions[each.found].polygons)
            ]
            assert each.iou == pytest.approx((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


def test_knowing_the_truth_is_perfect_and_saying_nothing_finds_nothing() -> None:
    for truth in random_records(30):
        perfect = score_image(to_prediction(truth), truth)
        assert (perfect.pixels.fp, perfect.pixels.fn) == (0, 0)
        assert perfect.rouge_l == 1.0
        assert perfect.quality.invented == perfect.quality.missed == 0
        empty = score_image(None, truth)
        assert not empty.predicted
        assert empty.pixels == Pixels(0, 0, perfect.pixels.tp, perfect.pixels.tn)
        assert (empty.rouge_l, empty.synthetic, len(empty.found)) == (0.0, None, 0)


def test_where_both_are_empty_they_agree() -> None:
    score = score_image(prediction(record()), record())
    assert score.pixels.overlap() == {"fg_iou": 1.0, "bg_iou": 1.0, "miou": 1.0, "f1": 1.0}
    everything = record(artifact(box(0, 0, SIZE, SIZE)))
    assert score_image(to_prediction(everything), everything).pixels.overlap()["bg_iou"] == 1.0


@pytest.mark.parametrize("status", ["unlabelled", "skipped"])
def test_an_image_that_nobody_judged_counts_for_detection_alone(status: str) -> None:
    photograph = record(status=status, origin="real")
    score = score_image(prediction(photograph, region(HAND), synthetic=0.1), photograph)
    assert not score.judged
    assert (score.pixels, score.rouge_l, score.found) == (Pixels(), None, ())
    assert (score.synthetic, score.origin) == (0.1, "real")


def test_a_wrong_size_is_told_with_the_image_and_counts_as_an_empty_answer() -> None:
    truth = record(artifact(HAND), image_id="ab12")
    answer = msgspec.structs.replace(to_prediction(truth), width=SIZE * 2)
    problems = Problems()
    score = score_image(answer, truth, problems=problems)
    assert [(each.code, each.image, each.severity) for each in problems] == [
        ("prediction.size", "ab12", "error")
    ]
    assert score == score_image(None, truth)
    with pytest.raises(FormatError, match="ab12"):
        score_image(answer, truth)


def test_a_prediction_of_another_image_is_an_error() -> None:
    with pytest.raises(FormatError, match="was given for image"):
        score_image(to_prediction(record(image_id="other")), record())


def test_what_is_wrong_with_one_region_costs_only_that_region() -> None:
    truth = record(artifact(HAND))
    bad = msgspec.structs.replace(region(FACE), rle=Rle(size=(SIZE, SIZE), counts="?"))
    nothing = region((1.0, 1.0, 1.0, 1.0, 1.0, 1.0))
    problems = Problems()
    score = score_image(prediction(truth, bad, nothing, region(HAND)), truth, problems=problems)
    assert score.pixels.fn == score.pixels.fp == 0
    assert [(each.code, each.region, each.severity) for each in problems] == [
        ("prediction.mask", "region 0", "error"),
        ("prediction.no_pixels", "region 1", "info"),
    ]


def test_a_true_region_without_pixels_does_not_count_and_is_told() -> None:
    truth = record(artifact(HAND), artifact((5.0, 5.0, 5.1, 5.0, 5.0, 5.1), artifact_id="speck"))
    problems = Problems()
    score = score_image(to_prediction(truth), truth, problems=problems)
    assert score.quality.missed == score.quality.invented == 0
    assert [(each.code, each.region) for each in problems if each.severity == "warning"] == [
        ("truth.no_pixels", "artifact speck")
    ]


def test_odd_texts_and_labels_are_told() -> None:
    truth = record(artifact(HAND))
    answer = prediction(truth, region(HAND, "misshapen"), text="<p> the hand </p> [SEG] " + "x" * 30_000)
    problems = Problems()
    score = score_image(answer, truth, problems=problems)
    assert sorted(each.code for each in problems) == [
        "prediction.label",
        "prediction.long_text",
        "prediction.marks",
    ]
    assert not problems.failed
    assert label_hits(score, "category") == [0.0]


def test_of_too_many_regions_the_first_count() -> None:
    truth = record(artifact(HAND))
    problems = Problems()
    answer = prediction(truth, *[region(FACE)] * MAX_REGIONS, region(HAND))
    score = score_image(answer, truth, problems=problems)
    assert (len(score.found), score.quality.matched) == (MAX_REGIONS, 0)
    assert [each.code for each in problems] == ["prediction.regions"]


def test_a_mask_and_its_polygons_score_alike() -> None:
    truth = record(artifact(HAND))
    polygons = prediction(truth, region(box(0, 0, 8, 9)))
    encoded = coco.encode(np.asfortranarray(to_mask([box(0, 0, 8, 9)], SIZE, SIZE).astype(np.uint8)))
    rle = Rle(size=(SIZE, SIZE), counts=encoded["counts"].decode())
    masks = prediction(truth, msgspec.structs.replace(region(HAND), polygons=(), rle=rle))
    assert score_image(masks, truth) == score_image(polygons, truth)


def test_scores_survive_their_json_to_be_put_together_elsewhere() -> None:
    records = random_records(20)
    for score in score_images(zip(shaken(records), records, strict=True)):
        line = encode_score(score)
        assert b"\n" not in line
        assert decode_score(line) == score
    with pytest.raises(FormatError):
        decode_score(b'{"image_id": 3}')


class Lengths:
    """An encoder to whom texts are alike if they are equally long."""

    name = "lengths"

    def similarity(self, pairs: list[tuple[str, str]]) -> list[float]:
        return [1.0 if len(a) == len(b) else 0.5 for a, b in pairs]


@pytest.mark.parametrize("batch", [1, 2, 7, 100])
def test_every_text_gets_its_own_similarity_whatever_the_batch(batch: int) -> None:
    records = random_records(12)
    answers = [to_prediction(each) for each in records]
    answers[4] = msgspec.structs.replace(answers[4], text="another")
    pairs = list(zip(answers, records, strict=True))
    found: list[ImageScore] = list(score_images(pairs, encoder=Lengths(), batch=batch))  # type: ignore[arg-type]
    assert [score.css for score in found] == [0.5 if n == 4 else 1.0 for n in range(12)]
    assert [[m.css for m in s.matches] for s in found] == [[1.0] * len(s.matches) for s in found]
    plain = list(score_images(pairs))
    assert all(score.css is None for score in plain)
    assert [msgspec.structs.replace(s, css=None, matches=()) for s in found] == [
        msgspec.structs.replace(s, matches=()) for s in plain
    ]
