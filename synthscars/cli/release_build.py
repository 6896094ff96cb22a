"""`synthscars release build`."""

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
    show_problems,
    stages,
    workspace_option,
)
from synthscars.cli.release_list import size

if TYPE_CHECKING:
    from rich.table import Table

    from synthscars.problems import Problems
    from synthscars.release import ReleaseReport
    from synthscars.workspace import Workspace


@click.command(short_help="Build the next version, or the VERSION that is named.")
@click.argument("version", required=False)
@workspace_option
@click.option(
    "--records",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Records to release; the newest pull if not given.",
)
@click.option("--force", is_flag=True, help="Replace the release if it exists.")
@click.option(
    "--scrub/--no-scrub",
    default=None,
    help="Take personal data (paths, e-mail addresses, positions, keys) out of texts and of the metadata of "
    "image files; as synthscars.toml says if not given.",
)
@click.option(
    "--no-check",
    is_flag=True,
    help="Do not look at the result as `release check` does, and do not hash images whose files nobody "
    "touched since they were ingested.",
)
@click.option(
    "--compact",
    is_flag=True,
    help="Write all files anew, so that small ones of many versions become large ones.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Threads that read and write; one per core if not given."
)
@json_option
def build(
    version: str | None,
    workspace: Workspace,
    records: Path | None,
    force: bool,
    scrub: bool | None,
    no_check: bool,
    compact: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Build the next release, or the VERSION that is named, written as MAJOR.MINOR.PATCH.

    Without VERSION it gets the lowest one that honours what changed since the newest release: a patch for
    corrections, a minor for new images or columns, a major for another taxonomy or schema. The first one is
    0.1.0. A version that is too low is refused; what was written for it serves the next build.

    Several raters' answers become one (see `synthscars consensus --help`); images that nobody looked at, or
    that were skipped, are left out, but real photographs need no annotation and are in the config
    `detection`. The same inputs give the same bytes. Images keep the split and the file that an earlier
    version gave them, so files in which nothing changed are taken over. If the work breaks off, the next
    build goes on where it stopped.

    \b
    Examples:
      synthscars release build
      synthscars release build --scrub
      synthscars release build 1.0.1 --records merged.jsonl.zst
      synthscars release build 1.0.0 --force --json
    """
    from synthscars.problems import Problems, ReleaseError
    from synthscars.release import build_release

    problems = Problems()
    try:
        with stages() as show:
            report = build_release(
                workspace,
                version,
                problems,
                records=records,
                force=force,
                scrub=scrub,
                check=not no_check,
                compact=compact,
                workers=workers,
                stages=show,
            )
    except ReleaseError:
        _report_before_failing(problems, as_json)
        raise
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C or SIGTERM
        console().print(f"stopped; {_kept(workspace)}")
        raise
    if as_json:
        print_json(
            {
                "version": report.version,
                "path": str(report.path),
                "images": report.images,
                "artifacts": report.artifacts,
                "splits": report.splits,
                "detection": report.detection,
                "left_out": report.left_out,
                "scrubbed": report.scrubbed,
                "bytes": report.bytes,
                "bytes_written": report.written,
                "leaks": report.leaks,
                "problems": problems.to_json(),
            }
        )
    else:
        output().print(_table(report))
        show_problems(problems)
        console().print(str(report.path), markup=False)
        warnings = _warnings(report.path)
        if warnings:
            console().print(
                f"{warnings:,} warning{'s' * (warnings != 1)} of the check: "
                f"`synthscars release check {report.version}` shows what they are"
            )
        console().print(
            f"next: look at README.md there (`synthscars release card {report.version} --html card.html`), "
            f"then `synthscars verify {report.version}`, which publishing asks for"
        )
    finish(problems)


def _table(report: ReleaseReport) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table("Release", report.version)
    for split, images in report.splits.items():
        table.add_row(f"images in {split}", f"{images:,}")
    table.add_row("images", f"{report.images:,}")
    table.add_row("artifacts", f"{report.artifacts:,}")
    if report.detection:
        table.add_row("photographs for detection alone", f"{sum(report.detection.values()):,}")
    if report.scrubbed:
        table.add_row("image files without personal metadata now", f"{report.scrubbed:,}")
    for reason, images in report.left_out.items():
        table.add_row(escape(f"left out: {reason}"), f"{images:,}")
    ties = sum(link.ties for link in report.leaks.links)
    table.add_row("pairs of related images in different splits", f"{report.leaks.leaks:,} of {ties:,}")
    table.add_row("size", size(report.bytes))
    if report.written < report.bytes:
        table.add_row("of it written now", size(report.written))
    return table


def _warnings(folder: Path) -> int:
    """How many warnings `checks.json` has, which the build does not print; 0 if nothing was checked."""
    import msgspec

    from synthscars.release.check.run import CHECKS_NAME

    try:
        checks = msgspec.json.decode((folder / CHECKS_NAME).read_bytes())
    except FileNotFoundError:
        return 0
    return int(checks["severities"].get("warning", 0))


def _kept(workspace: Workspace) -> str:
    from synthscars.files import BUILDING
    from synthscars.release.staging import finished

    count = len(finished(workspace.releases_dir / BUILDING))
    if not count:
        return "no file was finished yet, and the same command starts again"
    are = "file is" if count == 1 else "files are"
    return f"{count:,} finished {are} kept in {BUILDING}, and the same command goes on from there"


def _report_before_failing(problems: Problems, as_json: bool) -> None:
    # The error says that nothing could be released; the problems say why.
    if as_json and len(problems):
        print_json({"problems": problems.to_json()})
    else:
        show_problems(problems)
