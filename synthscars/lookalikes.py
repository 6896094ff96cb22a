"""Which pictures look alike: candidates by their perceptual hash, told apart by their pixels at a small size.

A difference hash alone takes unlike pictures for alike: plain ones, and those of one layout. Each candidate
pair is therefore compared pixel by pixel, both scaled to `SIDE` x `SIDE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Thumbnail = npt.NDArray[np.uint8]
"""A picture scaled to `SIDE` x `SIDE` pixels, RGB."""

Likeness = Literal["same", "near", ""]
"""`same`: one picture, encoded or scaled anew. `near`: hardly to be told apart. `""`: neither."""

SIDE = 64

HASH_BITS = 10
"""Bits of 64 by which the hashes of two pictures that look alike may differ."""

MOST_NEAR = 50
"""Pictures with a near hash that one picture is compared with, of those that come after it."""

SAME_ERROR = 2.4
"""Mean absolute difference, in levels of 255, of one picture encoded or scaled anew."""

SAME_PATCH = 15.0
"""The largest mean difference of any patch of 4 x 4 thumbnail pixels in that case: encoding anew leaves
noise, which cancels out; a changed detail does not."""

NEAR_ERROR = 4.0
"""Mean absolute difference of two pictures that are hardly to be told apart, such as those of one prompt and
seed by a model at two precisions."""

_LEAST_CONTRAST = 3.0
_CELLS = 1 << 20
"""Pairs that are looked at together."""
_PATCH = 4


class Near(NamedTuple):
    """Pairs `(i, j)`, `i < j`, sorted. left_out: how many more there are, of one kind and of two."""

    pairs: list[tuple[int, int]]
    left_out: tuple[int, int]


def near_hashes(hashes: Sequence[str], bits: int = HASH_BITS, kinds: Sequence[str] = ()) -> Near:
    """Pairs of 64-bit hashes (16 hex digits) that differ by at most `bits`.

    Of each hash only those with the `MOST_NEAR` nearest ones after it, and if `kinds` says what each is of,
    such as a split, of its own kind and of others that many. So the frames of a film make a chain of pairs,
    and not all that there are, which memory would not hold.

    Hashes of pictures without structure (every row the same: plain, or a plain gradient) are left out: they
    are equal for unrelated pictures. Time grows with the square of their number, but slowly: 30,000 take two
    seconds. Memory: 20 MB, and the pairs.
    """
    telling = np.array([index for index, text in enumerate(hashes) if telling_hash(text)], dtype=np.int64)
    values = np.array([int(hashes[index], 16) for index in telling], dtype=np.uint64)
    numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
    kind = np.array([numbers[kinds[index]] if kinds else 0 for index in telling], dtype=np.int32)
    pairs: list[tuple[int, int]] = []
    left_out = [0, 0]
    start = 0
    while start < len(values):
        end = start + max(1, _CELLS // (len(values) - start))
        distance = _ones(values[start:end, None] ^ values[None, start:])
        for row in np.flatnonzero((distance <= bits).sum(axis=1) > 1).tolist():  # of itself it is one
            columns = row + 1 + np.flatnonzero(distance[row, row + 1 :] <= bits)
            other = kind[start + columns] != kind[start + row]
            kept = []
            for which, found in enumerate((columns[~other], columns[other])):
                nearest = found[np.argsort(distance[row, found], kind="stable")[:MOST_NEAR]]
                left_out[which] += len(found) - len(nearest)
                kept += nearest.tolist()
            pairs += [(int(telling[start + row]), int(telling[start + column])) for column in sorted(kept)]
        start = end
    return Near(pairs, (left_out[0], left_out[1]))


def telling_hash(text: str) -> bool:
    """Whether a hash is one, and of a picture with some structure."""
    try:
        rows = bytes.fromhex(text)
    except ValueError:
        return False
    return len(rows) == 8 and len(set(rows)) > 1


def _ones(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(values)
    parts = values.view(np.uint16).reshape(*values.shape, 4)  # numpy 1
    return _ONES_OF_16[parts].sum(axis=-1, dtype=np.uint8)  # type: ignore[no-any-return]


_ONES_OF_16 = np.array([value.bit_count() for value in range(1 << 16)], dtype=np.uint8)


def thumbnail(image: Image.Image) -> Thumbnail:
    """An upright picture scaled for comparison; what is transparent becomes white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.uint8)


def mean_error(first: Thumbnail, second: Thumbnail) -> float:
    """Mean absolute difference in levels of 255."""
    return float(np.abs(first.astype(np.int16) - second).mean())


def likeness(first: Thumbnail, second: Thumbnail) -> Likeness:
    """Whether two pictures are one, or hardly to be told apart. Nothing is said of plain ones."""
    if min(_contrast(first), _contrast(second)) < _LEAST_CONTRAST:
        return ""
    error = mean_error(first, second)
    if error > NEAR_ERROR:
        return ""
    return "same" if error <= SAME_ERROR and _largest_patch(first, second) <= SAME_PATCH else "near"


def _contrast(picture: Thumbnail) -> float:
    return float(picture.std(axis=(0, 1)).max())


def _largest_patch(first: Thumbnail, second: Thumbnail) -> float:
    count = SIDE // _PATCH
    difference = (first.astype(np.int16) - second).reshape(count, _PATCH, count, _PATCH, 3)
    return float(np.abs(difference.mean(axis=(1, 3))).max())
