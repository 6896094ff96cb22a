"""`synthscars verify`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from synthscars.cli.common import (
    console,
    finish,
    json_option,
    open_workspace,
    output,
    print_json,
    show_problems,
    stages,
    workspace_folder_option,
)
from synthscars.cli.releases import find_release

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from synthscars.settings import VerifySettings
    from synthscars.verify import Verification

_MARKS = {"passed": ("passed", "green"), "failed": ("failed", "red"), "not_applicable": ("-", "dim")}
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(short_help="Prove that a release can be learned from, or say why not.")
@click.argument("release", required=False, metavar="[VERSION|FOLDER]")
@workspace_folder_option("The workspace that has the VERSION, and its [verify] settings.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A model that `synthscars legion train` has trained on this release; else one is trained.",
)
@click.option("--predictions", type=_FILE, help="Any model's predictions of the test split instead.")
@click.option(
    "--shuffled-predictions", type=_FILE, help="With --predictions: of that model trained on shuffled labels."
)
@click.option(
    "--preset",
    type=click.Choice(["tiny", "small"]),
    help="Size of the model that is trained; tiny if not given.",
)
@click.option("--epochs", type=click.IntRange(min=0), help="Of each training, of the whole model.")
@click.option("--warmup-epochs", type=click.IntRange(min=0), help="Of each training, of the encoders alone.")
@click.option("--detection-epochs", type=click.IntRange(min=0), help="Of each training, of detection alone.")
@click.option("--max-images", type=click.IntRange(min=1), help="Train images that are used, at most.")
@click.option(
    "--no-shuffled", is_flag=True, help="Do not train on shuffled labels: faster, and never enough."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is drawn."
)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, …; auto takes a GPU if any.")
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for models and predictions, kept so that an interrupted run goes on; "
    "reports/VERSION/verify of the workspace if not given.",
)
@json_option
def verify(
    release: str | None,
    workspace: Path,
    checkpoint: Path | None,
    predictions: Path | None,
    shuffled_predictions: Path | None,
    preset: str | None,
    epochs: int | None,
    warmup_epochs: int | None,
    detection_epochs: int | None,
    max_images: int | None,
    no_shuffled: bool,
    seed: int,
    device: str,
    work: Path | None,
    as_json: bool,
) -> None:
    """Ask whether a release can be learned from: the newest of the workspace, a VERSION, or any FOLDER.

    Trains the reference model and holds it on the test split against answers that need no model (nothing,
    all, the mean mask, the majority caption, the most similar train image), against the same model trained on
    shuffled labels, and against the raters; looks for leaks between splits; lists labels that are likely
    wrong. Everything must hold with confidence, as [verify] of synthscars.toml asks.

    Writes verification.json, verification/index.html and verification/label_errors.jsonl into the release.
    `synthscars release publish` asks for them. Ends with 1 if the release is not verified. Interrupted, the
    same command goes on with the stage that was not complete.

    \b
    Examples:
      synthscars verify 1.0.0
      synthscars verify 1.0.0 --epochs 12 --max-images 4000
      synthscars verify 1.0.0 --checkpoint model/
      synthscars verify path/to/release --predictions mine.jsonl --shuffled-predictions shuffled.jsonl
      synthscars verify 1.0.0 --json | jq .reasons
    """
    from synthscars.legion.memory import keep_freed_memory
    from synthscars.problems import Problems
    from synthscars.verify import Plan, Training, verify_release

    folder = find_release(release, workspace)
    settings, default_work = _surroundings(folder)
    plan = Plan(
        checkpoint=checkpoint,
        predictions=predictions,
        shuffled_predictions=shuffled_predictions,
        shuffled=not no_shuffled,
        training=Training(
            preset=preset,
            warmup_epochs=warmup_epochs,
            epochs=epochs,
            detection_epochs=detection_epochs,
            seed=seed,
            max_images=max_images,
        ),
        device=device,
        work=None if predictions is not None else work or default_work,
    )
    problems = Problems()
    keep_freed_memory()
    with stages() as stage:
        found = verify_release(folder, plan, problems, settings=settings, seed=seed, stages=stage)
    if as_json:
        import msgspec

        print_json({**msgspec.to_builtins(found), "problems": problems.to_json()})
    else:
        output().print(_figures(found))
        for line in _criteria(found):
            output().print(line)
        _print_verdict(found)
        show_problems(problems)
    console().print(f"saved {folder / 'verification' / 'index.html'}", markup=False)
    if not found.verified:
        sys.exit(1)
    finish(problems)


def _surroundings(folder: Path) -> tuple[VerifySettings, Path]:
    """The settings of the workspace that the release is in, and where to work."""
    from synthscars.settings import CONFIG_NAME, VerifySettings

    resolved = folder.resolve()
    for parent in resolved.parents:
        if (parent / CONFIG_NAME).is_file():
            opened = open_workspace(parent)
            return opened.settings.verify, opened.reports_dir / resolved.name / "verify"
    return VerifySettings(), resolved.parent / f".verify-{resolved.name}"


def _figures(found: Verification) -> Table:
    from rich.table import Table
    from rich.text import Text

    from synthscars.verify.gate import METRICS

    columns = [name for name in METRICS if any(name in each.figures for each in found.answers)]
    name = f"{found.release.name} {found.release.version}".strip()
    table = Table("Answer", title=Text(name), title_justify="left", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right")
    for each in found.answers:
        values = (each.figures[column].value if column in each.figures else None for column in columns)
        cells = ("-" if value is None else f"{value:.3f}" for value in values)
        title = "model" if each.kind == "model" else each.name
        table.add_row(Text(title), *cells, style="bold" if each.kind == "model" else "")
    return table


def _criteria(found: Verification) -> Iterator[Text]:
    """One line for each criterion: a table would cut names off where the terminal is narrow."""
    from rich.text import Text

    from synthscars.verify import gate

    longest = max(len(each.name) for each in found.criteria)
    for each in found.criteria:
        word, style = _MARKS[each.verdict]
        told = f"{gate.found(each)}, {gate.needed(each)}" if gate.found(each) else each.why
        yield Text(f"{each.name:{longest}}  ").append(f"{word:6}", style=style).append(f"  {told}")


def _print_verdict(found: Verification) -> None:
    screen = output()
    if found.reasons:
        screen.print(f"{len(found.reasons)} of {len(found.criteria)} do not hold")
    errors = found.label_errors
    if errors.listed:
        screen.print(
            f"{errors.listed:,} of {errors.artifacts:,} labels are worth a look: "
            "verification/label_errors.jsonl"
        )
    screen.print(
        "verified" if found.verified else "not verified", style="bold green" if found.verified else "bold red"
    )
