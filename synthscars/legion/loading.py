"""A checkpoint as a predictor, on the device that is there."""

from __future__ import annotations

from pathlib import Path

import torch

from synthscars.legion.predictor import Predictor


def load_checkpoint(checkpoint: Path, device: str = "auto") -> Predictor:
    """The predictor of a checkpoint folder. device: as torch names it; `auto` takes a GPU if there is one.

    Raises `UsageError` if the folder holds no LEGION.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return Predictor(checkpoint, device=device)
