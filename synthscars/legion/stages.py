"""The stages of a training run: which parts learn, and from which losses.

`warmup` stands in for the pretrained encoders; `language` is the paper's first stage, `detection` its second.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthscars.legion.modeling_legion import LegionForArtifactAnalysis, LegionOutput
from synthscars.legion.paper import let_learn
from synthscars.legion.warmup import Scaffold, patch_loss, patch_targets, warmup_losses

Losses = dict[str, Tensor]
WARMUP = {"patch": 1.0, "cell": 1.0, "origin": 0.1, "dice": 1.0, "bce": 4.0}
"""Weights of the warm-up's losses; the paper's stand in the configuration."""
_ALIGN = 1.0
_PATCH = 0.3
_ORIGIN = 0.1


def learns(model: LegionForArtifactAnalysis, stage: str) -> list[nn.Module]:
    """The parts that a stage changes; all others are frozen."""
    scaffold: list[nn.Module] = [model.scaffold] if hasattr(model, "scaffold") else []
    if stage == "warmup":
        return [model.sam, model.llava.model.vision_tower, *scaffold]
    if stage == "language":
        # The mask path stays as the warm-up left it, so that its prompts stay a fixed language to be learned.
        return [model.llava, model.prompt_projection, model.subtype_head]
    return [model.detection_head]


def freeze_but(model: LegionForArtifactAnalysis, stage: str) -> None:
    """Let the parts of a stage learn, and nothing else."""
    if stage == "language" and not hasattr(model, "scaffold"):
        let_learn(model)
        return
    model.requires_grad_(False)
    for part in learns(model, stage):
        part.requires_grad_(True)


def warmup_step(
    model: LegionForArtifactAnalysis, batch: dict[str, Any]
) -> tuple[Tensor, Losses, Tensor | None]:
    """Loss, its parts and the mask logits of one batch."""
    losses, masks = warmup_losses(model, _scaffold(model), batch)
    total = sum((WARMUP[name] * loss.mean() for name, loss in losses.items()), torch.zeros(()))
    return total, losses, masks


def language_step(
    model: LegionForArtifactAnalysis, batch: dict[str, Any]
) -> tuple[Tensor, Losses, LegionOutput]:
    """The paper's losses, and after a warm-up three that keep hold of what it taught.

    `align` pulls the prompt of each `[SEG]` to the one that the phrase itself gives, which the frozen mask
    path understands; `patch` and `origin` keep the global encoder from forgetting.
    """
    output = model(**{name: batch[name] for name in _INPUTS if name in batch})
    losses = {
        name: getattr(output, f"{name}_loss")
        for name in ("text", "dice", "bce", "subtype")
        if getattr(output, f"{name}_loss") is not None
    }
    total = output.loss if output.loss is not None else torch.zeros(())
    if not hasattr(model, "scaffold"):
        return total, losses, output
    scaffold = _scaffold(model)
    if len(batch["owners"]):
        wanted = scaffold.prompts(batch["phrase_ids"]).detach()
        losses["align"] = functional.mse_loss(output.prompts, wanted)
        total = total + _ALIGN * losses["align"]
    seen = output.vision_hidden
    side = round((seen.shape[1] - 1) ** 0.5)
    losses["patch"] = patch_loss(scaffold.patches(seen[:, 1:]), patch_targets(batch, model.config, side))
    losses["origin"] = functional.binary_cross_entropy_with_logits(
        scaffold.origin(seen[:, 0]).squeeze(-1), batch["synthetic"]
    )
    return total + _PATCH * losses["patch"] + _ORIGIN * losses["origin"], losses, output


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
