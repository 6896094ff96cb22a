"""The model that a `synthscars legion` command works with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from synthscars.legion.running import Predicts

checkpoint_argument = click.argument("checkpoint", type=click.Path(path_type=Path))
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda, cuda:1, …; auto takes a GPU if there is one.",
)
batch_size_option = click.option(
    "--batch-size", type=click.IntRange(1, 1024), default=8, show_default=True, help="Images at a time."
)


def load_predictor(checkpoint: Path, device: str) -> Predicts:
    """The model of a checkpoint. Raises `UsageError` if there is none, or its libraries are missing."""
    from importlib.util import find_spec

    from synthscars.problems import UsageError

    if not (checkpoint / "config.json").is_file():
        raise UsageError(
            f"{checkpoint} is not a checkpoint: it has no config.json",
            fix="name a folder that `synthscars legion train` wrote",
        )
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise UsageError(f"{' and '.join(missing)} not installed", fix='pip install "synthscars[legion]"')
    from synthscars.legion.loading import load_checkpoint

    return load_checkpoint(checkpoint, device)
