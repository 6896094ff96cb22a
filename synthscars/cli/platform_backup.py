"""`synthscars platform backup` and `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from synthscars.cli.common import json_option, output, print_json, say, workspace_option

if TYPE_CHECKING:
    from synthscars.workspace import Workspace


@click.command(short_help="Write the whole platform into one file.")
@workspace_option
@click.option(
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write (.tar.zst); by default one in backups/ named by the time.",
)
@json_option
def backup(workspace: Workspace, target: Path | None, as_json: bool) -> None:
    """Write accounts, tasks, answers and settings of the platform into one file, also while it runs.

    The file holds passwords and is readable for you alone: keep it as you would keep them. Images, exports,
    records and releases are not in it; they are files of the workspace that are copied as they are.

    \b
    Examples:
      synthscars platform backup
      synthscars platform backup --output /mnt/safe/scars-monday.tar.zst
    """
    from synthscars.labelstudio.backup import backup as write_backup

    made = write_backup(workspace, target, say=say)
    if as_json:
        print_json(made)
    else:
        output().print(f"{made.file}: {made.members} files, {made.size:,} bytes", markup=False)


@click.command(short_help="Put a backup in the platform's place.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@workspace_option
@click.option("--force", is_flag=True, help="Also where there is a platform; the old folder is kept aside.")
@json_option
def restore(workspace: Workspace, file: Path, force: bool, as_json: bool) -> None:
    """Put a backup FILE in the place of the platform, which must be stopped.

    Every checksum is tried before anything is touched. Restore only backups that you trust: whoever made it
    chose who gets in.

    \b
    Example:
      synthscars platform down
      synthscars platform restore backups/platform-20260102T030405Z.tar.zst --force
      synthscars platform up
    """
    from synthscars.labelstudio.restoring import restore as read_backup

    done = read_backup(workspace, file, force=force)
    if as_json:
        print_json(done)
        return
    output().print(f"{done.members} files of {done.made:%Y-%m-%d %H:%M} UTC are back", markup=False)
    if done.replaced is not None:
        output().print(f"the folder that was there is now {done.replaced}", markup=False)
