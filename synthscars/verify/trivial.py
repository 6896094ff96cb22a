"""Answers that need no model: whoever is not better than these has not learned to look.

Each is computed from the train split alone and answers with `Prediction`s, so that the same metrics score it
as any model. Two of them know more than a model may: the true content type of a test image, and the best
threshold. That makes the bar higher, not lower.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from synthscars.geometry import to_mask
from synthscars.metrics.overlap import overlaps
from synthscars.metrics.text import rouge_l
from synthscars.predictions import PredictedRegion, Prediction, Rle
from synthscars.records import ImageRecord, Ring
from synthscars.verify.inputs import Looks, nearest

MASKS = ("fg_iou", "pooled_f1")
"""Figures of masks that the gate looks at. Not mIoU: an empty mask has 45 to 50 of that."""

TEXTS = ("rouge_l",)
DETECTION = ("detection_auroc",)

BLIND = (
    "all_background",
    "all_foreground",
    "mean_mask",
    "mean_mask_by_content_type",
    "majority_caption",
    "typical_caption",
    "constant_score",
)
"""Answers that do not look at the image."""

GRID = 64
"""Cells of a mean mask's sides."""

_THRESHOLDS = 48
_CHUNK = 512
_CACHED = 16
_TYPICAL_OF = 128

Grid = npt.NDArray[np.bool_]


class Answer(NamedTuple):
    """A way to answer. metrics: the figures that it speaks for. say: the answer about one test image."""

    name: str
    title: str
    metrics: tuple[str, ...]
    say: Callable[[ImageRecord], Prediction]


def trivial_answers(train: Sequence[ImageRecord], seed: int) -> list[Answer]:
    """Those of `BLIND`. seed: of the sample among which a typical caption is looked for."""
    whole = MeanMask(train)
    by_type = {
        kind: MeanMask([record for record in train if record.content_type == kind])
        for kind in dict.fromkeys(record.content_type for record in train)
    }
    captions = [record.caption for record in train if record.artifacts and record.caption.strip()]
    frequent, typical = majority_caption(captions), typical_caption(captions, seed)
    share = sum(record.origin == "synthetic" for record in train) / max(len(train), 1)
    return [
        Answer("all_background", "nothing is wrong anywhere", MASKS, _empty),
        Answer("all_foreground", "everything is wrong", MASKS, _everything),
        Answer("mean_mask", "the mean mask of train", MASKS, whole.say),
        Answer(
            "mean_mask_by_content_type",
            "the mean mask of the image's content type",
            MASKS,
            lambda record: by_type.get(record.content_type, whole).say(record),
        ),
        Answer("majority_caption", "the most frequent caption", TEXTS, lambda r: _empty(r, frequent)),
        Answer("typical_caption", "the most typical caption", TEXTS, lambda r: _empty(r, typical)),
        Answer("constant_score", "the same probability for all", DETECTION, lambda r: _empty(r, "", share)),
    ]


def nearest_answer(
    train: Sequence[ImageRecord], looks: Looks, test: Sequence[ImageRecord], test_looks: Looks
) -> Answer:
    """What is said of the most similar train image: its masks, scaled, and its caption."""
    places = {
        record.image_id: best
        for record, best in zip(test, nearest(test_looks, looks), strict=True)
        if best >= 0
    }

    def say(record: ImageRecord) -> Prediction:
        best = places.get(record.image_id, -1)
        return copied(train[best], record) if best >= 0 else _empty(record)

    return Answer("nearest_image", "what is said of the most similar train image", MASKS + TEXTS, say)


def nearest_within(
    records: Sequence[ImageRecord], looks: Looks, chosen: Sequence[int]
) -> Iterator[tuple[ImageRecord, Prediction]]:
    """The same within one split: the chosen images answered by the most similar one of another group."""
    groups: dict[str, list[int]] = {}
    for number, record in enumerate(records):
        groups.setdefault(record.group_id or record.image_id, []).append(number)

    mine = [records[number] for number in chosen]

    def same_group(place: int) -> npt.NDArray[np.intp]:
        return np.array(groups[mine[place].group_id or mine[place].image_id], dtype=np.intp)

    for record, best in zip(mine, nearest(looks[list(chosen)], looks, same_group), strict=True):
        yield record, copied(records[best], record) if best >= 0 else _empty(record)


def copied(source: ImageRecord, record: ImageRecord) -> Prediction:
    """What is known of one image, said of another: outlines are scaled to its size."""
    factors = record.width / source.width, record.height / source.height
    return Prediction(
        image_id=record.image_id,
        width=record.width,
        height=record.height,
        text=source.caption,
        synthetic=float(source.origin == "synthetic"),
        regions=tuple(
            PredictedRegion(
                phrase=artifact.phrase,
                explanation=artifact.explanation,
                category=artifact.category,
                subtype=artifact.subtype,
                polygons=tuple(_scaled(ring, factors) for ring in artifact.polygons),
            )
            for artifact in source.artifacts
        ),
    )


