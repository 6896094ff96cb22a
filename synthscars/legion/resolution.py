"""Gives a trained LEGION larger squares to look at than it has learned from: for masks, and for detection.

Augmentation crops pictures, so whatever a model learns from is larger than what it is asked about later. In a
larger square, things have the size again that they had in training (Touvron et al. 2019, "Fixing the
train-test resolution discrepancy"), and masks have more cells. It costs no training. For presets with a
pyramid, which is convolutional: only what tells positions has to be resampled. For the language model the
global encoder keeps its square, because one that learned to read 144 patches writes worse from 196. For
detection it looks again: what tells a camera from a generator is what is lost first when a picture is made
smaller.
"""

from __future__ import annotations

from synthscars.legion.configuration_legion import LegionConfig
from synthscars.legion.data import SMALLEST_CROP
from synthscars.legion.modeling_legion import LegionForArtifactAnalysis
from synthscars.legion.stem import resampled

_POSITIONS = "sam.vision_encoder.pos_embed"


def larger_side(side: int, multiple_of: int) -> int:
    """Side, in pixels, of the square in which things are as large as in the crops of a square of `side`."""
    mean_crop = (1 + SMALLEST_CROP) / 2
    return round(side / mean_crop / multiple_of) * multiple_of


def enlarged(model: LegionForArtifactAnalysis) -> LegionForArtifactAnalysis:
    """A copy of a model that has a pyramid, with a larger square for masks and detection (`larger_side`).

    The detection head has to learn from it.

    Raises `ValueError` if it has no pyramid: a vision transformer's patches are not used to another size.
    """
    config = LegionConfig.from_dict(model.config.to_dict())
    if not config.conv_stem:
        raise ValueError("only a LEGION with a pyramid can look at squares of another size")
    sam = config.sam_config
    patch = sam.vision_config.patch_size
    side = larger_side(sam.vision_config.image_size, 4 * patch)
    sam.vision_config.image_size = sam.prompt_encoder_config.image_size = side
    sam.prompt_encoder_config.image_embedding_size = side // patch
    config.detection_size = side
    larger = LegionForArtifactAnalysis(config)
    weights = model.state_dict()
    cells = side // patch
    weights[_POSITIONS] = resampled(weights[_POSITIONS].flatten(0, 2), cells).reshape(1, cells, cells, -1)
    larger.load_state_dict(weights)
    return larger.to(model.device).train(model.training)
