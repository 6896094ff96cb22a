"""The plan: who gets which image. What a lead may rely on, for any input."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthscars.labelstudio.assignment import Assignment, Wish
from synthscars.labelstudio.planning import Candidate, extend, reopen
from synthscars.problems import UsageError

RATERS = [f"{name}@example.org" for name in ("ada", "ben", "cleo", "dan", "eve")]


@st.composite
def wishes(draw: st.DrawFn, raters: int) -> Wish:
    several = draw(st.integers(1, raters))
    return Wish(
        overlap_share=draw(st.sampled_from([0.0, 0.2, 0.5, 1.0]) | st.floats(0, 1)),
        overlap_raters=several,
        gold_share=draw(st.sampled_from([0.0, 0.05, 0.5])),
        batch_size=draw(st.integers(1, 20)),
        seed=draw(st.integers(0, 5)),
    )


@st.composite
def pools(draw: st.DrawFn, most: int = 60, first: int = 0) -> list[Candidate]:
    count = draw(st.integers(0, most))
    groups = draw(st.lists(st.sampled_from(["", "g1", "g2"]), min_size=count, max_size=count))
    return [Candidate(f"image-{first + number:04d}", group) for number, group in enumerate(groups)]


GOLD = [f"gold-{number}" for number in range(6)]


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[Candidate], list[str], Wish, Assignment]:
    raters = RATERS[: draw(st.integers(1, len(RATERS)))]
    images = draw(pools())
    wish = draw(wishes(len(raters)))
    return images, raters, wish, extend(Assignment(), images, raters, wish, gold=GOLD)


def ordinary(plan: Assignment, rater: str) -> list[str]:
    return [image for batch in plan.of(rater) for image in batch.images if image not in batch.gold]


def everything(plan: Assignment, rater: str) -> list[str]:
    return [image for batch in plan.of(rater) for image in batch.images]


@given(plans())
def test_queues_are_balanced_and_nobody_sees_an_image_twice(
    made: tuple[object, list[str], Wish, Assignment],
) -> None:
    _, raters, _, plan = made
    counts = [len(ordinary(plan, rater)) for rater in raters]
    assert max(counts) - min(counts) <= 1
    for rater in raters:
        assert len(set(everything(plan, rater))) == len(everything(plan, rater))


@given(plans())
def test_overlap_is_exactly_as_asked(made: tuple[list[Candidate], list[str], Wish, Assignment]) -> None:
    images, raters, wish, plan = made
    owners = Counter(image for rater in raters for image in ordinary(plan, rater))
    assert set(owners) == {image.image_id for image in images}
    wanted = math.floor(wish.overlap_share * len(images) + 0.5)
    if wish.overlap_raters > 1:
        assert Counter(owners.values())[wish.overlap_raters] == wanted
        assert Counter(owners.values())[1] == len(images) - wanted
    else:
        assert set(owners.values()) <= {1}


@given(plans())
def test_known_answers_are_as_many_as_asked_and_in_every_stretch(
    made: tuple[object, list[str], Wish, Assignment],
) -> None:
    _, raters, wish, plan = made
    for rater in raters:
        count = len(ordinary(plan, rater))
        gold = [image in GOLD for image in everything(plan, rater)]
        wanted = math.floor(wish.gold_share / (1 - wish.gold_share) * count + 0.5)
        assert sum(gold) == min(wanted, len(GOLD))
        # Nobody has to go on for two stretches without one.
        stretch = len(gold) / max(sum(gold), 1)
        gaps = "".join("g" if each else "." for each in gold).split("g")
        assert all(len(gap) <= 2 * stretch for gap in gaps)


@given(plans())
def test_batches_are_full_but_for_the_last(made: tuple[object, list[str], Wish, Assignment]) -> None:
    _, raters, wish, plan = made
    for rater in raters:
        sizes = [len(batch.images) for batch in plan.of(rater)]
        assert all(size == wish.batch_size for size in sizes[:-1])
        assert all(0 < size <= wish.batch_size for size in sizes)
        assert [batch.batch for batch in plan.of(rater)] == [f"{n + 1:03d}" for n in range(len(sizes))]


@given(plans(), st.randoms(use_true_random=False))
def test_the_order_in_which_anything_is_named_means_nothing(
    made: tuple[list[Candidate], list[str], Wish, Assignment], random: object
) -> None:
    images, raters, wish, plan = made
    shuffled, mixed = list(images), list(raters)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert extend(Assignment(), shuffled, mixed, wish, gold=reversed(GOLD)) == plan


@given(plans(), pools(most=30, first=500), st.sets(st.sampled_from(RATERS)))
def test_what_is_assigned_stays_when_images_and_people_come_and_go(
    made: tuple[list[Candidate], list[str], Wish, Assignment], more: list[Candidate], others: set[str]
) -> None:
    images, raters, wish, plan = made
    present = sorted(others) if len(others) >= wish.overlap_raters else RATERS
    longer = extend(plan, [*images, *more], present, wish, gold=GOLD)
    for rater in RATERS:
        before, after = everything(plan, rater), everything(longer, rater)
        # Batches may be filled up, so it is each batch that begins as it was.
        for old, new in zip(plan.of(rater), longer.of(rater), strict=False):
            assert new.images[: len(old.images)] == old.images
        assert set(before) <= set(after)
        assert len(set(after)) == len(after)
        if rater not in present:
            assert before == after
    owners = Counter(image for rater in RATERS for image in ordinary(longer, rater))
    assert set(owners) == {image.image_id for image in [*images, *more]}
    if wish.overlap_raters > 1:
        several = sum(count > 1 for count in owners.values())
        had = sum(count > 1 for count in Counter(i for r in raters for i in ordinary(plan, r)).values())
        assert several == max(had, min(math.floor(wish.overlap_share * len(owners) + 0.5), had + len(more)))
    counts = {rater: len(ordinary(longer, rater)) for rater in present}
    earlier = {rater: len(ordinary(plan, rater)) for rater in present}
    spread = max(earlier.values()) - min(earlier.values())
    assert max(counts.values()) - min(counts.values()) <= max(spread, 1)
    assert extend(longer, [*images, *more], present, wish, gold=GOLD) == longer


@given(plans(), st.dictionaries(st.integers(0, 59), st.floats(allow_nan=False)))
def test_images_with_a_higher_score_come_first(
    made: tuple[list[Candidate], list[str], Wish, Assignment], numbers: dict[int, float]
) -> None:
    images, raters, wish, _ = made
    scores = {f"image-{number:04d}": score for number, score in numbers.items()}
    plan = extend(Assignment(), images, raters, wish, gold=GOLD, scores=scores)
    for rater in raters:
        seen = [scores.get(image, -math.inf) for image in ordinary(plan, rater)]
        assert seen == sorted(seen, reverse=True)


@given(pools(), st.integers(0, 40))
def test_a_limit_takes_the_first(images: list[Candidate], limit: int) -> None:
    scores = {image.image_id: float(number) for number, image in enumerate(images)}
    plan = extend(Assignment(), images, RATERS, Wish(), scores=scores, limit=limit)
    taken = {image for rater in RATERS for image in ordinary(plan, rater)}
    assert taken == {image.image_id for image in images[max(len(images) - limit, 0) :]}


def test_near_duplicates_go_to_different_raters_where_that_costs_nothing() -> None:
    images = [Candidate(f"image-{number:03d}", f"group-{number // 5}") for number in range(100)]
    plan = extend(Assignment(), images, RATERS, Wish())
    groups = {image.image_id: image.group for image in images}
    most = [max(Counter(groups[image] for image in ordinary(plan, rater)).values()) for rater in RATERS]
    by_lot = extend(Assignment(), [Candidate(image.image_id) for image in images], RATERS, Wish())
    without = [max(Counter(groups[image] for image in ordinary(by_lot, rater)).values()) for rater in RATERS]
    assert sum(most) < sum(without)


@given(plans(), st.data())
def test_a_reopened_image_is_never_twice_in_a_project(
    made: tuple[list[Candidate], list[str], Wish, Assignment], data: st.DataObject
) -> None:
    _, raters, _, plan = made
    names = sorted({image for batch in plan.batches for image in batch.images} | {"new"})
    for _ in range(data.draw(st.integers(1, 8))):
        image, rater = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(raters))
        longer = reopen(plan, image, rater)
        assert [batch for batch in longer.batches if batch.rater != rater] == [
            batch for batch in plan.batches if batch.rater != rater
        ]
        assert Counter(everything(longer, rater)) == Counter([*everything(plan, rater), image])
        plan = longer
    keys = [batch.key for batch in plan.batches]
    assert len(set(keys)) == len(keys)
    assert all(len(set(batch.images)) == len(batch.images) for batch in plan.batches)


@pytest.mark.parametrize(
    ("raters", "wish", "what"),
    [
        ([], Wish(), "nobody"),
        (RATERS[:2], Wish(overlap_share=0.1), "3 raters"),
        (RATERS, Wish(overlap_share=1.5), "overlap share 1.5"),
        (RATERS, Wish(gold_share=0.6), "gold share 0.6"),
        (RATERS, Wish(gold_share=math.nan), "gold share nan"),
        (RATERS, Wish(batch_size=0), "at least one task"),
    ],
)
def test_what_cannot_be_wished_for(raters: list[str], wish: Wish, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        extend(Assignment(), [Candidate("a")], raters, wish)
