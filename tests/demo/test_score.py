import msgspec
import pytest

from synthscars.demo.score import score
from synthscars.problems import ReleaseError
from synthscars.records import Artifact, ImageRecord


def square(name, x, phrase="the sign", category="structure"):
    ring = (x, 10.0, x + 20, 10.0, x + 20, 30.0, x, 30.0)
    return Artifact(
        artifact_id=name,
        category=category,
        subtype="text_distortion",
        polygons=(ring,),
        phrase=phrase,
        explanation="Scrambled.",
    )


def image(name, *artifacts):
    return ImageRecord(image_id=name, file_name=name, width=100, height=50, artifacts=artifacts)


TRUTH = {"a": image("a", square("one", 10.0), square("two", 60.0)), "b": image("b")}


def test_an_equal_release_has_everything():
    result = score(TRUTH.values(), TRUTH)
    assert (result.images, result.known, result.matched, result.invented) == (2, 2, 2, 0)
    assert (result.mean_iou, result.texts_equal, result.subtypes_equal) == (1.0, 2, 2)
    assert result.missing == ()


def test_a_shifted_outline_and_a_changed_text_are_seen():
    # Squares of side 20 shifted by 5: IoU 15 / 25.
    result = score([image("a", square("x", 15.0, phrase="the Sign"), square("two", 60.0))], TRUTH)
    assert result.mean_iou == pytest.approx((15 / 25 + 1) / 2)
    assert (result.matched, result.texts_equal) == (2, 1)


def test_missing_and_invented_artifacts_are_counted_and_named():
    result = score([image("a", square("x", 10.0)), image("b", square("y", 10.0))], TRUTH)
    assert (result.matched, result.invented) == (1, 1)
    assert result.missing == (("a", "two"),)


def test_artifacts_of_an_image_that_the_release_left_out_are_missing():
    result = score([image("b")], TRUTH)
    assert result.missing == (("a", "one"), ("a", "two"))
    assert result.mean_iou == 0


def test_another_category_is_not_a_match():
    wrong = msgspec.structs.replace(TRUTH["a"].artifacts[0], category="physics")
    result = score([image("a", wrong)], TRUTH)
    assert (result.matched, result.invented) == (0, 1)


def test_an_image_that_the_truth_does_not_know_is_refused():
    with pytest.raises(ReleaseError, match="the first is c"):
        score([image("c")], TRUTH)
