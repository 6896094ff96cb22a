"""`synthscars release card`."""

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
    workspace_folder_option,
)
from synthscars.cli.releases import find_release

if TYPE_CHECKING:
    from synthscars.problems import Problems
    from synthscars.release.preview import Card


@click.command(short_help="Show the card, in the terminal or as a page.")
@click.argument("release", required=False, metavar="[VERSION|PATH]")
@workspace_folder_option("The workspace that has the release; not needed for a PATH.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page that looks as on the Hugging Face Hub: the card, and rows of every config.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=0, max=1000),
    default=100,
    show_default=True,
    help="Rows of every split that the page shows at most.",
)
@json_option
def card(release: str | None, workspace: Path, html: Path | None, rows: int, as_json: bool) -> None:
    """Show the card of a release: the newest one, a VERSION, or that of the folder PATH.

    The page of --html is one file that needs nothing else and runs no script. Above the card it has the tags
    of its header, and a table for every config and split: the first rows with small pictures and the outlines
    on them, and over each column how its values are spread over the whole split. --json prints the header.

    \b
    Examples:
      synthscars release card
      synthscars release card 1.0.0 --html preview.html
      synthscars release card path/to/release --json
    """
    from synthscars.problems import Problems
    from synthscars.release.preview import read_card

    folder = find_release(release, workspace)
    problems = Problems()
    found = read_card(folder)
    if html is not None:
        _write_page(html, found, folder, rows, problems)
        console().print(f"saved {html}", markup=False)
    if as_json:
        print_json(found.header)
    elif html is None:
        _show(found)
    show_problems(problems)
    finish(problems)


def _write_page(target: Path, found: Card, folder: Path, rows: int, problems: Problems) -> None:
    from synthscars.files import atomic_file
    from synthscars.release.preview import sources, views
    from synthscars.release.preview_page import to_page

    parts = sources(folder, found.header)
    title = str(found.header.get("pretty_name") or folder.resolve().name)
    with progress("reading splits", total=len(parts)) as advance, atomic_file(target) as file:
        shown = views(parts, problems, rows=rows, advance=advance)
        for piece in to_page(title, found, folder, parts, shown):
            file.write(piece.encode("utf-8", "replace"))


def _show(found: Card) -> None:
    """The card for a person at a terminal; for a pipe the Markdown as it is."""
    from rich.markdown import Markdown
    from rich.table import Table
    from rich.text import Text

    from synthscars.release.preview_card import header_tags
    from synthscars.shown import visible

    screen = output()
    if not screen.is_terminal:
        click.echo(visible(found.text).strip())
        return
    table = Table.grid(padding=(0, 2))
    for group, values in header_tags(found.header):
        table.add_row(Text(group, style="dim"), Text(visible(", ".join(values)), overflow="fold"))
    screen.print(table, soft_wrap=False)
    screen.print(Markdown(visible(found.text), hyperlinks=False), soft_wrap=False)
