"""`synthscars release get` and `synthscars release versions`."""

from __future__ import annotations

from pathlib import Path

import click

from synthscars.cli.common import (
    console,
    finish,
    json_option,
    open_workspace,
    output,
    print_json,
    show_problems,
    workspace_folder_option,
)

_LONGEST_REASON = 200


@click.command(short_help="Fetch a published release.")
@click.argument("source")
@click.argument("version", required=False)
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that gets the version's folder; the workspace's releases if not given.",
)
@workspace_folder_option("The workspace that gets the release; not needed with --to.")
@json_option
def get(source: str, version: str | None, to: Path | None, workspace: Path, as_json: bool) -> None:
    """Fetch a published release from SOURCE: VERSION, or the newest one that is not deprecated.

    SOURCE is a dataset on the Hugging Face Hub, a folder, or any place that fsspec reaches, as for
    `release publish`. Every file is verified before the release appears; files that other releases here
    have are not fetched again. Interrupted, the same command goes on.

    \b
    Examples:
      synthscars release get org/name
      synthscars release get org/name 1.0.0 --to data
      synthscars release get s3://bucket/scars 1.1.0 --json
    """
    from synthscars.cli.release_publish import size, transfer
    from synthscars.problems import Problems, ReleaseError
    from synthscars.release.publish import get_release, parse_target

    parent = to if to is not None else open_workspace(workspace).releases_dir
    problems = Problems()
    target = parse_target(source)
    try:
        with transfer() as moved:
            report = get_release(target, parent, problems, version=version, progress=moved)
    except ReleaseError:
        if as_json and len(problems):
            print_json({"problems": problems.to_json()})
        else:
            show_problems(problems)
        raise
    if as_json:
        import msgspec

        found = msgspec.to_builtins(report, enc_hook=str)
        print_json({**found, "problems": problems.to_json()})
    else:
        what = (
            "was there already"
            if report.unchanged
            else f"{report.files:,} files, {size(report.fetched)} fetched, {size(report.linked)} were here"
        )
        show_problems(problems)
        output().print(f"{report.version}: {what}", markup=False)
        console().print(str(report.path), markup=False)
    finish(problems)


@click.command("versions", short_help="List what is published somewhere.")
@click.argument("source")
@json_option
def published(source: str, as_json: bool) -> None:
    """List the versions that are published at SOURCE, oldest first, and say which are deprecated.

    \b
    Examples:
      synthscars release versions org/name
      synthscars release versions s3://bucket/scars --json
    """
    from synthscars.release.publish import parse_target, published_versions

    target = parse_target(source)
    found = published_versions(target)
    if as_json:
        print_json({"source": target.shown, "versions": found})
    elif found:
        from rich.table import Table
        from rich.text import Text

        table = Table("Version", "Revision", "Deprecated")
        for one in found:
            instead = f" (use {one.use} instead)" if one.use else ""
            why = f"{one.deprecated[:_LONGEST_REASON]}{instead}" if one.deprecated else ""
            table.add_row(one.version, Text(one.revision), Text(why))
        output().print(table)
    else:
        console().print(f"{target.shown} has no published release", markup=False)
