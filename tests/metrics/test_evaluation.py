from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring import SIZE, artifact, box, prediction, random_records, record, region, shaken
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    jaccard_score,
    roc_auc_score,
)

from synthscars.geometry import to_mask
from synthscars.metrics import ImageScore, decode_score, encode_score, score_image, score_images, summarize
from synthscars.metrics.evaluation import HEADLINE, Overlap
from synthscars.metrics.statistics import STATISTICS, value_of
from synthscars.predictions import to_prediction

HAND, FACE = box(0, 0, 10, 10), box(30, 30, 50, 50)


def middling(count: int = 60, seed: int = 0) -> list[ImageScore]:
    records = random_records(count, seed)
    return list(score_images(zip(shaken(records, seed), records, strict=True)))


SCORES = middling()
WHOLE = summarize(SCORES, rounds=50)


@settings(max_examples=15)
@given(st.permutations(range(len(SCORES))), st.lists(st.integers(0, len(SCORES)), max_size=5))
def test_any_split_of_the_images_into_shards_gives_the_same_bytes(order: list[int], cuts: list[int]) -> None:
    shuffled = [SCORES[index] for index in order]
    edges = [0, *sorted(cuts), len(shuffled)]
    shards = [
        # As if each shard were scored on another machine.
        [encode_score(score) for score in shuffled[start:end]]
        for start, end in pairwise(edges)
    ]
    put_together = (decode_score(line) for shard in reversed(shards) for line in shard)
    assert msgspec.json.encode(summarize(put_together, rounds=50)) == msgspec.json.encode(WHOLE)


@pytest.mark.parametrize("seed", range(3))
def test_counts_add_so_pooled_figures_are_those_of_all_pixels_together(seed: int) -> None:
    records = random_records(30, seed)
    answers = shaken(records, seed)
    true = [to_mask([r for a in each.artifacts for r in a.polygons], SIZE, SIZE) for each in records]
    seen = [to_mask([r for a in each.regions for r in a.polygons], SIZE, SIZE) for each in answers]
    flat = [[bool(pixel) for mask in masks for pixel in mask.ravel()] for masks in (true, seen)]
    scores = list(score_images(zip(answers, records, strict=True)))
    assert value_of("pooled_fg_iou", scores) == pytest.approx(jaccard_score(*flat), abs=1e-12)
    assert value_of("pooled_bg_iou", scores) == pytest.approx(
        jaccard_score(*flat, pos_label=False), abs=1e-12
    )
    total = sum((score.pixels for score in scores[1:]), scores[0].pixels)
    assert value_of("pooled_f1", scores) == total.overlap()["f1"]


def test_images_with_artifacts_are_averaged_and_clean_ones_are_told_apart() -> None:
    truth = record(artifact(HAND), image_id="annotated")
    clean = [record(image_id=f"clean-{n}") for n in range(3)]
    answers = [
        prediction(truth, region(box(0, 0, 10, 5))),
        prediction(clean[0], region(box(0, 0, 20, 20))),
        prediction(clean[1]),
        prediction(clean[2]),
    ]
    found = summarize(score_images(zip(answers, [truth, *clean], strict=True)), rounds=0)
    # A clean image that was called clean earns nothing; a false alarm costs pooled, and its own figure.
    assert found.localization.images == 1
    assert found.localization.per_image.fg_iou == 0.5
    assert found.localization.pooled.fg_iou == 50 / (100 + 400)
    assert (found.clean.images, found.clean.false_alarms, found.clean.false_alarm_rate) == (3, 1, 1 / 3)
    assert found.clean.area == pytest.approx(400 / SIZE**2 / 3)
    assert found.headline["false_alarm_rate"].value == 1 / 3


def test_saying_nothing_gains_nothing_from_clean_images() -> None:
    records = random_records(40)
    found = summarize((score_image(None, each) for each in records), rounds=0)
    assert found.localization.per_image.fg_iou == found.localization.pooled.fg_iou == 0
    assert found.localization.per_image.miou > 0.4
    assert found.images.answered == 0


def test_by_content_type_and_by_category() -> None:
    human = record(artifact(HAND, "structure"), artifact(FACE, "physics"), image_id="human")
    scene = record(artifact(FACE, "structure"), image_id="scene", content_type="scene")
    answers = [
        prediction(human, region(HAND, "structure"), region(FACE, "distortion")),
        prediction(scene),
    ]
    found = summarize(score_images(zip(answers, [human, scene], strict=True)), rounds=0)
    assert list(found.by_content_type) == ["human", "scene"]
    assert found.by_content_type["human"].per_image == Overlap(1.0, 1.0, 1.0, 1.0)
    assert found.by_content_type["scene"].per_image.fg_iou == 0.0
    assert list(found.by_category) == ["physics", "structure", "distortion"]
    structure, physics = found.by_category["structure"], found.by_category["physics"]
    assert (structure.images, structure.regions, structure.predicted) == (2, 2, 1)
    assert structure.per_image.fg_iou == 0.5
    assert structure.pooled.fg_iou == structure.covered == 100 / 500
    assert (structure.pq, structure.sq, structure.rq) == (1 / 1.5, 1.0, 1 / 1.5)
    # The face was seen, and called something else.
    assert (physics.covered, physics.found, physics.pq, physics.pooled.fg_iou) == (1.0, 1.0, 0.0, 0.0)
    assert (found.by_category["distortion"].regions, found.by_category["distortion"].predicted) == (0, 1)
    assert found.labels.category_accuracy == 0.5
    assert found.labels.confusion == {"physics": {"distortion": 1}, "structure": {"structure": 1}}
    # The mean over the categories that the truth has.
    assert found.instances.pq_categories == (1 / 1.5 + 0.0) / 2
    assert found.instances.pq == 2 / 2.5


