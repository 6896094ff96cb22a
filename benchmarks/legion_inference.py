"""How fast LEGION answers, and where the time goes.

Random weights of a preset answer pictures of noise with a fixed number of tokens and phrases, so that figures
do not depend on what a model has learned. Batches of 1 and 8 take turns in one process; medians over rounds.

    python benchmarks/legion_inference.py                     # tiny
    python benchmarks/legion_inference.py --preset small --tokens 120 --phrases 2
    python benchmarks/legion_inference.py --checkpoint model  # a trained one, as many tokens as it writes
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from synthscars.legion import LegionConfig, LegionForArtifactAnalysis, LegionProcessor, Predictor
from synthscars.legion.resolution import enlarged
from synthscars.legion.tokenizer import train_tokenizer

PARTS = ("global encoder", "decoding", "grounding encoder", "masks", "detection", "rest")


def main() -> None:
    """Print a table, and as the last line the same as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="tiny", choices=["tiny", "small", "paper"])
    parser.add_argument("--checkpoint", type=Path, help="a trained model instead of random weights")
    parser.add_argument("--tokens", type=int, default=120, help="tokens of every answer of random weights")
    parser.add_argument("--phrases", type=int, default=2, help="phrases of every answer of random weights")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    predictor, generation = _predictor(options)
    pictures = [
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (512, 512, 3), dtype=np.uint8))
        for number in range(options.images)
    ]
    names = [str(number) for number in range(options.images)]
    found: dict[int, list[dict[str, float]]] = {1: [], 8: []}
    for round_ in range(options.rounds + 1):
        for batch, rounds in found.items():
            with measured(predictor.model, generation) as times:
                start = time.perf_counter()
                predictor.predict(pictures, names, batch_size=batch)
                total = time.perf_counter() - start
            times["rest"] = total - sum(times.values())
            if round_:  # the first is a warm-up
                rounds.append({"total": total, **times})
            print(f"round {round_}, batch {batch}: {total:.2f} s", file=sys.stderr)
    medians = {
        batch: {name: statistics.median(each[name] for each in rounds) / options.images for name in rounds[0]}
        for batch, rounds in found.items()
    }
    print(f"{predictor.name} on {options.device}, {torch.get_num_threads()} threads, per image:")
    print(f"{'batch':>6} {'images/s':>9} " + " ".join(f"{name + ' ms':>20}" for name in PARTS))
    for batch, row in medians.items():
        split = " ".join(f"{row.get(name, 0.0) * 1e3:>20.1f}" for name in PARTS)
        print(f"{batch:>6} {1 / row['total']:>9.2f} {split}")
    print(json.dumps({"model": predictor.name, "device": options.device, "seconds_per_image": medians}))


def _predictor(options: argparse.Namespace) -> tuple[Predictor, dict[str, Any]]:
    if options.checkpoint is not None:
        return Predictor(options.checkpoint, options.device), {}
    torch.manual_seed(0)
    tokenizer = train_tokenizer(["A man waves. The left hand has six fingers."], 300)
    config = LegionConfig.preset(options.preset, vocab_size=len(tokenizer))
    model = LegionForArtifactAnalysis(config)
    if config.conv_stem:
        model = enlarged(model)  # as training leaves it
    model.to(options.device).eval()
    seg = config.seg_token_id
    every = max(options.tokens // max(options.phrases, 1), 1)

    def allowed(_batch: int, written: torch.Tensor) -> list[int]:
        # Not one word again and again: an answer that repeats itself would be ended.
        return [seg if len(written) % every == every - 1 else 40 + len(written) % 100]

    generation = {
        "prefix_allowed_tokens_fn": allowed,
        "min_new_tokens": options.tokens,
        "max_new_tokens": options.tokens,
    }
    return Predictor.of(
        model, LegionProcessor.for_config(model.config, tokenizer), options.preset
    ), generation


@contextmanager
def measured(model: LegionForArtifactAnalysis, generation: dict[str, Any]) -> Iterator[dict[str, float]]:
    """Seconds by part of everything that the model does while the block runs."""
    times: dict[str, float] = defaultdict(float)

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments, **named)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[part] += time.perf_counter() - start
            return result

        return run

    generate = model.llava.generate
    encode = model.sam.vision_encoder.forward
    parts = {"look": "global encoder", "outline": "masks", "class_token": "detection"}
    for name, part in parts.items():
        setattr(model, name, timed(part, getattr(model, name)))
    model.llava.generate = timed("decoding", lambda **named: generate(**{**named, **generation}))
    model.sam.vision_encoder.forward = timed("grounding encoder", encode)
    try:
        yield times
    finally:
        for name in parts:
            delattr(model, name)
        model.llava.generate = generate
        model.sam.vision_encoder.forward = encode


if __name__ == "__main__":
    main()
