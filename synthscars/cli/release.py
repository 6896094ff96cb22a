"""`synthscars release`."""

from __future__ import annotations

import click

from synthscars.cli.release_build import build
from synthscars.cli.release_card import card
from synthscars.cli.release_check import check
from synthscars.cli.release_deprecate import deprecate
from synthscars.cli.release_diff import diff
from synthscars.cli.release_get import get, published
from synthscars.cli.release_list import list_
from synthscars.cli.release_publish import publish


@click.group()
def release() -> None:
    """Build, check, compare and publish versioned dataset releases.

    A release is a folder of Parquet files with a card and a manifest, and `datasets.load_dataset` opens it.
    It does not change: what is corrected goes into the next version.

    \b
    Examples:
      synthscars release build
      synthscars release card --html card.html
      synthscars release check
      synthscars release diff 1.0.0 1.1.0
      synthscars release publish 1.1.0 org/name --dry-run
      synthscars release get org/name 1.1.0 --to data
      synthscars release deprecate 1.0.0 --reason "a source without licence" --use 1.0.1
    """


release.add_command(build)
release.add_command(card)
release.add_command(check)
release.add_command(diff)
release.add_command(list_)
release.add_command(deprecate)
release.add_command(publish)
release.add_command(get)
release.add_command(published)