def test_panoptic_quality_is_the_product_of_its_parts() -> None:
    whole = WHOLE.instances
    assert whole.pq == pytest.approx(whole.sq * whole.rq)
    assert whole.rq == pytest.approx(2 * whole.precision * whole.recall / (whole.precision + whole.recall))
    assert whole.sq == pytest.approx(whole.matched_iou)
    for each in WHOLE.by_category.values():
        assert each.pq == pytest.approx(each.sq * each.rq)


def test_what_a_model_never_does_has_no_figures_instead_of_bad_ones() -> None:
    truth = record(artifact(HAND))
    mute = prediction(truth, region(HAND, None))
    found = summarize([score_image(mute, truth)], rounds=10)
    assert found.localization.per_image.fg_iou == 1.0
    assert found.labels.category_accuracy is None
    assert found.labels.confusion == {}
    assert found.text.rouge_l is found.text.css is None
    assert found.detection.accuracy is found.detection.auroc is None
    assert found.instances.pq == 1.0
    assert found.instances.pq_categories is found.instances.ap.ap is None
    structure = found.by_category["structure"]
    assert (structure.covered, structure.found) == (1.0, 1.0)
    assert structure.predicted is structure.per_image.fg_iou is structure.pq is None
    assert all(found.headline[name].value is None for name in HEADLINE if name.startswith("detection_"))


@pytest.mark.parametrize("seed", range(3))
def test_detection_equals_scikit_learn(seed: int) -> None:
    scores = middling(60, seed)
    found = summarize(scores, rounds=0).detection
    truth = [score.origin == "synthetic" for score in scores]
    said = [score.synthetic for score in scores]
    called = [value >= 0.5 for value in said]
    assert len(set(said)) < len(said), "some are equal"
    assert found.accuracy == pytest.approx(accuracy_score(truth, called))
    assert found.balanced == pytest.approx(balanced_accuracy_score(truth, called))
    assert found.ap == pytest.approx(average_precision_score(truth, said))
    assert found.auroc == pytest.approx(roc_auc_score(truth, said))


def test_detection_by_generator_is_against_all_real_images() -> None:
    def image(name: str, probability: float | None, generator: str = "", origin: str = "synthetic"):
        found = ImageScore(image_id=name, width=1, height=1, judged=False, generator=generator)
        return msgspec.structs.replace(found, origin=origin, synthetic=probability)

    scores = [
        image("a", 0.9, "good"),
        image("b", 0.8, "good"),
        image("c", 0.2, "hard"),
        image("d", None, "hard"),
        image("e", 0.4, origin="real"),
        image("f", 0.6, origin="real"),
    ]
    found = summarize(scores, rounds=0).detection
    assert (found.synthetic, found.real, found.undecided) == (4, 2, 1)
    assert found.accuracy == 3 / 6
    assert (found.real_accuracy, found.balanced) == (0.5, 0.5)
    assert (found.by_generator["good"].accuracy, found.by_generator["good"].auroc) == (1.0, 1.0)
    # 0.2 is below both; without a probability it is as likely as not: above one, below the other.
    assert (found.by_generator["hard"].accuracy, found.by_generator["hard"].auroc) == (0.0, 0.25)


def test_where_all_are_generated_nothing_can_be_ranked() -> None:
    records = [each for each in random_records(10) if each.origin == "synthetic"]
    found = summarize((score_image(to_prediction(each), each) for each in records), rounds=10)
    assert found.detection.accuracy == 1.0
    assert found.detection.ap is found.detection.auroc is found.detection.balanced is None
    assert found.headline["detection_ap"].value is None


def test_texts_are_told_apart_by_whether_there_was_something_to_say() -> None:
    records = [record(artifact(HAND), image_id="a"), record(image_id="b")]
    answers = [to_prediction(records[0]), prediction(records[1], text="something else entirely")]
    found = summarize(score_images(zip(answers, records, strict=True)), rounds=0).text
    assert found.rouge_l == found.phrase_rouge_l == found.explanation_rouge_l == 1.0
    assert found.clean_rouge_l == 0.0


def test_every_headline_figure_lies_in_its_interval() -> None:
    for name, figure in WHOLE.headline.items():
        if "css" in name:  # no encoder
            assert figure.value is None
            continue
        assert figure.low <= figure.value <= figure.high, name
    assert set(HEADLINE) <= set(STATISTICS)


def test_nothing_at_all_can_be_summed_up() -> None:
    found = summarize([])
    assert found.images.total == 0
    assert found.localization.per_image.fg_iou is None
    assert found.localization.pooled.miou is None
