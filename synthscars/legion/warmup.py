"""Stands in for pretraining, which the published model takes from CLIP and SAM.

From scratch, joint training stalls: the masks become the union of all regions. So both encoders learn to see
first, with heads that are thrown away: the mask path from the words of each phrase, the global encoder from
what its patches show.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthscars.legion.configuration_legion import LegionConfig
from synthscars.legion.losses import bce_loss, dice_loss
from synthscars.legion.modeling_legion import LegionForArtifactAnalysis


class Scaffold(nn.Module):
    """The heads that are thrown away, and nothing else.

    `words`, `prompt`: the words of a phrase, whatever their order, to a sparse prompt. `patches`: the subtype
    that each patch of the global encoder shows, or none; `cells`: the same of the grounding encoder.
    `origin`: generated or photographed, from CLS.
    """

    def __init__(self, config: LegionConfig) -> None:
        super().__init__()
        prompt = config.sam_config.prompt_encoder_config.hidden_size  # type: ignore[union-attr]
        seen = config.llava_config.vision_config.hidden_size  # type: ignore[union-attr]
        vocabulary = config.llava_config.text_config.vocab_size  # type: ignore[union-attr]
        self.words = nn.EmbeddingBag(vocabulary, prompt, mode="mean", padding_idx=0)
        self.prompt = nn.Sequential(nn.Linear(prompt, prompt), nn.ReLU(), nn.Linear(prompt, prompt))
        self.patches = nn.Linear(seen, len(config.subtypes or {}) + 1)
        self.cells = nn.Linear(prompt, len(config.subtypes or {}) + 1)
        self.origin = nn.Linear(seen, 1)

    def prompts(self, phrase_ids: Tensor) -> Tensor:
        """(N, prompt width) sparse prompts from (N, tokens) ids, 0 where there is none."""
        prompts: Tensor = self.prompt(self.words(phrase_ids))
        return prompts


def fresh_weights(model: LegionForArtifactAnalysis, seed: int) -> None:
    """Initialise SAM as torch does, for its own start is made for its checkpoint."""
    torch.manual_seed(seed)
    for module in model.sam.modules():
        if module is not model.sam and hasattr(module, "reset_parameters"):
            module.reset_parameters()
    positions = model.sam.vision_encoder.pos_embed
    if positions is not None:
        nn.init.normal_(positions, std=0.02)


def patch_targets(batch: dict[str, Any], config: LegionConfig, side: int) -> Tensor:
    """What each of side x side patches shows: (batch, patches, 1 + subtypes), shares that add up to 1.

    The first class is "nothing wrong"; regions of unknown subtype are shared out over all.
    """
    images = len(batch["synthetic"])
    count = len(config.subtypes or {})
    shares = torch.zeros(images, 1 + count, side, side)
    if len(batch["owners"]):
        cells = functional.interpolate(batch["mask_labels"][:, None], size=(side, side), mode="area")[:, 0]
        known = batch["subtype_labels"] >= 0
        index = batch["subtype_labels"].clamp(min=0) + 1
        shares.index_put_((batch["owners"][known], index[known]), cells[known], accumulate=True)
        for owner, cell in zip(batch["owners"][~known], cells[~known], strict=True):
            shares[owner, 1:] += cell / count
    covered = shares.sum(1, keepdim=True)
    shares = shares / covered.clamp(min=1)
    shares[:, :1] = 1 - covered.clamp(max=1)
    return shares.flatten(2).transpose(1, 2)


def patch_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy with shares; patches with something in them count five times, there are so few."""
    each = -(targets * logits.float().log_softmax(-1)).sum(-1)
    weight = 1 + 4 * (1 - targets[..., 0])
    return (each * weight).sum() / weight.sum()


def warmup_losses(
    model: LegionForArtifactAnalysis, scaffold: Scaffold, batch: dict[str, Any]
) -> tuple[dict[str, Tensor], Tensor | None]:
    """The losses of one batch by name (`dice`, `bce`: (N,), others scalar; unweighted), and mask logits."""
    masks = None
    seen = model.llava.model.vision_tower(batch["pixel_values"]).last_hidden_state
    grounding = model.sam.vision_encoder(batch["grounding_pixel_values"]).last_hidden_state
    side = round((seen.shape[1] - 1) ** 0.5)
    losses = {
        "patch": patch_loss(scaffold.patches(seen[:, 1:]), patch_targets(batch, model.config, side)),
        "cell": patch_loss(
            scaffold.cells(grounding.flatten(2).transpose(1, 2)),
            patch_targets(batch, model.config, grounding.shape[-1]),
        ),
        "origin": functional.binary_cross_entropy_with_logits(
            scaffold.origin(seen[:, 0]).squeeze(-1), batch["synthetic"]
        ),
    }
    if len(batch["owners"]):
        masks = model.outline(grounding, batch["owners"], scaffold.prompts(batch["phrase_ids"]))
        losses["dice"] = dice_loss(masks, batch["mask_labels"])
        losses["bce"] = bce_loss(masks, batch["mask_labels"])
    return losses, masks
