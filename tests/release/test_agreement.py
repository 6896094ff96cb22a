"""Agreement between raters: a case worked by hand, and the same figures from whole masks in numpy."""

import hashlib
import math
from itertools import combinations

import numpy as np
import pytest

from synthscars.geometry import to_mask
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.release.agreement import FEWEST_IMAGES, Agreement, AgreementReport
from synthscars.taxonomy import load_taxonomy

SIZE = 100
CATEGORIES = load_taxonomy().category_ids


def box(
    rater: str, name: str, x: int, y: int, width: int, height: int, category: str | None = "structure"
) -> Artifact:
    ring = (x, y, x + width, y, x + width, y + height, x, y + height)
    return Artifact(artifact_id=name, rater_id=rater, category=category, polygons=(tuple(map(float, ring)),))


def image(number: int, raters: str, drawn: list[Artifact]) -> tuple[ImageRecord, tuple[Artifact, ...]]:
    """An image that all of these raters judged; who drew nothing found it clean."""
    drew = {artifact.rater_id for artifact in drawn}
    reviews = [Review(rater_id=rater, status="annotated" if rater in drew else "clean") for rater in raters]
    name = hashlib.sha256(str(number).encode()).hexdigest()
    record = ImageRecord(
        image_id=name, file_name="x.png", width=SIZE, height=SIZE, status="annotated", reviews=tuple(reviews)
    )
    return record, tuple(drawn)


def report(*images: tuple[ImageRecord, tuple[Artifact, ...] | None]) -> AgreementReport:
    agreement = Agreement()
    for record, drawn in images:
        agreement.add(record, drawn)
    return agreement.report()


def test_a_case_worked_by_hand() -> None:
    found = report(
        # The same 10 x 10 square, one of them moved by 2: 80 of 120 pixels, IoU 2/3, Dice 4/5.
        image(1, "ab", [box("a", "1", 0, 0, 10, 10), box("b", "1", 2, 0, 10, 10)]),
        # The same place, another category; and one that b did not see. Dice of all: 2 * 100 / 300.
        image(
            2,
            "ab",
            [
                box("a", "1", 0, 0, 10, 10, "physics"),
                box("a", "2", 50, 50, 10, 10),
                box("b", "1", 0, 0, 10, 10),
            ],
        ),
        # Nobody saw anything; only a did.
        image(3, "ab", []),
        image(4, "ab", [box("a", "1", 0, 0, 5, 5)]),
    )
    assert (found.images, found.drawn_images, found.pairs, found.raters) == (4, 4, 4, 2)
    assert found.status is not None
    assert (found.status.value, found.status.images) == (3 / 4, 4)
    # Six regions, two matched pairs.
    assert value(found.regions.found) == pytest.approx(4 / 6)
    assert value(found.regions.iou) == pytest.approx((2 / 3 + 1) / 2)
    assert value(found.quality) == pytest.approx(4 / 6 * (2 / 3 + 1) / 2)
    assert value(found.regions.dice) == pytest.approx((4 / 5 + 2 / 3 + 0) / 3)
    assert value(found.category) == pytest.approx(1 / 2)
    # a: structure, physics; b: structure twice. By chance (1/2 * 1), so kappa is 0.
    assert value(found.kappa) == pytest.approx(0)
    structure = found.by_category["structure"]
    assert value(structure.found) == pytest.approx(2 / 5)
    assert value(structure.iou) == pytest.approx(2 / 3)
    assert value(structure.dice) == pytest.approx((4 / 5 + 0 + 0) / 3)
    physics = found.by_category["physics"]
    assert (value(physics.found), physics.iou, value(physics.dice)) == (0, None, 0)
    assert found.by_category["distortion"].found is None


def value(measure: object) -> float:
    assert measure is not None
    return float(measure.value)  # type: ignore[attr-defined]


def naive(images: list[tuple[ImageRecord, tuple[Artifact, ...]]]) -> dict[str, float]:
    """The same from whole masks, pair by pair; regions here overlap with at most one of another rater."""
    drawn = matched = 0
    ious: list[float] = []
    dices: list[float] = []
    table = np.zeros((3, 3))
    for record, regions in images:
        names = sorted(review.rater_id for review in record.reviews)
        masks = {
            name: [(each, to_mask(each.polygons, SIZE, SIZE)) for each in regions if each.rater_id == name]
            for name in names
        }
        for first, second in combinations(names, 2):
            mine, yours = masks[first], masks[second]
            drawn += len(mine) + len(yours)
            for a, a_mask in mine:
                for b, b_mask in yours:
                    iou = (a_mask & b_mask).sum() / (a_mask | b_mask).sum()
                    if iou >= 0.5:
                        matched += 1
                        ious.append(iou)
                        table[CATEGORIES.index(str(a.category)), CATEGORIES.index(str(b.category))] += 1
            if mine or yours:
                nothing = np.zeros((SIZE, SIZE), dtype=bool)
                one = np.any([nothing, *(mask for _, mask in mine)], axis=0)
                two = np.any([nothing, *(mask for _, mask in yours)], axis=0)
                dices.append(2 * (one & two).sum() / (one.sum() + two.sum()))
    share = table / table.sum()
    chance = float(share.sum(axis=1) @ share.sum(axis=0))
    return {
        "found": 2 * matched / drawn,
        "iou": float(np.mean(ious)),
        "dice": float(np.mean(dices)),
        "category": float(np.trace(share)),
        "kappa": (float(np.trace(share)) - chance) / (1 - chance),
    }


