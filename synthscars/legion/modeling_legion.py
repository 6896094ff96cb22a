"""LEGION (arXiv 2503.15264, section 4): an answer in words, and a mask for every phrase that it names.

A LLaVA reads the image through its global encoder and writes the answer; the last hidden state of every
`[SEG]` in it goes through two layers and becomes the sparse prompt of a SAM mask decoder, which looks at the
image through an encoder of its own. A small head on the global encoder's CLS token tells generated images
from photographs. The head that names the subtype of each region is ours: the published model has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    LlavaForConditionalGeneration,
    PreTrainedModel,
    SamModel,
    StoppingCriteriaList,
)
from transformers.utils import ModelOutput

from synthscars.legion.configuration_legion import LegionConfig
from synthscars.legion.looping import StopLoops
from synthscars.legion.losses import bce_loss, dice_loss
from synthscars.legion.processing_legion import from_clip_to_sam
from synthscars.legion.stem import Pyramid, StemEmbeddings


@dataclass
class LegionOutput(ModelOutput):
    """What `forward` gives. N counts the `[SEG]` tokens of the batch, in reading order.

    logits: (batch, tokens, vocabulary), without labels alone: with them, only what has a label is read.
    mask_logits: (N, mask_size, mask_size), over the padded square. subtype_logits: (N, subtypes). prompts:
    (N, width of the prompt encoder). vision_hidden: (batch, 1 + image_tokens, width), the global encoder's,
    CLS first; image_features: (batch, image_tokens, text width), what the language model is given of it.
    Every loss is a mean, and unweighted but for `loss`.
    """

    loss: Tensor | None = None
    text_loss: Tensor | None = None
    dice_loss: Tensor | None = None
    bce_loss: Tensor | None = None
    subtype_loss: Tensor | None = None
    logits: Tensor | None = None
    mask_logits: Tensor | None = None
    subtype_logits: Tensor | None = None
    prompts: Tensor | None = None
    vision_hidden: Tensor | None = None
    image_features: Tensor | None = None


class LegionAnswer(NamedTuple):
    """What `answer` gives. N counts the `[SEG]` tokens of the batch, in reading order.

    sequences: (batch, new tokens) ids. owners: (N,) the image of each. mask_logits, subtype_logits: as above.
    token_logprobs: (batch, new tokens). synthetic_logits: (batch,).
    """

    sequences: Tensor
    owners: Tensor
    token_logprobs: Tensor
    synthetic_logits: Tensor
    mask_logits: Tensor
    subtype_logits: Tensor


class LegionForArtifactAnalysis(PreTrainedModel):
    """Detect, outline and explain artifacts. Parts: `llava`, `sam`, `prompt_projection`, two heads."""

    config_class = LegionConfig
    config: LegionConfig
    base_model_prefix = "legion"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True

    def __init__(self, config: LegionConfig) -> None:
        super().__init__(config)
        self.llava = LlavaForConditionalGeneration(config.llava_config)
        self.sam = SamModel(config.sam_config)
        if config.conv_stem:
            self._give_stems()
        width = config.llava_config.text_config.hidden_size  # type: ignore[union-attr]
        seen = config.llava_config.vision_config.hidden_size  # type: ignore[union-attr]
        prompt = config.sam_config.prompt_encoder_config.hidden_size  # type: ignore[union-attr]
        self.prompt_projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, prompt))
        self.subtype_head = nn.Linear(width, len(config.subtypes or {}))
        self.detection_head = nn.Sequential(
            nn.LayerNorm(seen), nn.Linear(seen, seen), nn.GELU(), nn.Linear(seen, 1)
        )
        self.post_init()

    def _give_stems(self) -> None:
        clip = self.llava.model.vision_tower
        sam = self.sam.vision_encoder
        sam.patch_embed.projection = stem = Pyramid(sam.config.hidden_size, sam.config.patch_size)
        clip.embeddings = StemEmbeddings(
            stem, clip.config.hidden_size, self.config.image_tokens, *from_clip_to_sam()
        )

    def _init_weights(self, module: nn.Module) -> None:
        # The parts have initialised themselves; only what stands beside them is left.
        if isinstance(module, (nn.Linear, nn.LayerNorm)) and not getattr(module, "_is_hf_initialized", False):
            module.reset_parameters()

    # Seeing

    def look(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """What the global encoder sees, for the language model and as it is, CLS first.

        Shapes: (batch, image_tokens, text width) and (batch, 1 + image_tokens, width).

        pixel_values: (batch, 3, side, side), normalised as CLIP wants it.
        """
        seen = self.llava.model.get_image_features(pixel_values, return_dict=True)
        return torch.stack(list(seen.pooler_output)), seen.last_hidden_state

    def class_token(self, pixel_values: Tensor) -> Tensor:
        """CLS of the global encoder, (batch, width), of squares that may be larger than it usually sees.

        pixel_values: (batch, 3, side, side), normalised as CLIP wants it.
        """
        encoder = self.llava.model.vision_tower
        larger = pixel_values.shape[-1] != encoder.config.image_size
        seen: Tensor = encoder(pixel_values, interpolate_pos_encoding=larger).last_hidden_state
        return seen[:, 0]

    def detect(self, class_token: Tensor) -> Tensor:
        """Logits, (batch,), that images are generated.

        class_token: (batch, width), of squares of the configuration's `detection_size`.
        """
        return self.detection_head(class_token).squeeze(-1)

    def read(self, input_ids: Tensor, image_features: Tensor) -> Tensor:
        """Embeddings of the tokens, the image's in the place of its placeholders."""
        embeddings = self.llava.get_input_embeddings()(input_ids)
        places = (input_ids == self.config.llava_config.image_token_id).unsqueeze(-1)  # type: ignore[union-attr]
        return embeddings.masked_scatter(places, image_features.to(embeddings.dtype))

    def outline(self, grounding_embeddings: Tensor, owners: Tensor, prompts: Tensor) -> Tensor:
        """One mask per prompt: (N, mask_size, mask_size) logits.

        grounding_embeddings: (batch, prompt width, h, w), of the grounding encoder, computed once an image;
        owners: (N,) which image each prompt belongs to; prompts: (N, prompt width).
        """
        sam = self.sam
        _, dense = sam.prompt_encoder(
            input_points=None, input_labels=None, input_boxes=None, input_masks=None
        )
        positions = sam.get_image_wide_positional_embeddings()
        masks, _ = sam.mask_decoder(
            image_embeddings=grounding_embeddings[owners],
            image_positional_embeddings=positions.expand(len(owners), -1, -1, -1),
            sparse_prompt_embeddings=prompts[:, None, None, :],
            dense_prompt_embeddings=dense.expand(len(owners), -1, -1, -1),
            multimask_output=False,
        )
        return masks[:, 0, 0]

    # Training

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        grounding_pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        mask_labels: Tensor | None = None,
        subtype_labels: Tensor | None = None,
        **_: Any,
    ) -> LegionOutput:
        """Read question and answer, as in training.

        input_ids: (batch, tokens), padded on the right; labels: the same with -100 where nothing is learned.
        grounding_pixel_values: (batch, 3, side, side); without them no masks are drawn. mask_labels:
        (N, mask_size, mask_size), 0 to 1, in reading order of the `[SEG]` tokens. subtype_labels: (N,), -100
        where unknown.
        """
        features, seen = self.look(pixel_values)
        hidden = self.llava.model.language_model(
            inputs_embeds=self.read(input_ids, features), attention_mask=attention_mask
        ).last_hidden_state
        output = LegionOutput(vision_hidden=seen, image_features=features)
        if labels is None:
            output.logits = self.llava.lm_head(hidden)
        else:
            # Most tokens are patches and padding, of which nothing is to be said.
            told = labels[:, 1:] >= 0
            if bool(told.any()):
                written = self.llava.lm_head(hidden[:, :-1][told]).float()
                output.text_loss = nn.functional.cross_entropy(written, labels[:, 1:][told])
        owners, places = torch.nonzero(input_ids == self.config.seg_token_id, as_tuple=True)
        asked = hidden[owners, places]
        output.prompts = self.prompt_projection(asked)
        output.subtype_logits = self.subtype_head(asked)
        if grounding_pixel_values is not None and len(owners):
            grounding = self.sam.vision_encoder(grounding_pixel_values).last_hidden_state
            output.mask_logits = self.outline(grounding, owners, output.prompts)
        self._add_losses(output, mask_labels, subtype_labels)
        return output

    def _add_losses(self, output: LegionOutput, masks: Tensor | None, subtypes: Tensor | None) -> None:
        weights = self.config
        total: list[Tensor] = []
        if output.text_loss is not None:
            total.append(weights.text_weight * output.text_loss)
        if masks is not None and output.mask_logits is not None:
            output.dice_loss = dice_loss(output.mask_logits, masks).mean()
            output.bce_loss = bce_loss(output.mask_logits, masks).mean()
            total.append(weights.dice_weight * output.dice_loss + weights.bce_weight * output.bce_loss)
        if subtypes is not None and output.subtype_logits is not None and bool((subtypes >= 0).any()):
            output.subtype_loss = nn.functional.cross_entropy(
                output.subtype_logits.float(), subtypes, ignore_index=-100
            )
            total.append(weights.subtype_weight * output.subtype_loss)
        output.loss = torch.stack(total).sum() if total else None

    # Answering

    @torch.no_grad()
    def answer(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        grounding_pixel_values: Tensor,
        detection_pixel_values: Tensor | None = None,
        *,
        max_new_tokens: int = 384,
        **generation: Any,
    ) -> LegionAnswer:
        """Write answers to questions of equal length and outline what they name, greedily unless told.

        Each image goes through each encoder once, whatever the number of phrases, and through the global one
        again if detection has a square of its own, `detection_pixel_values`. A `[SEG]` that is the last token
        before `max_new_tokens` has not been read by the model, so it asks for no mask. An answer that falls
        into repeating itself ends there (`StopLoops`).
        """
        features, seen = self.look(pixel_values)
        embeddings = self.read(input_ids, features)
        written = self.llava.generate(
            inputs_embeds=embeddings,
            attention_mask=torch.ones_like(input_ids),
            max_new_tokens=max_new_tokens,
            **{
                "do_sample": False,
                "stopping_criteria": StoppingCriteriaList([StopLoops()]),
                **generation,
            },
            output_hidden_states=True,
            output_logits=True,
            return_dict_in_generate=True,
        )
        sequences = written.sequences
        # The state at step k + 1 is the one that has read token k.
        steps = [step[-1][:, -1] for step in written.hidden_states[1:]]
        read = sequences[:, : len(steps)]
        owners, places = torch.nonzero(read == self.config.seg_token_id, as_tuple=True)
        logprobs = torch.stack(written.logits, dim=1).float().log_softmax(-1)
        states = torch.stack(steps, dim=1) if steps else embeddings[:, :0]
        asked = states[owners, places]
        side = self.config.mask_size
        masks = asked.new_zeros(0, side, side)
        if len(owners):
            grounding = self.sam.vision_encoder(grounding_pixel_values).last_hidden_state
            masks = self.outline(grounding, owners, self.prompt_projection(asked))
        token = seen[:, 0] if detection_pixel_values is None else self.class_token(detection_pixel_values)
        return LegionAnswer(
            sequences=sequences,
            owners=owners,
            token_logprobs=logprobs.gather(-1, sequences.unsqueeze(-1)).squeeze(-1),
            synthetic_logits=self.detect(token),
            mask_logits=masks,
            subtype_logits=self.subtype_head(asked),
        )


AutoModel.register(LegionConfig, LegionForArtifactAnalysis, exist_ok=True)
