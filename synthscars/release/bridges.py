"""New images that tie together what lies in different splits: they are held back, so that nothing old moves.

From the images of an earlier release on, splits spread over ties, step by step: a new image that is tied to
images of one split alone belongs into it; one that is tied to images of two is a *bridge* and is held back.
Where new images of two splits have a tie of their own, those of the split with fewer images are held back. So
every tie between images that are left lies in one split, and of a chain of new images between two splits only
a link is held back, not the whole chain.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from synthscars.release.claims import SPLITS, most_protected


class Bridges:
    """Finds the bridges among images, which are numbers here.

    ties: numbers of the images that each ties together. earlier: image → split, for all old images. asked:
    image → split that its source asks for. What is asked for, or else was before, counts for all old images
    that hang together without a new one; what is asked for a new image counts as a tie to that split.
    """

    def __init__(
        self, ties: Sequence[list[int]], earlier: Mapping[int, str], asked: Mapping[int, str]
    ) -> None:
        self.held: dict[int, None] = {}
        """The bridges, in the order in which they were found."""
        self._ties = ties
        self._asked = asked
        self._of: dict[int, list[int]] = defaultdict(list)
        for tie, images in enumerate(ties):
            for image in images:
                self._of[image].append(tie)
        self._placed = _old_splits(ties, [image for image in self._of if image in earlier], earlier, asked)
        self._split_of: dict[int, str] = {}
        self._examples: dict[int, int | None] = {}
        """Tie → an image that has its split."""
        fresh = self._spread(list(self._placed))
        wanted = [image for image in self._of if image in asked and image not in self._placed]
        fresh += self._take({image: {asked[image]} for image in wanted})
        while fresh:
            near = {image for tie in fresh for image in ties[tie]}
            fresh = self._take({image: set() for image in near if not self._decided(image)})

    def _decided(self, image: int) -> bool:
        return image in self._placed or image in self.held

    def _take(self, claims: Mapping[int, set[str]]) -> list[int]:
        """Place new images, or hold them back; the ties that got a split by that."""
        placed = []
        for image, splits in claims.items():
            splits = splits | {self._split_of[tie] for tie in self._of[image] if tie in self._split_of}
            if len(splits) > 1:
                self.held[image] = None
            else:
                (self._placed[image],) = splits
                placed.append(image)
        return self._spread(placed)

    def _spread(self, images: Iterable[int]) -> list[int]:
        """Give a split to the ties of images that were just placed; the ties that had none before."""
        fresh = sorted({tie for image in images for tie in self._of[image] if tie not in self._split_of})
        for tie in fresh:
            here = [image for image in self._ties[tie] if image in self._placed]
            counts = Counter(self._placed[image] for image in here)
            if not counts:
                continue
            most = max(counts.values())
            split = most_protected(split for split, count in counts.items() if count == most)
            self._split_of[tie] = split
            for image in here:
                if self._placed[image] != split:
                    del self._placed[image]
                    self.held[image] = None
        return [tie for tie in fresh if tie in self._split_of]

    def between(self, image: int, names: Sequence[str]) -> dict[str, str]:
        """For a bridge: split → what claims it for that split, an image's name or `""` for its source."""
        found: dict[str, str] = {}
        if image in self._asked:
            found[self._asked[image]] = ""
        for tie in self._of[image]:
            split = self._split_of.get(tie)
            if split is None or split in found:
                continue
            if tie not in self._examples:
                those = (other for other in self._ties[tie] if self._placed.get(other) == split)
                self._examples[tie] = min(those, key=names.__getitem__, default=None)
            example = self._examples[tie]
            found[split] = "another image" if example is None else names[example]
        return {split: found[split] for split in SPLITS if split in found}


def _old_splits(
    ties: Iterable[list[int]], old: Iterable[int], earlier: Mapping[int, str], asked: Mapping[int, str]
) -> dict[int, str]:
    """The split of every old image: one for all that hang together, by the rule of `assign_splits`."""
    parent = {image: image for image in old}

    def root(image: int) -> int:
        while parent[image] != image:
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    for images in ties:
        here = [image for image in images if image in parent]
        for image in here[1:]:
            parent[root(image)] = root(here[0])
    before: dict[int, set[str]] = defaultdict(set)
    now: dict[int, set[str]] = defaultdict(set)
    for image in parent:
        before[root(image)].add(earlier[image])
        if image in asked:
            now[root(image)].add(asked[image])
    return {image: most_protected(now.get(root(image)) or before[root(image)]) for image in parent}
