"""Which images belong together, so that no two of them end up in different splits.

Two images are tied by an equal `group_id`, by a family of generation (`synthscars.release.families`), by
perceptual hashes (`extra["phash"]`) that tell pictures apart and are equal, or nearly equal if it is not
known of both how they were generated. Whatever hangs together by ties is one group, with one exception: no
new image ties together what an earlier release has in different splits (`synthscars.release.bridges`).

Of every image its id and 24 bytes per tie are kept, of the records nothing.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.release.alike import LONGEST_CHAIN, near_pairs, telling_hash
from synthscars.release.bridges import Bridges
from synthscars.release.claims import SPLITS
from synthscars.release.families import families
from synthscars.release.waiting import Outline

Kind: TypeAlias = Literal["group", "generation", "phash", "near_phash"]

KINDS: tuple[Kind, ...] = ("group", "generation", "phash", "near_phash")
"""What images can be tied by."""

_KEY_BYTES = 16
_Ints = npt.NDArray[np.int64]


class Ties(NamedTuple):
    """All ties of one kind: tie `t` is between `images[starts[t]:starts[t + 1]]`, two numbers or more."""

    kind: Kind
    images: _Ints
    starts: _Ints

    def each(self) -> Iterator[list[int]]:
        """The numbers of the images of every tie."""
        for start, end in zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True):
            yield self.images[start:end].tolist()


class Links:
    """Takes in records one by one, and knows at the end which images belong together."""

    def __init__(self, records: Iterable[ImageRecord | Outline] = ()) -> None:
        self.images: dict[str, int] = {}
        """Image → its number, in the order in which they came."""
        self.prescribed: dict[str, str] = {}
        """Image → the split that its source asks for, where it is one of `SPLITS`."""
        self.near_ignored = 0
        """Nearly equal hashes that tie nothing, because too many hang together (`LONGEST_CHAIN`)."""
        self._numbers: dict[Kind, array[int]] = {kind: array("q") for kind in KINDS[:3]}
        self._keys: dict[Kind, bytearray] = {kind: bytearray() for kind in KINDS[:3]}
        self._known = bytearray()
        self._ties: list[Ties] | None = None
        for record in records:
            self.add(record)

    def add(self, record: ImageRecord | Outline) -> None:
        """Take in one record; several of one image add up."""
        self._ties = None
        number = self.images.setdefault(record.image_id, len(self.images))
        if number == len(self._known):
            self._known.append(0)
        if record.split in SPLITS:
            self.prescribed[record.image_id] = record.split
        if record.group_id:
            self._tie("group", number, _digest(record.group_id))
        for family in families(record.generation):
            self._known[number] = 1
            self._tie("generation", number, _digest(family))
        phash = record.extra.get("phash")
        if isinstance(phash, str) and telling_hash(phash):
            self._tie("phash", number, bytes.fromhex(phash).rjust(_KEY_BYTES, b"\0"))

    def _tie(self, kind: Kind, number: int, key: bytes) -> None:
        self._numbers[kind].append(number)
        self._keys[kind] += key

    def ties(self) -> list[Ties]:
        """All ties, one entry for every kind. The order of the records changes only the images' numbers."""
        if self._ties is None:
            numbers = {kind: np.frombuffer(self._numbers[kind], dtype=np.int64) for kind in self._numbers}
            keys = {
                kind: np.frombuffer(self._keys[kind], dtype=">u8").reshape(-1, 2).astype(np.uint64)
                for kind in self._keys
            }
            self._ties = [_equal(kind, numbers[kind], keys[kind]) for kind in KINDS[:3]]
            self._ties.append(self._near(numbers["phash"], keys["phash"][:, 1]))
            # numpy must not hold on to the arrays: they could not grow any more.
            del numbers, keys
        return self._ties

    def _near(self, numbers: _Ints, hashes: npt.NDArray[np.uint64]) -> Ties:
        known = np.frombuffer(bytes(self._known), dtype=np.uint8)
        different, at = np.unique(hashes, return_inverse=True)
        order = np.argsort(at, kind="stable")
        starts = np.searchsorted(at[order], np.arange(len(different) + 1))
        all_known = np.ones(len(different), dtype=bool)
        np.logical_and.at(all_known, at, known[numbers] == 1)
        first, second = near_pairs(different)
        useful = ~(all_known[first] & all_known[second])
        first, second = first[useful], second[useful]
        short = _in_short_chains(first, second, len(different))
        self.near_ignored = int((~short).sum())
        tied = [
            np.unique(np.concatenate([numbers[order[starts[each] : starts[each + 1]]] for each in pair]))
            for pair in zip(first[short], second[short], strict=True)
        ]
        tied = [images for images in tied if len(images) > 1]
        ends = np.cumsum([0, *map(len, tied)], dtype=np.int64)
        return Ties("near_phash", np.concatenate([*tied, np.empty(0, dtype=np.int64)]), ends)

    def groups(
        self,
        previous: Mapping[str, str] | None = None,
        names: Mapping[str, str] | None = None,
        problems: Problems | None = None,
    ) -> dict[str, str]:
        """The group of every image.

        previous: image → split in an earlier release. names: image → group in an earlier release.

        A group is called by the smallest `image_id` in it, or by the name that its images had in an earlier
        release, so that their rows do not change. New images that tie together what earlier releases, or a
        source and an earlier release, have in different splits are not in the result: they are held back, and
        reported (`split.bridge`, a warning for each).
        """
        root = _joined(self.ties(), len(self.images))
        held = self._held_back(root, previous or {}, Problems() if problems is None else problems)
        if held:
            root = _joined(self.ties(), len(self.images), held)
        return _named(self.images, root, held, names or {})

    def _held_back(self, root: list[int], previous: Mapping[str, str], problems: Problems) -> frozenset[int]:
        """The numbers of the bridges; only among images that hang together is it worth looking for them."""
        earlier = {
            self.images[image]: split
            for image, split in previous.items()
            if image in self.images and split in SPLITS
        }
        asked = {self.images[image]: split for image, split in self.prescribed.items()}
        claimed: dict[int, set[str]] = defaultdict(set)
        for number, split in (*earlier.items(), *asked.items()):
            claimed[root[number]].add(split)
        with_old = {root[number] for number in earlier}
        torn = {at for at, splits in claimed.items() if len(splits) > 1 and at in with_old}
        if not torn:
            return frozenset()
        ties = [images for kind in self.ties() for images in kind.each() if root[images[0]] in torn]
        bridges = Bridges(ties, earlier, asked)
        names = list(self.images)
        for number in sorted(bridges.held, key=names.__getitem__):
            claims = bridges.between(number, names)
            of = [
                f"{split} ({image[:12]})" if image else f"{split} (its source asks for that)"
                for split, image in claims.items()
            ]
            problems.add(
                "split.bridge",
                f"it belongs with images of {' and of '.join(of)}, which an earlier release has apart; "
                "it is held back, so that none of them moves",
                severity="warning",
                image=names[number],
                fix="leave it out, or correct what ties it (group_id, prompt and seed, look); if the images "
                "do belong together, one group_id for them puts all into the more protected split",
            )
        return frozenset(bridges.held)


