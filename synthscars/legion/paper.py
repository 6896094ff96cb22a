"""The published model's size, from checkpoints of LLaVA (CLIP ViT-L/14-336, Vicuna-7B) and of SAM ViT-H.

What learns, as in the paper (section 4.2): low-rank adapters of rank 8 on the query and value projections of
the language model, its embeddings (for the new tokens), the projector, the projection of `[SEG]`, and the
mask decoder. Both image encoders stay as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, LlavaForConditionalGeneration, SamModel

from synthscars.legion.answers import MARKERS, SEG
from synthscars.legion.configuration_legion import INSTRUCTION, LegionConfig
from synthscars.legion.modeling_legion import LegionForArtifactAnalysis
from synthscars.legion.processing_legion import IMAGE_TOKEN, LegionProcessor
from synthscars.problems import UsageError

LORA_RANK, LORA_ALPHA = 8, 16


def assemble(
    llava: Path | str, sam: Path | str, **loading: Any
) -> tuple[LegionForArtifactAnalysis, LegionProcessor]:
    """A LEGION from a folder (or Hub id) of LLaVA with its tokenizer, and one of SAM; its own heads are new.

    loading: passed to both `from_pretrained` (dtype, device_map, revision, ...). Raises `UsageError` if one
    of them cannot be loaded.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(llava)
        language = LlavaForConditionalGeneration.from_pretrained(llava, **loading)
        grounding = SamModel.from_pretrained(sam, **loading)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"no LEGION can be built from {llava} and {sam}: {error}",
            fix="give folders of LLaVA 1.5 and SAM as transformers saves them",
        ) from error
    tokenizer.add_special_tokens(
        {
            "extra_special_tokens": [
                token for token in (IMAGE_TOKEN, *MARKERS) if token not in tokenizer.get_vocab()
            ]
        },
        replace_extra_special_tokens=False,
    )
    if len(tokenizer) > language.config.text_config.vocab_size:
        language.resize_token_embeddings(len(tokenizer))
    language.config.image_token_index = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
    config = LegionConfig(
        llava_config=language.config,
        sam_config=grounding.config,
        seg_token_id=tokenizer.convert_tokens_to_ids(SEG),
        instruction=INSTRUCTION,
    )
    model = LegionForArtifactAnalysis(config)
    model.llava, model.sam = language, grounding
    return model, LegionProcessor.for_config(config, tokenizer)


def add_adapters(model: LegionForArtifactAnalysis) -> None:
    """Give the language model its low-rank adapters. Raises `UsageError` without the package `peft`."""
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UsageError("the paper's training needs peft", fix="pip install 'synthscars[paper]'") from error
    adapters = LoraConfig(r=LORA_RANK, lora_alpha=LORA_ALPHA, target_modules=["q_proj", "v_proj"])
    model.llava.model.language_model = get_peft_model(model.llava.model.language_model, adapters)


def merge_adapters(model: LegionForArtifactAnalysis) -> None:
    """Add the adapters to the weights that they adapt, so that the model is an ordinary one again."""
    model.llava.model.language_model = model.llava.model.language_model.merge_and_unload()


def let_learn(model: LegionForArtifactAnalysis) -> None:
    """Freeze all but what the first stage changes."""
    model.requires_grad_(False)
    llava = model.llava
    for part in (
        llava.get_input_embeddings(),
        llava.lm_head,
        llava.model.multi_modal_projector,
        model.prompt_projection,
        model.subtype_head,
        model.sam.mask_decoder,
    ):
        part.requires_grad_(True)
    for name, weight in llava.model.language_model.named_parameters():
        if "lora_" in name:
            weight.requires_grad_(True)
