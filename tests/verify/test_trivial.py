"""Answers that need no model, against the plainest way to compute each."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from pycocotools import mask as coco
from rouge_score.rouge_scorer import RougeScorer
from verifying import HEIGHT, WIDTH, toys

from synthscars.geometry import to_mask
from synthscars.metrics import score_image, value_of
from synthscars.predictions import Prediction
from synthscars.records import ImageRecord
from synthscars.verify.inputs import nearest
from synthscars.verify.trivial import (
    BLIND,
    GRID,
    MeanMask,
    copied,
    majority_caption,
    nearest_answer,
    nearest_within,
    trivial_answers,
    typical_caption,
)

PAIRS = toys(train=40, test=20)
TRAIN = [record for record, _ in PAIRS if record.split == "train"]
TEST = [record for record, _ in PAIRS if record.split == "test"]


def mask_of(prediction: Prediction) -> np.ndarray:
    """The union of a prediction's regions, decoded."""
    mask = np.zeros((prediction.height, prediction.width), dtype=bool)
    for region in prediction.regions:
        if region.rle is not None:
            rle = {"size": list(region.rle.size), "counts": region.rle.counts.encode()}
            mask |= coco.decode(rle).astype(bool)
        mask |= to_mask(region.polygons, prediction.width, prediction.height)
    return mask


def truth(record: ImageRecord, width: int = 0, height: int = 0) -> np.ndarray:
    width, height = width or record.width, height or record.height
    factors = (width / record.width, height / record.height)
    rings = [
        [value * factors[place % 2] for place, value in enumerate(ring)]
        for artifact in record.artifacts
        for ring in artifact.polygons
    ]
    return to_mask(rings, width, height)


ANSWERS = {answer.name: answer for answer in trivial_answers(TRAIN, seed=0)}


def figure(say: object, metric: str) -> float:
    scores = [score_image(say(record), record) for record in TEST]  # type: ignore[operator]
    return value_of(metric, scores) or 0.0


def test_the_blind_answers_are_those_that_are_listed() -> None:
    assert tuple(ANSWERS) == BLIND


def test_an_empty_mask_finds_nothing_and_has_half_of_the_miou() -> None:
    say = ANSWERS["all_background"].say
    assert figure(say, "fg_iou") == figure(say, "pooled_f1") == 0
    assert 0.45 < figure(say, "miou") < 0.5


def test_a_full_mask_has_the_share_that_artifacts_cover() -> None:
    say = ANSWERS["all_foreground"].say
    shares = [truth(record).mean() for record in TEST if record.artifacts]
    assert figure(say, "fg_iou") == pytest.approx(np.mean(shares))
    share = sum(truth(record).sum() for record in TEST) / (len(TEST) * WIDTH * HEIGHT)
    assert figure(say, "pooled_f1") == pytest.approx(2 * share / (1 + share))


def test_the_mean_mask_is_the_mean_and_its_threshold_the_best_of_all_on_train() -> None:
    masks = np.array([truth(record, GRID, GRID) for record in TRAIN])
    mean = MeanMask(TRAIN)
    assert mean.share == pytest.approx(masks.mean(axis=0))

    def quality(threshold: float) -> float:
        answer = masks.mean(axis=0) >= threshold
        ious = [(each & answer).sum() / (each | answer).sum() for each in masks if each.any()]
        shared = sum((each & answer).sum() for each in masks)
        return float(np.mean(ious)) + 2 * shared / (len(masks) * answer.sum() + masks.sum())

    levels = np.unique(masks.mean(axis=0))
    assert len(levels) < 48  # else some are passed over
    assert quality(mean.threshold) == pytest.approx(max(map(quality, levels[levels > 0])))


def test_the_mean_mask_fits_an_image_of_any_size() -> None:
    mean = MeanMask(TRAIN)
    for width, height in ((WIDTH, HEIGHT), (640, 480), (7, 5), (64, 64)):
        record = ImageRecord(image_id="i", file_name="f", width=width, height=height)
        mask = mask_of(mean.say(record))
        rows, columns = np.arange(height) * GRID // height, np.arange(width) * GRID // width
        assert np.array_equal(mask, mean.grid[np.ix_(rows, columns)])


def test_without_any_artifact_the_mean_mask_is_empty() -> None:
    clean = [record for record in TRAIN if not record.artifacts]
    assert not MeanMask(clean).grid.any()
    assert not MeanMask([]).grid.any()


def test_each_content_type_has_its_own_mean_mask() -> None:
    say = ANSWERS["mean_mask_by_content_type"].say
    for kind in ("object", "scene"):
        own = MeanMask([record for record in TRAIN if record.content_type == kind])
        record = next(record for record in TEST if record.content_type == kind)
        assert np.array_equal(mask_of(say(record)), mask_of(own.say(record)))


def test_the_majority_caption_is_the_most_frequent_and_the_first_of_equals() -> None:
    assert majority_caption(["b", "a", "b", "c"]) == "b"
    assert majority_caption(["b", "a"]) == "a"
    assert majority_caption([]) == ""


def test_the_typical_caption_has_the_highest_mean_rouge_l_of_all() -> None:
    captions = [record.caption for record in TRAIN if record.artifacts][:9]
    scorer = RougeScorer(["rougeL"])
    means = {
        text: np.mean([scorer.score(other, text)["rougeL"].fmeasure for other in captions])
        for text in captions
    }
    assert means[typical_caption(captions, seed=0)] == pytest.approx(max(means.values()))
    assert typical_caption([], seed=0) == ""


def test_the_nearest_image_is_that_of_the_smallest_difference() -> None:
    rng = np.random.default_rng(0)
    looks, among = (rng.random((count, 192)).astype(np.float32) for count in (9, 30))
    expected = [int(np.argmin(((among - look) ** 2).sum(axis=1))) for look in looks]
    assert list(nearest(looks, among)) == expected
    assert list(nearest(looks, among[:0])) == [-1] * len(looks)


def test_what_is_copied_is_scaled_to_the_image() -> None:
    source = next(record for record in TRAIN if record.artifacts)
    larger = ImageRecord(image_id="i", file_name="f", width=2 * WIDTH, height=3 * HEIGHT)
    found = copied(source, larger)
    assert np.array_equal(mask_of(found), truth(source, 2 * WIDTH, 3 * HEIGHT))
    assert found.text == source.caption


def test_within_train_no_image_is_answered_by_one_of_its_own_group() -> None:
    rng = np.random.default_rng(0)
    first = rng.random((len(TRAIN), 192)).astype(np.float32)
    looks = first.copy()
    looks[1] = looks[0]  # a twin, but of the same group
    records = [
        msgspec.structs.replace(record, group_id=f"g{max(1, number)}") for number, record in enumerate(TRAIN)
    ]
    answers = dict(enumerate(prediction for _, prediction in nearest_within(records, looks, range(3))))
    others = [int(np.argmin(((looks[2:] - looks[0]) ** 2).sum(axis=1))) + 2]
    assert answers[0].text == answers[1].text == records[others[0]].caption


def test_the_nearest_answer_says_what_is_known_of_that_image() -> None:
    rng = np.random.default_rng(0)
    looks = rng.random((len(TRAIN), 192)).astype(np.float32)
    answer = nearest_answer(TRAIN, looks, TEST[:5], looks[[7, 3, 3, 0, 11]])
    assert [answer.say(record).text for record in TEST[:5]] == [
        TRAIN[number].caption for number in (7, 3, 3, 0, 11)
    ]
    assert Counter(answer.metrics) == Counter(["fg_iou", "pooled_f1", "rouge_l"])
