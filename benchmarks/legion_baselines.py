"""LEGION beside plain models of the same images and time: one that outlines alone, one that writes alone.

    segmenter    UperNet on a ResNet (transformers), one class per subtype and one for nothing: masks, no text
    captioner    the LLaVA that is in LEGION, trained on the answers alone, without warm-up: text, no masks

They train on the same augmented examples in batches of 8, each for `--minutes` of CPU time, which hardly
depends on what else the machine does (LEGION's: put `time` before its training), one after the other;
`--only NAME` trains one of them. Then they answer the test split, and all answers are scored by the code of
`synthscars evaluate`. LEGION's are given as a file (`synthscars legion predict MODEL RELEASE --split test`).

    python benchmarks/legion_baselines.py RELEASE --legion answers.jsonl --minutes 50
    python benchmarks/legion_baselines.py RELEASE --minutes 1 --limit 200      # does it run?
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from synthscars.legion import LegionConfig, LegionForArtifactAnalysis, LegionProcessor, Predictor
from synthscars.legion.collate import Collator
from synthscars.legion.data import uncropped
from synthscars.legion.dataset import Examples, answered, open_split, read_examples
from synthscars.legion.precision import cpu_has_bf16
from synthscars.legion.predictor import encoded
from synthscars.legion.processing_legion import full_size
from synthscars.legion.quiet import quiet
from synthscars.legion.settings import TrainingSettings
from synthscars.legion.training import begin
from synthscars.legion.warmup import patch_loss, shown, subtype_classes
from synthscars.metrics import summarize
from synthscars.metrics.run import release_truth, score_file
from synthscars.predictions import PredictedRegion, Prediction, write_predictions
from synthscars.problems import Problems

BATCH = 8
FIGURES = ("fg_iou", "f1", "pooled_f1", "rouge_l")


def main() -> None:
    """Print a table, and as the last line the same as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("--legion", type=Path, help="LEGION's answers to the same split")
    parser.add_argument("--minutes", type=float, default=50, help="of CPU time, each")
    parser.add_argument("--limit", type=int, help="only so many images of train")
    parser.add_argument("--only", choices=("segmenter", "captioner"), help="this one, not both")
    parser.add_argument("--split", default="test")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with quiet():
        config, processor = begin(str(options.release), None, TrainingSettings())
        train = _examples(options.release, "train", uncropped(processor.canvas))
        test = _examples(options.release, options.split, processor.canvas)
    train = train.select(range(min(options.limit or len(train), len(train))))
    sizes = _sizes(options.release, options.split)
    segmenter = _segmenter(len(config.subtypes or {}))
    captioner = LegionForArtifactAnalysis(config)
    answers: dict[str, Callable[[], Iterator[Prediction]]] = {
        "segmenter": lambda: outlines(segmenter, test, processor, sizes),
        "captioner": lambda: captions(captioner, test, processor, sizes),
    }
    losses = {
        "segmenter": lambda batch: segmenter_loss(segmenter, batch, config),
        "captioner": lambda batch: (
            captioner(
                **{name: batch[name] for name in ("input_ids", "attention_mask", "labels", "pixel_values")}
            ).text_loss
        ),
    }
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if options.legion is not None:
            rows["LEGION"] = figures(options.legion, options)
        for name, model in (("segmenter", segmenter), ("captioner", captioner)):
            if options.only not in (None, name):
                continue
            parts = (captioner.llava,) if name == "captioner" else (segmenter,)
            examples = Examples(train, seed=options.seed, canvas=processor.canvas)
            collate = Collator(processor, config, text=name == "captioner")
            steps = learn(parts, losses[name], examples, collate, options)
            model.eval()
            path = Path(folder) / f"{name}.jsonl"
            write_predictions(path, answers[name](), {"model": name})
            size = sum(each.numel() for part in parts for each in part.parameters())
            rows[name] = {**figures(path, options), "steps": steps, "parameters": size}
    show(rows)


def _examples(release: Path, split: str, canvas: int) -> Any:
    rows = open_split(str(release), split)
    return read_examples(rows.filter(answered, input_columns=["status"], keep_in_memory=True), canvas)


def _sizes(release: Path, split: str) -> dict[str, tuple[int, int]]:
    rows = open_split(str(release), split).select_columns(["image_id", "width", "height"])
    return {row["image_id"]: (row["width"], row["height"]) for row in rows}


# The peers


