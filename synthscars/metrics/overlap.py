"""How far two masks agree, counted in pixels. Counts add; shares are made of their sums at the end."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Pixels(msgspec.Struct, frozen=True):
    """Pixels of one image or more: `tp` in both masks, `fp` predicted only, `fn` true only, `tn` neither."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: Pixels) -> Pixels:
        return Pixels(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @classmethod
    def of(cls, true: int, predicted: int, shared: int, pixels: int) -> Pixels:
        """From the areas of both masks, of what they share, and of the image."""
        return cls(shared, predicted - shared, true - shared, pixels - true - predicted + shared)

    @property
    def true(self) -> int:
        """Area of the true mask."""
        return self.tp + self.fn

    @property
    def predicted(self) -> int:
        """Area of the predicted mask."""
        return self.tp + self.fp

    def overlap(self) -> dict[str, float]:
        """The four figures of `overlaps`."""
        return {name: float(value) for name, value in overlaps(self.array()).items()}

    def array(self) -> Array:
        """Shape (4,): `tp`, `fp`, `fn`, `tn`."""
        return np.array([self.tp, self.fp, self.fn, self.tn], dtype=np.float64)


OVERLAPS = ("fg_iou", "bg_iou", "miou", "f1")


def overlaps(counts: Array) -> Mapping[str, Array]:
    """`fg_iou`, `bg_iou`, their mean `miou`, and `f1` of the foreground.

    counts: shape (..., 4), `tp`, `fp`, `fn`, `tn`. Where both masks are empty they agree: `fg_iou` and `f1`
    are 1, as is `bg_iou` where both cover everything.
    """
    tp, fp, fn, tn = np.moveaxis(counts, -1, 0)
    foreground = ratio(tp, tp + fp + fn, 1.0)
    background = ratio(tn, tn + fp + fn, 1.0)
    return {
        "fg_iou": foreground,
        "bg_iou": background,
        "miou": (foreground + background) / 2,
        "f1": ratio(2 * tp, 2 * tp + fp + fn, 1.0),
    }


def ratio(above: Array, below: Array, otherwise: float = np.nan) -> Array:
    """`above / below`, and `otherwise` where `below` is 0."""
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    found: Array = np.full(np.broadcast(above, below).shape, otherwise)
    np.divide(above, below, out=found, where=below != 0)
    return found
