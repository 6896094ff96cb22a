"""How many planted label errors `synthscars verify` lists, and how far up.

In a copy of a release, the masks of some artifacts are swapped and the texts of others (`plant_errors`). A
LEGION is trained on the copy as if it were right, and all artifacts of it are ranked as `verify` ranks them.
Nothing tells training or ranking what was planted.

    python benchmarks/label_errors.py RELEASE                         # 18 minutes on one core
    python benchmarks/label_errors.py RELEASE --masks 0.05 --texts 0.05 --work DIR
    python benchmarks/label_errors.py RELEASE --images 100 --warmup-epochs 1 --epochs 0   # does it run?

The copy, the model and what it saw stay in `--work`: the same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from synthscars.converters.pictures import TargetPictures
from synthscars.legion import TrainingSettings
from synthscars.legion.training import train
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.release import as_format
from synthscars.release.files import EmbeddedImages
from synthscars.release.verified import manifest_digest
from synthscars.verify import plant_errors
from synthscars.verify.matches import misfits_of
from synthscars.verify.models import Work, key_of
from synthscars.verify.plant import Planted
from synthscars.verify.suspects import LabelError, Signal, rank_errors

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Of the list, from its top."""


def main() -> None:
    """Print a table, and as the last line the same as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("--masks", type=float, default=0.025, help="share of the artifacts with a wrong mask")
    parser.add_argument("--texts", type=float, default=0.025, help="share of the artifacts with a wrong text")
    parser.add_argument("--images", type=int, default=2000, help="train images that are learned from")
    parser.add_argument("--warmup-epochs", type=int, default=5)
    parser.add_argument(
        "--epochs", type=int, default=0, help="of the language model, which ranking needs not"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="folder that is kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        # Other errors have a folder of their own: a model must not be held against what it did not learn.
        key = key_of(manifest_digest(options.release), options.masks, options.texts, options.seed)
        folder = (options.work or Path(temporary)) / key[:8]
        folder.mkdir(parents=True, exist_ok=True)
        records, planted = planted_copy(options, folder / "release")
        settings = TrainingSettings(
            warmup_epochs=options.warmup_epochs,
            epochs=options.epochs,
            max_images=options.images,
            seed=options.seed,
            show=0,
        )
        train(folder / "release", folder / "model", settings, progress=_tell)
        found = misfits_of(
            folder / "release",
            folder / "model",
            records,
            Work(folder / "matches"),
            seed=options.seed,
            device="cpu",
            stages=_stage,
        )
    signals = {key: Signal(match=misfit) for key, misfit in found.items()}
    show(rank_errors(records, signals, "matching"), planted)


def planted_copy(options: argparse.Namespace, target: Path) -> tuple[list[ImageRecord], Planted]:
    """The release with errors in `target`, its records with any artifact, and what is wrong in them."""
    problems = Problems()
    records = list(as_format.read(options.release, problems))
    changed, planted = plant_errors(records, masks=options.masks, texts=options.texts, seed=options.seed)
    if not target.is_dir():
        pictures = TargetPictures(EmbeddedImages(options.release))
        as_format.write(changed, target, problems, pictures=pictures, version="0.0.1")
    for problem in problems:
        print(problem, file=sys.stderr)
    return [record for record in changed if record.artifacts], planted


def show(ranked: list[LabelError], planted: Planted) -> None:
    """How many errors are in the first part of the list, for several sizes of it."""
    listed = [(error.image_id, error.artifact_id) for error in ranked]
    wrong = {key: planted[key] for key in listed if key in planted}
    print(f"{len(ranked):,} artifacts are ranked, {len(wrong):,} of them are wrong")
    print(f"{'of the list':>12} {'found':>7} {'masks':>7} {'texts':>7} {'are wrong':>10}")
    rows = {}
    for share in SHARES:
        top = set(listed[: round(share * len(listed))])
        row = {"found": _share(top, wrong, ("mask", "text"))}
        row |= {"masks": _share(top, wrong, ("mask",)), "texts": _share(top, wrong, ("text",))}
        row["precision"] = len(top & wrong.keys()) / max(len(top), 1)
        rows[share] = row
        figures = f"{row['found']:>7.1%} {row['masks']:>7.1%} {row['texts']:>7.1%} {row['precision']:>10.1%}"
        print(f"{share:>12.0%} {figures}")
    print(json.dumps({"artifacts": len(ranked), "wrong": len(wrong), "shares": rows}))


def _share(top: set[tuple[str, str]], wrong: Planted, kinds: tuple[str, ...]) -> float:
    asked = {key for key, kind in wrong.items() if kind in kinds}
    return len(top & asked) / max(len(asked), 1)


def _tell(stage: str, step: int, steps: int) -> None:
    if step % 100 == 0 or step == steps:
        print(f"{stage}: step {step} of {steps}", file=sys.stderr)


def _stage(name: str, total: int) -> Callable[[int], None]:
    print(f"{name}: {total}", file=sys.stderr)
    return lambda _count: None


if __name__ == "__main__":
    main()
