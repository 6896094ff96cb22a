"""A model must look: neither the content type nor the kind of picture tells what is wrong, or where."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw

from synthscars.simulate import simulate_image
from synthscars.simulate.image import _draw
from synthscars.simulate.plan import SCENES, SIZES, Plan, make_plan, possible
from synthscars.simulate.texts import wording_of
from synthscars.taxonomy import load_taxonomy

SEED = 1
IMAGES = 40
GRID = 32
SUBTYPES = load_taxonomy().subtype_ids


@cache
def records():
    return [simulate_image(SEED, index).record for index in range(IMAGES)]


def mask_of(record):
    """Union of the artifacts on a coarse grid, so that images of different sizes can be compared."""
    mask = Image.new("1", (record.width, record.height))
    for artifact in record.artifacts:
        for ring in artifact.polygons:
            ImageDraw.Draw(mask).polygon(list(ring), fill=1)
    return np.asarray(mask.convert("L").resize((GRID, GRID), Image.Resampling.BOX)) > 127


@pytest.mark.parametrize("content_type", list(SCENES))
def test_every_subtype_can_be_drawn_in_every_content_type(content_type):
    drawn = set()
    for subtype in SUBTYPES:
        for index in range(12):
            scene = SCENES[content_type][index % len(SCENES[content_type])]
            ways = possible(scene)[subtype]
            plan = Plan(content_type, scene, (ways[index % len(ways)],), SIZES[0])
            found = _draw(SEED, index, plan, plant=True)
            if any(wording_of(mark.fault).subtype == subtype for mark in found.stage.marks):
                drawn.add(subtype)
                break
    assert drawn == set(SUBTYPES)


def test_one_image_in_five_is_clean_and_the_others_have_up_to_four_artifacts():
    counts = Counter(len(make_plan(SEED, index).faults) for index in range(1000))
    assert counts[0] == 200
    assert set(counts) == {0, 1, 2, 3, 4}


def test_the_content_type_does_not_tell_the_subtype():
    seen = defaultdict(Counter)
    for index in range(4000):
        plan = make_plan(SEED, index)
        for fault in plan.faults:
            seen[plan.content_type][wording_of(fault).subtype] += 1
    for counts in seen.values():
        # One in eleven would be chance.
        assert max(counts.values()) / counts.total() < 0.12
        assert min(counts.values()) / counts.total() > 0.06


def test_where_artifacts_usually_lie_does_not_tell_where_they_lie():
    scores = []
    for content_type in SCENES:
        masks = [mask_of(each) for each in records() if each.content_type == content_type and each.artifacts]
        for number, mask in enumerate(masks):
            others = np.mean([other for place, other in enumerate(masks) if place != number], axis=0)
            # The best guess there is: as many cells as the image really has, where most others have some.
            guess = others >= np.sort(others.ravel())[-max(1, int(mask.sum()))]
            guess &= others > 0
            scores.append((guess & mask).sum() / max(1, (guess | mask).sum()))
    assert np.mean(scores) < 0.1


def test_artifacts_can_be_seen_at_256_pixels_and_most_are_small():
    shares, sides = [], []
    for record in records():
        for artifact in record.artifacts:
            points = [np.reshape(ring, (-1, 2)) for ring in artifact.polygons]
            x, y = np.concatenate(points).T
            sides.append(min(np.ptp(x), np.ptp(y)) * 256 / record.height)
            mask = Image.new("1", (record.width, record.height))
            for ring in artifact.polygons:
                ImageDraw.Draw(mask).polygon(list(ring), fill=1)
            shares.append(np.asarray(mask).mean())
    assert min(sides) > 9
    assert max(shares) < 0.15
    assert 0.005 < np.median(shares) < 0.06


def test_what_is_odd_but_possible_is_told_apart_from_what_is_wrong():
    odd = [(record, each) for record in records() for each in record.extra["hard_negatives"]]
    assert len({each["kind"] for _, each in odd}) >= 6
    assert any(not record.artifacts for record, _ in odd)
    for record, each in odd:
        assert each["what"]
        if each["kind"] == "background blur":
            assert each["polygons"] == []
            continue
        for ring in each["polygons"]:
            x, y = np.reshape(ring, (-1, 2)).T
            assert x.min() >= 0
            assert y.min() >= 0
            assert x.max() <= record.width
            assert y.max() <= record.height


def test_phrases_and_explanations_vary():
    artifacts = [artifact for record in records() for artifact in record.artifacts]
    assert len({artifact.phrase for artifact in artifacts}) > 0.75 * len(artifacts)
    assert len({artifact.explanation for artifact in artifacts}) > 0.6 * len(artifacts)
