"""Which image goes into which split, so that no group of look-alikes is torn apart and none moves silently.

Images belong together if they share a `group_id`, a prompt and a seed, or a perceptual hash. Whole groups are
assigned: first those whose split is prescribed by the source, then those that an earlier release has
assigned, then the others, largest first, each to the split that lacks most images. Groups of one size are
taken in the order of a keyed hash, so the choice is arbitrary but the same on every machine.

Large groups first has a side effect that is wanted: they end up in `train`, where repetition does least harm.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping

from synthscars.problems import Problems, UsageError
from synthscars.records import ImageRecord

SPLITS = ("train", "validation", "test")
"""All splits, least protected first: evaluation data must not leak into training, so a group that is claimed
by two splits goes to the later one."""

_MIN_BITS = 8


def merge_groups(records: Iterable[ImageRecord]) -> dict[str, str]:
    """The group of every image: the smallest `image_id` among all images that are linked to each other.

    Two images are linked by an equal `group_id`, an equal prompt and seed if both are known, or an equal
    perceptual hash (`extra["phash"]`) that tells pictures apart (see `telling_hash`). Links are transitive.
    """
    parent: dict[str, str] = {}

    def root(image_id: str) -> str:
        while parent[image_id] != image_id:
            parent[image_id] = parent[parent[image_id]]
            image_id = parent[image_id]
        return image_id

    first: dict[Hashable, str] = {}
    for record in records:
        parent.setdefault(record.image_id, record.image_id)
        for link in _links(record):
            one, other = root(record.image_id), root(first.setdefault(link, record.image_id))
            # The smaller id becomes the root: the result does not depend on the order of the records.
            parent[max(one, other)] = min(one, other)
    return {image_id: root(image_id) for image_id in parent}


def _links(record: ImageRecord) -> Iterator[Hashable]:
    if record.group_id:
        yield "group", record.group_id
    generation = record.generation
    if generation is not None and generation.prompt and generation.seed is not None:
        yield "generation", generation.prompt, generation.seed
    phash = record.extra.get("phash")
    if isinstance(phash, str) and telling_hash(phash):
        yield "phash", phash.lower()


def telling_hash(phash: str) -> bool:
    """Whether equal hashes mean that two pictures look alike; `phash` is 16 hex digits, 8 rows of 8 bits.

    A difference hash has nothing to compare on a flat picture or a plain gradient: nearly all of its bits are
    equal, or every row is the same. Unrelated pictures of that kind share a hash, so it links nothing.
    """
    try:
        rows = bytes.fromhex(phash)
    except ValueError:
        return False
    ones = sum(row.bit_count() for row in rows)
    return len(rows) == 8 and _MIN_BITS <= ones <= 64 - _MIN_BITS and len(set(rows)) > 1


def assign_splits(
    groups: Mapping[str, str],
    fractions: Mapping[str, float],
    seed: int,
    *,
    prescribed: Mapping[str, str] | None = None,
    previous: Mapping[str, str] | None = None,
    problems: Problems | None = None,
) -> dict[str, str]:
    """The split of every image.

    groups: image → group, as `merge_groups` gives it. fractions: split → share of the images, summing to 1.
    prescribed: image → split that its source asks for. previous: image → split in an earlier release.

    No group is split. Without prescribed and previous splits, the size of each split differs from what was
    asked by at most the size of the largest group. A group that is claimed by two splits goes to the more
    protected one and is reported (`split.conflict`), as is one that its source takes out of the split that an
    earlier release gave it (`split.moved`). Raises `UsageError` for fractions that make no sense.
    """
    _check_fractions(fractions)
    found = Problems() if problems is None else problems
    members: dict[str, list[str]] = defaultdict(list)
    for image_id in sorted(groups):
        members[groups[image_id]].append(image_id)

    chosen: dict[str, str] = {}
    for group, images in members.items():
        asked, before = _claimed(images, prescribed), _claimed(images, previous)
        for claimed, who in ((asked, "the source"), (before, "an earlier release")):
            if claimed:
                chosen[group] = max(claimed, key=SPLITS.index)
            if len(claimed) > 1:
                found.add(
                    "split.conflict",
                    f"{who} puts images of the group {group} into {' and '.join(sorted(claimed))}; "
                    f"all {len(images)} go to {chosen[group]}",
                    severity="warning",
                    image=images[0],
                    fix="look whether these images really belong together",
                )
            if claimed:
                break
        if asked and before - {chosen[group]}:
            found.add(
                "split.moved",
                f"an earlier release has images of the group {group} in {' and '.join(sorted(before))}; "
                f"its source asks for {chosen[group]}, and all {len(images)} go there",
                severity="warning",
                image=images[0],
                fix="do not judge a model on this version that was trained on the earlier one",
            )

    lacking = {split: fractions.get(split, 0.0) * len(groups) for split in SPLITS}
    sizes = Counter(groups.values())
    for group, split in chosen.items():
        lacking[split] -= sizes[group]
    candidates = [split for split in reversed(SPLITS) if fractions.get(split, 0.0) > 0]
    free = (group for group in members if group not in chosen)
    for group in sorted(free, key=lambda group: (-sizes[group], _key(seed, group))):
        chosen[group] = max(candidates, key=lambda split: lacking[split])
        lacking[chosen[group]] -= sizes[group]
    return {image_id: chosen[group] for image_id, group in groups.items()}


def _claimed(images: Iterable[str], claims: Mapping[str, str] | None) -> set[str]:
    return {claims[image] for image in images if claims.get(image) in SPLITS} if claims else set()


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
    return hashlib.sha256(f"{seed}|{group}".encode()).digest()
