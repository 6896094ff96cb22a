"""`synthscars consensus`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from synthscars.cli.common import (
    console,
    finish,
    json_option,
    output,
    print_json,
    show_problems,
    workspace_option,
)

if TYPE_CHECKING:
    from synthscars.workspace import Workspace


@click.command()
@workspace_option
@click.option(
    "--records",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Records to merge; the newest pull if not given.",
)
@click.option(
    "--min-iou",
    type=click.FloatRange(0, 1, min_open=True),
    help="Mask IoU, above 0; from the settings if not given.",
)
@click.option(
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the merged records here.",
)
@json_option
def consensus(
    workspace: Workspace, records: Path | None, min_iou: float | None, target: Path | None, as_json: bool
) -> None:
    """Merge what several raters drew on the same image into one answer.

    `release build` does the same on its way; this command shows beforehand what will stand and what will not.
    A release is always merged with the IoU of the settings, so that its card tells the truth: --min-iou is
    for looking, and does not go with --output.

    \b
    Example:
      synthscars consensus                 # what would stand
      synthscars consensus --min-iou 0.3   # ... if raters had to agree less
      synthscars consensus --output merged.jsonl.zst
    """
    from synthscars.consensus import adjudicate
    from synthscars.converters.formats import write
    from synthscars.jsonl import read_records
    from synthscars.problems import Problems, UsageError

    if target and min_iou is not None:
        raise UsageError(
            "--min-iou does not go with --output", fix="set min_iou under [consensus] in synthscars.toml"
        )
    if target and target.exists():
        raise UsageError(f"{target} exists already", fix="choose another name, or remove it first")
    if target and not target.name.endswith((".jsonl", ".jsonl.zst")):
        raise UsageError(f"{target} is no name for records", fix="end it with .jsonl or .jsonl.zst")
    source = records or workspace.latest_records()
    iou = workspace.settings.consensus.min_iou if min_iou is None else min_iou
    problems = Problems()
    merged = list(adjudicate(read_records(source), problems, min_iou=iou))
    if target:
        write(merged, target, problems, "records")
        console().print(f"saved {target}", markup=False)

    artifacts = [artifact for record in merged for artifact in record.artifacts]
    agreements = [artifact.agreement for artifact in artifacts if artifact.agreement is not None]
    result = {
        "records": source.name,
        "min_iou": iou,
        "images": dict(Counter(record.status for record in merged)),
        "artifacts": len(artifacts),
        "unconfirmed_regions": sum(problem.code == "consensus.unconfirmed" for problem in problems),
        "votes": {str(votes): n for votes, n in sorted(Counter(a.votes or 0 for a in artifacts).items())},
        "mean_agreement": sum(agreements) / len(agreements) if agreements else None,
    }
    if as_json:
        print_json({**result, "problems": problems.to_json()})
    else:
        from rich.table import Table

        table = Table("", "count", title=f"Consensus of {source.name}, IoU from {iou:g}")
        for status, count in result["images"].items():  # type: ignore[attr-defined]
            table.add_row(f"images {status}", str(count))
        table.add_row("artifacts that stand", str(len(artifacts)))
        table.add_row("regions that do not", str(result["unconfirmed_regions"]))
        if agreements:
            table.add_row("mean mask IoU with the other raters", f"{result['mean_agreement']:.3f}")
        output().print(table)
        show_problems(problems)
    finish(problems)
