"""What a release adds up to: counts, distributions and examples, gathered image by image.

The card, the data statement, the figures and the Croissant file are written from it, so that no list of
records is ever held: what is kept does not grow with the number of images. The images must come in the same
order for the same bytes to come out.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Hashable, Iterator
from functools import cache
from itertools import zip_longest
from typing import Generic, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from synthscars.records import Artifact, ImageRecord, Ring, source_name
from synthscars.release.agreement import Agreement
from synthscars.release.measures import Measures, coverage, measures
from synthscars.simulate.metadata import VERSION as SIMULATED
from synthscars.taxonomy import load_taxonomy

UNKNOWN = "unknown"
SPREADS = (
    "artifacts per image",
    "points per artifact",
    "words per phrase",
    "words per explanation",
    "words per caption",
    "agreement",
)
"""What `Totals.spreads` has; texts that are empty are left out. `agreement`: mean mask IoU of the regions
that were merged into an artifact with the one that was chosen."""
HEAT_CELLS = 64
"""Rows and columns of the map of where artifacts lie."""

_MOST_KEYS = 10_000
"""Different names (raters, models, sources) that are counted one by one; there are few, or something is
wrong."""
_LONGEST_NAME = 200
_EXACT = 1000
_TOGETHER = 100
_TOGETHER_NUMBERS = 2**17
"""Images whose regions are rasterized at the same time, and numbers of their outlines."""
_STEP = math.log1p(0.01)

Key = TypeVar("Key", bound=Hashable)


class Tally(Generic[Key]):
    """Counts of names that come from outside. others: of those that came when there were too many."""

    def __init__(self, most: int = _MOST_KEYS) -> None:
        self.counts: dict[Key, int] = {}
        self.others = 0
        self._most = most

    def add(self, key: Key) -> None:
        """Count one more."""
        if key in self.counts:
            self.counts[key] += 1
        elif len(self.counts) < self._most:
            self.counts[key] = 1
        else:
            self.others += 1

    def __len__(self) -> int:
        return len(self.counts)

    def ranked(self) -> list[tuple[Key, int]]:
        """Names with their counts, the most frequent first, equally frequent ones by name."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], str(item[0])))


