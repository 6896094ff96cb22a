"""`synthscars release check`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from synthscars.cli.common import (
    console,
    json_option,
    output,
    progress,
    show_problems,
    workspace_folder_option,
)
from synthscars.cli.releases import find_release
from synthscars.converters.registry import FORMATS

if TYPE_CHECKING:
    from rich.table import Table

    from synthscars.problems import Problems
    from synthscars.release.check import CheckReport

_STYLES = {"error": "red", "warning": "yellow", "info": "cyan"}


@click.command(short_help="Look for everything that is wrong with a release.")
@click.argument("release", required=False, metavar="[VERSION|PATH]")
@workspace_folder_option("The workspace that has the release; not needed for a PATH.")
@click.option(
    "--from",
    "format_",
    type=click.Choice(list(FORMATS)),
    metavar="FORMAT",
    help="Format of PATH, if its content does not tell it (see `synthscars formats`).",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the images, if they are not with PATH.",
)
@click.option(
    "--previous",
    metavar="VERSION|PATH",
    help="The release to compare the statistics with; the newest lower version beside it if not given.",
)
@click.option("--no-previous", is_flag=True, help="Compare with no other release.")
@click.option(
    "--language",
    default="",
    metavar="CODE",
    help="Language that texts should be in, such as en; that of most of them if not given.",
)
@click.option("--codes", "list_codes", is_flag=True, help="List all codes and what they mean, and end.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning"]),
    default="error",
    show_default=True,
    help="From which severity on the exit code is 1.",
)
@click.option(
    "--save", is_flag=True, help="Write checks.json into the folder (FILE.checks.json beside a file)."
)
@click.option(
    "--workers", type=click.IntRange(min=1), help="Threads that decode images; one per core if not given."
)
@json_option
def check(
    release: str | None,
    workspace: Path,
    format_: str | None,
    images: Path | None,
    previous: str | None,
    no_previous: bool,
    language: str,
    list_codes: bool,
    fail_on: str,
    save: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """Look for everything that is wrong with a release: the newest one, a VERSION, or what is at PATH.

    PATH is the folder of a release, a folder of its Parquet files or one of them; or annotations in any
    format that `synthscars convert` reads, such as the published SynthScars. Nothing is changed.

    Files are compared with the manifest, images decoded, outlines, captions, labels, raters and texts looked
    at, splits searched for the same and for similar pictures, texts and metadata for personal data, the card
    compared with the files, and shares, sizes and lengths with those of the version before. Each problem has
    a code, such as `leak.lookalike`, that stays the same.

    \b
    Examples:
      synthscars release check
      synthscars release check 1.0.0 --save --fail-on warning
      synthscars release check 1.1.0 --previous 1.0.0
      synthscars release check path/to/SynthScars --json
      synthscars release check --codes
    """
    if list_codes:
        _list_codes(as_json)
        return
    from synthscars.files import atomic_file
    from synthscars.problems import Problems, UsageError
    from synthscars.release.check import CHECKS_NAME, encode_checks
    from synthscars.release.check import check as check_all
    from synthscars.release.check.drift import previous_of

    if previous and no_previous:
        raise UsageError("--previous and --no-previous exclude each other", fix="leave one out")
    source = find_release(release, workspace, files=True)
    before: Path | None
    if previous:
        before = (
            source.parent / previous
            if (source.parent / previous).is_dir()
            else find_release(previous, workspace, files=True)
        )
    else:
        before = None if no_previous else previous_of(source)
    problems = Problems()
    with progress("checking") as advance:
        report = check_all(
            source,
            problems,
            format=format_,
            images=images,
            previous=before,
            language=language,
            workers=workers,
            progress=advance,
        )
    encoded = encode_checks(report, problems)
    if as_json:
        click.echo(encoded, nl=False)
    else:
        show_problems(problems)
        if len(problems):
            output().print(_table(problems))
        if report.drift:
            output().print(_drift_table(report))
        splits = ", ".join(f"{split} {count:,}" for split, count in report.splits.items())
        output().print(
            f"{report.name} ({report.format}): {report.images:,} images{f' ({splits})' if splits else ''}, "
            f"{report.artifacts:,} artifacts, {report.decoded:,} images decoded: "
            f"{_counted(problems)}",
            markup=False,
        )
    if save:
        target = source / CHECKS_NAME if source.is_dir() else source.with_name(f"{source.name}.{CHECKS_NAME}")
        with atomic_file(target) as file:
            file.write(encoded)
        console().print(f"saved {target}", markup=False)
    counts = problems.counts()
    if counts.get("error") or (fail_on == "warning" and counts.get("warning")):
        sys.exit(1)


def _table(problems: Problems) -> Table:
    """One line for each code: how often, and one of its places."""
    from rich.table import Table
    from rich.text import Text

    first: dict[tuple[str, str], str] = {}
    counts: dict[tuple[str, str], int] = {}
    for problem in problems.by_severity():
        key = (problem.severity, problem.code)
        counts[key] = counts.get(key, 0) + problem.count
        place = (problem.file, problem.image[:12], problem.region[:40])
        first.setdefault(key, ", ".join(filter(None, place)) or problem.what)
    table = Table(title="What was found", title_justify="left", box=None, pad_edge=False)
    for column in ("severity", "code"):
        table.add_column(column, no_wrap=True)
    table.add_column("count", justify="right")
    table.add_column("for instance", overflow="fold")
    for (severity, code), count in counts.items():
        shown = Text(first[severity, code])
        table.add_row(Text(severity, style=_STYLES[severity]), code, f"{count:,}", shown)
    return table


def _drift_table(report: CheckReport) -> Table:
    """How far each share and number is from that of the version before."""
    from rich.table import Table
    from rich.text import Text

    from synthscars.release.check.drift import table

    shown = Table(title=f"Compared with {report.previous}", title_justify="left", box=None, pad_edge=False)
    for column in ("what", "images", "before", "now", "distance", "p"):
        shown.add_column(column, justify="left" if column in ("what", "images") else "right")
    for row in table(report.drift):
        shown.add_row(*map(Text, row))
    return shown


def _list_codes(as_json: bool) -> None:
    import msgspec
    from rich.table import Table
    from rich.text import Text

    from synthscars.release.check.codes import CODES

    if as_json:
        values = {name: code._asdict() for name, code in CODES.items()}
        click.echo(msgspec.json.format(msgspec.json.encode(values), indent=2))
        return
    shown = Table(box=None, pad_edge=False)
    for column in ("code", "severity", "tells that"):
        shown.add_column(column, no_wrap=column == "code")
    for name, code in CODES.items():
        shown.add_row(name, Text(code.severity), Text(code.meaning))
    output().print(shown)


def _counted(problems: Problems) -> str:
    counts = problems.counts()
    shown = [
        f"{count} {severity}{'s' * (count != 1)}" for severity, count in counts.items() if severity != "info"
    ]
    return ", ".join(shown) or "nothing is wrong"
