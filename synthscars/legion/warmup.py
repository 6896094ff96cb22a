"""Stands in for pretraining, which the published model takes from CLIP and SAM.

From scratch, joint training stalls: the masks become the union of all regions. So both encoders learn to see
first: the mask path from the words of each phrase, and then the global encoder to tell, patch by patch and in
the language model's own words, what is said about the place. The heads of `Scaffold` are thrown away.
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

    `words`, `prompt`: the words of a phrase, whatever their order, to a sparse prompt; `key`: and to what the
    grounding encoder is to look like where the phrase is, and nowhere else. `cells`: the subtype that each
    cell of a mask shows, or none, from the grounding encoder. `origin`: generated or photographed, from CLS.
    """

    def __init__(self, config: LegionConfig) -> None:
        super().__init__()
        prompt = config.sam_config.prompt_encoder_config.hidden_size  # type: ignore[union-attr]
        seen = config.llava_config.vision_config.hidden_size  # type: ignore[union-attr]
        vocabulary = config.llava_config.text_config.vocab_size  # type: ignore[union-attr]
        self.words = nn.EmbeddingBag(vocabulary, prompt, mode="mean", padding_idx=0)
        self.prompt = nn.Sequential(nn.Linear(prompt, prompt), nn.ReLU(), nn.Linear(prompt, prompt))
        self.key = nn.Linear(prompt, prompt)
        cells = nn.Conv2d(prompt, 16 * (len(config.subtypes or {}) + 1), 1)
        # Most cells show nothing, which need not be learned (Lin et al. 2017, RetinaNet).
        nn.init.constant_(cells.bias[:16], 4.0)  # type: ignore[index]
        self.cells = nn.Sequential(cells, nn.PixelShuffle(4))
        self.origin = nn.Linear(seen, 1)

    def likeness(self, prompts: Tensor, grounding: Tensor) -> Tensor:
        """How much each cell of each image is like each prompted phrase: (N, batch, h, w) logits.

        As in GLIP (Li et al. 2022), but for the words of a phrase together.
        """
        keys = self.key(prompts) / prompts.shape[-1] ** 0.5
        # Most cells are like nothing that is asked for.
        return torch.einsum("nc,bchw->nbhw", keys, grounding) - 3

    def prompts(self, phrase_ids: Tensor) -> Tensor:
        """(N, prompt width) sparse prompts from (N, tokens) ids, 0 where there is none."""
        prompts: Tensor = self.prompt(self.words(phrase_ids))
        return prompts


def fresh_weights(model: LegionForArtifactAnalysis, seed: int) -> None:
    """Initialise SAM as torch does, for its own start is made for its checkpoint."""
    torch.manual_seed(seed)
    stem = set(model.sam.vision_encoder.patch_embed.modules())
    for module in model.sam.modules():
        if module is not model.sam and module not in stem and hasattr(module, "reset_parameters"):
            module.reset_parameters()
    for module in model.sam.mask_decoder.modules():
        if isinstance(module, nn.ConvTranspose2d):
            # From the small start of torch the masks stay the mean of all for hundreds of steps.
            nn.init.normal_(module.weight, std=(2 / module.in_channels) ** 0.5)
    positions = model.sam.vision_encoder.pos_embed
    if positions is not None:
        nn.init.normal_(positions, std=0.02)


def shown(batch: dict[str, Any], classes: Tensor, side: int) -> Tensor:
    """What each of side x side patches shows: (batch, C, patches), shares that add up to 1.

    classes: (N, C), what each region is, as shares that add up to 1; class 0 is "nothing wrong".
    """
    images = len(batch["synthetic"])
    shares = classes.new_zeros(images, classes.shape[1], side * side)
    covered = classes.new_zeros(images, 1, side * side)
    if len(batch["owners"]):
        cells = functional.interpolate(batch["mask_labels"][:, None], size=(side, side), mode="area")
        cells = cells.flatten(1)[:, None]
        shares.index_add_(0, batch["owners"], cells * classes[:, :, None])
        covered.index_add_(0, batch["owners"], cells)
    shares = shares / covered.clamp(min=1)
    shares[:, :1] = 1 - covered.clamp(max=1)
    return shares


