"""`synthscars legion train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from synthscars.cli.common import json_option, output, print_json, stages, workspace_folder_option
from synthscars.legion.settings import TrainingSettings

_DEFAULT = TrainingSettings()
_STAGES = {
    "warmup": "teaching the mask path",
    "words": "teaching the global encoder",
    "language": "teaching the language model",
}


@click.command(short_help="Train the reference model on a release.")
@click.argument("release")
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--preset",
    type=click.Choice(["tiny", "small", "paper"]),
    default="tiny",
    show_default=True,
    help="5 or 30 million parameters from scratch, or the published size from checkpoints.",
)
@click.option("--llava", metavar="PATH", help="For --preset paper: a LLaVA 1.5 as transformers saves it.")
@click.option("--sam", metavar="PATH", help="For --preset paper: a SAM as transformers saves it.")
@click.option("--revision", help="Of a release on the Hugging Face Hub: v1.0.0, for instance.")
@click.option(
    "--warmup-epochs",
    type=click.IntRange(min=0),
    default=_DEFAULT.warmup_epochs,
    show_default=True,
    help="Of the mask path; a quarter as many of the other encoder.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=0),
    default=_DEFAULT.epochs,
    show_default=True,
    help="Of the language model.",
)
@click.option(
    "--detection-epochs",
    type=click.IntRange(min=0),
    default=_DEFAULT.detection_epochs,
    show_default=True,
    help="Of the head that tells photographs from generated images.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=_DEFAULT.batch_size,
    show_default=True,
    help="Images a step.",
)
@click.option(
    "--learning-rate",
    type=float,
    default=_DEFAULT.learning_rate,
    show_default=True,
    help="Of all but detection.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=_DEFAULT.seed,
    show_default=True,
    help="Of everything random.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images of train.")
@click.option("--streaming", is_flag=True, help="Read the release as it comes; nothing is kept on the disk.")
@click.option("--shuffle-labels", is_flag=True, help="Give every image the labels of another (for verify).")
@workspace_folder_option("The workspace that has the release, where RELEASE is a version.")
@json_option
def train(
    release: str,
    target: Path,
    preset: str,
    llava: str | None,
    sam: str | None,
    revision: str | None,
    warmup_epochs: int,
    epochs: int,
    detection_epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    limit: int | None,
    streaming: bool,
    shuffle_labels: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Train the reference model on the train split of RELEASE, and write it to the folder TARGET.

    RELEASE is a folder, a version of the workspace, or org/name on the Hugging Face Hub. Three stages: both
    encoders learn to see (the published model takes them from CLIP and SAM), the language model learns to
    answer and to ask for masks, a small head learns to tell photographs. In TARGET: the model as
    `from_pretrained` takes it, training.jsonl (losses and figures an epoch), gallery/ (a picture an epoch,
    truth above, answers below).

    Interrupted, the same command goes on. The tiny preset and 4,000 images take about an hour on two cores.

    \b
    Examples:
      synthscars legion train releases/1.0.0 model
      synthscars legion train 1.0.0 model --preset small --epochs 12
      synthscars legion train 1.0.0 model --preset paper --llava llava-1.5-7b --sam sam-vit-huge \
          --learning-rate 1e-4
      synthscars legion train org/scars model --revision v1.0.0 --limit 500 --json
    """
    from synthscars.cli.releases import find_release
    from synthscars.legion.memory import keep_freed_memory
    from synthscars.legion.training import train as run

    settings = TrainingSettings(
        preset=preset,
        llava=llava,
        sam=sam,
        warmup_epochs=warmup_epochs,
        epochs=epochs,
        detection_epochs=detection_epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        max_images=limit,
        streaming=streaming,
        shuffle_labels=shuffle_labels,
    )
    found: Path | str = release
    if revision is None:
        found = find_release(release, workspace)
    keep_freed_memory()
    with stages() as stage:
        bars: dict[str, tuple[Any, int]] = {}

        def advance(name: str, done: int, total: int) -> None:
            bar, before = bars.get(name) or (stage(_STAGES.get(name, name), total), 0)
            bar(done - before)
            bars[name] = (bar, done)

        run(found, target, settings, revision=revision, progress=advance)
    result = _summary(target)
    if as_json:
        print_json(result)
    else:
        screen = output()
        for name, value in result.items():
            screen.print(f"{name}: {value}", markup=False)
        screen.print(f"next: synthscars legion predict {target} RELEASE --split test", markup=False)


def _summary(target: Path) -> dict[str, Any]:
    """What the log says of the end of each stage."""
    import msgspec

    lines = [msgspec.json.decode(each) for each in (target / "training.jsonl").read_bytes().splitlines()]
    last = {line["stage"]: line for line in lines}
    return {
        "model": str(target),
        **{name: line.get("validation") or line["losses"] for name, line in last.items()},
    }