def merge_groups(records: Iterable[ImageRecord | Outline]) -> dict[str, str]:
    """The group of every image: the smallest `image_id` among all images that are linked to each other.

    For what ties images together see the module; ties are transitive. `Links` does the same with regard to
    earlier releases.
    """
    return Links(records).groups()


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()


def _equal(kind: Kind, numbers: _Ints, keys: npt.NDArray[np.uint64]) -> Ties:
    """Ties between images that share a key, in the order of the keys. keys: their two halves, (images, 2)."""
    order = np.lexsort((numbers, keys[:, 1], keys[:, 0]))
    numbers, keys = numbers[order], keys[order]
    same_key = np.all(keys[1:] == keys[:-1], axis=1)
    kept = np.ones(len(numbers), dtype=bool)
    kept[1:] = ~(same_key & (numbers[1:] == numbers[:-1]))
    numbers, keys = numbers[kept], keys[kept]
    bounds = np.flatnonzero(np.concatenate([[True], np.any(keys[1:] != keys[:-1], axis=1), [True]]))
    if not len(numbers):
        return Ties(kind, numbers, np.zeros(1, dtype=np.int64))
    sizes = np.diff(bounds)
    images = numbers[np.repeat(sizes > 1, sizes)]
    return Ties(kind, images, np.concatenate([[0], np.cumsum(sizes[sizes > 1])]).astype(np.int64))


def _in_short_chains(first: _Ints, second: _Ints, count: int) -> npt.NDArray[np.bool_]:
    """Which pairs of hashes are in a chain of at most `LONGEST_CHAIN` hashes."""
    root, find = _union_find(count)
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    for one, other in pairs:
        root[find(one)] = find(other)
    sizes = Counter(map(find, {index for pair in pairs for index in pair}))
    return np.array([sizes[find(one)] <= LONGEST_CHAIN for one, _ in pairs], dtype=bool)


def _union_find(count: int) -> tuple[list[int], Callable[[int], int]]:
    parent = list(range(count))

    def find(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    return parent, find


def _joined(ties: Iterable[Ties], count: int, without: frozenset[int] = frozenset()) -> list[int]:
    """For every image the number of one image that stands for all that hang together with it.

    without: images that tie nothing.
    """
    parent, find = _union_find(count)
    for kind in ties:
        for images in kind.each():
            left = [image for image in images if image not in without] if without else images
            for image in left[1:]:
                parent[find(image)] = find(left[0])
    return [find(image) for image in range(count)]


def _named(
    images: Mapping[str, int], root: list[int], held: frozenset[int], names: Mapping[str, str]
) -> dict[str, str]:
    smallest: dict[int, str] = {}
    wanted: dict[int, str] = {}
    for image, number in images.items():
        if number in held:
            continue
        at = root[number]
        smallest[at] = min(image, smallest.get(at, image))
        if name := names.get(image):
            wanted[at] = min(name, wanted.get(at, name))
    # A name is the id of an image: of one in this group, or of one that is in no other. So all are different.
    wanting: dict[str, list[int]] = defaultdict(list)
    for at, name in wanted.items():
        wanting[name].append(at)
    for name, those in wanting.items():
        owner = images.get(name)
        here = root[owner] if owner is not None and owner not in held else None
        if here in those or (here is None and len(those) == 1):
            smallest[those[0] if here is None else here] = name
    return {image: smallest[root[number]] for image, number in images.items() if number not in held}
