import pytest
from scoring import random_records, shaken

from synthscars.metrics import ImageScore, bootstrap_gain, score_images, value_of
from synthscars.metrics.robustness import COMPARED, compare
from synthscars.problems import UsageError

RECORDS = random_records(40)


def middling(by: float) -> list[ImageScore]:
    return list(score_images(zip(shaken(RECORDS, by=by), RECORDS, strict=True)))


def test_each_figure_is_told_with_its_change_on_the_same_images() -> None:
    base, blurred = middling(1.0), middling(8.0)
    (found,) = compare(base, {"blur-15": blurred}, rounds=200)
    assert found.name == "blur-15"
    assert list(found.figures) == list(COMPARED)
    drop = found.figures["fg_iou"]
    assert drop.value == value_of("fg_iou", blurred)
    assert drop.change == value_of("fg_iou", blurred) - value_of("fg_iou", base)
    assert (drop.low, drop.high) == bootstrap_gain(blurred, base, "fg_iou", 0, 200)
    assert drop.low <= drop.change <= drop.high < 0
    assert found.figures["css"].value is found.figures["css"].change is None


def test_other_images_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="different images"):
        compare(middling(1.0), {"other": middling(1.0)[1:]})
