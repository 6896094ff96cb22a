"""`synthscars init` and `synthscars status`."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthscars.cli.common import json_option, output, print_json, workspace_option

if TYPE_CHECKING:
    from synthscars.workspace import Workspace

_MOST_TOOLS = 10
_MOST_MODELS = 5


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option("--name", default="", help="The dataset's name; the folder's if not given.")
@json_option
def init(folder: Path, name: str, as_json: bool) -> None:
    """Make a workspace: the folder in which everything of one dataset lives.

    FOLDER is made if it does not exist, and must be empty if it does; without it, this folder is taken.

    \b
    Examples:
      synthscars init my-scars
      synthscars init my-scars --name "Scars of diffusion models"
    """
    from synthscars.settings import CONFIG_NAME
    from synthscars.workspace import Workspace

    workspace = Workspace.create(folder, name)
    if as_json:
        print_json({"name": workspace.name, "workspace": str(workspace.root)})
        return
    screen = output()
    screen.print(
        f"made the workspace {workspace.name!r} in {folder}; its settings: {folder / CONFIG_NAME}",
        markup=False,
    )
    screen.print(f"next: cd {shlex.quote(str(folder))} && synthscars ingest PATH/TO/IMAGES", markup=False)


@click.command()
@workspace_option
@json_option
def status(workspace: Workspace, as_json: bool) -> None:
    """Say what is in the workspace.

    \b
    Examples:
      synthscars status
      synthscars status --json | jq .images
    """
    found = summary(workspace)
    if as_json:
        print_json(found)
    else:
        _show(found)


def summary(workspace: Workspace) -> dict[str, Any]:
    """What is in a workspace, as JSON: counts of images and of everything that was made from them."""
    from synthscars.release import versions

    images = 0
    origins: Counter[str] = Counter()
    tools: Counter[str] = Counter()
    models: Counter[str] = Counter()
    for record in workspace.images():
        images += 1
        origins[record.origin] += 1
        if record.origin == "synthetic":
            generation = record.generation
            tools[(generation.tool if generation else "") or "unknown"] += 1
            models[(generation.model if generation else "") or "unknown"] += 1
    quarantined = len(list(workspace.quarantine_dir.glob("[!.]*.json")))
    return {
        "name": workspace.name,
        "workspace": str(workspace.root),
        "images": images,
        "missing_files": workspace.missing_images(),
        # A name that was ingested again, to correct its image's licence, has several rows.
        "second_names": len(set(workspace.index_names())) - images,
        "quarantined": quarantined,
        "origins": _ranked(origins),
        "tools": _ranked(tools),
        "models": _ranked(models),
        "exports": len(workspace.numbered(workspace.exports_dir, ".json.zst")),
        "records": len(workspace.numbered(workspace.records_dir, ".jsonl.zst")),
        "releases": list(versions(workspace.releases_dir)),
    }


def _ranked(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _show(found: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(found["name"]), box=None, show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    table.add_row(
        "images", f"{found['images']:,}" + (f"  ({_listed(found['origins'], 2)})" if found["images"] else "")
    )
    if missing := found["missing_files"]:
        table.add_row("missing files", Text(f"{missing:,}  → ingest the originals again", style="red"))
    table.add_row("second names", f"{found['second_names']:,}")
    table.add_row("quarantined", f"{found['quarantined']:,}")
    if found["tools"]:
        table.add_row("generators", Text(_listed(found["tools"], _MOST_TOOLS)))
        table.add_row("models", Text(_listed(found["models"], _MOST_MODELS)))
    # Each pull is kept and then read into a file of records; a kill between the two leaves one unread.
    unread = found["exports"] - found["records"]
    table.add_row(
        "Label Studio pulls", f"{found['exports']:,}" + (f"  ({unread} not read)" if unread else "")
    )
    table.add_row("releases", ", ".join(found["releases"]) or "none")
    output().print(table)


def _listed(counts: dict[str, int], most: int) -> str:
    """The most frequent ones, and how many others there are."""
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:most]]
    if len(counts) > most:
        shown.append(f"and {len(counts) - most} more")
    return ", ".join(shown)
