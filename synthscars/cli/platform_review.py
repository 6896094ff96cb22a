"""`synthscars platform gold` and `changes`: what to look at once answers are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from synthscars.cli.common import json_option, output, print_json, show_problems, workspace_option

if TYPE_CHECKING:
    from synthscars.metrics.gold import RaterGold
    from synthscars.workspace import Workspace


@click.command()
@workspace_option
@json_option
def gold(workspace: Workspace, as_json: bool) -> None:
    """Hold each rater's answers against the known ones.

    Known answers are given to `synthscars platform assign --gold`; answers are those of the last pull.

    \b
    Example:
      synthscars platform gold --json
    """
    from synthscars.jsonl import read_records
    from synthscars.labelstudio.credentials import FILE_NAME, load_credentials
    from synthscars.labelstudio.material import known_answers
    from synthscars.metrics.gold import score_raters
    from synthscars.problems import UsageError

    known = known_answers(workspace)
    if not known:
        raise UsageError(
            "no image with a known answer was given out",
            fix="synthscars platform assign --gold known.jsonl --gold-share 0.05",
        )
    raters = score_raters(read_records(workspace.latest_records()), known)
    names: dict[str, str] = {}
    if (workspace.platform_dir / FILE_NAME).exists():
        accounts = load_credentials(workspace.platform_dir).people.values()
        names = {f"rater-{account.id}": account.email for account in accounts}
    if as_json:
        print_json({"images": len(known), "raters": raters, "people": names})
    else:
        output().print(f"{len(known)} images with a known answer")
        for rater in raters:
            output().print(_line(rater, names), markup=False)
        if not raters:
            output().print("nobody answered one of them yet", markup=False)


def _line(rater: RaterGold, names: dict[str, str]) -> str:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.0%}"

    name = names.get(rater.rater_id, rater.rater_id)
    skipped = f", {rater.skipped} skipped" if rater.skipped else ""
    iou = "-" if rater.iou is None else f"{rater.iou:.2f}"
    regions = f"found {rater.found}, missed {rater.missed}, false alarms {rater.false_alarms}"
    return (
        f"  {name}: {rater.answered} images{skipped}; right about whether there is an artifact "
        f"{share(rater.status_agreed)}; {regions}; IoU {iou}; category right {share(rater.category)}"
    )


@click.command(short_help="Tell which answers were edited or deleted.")
@click.option(
    "--since", type=click.IntRange(min=1), help="Number of the older export; by default the one before."
)
@workspace_option
@json_option
def changes(workspace: Workspace, since: int | None, as_json: bool) -> None:
    """Tell which answers were edited or deleted on the server between two pulls.

    It compares the newest export with an older one; the server is not asked.

    \b
    Examples:
      synthscars platform changes
      synthscars platform changes --since 12
    """
    from synthscars.labelstudio.changes import report_changes
    from synthscars.labelstudio.pull import EXPORT_SUFFIX
    from synthscars.problems import Problems, UsageError

    exports = workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX)
    older = [path for path in exports[:-1] if since is None or int(path.name[:6]) == since]
    if not older:
        there = ", ".join(str(int(path.name[:6])) for path in exports[:-1]) or "none"
        raise UsageError("there is no such older export", fix=f"older exports: {there}")
    problems = Problems()
    report_changes(older[-1], exports[-1], problems)
    if as_json:
        print_json({"older": older[-1].name, "newer": exports[-1].name, "problems": problems.to_json()})
        return
    output().print(f"{older[-1].name} → {exports[-1].name}: {len(problems)} answers changed", markup=False)
    show_problems(problems)
