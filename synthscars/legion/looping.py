"""An answer that falls into repeating itself ends there.

Greedy decoding of an image that is unlike those of training often ends in a loop, and a model of this size
does not get out of it: without this, the loop is the rest of the answer, and a whole batch waits for it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria

PERIODS = range(1, 13)  # tokens, of which an explanation repeats none four times on end
TIMES = 4
LEAST = 12  # tokens: "......" may be somebody's punctuation
EVERY = 4  # tokens: looking for each of them takes a fourteenth of the time of writing it


class StopLoops(StoppingCriteria):
    """For `generate(stopping_criteria=…)`: rows that end in the same tokens `TIMES` times on end are done."""

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Which rows of (batch, tokens) are done, (batch,)."""
        done = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        if input_ids.shape[1] % EVERY:
            return done
        for period in PERIODS:
            length = max(TIMES * period, LEAST)
            if input_ids.shape[1] >= length:
                end = input_ids[:, -length:]
                done |= (end[:, period:] == end[:, :-period]).all(1)
        return done