def subtype_classes(batch: dict[str, Any], count: int) -> Tensor:
    """(N, 1 + count): the subtype of each region, or equal shares of all where it is unknown."""
    labels = batch["subtype_labels"]
    known = functional.one_hot(labels.clamp(min=0) + 1, 1 + count).float()
    unknown = known.new_full((1 + count,), 1 / max(count, 1))
    unknown[0] = 0
    return torch.where((labels >= 0)[:, None], known, unknown)


def word_classes(batch: dict[str, Any], vocabulary: int) -> Tensor:
    """(N, vocabulary): the words that are said about each region, in equal shares. Token 0 is no word."""
    ids = batch["told_ids"]
    bag = torch.zeros(len(ids), vocabulary, device=ids.device)
    if len(ids):
        bag.scatter_(1, ids, 1.0)
    bag[:, 0] = 0
    return bag / bag.sum(1, keepdim=True).clamp(min=1)


def patch_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of (batch, C, patches) logits with shares.

    Patches with something in them count five times, there are so few.
    """
    each = -(targets * logits.float().log_softmax(1)).sum(1)
    weight = 1 + 4 * (1 - targets[:, 0])
    return (each * weight).sum() / weight.sum()


def word_loss(model: LegionForArtifactAnalysis, features: Tensor, batch: dict[str, Any]) -> Tensor:
    """What is said about each place, read from what the language model is given of it.

    features: (batch, patches, text width). Read by the language model's own embedding, so that it finds words
    in the image, and has to put them in order only.
    """
    logits = model.llava.lm_head(features).transpose(1, 2)
    side = round(features.shape[1] ** 0.5)
    return patch_loss(logits, shown(batch, word_classes(batch, logits.shape[1]), side))


def origin_loss(scaffold: Scaffold, seen: Tensor, batch: dict[str, Any]) -> Tensor:
    """Generated or photographed, from the CLS of (batch, 1 + patches, width)."""
    return functional.binary_cross_entropy_with_logits(
        scaffold.origin(seen[:, 0]).squeeze(-1), batch["synthetic"]
    )


def warmup_losses(
    model: LegionForArtifactAnalysis, scaffold: Scaffold, batch: dict[str, Any]
) -> dict[str, Tensor]:
    """The losses of one batch by name, unweighted; `dice` and `bce`: (N,), others scalar."""
    grounding = model.sam.vision_encoder(batch["grounding_pixel_values"]).last_hidden_state
    subtypes = subtype_classes(batch, len(model.config.subtypes or {}))
    losses = {
        "cell": patch_loss(
            scaffold.cells(grounding).flatten(2),
            shown(batch, subtypes, model.config.mask_size),
        ),
    }
    if len(batch["owners"]):
        prompts = scaffold.prompts(batch["phrase_ids"])
        masks = model.outline(grounding, batch["owners"], prompts)
        losses["dice"] = dice_loss(masks, batch["mask_labels"])
        losses["bce"] = bce_loss(masks, batch["mask_labels"])
        losses["place"], losses["absent"] = place_losses(scaffold.likeness(prompts, grounding), batch)
    return losses


def place_losses(likeness: Tensor, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """What the places of a phrase in its image are, and that it has none in the other images of the batch.

    likeness: (N, batch, h, w) logits. Returns (N,), without the detour of the mask decoder, which has to
    learn as well, and a scalar. Where another image shows something of the same subtype, it is not asked: it
    may be the same thing by another name.
    """
    owners, subtypes = batch["owners"], batch["subtype_labels"]
    size = likeness.shape[-2:]
    cells = functional.interpolate(batch["mask_labels"][:, None], size=size, mode="area")[:, 0]
    own = likeness[torch.arange(len(owners), device=owners.device), owners]
    place = dice_loss(own, cells) + 4 * bce_loss(own, cells)
    unknown = subtypes < 0
    alike = (subtypes[:, None] == subtypes) | unknown[:, None] | unknown
    perhaps = torch.zeros_like(likeness, dtype=cells.dtype)
    perhaps.index_add_(1, owners, alike[:, :, None, None] * cells)
    asked = (perhaps == 0) & (functional.one_hot(owners, likeness.shape[1]) == 0)[:, :, None, None]
    absent = functional.softplus(likeness.float()) * asked
    return place, 4 * absent.sum() / asked.sum().clamp(min=1)
