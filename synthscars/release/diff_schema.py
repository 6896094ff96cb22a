"""What changed of columns and classes, what was announced, and which version all changes ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from synthscars.problems import Problems
from synthscars.release.diff_model import Announced, ClassesChange, ColumnChange, ImageChange, Move, Place
from synthscars.release.diff_rows import Side
from synthscars.release.diff_version import Bump, Part
from synthscars.release.manifest import version_key


def column_changes(old: Side, new: Side) -> Iterator[ColumnChange]:
    """Columns that are new, gone or of another type, sorted by their path."""
    for path in sorted(old.columns.keys() | new.columns.keys()):
        kinds = [side.columns.get(path, "") for side in (old, new)]
        parent = path.rpartition(".")[0]
        of_parent = [side.columns.get(parent, "") for side in (old, new)]
        # A struct that is new as a whole is one change, not one for each column in it.
        if kinds[0] != kinds[1] and of_parent[0] == of_parent[1]:
            yield ColumnChange(path, *kinds)


def class_changes(old: Side, new: Side) -> Iterator[ClassesChange]:
    """Vocabularies with other names or another order, and the version of the taxonomy."""
    if old.taxonomy != new.taxonomy and old.taxonomy and new.taxonomy:
        yield ClassesChange("taxonomy", (old.taxonomy,), (new.taxonomy,))
    for column in sorted(old.classes.keys() & new.classes.keys()):
        if old.classes[column] != new.classes[column]:
            yield ClassesChange(column, old.classes[column], new.classes[column])


def newly_announced(old: Side, new: Side) -> Iterator[Announced]:
    """What only the newer release announces to go away."""
    for name, instead in sorted(new.deprecated.items()):
        if name not in old.deprecated:
            yield Announced(name, instead)


def say_unannounced(
    old: Side, columns: Sequence[ColumnChange], classes: Sequence[ClassesChange], problems: Problems
) -> None:
    """Report (`schema.not_deprecated`) every column and class that is gone and that the older release did not
    announce. Nothing is said of releases without a version, or below 1.0.0: they promise nothing."""
    if not old.version or version_key(old.version) < (1, 0, 0):
        return
    gone = {
        **{each.column: "column" for each in columns if not each.after and not _announced(each.column, old)},
        **{name: "class" for name in _gone_classes(classes) if name not in old.deprecated},
    }
    for name, kind in gone.items():
        problems.add(
            "schema.not_deprecated",
            f"the {kind} {name} is gone, and {old.version} does not announce that it will be",
            severity="warning",
            file=f"release {old.version}",
            region=name,
            fix="keep it; announce it as deprecated in a minor version, leave it out in the next major one",
        )


def _announced(column: str, old: Side) -> bool:
    """Whether a column, or one that it is a part of, was announced to go away."""
    parts = column.split(".")
    return any(".".join(parts[:length]) in old.deprecated for length in range(1, len(parts) + 1))


def _gone_classes(classes: Sequence[ClassesChange]) -> Iterator[str]:
    """`subtype:deformed`, once, also where several columns have the vocabulary."""
    found = {
        f"{change.column.rpartition('.')[2]}:{name}": None
        for change in classes
        if change.column != "taxonomy"
        for name in change.before
        if name not in change.after
    }
    yield from found


def asked(
    added: Sequence[Place],
    removed: Sequence[Place],
    moved: Sequence[Move],
    changed: Sequence[ImageChange],
    columns: Sequence[ColumnChange],
    classes: Sequence[ClassesChange],
    deprecated: Sequence[Announced],
) -> dict[Part, list[str]]:
    """What asks for each part of a version, in words."""
    new_columns = [change.column for change in columns if not change.before]
    other_columns = [change.column for change in columns if change.before]
    major = [f"other classes: {change.column}" for change in classes if change.column != "taxonomy"]
    if any(change.column == "taxonomy" for change in classes):
        major.append("another version of the taxonomy")
    major += [f"column gone or of another type: {name}" for name in other_columns]
    minor = [f"new column: {name}" for name in new_columns]
    minor += [f"newly deprecated: {each.name}" for each in deprecated]
    for images, what in ((added, "added"), (removed, "removed"), (moved, "moved between splits")):
        if images:
            minor.append(f"images {what}: {len(images):,}")
    patch = [f"images corrected: {len(changed):,}"] if changed else []
    return {"major": major, "minor": minor, "patch": patch}


def check_version(before: str, after: str, bump: Bump, problems: Problems) -> None:
    """Report (`version.too_low`) a newer release whose version is too low for what changed."""
    if bump.honoured is False:
        problems.add(
            "version.too_low",
            f"{after} is too low after {before}: what changed asks for {bump.lowest} or higher "
            f"({'; '.join(bump.reasons[:3]) or 'name the older release first'})",
            file=f"release {after}",
            fix=f"build it as {bump.lowest}, or give the older release first if it was the other way round",
        )
