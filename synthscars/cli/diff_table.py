"""What `synthscars release diff` prints on a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from synthscars.cli.common import output
from synthscars.release.diff_model import ImageChange, ReleaseDiff
from synthscars.release.diff_text import fitting, rater_lines, schema_lines, verdict
from synthscars.shown import short, visible

MOST_CHANGED = 20
"""Changed images that are named; --json has them all."""


def print_diff(diff: ReleaseDiff) -> None:
    """Print a difference as tables; texts of the data without their control codes and mark-up."""
    screen = output()
    table = Table("Release")
    for title in (diff.before.name, diff.after.name, "Change"):
        table.add_column(Text(short(title, 40)), justify="right")
    for what, before, after in (
        ("images", diff.before.images, diff.after.images),
        ("artifacts", diff.before.artifacts, diff.after.artifacts),
    ):
        table.add_row(what, f"{before:,}", f"{after:,}", _step(before, after))
    for each in diff.counts:
        if each.before != each.after:
            name = Text(short(f"{each.of}: {each.value}", 80))
            table.add_row(name, f"{each.before:,}", f"{each.after:,}", _step(each.before, each.after))
    screen.print(table)
    changes = Table("What changed", "Images")
    changes.columns[1].justify = "right"
    for what, count in (
        ("added", len(diff.added)),
        ("removed", len(diff.removed)),
        ("moved between splits", len(diff.moved)),
        ("changed", len(diff.changed)),
    ):
        changes.add_row(what, f"{count:,}")
    screen.print(changes)
    for what, old, new in schema_lines(diff):
        screen.print(Text(short(f"{what}: {old or 'none'} → {new or 'none'}")))
    for announced in diff.deprecated:
        screen.print(Text(short(f"newly deprecated: {announced.name} ({announced.instead})")))
    for change in diff.changed[:MOST_CHANGED]:
        screen.print(Text(_summary(change)))
    if len(diff.changed) > MOST_CHANGED:
        screen.print(f"… and {len(diff.changed) - MOST_CHANGED:,} more; --json lists them all")
    screen.print(Text(visible(verdict(diff))))
    if fitting(diff):
        screen.print(Text(f"Lowest version that fits: {fitting(diff)}", style="bold"))


def _step(before: int, after: int) -> str:
    return f"{after - before:+,}" if after != before else "="


def _summary(change: ImageChange) -> str:
    """One image in one line: which artifacts, with the overlap of the outlines, and which fields."""
    parts = []
    for word, notes in (("added", change.artifacts_added), ("removed", change.artifacts_removed)):
        parts += [f"{word} “{short(note.phrase or note.artifact_id, 40)}”" for note in notes]
    for each in change.artifacts_changed:
        what = [f"IoU {each.iou:.2f}"] if each.redrawn else []
        what += [field.field for field in each.fields]
        parts.append(f"“{short(each.after.phrase or each.after.artifact_id, 40)}” ({', '.join(what)})")
    parts += [field.field for field in change.fields]
    parts += rater_lines(change)
    line = f"{visible(change.image_id[:12])}  {short(change.file_name, 40)}: {'; '.join(parts)}"
    return " ".join(short(line, 400).split())
