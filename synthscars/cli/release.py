"""`synthscars release`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from synthscars.cli.common import (
    console,
    finish,
    json_option,
    output,
    print_json,
    progress,
    show_problems,
    workspace_option,
)
from synthscars.cli.release_card import card
from synthscars.cli.release_check import check
from synthscars.cli.release_deprecate import deprecate
from synthscars.cli.release_diff import diff
from synthscars.cli.release_get import get, published
from synthscars.cli.release_list import list_, size
from synthscars.cli.release_publish import publish

if TYPE_CHECKING:
    from synthscars.problems import Problems
    from synthscars.workspace import Workspace


@click.group()
def release() -> None:
    """Build versioned dataset releases.

    A release is a folder of Parquet files with a card and a manifest, and `datasets.load_dataset` opens it.

    \b
    Examples:
      synthscars release build 1.0.0
      synthscars release check
      synthscars release list
      synthscars release diff 1.0.0 1.1.0
      synthscars release deprecate 1.0.0 --reason "a source without licence" --use 1.0.1
    """


@release.command()
@click.argument("version")
@workspace_option
@click.option(
    "--records",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Records to release; the newest pull if not given.",
)
@click.option("--force", is_flag=True, help="Replace the release if it exists.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Threads that read images; one per core if not given."
)
@json_option
def build(
    version: str,
    workspace: Workspace,
    records: Path | None,
    force: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Build the release VERSION, written as MAJOR.MINOR.PATCH.

    Several raters' answers become one (see `synthscars consensus --help`); images that nobody looked at, or
    that were skipped, are left out. The same inputs give the same bytes, and images keep the split that an
    earlier version gave them.

    \b
    Examples:
      synthscars release build 1.0.0
      synthscars release build 1.0.1 --records merged.jsonl.zst
      synthscars release build 1.0.0 --force --json
    """
    from synthscars.problems import Problems, ReleaseError
    from synthscars.release import build_release

    problems = Problems()
    try:
        with progress("looking at images") as advance:
            report = build_release(
                workspace,
                version,
                problems,
                records=records,
                force=force,
                workers=workers,
                progress=advance,
            )
    except ReleaseError:
        _report_before_failing(problems, as_json)
        raise
    if as_json:
        print_json(
            {
                "version": report.version,
                "path": str(report.path),
                "images": report.images,
                "artifacts": report.artifacts,
                "splits": report.splits,
                "left_out": report.left_out,
                "bytes": report.bytes,
                "problems": problems.to_json(),
            }
        )
    else:
        from rich.markup import escape
        from rich.table import Table

        table = Table("Release", report.version)
        for split, images in report.splits.items():
            table.add_row(f"images in {split}", f"{images:,}")
        table.add_row("images", f"{report.images:,}")
        table.add_row("artifacts", f"{report.artifacts:,}")
        for reason, images in report.left_out.items():
            table.add_row(escape(f"left out: {reason}"), f"{images:,}")
        table.add_row("size", size(report.bytes))
        output().print(table)
        show_problems(problems)
        console().print(str(report.path), markup=False)
        console().print(f"Look at README.md there, or run `synthscars stats {report.version}`.")
    finish(problems)


release.add_command(card)
release.add_command(check)
release.add_command(diff)
release.add_command(list_)
release.add_command(deprecate)
release.add_command(publish)
release.add_command(get)
release.add_command(published)


def _report_before_failing(problems: Problems, as_json: bool) -> None:
    # The error says that nothing could be released; the problems say why.
    if as_json and len(problems):
        print_json({"problems": problems.to_json()})
    else:
        show_problems(problems)
