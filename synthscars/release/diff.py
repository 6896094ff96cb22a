"""What changed between two releases: images, splits, artifacts, texts, columns, classes and counts.

The older one is read twice, the newer once, neither with its images; in memory are a digest of every image
and the rows that differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from synthscars.problems import Problems
from synthscars.release.diff_match import Words, match, word_diff
from synthscars.release.diff_model import (
    UNKNOWN,
    ArtifactChange,
    ArtifactNote,
    Count,
    Example,
    FieldChange,
    ImageChange,
    Move,
    Place,
    ReleaseDiff,
    ReleaseSide,
)
from synthscars.release.diff_raters import RATERS, compare_raters
from synthscars.release.diff_rows import SplitRow, open_side, rows, shared_paths
from synthscars.release.diff_schema import (
    asked,
    check_version,
    class_changes,
    column_changes,
    newly_announced,
    say_unannounced,
)
from synthscars.release.diff_version import judge
from synthscars.release.features import Row
from synthscars.release.splits import SPLITS


def diff_releases(
    before: Path,
    after: Path,
    problems: Problems,
    *,
    names: tuple[str, str] = ("", ""),
    examples: list[Example] | None = None,
    most_examples: int = 50,
    progress: Callable[[int], None] | None = None,
) -> ReleaseDiff:
    """Compare two release folders, the older one first.

    Rows and files that cannot be read are reported and count as not there. A version of the newer release
    that is too low for what changed is reported as `version.too_low`, a column or class that is gone without
    having been announced as `schema.not_deprecated`. names: what the releases are called,
    their versions or the names of their folders if not given. examples: gets up to `most_examples` changed
    images with their rows, those with changed artifacts first. progress: called with 1 for every row read.

    Raises `FormatError` if one of the folders holds no file that can be read.
    """
    old, new = open_side(before, problems), open_side(after, problems)
    shared = shared_paths(old, new)
    counts: tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]] = (Counter(), Counter())
    known: dict[str, tuple[bytes, str]] = {}
    for row in rows(old, shared, problems, progress):
        known[row.image_id] = (row.digest, row.split)
        _count(row, counts[0])
    total = (len(known), 0)
    added: list[Place] = []
    moves: dict[str, str] = {}
    differing: dict[str, bytes] = {}
    for row in rows(new, shared, problems, progress):
        total = (total[0], total[1] + 1)
        _count(row, counts[1])
        digest, split = known.pop(row.image_id, (None, ""))
        if digest is None:
            added.append(Place(row.image_id, _text(row.values.get("file_name")), row.split))
            continue
        if split != row.split:
            moves[row.image_id] = row.split
        if digest != row.digest:
            differing[row.image_id] = msgspec.msgpack.encode(row.values)
    removed: list[Place] = []
    moved: list[Move] = []
    changed: list[ImageChange] = []
    shown: tuple[list[Example], list[Example]] = ([], [])
    for row in rows(old, shared, None, progress) if known or moves or differing else ():
        name = _text(row.values.get("file_name"))
        if row.image_id in known:
            removed.append(Place(row.image_id, name, row.split))
        if row.image_id in moves:
            moved.append(Move(row.image_id, name, row.split, moves[row.image_id]))
        if row.image_id in differing:
            values = msgspec.msgpack.decode(differing.pop(row.image_id))
            change = compare_rows(row.image_id, row.values, values)
            if not (change.fields or change.raters or _artifacts_differ(change)):
                continue  # other bytes for the same, such as 1 and 1.0
            changed.append(change)
            about = shown[0 if _artifacts_differ(change) else 1]
            if examples is not None and len(about) < most_examples:
                about.append(Example(change, row.values, values))
    if examples is not None:
        examples += [*shown[0], *shown[1]][:most_examples]
    columns, classes = tuple(column_changes(old, new)), tuple(class_changes(old, new))
    deprecated = tuple(newly_announced(old, new))
    parts = asked(added, removed, moved, changed, columns, classes, deprecated)
    bump = judge(old.version, new.version, parts)
    check_version(old.version, new.version, bump, problems)
    say_unannounced(old, columns, classes, problems)
    artifacts = [sum(n for (of, _), n in each.items() if of == "artifacts by split") for each in counts]
    return ReleaseDiff(
        before=ReleaseSide(names[0] or old.version or before.name, old.version, total[0], artifacts[0]),
        after=ReleaseSide(names[1] or new.version or after.name, new.version, total[1], artifacts[1]),
        bump=bump,
        added=tuple(sorted(added, key=_id)),
        removed=tuple(sorted(removed, key=_id)),
        moved=tuple(sorted(moved, key=_id)),
        changed=tuple(sorted(changed, key=_id)),
        columns=columns,
        classes=classes,
        deprecated=deprecated,
        counts=tuple(_counts(*counts)),
        unread=old.unread + new.unread,
    )


def _id(item: Place | Move | ImageChange) -> str:
    return item.image_id


def _artifacts_differ(change: ImageChange) -> bool:
    return bool(change.artifacts_added or change.artifacts_removed or change.artifacts_changed)


# One image


def compare_rows(image_id: str, before: Row, after: Row) -> ImageChange:
    """What differs between two rows of one image, as `diff_rows.rows` gives them."""
    old, new = _artifacts(before), _artifacts(after)
    sizes = [[_whole(row.get(side)) for row in (before, after)] for side in ("width", "height")]
    pairs = match(old, new, max(sizes[0]), max(sizes[1]))
    changes = [
        ArtifactChange(
            before=_note(old[i]),
            after=_note(new[j]),
            redrawn=old[i].get("polygons") != new[j].get("polygons"),
            iou=round(iou, 6),
            fields=tuple(_fields(old[i], new[j], skip={"polygons"})),
        )
        for i, j, iou in pairs
        if old[i] != new[j]
    ]
    paired_old, paired_new = {i for i, _, _ in pairs}, {j for _, j, _ in pairs}
    fields = list(_fields(_flat(before), _flat(after), skip={"artifacts", RATERS, "image_id"}))
    raters, unknown = compare_raters(before.get(RATERS), after.get(RATERS), max(sizes[0]), max(sizes[1]))
    fields += unknown
    order = [j for _, j, _ in pairs]
    if order != sorted(order):
        ids = [[_note(row).artifact_id for row in side] for side in (old, new)]
        fields.append(FieldChange("order of artifacts", ids[0], ids[1]))
    return ImageChange(
        image_id=image_id,
        file_name=_text(after.get("file_name")),
        fields=tuple(fields),
        artifacts_added=tuple(_note(row) for j, row in enumerate(new) if j not in paired_new),
        artifacts_removed=tuple(_note(row) for i, row in enumerate(old) if i not in paired_old),
        artifacts_changed=tuple(
            sorted(changes, key=lambda each: sorted(map(_key, (each.before, each.after))))
        ),
        raters=raters,
    )


def _key(note: ArtifactNote) -> tuple[str, ...]:
    return tuple(str(value) for value in msgspec.structs.astuple(note))


def _artifacts(row: Row) -> list[Row]:
    return [artifact for artifact in row.get("artifacts") or () if isinstance(artifact, dict)]


def _flat(row: Row) -> Row:
    """The row with the fields of `generation` as fields of their own."""
    nested = row.get("generation")
    rest = {name: value for name, value in row.items() if name != "generation"}
    return rest | {f"generation.{name}": value for name, value in (nested or {}).items()}


def _fields(before: Row, after: Row, skip: set[str]) -> Iterator[FieldChange]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if name in skip or old == new or (old != old and new != new):  # NaN is not equal to itself
            continue
        words: Words = ()
        if isinstance(old, str) and isinstance(new, str) and " " in old and " " in new:
            words = word_diff(old, new)
        yield FieldChange(name, old, new, words)


def _note(row: Row) -> ArtifactNote:
    return ArtifactNote(
        artifact_id=_text(row.get("artifact_id")),
        rater_id=_text(row.get("rater_id")),
        category=row.get("category"),
        subtype=row.get("subtype"),
        phrase=_text(row.get("phrase")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


# The whole release


def _count(row: SplitRow, counts: Counter[tuple[str, str]]) -> None:
    found = _artifacts(row.values)
    split = row.split or UNKNOWN
    counts["images by split", split] += 1
    counts["artifacts by split", split] += len(found)
    for name in ("status", "content_type"):
        if name in row.values:
            counts[f"images by {name.replace('_', ' ')}", row.values[name] or UNKNOWN] += 1
    for artifact in found:
        for name in ("category", "subtype"):
            if name in artifact:
                counts[f"artifacts by {name}", artifact[name] or UNKNOWN] += 1


_TABLES = (
    "images by split",
    "artifacts by split",
    "images by status",
    "images by content type",
    "artifacts by category",
    "artifacts by subtype",
)


def _counts(before: Mapping[tuple[str, str], int], after: Mapping[tuple[str, str], int]) -> Iterator[Count]:
    def place(key: tuple[str, str]) -> tuple[int, int, bool, str]:
        of, value = key
        split = SPLITS.index(value) if value in SPLITS else len(SPLITS)
        return _TABLES.index(of), split, value == UNKNOWN, value

    for of, value in sorted(before.keys() | after.keys(), key=place):
        yield Count(of, value, before.get((of, value), 0), after.get((of, value), 0))
