"""`synthscars stats`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from synthscars.cli.common import console, json_option, open_workspace, output, workspace_folder_option
from synthscars.problems import ReleaseError, WorkspaceError

if TYPE_CHECKING:
    from rich.table import Table

    from synthscars.stats import Summary


@click.command()
@click.argument("release", required=False, metavar="[VERSION|FOLDER]")
@workspace_folder_option("The workspace that has the release; not needed for a FOLDER.")
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for stats.json and the plots; reports/VERSION of the workspace if not given.",
)
@json_option
def stats(release: str | None, workspace: Path, target: Path | None, as_json: bool) -> None:
    """Count and plot what is in a release: the newest of the workspace, a VERSION, or any release FOLDER.

    Prints tables and saves `stats.json`, `artifacts_by_subtype.png` and `region_sizes.png`.

    \b
    Examples:
      synthscars stats
      synthscars stats 1.0.0 --json
      synthscars stats path/to/release --output plots
    """
    from synthscars.files import atomic_file
    from synthscars.stats import encode_summary, read_tables, summarize
    from synthscars.stats.plots import save_plots

    folder, target = _find(release, workspace, target)
    tables = read_tables(folder)
    summary = summarize(tables)
    if as_json:
        click.echo(encode_summary(summary), nl=False)
    else:
        screen = output()
        for table in _tables(summary):
            screen.print(table)
    if target is None:
        console().print("nothing saved: the folder is not in a workspace; name a place with --output")
        return
    with atomic_file(target / "stats.json") as file:
        file.write(encode_summary(summary))
    plots = save_plots(tables, target)
    for path in (target / "stats.json", *plots):
        console().print(f"saved {path}", markup=False)


def _find(release: str | None, start: Path, target: Path | None) -> tuple[Path, Path | None]:
    """The release's folder, and where to save."""
    from synthscars.release import versions
    from synthscars.workspace import check_version

    if release is not None and (Path(release) / "data").is_dir():
        folder = Path(release).resolve()
        try:
            workspace = open_workspace(folder)
        except WorkspaceError:
            return folder, target
        return folder, target or workspace.reports_dir / folder.name
    workspace = open_workspace(start)
    known = list(versions(workspace.releases_dir))
    if release is None:
        if not known:
            raise ReleaseError(
                f"{workspace.root} has no releases yet", fix="build one with `synthscars release build 1.0.0`"
            )
        release = known[-1]
    elif Path(release).exists() or "/" in release:
        raise ReleaseError(
            f"{release} is not a release: it has no folder data/", fix="name the release's folder"
        )
    elif check_version(release) not in known:
        raise ReleaseError(
            f"there is no release {release}",
            fix=f"there are {', '.join(known)}" if known else "build it with `synthscars release build`",
        )
    return workspace.release_dir(release), target or workspace.reports_dir / release


def _tables(summary: Summary) -> list[Table]:
    from rich.markup import escape
    from rich.table import Table

    splits = list(summary.images)
    totals = Table(title=escape(f"{summary.name} {summary.version}".strip()), title_justify="left")
    totals.add_column("")
    for split in splits:
        totals.add_column(split, justify="right")
    totals.add_row("images", *(f"{summary.images[split]:,}" for split in splits), style="bold")
    if summary.photographs["all"]:
        others = (f"{summary.photographs.get(split, 0):,}" for split in splits)
        totals.add_row("photographs nobody annotated", *others)
    for name in ("status", "content_type", "generator"):
        _add_counts(totals, summary, name, splits)
    totals.add_section()
    totals.add_row("artifacts", *(f"{summary.artifacts[split]:,}" for split in splits), style="bold")
    for name in ("category", "subtype"):
        _add_counts(totals, summary, name, splits)
    totals.add_section()
    _add_counts(totals, summary, "artifacts_per_image", splits)
    _add_counts(totals, summary, "raters_per_image", splits)

    sizes = Table(title="Sizes", title_justify="left")
    sizes.add_column("")
    for column in ("n", "mean", "min", "5 %", "median", "95 %", "max"):
        sizes.add_column(column, justify="right")
    for name, found in summary.sizes.items():
        scale, unit = (100, " %") if name in ("area_share", "coverage") else (1, "")
        values = (found.mean, found.min, found.p5, found.median, found.p95, found.max)
        sizes.add_row(
            name.replace("_", " ") + unit, f"{found.count:,}", *(_short(scale * value) for value in values)
        )
    return [totals, sizes]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _add_counts(table: Table, summary: Summary, name: str, splits: list[str]) -> None:
    from rich.markup import escape

    if not summary.counts[name]:
        return
    table.add_section()
    table.add_row(name.replace("_", " "), style="dim")
    for label, counts in summary.counts[name].items():
        table.add_row(f"  {escape(label)}", *(f"{counts[split]:,}" for split in splits))
