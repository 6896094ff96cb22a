"""How evenly labels are spread, against random splits and against the published algorithm."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthscars.records import Artifact, Generation, ImageRecord
from synthscars.release.splits import SPLITS, assign_splits, strata_of

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
Strata = dict[str, tuple[str, ...]]


def name(number: int) -> str:
    return f"{number:064x}"


def like_the_published_dataset(count: int, seed: int, models: int = 30) -> Strata:
    """Content types and categories as frequent as in SynthScars, and a long tail of generators."""
    rng = np.random.default_rng(seed)
    tail = 1 / np.arange(1, models + 1)
    strata = {}
    for number in range(count):
        content = rng.choice(["human", "object", "animal", "scene"], p=[0.56, 0.17, 0.11, 0.16])
        kinds = [kind for kind, share in (("physics", 0.1), ("distortion", 0.1), ("structure", 0.8))]
        present = [kind for kind, share in zip(kinds, (0.1, 0.1, 0.8), strict=True) if rng.random() < share]
        model = rng.choice(models, p=tail / tail.sum())
        strata[name(number)] = (f"content={content}", f"model={model}", *(present or ["clean"]))
    return strata


def off_by(strata: Strata, splits: dict[str, str]) -> float:
    """By how many images a label differs from what was asked for, on average."""
    total: Counter[str] = Counter()
    there: Counter[tuple[str, str]] = Counter()
    for image, labels in strata.items():
        total.update(labels)
        there.update((label, splits[image]) for label in labels)
    return float(
        np.mean(
            [abs(there[label, s] - share * total[label]) for label in total for s, share in FRACTIONS.items()]
        )
    )


def as_published(strata: Strata, seed: int) -> dict[str, str]:
    """Iterative stratification as figure 1 of Sechidis et al. (2011) describes it, slowly and plainly."""
    rng = np.random.default_rng(seed)
    left = dict(strata)
    wanted = {split: share * len(left) for split, share in FRACTIONS.items()}
    count = Counter(label for labels in strata.values() for label in labels)
    wanted_of = {
        (label, split): share * count[label] for label in count for split, share in FRACTIONS.items()
    }
    chosen = {}
    while left:
        remaining = Counter(label for labels in left.values() for label in labels)
        rarest = min(remaining, key=lambda label: (remaining[label], rng.random()))
        for image in [image for image, labels in left.items() if rarest in labels]:
            split = max(FRACTIONS, key=lambda s: (wanted_of[rarest, s], wanted[s], rng.random()))
            chosen[image] = split
            wanted[split] -= 1
            for label in left.pop(image):
                wanted_of[label, split] -= 1
    return chosen


def test_labels_are_spread_more_evenly_than_by_chance_and_no_worse_than_as_published() -> None:
    ours, random, published = [], [], []
    for seed in range(5):
        strata = like_the_published_dataset(1500, seed)
        alone = {image: image for image in strata}
        ours.append(off_by(strata, assign_splits(alone, FRACTIONS, seed, strata=strata)))
        random.append(off_by(strata, assign_splits(alone, FRACTIONS, seed)))
        published.append(off_by(strata, as_published(strata, seed)))
    assert np.mean(ours) < 0.4 * np.mean(random)
    # A label that by its share has no image to give to a split gets there all the same: that costs a little.
    assert np.mean(ours) < np.mean(published) + 0.2


def test_groups_of_unequal_size_are_spread_more_evenly_than_by_chance() -> None:
    ours, random = [], []
    for seed in range(5):
        strata = like_the_published_dataset(1500, seed)
        rng = np.random.default_rng(seed)
        groups = {image: name(int(rng.integers(0, 600))) for image in strata}
        ours.append(off_by(strata, assign_splits(groups, FRACTIONS, seed, strata=strata)))
        random.append(off_by(strata, assign_splits(groups, FRACTIONS, seed)))
    assert np.mean(ours) < 0.5 * np.mean(random)


labelled_groups = st.lists(
    st.tuples(st.integers(1, 4), st.sets(st.sampled_from("abcdefgh"), max_size=4)), min_size=1, max_size=60
)


@given(labelled_groups, st.integers(0, 3), st.randoms(use_true_random=False))
def test_sizes_are_as_asked_and_order_does_not_matter_whatever_the_labels(
    drawn: list[tuple[int, set[str]]], seed: int, random: object
) -> None:
    images = [(number, labels) for number, (size, labels) in enumerate(drawn) for _ in range(size)]
    groups = {name(at): name(10**6 + group) for at, (group, _) in enumerate(images)}
    strata = {name(at): tuple(sorted(labels)) for at, (_, labels) in enumerate(images)}
    splits = assign_splits(groups, FRACTIONS, seed, strata=strata)
    assert splits.keys() == groups.keys()
    of_group = defaultdict(set)
    for image, split in splits.items():
        of_group[groups[image]].add(split)
    assert all(len(found) == 1 for found in of_group.values())
    largest = max(size for size, _ in drawn)
    for split in SPLITS:
        size = sum(other == split for other in splits.values())
        assert abs(size - FRACTIONS[split] * len(groups)) <= largest + 1e-5
    shuffled = list(groups)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = assign_splits(
        {image: groups[image] for image in shuffled},
        FRACTIONS,
        seed,
        strata={image: strata[image] for image in reversed(shuffled)},
    )
    assert again == splits


@given(st.lists(st.integers(3, 40), min_size=1, max_size=8), st.integers(0, 3))
def test_a_label_with_as_many_groups_as_there_are_splits_is_in_every_split(
    sizes: list[int], seed: int
) -> None:
    labels = [f"label {number}" for number, size in enumerate(sizes) for _ in range(size)]
    labels += ["the most"] * 200
    strata: Strata = {name(number): (label,) for number, label in enumerate(labels)}
    splits = assign_splits({image: image for image in strata}, FRACTIONS, seed, strata=strata)
    found = {(strata[image][0], split) for image, split in splits.items()}
    assert found == {(label, split) for label in labels for split in SPLITS}


def test_rare_labels_fill_no_more_than_half_of_a_split_that_they_have_no_share_in() -> None:
    labels = [f"rare {number // 3}" for number in range(300)] + ["common"] * 700
    strata: Strata = {name(number): (label,) for number, label in enumerate(labels)}
    splits = assign_splits({image: image for image in strata}, FRACTIONS, 0, strata=strata)
    in_test = Counter(strata[image][0].split()[0] for image, split in splits.items() if split == "test")
    assert in_test.total() == 100
    assert 30 <= in_test["rare"] <= 55


def test_new_images_bring_what_the_old_ones_lack() -> None:
    old = {name(number): "clean" for number in range(100)}
    added = {name(number): ("clean" if number % 2 else "annotated") for number in range(100, 500)}
    strata = {image: (label,) for image, label in {**old, **added}.items()}
    splits = assign_splits(
        {image: image for image in strata}, FRACTIONS, 0, strata=strata, previous=dict.fromkeys(old, "train")
    )
    assert {splits[image] for image in old} == {"train"}
    for label, total in (("clean", 300), ("annotated", 200)):
        of_label = Counter(splits[image] for image in strata if strata[image] == (label,))
        for split, share in FRACTIONS.items():
            assert abs(of_label[split] - share * total) <= 1


def test_an_image_is_stratified_by_content_type_categories_and_generator() -> None:
    artifacts = tuple(
        Artifact(artifact_id=str(number), category=category)
        for number, category in enumerate(("structure", "physics", "structure", None))
    )
    record = ImageRecord(
        image_id=name(1),
        file_name="",
        width=8,
        height=8,
        content_type="human",
        status="annotated",
        artifacts=artifacts,
        generation=Generation(tool="automatic1111", model=" some\n model "),
    )
    assert strata_of(record) == (
        "category=physics",
        "category=structure",
        "category=unknown",
        "content_type=human",
        "generator=automatic1111 some model",
    )
    assert strata_of(record) is strata_of(record)


@pytest.mark.parametrize(
    ("fields", "generator"),
    [
        ({}, "unknown"),
        ({"origin": "real"}, "none"),
        ({"generation": Generation(model_hash="abc")}, "abc"),
        ({"generation": Generation(seed=1)}, "unknown"),
    ],
)
def test_a_clean_image_is_told_from_one_without_labels(fields: dict[str, object], generator: str) -> None:
    record = ImageRecord(image_id=name(1), file_name="", width=8, height=8, status="clean", **fields)  # type: ignore[arg-type]
    assert strata_of(record) == ("category=clean", "content_type=unknown", f"generator={generator}")
