import numpy as np
import pytest

from synthscars import geometry
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.simulate.raters import Imperfection, rate


@pytest.fixture
def truth():
    ring = (10.0, 10.0, 60.0, 12.0, 55.0, 70.0, 8.0, 64.0)
    artifact = Artifact(
        artifact_id="t",
        category="structure",
        subtype="deformed",
        polygons=(ring,),
        phrase="the wheel",
        explanation="It is not round.",
        rater_id="truth",
    )
    return ImageRecord(
        image_id="0" * 64,
        file_name="x.png",
        width=100,
        height=80,
        content_type="object",
        status="annotated",
        artifacts=(artifact,),
        reviews=(Review(rater_id="truth", status="annotated", scene="A wheel"),),
    )


def test_a_perfect_rater_gives_the_truth_back(truth):
    review, drawn = rate(truth, np.random.default_rng(0), Imperfection(jitter=0, miss=0, invent=0))
    assert (review.status, review.content_type, review.scene) == ("annotated", "object", "A wheel")
    assert drawn[0].polygons == truth.artifacts[0].polygons
    assert (drawn[0].phrase, drawn[0].explanation) == ("the wheel", "It is not round.")


def test_a_rater_who_misses_everything_says_clean(truth):
    review, drawn = rate(truth, np.random.default_rng(0), Imperfection(miss=1, invent=0))
    assert (review.status, drawn) == ("clean", ())


def test_outlines_are_jittered_valid_and_close_to_the_truth(truth):
    for seed in range(50):
        _, drawn = rate(truth, np.random.default_rng(seed), Imperfection(miss=0, invent=1))
        assert drawn[0].polygons != truth.artifacts[0].polygons
        assert len(drawn) == 2
        for artifact in drawn:
            assert list(geometry.ring_faults(artifact.polygons[0], 100, 80)) == []
        masks = [geometry.to_rle(a.polygons, 100, 80) for a in (truth.artifacts[0], drawn[0])]
        assert geometry.rle_iou(masks[:1], masks[1:])[0, 0] > 0.8


def test_the_rates_of_errors_are_those_asked_for(truth):
    rng = np.random.default_rng(1)
    answers = [rate(truth, rng, Imperfection(miss=0.25, invent=0.1))[1] for _ in range(1000)]
    missed = sum(not any(a.phrase == "the wheel" for a in drawn) for drawn in answers) / 1000
    invented = sum(any(a.phrase != "the wheel" for a in drawn) for drawn in answers) / 1000
    assert missed == pytest.approx(0.25, abs=0.05)
    assert invented == pytest.approx(0.1, abs=0.04)


def test_the_same_seed_gives_the_same_answer(truth):
    assert rate(truth, np.random.default_rng(3)) == rate(truth, np.random.default_rng(3))
