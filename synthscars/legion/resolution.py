"""Gives a trained LEGION a larger square to look at than it has learned from.

Augmentation crops pictures, so whatever a model learns from is larger than what it is asked about later. In a
larger square, things have the size again that they had in training (Touvron et al. 2019, "Fixing the
train-test resolution discrepancy"), and masks have more cells. It costs no training. For presets with a
pyramid, which is convolutional: only what tells positions has to be resampled.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from synthscars.legion.configuration_legion import LegionConfig
from synthscars.legion.data import SMALLEST_CROP
from synthscars.legion.modeling_legion import LegionForArtifactAnalysis

_GROUNDING = "sam.vision_encoder.pos_embed"
_GLOBAL = "llava.model.vision_tower.embeddings.position_embedding.weight"


def larger_side(side: int, multiple_of: int) -> int:
    """Side, in pixels, of the square in which things are as large as in the crops of a square of `side`."""
    mean_crop = (1 + SMALLEST_CROP) / 2
    return round(side / mean_crop / multiple_of) * multiple_of


def enlarged(model: LegionForArtifactAnalysis) -> LegionForArtifactAnalysis:
    """A copy of a model that has a pyramid, with larger squares for both encoders (`larger_side`).

    Raises `ValueError` if it has no pyramid: a vision transformer's patches are not used to another size.
    """
    config = LegionConfig.from_dict(model.config.to_dict())
    if not config.conv_stem:
        raise ValueError("only a LEGION with a pyramid can look at squares of another size")
    sam, llava = config.sam_config, config.llava_config
    patch, clip = sam.vision_config.patch_size, llava.vision_config
    largest_patch = 4 * patch
    side = larger_side(sam.vision_config.image_size, largest_patch)
    sam.vision_config.image_size = sam.prompt_encoder_config.image_size = side
    sam.prompt_encoder_config.image_embedding_size = side // patch
    clip.image_size = larger_side(clip.image_size, largest_patch)
    llava.image_seq_length = config.image_tokens
    larger = LegionForArtifactAnalysis(config)
    weights = model.state_dict()
    weights[_GROUNDING] = _resampled(weights[_GROUNDING], side // patch)
    first, cells = weights[_GLOBAL].split([1, len(weights[_GLOBAL]) - 1])
    old = round(len(cells) ** 0.5)
    cells = _resampled(cells.view(1, old, old, -1), clip.image_size // clip.patch_size)
    weights[_GLOBAL] = torch.cat([first, cells.flatten(0, 2)])
    larger.load_state_dict(weights)
    return larger.to(model.device).train(model.training)


def _resampled(cells: Tensor, side: int) -> Tensor:
    """(1, h, w, width) to (1, side, side, width)."""
    planes = functional.interpolate(
        cells.permute(0, 3, 1, 2), size=(side, side), mode="bicubic", align_corners=False
    )
    return planes.permute(0, 2, 3, 1)
