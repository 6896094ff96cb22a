"""Proof that no group was torn apart, and how evenly labels are spread over the splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

import msgspec

from synthscars.release.claims import SPLITS
from synthscars.release.groups import Kind, Links, Ties


class LinkCount(msgspec.Struct, frozen=True):
    """Ties of one kind between images of the release.

    ties: how many there are. images: how many images have one. across: how many of the ties are between
    images of different splits.
    """

    kind: Kind
    ties: int
    images: int
    across: int


class LabelShare(msgspec.Struct, frozen=True):
    """How one label is spread.

    images: how many have it. shares: split → share of these images. deviation: the largest difference to the
    share that was asked for. expected: whether every split should have at least one of them, by its share.
    """

    label: str
    images: int
    shares: dict[str, float]
    deviation: float
    expected: bool


class LeakReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `leak_report` found.

    splits: split → images. asked: split → share of the images. groups: how many; groups_of_several: those
    with more than one image; largest_group: images of the largest; groups_across: groups in more than one
    split. links: one entry for every kind of tie. held_back: images that were linked but are in no split.
    near_ignored: pairs of nearly equal hashes that tie nothing, because too many hang together. balance: by
    label. largest_deviation: of the labels that are `expected` everywhere.
    """

    images: int
    splits: dict[str, int]
    asked: dict[str, float]
    groups: int
    groups_of_several: int
    largest_group: int
    groups_across: int
    links: tuple[LinkCount, ...]
    held_back: int
    near_ignored: int
    balance: tuple[LabelShare, ...]
    largest_deviation: float

    @property
    def leaks(self) -> int:
        """Groups and ties across splits; 0 is the proof."""
        return self.groups_across + sum(count.across for count in self.links)


def leak_report(
    splits: Mapping[str, str],
    groups: Mapping[str, str],
    links: Links,
    fractions: Mapping[str, float],
    strata: Mapping[str, tuple[str, ...]] | None = None,
) -> LeakReport:
    """Look at every group, tie and label once more, whoever made the splits.

    splits: image → split, of all images of the release. groups: image → group. links: all images that were
    looked at; those without a split do not count. fractions, strata: as for `assign_splits`.
    """
    split_of_group: dict[str, str] = {}
    torn: set[str] = set()
    for image, split in splits.items():
        if split_of_group.setdefault(groups[image], split) != split:
            torn.add(groups[image])
    sizes = Counter(groups[image] for image in splits)
    numbers = [splits.get(image, "") for image in links.images]
    counts = Counter(splits.values())
    asked = {split: fractions.get(split, 0.0) for split in SPLITS}
    balance = _balance(splits, asked, strata or {})
    return LeakReport(
        images=len(splits),
        splits={split: counts[split] for split in SPLITS},
        asked=asked,
        groups=len(sizes),
        groups_of_several=sum(size > 1 for size in sizes.values()),
        largest_group=max(sizes.values(), default=0),
        groups_across=len(torn),
        links=tuple(_count(ties, numbers) for ties in links.ties()),
        held_back=numbers.count(""),
        near_ignored=links.near_ignored,
        balance=balance,
        largest_deviation=max((each.deviation for each in balance if each.expected), default=0.0),
    )


def _count(ties: Ties, splits: list[str]) -> LinkCount:
    count = across = 0
    tied = bytearray(len(splits))
    for images in ties.each():
        here = [image for image in images if splits[image]]
        if len(here) > 1:
            count += 1
            across += len({splits[image] for image in here}) > 1
            for image in here:
                tied[image] = 1
    return LinkCount(ties.kind, count, sum(tied), across)


def _balance(
    splits: Mapping[str, str], asked: Mapping[str, float], strata: Mapping[str, tuple[str, ...]]
) -> tuple[LabelShare, ...]:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for (labels, split), count in Counter(
        (strata.get(image, ()), split) for image, split in splits.items()
    ).items():
        for label in set(labels):
            found[label][split] += count
    smallest = min((share for share in asked.values() if share > 0), default=1.0)
    balance = []
    for label in sorted(found):
        total = found[label].total()
        shares = {split: round(found[label][split] / total, 6) for split in SPLITS}
        deviation = max(abs(found[label][split] / total - asked[split]) for split in SPLITS)
        balance.append(LabelShare(label, total, shares, round(deviation, 6), total * smallest >= 1))
    return tuple(balance)