def _segmenter(subtypes: int) -> nn.Module:
    from transformers import ResNetConfig, UperNetConfig, UperNetForSemanticSegmentation

    seen = ResNetConfig(
        embedding_size=48,
        hidden_sizes=[48, 96, 160, 256],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    torch.manual_seed(0)
    return UperNetForSemanticSegmentation(
        UperNetConfig(backbone_config=seen, hidden_size=64, use_auxiliary_head=False, num_labels=subtypes + 1)
    )


def segmenter_loss(model: nn.Module, batch: dict[str, Any], config: LegionConfig) -> Tensor:
    """The loss that the warm-up of LEGION's grounding encoder has."""
    side = config.mask_size
    logits = functional.interpolate(model(batch["grounding_pixel_values"]).logits, size=(side, side))
    classes = subtype_classes(batch, len(config.subtypes or {}))
    return patch_loss(logits.flatten(2), shown(batch, classes, side))


def learn(
    parts: tuple[nn.Module, ...],
    loss_of: Callable[[dict[str, Any]], Tensor],
    examples: Examples,
    collate: Collator,
    options: argparse.Namespace,
) -> int:
    """Train for the time that there is, with LEGION's optimizer and schedule; returns the steps."""
    parameters = [each for part in parts for each in part.train().parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.05)
    generator = torch.Generator().manual_seed(options.seed)
    seconds, steps, start = options.minutes * 60, 0, time.process_time()
    while True:
        for numbers in torch.randperm(len(examples), generator=generator).split(BATCH):
            done = (time.process_time() - start) / seconds
            if done >= 1:
                return steps
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * min(done / 0.05, 0.5 + 0.5 * math.cos(math.pi * done))
            batch = collate([examples[int(number)] for number in numbers])
            with torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bf16()):
                loss = loss_of(batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            steps += 1
            if steps % 100 == 0:
                print(f"{done:.0%}, step {steps}: loss {float(loss.detach()):.3f}", file=sys.stderr)


Sizes = dict[str, tuple[int, int]]
"""Width and height of every image by its id."""


@torch.no_grad()
def outlines(model: nn.Module, rows: Any, processor: LegionProcessor, sizes: Sizes) -> Iterator[Prediction]:
    """One region an image: where anything is likelier than nothing."""
    examples = Examples(rows)
    for number in range(len(examples)):
        example = examples[number]
        pixels = processor.pixels(torch.tensor(example["pixels"][None]))["grounding_pixel_values"]
        (mask,) = full_size(0.5 - model(pixels).logits.softmax(1)[:, 0], *sizes[example["image_id"]])
        yield _prediction(
            example["image_id"], sizes, (PredictedRegion(rle=encoded(mask)),) if mask.any() else ()
        )


def captions(
    model: LegionForArtifactAnalysis, rows: Any, processor: LegionProcessor, sizes: Sizes
) -> Iterator[Prediction]:
    """The text alone."""
    examples = Examples(rows)
    predictor = Predictor.of(model, processor)
    for start in range(0, len(examples), BATCH):
        part = [examples[number] for number in range(start, min(start + BATCH, len(examples)))]
        images = [Image.fromarray(each["pixels"][: each["height"], : each["width"]]) for each in part]
        for answer in predictor.predict(images, [each["image_id"] for each in part]):
            yield _prediction(answer.image_id, sizes, (), answer.text)


def _prediction(
    image_id: str, sizes: Sizes, regions: tuple[PredictedRegion, ...], text: str = ""
) -> Prediction:
    width, height = sizes[image_id]
    return Prediction(image_id=image_id, width=width, height=height, regions=regions, text=text)


# Figures


def figures(path: Path, options: argparse.Namespace) -> dict[str, float]:
    """What `synthscars evaluate` says of a file."""
    truth = release_truth(options.release, options.split)
    scores = score_file(path, truth, Problems()).scores
    found = summarize(scores, rounds=0).headline
    return {name: figure.value for name in FIGURES if (figure := found[name]).value is not None}


def show(rows: dict[str, dict[str, float]]) -> None:
    """The table, and as JSON."""
    names = (*FIGURES, "steps", "parameters")
    print(f"{'':<12}" + " ".join(f"{name:>12}" for name in names))
    for model, row in rows.items():
        print(f"{model:<12}" + " ".join(f"{_shown(row.get(name)):>12}" for name in names))
    print(json.dumps(rows))


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


if __name__ == "__main__":
    main()
