"""A checkpoint of LEGION that has learned nothing, made in a moment."""

from __future__ import annotations

from pathlib import Path

import torch

from synthscars.caption import compose
from synthscars.legion import LegionConfig, LegionForArtifactAnalysis, LegionProcessor
from synthscars.legion.tokenizer import train_tokenizer


def untrained(folder: Path, seed: int = 0) -> Path:
    """Write the checkpoint of a `tiny` model with random weights into a folder, and return it."""
    torch.manual_seed(seed)
    tokenizer = train_tokenizer([compose("A man waves", [("the left hand", "It has six fingers.")])], 300)
    config = LegionConfig.preset("tiny", vocab_size=len(tokenizer))
    LegionForArtifactAnalysis(config).save_pretrained(folder)
    LegionProcessor.for_config(config, tokenizer).save_pretrained(folder)
    return folder
