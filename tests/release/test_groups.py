"""What ties images together, and that new images never move old ones."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthscars.problems import Problems
from synthscars.records import Generation, ImageRecord
from synthscars.release.alike import LONGEST_CHAIN, NEAR_BITS, near_pairs
from synthscars.release.families import families, prompt_words
from synthscars.release.leaks import leak_report
from synthscars.release.splits import SPLITS, Links, assign_splits, merge_groups

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
A, B, C, D = (letter * 64 for letter in "abcd")


def record(image_id: str, **fields: object) -> ImageRecord:
    return ImageRecord(image_id=image_id, file_name="", width=8, height=8, **fields)  # type: ignore[arg-type]


def name(number: int) -> str:
    return f"{number:064x}"


def together(one: Generation, other: Generation) -> bool:
    groups = merge_groups([record(A, generation=one), record(B, generation=other)])
    return groups[A] == groups[B]


@pytest.mark.parametrize(
    "prompt",
    [
        "A  Cat\non a mat",
        "(a cat:1.2), on a mat",
        "((a)) [cat] on {a} mat,",
        "a cat, <lora:fur:0.8> on a mat",
        "<LyCO:fur_x:1:0.5>a cat on a mat",
        "a cat++ on (a mat)1.3",
        "ａ cat ＊ on a mat!",
    ],
)
def test_a_prompt_is_its_words(prompt: str) -> None:
    assert prompt_words(prompt) == "a cat on a mat"


@pytest.mark.parametrize(
    "prompt", ["a cat on the mat", "a mat on a cat", "a cat on a mat 2", "a cats on a mat"]
)
def test_another_word_is_another_prompt(prompt: str) -> None:
    assert prompt_words(prompt) != "a cat on a mat"


def test_prompts_without_words_are_compared_as_they_stand() -> None:
    assert prompt_words("<lora:x:0.5>") != prompt_words("<lora:y:0.5>")
    assert prompt_words("🐈") != prompt_words("🐕")


def test_prompts_that_are_made_to_be_slow_are_not() -> None:
    for text in ("<lora:", "(a:1111", ":" + "1" * 50, ")" + "9" * 50, "[[a:", "<lora" + " " * 50):
        prompt_words(text * 20_000)


def test_other_settings_are_one_family() -> None:
    first = Generation(prompt="a cat", seed=1, model="x", steps=20, width=512)
    upscaled = Generation(
        prompt="a cat", seed=1, model="y", steps=40, width=1024, parameters={"Hires upscale": "2"}
    )
    assert together(first, upscaled)
    assert not together(first, Generation(prompt="a cat", seed=2))


@pytest.mark.parametrize(
    ("parameters", "tied"),
    [
        ({"Variation seed": "1", "Variation seed strength": "0.3"}, True),
        ({"variationseed": "1"}, True),
        ({"subseed": "1", "subseed_strength": "much"}, True),
        ({"Variation seed": "1", "Variation seed strength": "0"}, False),
        ({"Variation seed": "2"}, False),
        ({"Variation seed": "-1"}, False),
        ({"Variation seed": "9" * 5000}, False),
    ],
)
def test_a_variation_belongs_to_both_of_its_seeds(parameters: dict[str, str], tied: bool) -> None:
    plain, varied = (
        Generation(prompt="a cat", seed=1),
        Generation(prompt="a cat", seed=7, parameters=parameters),
    )
    assert together(plain, varied) is tied
    assert together(Generation(prompt="a cat", seed=7), varied)


def test_a_family_needs_a_prompt_and_a_seed() -> None:
    assert not [*families(None), *families(Generation(prompt="a")), *families(Generation(seed=1))]


def test_nearly_equal_hashes_tie_unless_both_are_known_to_be_generated_otherwise() -> None:
    one, near, far = "f0e1c3870f1e3c78", "f0e1c3870f1e3c7b", "f0e1c3870f1e3c8b"
    known = {"generation": Generation(prompt="a cat", seed=1)}
    other = {"generation": Generation(prompt="a dog", seed=1)}
    cases = [({}, {}, near, True), (known, {}, near, True), (known, other, near, False), ({}, {}, far, False)]
    for first, second, phash, tied in cases:
        images = [record(A, extra={"phash": one}, **first), record(B, extra={"phash": phash}, **second)]
        assert (len(set(merge_groups(images).values())) == 1) is tied, (first, second, phash)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40, unique=True), st.randoms(use_true_random=False))
def test_all_nearly_equal_hashes_are_found(values: list[int], random: object) -> None:
    # Hashes at random are never near: bend some of them towards each other.
    for value in values[:20]:
        bits = random.sample(range(64), random.randint(1, 4))  # type: ignore[attr-defined]
        values.append(value ^ sum(1 << bit for bit in bits))
    hashes = np.unique(np.array(values, dtype=np.uint64))
    first, second = near_pairs(hashes)
    plain = [int(value) for value in hashes]
    expected = {
        (i, j)
        for i in range(len(plain))
        for j in range(i + 1, len(plain))
        if (plain[i] ^ plain[j]).bit_count() <= NEAR_BITS
    }
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == expected


def test_pictures_of_one_layout_do_not_become_one_group_by_hanging_together() -> None:
    # Each hash differs by two bits from the next: a chain, as pictures of one layout make it.
    grey = [number ^ (number >> 1) for number in range(LONGEST_CHAIN + 8)]
    images = [
        record(name(n), extra={"phash": f"{0xF0E1C3870F1E3C00 | code:016x}"}) for n, code in enumerate(grey)
    ]
    links = Links(images)
    assert len(set(links.groups().values())) == len(images)
    assert links.near_ignored >= len(images) - 1
    assert len(set(merge_groups(images[:8]).values())) == 1


def test_a_new_image_follows_the_old_one_that_it_is_tied_to() -> None:
    links = Links([record(B, group_id="g"), record(A, group_id="g"), record(C)])
    groups = links.groups({B: "test"}, {B: B})
    assert groups == {A: B, B: B, C: C}  # named as before, though A is smaller
    assert assign_splits(groups, {"train": 1}, 0, previous={B: "test"})[A] == "test"


def test_an_image_that_ties_two_splits_together_is_held_back_and_named() -> None:
    same = Generation(prompt="a cat", seed=1)
    problems = Problems()
    images = [record(A, group_id="g"), record(B, generation=same), record(C, group_id="g", generation=same)]
    links = Links(images)
    previous = {A: "train", B: "test"}
    groups = links.groups(previous, {A: A, B: B}, problems)
    assert groups == {A: A, B: B}
    (problem,) = problems
    assert (problem.code, problem.severity, problem.image) == ("split.bridge", "warning", C)
    assert f"train ({A[:12]})" in problem.what
    assert f"test ({B[:12]})" in problem.what
    splits = assign_splits(groups, FRACTIONS, 0, previous=previous, problems=problems)
    assert splits == previous
    assert len(problems) == 1
    # Two old images of one split may be tied together.
    assert set(links.groups(dict.fromkeys((A, B), "train")).values()) == {A}


def test_of_a_chain_between_two_splits_only_a_link_is_held_back() -> None:
    ties = {A: ["1"], name(1): ["1", "2"], name(2): ["2", "3"], name(3): ["3", "4"], B: ["4"]}
    images = [
        record(image, generation=Generation(prompt=tie, seed=0))
        for image, of_image in ties.items()
        for tie in of_image
    ]
    groups = Links(images).groups({A: "train", B: "test"})
    assert ties.keys() - groups.keys() == {name(2)}
    assert groups[name(1)] == groups[A] != groups[B] == groups[name(3)]


def test_where_new_images_of_two_splits_meet_the_fewer_are_held_back() -> None:
    ties = {A: ["a"], B: ["b"], name(9): ["b", "x"]} | {name(n): ["a", "x"] for n in range(5)}
    images = [
        record(image, generation=Generation(prompt=tie, seed=0))
        for image, of_image in ties.items()
        for tie in of_image
    ]
    assert ties.keys() - Links(images).groups({A: "train", B: "test"}).keys() == {name(9)}


def test_a_new_image_does_not_move_an_old_one_by_what_its_source_asks_for() -> None:
    problems = Problems()
    images = [record(A, group_id="g"), record(B, group_id="g", split="test"), record(C, group_id="g")]
    groups = Links(images).groups({A: "train"}, problems=problems)
    assert groups == {A: A, C: A}
    (problem,) = problems
    assert "test (its source asks for that)" in problem.what


def test_old_images_move_if_they_are_tied_to_each_other_or_their_source_asks_for_it() -> None:
    problems = Problems()
    previous = {A: "train", B: "test", D: "train"}
    images = [
        record(A, group_id="g"),
        record(B, group_id="g"),
        record(C, group_id="g"),
        record(D, split="test"),
    ]
    links = Links(images)
    groups = links.groups(previous, problems=problems)
    splits = assign_splits(
        groups, FRACTIONS, 0, prescribed=links.prescribed, previous=previous, problems=problems
    )
    assert splits == dict.fromkeys((A, B, C, D), "test")
    assert [problem.code for problem in problems] == ["split.conflict", "split.moved"]


pictures = st.lists(
    st.tuples(
        st.sampled_from(["", "", "g", "h"]),
        st.sets(st.integers(0, 9), max_size=2),
        st.sampled_from(["", "", "", *SPLITS]),
    ),
    min_size=2,
    max_size=30,
)


def pictured(drawn: list[tuple[str, set[int], str]]) -> list[list[ImageRecord]]:
    """The records of every image: one for every prompt, so that an image can have several ties."""
    return [
        [
            record(
                name(int(f"{number * 7919 % 101}{number}")),
                group_id=group,
                split=split,
                generation=Generation(prompt=f"prompt {prompt}", seed=0) if prompt >= 0 else None,
            )
            for prompt in sorted(prompts or {-1})
        ]
        for number, (group, prompts, split) in enumerate(drawn)
    ]


@settings(max_examples=300)
@given(pictures, st.integers(0, 30), st.integers(0, 2), st.randoms(use_true_random=False))
def test_images_never_move_when_others_are_added_and_nothing_leaks(
    drawn: list[tuple[str, set[int], str]], count: int, seed: int, random: object
) -> None:
    images = pictured(drawn)
    random.shuffle(images)  # type: ignore[attr-defined]

    def release(images: list[list[ImageRecord]], before: dict[str, str], names: dict[str, str]) -> tuple:
        links = Links(each for of_image in images for each in of_image)
        problems = Problems()
        groups = links.groups(before, names, problems)
        splits = assign_splits(
            groups, FRACTIONS, seed, prescribed=links.prescribed, previous=before, problems=problems
        )
        report = leak_report(splits, groups, links, FRACTIONS)
        assert report.leaks == 0
        assert report.held_back == sum(problem.code == "split.bridge" for problem in problems)
        return splits, groups, sorted(problem.what for problem in problems)

    first, first_groups, _ = release(images[:count], {}, {})
    assert len(first) == len(images[:count])
    shuffled = list(images)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    second, groups, told = release(images, first, first_groups)
    assert {image: second[image] for image in first} == first
    assert release(shuffled, first, first_groups) == (second, groups, told)
    # Added one after another, with whatever was held back tried again each time.
    splits, names = first, first_groups
    for end in range(count, len(images)):
        after, groups, _ = release(images[: end + 1], splits, names)
        assert {image: after[image] for image in splits} == splits
        splits, names = after, groups


def test_group_names_stay_and_are_never_shared() -> None:
    # The old group of A, B and C is torn; what was called A is where A is.
    links = Links([record(A), record(B, group_id="g"), record(C, group_id="g"), record(D)])
    names = {A: A, B: A, C: A, D: C}
    assert links.groups(dict.fromkeys(names, "train"), names) == {A: A, B: B, C: B, D: D}


def test_the_report_finds_leaks_that_somebody_else_made() -> None:
    links = Links(
        [
            record(A, group_id="g", extra={"phash": "f0e1c3870f1e3c78"}),
            record(B, group_id="g", generation=Generation(prompt="p", seed=1)),
            record(C, generation=Generation(prompt="P", seed=1)),
            record(D, extra={"phash": "f0e1c3870f1e3c78"}),
            record(name(1), extra={"phash": "f0e1c3870f1e3c79"}),
        ]
    )
    groups = links.groups()
    splits = {A: "train", B: "test", C: "test", D: "train"}
    strata = {A: ("x",), B: ("x", "y"), C: ("x",)}
    report = leak_report(splits, groups, links, FRACTIONS, strata)
    assert {count.kind: (count.ties, count.images, count.across) for count in report.links} == {
        "group": (1, 2, 1),
        "generation": (1, 2, 0),
        "phash": (1, 2, 0),
        "near_phash": (1, 2, 0),
    }
    assert (report.groups, report.groups_of_several, report.largest_group) == (1, 1, 4)
    assert (report.groups_across, report.held_back, report.leaks) == (1, 1, 2)
    shares = {each.label: each.shares["train"] for each in report.balance}
    assert shares == {"x": pytest.approx(1 / 3), "y": 0}
    assert report.splits == {"train": 2, "validation": 0, "test": 2}


def test_a_group_that_bends_the_splits_is_reported() -> None:
    groups = {name(number): name(0) if number < 60 else name(number) for number in range(1000)}
    problems = Problems()
    assign_splits(groups, FRACTIONS, 0, problems=problems)
    (problem,) = problems
    assert (problem.code, problem.severity, problem.count) == ("split.large_group", "warning", 60)
    few = defaultdict(str, {image: name(0) for image in list(groups)[:20]})
    assign_splits(few, FRACTIONS, 0, problems=problems)
    assert len(problems) == 1
