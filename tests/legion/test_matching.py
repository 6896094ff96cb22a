"""Words that do not belong to their region are found, whichever of both was changed."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_legion import untrained

from synthscars.legion import Predictor
from synthscars.legion.matching import FOLDS, MODELS, can_match, misfits, seen_at_regions, words_of
from synthscars.records import Artifact, ImageRecord

KINDS = 12


def regions(count: int, seed: int = 0) -> tuple[np.ndarray, list[list[int]]]:
    """Regions of some kinds that look alike but for noise, and are told of in two of its four words."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, KINDS, count)
    looks = rng.normal(0, 1, (KINDS, 20))
    seen = looks[kinds] + rng.normal(0, 0.7, (count, 20))
    words = [[0, *sorted(1 + 4 * kind + rng.choice(4, 2, replace=False))] for kind in kinds.tolist()]
    return seen.astype(np.float32), words


def swapped(words: list[list[int]], count: int) -> list[list[int]]:
    """The first ones with the words of another kind."""
    given = list(words)
    for number in range(count):
        other = next(each for each in words[count:] if each[1] // 4 != words[number][1] // 4)
        given[number] = other
    return given


@pytest.mark.parametrize("seed", range(3))
def test_nine_of_ten_swapped_texts_are_in_the_first_tenth(seed: int) -> None:
    seen, words = regions(600, seed)
    found = misfits(seen, swapped(words, 30), [str(number) for number in range(600)], seed=seed)
    first = set(np.argsort(-found)[:60].tolist())
    assert len(first & set(range(30))) >= 27


def test_no_label_vouches_for_itself() -> None:
    """An error that is made again in every image of a group is found as if it were made once."""
    seen, words = regions(400)
    given = swapped(words, 1)
    seen = np.concatenate([seen, seen[:1].repeat(40, axis=0)])
    given += [given[0]] * 40
    groups = [str(number) for number in range(400)]
    apart = misfits(seen, given, groups + ["0"] * 40)
    together = misfits(seen, given, groups + [f"copy {number}" for number in range(40)])
    assert apart[0] > together[0] + 1
    assert np.mean(apart > apart[0]) < 0.12


def test_the_same_input_and_seed_give_the_same_and_leave_other_randomness_alone() -> None:
    seen, words = regions(60)
    groups = [str(number % 20) for number in range(60)]
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    steps: list[int] = []
    first = misfits(seen, words, groups, seed=1, advance=steps.append)
    assert torch.equal(torch.rand(1), expected)
    assert sum(steps) == FOLDS * MODELS
    assert np.array_equal(first, misfits(seen, words, groups, seed=1))
    assert not np.array_equal(first, misfits(seen, words, groups, seed=2))


def test_a_model_that_went_astray_gives_numbers_all_the_same() -> None:
    seen, words = regions(40)
    seen[3], seen[:, 1] = np.nan, np.inf
    found = misfits(seen, words, [str(number) for number in range(40)])
    assert np.isfinite(found).all()


@pytest.mark.parametrize("groups", [["a"] * 8, ["a", "b"] * 4])
def test_few_groups_are_no_error(groups: list[str]) -> None:
    seen, words = regions(8)
    found = misfits(seen, words, groups)
    assert found.shape == (8,)
    assert np.isfinite(found).all()
    if len(set(groups)) == 1:
        assert not found.any()


# What is seen


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(untrained(tmp_path_factory.mktemp("model")))


def box(x: float, y: float, side: float, **fields: str) -> Artifact:
    told = {"artifact_id": f"{x} {y}", "phrase": "the left hand", **fields}
    return Artifact(polygons=((x, y, x + side, y, x + side, y + side, x, y + side),), **told)


def picture(*artifacts: Artifact, seed: int = 0) -> tuple[Image.Image, ImageRecord]:
    pixels = np.random.default_rng(seed).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    pixels[:, 150:] = 20
    record = ImageRecord(
        image_id=f"{seed:064x}", file_name="a.png", width=300, height=200, artifacts=artifacts
    )
    return Image.fromarray(pixels), record


def test_each_region_is_seen_where_it_is_in_its_own_image(predictor: Predictor) -> None:
    first, second = (
        picture(box(10, 20, 40), box(200, 100, 40)),
        picture(box(10, 20, 40), box(0, 0, 9, phrase=""), seed=1),
    )
    images, records = zip(first, second, strict=True)
    together = seen_at_regions(predictor, images, records)
    assert together.shape[0] == 3  # one has no words
    assert np.isfinite(together).all()
    alone = np.concatenate(
        [seen_at_regions(predictor, [image], [record]) for image, record in (first, second)]
    )
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-3)
    width = predictor.model.config.sam_config.prompt_encoder_config.hidden_size
    inside = together[:, :width]
    # Noise and nothing differ, and so do the pictures.
    assert np.abs(inside[0] - inside[1]).max() > 1e-3
    assert np.abs(inside[0] - inside[2]).max() > 1e-3
    assert together[0, -5:].tolist() == pytest.approx([0.1, 40 / 300, np.log(1e-3 + 1600 / 90_000), 0, 1])


def test_pictures_without_regions_and_the_smallest_region_are_no_error(predictor: Predictor) -> None:
    image, record = picture()
    seen = seen_at_regions(predictor, [image], [record])
    image, record = picture(box(299, 199, 0.2))
    found = seen_at_regions(predictor, [image], [record])
    assert found.shape == (1, seen.shape[1])
    assert np.isfinite(found).all()


def test_words_are_those_of_phrase_and_explanation_each_once(predictor: Predictor) -> None:
    artifact = msgspec.structs.replace(box(0, 0, 5), explanation="the left hand has six fingers")
    ids = words_of(predictor, artifact)
    tokens = predictor.processor.tokenizer("the left hand the left hand has six fingers")["input_ids"]
    assert set(ids) <= set(tokens)
    assert len(ids) == len(set(ids)) > 3
    assert can_match(artifact)
    assert not can_match(msgspec.structs.replace(artifact, polygons=()))
    assert not can_match(msgspec.structs.replace(artifact, phrase="", explanation=""))
