"""Batches of training examples as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthscars.legion.answers import answer_text
from synthscars.legion.configuration_legion import LegionConfig
from synthscars.legion.data import Example, mask_of
from synthscars.legion.processing_legion import ENCODER_INPUTS, LegionProcessor

MAX_ANSWER = 384
"""Tokens of an answer; a longer one is cut after the last artifact that fits whole."""
_TEXTS_KEPT = 1 << 16


class Collator:
    """Turns examples into what `LegionForArtifactAnalysis.forward` takes, and what the warm-up needs.

    text: with the answers; without, the pictures and masks alone. pictures: for which encoders.
    """

    def __init__(
        self,
        processor: LegionProcessor,
        config: LegionConfig,
        *,
        text: bool = True,
        pictures: Sequence[str] = ENCODER_INPUTS,
    ) -> None:
        self.processor = processor
        self.config = config
        self.subtypes = {name: number for number, name in enumerate(config.subtypes or {})}
        self.text = text
        self.pictures = pictures
        # The same texts come back in every epoch.
        self._tokens = lru_cache(_TEXTS_KEPT)(self._tokenized)

    def __call__(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Keys: those of `forward`, and `owners`, `phrase_ids` and `told_ids`
        (tokens of the phrase, of phrase and explanation; 0 where there is none), `synthetic`."""
        squares = torch.from_numpy(np.stack([example["pixels"] for example in examples]))
        batch: dict[str, Any] = {
            **self.processor.pixels(squares, self.pictures),
            "synthetic": torch.tensor([float(example["synthetic"]) for example in examples]),
        }
        written = [self._answer(example) for example in examples]
        if self.text:
            batch |= self._texts([ids for ids, _ in written])
        counts = [count for _, count in written]
        told = [(e, n) for e, count in zip(examples, counts, strict=True) for n in range(count)]
        size, canvas = self.config.mask_size, self.processor.canvas
        masks = [mask_of(example["rings"][number], canvas, size) for example, number in told]
        known = [self.subtypes.get(example["subtypes"][number], -100) for example, number in told]
        return {
            **batch,
            "owners": torch.repeat_interleave(torch.arange(len(examples)), torch.tensor(counts)),
            "mask_labels": torch.from_numpy(np.stack(masks)) if masks else torch.zeros(0, size, size),
            "subtype_labels": torch.tensor(known, dtype=torch.long),
            "phrase_ids": _padded([self._tokens(example["phrases"][number]) for example, number in told], 0),
            "told_ids": _padded(
                [
                    self._tokens(f"{example['phrases'][number]} {example['explanations'][number]}")
                    for example, number in told
                ],
                0,
            ),
        }

    def _tokenized(self, text: str) -> tuple[int, ...]:
        return tuple(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _answer(self, example: Example) -> tuple[Sequence[int] | None, int]:
        """The answer's token ids, and how many artifacts it tells of: as many as fit."""
        items = list(zip(example["phrases"], example["explanations"], strict=True))
        if not self.text or not example["answered"]:
            return None, len(items)
        while True:
            ids = self._tokens(answer_text(example["scene"], items))
            if len(ids) <= MAX_ANSWER or not items:
                return ids[:MAX_ANSWER], len(items)
            items.pop()

    def _texts(self, answers: Sequence[Sequence[int] | None]) -> dict[str, Tensor]:
        question, end = self.processor.question(), self.processor.tokenizer.eos_token_id
        # Photographs that nobody annotated have no answer: they are seen and nothing is asked of them.
        rows = [[*question, *(answer or []), end] for answer in answers]
        labels = [
            [-100] * len(row) if answer is None else [*[-100] * len(question), *row[len(question) :]]
            for row, answer in zip(rows, answers, strict=True)
        ]
        return {
            "input_ids": _padded(rows, self.processor.tokenizer.pad_token_id),
            "labels": _padded(labels, -100),
            "attention_mask": _padded([[1] * len(row) for row in rows], 0),
        }


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    longest = max((len(row) for row in rows), default=0)
    filled = [[*row, *[value] * (longest - len(row))] for row in rows]
    return torch.tensor(filled, dtype=torch.long).reshape(len(rows), longest)
