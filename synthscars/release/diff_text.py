"""A difference between releases as the Markdown of `CHANGES.md`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from synthscars.release.diff_match import Words
from synthscars.release.diff_model import UNKNOWN, ArtifactChange, FieldChange, ImageChange, Move, ReleaseDiff
from synthscars.release.markdown import markdown_line, markdown_table
from synthscars.shown import short, visible

CHANGES_NAME = "CHANGES.md"
MOST_LINES = 200
"""Images of one kind that are named; the others are counted."""

MOST_PIECES = 40
"""Pieces of a text that are told word by word."""

MOST_RATERS = 10
"""Raters of an image whose regions are told of."""

_AROUND = 3


def to_markdown(diff: ReleaseDiff) -> str:
    """The text of `CHANGES.md`: the version, the counts, and every image that changed, up to `MOST_LINES`.

    The same two releases give the same text. Whatever comes from the data is escaped.
    """
    title = f"# Changes from {markdown_line(diff.before.name)} to {markdown_line(diff.after.name)}"
    if diff.empty and not diff.unread:
        return f"{title}\n\nBoth hold the same.\n"
    parts = [title, markdown_line(verdict(diff))]
    if fitting(diff):
        parts.append(f"Lowest version that fits: {markdown_line(fitting(diff))}.")
    parts.append(_counts(diff))
    parts += _section("Schema", (_column(*each) for each in schema_lines(diff)))
    parts += _section(
        "Deprecated",
        (
            f"{markdown_line(short(each.name))}: {markdown_line(short(each.instead))}"
            for each in diff.deprecated
        ),
    )
    if diff.added:
        parts.append(f"## Images added\n\n{len(diff.added):,}: {_by_split(diff)}.")
    parts += _section(
        "Images removed",
        (
            f"{_image(x.image_id, x.file_name)}, was in {markdown_line(x.split or UNKNOWN)}"
            for x in diff.removed
        ),
    )
    parts += _section(
        "Images moved between splits",
        map(_moved, diff.moved),
    )
    parts += _section("Images changed", map(_changed, diff.changed))
    return "\n\n".join(parts) + "\n"


def verdict(diff: ReleaseDiff) -> str:
    """What part of the version the changes ask for and why, in a sentence; another one if it is too low."""
    return f"{asks_for(diff)} {too_low(diff)}".strip()


def asks_for(diff: ReleaseDiff) -> str:
    """What part of the version the changes ask for and why, in a sentence; also what could not be read."""
    unread = ""
    if diff.unread:
        files = "1 file" if diff.unread == 1 else f"{diff.unread:,} files"
        unread = f"{files} could not be read, so nobody knows what else changed."
    if diff.bump.needed == "none":
        return unread or "Nothing changed."
    asked = f"The changes ask for a new {diff.bump.needed} version: {_list(diff.bump.reasons)}."
    return f"{unread} {asked}".strip()


def too_low(diff: ReleaseDiff) -> str:
    """That the newer version is too low, `""` if it is not."""
    return f"{diff.after.version} is too low." if diff.bump.honoured is False else ""


def fitting(diff: ReleaseDiff) -> str:
    """The lowest version that fits what changed, `""` if nothing did or the older version is not known."""
    return diff.bump.lowest if diff.bump.needed != "none" or diff.bump.honoured is False else ""


def _list(reasons: Sequence[str]) -> str:
    shown = visible("; ".join(reasons[:10]))
    return shown if len(reasons) <= 10 else f"{shown}; and {len(reasons) - 10} more"


def _counts(diff: ReleaseDiff) -> str:
    rows = [
        [each.of, each.value, f"{each.before:,}", f"{each.after:,}", f"{each.after - each.before:+,}"]
        for each in diff.counts
        if each.before != each.after
    ]
    if not rows:
        return "## Counts\n\nAll counts are the same."
    return "## Counts\n\n" + markdown_table(["count", "of", "before", "after", "change"], rows)


def schema_lines(diff: ReleaseDiff) -> Iterable[tuple[str, str, str]]:
    """What changed of columns and classes: (what, before, after)."""
    for column in diff.columns:
        yield f"column {column.column}", column.before, column.after
    for classes in diff.classes:
        what = "taxonomy" if classes.column == "taxonomy" else f"classes of {classes.column}"
        yield what, ", ".join(classes.before), ", ".join(classes.after)


def _column(name: str, before: str, after: str) -> str:
    return f"{markdown_line(name)}: {markdown_line(before) or 'none'} → {markdown_line(after) or 'none'}"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    if not found:
        return []
    shown = [f"- {line}" for line in found[:MOST_LINES]]
    if len(found) > MOST_LINES:
        shown.append(f"- and {len(found) - MOST_LINES:,} more: `synthscars release diff --json` has them all")
    return [f"## {title}\n\n{len(found):,}.\n\n" + "\n".join(shown)]


def _by_split(diff: ReleaseDiff) -> str:
    splits = dict.fromkeys(each.split for each in diff.added)
    counts = {split: sum(each.split == split for each in diff.added) for split in splits}
    return ", ".join(f"{markdown_line(split or UNKNOWN)} {n:,}" for split, n in sorted(counts.items()))


def _image(image_id: str, file_name: str) -> str:
    return f"{markdown_line(visible(image_id[:12]))} {markdown_line(short(file_name, 80))}"


def _moved(move: Move) -> str:
    places = [markdown_line(short(split or UNKNOWN, 40)) for split in (move.before, move.after)]
    return f"{_image(move.image_id, move.file_name)}: {' → '.join(places)}"


def _changed(change: ImageChange) -> str:
    lines = [_image(change.image_id, change.file_name)]
    lines += [f"  - {_field(each)}" for each in change.fields]
    for word, notes in (("added", change.artifacts_added), ("removed", change.artifacts_removed)):
        lines += [
            f"  - artifact {word}: {markdown_line(short(note.phrase or note.artifact_id))} "
            f"({markdown_line(note.category or UNKNOWN)}, {markdown_line(note.subtype or UNKNOWN)})"
            for note in notes
        ]
    lines += [f"  - {_artifact(each)}" for each in change.artifacts_changed]
    lines += [f"  - {markdown_line(line)}" for line in rater_lines(change)]
    return "\n".join(lines)


def rater_lines(change: ImageChange) -> Iterator[str]:
    """What changed of the regions that raters drew, a line for each rater up to `MOST_RATERS`."""
    for each in change.raters[:MOST_RATERS]:
        counts = {
            "added": each.added,
            "removed": each.removed,
            "redrawn": each.redrawn,
            "with other texts or labels": each.corrected,
        }
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        yield f"regions of {short(each.rater_id, 80) or 'an unknown rater'}, before merging: {told}"
    if len(change.raters) > MOST_RATERS:
        yield f"and regions of {len(change.raters) - MOST_RATERS:,} more raters"


def _artifact(change: ArtifactChange) -> str:
    parts = [f"IoU {change.iou:.2f} with the old outline"] if change.redrawn else []
    parts += map(_field, change.fields)
    name = markdown_line(short(change.after.phrase or change.after.artifact_id))
    return f"artifact {name}: " + "; ".join(parts)


def _field(change: FieldChange) -> str:
    if any(kind == "=" for kind, _ in change.words):
        return f"{markdown_line(change.field)}: {_words(change.words)}"
    return f"{markdown_line(change.field)} {_value(change.before)} → {_value(change.after)}"


def _words(words: Words) -> str:
    """The words that changed, with a few around them: ~~taken out~~ and **put in**."""
    parts = []
    for place, (kind, text) in enumerate(words[:MOST_PIECES]):
        inner = text.split()
        if kind == "=" and len(inner) > 2 * _AROUND:
            head = inner[:_AROUND] if place else []
            tail = inner[-_AROUND:] if place < len(words) - 1 else []
            inner = [*head, "…", *tail]
        line = markdown_line(short(" ".join(inner)))
        parts.append({"-": f"~~{line}~~", "+": f"**{line}**"}.get(kind, line) if line else "")
    more = [] if len(words) <= MOST_PIECES else ["…"]
    return " ".join(part for part in [*parts, *more] if part)


def _value(value: object) -> str:
    return "none" if value is None or value == "" else f"“{markdown_line(short(as_text(value)))}”"


def as_text(value: object) -> str:
    """A value of a field as one text."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