def random_images(count: int, seed: int) -> list[tuple[ImageRecord, tuple[Artifact, ...]]]:
    """Three raters who miss some artifacts, move the others a little and sometimes take another category."""
    rng = np.random.default_rng(seed)
    images = []
    for number in range(count):
        drawn = []
        for cell in rng.choice(9, rng.integers(0, 5), replace=False):
            x, y, category = 33 * (cell % 3) + 6, 33 * (cell // 3) + 6, CATEGORIES[rng.integers(3)]
            for rater in "abc":
                if rng.random() < 0.7:
                    other = CATEGORIES[rng.integers(3)] if rng.random() < 0.3 else category
                    dx, dy = rng.integers(0, 4, 2)
                    drawn.append(box(rater, f"r{cell}", int(x + dx), int(y + dy), 15, 12, other))
        images.append(image(number, "abc", drawn))
    return images


def test_equals_whole_masks_compared_pair_by_pair() -> None:
    images = random_images(60, seed=3)
    found, expected = report(*images), naive(images)
    assert value(found.regions.found) == pytest.approx(expected["found"])
    assert value(found.regions.iou) == pytest.approx(expected["iou"])
    assert value(found.regions.dice) == pytest.approx(expected["dice"])
    assert value(found.category) == pytest.approx(expected["category"])
    assert value(found.kappa) == pytest.approx(expected["kappa"])
    assert 0.2 < expected["kappa"] < 0.95


def test_who_agrees_in_everything_has_ones_everywhere() -> None:
    drawn = [
        box(rater, category, 20 * place, 0, 15, 20, category)
        for rater in "abc"
        for place, category in enumerate(CATEGORIES)
    ]
    found = report(image(1, "abc", drawn), image(2, "abc", []))
    measures = [found.status, found.regions.found, found.regions.iou, found.regions.dice, found.quality]
    assert [value(each) for each in (*measures, found.category, found.kappa)] == [1.0] * 7


def test_an_image_with_one_rater_or_only_raters_without_a_name_is_not_looked_at() -> None:
    found = report(
        image(1, "a", [box("a", "1", 0, 0, 9, 9)]),
        (
            ImageRecord(
                image_id="f" * 64,
                file_name="x",
                width=SIZE,
                height=SIZE,
                reviews=(Review(rater_id="", status="clean"), Review(rater_id="", status="annotated")),
            ),
            (),
        ),
    )
    assert (found.images, found.status, found.regions.found, found.kappa) == (0, None, None, None)


def test_who_skipped_an_image_did_not_say_that_it_is_clean() -> None:
    record, drawn = image(1, "ab", [box("a", "1", 0, 0, 9, 9), box("b", "1", 0, 0, 9, 9)])
    skipped = Review(rater_id="c", status="skipped")
    with_third = ImageRecord(
        image_id=record.image_id,
        file_name="x",
        width=SIZE,
        height=SIZE,
        reviews=(*record.reviews, skipped),
    )
    assert report((with_third, drawn)) == report((record, drawn))


def test_without_regions_only_the_answers_about_the_image_are_compared() -> None:
    record, _ = image(1, "ab", [box("a", "1", 0, 0, 9, 9)])
    found = report((record, None))
    assert (found.images, found.drawn_images, value(found.status)) == (1, 0, 0.0)
    assert found.regions.found is None


def test_a_rater_whose_regions_could_not_be_read_is_not_said_to_have_found_nothing() -> None:
    record, _ = image(1, "ab", [box("a", "1", 0, 0, 9, 9), box("b", "1", 0, 0, 9, 9)])
    found = report((record, (box("a", "1", 0, 0, 9, 9),)))
    assert (value(found.status), found.drawn_images, found.regions.found) == (1.0, 0, None)


def test_the_order_of_images_and_regions_changes_nothing() -> None:
    images = random_images(30, seed=5)
    turned = [(record, drawn[::-1]) for record, drawn in reversed(images)]
    one, two = report(*images), report(*turned)
    assert one.regions.found == two.regions.found
    assert one.kappa is not None
    assert two.kappa is not None
    assert (one.kappa.low, one.kappa.high) == pytest.approx((two.kappa.low, two.kappa.high))


def test_few_images_have_no_interval() -> None:
    images = random_images(FEWEST_IMAGES, seed=7)
    few, enough = report(*images[:-1]), report(*images)
    assert few.status is not None
    assert few.status.low is None
    assert enough.status is not None
    assert enough.status.low is not None


def test_the_interval_is_that_of_resampling_the_images() -> None:
    """Against the plain bootstrap: images drawn with replacement, their share computed each time."""
    same = [number % 10 < 7 for number in range(200)]
    images = [
        image(number, "ab", [box(rater, "1", 0, 0, 9, 9) for rater in ("ab" if agree else "a")])
        for number, agree in enumerate(same)
    ]
    status = report(*images).status
    assert status is not None
    rng = np.random.default_rng(0)
    plain = np.percentile(rng.choice(same, (4000, len(same))).mean(axis=1), [2.5, 97.5])
    assert status.value == 0.7
    assert status.low is not None
    assert status.high is not None
    assert (status.low, status.high) == pytest.approx(plain, abs=0.02)
    assert math.isclose(status.high - status.low, plain[1] - plain[0], rel_tol=0.15)
