"""`synthscars ingest`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from synthscars.cli.common import (
    finish,
    json_option,
    output,
    print_json,
    progress,
    show_problems,
    workspace_option,
)
from synthscars.records import ORIGINS

if TYPE_CHECKING:
    from synthscars.ingest import IngestReport
    from synthscars.records import Origin
    from synthscars.workspace import Workspace


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@workspace_option
@click.option(
    "--origin",
    type=click.Choice(ORIGINS),
    show_default="synthetic",
    help="Whether the images were generated or are photographs.",
)
@click.option("--license", default="", help="Licence of these images, for instance CC-BY-4.0.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads; one per core if not given.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, write nothing.")
@json_option
def ingest(
    sources: tuple[str, ...],
    workspace: Workspace,
    origin: Origin | None,
    license: str,
    workers: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take images with their metadata into the workspace.

    A SOURCE is a folder (with all folders in it), a zip archive, an image, or a pattern in quotes. Every
    image is decoded completely and kept byte for byte. The generator's settings are read from its metadata. A
    file that cannot be used is copied to quarantine/ with the reason. Running it again changes nothing; after
    an interruption it goes on where it stopped. --origin and --license also correct images that are known
    already, and images that are gone from the workspace are restored.

    \b
    Examples:
      synthscars ingest outputs/                        # a generator's output folder
      synthscars ingest --dry-run outputs/ batch.zip    # what would happen?
      synthscars ingest 'outputs/2025-*/**/*.png'
      synthscars ingest photos/ --origin real --license CC-BY-4.0
      synthscars ingest outputs/ --license CC0-1.0      # forgotten the first time
    """
    import warnings

    from synthscars.ingest import ingest as run
    from synthscars.problems import Problems

    # Pillow warns of damaged metadata without saying in which file; ours names it.
    warnings.filterwarnings("ignore", module="PIL")
    problems = Problems()
    with progress("ingest") as advance:
        report = run(
            workspace,
            sources,
            problems,
            workers=workers,
            dry_run=dry_run,
            origin=origin,
            license=license,
            progress=advance,
        )
    if as_json:
        report.tools = _named(report.tools)
        print_json({"report": report, "dry_run": dry_run, "problems": problems.to_json()})
    else:
        _show(report, dry_run)
        show_problems(problems)
    finish(problems)


def _show(report: IngestReport, dry_run: bool) -> None:
    from rich.table import Table

    would = "would be " if dry_run else ""
    table = Table(title="dry run: nothing was written" if dry_run else None, box=None, show_header=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    lines = (
        (report.files, "files"),
        (report.added, f"{would}added"),
        (report.duplicates, f"{would}recorded as second names of images (same bytes)"),
        (report.known, "known already"),
        (report.restored, f"{would}restored: the workspace had lost these images, or a part of them"),
        (report.updated, f"{would}updated: known images with another origin or licence"),
        (report.quarantined, f"{would}set aside in quarantine/, with the reason"),
        (report.refused, "not read, see below"),
        (sum(report.ignored.values()), "not images, left alone"),
    )
    for index, (count, what) in enumerate(lines):
        if count or index < 2:
            table.add_row(f"{count:,}", what)
    output().print(table)
    if report.tools:
        named = ", ".join(f"{tool} {count:,}" for tool, count in _named(report.tools).items())
        output().print(f"generators of the added images: {named}", markup=False)


def _named(counts: dict[str, int]) -> dict[str, int]:
    """Counts by generator or model, those without a name under `unknown`."""
    named: dict[str, int] = {}
    for name, count in counts.items():
        named[name or "unknown"] = named.get(name or "unknown", 0) + count
    return named
