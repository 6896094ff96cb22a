"""How well what is said about a region fits what is seen there, judged by models that never saw its image.

A label vouches for itself once a model has learned from it. So images are dealt into folds, and the regions
of each fold are judged by models that learned from the other folds (Northcutt et al. 2021, "Confident
Learning"). These are small: what LEGION sees at a region and the words that are said about it become vectors
that lie close together if they belong together (Radford et al. 2021, CLIP). A mask in the wrong place and
words about another thing look alike to them: other words would fit better. (LEGION itself, whose eyes they
use, has learned from all labels of the split `train`.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from synthscars.geometry import area, bbox
from synthscars.legion.data import mask_of
from synthscars.legion.predictor import Predictor
from synthscars.records import Artifact, ImageRecord

Floats = NDArray[np.float32]

FOLDS = 5
MODELS = 3
"""Models that judge each fold; their judgements are averaged."""
_HIDDEN, _WIDTH = 128, 64
_DROPOUT = 0.2
_TEMPERATURE = 0.1
_BATCH = 128
_EPOCHS = 10
_FEWEST_STEPS = 200
_AROUND = 2
"""Cells around a region that are looked at as well."""


def can_match(artifact: Artifact) -> bool:
    """Whether there are both: a place, and words about it."""
    return bool(artifact.polygons) and bool(artifact.phrase or artifact.explanation)


def words_of(predictor: Predictor, artifact: Artifact) -> list[int]:
    """Phrase and explanation as the model's tokens, each once."""
    text = f"{artifact.phrase} {artifact.explanation}"
    ids: list[int] = predictor.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    return sorted(set(ids))


# Seeing


@torch.no_grad()
def seen_at_regions(
    predictor: Predictor, images: Sequence[Image.Image], records: Sequence[ImageRecord]
) -> Floats:
    """What a model sees at each region that `can_match`, (regions, width), in the order of the records.

    images: upright, of the records. What both encoders see inside, what the grounding encoder sees around it
    and in the whole picture, and place, size and shape. The encoders look at each image once.
    """
    model, processor = predictor.model, predictor.processor
    side, cells = processor.grounding_size, model.config.mask_size
    told = [
        (number, record, artifact)
        for number, record in enumerate(records)
        for artifact in record.artifacts
        if can_match(artifact)
    ]
    inputs = {name: values.to(model.device) for name, values in processor(images).items()}
    grounding = model.sam.vision_encoder(inputs["grounding_pixel_values"]).last_hidden_state.float()
    whole = _square(model.llava.model.vision_tower(inputs["pixel_values"]).last_hidden_state[:, 1:].float())
    if not told:
        return np.zeros((0, 3 * grounding.shape[1] + whole.shape[1] + 5), dtype=np.float32)
    masks = torch.from_numpy(
        np.stack([mask_of(_scaled(artifact, record, side), side, cells) for _, record, artifact in told])
    ).to(model.device)
    owners = torch.tensor([number for number, _, _ in told], device=model.device)
    inside = _shrunk(masks, grounding.shape[-1])
    near = functional.max_pool2d((inside > 0).float(), 2 * _AROUND + 1, 1, _AROUND) - (inside > 0).float()
    parts = [
        _mean(grounding[owners], inside),
        _mean(grounding[owners], near),
        _mean(whole[owners], _shrunk(masks, whole.shape[-1])),
        grounding.mean((2, 3))[owners],
    ]
    found: Floats = np.concatenate(
        [torch.cat(parts, dim=1).cpu().numpy(), np.stack([_shape(record, each) for _, record, each in told])],
        axis=1,
    )
    return found


def _square(tokens: Tensor) -> Tensor:
    """(batch, patches, width) to (batch, width, side, side)."""
    side = round(tokens.shape[1] ** 0.5)
    return tokens.transpose(1, 2).unflatten(2, (side, side))


def _scaled(artifact: Artifact, record: ImageRecord, side: int) -> list[list[float]]:
    scale = side / max(record.width, record.height)
    return [[value * scale for value in ring] for ring in artifact.polygons]


def _shrunk(masks: Tensor, side: int) -> Tensor:
    """(N, cells, cells) to shares of (N, side, side) cells."""
    return functional.interpolate(masks[:, None], size=(side, side), mode="area")[:, 0]


def _mean(seen: Tensor, weights: Tensor) -> Tensor:
    """(N, width, side, side) to (N, width), weighted by (N, side, side); 0 where all weights are."""
    total = (seen * weights[:, None]).sum((2, 3))
    return total / weights.sum((1, 2)).clamp(min=1e-6)[:, None]


def _shape(record: ImageRecord, artifact: Artifact) -> Floats:
    """Centre, log of the size, log of width to height, and the share of its box that a region fills."""
    x, y, width, height = bbox(artifact.polygons)
    longer, size = max(record.width, record.height), area(artifact.polygons)
    width, height = max(width, 1e-3), max(height, 1e-3)
    return np.array(
        [
            (x + width / 2) / longer,
            (y + height / 2) / longer,
            np.log(1e-3 + size / longer**2),
            np.log(width / height),
            size / (width * height),
        ],
        dtype=np.float32,
    )


