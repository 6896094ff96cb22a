"""Which image goes into which split, so that no group of look-alikes is torn apart and none moves silently.

Groups come from `synthscars.release.groups`. Whole groups are assigned: first those whose split is prescribed
by the source, then those that an earlier release has assigned, then the others, so that every split gets the
images that it lacks, and of every label its share (`synthscars.release.strata`). Groups of one size are taken
in the order of a keyed hash, so the choice is arbitrary but the same on every machine.

Large groups go first, to the split that lacks most images. So they end up in `train`, where repetition does
least harm.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from synthscars.problems import Problems, UsageError
from synthscars.release.alike import telling_hash
from synthscars.release.claims import SPLITS, most_protected
from synthscars.release.groups import Links, merge_groups
from synthscars.release.strata import Spread, profiles, strata_of, stratify

__all__ = [
    "SPLITS",
    "Links",
    "assign_splits",
    "merge_groups",
    "strata_of",
    "telling_hash",
]

LARGE_SHARE = 0.05
"""A group with more than this share of the images, or than the smallest split should have, is reported."""

_LEAST_LARGE = 20


def assign_splits(
    groups: Mapping[str, str],
    fractions: Mapping[str, float],
    seed: int,
    *,
    strata: Mapping[str, tuple[str, ...]] | None = None,
    prescribed: Mapping[str, str] | None = None,
    previous: Mapping[str, str] | None = None,
    problems: Problems | None = None,
) -> dict[str, str]:
    """The split of every image of `groups`.

    groups: image → group, as `Links.groups` or `merge_groups` gives it. fractions: split → share of the
    images, summing to 1. strata: image → labels that are to be spread evenly, as `strata_of` gives them.
    prescribed: image → split that its source asks for. previous: image → split in an earlier release.

    No group is split. Without prescribed and previous splits, the size of each split differs from what was
    asked by at most the size of the largest group. A group that is claimed by two splits goes to the more
    protected one and is reported (`split.conflict`), as is one that its source takes out of the split that an
    earlier release gave it (`split.moved`), and one so large that it bends the splits (`split.large_group`).
    New images never cause the first two where bridges were held back (`Links.groups`). Raises `UsageError`
    for fractions that make no sense.
    """
    _check_fractions(fractions)
    found = Problems() if problems is None else problems
    sizes = Counter(groups.values())
    chosen = _claimed_groups(groups, sizes, prescribed or {}, previous or {}, found)
    _say_large(sizes, fractions, found)
    profile_of, labels = profiles(groups, strata or {})
    # The most protected first: it gets what is left over where two splits lack equally much.
    shares = {split: fractions[split] for split in reversed(SPLITS) if fractions.get(split, 0.0) > 0}
    free = {group: profile for group, profile in profile_of.items() if group not in chosen}
    spread = Spread(shares, ((profile_of[group], split) for group, split in chosen.items()), free.values())
    chosen |= stratify(spread, free, lambda group: _key(seed, group), labels)
    return {image: chosen[group] for image, group in groups.items()}


class _Claims(NamedTuple):
    asked: set[str]
    before: set[str]


def _claimed_groups(
    groups: Mapping[str, str],
    sizes: Mapping[str, int],
    prescribed: Mapping[str, str],
    previous: Mapping[str, str],
    problems: Problems,
) -> dict[str, str]:
    """The split of every group that is claimed for one."""
    claims: dict[str, _Claims] = {}
    for image, group in groups.items():
        now, earlier = prescribed.get(image, ""), previous.get(image, "")
        if now in SPLITS or earlier in SPLITS:
            of_group = claims.setdefault(group, _Claims(set(), set()))
            of_group.asked.update({now}.intersection(SPLITS))
            of_group.before.update({earlier}.intersection(SPLITS))
    chosen = {group: most_protected(asked or before) for group, (asked, before) in claims.items()}
    odd = {group for group, (asked, before) in claims.items() if len(asked | before) > 1}
    first: dict[str, str] = {}
    for image, group in groups.items():
        if group in odd:
            first[group] = min(image, first.get(group, image))
    for group in sorted(odd, key=first.__getitem__):
        asked, before = claims[group]
        who, claimed = ("the source", asked) if asked else ("an earlier release", before)
        if len(claimed) > 1:
            problems.add(
                "split.conflict",
                f"{who} puts images of the group {group} into {' and '.join(sorted(claimed))}; "
                f"all {sizes[group]} go to {chosen[group]}",
                severity="warning",
                image=first[group],
                fix="look whether these images really belong together",
            )
        if asked and before - {chosen[group]}:
            problems.add(
                "split.moved",
                f"an earlier release has images of the group {group} in {' and '.join(sorted(before))}; "
                f"its source asks for {chosen[group]}, and all {sizes[group]} go there",
                severity="warning",
                image=first[group],
                fix="do not judge a model on this version that was trained on the earlier one",
            )
    return chosen


def _say_large(sizes: Mapping[str, int], fractions: Mapping[str, float], problems: Problems) -> None:
    total = sum(sizes.values())
    smallest = min(share for share in fractions.values() if share > 0)
    limit = max(_LEAST_LARGE, total * min(smallest, LARGE_SHARE))
    for group in sorted(group for group, size in sizes.items() if size > limit):
        problems.add(
            "split.large_group",
            f"{sizes[group]} of {total} images hang together in the group {group}, so all of them are in "
            "one split",
            severity="warning",
            image=group,
            fix="look at what ties them: a group_id that means something else, one prompt with one seed, or "
            "pictures of one layout with equal perceptual hashes",
            count=sizes[group],
        )


def _check_fractions(fractions: Mapping[str, float]) -> None:
    unknown = sorted(set(fractions) - set(SPLITS))
    if unknown:
        raise UsageError(f"unknown split {unknown[0]!r}", fix=f"the splits are {', '.join(SPLITS)}")
    values = list(fractions.values())
    if not all(math.isfinite(value) and value >= 0 for value in values) or abs(sum(values) - 1) > 1e-6:
        asked = ", ".join(f"{split} {value:g}" for split, value in fractions.items())
        raise UsageError(
            f"the shares of the splits must be 0 or more and sum to 1: {asked}",
            fix="mend train, validation and test in the [release] section of synthscars.toml",
        )


def _key(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}|{group}".encode("utf-8", "surrogatepass")).digest()[:8]
