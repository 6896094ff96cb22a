"""`synthscars release publish`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    workspace_folder_option,
)

if TYPE_CHECKING:
    from rich.table import Table

    from synthscars.problems import Problems
    from synthscars.release.publish import Moment, PublishReport

_STATES = {
    "published": "{version} is published at {target}",
    "unchanged": "{version} is at {target} already; nothing was sent",
    "proposed": "{version} is proposed to {target}",
    "planned": "a dry run: nothing was changed at {target}",
}


@click.command(short_help="Publish to the Hugging Face Hub, a folder or a bucket.")
@click.argument("release", metavar="VERSION|PATH")
@click.argument("target")
@workspace_folder_option("The workspace that has the VERSION; not needed for a PATH.")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent, copied, kept and deleted.")
@click.option("--create", is_flag=True, help="Make the dataset on the Hub if there is none.")
@click.option("--private", is_flag=True, help="With --create: for its owners' eyes only.")
@click.option(
    "--pr", "pull_request", is_flag=True, help="Propose it as a pull request; tag it once that is merged."
)
@click.option("--branch", default="", help="Commit to this branch instead of to main.")
@click.option("--no-tag", is_flag=True, help="Do not set the tag vX.Y.Z.")
@click.option("--tag-only", is_flag=True, help="Send nothing: tag what is there, after a merge.")
@click.option("--force", is_flag=True, help="Publish although checks.json has errors, or it is deprecated.")
@click.option(
    "--force-unverified", is_flag=True, help="Publish although `synthscars verify` was not run, or it failed."
)
@json_option
def publish(
    release: str,
    target: str,
    workspace: Path,
    dry_run: bool,
    create: bool,
    private: bool,
    pull_request: bool,
    branch: str,
    no_tag: bool,
    tag_only: bool,
    force: bool,
    force_unverified: bool,
    as_json: bool,
) -> None:
    """Publish the release VERSION, or the one in the folder PATH, to TARGET.

    TARGET is a dataset on the Hugging Face Hub (org/name or hf://datasets/org/name), a folder, or any place
    that fsspec reaches (s3://bucket/prefix). A name without a slash is a folder, too: ./published says so.
    On the Hub, all changes come in one commit, which gets the tag vX.Y.Z; only files that are not there
    already are sent. Elsewhere, each version is a folder.

    Only a release that `synthscars verify` has found sound is published, unless --force-unverified is given.
    Every file is compared with the manifest first. Interrupted, the same command completes it; before that it
    does not count as published. A published version does not change. For the Hub, HF_TOKEN or `hf auth login`
    gives the token, HF_ENDPOINT another address.

    \b
    Examples:
      synthscars release publish 1.1.0 org/name --dry-run
      synthscars release publish 1.0.0 org/name --create --private
      synthscars release publish 1.1.0 org/name --pr
      synthscars release publish 1.1.0 org/name --tag-only
      synthscars release publish 1.1.0 ./published
      synthscars release publish 1.1.0 s3://bucket/scars --json
    """
    from synthscars.cli.releases import find_release
    from synthscars.problems import Problems, ReleaseError
    from synthscars.release.publish import parse_target, publish_release
    from synthscars.release.publish.send import Options

    options = Options(
        dry_run=dry_run,
        force=force,
        force_unverified=force_unverified,
        create=create,
        private=private,
        branch=branch,
        pull_request=pull_request,
        tag=not no_tag,
        tag_only=tag_only,
    )
    problems = Problems()
    parsed = parse_target(target)
    try:
        with transfer() as moved:
            folder = find_release(release, workspace)
            report = publish_release(folder, parsed, problems, options, progress=moved)
    except ReleaseError:
        _before_failing(problems, as_json)
        raise
    if as_json:
        import msgspec

        print_json({**msgspec.to_builtins(report), "problems": problems.to_json()})
    else:
        output().print(_table(report))
        show_problems(problems)
        output().print(
            _STATES[report.state].format(version=report.version, target=report.target), markup=False
        )
        for line in filter(None, (report.url, report.next)):
            console().print(line, markup=False)
    finish(problems)


def _before_failing(problems: Problems, as_json: bool) -> None:
    if as_json and len(problems):
        print_json({"problems": problems.to_json()})
    else:
        show_problems(problems)


def _table(report: PublishReport) -> Table:
    from rich.table import Table
    from rich.text import Text

    from synthscars.release.publish.contents import printable

    table = Table("", "File", "Size", title=f"{report.version} → {report.target}", title_justify="left")
    table.columns[2].justify = "right"
    plan = report.plan
    for name, changes in (("send", plan.add), ("copy there", plan.copy), ("delete", plan.delete)):
        for change in changes:
            table.add_row(name, Text(printable(change.path)), size(change.bytes))
    for name, changes in (("has already", plan.keep), ("leave alone", plan.foreign)):
        if changes:
            files = f"{len(changes):,} file{'s' * (len(changes) != 1)}"
            table.add_row(name, files, size(sum(change.bytes for change in changes)))
    return table


def size(count: int) -> str:
    """Bytes for a person, also of small files."""
    from synthscars.cli.release_list import size as large

    return f"{count / 1e3:,.1f} kB" if count < 1e6 else large(count)


@contextmanager
def transfer() -> Iterator[Callable[[Moment], None]]:
    """A bar with files and bytes on stderr while the block runs."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("verifying", total=None)

        def show(moment: Moment) -> None:
            files = f" {moment.files}/{moment.all_files} files" if moment.all_files else ""
            total = moment.all_bytes if moment.all_files else None
            bar.update(task, description=f"{moment.doing}{files}", completed=moment.bytes, total=total)

        yield show
