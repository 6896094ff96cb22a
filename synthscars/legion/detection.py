"""The paper's second stage: a small head on the global encoder's CLS token; everything else is frozen."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from synthscars.legion.data import Example
from synthscars.legion.dataset import Examples, ExampleStream
from synthscars.legion.modeling_legion import LegionForArtifactAnalysis
from synthscars.legion.processing_legion import LegionProcessor
from synthscars.legion.settings import TrainingSettings
from synthscars.legion.trainer import log_line

_BATCH = 64


def train_detection(
    model: LegionForArtifactAnalysis,
    processor: LegionProcessor,
    examples: Examples | ExampleStream,
    settings: TrainingSettings,
    log: Path,
) -> None:
    """Teach the detection head to tell generated images from photographs (batch 64, lr 1e-3).

    What the encoder sees is computed once, because it does not change. With images of one kind only there is
    nothing to learn; the log says so.
    """
    seen, labels = _features(model, processor, examples)
    kinds = sorted(set(labels.tolist()))
    if len(kinds) < 2:
        kind = "generated" if kinds == [1.0] else "real"
        log_line(log, {"stage": "detection", "epoch": 0, "losses": {}, "note": f"all images are {kind}"})
        return
    head = model.detection_head.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(head.parameters(), lr=settings.detection_learning_rate)
    generator = torch.Generator().manual_seed(settings.seed)
    # Photographs are few: both kinds count the same.
    real = (labels == 0).float().mean()
    weights = torch.where(labels == 1, 0.5 / (1 - real), 0.5 / real)
    for epoch in range(settings.detection_epochs):
        losses = []
        for part in torch.randperm(len(labels), generator=generator).split(_BATCH):
            loss = functional.binary_cross_entropy_with_logits(
                head(seen[part]).squeeze(-1), labels[part], weight=weights[part]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        mean = round(sum(losses) / len(losses), 5)
        log_line(log, {"stage": "detection", "epoch": epoch, "losses": {"detection": mean}})
    head.eval()


@torch.no_grad()
def _features(
    model: LegionForArtifactAnalysis, processor: LegionProcessor, examples: Examples | ExampleStream
) -> tuple[torch.Tensor, torch.Tensor]:
    """CLS of every image, (images, width), and whether it is generated, (images,)."""
    model.eval()
    device = next(model.parameters()).device
    seen, labels = [], []
    for part in _batches(examples):
        squares = torch.from_numpy(np.stack([example["pixels"] for example in part])).to(device)
        seen.append(model.class_token(processor.detection_pixels(squares)))
        labels += [float(example["synthetic"]) for example in part]
    return torch.cat(seen), torch.tensor(labels, device=device)


def _batches(examples: Examples | ExampleStream) -> Iterator[list[Example]]:
    each = (
        iter(examples)
        if isinstance(examples, ExampleStream)
        else map(examples.__getitem__, range(len(examples)))
    )
    while part := list(islice(each, _BATCH)):
        yield part
