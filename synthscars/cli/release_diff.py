"""`synthscars release diff`."""

from __future__ import annotations

from pathlib import Path

import click

from synthscars.cli.common import (
    console,
    finish,
    json_option,
    print_json,
    progress,
    show_problems,
    workspace_folder_option,
)
from synthscars.cli.releases import find_release


@click.command(short_help="Tell what changed between two releases.")
@click.argument("before")
@click.argument("after")
@workspace_folder_option("The workspace that has the versions; not needed for folders.")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with pictures, old and new outlines, and texts word by word.",
)
@click.option(
    "--examples",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="Changed images that the page shows at most.",
)
@click.option("--markdown", is_flag=True, help="Print the text of CHANGES.md.")
@json_option
def diff(
    before: str,
    after: str,
    workspace: Path,
    html: Path | None,
    examples: int,
    markdown: bool,
    as_json: bool,
) -> None:
    """Tell what changed from the release BEFORE to the release AFTER: versions, or folders of releases.

    Images added, removed, moved between splits and changed; their artifacts, with the overlap of old and new
    outline; texts, columns, classes and counts. Ends with 1 if the version AFTER is too low for what changed:
    other classes, or columns that are gone, ask for a new major version; images or columns that are new, and
    images removed or moved, for a minor one; corrections for a patch.

    \b
    Examples:
      synthscars release diff 1.0.0 1.1.0
      synthscars release diff 1.0.0 1.1.0 --html changes.html
      synthscars release diff path/to/old path/to/new --json
      synthscars release diff 1.0.0 1.1.0 --markdown
    """
    from synthscars.cli.diff_table import print_diff
    from synthscars.problems import Problems, UsageError
    from synthscars.release.diff import diff_releases
    from synthscars.release.diff_model import Example

    if markdown and as_json:
        raise UsageError("--markdown and --json print different things", fix="choose one of them")
    folders = [find_release(name, workspace) for name in (before, after)]
    problems = Problems()
    shown: list[Example] = []
    with progress("comparing rows") as advance:
        found = diff_releases(
            folders[0],
            folders[1],
            problems,
            examples=shown if html is not None else None,
            most_examples=examples,
            progress=advance,
        )
    if html is not None:
        from synthscars.files import atomic_file
        from synthscars.release.diff_page import to_page
        from synthscars.release.files import EmbeddedImages

        with atomic_file(html) as file:
            for piece in to_page(found, shown, [EmbeddedImages(folder) for folder in reversed(folders)]):
                file.write(piece.encode())
    if as_json:
        import msgspec

        print_json({**msgspec.to_builtins(found), "problems": problems.to_json()})
    elif markdown:
        from synthscars.release.diff_text import to_markdown

        click.echo(to_markdown(found), nl=False)
        show_problems(problems)
    else:
        print_diff(found)
        show_problems(problems)
    if html is not None:
        console().print(f"saved {html}", markup=False)
    finish(problems)
