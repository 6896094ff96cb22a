"""How well raters agree who judged the same images without seeing each other's answers.

Gathered image by image, in memory that does not grow with their number. Regions of different raters are
matched as for the merge (`synthscars.consensus.clusters`: best mask IoU first, at most one region of a rater
in a group), but whatever their categories are, so that those can be compared. Panoptic quality: Kirillov et
al., arXiv 1801.00868. Kappa: Cohen 1960, over the matched regions of all pairs of raters.

Intervals come from a bootstrap over images: every image has a weight from the Poisson distribution of mean 1
in each of the replicates, which needs no list of images (Chamandy et al. 2012). The weights come from the
image's id, so neither the order of the images nor the machine changes them.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import msgspec
import numpy as np
import numpy.typing as npt

from synthscars import geometry
from synthscars.consensus import clusters
from synthscars.records import Artifact, ImageRecord
from synthscars.taxonomy import load_taxonomy

MATCH_IOU = 0.5
FEWEST_IMAGES = 20
"""Images below which an interval would pretend to know more than it does."""

_REPLICATES = 400
_MOST_RATERS = 10_000

Floats = npt.NDArray[np.float64]


class Measure(msgspec.Struct, frozen=True):
    """One figure. low, high: limits of its 95 % interval, None from too few images. images: behind it."""

    value: float
    low: float | None
    high: float | None
    images: int


class RegionAgreement(msgspec.Struct, frozen=True):
    """Of the regions of all categories or of one. None: nobody drew any.

    found: share of the regions that the other rater drew too (F1 at a mask IoU of 0.5). iou: mean mask IoU of
    these. dice: mean Dice coefficient of all that the one and all that the other rater covered, over the
    pairs of raters of whom at least one drew something.
    """

    found: Measure | None
    iou: Measure | None
    dice: Measure | None


class AgreementReport(msgspec.Struct, frozen=True):
    """What `Agreement` found out. images: with at least two raters; drawn_images: of which it is also known
    what each of them drew; pairs: of raters on an image; raters: different ones.

    status: share of the images where all raters say the same, clean or annotated. quality: panoptic quality,
    `found` x `iou`. category: share of the matched regions with one category; kappa: the same, corrected for
    chance, None if only one category occurs.
    """

    images: int
    drawn_images: int
    pairs: int
    raters: int
    status: Measure | None
    regions: RegionAgreement
    quality: Measure | None
    category: Measure | None
    kappa: Measure | None
    by_category: dict[str, RegionAgreement]


# What is summed up of the regions of each kind: all of them, then each category.
_DRAWN, _MATCHED, _IOU, _PAIRS, _DICE = range(5)
_ALL = 0


class _Image:
    """What one image adds. met: how often a region of one category was matched with one of another."""

    def __init__(self, categories: int) -> None:
        self.sums = np.zeros((1 + categories, 5))
        self.met = np.zeros((categories, categories))


class Agreement:
    """Gathers images with at least two raters; the others cost nothing."""

    def __init__(self) -> None:
        self._categories = load_taxonomy().category_ids
        count = len(self._categories)
        # The first of each is the sum itself, the others are its replicates.
        self._status = np.zeros((1 + _REPLICATES, 2))
        self._sums = np.zeros((1 + _REPLICATES, 1 + count, 5))
        self._met = np.zeros((1 + _REPLICATES, count, count))
        # In how many images there is anything of it.
        self._images = 0
        self._drawn_images = 0
        self._with_sums = np.zeros((1 + count, 5), dtype=np.int64)
        self._with_met = 0
        self._pairs = 0
        self._raters: set[str] = set()

    def add(self, record: ImageRecord, drawn: Sequence[Artifact] | None) -> None:
        """Take in an image. drawn: every rater's regions, None if they are not known.

        Raters without a name cannot be told apart and are left out, as is who skipped the image. A rater
        whose regions could not be read is compared in the status alone.
        """
        status = {
            review.rater_id: review.status
            for review in record.reviews
            if review.rater_id and review.status in ("annotated", "clean")
        }
        if len(status) < 2:
            return
        if len(self._raters) < _MOST_RATERS:
            self._raters.update(status)
        weights = _weights(record.image_id)
        self._images += 1
        self._status += np.multiply.outer(weights, [len(set(status.values())) == 1, 1])
        if drawn is None:
            return
        regions = [artifact for artifact in drawn if artifact.rater_id in status]
        names = {name for name in status if status[name] == "clean"} | {each.rater_id for each in regions}
        if len(names) < 2:
            return
        image = _Image(len(self._categories))
        self._add_matches(image, regions, len(names), record)
        self._add_pixels(image, regions, sorted(names), record)
        self._drawn_images += 1
        self._pairs += math.comb(len(names), 2)
        self._sums += np.multiply.outer(weights, image.sums)
        self._met += np.multiply.outer(weights, image.met)
        self._with_sums += image.sums > 0
        self._with_met += bool(image.met.any())

    def _add_matches(
        self, image: _Image, regions: Sequence[Artifact], raters: int, record: ImageRecord
    ) -> None:
        ordered = sorted(regions, key=lambda region: (region.rater_id, region.artifact_id))
        kinds = [self._kinds(region) for region in ordered]
        for own in kinds:
            # A region could be found by every other rater.
            image.sums[own, _DRAWN] += raters - 1
        # Without their categories, and with names that say which they are.
        nameless = [
            Artifact(artifact_id=f"{number:08d}", polygons=region.polygons, rater_id=region.rater_id)
            for number, region in enumerate(ordered)
        ]
        for group, ious in clusters(nameless, record.width, record.height, MATCH_IOU):
            for i, j in combinations(range(len(group)), 2):
                if ious[i, j] < MATCH_IOU:
                    continue
                mine, yours = (kinds[int(group[index].artifact_id)] for index in (i, j))
                common = [kind for kind in mine if kind in yours]
                image.sums[common, _MATCHED] += 1
                image.sums[common, _IOU] += ious[i, j]
                if len(mine) == len(yours) == 2:
                    image.met[mine[1] - 1, yours[1] - 1] += 1

    def _add_pixels(
        self, image: _Image, regions: Sequence[Artifact], names: Sequence[str], record: ImageRecord
    ) -> None:
        rings: dict[tuple[int, str], list[Sequence[float]]] = defaultdict(list)
        for region in regions:
            for kind in self._kinds(region):
                rings[kind, region.rater_id].extend(region.polygons)
        masks = {
            key: geometry.to_rle(outlines, record.width, record.height) for key, outlines in rings.items()
        }
        for kind in sorted({kind for kind, _ in masks}):
            for pair in combinations(names, 2):
                found = [masks[kind, name] for name in pair if (kind, name) in masks]
                image.sums[kind, _PAIRS] += bool(found)
                if len(found) == 2:
                    iou = float(np.nan_to_num(geometry.rle_iou(found[:1], found[1:])[0, 0]))
                    image.sums[kind, _DICE] += 2 * iou / (1 + iou)

    def _kinds(self, region: Artifact) -> list[int]:
        """What a region counts for: the whole, and its category if that is known."""
        known = region.category in self._categories
        return [_ALL, *([1 + self._categories.index(str(region.category))] if known else [])]

    def report(self) -> AgreementReport:
        """The figures of all images that were taken in."""
        same = self._met.trace(axis1=1, axis2=2)
        both = self._met.sum(axis=(1, 2))
        chance = _share((self._met.sum(axis=1) * self._met.sum(axis=2)).sum(axis=1), both**2)
        observed = _share(same, both)
        found = _share(2 * self._sums[:, _ALL, _MATCHED], self._sums[:, _ALL, _DRAWN])
        iou = _share(self._sums[:, _ALL, _IOU], self._sums[:, _ALL, _MATCHED])
        return AgreementReport(
            images=self._images,
            drawn_images=self._drawn_images,
            pairs=self._pairs,
            raters=len(self._raters),
            status=_measure(_share(self._status[:, 0], self._status[:, 1]), self._images),
            regions=self._regions(_ALL),
            # Where nothing was matched, nothing was found either.
            quality=_measure(np.where(found == 0, 0.0, found * iou), int(self._with_sums[_ALL, _DRAWN])),
            category=_measure(observed, self._with_met),
            kappa=_measure(_share(observed - chance, 1 - chance), self._with_met),
            by_category={name: self._regions(1 + kind) for kind, name in enumerate(self._categories)},
        )

    def _regions(self, kind: int) -> RegionAgreement:
        sums, images = self._sums[:, kind], self._with_sums[kind]
        return RegionAgreement(
            found=_measure(_share(2 * sums[:, _MATCHED], sums[:, _DRAWN]), int(images[_DRAWN])),
            iou=_measure(_share(sums[:, _IOU], sums[:, _MATCHED]), int(images[_MATCHED])),
            dice=_measure(_share(sums[:, _DICE], sums[:, _PAIRS]), int(images[_PAIRS])),
        )


def _share(part: Floats, whole: Floats) -> Floats:
    """part / whole, NaN where there is nothing."""
    share: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 1e-12)
    return share


def _measure(values: Floats, images: int) -> Measure | None:
    """values: the figure, then its replicates, shape (1 + replicates,)."""
    if np.isnan(values[0]):
        return None
    known = values[1:][~np.isnan(values[1:])]
    if images < FEWEST_IMAGES or not len(known):
        return Measure(float(values[0]), None, None, images)
    low, high = np.percentile(known, [2.5, 97.5])
    return Measure(float(values[0]), float(low), float(high), images)


def _weights(image_id: str) -> Floats:
    """1, then the image's weight in each replicate."""
    numbers = hashlib.shake_256(image_id.encode()).digest(2 * _REPLICATES)
    weights = np.searchsorted(_POISSON, np.frombuffer(numbers, dtype="<u2"), side="right")
    return np.concatenate([[1.0], weights])


_POISSON = np.cumsum([2**16 / math.e / math.factorial(number) for number in range(9)])
"""Limits of what an even number below 2^16 means: a weight of 0, 1, 2, ..."""
