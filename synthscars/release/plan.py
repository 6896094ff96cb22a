"""Which image goes into which file, so that a new version writes little.

An image stays in the file that an earlier version put it into, whatever else comes or goes: a file is written
again only if one of its own rows changed. New images go into new files. So that many small versions do not
leave many small files, new images take those of the last files along, but never more bytes than they have
themselves: what is written is at most twice what is new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

SHARD_BYTES = 400 * 10**6


class Planned(NamedTuple):
    """One file that a release is to have. path: relative to it. images: ids in the order of the rows."""

    path: str
    split: str
    number: int
    images: list[str]


def plan_split(
    folder: str,
    split: str,
    images: Iterable[str],
    size: Callable[[str], int],
    earlier: Mapping[str, int],
) -> list[Planned]:
    """The files of one split, `<folder>/<split>-00000.parquet` and so on; at least one, if only without rows.

    size: bytes of an image. earlier: image → number of the file that holds it in the version before. Rows
    stand in the order of the ids, so the order of `images` decides nothing.
    """
    old: dict[int, list[str]] = defaultdict(list)
    new: list[str] = []
    for image in sorted(images):
        if image in earlier:
            old[earlier[image]].append(image)
        else:
            new.append(image)
    room = sum(map(size, new))
    for number in sorted(old, reverse=True):
        taken = sum(map(size, old[number]))
        if taken > room:
            break
        room -= taken
        new += old.pop(number)
    files = {number: old[number] for number in sorted(old)}
    first = max(files, default=-1) + 1
    for number, part in enumerate(_cut(sorted(new), size), start=first):
        files[number] = part
    if not files:
        files[0] = []
    return [
        Planned(f"{folder}/{split}-{number:05d}.parquet", split, number, part)
        for number, part in files.items()
    ]


def _cut(images: list[str], size: Callable[[str], int]) -> Iterable[list[str]]:
    part: list[str] = []
    total = 0
    for image in images:
        if part and total + size(image) > SHARD_BYTES:
            yield part
            part, total = [], 0
        part.append(image)
        total += size(image)
    if part:
        yield part