def _scaled(ring: Ring, factors: tuple[float, float]) -> Ring:
    return tuple(value * factors[place % 2] for place, value in enumerate(ring))


def _empty(record: ImageRecord, text: str = "", synthetic: float | None = None) -> Prediction:
    return Prediction(
        image_id=record.image_id, width=record.width, height=record.height, text=text, synthetic=synthetic
    )


def _everything(record: ImageRecord) -> Prediction:
    width, height = float(record.width), float(record.height)
    ring = (0.0, 0.0, width, 0.0, width, height, 0.0, height)
    return Prediction(
        image_id=record.image_id,
        width=record.width,
        height=record.height,
        regions=(PredictedRegion(polygons=(ring,)),),
    )


# The mean mask


class MeanMask:
    """Where artifacts usually are: the share of train images that have one in each cell of a grid.

    It answers with the cells above the threshold at which it would have been best on train: the mean of
    per-image foreground IoU and pooled F1, over the images with artifacts. share: shape (64, 64).
    """

    def __init__(self, train: Sequence[ImageRecord]) -> None:
        packed = np.array([np.packbits(_on_grid(record)) for record in train], dtype=np.uint8)
        packed = packed.reshape(len(train), GRID * GRID // 8)
        counts = np.zeros(GRID * GRID, dtype=np.int64)
        for masks in _unpacked(packed):
            counts += masks.sum(axis=0, dtype=np.int64)
        self.share = (counts / max(len(train), 1)).reshape(GRID, GRID)
        self.threshold = self._best(packed)
        self.grid: Grid = self.share >= self.threshold
        self._drawn: OrderedDict[tuple[int, int], Rle] = OrderedDict()

    def _best(self, packed: npt.NDArray[np.uint8]) -> float:
        levels = np.unique(self.share[self.share > 0])
        if not len(levels):
            return np.inf
        chosen = levels[np.unique(np.linspace(0, len(levels) - 1, _THRESHOLDS).round().astype(int))]
        answers = (self.share.ravel()[:, None] >= chosen).astype(np.float32)
        areas = answers.sum(axis=0)
        total, ious, images = np.zeros((len(chosen), 4)), np.zeros(len(chosen)), 0
        for masks in _unpacked(packed):
            shared, true = masks.astype(np.float32) @ answers, masks.sum(axis=1, dtype=np.float64)[:, None]
            counts = np.stack(
                [shared, areas - shared, true - shared, GRID * GRID - areas - true + shared], axis=-1
            )
            with_any = true[:, 0] > 0
            total += counts.sum(axis=0)
            ious += overlaps(counts)["fg_iou"][with_any].sum(axis=0)
            images += int(with_any.sum())
        return float(chosen[np.argmax(ious / images + overlaps(total)["f1"])])

    def say(self, record: ImageRecord) -> Prediction:
        """The same grid, whatever the image."""
        rle = self._rle(record.width, record.height)
        return Prediction(
            image_id=record.image_id,
            width=record.width,
            height=record.height,
            regions=(PredictedRegion(rle=rle),),
        )

    def _rle(self, width: int, height: int) -> Rle:
        if (width, height) not in self._drawn:
            while len(self._drawn) >= _CACHED:
                self._drawn.popitem(last=False)
            rows, columns = np.arange(height) * GRID // height, np.arange(width) * GRID // width
            mask = self.grid[rows][:, columns]
            counts = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
            self._drawn[width, height] = Rle(size=(height, width), counts=counts)
        return self._drawn[width, height]


def _on_grid(record: ImageRecord) -> Grid:
    factors = GRID / record.width, GRID / record.height
    rings = [_scaled(ring, factors) for artifact in record.artifacts for ring in artifact.polygons]
    return to_mask(rings, GRID, GRID)


def _unpacked(packed: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    for start in range(0, len(packed), _CHUNK):
        yield np.unpackbits(packed[start : start + _CHUNK], axis=1)


# Captions


def majority_caption(captions: Sequence[str]) -> str:
    """The caption that is there most often; of equally frequent ones the first in the alphabet."""
    counts: Mapping[str, int] = Counter(captions)
    return min(counts, key=lambda text: (-counts[text], text), default="")


def typical_caption(captions: Sequence[str], seed: int) -> str:
    """Of a sample of captions, the one with the highest mean ROUGE-L against the others.

    Where all captions differ, as people write them, no majority is worth the name.
    """
    different = sorted(set(captions))
    rng = np.random.default_rng(seed)
    if len(different) > _TYPICAL_OF:
        different = [different[number] for number in sorted(rng.choice(len(different), _TYPICAL_OF, False))]
    weights = Counter(captions)
    means = {text: sum(weights[other] * rouge_l(other, text) for other in different) for text in different}
    return min(means, key=lambda text: (-means[text], text), default="")
