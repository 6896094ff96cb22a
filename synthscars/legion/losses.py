"""The losses of LEGION's masks, one value per mask (as in GLaMM, on which the published model is built)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - Dice of (N, h, w) mask logits and masks of 0 to 1; (N,). Two empty masks agree."""
    found = logits.float().sigmoid().flatten(1)
    wanted = target.float().flatten(1)
    both = (found * wanted).sum(1)
    return 1 - (2 * both + 1) / (found.sum(1) + wanted.sum(1) + 1)


def bce_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy of (N, h, w) mask logits and masks of 0 to 1, averaged over pixels; (N,)."""
    each = functional.binary_cross_entropy_with_logits(logits.float(), target.float(), reduction="none")
    return each.flatten(1).mean(1)
