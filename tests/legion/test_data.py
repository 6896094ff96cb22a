"""Scaling and augmentation: outlines stay on what they outline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from synthscars.geometry import to_mask
from synthscars.legion.data import augmented, example_of, mask_of, scene_of, uncropped
from synthscars.legion.dataset import packed, relabelled, shuffled, unpacked
from synthscars.release.features import to_row
from synthscars.simulate import simulate_image

SIDE = 256


def painted(width: int, height: int, ring: list[float], **values: Any) -> dict[str, Any]:
    """A black image on the canvas with one white region, which its ring outlines."""
    image = Image.new("RGB", (SIDE, SIDE))
    ImageDraw.Draw(image).polygon(list(zip(ring[::2], ring[1::2], strict=True)), fill="white")
    return {
        "pixels": np.asarray(image).copy(),
        "width": width,
        "height": height,
        "image_id": "i",
        "scene": "A thing on the left",
        "content_type": "object",
        "synthetic": 1,
        "answered": 1,
        "phrases": ["the left corner"],
        "explanations": ["It lies right of the left edge."],
        "subtypes": ["deformed"],
        "rings": [[ring]],
        **values,
    }


@pytest.mark.parametrize("seed", range(30))
def test_augmentation_moves_the_outline_with_the_picture(seed: int) -> None:
    example = painted(256, 200, [90, 60, 160, 70, 150, 130, 100, 140])
    found = augmented(example, np.random.default_rng(seed))
    if not found["rings"]:
        return
    white = found["pixels"].mean(axis=2) > 128
    outlined = to_mask(found["rings"][0], SIDE, SIDE)
    both, either = (white & outlined).sum(), (white | outlined).sum()
    assert both / either > 0.93


@pytest.mark.parametrize("seed", range(30))
def test_a_crop_of_a_larger_picture_is_not_blown_up(seed: int) -> None:
    larger = uncropped(192)
    assert larger == 256
    example = painted(256, 200, [90, 60, 160, 70, 150, 130, 100, 140])
    found = augmented(example, np.random.default_rng(seed), 192)
    assert found["pixels"].shape == (192, 192, 3)
    assert (found["width"], found["height"]) == (192, 150)
    if not found["rings"]:
        return
    white = found["pixels"].mean(axis=2) > 128
    outlined = to_mask(found["rings"][0], 192, 192)
    assert (white & outlined).sum() / (white | outlined).sum() > 0.93
    # Edges stay sharp: hardly any pixel is neither black nor white.
    grey = np.abs(found["pixels"].mean(axis=2) - 128) < 90
    assert grey.sum() < 0.12 * outlined.sum()


def test_mirrored_pictures_swap_left_and_right_in_their_texts() -> None:
    example = painted(256, 256, [20, 100, 60, 100, 60, 140, 20, 140])
    seen = set()
    for seed in range(20):
        found = augmented(example, np.random.default_rng(seed))
        if found["rings"]:
            on_the_left = np.mean(found["rings"][0][0][::2]) < 128
            assert found["phrases"] == [f"the {'left' if on_the_left else 'right'} corner"]
            assert (found["scene"] == "A thing on the left") is bool(on_the_left)
            seen.add(bool(on_the_left))
    assert seen == {True, False}


def test_pictures_with_wrong_writing_are_never_mirrored() -> None:
    example = painted(256, 256, [20, 100, 60, 100, 60, 140, 20, 140], subtypes=["text_distortion"])
    phrases = {tuple(augmented(example, np.random.default_rng(seed))["phrases"]) for seed in range(20)}
    assert phrases <= {("the left corner",), ()}


def test_a_region_that_the_crop_cuts_away_takes_its_words_along() -> None:
    example = painted(256, 256, [0, 0, 12, 0, 12, 12, 0, 12])
    counts = set()
    for seed in range(40):
        found = augmented(example, np.random.default_rng(seed))
        texts = [found[name] for name in ("phrases", "explanations", "subtypes", "rings")]
        assert len({len(each) for each in texts}) == 1
        counts.add(len(found["rings"]))
    assert counts == {0, 1}


def test_a_row_of_a_release_becomes_an_example_on_the_canvas() -> None:
    simulated = next(
        each for each in (simulate_image(0, number) for number in range(9)) if each.record.artifacts
    )
    record = simulated.record
    row = to_row(record, simulated.data)
    example = example_of(row, SIDE)
    assert example["scene"] == scene_of(record)
    assert example["phrases"] == [artifact.phrase for artifact in record.artifacts]
    longer = max(record.width, record.height)
    assert (example["width"], example["height"]) == (
        round(record.width * SIDE / longer),
        round(record.height * SIDE / longer),
    )
    for rings, artifact in zip(example["rings"], record.artifacts, strict=True):
        share = to_mask(artifact.polygons, record.width, record.height).sum() / longer**2
        assert mask_of(rings, SIDE, 96).mean() == pytest.approx(share, rel=0.15)


def test_a_cell_of_a_mask_is_the_share_of_it_that_is_covered() -> None:
    mask = mask_of([[0.0, 0.0, 128.0, 0.0, 128.0, 64.0, 0.0, 64.0]], 256, 4)
    np.testing.assert_allclose(mask, [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], atol=0.02)


def test_what_the_cache_keeps_is_what_went_in() -> None:
    simulated = simulate_image(0, 1)
    row = to_row(simulated.record, simulated.data)
    example, again = example_of(row, SIDE), unpacked(packed(row, SIDE))
    np.testing.assert_array_equal(example["pixels"], again["pixels"])
    assert {name: again[name] for name in example if name != "pixels"} == {
        name: value for name, value in example.items() if name != "pixels"
    }


@pytest.mark.parametrize("count", [2, 3, 50])
def test_shuffled_labels_are_never_an_image_s_own_and_all_are_given_once(count: int) -> None:
    given = shuffled(count, 3)
    assert sorted(given) == list(range(count))
    assert all(index != other for index, other in enumerate(given))
    assert given == shuffled(count, 3)


def test_labels_of_another_image_are_stretched_to_this_one() -> None:
    here = painted(256, 128, [10, 10, 20, 10, 20, 20], scene="here")
    there = painted(128, 256, [64, 128, 128, 128, 128, 256], scene="there")
    mixed = relabelled(here, there)
    assert mixed["scene"] == "there"
    assert mixed["rings"] == [[[128, 64, 256, 64, 256, 128]]]
    np.testing.assert_array_equal(mixed["pixels"], here["pixels"])
