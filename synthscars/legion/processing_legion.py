"""From images to what LEGION sees, and from its answers to predictions.

All encoders see the same square: the upright image, scaled so that its longer side fits, in the top left
corner of a square whose rest is grey. (SAM pads so, LLaVA pads on both sides; one rule for both means that a
mask, a patch and a polygon speak of the same place.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import AutoProcessor, BatchFeature
from transformers.processing_utils import ProcessorMixin

from synthscars.legion.configuration_legion import LegionConfig

IMAGE_TOKEN = "<image>"
ENCODER_INPUTS = ("pixel_values", "grounding_pixel_values")
"""What the global and what the grounding encoder looks at, by the names that the model has for them."""
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_SAM = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_GREY = 124


def from_clip_to_sam() -> tuple[list[float], list[float]]:
    """Scale and shift, one each channel, that turn CLIP's normalised pixels into SAM's."""
    (clip, clip_scale), (sam, sam_scale) = _CLIP, _SAM
    scale = [one / other for one, other in zip(clip_scale, sam_scale, strict=True)]
    shift = [(one - other) / each for one, other, each in zip(clip, sam, sam_scale, strict=True)]
    return scale, shift


class LegionProcessor(ProcessorMixin):
    """Images and questions to tensors."""

    tokenizer_class = "AutoTokenizer"

    def __init__(
        self,
        tokenizer: Any = None,
        global_size: int = 256,
        grounding_size: int = 192,
        image_tokens: int = 256,
        instruction: str = "",
        detection_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(tokenizer, **kwargs)
        self.global_size = global_size
        self.grounding_size = grounding_size
        self.image_tokens = image_tokens
        self.instruction = instruction
        self.detection_size = detection_size

    @classmethod
    def for_config(cls, config: LegionConfig, tokenizer: Any) -> LegionProcessor:
        """The processor of a model with this configuration."""
        return cls(
            tokenizer,
            global_size=config.llava_config.vision_config.image_size,  # type: ignore[union-attr]
            grounding_size=config.sam_config.vision_config.image_size,  # type: ignore[union-attr]
            image_tokens=config.image_tokens,
            instruction=config.instruction,
            detection_size=config.detection_size,
        )

    @property
    def canvas(self) -> int:
        """Side, in pixels, of the squares that training keeps, of which the encoders' inputs are made."""
        return max(self.global_size, self.grounding_size, self.detection_size or 0)

    def question(self) -> list[int]:
        """Token ids of the image's places and the instruction; the answer follows."""
        tokenizer = self.tokenizer
        image = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        asked: list[int] = tokenizer(self.instruction, add_special_tokens=False)["input_ids"]
        return [tokenizer.bos_token_id, *[image] * self.image_tokens, *asked]

    def __call__(self, images: Sequence[Image.Image], **_: Any) -> BatchFeature:
        """What `LegionForArtifactAnalysis.answer` takes, for upright images of any mode and size."""
        ids = torch.tensor([self.question()] * len(images))
        # Each from the image itself: what is scaled twice is blurred, and blur is one of the artifacts.
        sides = {self.global_size, self.grounding_size, self.detection_size or self.global_size}
        planes = {
            side: _planes(torch.from_numpy(np.stack([letterbox(image, side) for image in images])))
            for side in sides
        }
        inputs = {
            "input_ids": ids,
            "pixel_values": _normalised(planes[self.global_size], self.global_size, _CLIP),
            "grounding_pixel_values": _normalised(planes[self.grounding_size], self.grounding_size, _SAM),
        }
        if self.detection_size is not None:
            seen = _normalised(planes[self.detection_size], self.detection_size, _CLIP)
            inputs["detection_pixel_values"] = seen
        return BatchFeature(inputs)

    def pixels(self, squares: Tensor, names: Iterable[str] = ENCODER_INPUTS) -> dict[str, Tensor]:
        """Both encoders' inputs, or those named, from (batch, canvas, canvas, 3) squares of 0 to 255."""
        planes = _planes(squares)
        wanted = {
            "pixel_values": (self.global_size, _CLIP),
            "grounding_pixel_values": (self.grounding_size, _SAM),
        }
        return {name: _normalised(planes, *wanted[name]) for name in names}

    def detection_pixels(self, squares: Tensor) -> Tensor:
        """What detection looks at, from (batch, canvas, canvas, 3) squares of 0 to 255."""
        return _normalised(_planes(squares), self.detection_size or self.global_size, _CLIP)


def letterbox(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """An upright image in the top left corner of a grey square; (side, side, 3)."""
    width, height = fitted(image.width, image.height, side)
    resized = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    square = np.full((side, side, 3), _GREY, dtype=np.uint8)
    square[:height, :width] = np.asarray(resized)
    return square


def fitted(width: int, height: int, side: int) -> tuple[int, int]:
    """Size (width, height) of an image inside the square, at least one pixel each way."""
    longer = max(width, height)
    return max(round(width * side / longer), 1), max(round(height * side / longer), 1)


def full_size(masks: Tensor, width: int, height: int) -> NDArray[np.bool_]:
    """Masks over the padded square as masks of the image; (N, cells, cells) logits to (N, height, width)."""
    if not len(masks):
        return np.zeros((0, height, width), dtype=np.bool_)
    cells = masks.shape[-1]
    inner_width, inner_height = (cells * length / max(width, height) for length in (width, height))
    # The image's own corner of the square, at the image's size; half a cell more keeps the edge whole.
    scale = max(width, height)
    square = torch.nn.functional.interpolate(
        masks[None, :, : int(np.ceil(inner_height)), : int(np.ceil(inner_width))].float(),
        size=(
            round(int(np.ceil(inner_height)) * scale / cells),
            round(int(np.ceil(inner_width)) * scale / cells),
        ),
        mode="bilinear",
        align_corners=False,
    )[0]
    found: NDArray[np.bool_] = (square[:, :height, :width] > 0).numpy()
    return found


def _planes(squares: Tensor) -> Tensor:
    return squares.permute(0, 3, 1, 2).float() / 255


def _normalised(planes: Tensor, side: int, scale: tuple[Any, Any]) -> Tensor:
    if planes.shape[-1] != side:
        planes = torch.nn.functional.interpolate(
            planes, size=(side, side), mode="bilinear", antialias=True, align_corners=False
        )
    mean, std = (torch.tensor(values, device=planes.device).view(1, 3, 1, 1) for values in scale)
    return (planes - mean) / std


AutoProcessor.register(LegionConfig, LegionProcessor, exist_ok=True)
