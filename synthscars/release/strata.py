"""Spreads groups of images over splits so that every label is spread as the images are.

Iterative stratification (K. Sechidis, G. Tsoumakas, I. Vlahavas: On the Stratification of Multi-Label Data,
ECML PKDD 2011): the label with the fewest groups left is looked at first, because it leaves least choice, and
each of its groups goes to the split that lacks most. Here groups have sizes, what is there already counts,
and three things are different:

- What a split lacks is added up over all labels of a group, each relative to what was asked for (as in a
  chi-squared test), where the paper looks at the rarest label alone.
- No split grows beyond its size by more than the largest group, whatever its labels lack.
- A label with at least as many groups as there are splits gets into every split: its last groups go where it
  is not yet, even if by its share it has none to give (of at most half of each split's images).
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from synthscars.records import ImageRecord
from synthscars.release.waiting import Outline

Profile = tuple[tuple[int, int], ...]
"""What is in a group: (label, number of images with it), ascending; label 0 is every image."""

EVERY = 0
"""The label of every image."""

_LONGEST = 100


def strata_of(record: ImageRecord | Outline) -> tuple[str, ...]:
    """The labels by which an image is stratified: content type, categories present, generator.

    `content_type=human`, `category=structure` for each that is present or `category=clean`,
    `generator=automatic1111 some model`; `unknown` where nothing is known. Equal labels are one object.
    """
    labels = {f"content_type={record.content_type or 'unknown'}", f"generator={_generator(record)}"}
    labels |= {f"category={artifact.category or 'unknown'}" for artifact in record.artifacts}
    if record.status == "clean":
        labels.add("category=clean")
    return _shared(tuple(sorted(labels)))


def _generator(record: ImageRecord | Outline) -> str:
    if record.origin == "real":
        return "none"
    generation = record.generation
    if generation is None:
        return "unknown"
    names = [generation.tool, generation.model or generation.model_hash]
    return " ".join(" ".join(names).split())[:_LONGEST] or "unknown"


@lru_cache(maxsize=1 << 14)
def _shared(labels: tuple[str, ...]) -> tuple[str, ...]:
    return labels


def profiles(
    groups: Mapping[str, str], strata: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Profile], list[str]]:
    """The profile of every group, and the labels by their number. Groups of one image share profiles."""
    names = sorted({label for labels in set(strata.values()) for label in labels})
    numbers = {label: number for number, label in enumerate(names, start=1)}
    sizes = Counter(groups.values())
    of_one: dict[tuple[str, ...], Profile] = {}
    found: dict[str, Profile] = {}
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for image, group in groups.items():
        labels = strata.get(image, ())
        if labels not in of_one:
            of_one[labels] = ((EVERY, 1), *((number, 1) for number in sorted({numbers[x] for x in labels})))
        if sizes[group] == 1:
            found[group] = of_one[labels]
        else:
            counts[group].update(number for number, _ in of_one[labels])
    for group, count in counts.items():
        found[group] = tuple(sorted(count.items()))
    return found, ["", *names]


class Spread:
    """What every split lacks of every label, and which split a group should go to.

    shares: of each split that may get groups, preferred ones first. given: (profile, split) of groups that
    are assigned already; the split may be one without a share. free: profiles of the groups that are not.
    """

    def __init__(
        self,
        shares: Mapping[str, float],
        given: Iterable[tuple[Profile, str]],
        free: Iterable[Profile],
    ) -> None:
        self.splits = list(shares)
        numbers = {split: number for number, split in enumerate(self.splits)}
        total: Counter[int] = Counter()
        there: list[Counter[int]] = [Counter() for _ in self.splits]
        groups: Counter[int] = Counter()
        self._left: Counter[int] = Counter()
        beyond = 0
        for profile, split in given:
            for label, count in profile:
                total[label] += count
                groups[label] += 1
                if split in numbers:
                    there[numbers[split]][label] += count
            beyond += profile[0][1] if split not in numbers else 0
        largest = 0
        for profile, many in Counter(free).items():
            largest = max(largest, profile[0][1])
            for label, count in profile:
                total[label] += count * many
                groups[label] += many
                self._left[label] += many
        # By label, then by split.
        self._asked = {label: [share * count for share in shares.values()] for label, count in total.items()}
        self._lacks = {
            label: [each - there[at][label] for at, each in enumerate(asked)]
            for label, asked in self._asked.items()
        }
        # Of labels with enough groups for all splits: the splits that have none of them yet.
        self._missing = {
            label: {at for at, counts in enumerate(there) if not counts[label]}
            for label, many in groups.items()
            if many >= len(self.splits)
        }
        room = self._lacks.get(EVERY, [0.0] * len(self.splits))
        self._over = beyond + sum(max(0.0, -each) for each in room)
        self._most_over = max(self._over, largest) + 1e-6
        self._to_force = [max(0.0, each) / 2 for each in room]

    def left(self, label: int) -> int:
        """How many groups with this label are not assigned."""
        return self._left[label]

    def assign(self, profile: Profile) -> str:
        """The split for a group, which then counts as assigned."""
        at = self._best(profile)
        size = profile[0][1]
        room = self._lacks[EVERY][at]
        self._over += max(0.0, size - max(0.0, room))
        for label, count in profile:
            self._lacks[label][at] -= count
            self._left[label] -= 1
            if label in self._missing:
                self._missing[label].discard(at)
                if not self._missing[label]:
                    del self._missing[label]
        return self.splits[at]

    def _best(self, profile: Profile) -> int:
        size = profile[0][1]
        room = self._lacks[EVERY]
        widest = room.index(max(room))
        if len(profile) == 1:
            return widest
        fits: Sequence[int] = range(len(room))
        if min(room) < size:
            spare = self._most_over - self._over
            fits = [at for at in fits if at == widest or (room[at] > 0 and size - room[at] <= spare)]
            if len(fits) == 1:
                return widest
        # By how much the squares of what is lacking, each divided by what was asked for, get smaller. Sizes
        # are held by what fits; here they would pull away from the labels what old images have too many of.
        gain = [0.0] * len(room)
        for label, count in profile[1:]:
            lacks, asked = self._lacks[label], self._asked[label]
            for at in fits:
                gain[at] += count * (2 * lacks[at] - count) / asked[at]
        best = max(fits, key=gain.__getitem__)
        # Labels that need all of their groups that are left to get into all splits.
        urgent = [
            self._missing[label]
            for label, _ in profile
            if label in self._missing and self._left[label] <= len(self._missing[label])
        ]
        if not urgent:
            return best
        may = [at for at in fits if at == best or self._to_force[at] >= size]
        forced = max(may, key=lambda at: (sum(at in missing for missing in urgent), gain[at]))
        if forced != best:
            self._to_force[forced] -= size
        return forced


def stratify(
    spread: Spread, free: Mapping[str, Profile], key: Callable[[str], bytes], labels: Sequence[str]
) -> dict[str, str]:
    """The split of every free group. key: the order of groups of one size. labels: names by number.

    The result does not depend on the order of `free`.
    """
    of_profile: dict[Profile, list[str]] = defaultdict(list)
    for group, profile in free.items():
        of_profile[profile].append(group)
    of_label: dict[int, list[Profile]] = defaultdict(list)
    for profile in of_profile:
        for label, _ in profile:
            of_label[label].append(profile)
    chosen: dict[str, str] = {}
    # All images are looked at last: by then only groups without any label are left.
    waiting = [(label == EVERY, spread.left(label), labels[label], label) for label in of_label]
    heapq.heapify(waiting)
    while waiting:
        last, count, name, label = heapq.heappop(waiting)
        if spread.left(label) < count:
            if spread.left(label):
                heapq.heappush(waiting, (last, spread.left(label), name, label))
            continue
        groups = [
            (-profile[0][1], key(group), group, profile)
            for profile in of_label[label]
            for group in of_profile.pop(profile, ())
        ]
        for _, _, group, profile in sorted(groups):
            chosen[group] = spread.assign(profile)
    return chosen
