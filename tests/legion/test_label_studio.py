"""A prediction in Label Studio's words: faithful outlines of few points, and nothing that it refuses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from synthscars.caption import compose
from synthscars.converters.labelstudio import read
from synthscars.geometry import to_mask
from synthscars.labelstudio.interface import label_config
from synthscars.legion.label_studio import FAITHFUL, outline, to_answer
from synthscars.predictions import PredictedRegion, Prediction, Rle
from synthscars.problems import FormatError, Problems
from synthscars.simulate import simulate_image
from synthscars.taxonomy import load_taxonomy

IMAGE_ID = "ab" * 32
Mask = npt.NDArray[np.bool_]


def rle(mask: Mask) -> Rle:
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return Rle(size=mask.shape, counts=encoded["counts"].decode())


def iou(first: Mask, second: Mask) -> float:
    """A literal reading of intersection over union, on pixels."""
    return float((first & second).sum() / (first | second).sum())


def ellipse(height: int, width: int, x: float, y: float, across: float, down: float) -> Mask:
    rows, columns = np.mgrid[:height, :width]
    found: Mask = ((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 < 1
    return found


def drawn(rings: tuple[tuple[float, ...], ...], mask: Mask) -> Mask:
    return to_mask(rings, mask.shape[1], mask.shape[0])


def prediction(*regions: PredictedRegion, text: str = "") -> Prediction:
    return Prediction(image_id=IMAGE_ID, width=64, height=48, text=text, regions=regions)


SQUARE = (8.0, 8.0, 32.0, 8.0, 32.0, 32.0, 8.0, 32.0)
HAND = PredictedRegion(
    phrase="the left hand",
    explanation="It has six fingers.",
    category="structure",
    subtype="incomplete_redundant",
    polygons=(SQUARE,),
    score=0.75,
)


def validated(result: list[dict[str, Any]], score: float | None) -> list[str]:
    """What Label Studio's own check has to say; one complaint makes it refuse all tasks of a request."""
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface
    whole = {"result": result, "score": score, "model_version": "m"}
    complaints: list[str] = interface(label_config(load_taxonomy())).validate_prediction(
        whole, return_errors=True
    )
    return complaints


def test_shape_phrase_explanation_and_subtype_share_the_region_id() -> None:
    answer = to_answer(prediction(HAND))
    by_control = {item["from_name"]: item for item in answer.result}
    assert set(by_control) == {"category", "phrase", "explanation", "subtype_structure"}
    assert len({item["id"] for item in answer.result}) == 1
    assert by_control["category"]["value"]["polygonlabels"] == ["structure"]
    assert by_control["category"]["value"]["points"][:2] == [[12.5, 100 / 6], [50, 100 / 6]]
    assert by_control["phrase"]["value"]["text"] == ["the left hand"]
    assert by_control["explanation"]["value"]["text"] == ["It has six fingers."]
    assert by_control["subtype_structure"]["value"]["choices"] == ["incomplete_redundant"]
    assert by_control["category"]["score"] == answer.score == 0.75


def test_the_same_prediction_gives_the_same_ids_and_regions_never_share_one() -> None:
    twice = [to_answer(prediction(HAND, HAND)) for _ in range(2)]
    assert twice[0] == twice[1]
    assert len({item["id"] for item in twice[0].result}) == 2


def test_what_an_expert_accepts_is_pulled_as_what_was_predicted() -> None:
    text = compose("A man waves", [(HAND.phrase, HAND.explanation)])
    answer = to_answer(prediction(HAND, text=text))
    data = {"image": "/data/x.png", "image_id": IMAGE_ID, "width": 64, "height": 48}
    task = {"data": data, "annotations": [{"id": 1, "completed_by": 7, "result": answer.result}]}
    problems = Problems()
    (record,) = read([task], problems)
    assert not problems.failed
    (artifact,) = record.artifacts
    assert (artifact.phrase, artifact.explanation) == (HAND.phrase, HAND.explanation)
    assert (artifact.category, artifact.subtype) == (HAND.category, HAND.subtype)
    assert artifact.polygons[0] == pytest.approx(SQUARE)
    assert record.reviews[0].scene == "A man waves"
    assert record.reviews[0].status == "annotated"


def test_that_an_image_is_clean_is_not_answered_for_the_expert() -> None:
    answer = to_answer(prediction(text=compose("A lake", [])))
    assert [item["from_name"] for item in answer.result] == ["scene"]
    assert answer.score is None


def test_the_score_is_the_mean_of_the_regions_scores() -> None:
    unknown = PredictedRegion(polygons=(SQUARE,), score=float("nan"))
    sure = PredictedRegion(polygons=(SQUARE,), score=1.5)
    assert to_answer(prediction(HAND, unknown, sure)).score == pytest.approx((0.75 + 1.0) / 2)


