"""`synthscars release deprecate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from synthscars.cli.common import console, json_option, print_json, workspace_option

if TYPE_CHECKING:
    from synthscars.workspace import Workspace


@click.command(short_help="Say that a version should not be used any more.")
@click.argument("version")
@click.option("--reason", default="", help="What is wrong with it, in a sentence.")
@click.option("--use", metavar="VERSION", default="", help="The version to use instead.")
@click.option("--since", metavar="DATE", default="", help="From which day on, such as 2027-03-01.")
@click.option("--undo", is_flag=True, help="Take it back.")
@workspace_option
@json_option
def deprecate(
    version: str,
    reason: str,
    use: str,
    since: str,
    undo: bool,
    workspace: Workspace,
    as_json: bool,
) -> None:
    """Say that the release VERSION should not be used any more, and why.

    A release does not change, so this is kept beside the releases, in releases/deprecated.json. `synthscars
    release list` shows it, and cards that are written from now on name the version. Saying it again replaces
    what was said. The folder of VERSION may be gone, if a later version was built while it was there.

    \b
    Examples:
      synthscars release deprecate 1.0.0 --reason "twelve images have no licence" --use 1.0.1
      synthscars release deprecate 1.0.0 --undo
    """
    from synthscars.problems import UsageError
    from synthscars.release.deprecate import deprecate as deprecate_version
    from synthscars.release.deprecate import read_deprecations, replacement, undo_deprecation

    if undo and (reason or use or since):
        raise UsageError("--undo needs nothing else", fix="leave the other options out")
    if undo:
        undo_deprecation(workspace, version)
    else:
        deprecate_version(workspace, version, reason=reason, use=use, since=since)
    deprecations = read_deprecations(workspace.releases_dir)
    if as_json:
        print_json({"deprecated": deprecations})
        return
    instead = replacement(deprecations, version)
    said = "not deprecated any more" if undo else f"deprecated{f'; use {instead} instead' if instead else ''}"
    console().print(f"{version} is {said}", markup=False)
    for other, each in deprecations.items():
        if other != version and each.use == version and not undo:
            instead_of = f"use {instead} instead of it" if instead else "nothing is left to use instead of it"
            console().print(f"{other} was to be replaced by {version}: now {instead_of}", markup=False)
