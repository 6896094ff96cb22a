"""Configuration of LEGION (arXiv 2503.15264, section 4): LLaVA, SAM, and what joins them."""

from __future__ import annotations

from typing import Any, ClassVar

from transformers import AutoConfig, PreTrainedConfig
from transformers.models.llava import LlavaConfig
from transformers.models.sam import SamConfig

from synthscars.taxonomy import load_taxonomy

INSTRUCTION = (
    "Please provide a detailed analysis of artifacts in this photo, considering physical artifacts (e.g., "
    "optical display issues, violations of physical laws, and spatial/perspective errors), structural "
    "artifacts (e.g., deformed objects, asymmetry, or distorted text), and distortion artifacts (e.g., "
    "color/texture distortion, noise/blur, artistic style errors, and material misrepresentation). Output "
    "with interleaved segmentation masks for the corresponding parts of the answer."
)
"""What the published model is asked."""
SHORT_INSTRUCTION = "Which artifacts are in this photo?"
"""What the small presets are asked: every word of a constant question costs them time and says nothing."""
PRESETS = ("tiny", "small", "paper")


class LegionConfig(PreTrainedConfig):
    """The parts of a LEGION and how they fit together.

    llava_config: global encoder (CLIP), projector and language model. sam_config: grounding encoder, prompt
    encoder and mask decoder. seg_token_id: the token whose last hidden state asks for a mask. subtypes: from
    the taxonomy, with the category of each; the classes of the subtype head. detection_size: side of the
    square that the global encoder looks at for detection, its own if `None`. The weights are those of the
    paper's losses; `subtype_weight` is ours.
    """

    model_type = "legion"
    sub_configs: ClassVar[dict[str, Any]] = {"llava_config": LlavaConfig, "sam_config": SamConfig}
    is_composition = True

    llava_config: dict[str, Any] | PreTrainedConfig | None = None
    sam_config: dict[str, Any] | PreTrainedConfig | None = None
    seg_token_id: int = 4
    instruction: str = INSTRUCTION
    subtypes: dict[str, str] | None = None
    conv_stem: bool = False
    detection_size: int | None = None
    text_weight: float = 1.0
    dice_weight: float = 0.2
    bce_weight: float = 0.4
    subtype_weight: float = 0.2

    def __post_init__(self, **kwargs: Any) -> None:
        """Turn what a `config.json` holds into the configurations of the parts."""
        if not isinstance(self.llava_config, PreTrainedConfig):
            self.llava_config = LlavaConfig(**(self.llava_config or {}))
        if not isinstance(self.sam_config, PreTrainedConfig):
            self.sam_config = SamConfig(**(self.sam_config or {}))
        if self.subtypes is None:
            self.subtypes = {subtype.id: subtype.category for subtype in load_taxonomy().subtypes}
        # Their order is that of the head's outputs, and a `config.json` is written in this one.
        self.subtypes = dict(sorted(self.subtypes.items()))
        super().__post_init__(**kwargs)

    def get_text_config(self, *_args: Any, **_kwargs: Any) -> Any:
        """The language model's configuration, which generation asks for."""
        return self.llava_config.text_config  # type: ignore[union-attr]

    @property
    def image_tokens(self) -> int:
        """How many tokens an image takes in the question: one per patch of the global encoder."""
        vision = self.llava_config.vision_config  # type: ignore[union-attr]
        return int((vision.image_size // vision.patch_size) ** 2)

    @property
    def mask_size(self) -> int:
        """Side of a predicted mask, in cells over the padded square image."""
        return int(4 * self.sam_config.prompt_encoder_config.image_embedding_size)  # type: ignore[union-attr]

    @classmethod
    def preset(cls, name: str, *, vocab_size: int = 32_000) -> LegionConfig:
        """One of `PRESETS`; `vocab_size` is the tokenizer's. Raises `ValueError` for another name.

        `tiny` has about 5 million parameters, `small` about 30, `paper` the sizes of CLIP ViT-L/14-336,
        Vicuna-7B and SAM ViT-H.
        """
        if name == "tiny":
            return cls(
                llava_config=_llava(vocab_size, image=192, patch=16, vision=(128, 2), text=(192, 3)),
                sam_config=_sam(image=192, patch=8, vision=(128, 0), prompt=64),
                instruction=SHORT_INSTRUCTION,
                conv_stem=True,
            )
        if name == "small":
            return cls(
                llava_config=_llava(vocab_size, image=256, patch=16, vision=(256, 4), text=(384, 8)),
                sam_config=_sam(image=256, patch=8, vision=(256, 4), prompt=128),
                instruction=SHORT_INSTRUCTION,
                conv_stem=True,
            )
        if name == "paper":
            return cls(
                llava_config=_llava(
                    vocab_size, image=336, patch=14, vision=(1024, 24), text=(4096, 32), layer=-2, tied=False
                ),
                sam_config=_sam(image=1024, patch=16, vision=(1280, 32), prompt=256, window=14, heads=16),
            )
        raise ValueError(f"{name!r} is no preset of LEGION: choose from {', '.join(PRESETS)}")


def _llava(
    vocab_size: int,
    *,
    image: int,
    patch: int,
    vision: tuple[int, int],
    text: tuple[int, int],
    layer: int = -1,
    tied: bool = True,
) -> dict[str, Any]:
    """Sizes are (width, layers); an attention head is 32 to 128 wide, as is usual at the size."""
    width, layers = text
    heads = max(width // 128, 6)
    return {
        "image_token_index": 3,
        "vision_feature_layer": layer,
        "image_seq_length": (image // patch) ** 2,
        "tie_word_embeddings": tied,
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": vision[0],
            "intermediate_size": vision[0] * 4,
            "num_hidden_layers": vision[1],
            "num_attention_heads": max(vision[0] // 64, 4),
            "image_size": image,
            "patch_size": patch,
            "projection_dim": vision[0],
        },
        "text_config": {
            "model_type": "llama",
            "vocab_size": vocab_size,
            "hidden_size": width,
            "intermediate_size": 11_008 if width == 4096 else width * 8 // 3 // 64 * 64,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": heads,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": tied,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
        },
    }


def _sam(
    *,
    image: int,
    patch: int,
    vision: tuple[int, int],
    prompt: int,
    window: int = 8,
    heads: int | None = None,
) -> dict[str, Any]:
    """A quarter of the layers see the whole image, the others windows of it, as in SAM."""
    width, layers = vision
    every = max(layers // 4, 1) if layers > 8 else 2
    return {
        "vision_config": {
            "hidden_size": width,
            "mlp_dim": width * 4,
            "num_hidden_layers": layers,
            "num_attention_heads": heads or max(width // 32, 4),
            "image_size": image,
            "patch_size": patch,
            "output_channels": prompt,
            "window_size": window,
            "global_attn_indexes": list(range(every - 1, layers, every)),
            # Both tell where a patch is; relative positions double the time of a small encoder.
            "use_rel_pos": width >= 768,
            "num_pos_feats": prompt // 2,
            "scale": prompt / 2 if prompt == 256 else 1.0,
            "initializer_range": 0.02,
        },
        "prompt_encoder_config": {
            "hidden_size": prompt,
            "image_size": image,
            "patch_size": patch,
            "image_embedding_size": image // patch,
        },
        "mask_decoder_config": {
            "hidden_size": prompt,
            "mlp_dim": 2048 if prompt == 256 else prompt * 4,
            "num_attention_heads": 8 if prompt == 256 else 4,
            "iou_head_hidden_dim": prompt,
        },
        "initializer_range": 0.02,
    }


AutoConfig.register(LegionConfig.model_type, LegionConfig, exist_ok=True)
