"""`synthscars demo`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from synthscars.cli.common import console, json_option, output, print_json, show_problems

if TYPE_CHECKING:
    from synthscars.demo import DemoReport


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"))
@click.option("--images", type=click.IntRange(min=1), default=24, show_default=True, help="How many to draw.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of images and raters."
)
@click.option("--port", type=click.IntRange(1, 65535), help="Preferred port of Label Studio.")
@json_option
def demo(folder: Path, images: int, seed: int, port: int | None, as_json: bool) -> None:
    """Go the whole way on simulated images, and check what comes out.

    Draws images whose artifacts are known, ingests them, starts a real Label Studio, lets three simulated
    raters answer through its API (shaky outlines, a missed artifact here, a false one there), pulls, builds
    release 0.1.0, loads it back with `datasets` and compares it with the known artifacts. FOLDER is `demo` if
    not given; a demo that was interrupted goes on where it stopped. Label Studio keeps running, to look at.

    \b
    Example:
      synthscars demo
      synthscars platform down --workspace demo/workspace     # afterwards
    """
    from synthscars.demo import run_demo
    from synthscars.problems import Problems

    screen = console()
    problems = Problems()
    report = run_demo(
        folder,
        problems,
        images=images,
        seed=seed,
        port=port,
        say=lambda line: screen.print(f"· {line}", markup=False),
    )
    if as_json:
        print_json({**_fields(report), "problems": problems.to_json()})
    else:
        show_problems(problems)
        _show(report)
    if not report.passed or problems.failed:
        sys.exit(1)


def _fields(report: DemoReport) -> dict[str, object]:
    import msgspec

    return dict(msgspec.to_builtins(report, enc_hook=str))


def _show(report: DemoReport) -> None:
    from rich.panel import Panel
    from rich.table import Table

    result = report.score
    verdict = "[green]as it must be[/]" if report.passed else "[bold red]not as it must be[/]"
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_row("images", f"{report.images} simulated, with {result.known} known artifacts")
    table.add_row(
        "raters",
        f"3 simulated ones: {report.annotations} annotations, "
        f"{report.missed} regions overlooked, {report.invented} invented",
    )
    table.add_row(
        "release",
        f"{report.standing} artifacts were drawn by a majority; "
        f"{result.matched} known and {result.invented} other artifacts are in it: {verdict}",
    )
    table.add_row("outlines", f"mean mask IoU with the known ones {result.mean_iou:.3f}")
    table.add_row("texts", f"{result.texts_equal} of {result.matched} equal to the letter")
    table.add_row("seconds", ", ".join(f"{name} {seconds:g}" for name, seconds in report.seconds.items()))
    output().print(Panel(table, title="The whole way on simulated images", title_align="left", expand=False))

    look = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    look.add_column(no_wrap=True)
    look.add_column(overflow="fold")
    look.add_row("Label Studio", report.url)
    look.add_row("  account", report.account)
    look.add_row("  password", f"in {_short(Path(report.secrets))}")
    look.add_row("release", _short(report.release))
    for plot in report.plots:
        look.add_row("plot", _short(plot))
    look.add_row("load it", f'datasets.load_dataset("{_short(report.release)}")')
    look.add_row("stop the server", f"{_ourselves()} platform down --workspace {_short(report.workspace)}")
    output().print(Panel(look, title="Where to look", title_align="left", expand=False))


def _ourselves() -> str:
    """The command as the reader can type it: an environment that is not active is not on the path."""
    return "synthscars" if shutil.which("synthscars") else _short(Path(sys.argv[0]).absolute())


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
