"""The stages of a training run: which parts learn, and from which losses.

`warmup` and `words` stand in for the pretrained encoders; `language` is the paper's first stage, `detection`
its second.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthscars.legion.modeling_legion import LegionForArtifactAnalysis
from synthscars.legion.paper import let_learn
from synthscars.legion.processing_legion import ENCODER_INPUTS
from synthscars.legion.warmup import Scaffold, origin_loss, warmup_losses, word_loss

Losses = dict[str, Tensor]
WARMUP = {"cell": 1.0, "dice": 1.0, "bce": 4.0, "place": 1.0, "absent": 1.0}
"""Weights of the warm-up's losses; the paper's stand in the configuration."""
_ALIGN = 1.0
_WORD = 0.3
_ORIGIN = 0.1


def learns(model: LegionForArtifactAnalysis, stage: str) -> list[nn.Module]:
    """The parts that a stage changes; all others are frozen."""
    scaffold: list[nn.Module] = [model.scaffold] if hasattr(model, "scaffold") else []
    if stage == "warmup":
        return [model.sam, *scaffold]
    if stage == "words":
        eyes = [model.llava.model.vision_tower, model.llava.model.multi_modal_projector]
        return [*eyes, model.llava.lm_head, *scaffold]
    if stage == "language":
        # The mask path stays as the warm-up left it, so that its prompts stay a fixed language to be learned.
        return [model.llava, model.prompt_projection, model.subtype_head]
    return [model.detection_head]


def pictures(model: LegionForArtifactAnalysis, stage: str) -> tuple[str, ...]:
    """The names of the inputs of `forward` for the encoders that a stage looks through."""
    if stage == "warmup":
        return ("grounding_pixel_values",)
    # The masks of a frozen mask path teach nothing that `align` does not teach at a fraction of the time.
    return ("pixel_values",) if stage == "words" or hasattr(model, "scaffold") else ENCODER_INPUTS


def freeze_but(model: LegionForArtifactAnalysis, stage: str) -> None:
    """Let the parts of a stage learn, and nothing else."""
    if stage == "language" and not hasattr(model, "scaffold"):
        let_learn(model)
        return
    model.requires_grad_(False)
    for part in learns(model, stage):
        part.requires_grad_(True)


def rest(model: LegionForArtifactAnalysis) -> None:
    """Keep the frozen parts from noting what they see: batch normalisation does so without learning."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and not module.weight.requires_grad:
            module.eval()


def warmup_step(model: LegionForArtifactAnalysis, batch: dict[str, Any]) -> tuple[Tensor, Losses]:
    """Loss and its parts of one batch."""
    losses = warmup_losses(model, _scaffold(model), batch)
    total = sum((WARMUP[name] * loss.mean() for name, loss in losses.items()), torch.zeros(()))
    return total, losses


def words_step(model: LegionForArtifactAnalysis, batch: dict[str, Any]) -> tuple[Tensor, Losses]:
    """Loss and its parts of one batch."""
    features, seen = model.look(batch["pixel_values"])
    losses = {
        "word": word_loss(model, features, batch),
        "origin": origin_loss(_scaffold(model), seen, batch),
    }
    return losses["word"] + _ORIGIN * losses["origin"], losses


def language_step(model: LegionForArtifactAnalysis, batch: dict[str, Any]) -> tuple[Tensor, Losses]:
    """The paper's losses, and after a warm-up three that keep hold of what was taught.

    `align` pulls the prompt of each `[SEG]` to the one that the phrase itself gives, which the frozen mask
    path understands; `word` and `origin` keep the global encoder from forgetting.
    """
    warmed = hasattr(model, "scaffold")
    output = model(**{name: batch[name] for name in _INPUTS if name in batch})
    losses = {
        name: getattr(output, f"{name}_loss")
        for name in ("text", "dice", "bce", "subtype")
        if getattr(output, f"{name}_loss") is not None
    }
    total = output.loss if output.loss is not None else torch.zeros(())
    if not warmed:
        return total, losses
    scaffold = _scaffold(model)
    if len(batch["owners"]):
        wanted = scaffold.prompts(batch["phrase_ids"]).detach()
        losses["align"] = functional.mse_loss(output.prompts, wanted)
        total = total + _ALIGN * losses["align"]
    losses["word"] = word_loss(model, output.image_features, batch)
    losses["origin"] = origin_loss(scaffold, output.vision_hidden, batch)
    return total + _WORD * losses["word"] + _ORIGIN * losses["origin"], losses


_INPUTS = (
    "input_ids",
    "pixel_values",
    "grounding_pixel_values",
    "attention_mask",
    "labels",
    "mask_labels",
    "subtype_labels",
)


def _scaffold(model: LegionForArtifactAnalysis) -> Scaffold:
    scaffold = model.scaffold
    assert isinstance(scaffold, Scaffold)
    return scaffold
