"""COCO run-length encoding from strangers: checked before pycocotools sees it.

pycocotools trusts what it is given: an encoding that ends too early decodes to whatever the memory held.
Format: https://github.com/cocodataset/cocoapi, `common/maskApi.c` (rleToString, rleFrString).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from synthscars.converters.reading import kind, whole
from synthscars.geometry import Rle
from synthscars.images import MAX_PIXELS

_LONGEST = 12
"""Characters of one number: more would not fit into 64 bits."""


def read_rle(value: Any) -> Rle | str:
    """An encoding `{"size": [height, width], "counts": text or list of numbers}`, or what is wrong with it.

    The runs run down the columns, background first; they must cover the whole of a mask of no more than
    `MAX_PIXELS`.
    """
    if not isinstance(value, dict):
        return f"the mask is {kind(value)}, not an object with size and counts"
    size, counts = value.get("size"), value.get("counts")
    height, width = map(whole, size) if isinstance(size, list) and len(size) == 2 else (0, 0)
    if not height or not width or height * width > MAX_PIXELS:
        return f"the mask's size is {str(size)[:60]}, not [height, width] in pixels"
    if isinstance(counts, str):
        runs = _runs(counts)
    elif isinstance(counts, list) and all(type(run) is int and 0 <= run <= MAX_PIXELS for run in counts):
        runs = np.asarray(counts, dtype=np.int64)
    else:
        runs = None
    if runs is None or (runs < 0).any() or (runs > MAX_PIXELS).any():
        return "the mask's counts are no run lengths"
    if int(runs.sum()) != height * width:
        return f"the mask's runs cover {int(runs.sum())} pixels, not the {height * width} of its size"
    plain = {"size": [height, width], "counts": runs.tolist()}
    return coco.frPyObjects(plain, height, width)  # type: ignore[no-any-return]


def _runs(text: str) -> npt.NDArray[np.int64] | None:
    """The run lengths in the text form; `None` if it is none.

    Each number is written five bits a character, lowest first, with a sixth bit where more follow; from the
    fourth on, numbers are differences to the one before the last.
    """
    try:
        bits = np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        return None
    if not len(bits) or bits.min() < 0 or bits.max() > 63 or bits[-1] & 32:
        return None
    last = np.flatnonzero(bits & 32 == 0)
    first = np.concatenate(([0], last[:-1] + 1))
    length = last - first + 1
    if length.max() > _LONGEST:
        return None
    place = np.arange(len(bits)) - np.repeat(first, length)
    numbers = np.add.reduceat((bits & 31) << (5 * place), first)
    # The highest bit of the last character is the sign.
    numbers -= np.where(bits[last] & 16, np.int64(1) << (5 * length), 0)
    runs = numbers.copy()
    for start in (1, 2):
        runs[start::2] = np.cumsum(numbers[start::2])
    return runs


def write_rle(rle: Rle) -> dict[str, Any]:
    """An encoding as JSON can hold it: counts as text."""
    counts = rle["counts"]
    return {
        "size": [int(each) for each in rle["size"]],
        "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts,
    }
