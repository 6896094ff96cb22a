from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthscars.problems import Problems, UsageError
from synthscars.records import Generation, ImageRecord
from synthscars.release.splits import SPLITS, assign_splits, merge_groups, telling_hash

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
A, B, C = "a" * 64, "b" * 64, "c" * 64


def record(image_id: str, **fields: object) -> ImageRecord:
    return ImageRecord(image_id=image_id, file_name="", width=8, height=8, **fields)  # type: ignore[arg-type]


groupings = st.dictionaries(
    st.integers(0, 10**6).map(lambda number: f"{number:064x}"),
    st.integers(0, 30).map(lambda number: f"group {number}"),
    min_size=1,
    max_size=80,
)


@st.composite
def shares(draw: st.DrawFn) -> dict[str, float]:
    parts = draw(st.tuples(*[st.integers(0, 10)] * 3).filter(any))
    return {split: part / sum(parts) for split, part in zip(SPLITS, parts, strict=True)}


@given(groupings, shares(), st.integers(0, 5))
def test_no_group_is_split_and_sizes_are_as_asked_within_one_group(
    groups: dict[str, str], fractions: dict[str, float], seed: int
) -> None:
    splits = assign_splits(groups, fractions, seed)
    assert splits.keys() == groups.keys()
    found = defaultdict(set)
    for image_id, split in splits.items():
        found[groups[image_id]].add(split)
    assert all(len(of_group) == 1 for of_group in found.values())
    largest = max(Counter(groups.values()).values())
    for split in SPLITS:
        size = sum(other == split for other in splits.values())
        assert abs(size - fractions[split] * len(groups)) <= largest + 1e-9
        assert fractions[split] > 0 or size == 0


@given(groupings, st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(groups: dict[str, str], random: object) -> None:
    shuffled = list(groups.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert assign_splits(dict(shuffled), FRACTIONS, 0) == assign_splits(groups, FRACTIONS, 0)


@given(groupings, groupings, st.integers(0, 3))
def test_images_of_an_earlier_release_never_move(
    old: dict[str, str], added: dict[str, str], seed: int
) -> None:
    groups = {**added, **old}
    # A new image that ties two old groups together is another case.
    previous = assign_splits(old, FRACTIONS, seed)
    splits = assign_splits(groups, FRACTIONS, seed + 1, previous=previous)
    assert {image: splits[image] for image in previous} == previous


def test_new_images_bring_the_sizes_back_to_what_was_asked() -> None:
    old = {f"{number:064x}": f"old {number}" for number in range(10)}
    added = {f"{number:064x}": f"new {number}" for number in range(10, 100)}
    splits = assign_splits({**old, **added}, FRACTIONS, 0, previous=dict.fromkeys(old, "validation"))
    assert Counter(splits.values()) == {"train": 80, "validation": 10, "test": 10}


def test_a_small_dataset_has_all_three_splits() -> None:
    groups = {f"{number:064x}": str(number) for number in range(24)}
    for seed in range(20):
        sizes = Counter(assign_splits(groups, FRACTIONS, seed).values())
        assert sizes["train"] in (19, 20)
        assert sizes["validation"] in (2, 3)
        assert sizes["test"] in (2, 3)


def test_another_seed_gives_other_splits() -> None:
    groups = {f"{number:064x}": str(number) for number in range(100)}
    assert assign_splits(groups, FRACTIONS, 0) != assign_splits(groups, FRACTIONS, 1)


def test_a_prescribed_split_is_respected_by_the_whole_group() -> None:
    groups = {A: "g", B: "g", C: "h"}
    splits = assign_splits(groups, {"train": 1.0}, 0, prescribed={A: "validation"})
    assert splits == {A: "validation", B: "validation", C: "train"}


def test_a_prescribed_split_goes_before_the_one_of_an_earlier_release() -> None:
    problems = Problems()
    groups, previous = {A: "g", B: "h"}, {A: "test", B: "train"}
    prescribed = {A: "train", B: "train"}
    splits = assign_splits(
        groups, {"train": 1.0}, 0, prescribed=prescribed, previous=previous, problems=problems
    )
    assert splits == {A: "train", B: "train"}
    assert [(problem.code, problem.image) for problem in problems] == [("split.moved", A)]


@pytest.mark.parametrize("claims", ["prescribed", "previous"])
def test_a_group_with_two_splits_follows_the_more_protected_one_and_is_reported(claims: str) -> None:
    problems = Problems()
    claimed = {claims: {A: "train", B: "test", C: "validation"}}
    splits = assign_splits({A: "g", B: "g", C: "g"}, FRACTIONS, 0, problems=problems, **claimed)
    assert set(splits.values()) == {"test"}
    (problem,) = problems
    assert problem.code == "split.conflict"
    assert problem.severity == "warning"
    assert "test and train and validation" in problem.what


@pytest.mark.parametrize(
    "fractions",
    [
        {"train": 0.8, "test": 0.1},
        {"train": 1.2, "test": -0.2},
        {"train": float("nan"), "test": 1},
        {"dev": 1.0},
    ],
)
def test_shares_that_make_no_sense_are_refused(fractions: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        assign_splits({A: "g"}, fractions, 0)


def test_images_are_linked_by_group_by_prompt_and_seed_and_by_hash_also_through_others() -> None:
    same = Generation(prompt="a cat", seed=7)
    phash = "f0e1c3870f1e3c78"
    images = [
        record("4" * 64, group_id="g"),
        record("3" * 64, group_id="g", generation=same),
        record("2" * 64, generation=same, extra={"phash": phash}),
        record("1" * 64, extra={"phash": phash.upper()}),
        record("0" * 64),
    ]
    expected = {image.image_id: "1" * 64 for image in images[:4]} | {"0" * 64: "0" * 64}
    assert merge_groups(images) == expected
    assert merge_groups(reversed(images)) == expected


def test_images_are_not_linked_by_what_is_not_known() -> None:
    images = [
        record(A, generation=Generation(prompt="a cat")),
        record(B, generation=Generation(prompt="a cat", seed=1)),
        record(C, generation=Generation(seed=1)),
        record("d" * 64, generation=Generation(prompt="a cat", seed=2), extra={"phash": 5}),
        record("e" * 64, generation=Generation(seed=1), extra={"phash": ""}),
    ]
    assert all(image == group for image, group in merge_groups(images).items())


@pytest.mark.parametrize(
    "phash", ["0" * 16, "f" * 16, "0000000000000001", "0f" * 8, "fffffffffffffff0", "", "xyz", "abcd"]
)
def test_flat_pictures_and_gradients_are_not_linked_by_their_hash(phash: str) -> None:
    assert not telling_hash(phash)
    images = [record(A, extra={"phash": phash}), record(B, extra={"phash": phash})]
    assert merge_groups(images) == {A: A, B: B}


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=12))
def test_groups_are_the_connected_parts_of_the_links(pairs: list[tuple[int, int]]) -> None:
    # Every link is a prompt of its own, so an image needs one record per link it has.
    images = [record(f"{number:064x}") for number in range(9)]
    for link, pair in enumerate(pairs):
        images += [
            record(f"{number:064x}", generation=Generation(prompt=f"link {link}", seed=0)) for number in pair
        ]
    reached = {number: {number} for number in range(9)}
    for _ in range(9):
        for one, other in pairs:
            together = reached[one] | reached[other]
            for number in together:
                reached[number] = together
    assert merge_groups(images) == {
        f"{number:064x}": f"{min(together):064x}" for number, together in reached.items()
    }
