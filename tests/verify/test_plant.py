"""Planting label errors: so many, of the kind that is said, and nothing else changes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verifying import toy

from synthscars.caption import parse
from synthscars.geometry import rle_iou, to_rle
from synthscars.verify.plant import plant_errors

TRUTH = [toy(number, "train", clean=number % 8 == 7)[0] for number in range(64)]


@settings(max_examples=20, deadline=None)
@given(masks=st.floats(0, 0.3), texts=st.floats(0, 0.3), seed=st.integers(0, 2**32))
def test_only_what_is_named_changes_and_in_the_way_that_is_named(
    masks: float, texts: float, seed: int
) -> None:
    records, planted = plant_errors(TRUTH, masks=masks, texts=texts, seed=seed)
    count = sum(len(record.artifacts) for record in TRUTH)
    for kind, share in (("mask", masks), ("text", texts)):
        assert abs(list(planted.values()).count(kind) - share * count) <= 2
    for before, after in zip(TRUTH, records, strict=True):
        for old, new in zip(before.artifacts, after.artifacts, strict=True):
            kind = planted.get((before.image_id, old.artifact_id))
            same_texts = (old.phrase, old.explanation) == (new.phrase, new.explanation)
            assert (old.polygons == new.polygons) == (kind != "mask")
            assert same_texts == (kind != "text")
            if kind == "mask":
                masks_of = [to_rle(each.polygons, before.width, before.height) for each in (old, new)]
                assert rle_iou(masks_of[:1], masks_of[1:])[0, 0] <= 0.3


def test_what_is_swapped_comes_from_another_image_and_nothing_is_lost() -> None:
    records, planted = plant_errors(TRUTH, masks=0.2, texts=0.2, seed=0)
    for of in (lambda each: each.polygons, lambda each: (each.phrase, each.explanation)):
        before, after = (
            sorted(of(each) for record in group for each in record.artifacts) for group in (TRUTH, records)
        )
        assert before == after
    assert planted


def test_captions_say_what_the_artifacts_say_now() -> None:
    records, planted = plant_errors(TRUTH, masks=0, texts=0.3, seed=0)
    changed = {image for image, _ in planted}
    for before, after in zip(TRUTH, records, strict=True):
        if after.image_id not in changed:
            assert after == before
            continue
        found = parse(after.caption, [each.phrase for each in after.artifacts])
        assert found.items == tuple((each.phrase, each.explanation) for each in after.artifacts)
        assert found.scene == parse(before.caption, [each.phrase for each in before.artifacts]).scene


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_plants_the_same(seed: int) -> None:
    assert plant_errors(TRUTH, seed=seed) == plant_errors(TRUTH, seed=seed)
    assert plant_errors(TRUTH, seed=seed)[1] != plant_errors(TRUTH, seed=seed + 7)[1]


def test_nothing_is_planted_where_there_is_no_partner() -> None:
    alone = [record for record in TRUTH if record.artifacts][:1]
    assert plant_errors(alone, masks=1, texts=0) == (alone, {})
    assert plant_errors([], masks=1) == ([], {})
