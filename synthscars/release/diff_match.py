"""Which artifact of an older row is which of a newer one, and how two texts differ.

Everything is symmetric: exchanging old and new gives the same pairs and the same words.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthscars.geometry import rle_iou, to_rle
from synthscars.images import MAX_PIXELS
from synthscars.release.features import Row

MIN_IOU = 0.5
"""From this overlap on, regions are the same artifact, whatever else was changed; as in consensus."""

MAX_WORDS = 400
"""Where more words than this differ in one go, they are not compared one by one: that takes the square."""

Words = tuple[tuple[str, str], ...]
"""Pieces of two texts in order: `("=", both)`, `("-", only old)`, `("+", only new)`."""

Pair = tuple[int, int, float]


def match(old: Sequence[Row], new: Sequence[Row], width: int, height: int) -> list[Pair]:
    """Pairs (place in old, place in new, mask IoU) of artifacts that are the same, in the order of the old.

    The id and the rater decide first, if the region or the phrase agrees as well: some tools number regions
    anew when one is removed. Of the others those are pairs that overlap by `MIN_IOU`, or overlap at all and
    have one phrase, the best first; last those with one id and rater that overlap at all or have one
    explanation.
    width, height: pixels; where no image can be as large, regions only overlap if they are equal.
    """
    overlap = _overlap(old, new, width, height)
    keys = [[(row.get("artifact_id"), row.get("rater_id")) for row in rows] for rows in (old, new)]
    pairs: list[Pair] = []
    free_old, free_new = set(range(len(old))), set(range(len(new)))

    def take(found: list[tuple[tuple[float, ...], int, int]]) -> None:
        for _, i, j in sorted(found):
            if i in free_old and j in free_new:
                free_old.remove(i)
                free_new.remove(j)
                pairs.append((i, j, float(overlap[i, j])))

    def candidates() -> list[tuple[int, int]]:
        return [(i, j) for i in sorted(free_old) for j in sorted(free_new)]

    # Ties go by i + j: pairs with one sum never compete, so old and new can be exchanged.
    take(
        [
            ((-float(overlap[i, j]), i + j), i, j)
            for i, j in candidates()
            if keys[0][i] == keys[1][j] and (overlap[i, j] >= MIN_IOU or _same(old[i], new[j], "phrase"))
        ]
    )
    take(
        [
            ((-float(overlap[i, j]), -float(_same(old[i], new[j], "phrase")), i + j), i, j)
            for i, j in candidates()
            if overlap[i, j] >= MIN_IOU or (overlap[i, j] > 0 and _same(old[i], new[j], "phrase"))
        ]
    )
    take(
        [
            ((-float(overlap[i, j]), i + j), i, j)
            for i, j in candidates()
            if keys[0][i] == keys[1][j] and (overlap[i, j] > 0 or _same(old[i], new[j], "explanation"))
        ]
    )
    return sorted(pairs)


def _same(old: Row, new: Row, field: str) -> bool:
    return bool(old.get(field)) and old.get(field) == new.get(field)


def _overlap(old: Sequence[Row], new: Sequence[Row], width: int, height: int) -> npt.NDArray[np.float64]:
    """IoU of every pair, shape (old, new); exactly 1 where the polygons are equal."""
    regions = [[row.get("polygons") for row in rows] for rows in (old, new)]
    equal = np.array([[a == b for b in regions[1]] for a in regions[0]], dtype=bool)
    equal = equal.reshape(len(old), len(new))
    known = width > 0 and height > 0 and width * height <= MAX_PIXELS
    if not known or (len(old) == len(new) and all(equal.diagonal())):
        return equal.astype(np.float64)
    masks = [[to_rle(usable_rings(region), width, height) for region in side] for side in regions]
    found = np.nan_to_num(rle_iou(masks[0], masks[1]))
    return np.where(equal, 1.0, found)


def usable_rings(polygons: Any) -> list[list[float]]:
    """The rings that can be drawn: even counts of finite numbers, three points or more."""
    return [
        [float(value) for value in ring]
        for ring in polygons or ()
        if ring
        and len(ring) >= 6
        and len(ring) % 2 == 0
        and all(isinstance(value, (int, float)) and math.isfinite(value) for value in ring)
    ]


def word_diff(old: str, new: str) -> Words:
    """The words that only one of the texts has, and what both have, white space kept.

    Joined, the pieces without `+` are the old text, those without `-` the new one.
    """
    if old > new:  # difflib finds other pairs when the texts are exchanged
        return tuple(_exchanged(word_diff(new, old)))
    a, b = re.findall(r"\S+|\s+", old), re.findall(r"\S+|\s+", new)
    head = _common(a, b)
    tail = _common(a[head:][::-1], b[head:][::-1])
    middle_a, middle_b = a[head : len(a) - tail], b[head : len(b) - tail]
    pieces = [("=", "".join(a[:head]))]
    if max(len(middle_a), len(middle_b)) > MAX_WORDS:
        pieces += [("-", "".join(middle_a)), ("+", "".join(middle_b))]
    else:
        pieces += _runs(middle_a, middle_b)
    pieces.append(("=", "".join(a[len(a) - tail :])))
    return tuple(_joined([piece for piece in pieces if piece[1]]))


def _runs(a: Sequence[str], b: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What differs, a run at a time: what is gone, then what came. Space between two changes ends no run, or
    a text that was written anew would alternate word by word."""
    gone = came = ""
    for kind, i, end_i, j, end_j in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        text = "".join(a[i:end_i])
        if kind == "equal" and not (text.isspace() and (gone or came)):
            yield from (("-", gone), ("+", came), ("=", text))
            gone = came = ""
        else:
            gone, came = gone + text, came + "".join(b[j:end_j])
    yield from (("-", gone), ("+", came))


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _joined(pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
    joined: list[tuple[str, str]] = []
    for kind, text in pieces:
        if joined and joined[-1][0] == kind:
            joined[-1] = (kind, joined[-1][1] + text)
        else:
            joined.append((kind, text))
    return joined


def _exchanged(words: Words) -> list[tuple[str, str]]:
    found = [({"=": "=", "-": "+", "+": "-"}[kind], text) for kind, text in words]
    for place in range(len(found) - 1):
        if (found[place][0], found[place + 1][0]) == ("+", "-"):
            found[place], found[place + 1] = found[place + 1], found[place]
    return found