class TestLabelStudioRefusesNothing:
    """One label that it does not know would cost all tasks of the request their predictions."""

    @pytest.mark.parametrize(
        "region",
        [
            HAND,
            PredictedRegion(polygons=(SQUARE,)),
            PredictedRegion(polygons=(SQUARE,), category="nonsense", subtype="deformed"),
            PredictedRegion(polygons=(SQUARE,), category="physics", subtype="deformed"),
            PredictedRegion(polygons=(SQUARE,), subtype="deformed", phrase="\n a\tb ", score=2.0),
            PredictedRegion(polygons=((1.0, 1.0, 2.0, 2.0),)),
            PredictedRegion(polygons=((float("nan"), 1.0, 2.0, 2.0, 3.0, 9.0),)),
            PredictedRegion(),
        ],
    )
    def test_whatever_a_model_says(self, region: PredictedRegion) -> None:
        answer = to_answer(prediction(region))
        assert validated(answer.result, answer.score) == []
        json.dumps(answer.result, allow_nan=False)

    def test_a_region_without_a_known_category_waits_for_one(self) -> None:
        (shape,) = to_answer(prediction(PredictedRegion(polygons=(SQUARE,), category="nonsense"))).result
        assert shape["value"]["polygonlabels"] == []

    def test_the_category_may_come_from_the_subtype_alone(self) -> None:
        shape = to_answer(prediction(PredictedRegion(polygons=(SQUARE,), subtype="deformed"))).result[0]
        assert shape["value"]["polygonlabels"] == ["structure"]


class TestOutlinesOfMasks:
    def test_cover_the_mask_with_few_points(self) -> None:
        mask = ellipse(512, 640, 300, 200, 120, 60)
        (ring,) = outline(PredictedRegion(rle=rle(mask)), 640, 512)
        assert len(ring) // 2 <= 30
        assert iou(drawn((ring,), mask), mask) >= FAITHFUL

    @pytest.mark.parametrize("size", [1, 2, 3, 6])
    def test_also_of_a_few_pixels(self, size: int) -> None:
        mask = np.zeros((48, 64), dtype=np.bool_)
        mask[10 : 10 + size, 20 : 20 + size] = True
        rings = outline(PredictedRegion(rle=rle(mask)), 64, 48)
        assert iou(drawn(rings, mask), mask) >= FAITHFUL

    def test_of_simulated_artifacts(self) -> None:
        record = next(
            record for index in range(9) if (record := simulate_image(seed=3, index=index).record).artifacts
        )
        for artifact in record.artifacts:
            mask = to_mask(artifact.polygons, record.width, record.height)
            rings = outline(PredictedRegion(rle=rle(mask)), record.width, record.height)
            assert iou(drawn(rings, mask), mask) >= FAITHFUL - 0.02
            assert sum(map(len, rings)) // 2 <= 60 * len(artifact.polygons)

    def test_leave_specks_out_and_fill_pinholes(self) -> None:
        mask = ellipse(200, 200, 80, 80, 50, 40)
        spotted = mask.copy()
        spotted[70:74, 70:74] = False
        spotted[190, 190] = True
        (ring,) = outline(PredictedRegion(rle=rle(spotted)), 200, 200)
        assert iou(drawn((ring,), mask), mask) >= FAITHFUL

    def test_keep_a_large_hole_open(self) -> None:
        mask = ellipse(200, 200, 100, 100, 80, 80) & ~ellipse(200, 200, 100, 100, 60, 60)
        rings = outline(PredictedRegion(rle=rle(mask)), 200, 200)
        assert iou(drawn(rings, mask), mask) >= FAITHFUL - 0.02

    def test_keep_two_large_parts_which_are_one_artifact_when_they_are_pulled(self) -> None:
        mask = ellipse(48, 64, 15, 20, 10, 10) | ellipse(48, 64, 45, 20, 10, 10)
        region = PredictedRegion(phrase="the eyes", explanation="Odd.", category="structure", rle=rle(mask))
        answer = to_answer(prediction(region))
        data = {"image": "/data/x.png", "image_id": IMAGE_ID, "width": 64, "height": 48}
        task = {"data": data, "annotations": [{"id": 1, "completed_by": 7, "result": answer.result}]}
        (record,) = read([task], Problems())
        (artifact,) = record.artifacts
        assert len(artifact.polygons) == 2

    def test_refuse_a_mask_of_another_image(self) -> None:
        with pytest.raises(FormatError, match="64 x 48"):
            outline(PredictedRegion(rle=rle(np.ones((4, 4), dtype=np.bool_))), 64, 48)

    def test_of_nothing_are_none_and_such_regions_are_counted(self) -> None:
        nothing = PredictedRegion(rle=rle(np.zeros((48, 64), dtype=np.bool_)))
        assert outline(nothing, 64, 48) == ()
        answer = to_answer(prediction(HAND, nothing))
        assert answer.left_out == 1
        assert answer.result == to_answer(prediction(HAND)).result

    @given(
        st.lists(
            st.tuples(st.floats(0, 64), st.floats(0, 48), st.floats(1, 30), st.floats(1, 30)),
            min_size=1,
            max_size=4,
        )
    )
    def test_stay_on_the_image_and_lose_no_more_than_specks_and_holes(
        self, blobs: list[tuple[float, float, float, float]]
    ) -> None:
        mask = np.logical_or.reduce([ellipse(48, 64, *blob) for blob in blobs])
        rings = outline(PredictedRegion(rle=rle(mask)), 64, 48)
        assert bool(rings) == bool(mask.any())
        for ring in rings:
            assert min(ring) >= 0
            assert max(ring[::2]) <= 64
            assert max(ring[1::2]) <= 48
        if mask.any():
            # Specks are 5 % at most each of the largest part, holes 25 % of what is around them.
            assert iou(drawn(rings, mask), mask) >= 0.7


def test_polygons_stay_as_they_are_but_for_what_leaves_the_image() -> None:
    region = PredictedRegion(polygons=(SQUARE, (50.0, 10.0, 80.0, 10.0, 80.0, 20.0, 50.0, 20.0)))
    first, second = outline(region, 64, 48)
    assert first == SQUARE
    assert max(second[::2]) == 64