class Spread:
    """How a number that is not negative is distributed, in bounded memory.

    Whole numbers below 1000 are kept exactly, anything else in bins whose limits are 1 % apart.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.most = -math.inf
        self.bins: dict[float, int] = {}
        """Value, or the middle of its bin → how often."""

    def add(self, value: float, times: int = 1) -> None:
        """Take in a number; one that is not finite or negative is left out."""
        if not (0 <= value < math.inf) or not times:
            return
        self.count += times
        self.total += value * times
        if value < self.least:
            self.least = value
        if value > self.most:
            self.most = value
        exact = value < _EXACT and value == int(value)
        bin = float(value) if exact else math.exp((math.floor(math.log(value) / _STEP) + 0.5) * _STEP)
        self.bins[bin] = self.bins.get(bin, 0) + times

    @property
    def mean(self) -> float:
        """The mean; NaN of nothing."""
        return self.total / self.count if self.count else math.nan

    def quantile(self, share: float) -> float:
        """The smallest number that at least this share of all is not above, to 0.5 %; NaN of nothing."""
        needed = max(1, math.ceil(share * self.count))
        if self.count and needed in (1, self.count):
            return self.least if needed == 1 else self.most
        seen = 0
        for value in sorted(self.bins):
            seen += self.bins[value]
            if seen >= needed:
                return min(max(value, self.least), self.most)
        return math.nan


class Regions:
    """How large the artifacts are and where they lie.

    share: area of a region / area of its image, by category, `unknown` last.
    """

    def __init__(self) -> None:
        self.share: dict[str, Spread] = {name: Spread() for name in (*load_taxonomy().category_ids, UNKNOWN)}
        self._heat = np.zeros((HEAT_CELLS, HEAT_CELLS), dtype=np.int64)
        self._waiting: list[tuple[list[Ring], tuple[int, int]]] = []
        self._numbers = 0

    @property
    def heat(self) -> npt.NDArray[np.int64]:
        """Images with an artifact in each part of the picture, (HEAT_CELLS, HEAT_CELLS), top row first."""
        self._draw()
        return self._heat

    def add(self, record: ImageRecord, measured: Measures) -> None:
        """Take in the artifacts of an image. measured: them, and maybe more."""
        if not record.artifacts or record.width <= 0 or record.height <= 0:
            return
        for artifact, (_, size) in zip(record.artifacts, measured, strict=False):
            category = artifact.category if artifact.category in self.share else UNKNOWN
            self.share[str(category)].add(size / (record.width * record.height))
        rings = [ring for artifact in record.artifacts for ring in artifact.polygons]
        self._waiting.append((rings, (record.width, record.height)))
        self._numbers += sum(map(len, rings))
        if len(self._waiting) == _TOGETHER or self._numbers > _TOGETHER_NUMBERS:
            self._draw()

    def _draw(self) -> None:
        if self._waiting:
            self._heat += coverage(self._waiting, HEAT_CELLS)
            self._waiting, self._numbers = [], 0


class Totals:
    """What the images of a release add up to.

    labels: by name of what is counted, (label, split) → number. Of images: `status`, `content_type`,
    `origin`, `raters` (how many looked); of artifacts: `category`, `subtype`, `missing` (fields without an
    answer). images, artifacts, detection_only: by split. spreads: how numbers are distributed (`SPREADS`).
    """

    def __init__(self) -> None:
        self.images: Counter[str] = Counter()
        self.artifacts: Counter[str] = Counter()
        self.detection_only: Counter[str] = Counter()
        self.simulated = 0
        self.labels: dict[str, Counter[tuple[str, str]]] = {
            name: Counter()
            for name in ("status", "content_type", "origin", "raters", "category", "subtype", "missing")
        }
        self.raters: Tally[str] = Tally()
        self.sources: Tally[tuple[str, str]] = Tally()
        """(source, licence) of every image, also of those for detection only."""
        self.generators: Tally[tuple[str, str]] = Tally()
        """(tool, model) of every synthetic image; `""` where it is not known."""
        self.spreads: dict[str, Spread] = {name: Spread() for name in SPREADS}
        self.regions = Regions()
        self.agreement = Agreement()
        self.example: ImageRecord | None = None
        """The first image with artifacts, or the first of all."""
        self.example_drawn: tuple[Artifact, ...] | None = None
        """What each rater drew on it."""
        self._pictures: dict[str, tuple[tuple[bool, bytes], ImageRecord]] = {}

    def add(
        self,
        record: ImageRecord,
        drawn: tuple[Artifact, ...] | None = None,
        measured: Measures | None = None,
    ) -> None:
        """Take in a released image with its merged artifacts, its split and its group.

        drawn: every rater's regions before they were merged; None if they are not known. measured: the merged
        ones, and maybe more; if anybody measured them.
        """
        if measured is None:
            measured = measures(record.artifacts)
        split = record.split
        self.images[split] += 1
        self.artifacts[split] += len(record.artifacts)
        self._add_image(record)
        self._count("status", record.status, split)
        self._count("content_type", record.content_type, split)
        self._count("origin", record.origin, split)
        self._count("raters", str(len(record.raters)), split)
        for rater in record.raters:
            if rater:
                self.raters.add(rater[:_LONGEST_NAME])
        self.spreads["artifacts per image"].add(len(record.artifacts))
        self.spreads["words per caption"].add(len(record.caption.split()), times=bool(record.caption))
        for artifact in record.artifacts:
            self._add_artifact(artifact, split)
        self.regions.add(record, measured)
        self.agreement.add(record, drawn)
        if self.example is None or (record.artifacts and not self.example.artifacts):
            self.example, self.example_drawn = record, drawn
        self._add_picture(record)

    def add_detection_only(self, record: ImageRecord) -> None:
        """Take in a real photograph that is in the config `detection` alone."""
        self.detection_only[record.split] += 1
        self._add_image(record)

    def of(self, name: str, label: str, split: str | None = None) -> int:
        """How many have this label, in one split or in all."""
        counts = self.labels[name]
        if split is not None:
            return counts[label, split]
        return sum(count for (other, _), count in counts.items() if other == label)

    def values(self, name: str) -> Iterator[tuple[str, int]]:
        """Labels with their number over all splits, sorted by label."""
        totals: Counter[str] = Counter()
        for (label, _), count in self.labels[name].items():
            totals[label] += count
        yield from sorted(totals.items())

    def pictures(self, most: int) -> list[ImageRecord]:
        """Images to show, chosen without looking at them: one of each subtype, in turn by category.

        They are without their reviews and metadata.
        """
        taxonomy = load_taxonomy()
        kinds = [
            [subtype.id for subtype in taxonomy.subtypes_of(category.id)] + [category.id]
            for category in taxonomy.categories
        ]
        chosen: dict[str, ImageRecord] = {}
        for row in zip_longest(*kinds):
            for kind in row:
                if kind in self._pictures and len(chosen) < most:
                    record = self._pictures[kind][1]
                    chosen.setdefault(record.image_id, record)
        return list(chosen.values())

    def _add_image(self, record: ImageRecord) -> None:
        self.simulated += is_simulated(record)
        source = source_name(record.source) or UNKNOWN
        self.sources.add((source[:_LONGEST_NAME], record.license[:_LONGEST_NAME] or UNKNOWN))
        if record.origin == "synthetic":
            made = record.generation
            names = (made.tool, made.model) if made else ("", "")
            self.generators.add((names[0][:_LONGEST_NAME], names[1][:_LONGEST_NAME]))

    def _add_artifact(self, artifact: Artifact, split: str) -> None:
        self._count("category", artifact.category, split)
        self._count("subtype", artifact.subtype, split)
        for field in ("category", "subtype", "phrase", "explanation"):
            if not getattr(artifact, field):
                self._count("missing", field, split)
        self.spreads["points per artifact"].add(sum(len(ring) // 2 for ring in artifact.polygons))
        for field, text in (("phrase", artifact.phrase), ("explanation", artifact.explanation)):
            self.spreads[f"words per {field}"].add(len(text.split()), times=bool(text.strip()))
        if artifact.agreement is not None:
            self.spreads["agreement"].add(artifact.agreement)

    def _add_picture(self, record: ImageRecord) -> None:
        kinds = {kind for each in record.artifacts for kind in (each.subtype, each.category) if kind}
        if not kinds:
            return
        # Where there are many regions, none of them can be seen well.
        key = len(record.artifacts) > 4, hashlib.sha256(record.image_id.encode()).digest()
        for kind in kinds & _known_kinds():
            if kind not in self._pictures or key < self._pictures[kind][0]:
                slim = msgspec.structs.replace(record, reviews=(), generation=None, extra={})
                self._pictures[kind] = key, slim

    def _count(self, name: str, label: str | None, split: str) -> None:
        self.labels[name][label or UNKNOWN, split] += 1


@cache
def _known_kinds() -> frozenset[str]:
    taxonomy = load_taxonomy()
    return frozenset((*taxonomy.category_ids, *taxonomy.subtype_ids))


def is_simulated(record: ImageRecord) -> bool:
    """Whether an image was drawn by `synthscars simulate` and not made by a generator."""
    return record.generation is not None and record.generation.parameters.get("Version") == SIMULATED
