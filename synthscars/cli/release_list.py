"""`synthscars release list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from synthscars.cli.common import (
    console,
    finish,
    json_option,
    output,
    print_json,
    show_problems,
    workspace_option,
)

if TYPE_CHECKING:
    from rich.table import Table

    from synthscars.release.listing import Listing
    from synthscars.workspace import Workspace

_LONGEST_REASON = 200
_VERIFIED = {
    "verified": ("verified", "green"),
    "failed": ("did not pass verify", "red"),
    "outdated": ("changed since verify", "yellow"),
    "missing": ("not verified", "yellow"),
    "damaged": ("not verified", "yellow"),
}


@click.command("list", short_help="List the releases of a workspace.")
@workspace_option
@json_option
def list_(workspace: Workspace, as_json: bool) -> None:
    """List the releases of a workspace, oldest first.

    Images, artifacts and splits; the size of the data, and what the release takes on the disk beyond the
    older ones (versions may share files); what its checks.json says; whether `synthscars verify` has found it
    sound as it is now; and which versions are deprecated.

    \b
    Examples:
      synthscars release list
      synthscars release list --json | jq '.releases[] | select(.deprecated == null) | .version'
    """
    from synthscars.problems import Problems
    from synthscars.release.listing import list_releases

    problems = Problems()
    listing = list_releases(workspace.releases_dir, problems)
    if as_json:
        print_json(
            {
                "releases": listing.releases,
                "on_disk": listing.on_disk,
                "gone": listing.gone,
                "problems": problems.to_json(),
            }
        )
        finish(problems)
        return
    if listing.releases:
        output().print(_table(listing))
        _print_deprecated(listing)
    elif not len(problems):
        console().print("no releases yet; build one with `synthscars release build`")
    show_problems(problems)
    finish(problems)


def size(count: int) -> str:
    """Bytes for a person: 12.3 MB."""
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"


def _table(listing: Listing) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("Version", "Splits", box=None, pad_edge=False)
    for column in ("Images", "Artifacts", "Data", "On disk"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("Checks", no_wrap=True)
    for each in listing.releases:
        version = Text(each.version)
        if each.deprecated:
            version.append("\ndeprecated", style="yellow")
        table.add_row(
            version,
            Text(", ".join(f"{split} {images:,}" for split, images in each.splits.items())),
            f"{each.images:,}",
            f"{each.artifacts:,}",
            size(each.bytes),
            size(each.on_disk),
            Text(f"{_checked(each.checks)}\n").append(*_VERIFIED[each.verified]),
        )
    table.caption = f"on disk together: {size(listing.on_disk)}"
    table.caption_justify = "left"
    return table


def _checked(checks: dict[str, int] | None) -> str:
    """`2 errors, 1 warning`; `-` if nobody looked."""
    if checks is None:
        return "-"
    shown = [
        f"{checks[name]:,} {name}{'s' * (checks[name] != 1)}"
        for name in ("error", "warning")
        if checks.get(name)
    ]
    return ", ".join(shown) or "nothing is wrong"


def _print_deprecated(listing: Listing) -> None:
    from synthscars.release.deprecate import replacement
    from synthscars.shown import short

    deprecations = listing.deprecations
    for version, each in deprecations.items():
        since = f" since {each.since}" if each.since else ""
        gone = ", and not here any more" if version in listing.gone else ""
        use = replacement(deprecations, version)
        instead = f" (use {use} instead)" if use else ""
        reason = short(each.reason, _LONGEST_REASON)
        output().print(short(f"{version} is deprecated{since}{gone}: ") + reason + instead, markup=False)