# Matching


def misfits(
    seen: Floats,
    words: Sequence[Sequence[int]],
    groups: Sequence[str],
    *,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _count: None,
) -> NDArray[np.float64]:
    """How little the words of each region fit what is seen there; (regions,), the higher, the less.

    Log of how well words of any region fit on average, less the log of how well its own do.

    seen: (regions, width). words: of each region (`words_of`). groups: regions of one group (of one image, or
    of images that are nearly one) are in one fold. advance: told of each model that has judged. All 0 with
    fewer than two groups. The same input and seed give the same, on one machine.
    """
    folds = _folds(groups, seed)
    found = np.zeros(len(seen))
    if len(set(folds.tolist())) < 2:
        return found
    seen = np.nan_to_num(seen, nan=0.0, posinf=0.0, neginf=0.0)  # of a model whose training went astray
    features = torch.from_numpy((seen - seen.mean(0)) / np.maximum(seen.std(0), 1e-3))
    ids, vocabulary = _numbered(words)
    with torch.random.fork_rng(devices=[]):
        for fold in range(FOLDS):
            judged = torch.from_numpy(np.flatnonzero(folds == fold))
            learned = torch.from_numpy(np.flatnonzero(folds != fold))
            for number in range(MODELS if len(judged) else 0):
                torch.manual_seed(int(np.random.SeedSequence([seed, fold, number]).generate_state(1)[0]))
                pair = _learn(features[learned], ids[learned], vocabulary)
                found[judged.numpy()] += _judge(pair, features[judged], ids[judged], ids[learned]) / MODELS
                advance(1)
    return found


def _folds(groups: Sequence[str], seed: int) -> NDArray[np.intp]:
    """The fold of each region, by its group."""
    names = sorted(set(groups))
    dealt = np.random.default_rng(seed).permutation(len(names)) % FOLDS
    number = dict(zip(names, dealt.tolist(), strict=True))
    return np.array([number[group] for group in groups], dtype=np.intp)


def _numbered(words: Sequence[Sequence[int]]) -> tuple[Tensor, int]:
    """Words as (regions, most words) numbers from 1, 0 where there is none; and how many there are."""
    known = {word: number for number, word in enumerate(sorted({each for some in words for each in some}), 1)}
    ids = torch.zeros(len(words), max(map(len, words)), dtype=torch.long)
    for row, some in enumerate(words):
        ids[row, : len(some)] = torch.tensor([known[word] for word in some])
    return ids, len(known)


class _Pair(nn.Module):
    """Regions and words as vectors of length 1 that are close together if they belong together."""

    def __init__(self, features: int, vocabulary: int) -> None:
        super().__init__()
        self.regions = nn.Sequential(
            nn.Dropout(_DROPOUT),
            nn.Linear(features, _HIDDEN),
            nn.GELU(),
            nn.Dropout(_DROPOUT),
            nn.Linear(_HIDDEN, _WIDTH),
        )
        self.words = nn.EmbeddingBag(vocabulary + 1, _WIDTH, mode="sum", padding_idx=0)
        nn.init.normal_(self.words.weight, std=0.03)

    def see(self, features: Tensor) -> Tensor:
        """(regions, width) of what is seen."""
        return functional.normalize(self.regions(features), dim=1)

    def read(self, ids: Tensor) -> Tensor:
        """(texts, width) of what is said."""
        return functional.normalize(self.words(ids), dim=1)


def _learn(features: Tensor, ids: Tensor, vocabulary: int) -> _Pair:
    pair = _Pair(features.shape[1], vocabulary).train()
    optimizer = torch.optim.AdamW(pair.parameters(), lr=1e-3, weight_decay=0.05)
    batches = -(-len(features) // _BATCH)
    for _ in range(max(_EPOCHS, -(-_FEWEST_STEPS // batches))):
        for rows in torch.randperm(len(features)).split(_BATCH):
            likeness = pair.see(features[rows]) @ pair.read(ids[rows]).T / _TEMPERATURE
            own = torch.arange(len(rows))
            loss = functional.cross_entropy(likeness, own) + functional.cross_entropy(likeness.T, own)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return pair.eval()


@torch.no_grad()
def _judge(pair: _Pair, features: Tensor, own: Tensor, others: Tensor) -> NDArray[np.float64]:
    """Of each region: how much more its place is like the words of others than like its own."""
    said = pair.read(others).T / _TEMPERATURE
    found = []
    for part, words in zip(features.split(_BATCH), own.split(_BATCH), strict=True):
        seen = pair.see(part)
        fit = (seen * pair.read(words)).sum(1) / _TEMPERATURE
        found.append((seen @ said).logsumexp(1) - np.log(len(others)) - fit)
    judged: NDArray[np.float64] = torch.cat(found).double().numpy()
    return judged
