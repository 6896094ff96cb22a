"""A trained LEGION that says `Prediction`s of images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from synthscars.legion.answers import take_apart
from synthscars.legion.modeling_legion import LegionAnswer, LegionForArtifactAnalysis
from synthscars.legion.processing_legion import LegionProcessor, full_size
from synthscars.legion.quiet import quiet_loading
from synthscars.predictions import PredictedRegion, Prediction, Rle
from synthscars.problems import UsageError

_DIGEST = 12


class Predictor:
    """Loads a checkpoint folder and predicts. `name` is the model's name with a digest of its weights.

    Raises `UsageError` if the folder holds no LEGION.
    """

    def __init__(self, checkpoint: Path | str, device: str = "cpu", *, max_new_tokens: int = 384) -> None:
        folder = Path(checkpoint)
        if not (folder / "config.json").is_file():
            raise UsageError(
                f"{folder} holds no config.json", fix="name the folder that `synthscars legion train` wrote"
            )
        try:
            with quiet_loading():
                self.model = LegionForArtifactAnalysis.from_pretrained(folder).to(device).eval()
                self.processor = LegionProcessor.from_pretrained(folder)
        except (OSError, ValueError, KeyError) as error:
            raise UsageError(f"{folder} holds no LEGION that can be loaded: {error}") from error
        self.name = f"legion-{_preset(self.model)}-{_digest(folder)}"
        self.max_new_tokens = max_new_tokens

    @classmethod
    def of(
        cls, model: LegionForArtifactAnalysis, processor: LegionProcessor, name: str = "legion"
    ) -> Predictor:
        """A predictor of a model in memory, as training uses it."""
        self = cls.__new__(cls)
        self.model, self.processor, self.name, self.max_new_tokens = model, processor, name, 384
        return self

    def predict(
        self, images: Sequence[Image.Image], image_ids: Sequence[str], *, batch_size: int = 8
    ) -> list[Prediction]:
        """One prediction an image, in their order. images: upright, any size; answers are greedy."""
        found: list[Prediction] = []
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            found += self._batch(images[part], image_ids[part])
        return found

    def _batch(self, images: Sequence[Image.Image], image_ids: Sequence[str]) -> list[Prediction]:
        device = next(self.model.parameters()).device
        inputs = {name: values.to(device) for name, values in self.processor(images).items()}
        answer = self.model.answer(**inputs, max_new_tokens=self.max_new_tokens)
        return [
            self._prediction(answer, number, image, image_id)
            for number, (image, image_id) in enumerate(zip(images, image_ids, strict=True))
        ]

    def _prediction(self, answer: LegionAnswer, number: int, image: Image.Image, image_id: str) -> Prediction:
        tokenizer = self.processor.tokenizer
        ids = [token for token in answer.sequences[number].tolist() if token != tokenizer.pad_token_id]
        written = tokenizer.decode(
            [token for token in ids if token not in (tokenizer.eos_token_id, tokenizer.bos_token_id)]
        )
        text, items = take_apart(written)
        rows = torch.nonzero(answer.owners == number).flatten()
        regions = []
        masks = full_size(answer.mask_logits[rows].cpu(), image.width, image.height)
        for item in items:
            if item.seg >= len(rows):
                continue  # Cut off: the model has not read this [SEG].
            logits = answer.mask_logits[rows[item.seg]]
            subtype, certainty = self._subtype(answer.subtype_logits[rows[item.seg]])
            regions.append(
                PredictedRegion(
                    phrase=item.phrase,
                    explanation=item.explanation,
                    category=(self.model.config.subtypes or {}).get(subtype),
                    subtype=subtype,
                    rle=encoded(masks[item.seg]),
                    score=round(certainty * _mask_certainty(logits), 4),
                )
            )
        return Prediction(
            image_id=image_id,
            width=image.width,
            height=image.height,
            text=text,
            synthetic=round(float(answer.synthetic_logits[number].sigmoid()), 6),
            regions=tuple(regions),
        )

    def _subtype(self, logits: Tensor) -> tuple[str, float]:
        shares = logits.float().softmax(-1)
        best = int(shares.argmax())
        return list(self.model.config.subtypes or {})[best], float(shares[best])


def encoded(mask: NDArray[np.bool_]) -> Rle:
    """A mask, (height, width), in COCO's encoding."""
    from pycocotools import mask as coco

    found: dict[str, Any] = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return Rle(size=(mask.shape[0], mask.shape[1]), counts=found["counts"].decode("ascii"))


def _mask_certainty(logits: Tensor) -> float:
    """The mean probability of the cells that are inside; 0 where none is."""
    shares = logits.float().sigmoid()
    inside = shares[shares > 0.5]
    return float(inside.mean()) if len(inside) else 0.0


def _preset(model: LegionForArtifactAnalysis) -> str:
    millions = sum(each.numel() for each in model.parameters()) / 1e6
    return f"{millions:.0f}m"


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.safetensors"), folder / "config.json", folder / "tokenizer.json"]):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:_DIGEST]
