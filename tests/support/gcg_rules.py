"""What GLaMM's and LEGION's loaders make of a GCG entry, said again in other words.

The rules (`GCGBaseDataset`, `dataset/gcg_datasets/GranDf_gcg_ds.py` of both): the caption is stripped; each
grounding gives a span and the sum of its masks; the answer is the caption with `<p> ... </p> [SEG]` around
each span, worked from its end to its start; spans and masks are put in the order of their starts. Loaders
derived from these drop a grounding whose key is not in the caption.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np


class Sample(NamedTuple):
    """What a model is trained on: the answer, and a mask for each `[SEG]` in it."""

    answer: str
    masks: list[np.ndarray]


def load(entry: dict[str, Any], width: int, height: int) -> Sample:
    """The sample of one entry, on an image of that size."""
    caption = entry["caption"].strip('"').strip()
    found = []
    for key, grounding in entry["groundings"].items():
        if key not in caption:
            continue
        start, end = grounding["token_positives"]
        total = np.zeros((height, width), dtype=np.uint8)
        for rle in grounding["rle_masks"]:
            total += unpack(rle)
        found.append((start, end, total))
    found.sort(key=lambda each: each[0])
    answer = caption
    for start, end, _ in reversed(found):
        before, words, after = answer[:start], answer[start:end], answer[end:]
        answer = before + "<p> " + words + " </p> [SEG]" + after
    return Sample(answer, [mask for _, _, mask in found])


def unpack(rle: dict[str, Any]) -> np.ndarray:
    """A mask from COCO's run lengths in text form, without pycocotools."""
    height, width = rle["size"]
    runs: list[int] = []
    value = shift = 0
    for character in rle["counts"]:
        code = ord(character) - 48
        value |= (code & 0x1F) << shift
        shift += 5
        if not code & 0x20:
            if code & 0x10:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    bits = np.concatenate([np.full(run, number % 2, dtype=np.uint8) for number, run in enumerate(runs)])
    return bits.reshape(width, height).T


def phrases(answer: str) -> list[str]:
    """The words between the marks of an answer, in order; as many as it has masks."""
    return re.findall(r"<p> (.*?) </p> \[SEG\]", answer, flags=re.DOTALL)
