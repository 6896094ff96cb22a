"""What differs between two releases, as data: `msgspec.to_builtins` makes the JSON of it."""

from __future__ import annotations

from typing import Any

import msgspec

from synthscars.release.diff_match import Words
from synthscars.release.diff_version import Bump
from synthscars.release.features import Row

UNKNOWN = "unknown"
"""Stands for a value that is not known, in counts and texts."""


class ReleaseSide(msgspec.Struct, frozen=True):
    """One of the two releases. name: what it was called by whoever asked. version: `""` if not known."""

    name: str
    version: str
    images: int
    artifacts: int


class Place(msgspec.Struct, frozen=True):
    """An image that only one release has, and its split there."""

    image_id: str
    file_name: str
    split: str


class Move(msgspec.Struct, frozen=True):
    """An image that is in another split."""

    image_id: str
    file_name: str
    before: str
    after: str


class FieldChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A field with another value. words: of texts of several words, what was taken out and put in (see
    `word_diff`)."""

    field: str
    before: Any
    after: Any
    words: Words = ()


class ArtifactNote(msgspec.Struct, frozen=True):
    """Enough of an artifact to find it again."""

    artifact_id: str
    rater_id: str
    category: str | None
    subtype: str | None
    phrase: str


class ArtifactChange(msgspec.Struct, frozen=True):
    """An artifact that both releases have, not the same.

    redrawn: whether the polygons differ. iou: mask IoU of old and new geometry, 0 to 1. fields: all others.
    """

    before: ArtifactNote
    after: ArtifactNote
    redrawn: bool
    iou: float
    fields: tuple[FieldChange, ...]


class RaterChange(msgspec.Struct, frozen=True):
    """What changed of the regions that one rater drew, before raters were merged, as numbers of regions.

    redrawn: with another outline, whatever else changed; corrected: with other texts or labels alone.
    """

    rater_id: str
    added: int
    removed: int
    redrawn: int
    corrected: int


class ImageChange(msgspec.Struct, frozen=True):
    """An image that both releases have, with something else in its row. file_name: of the newer one.

    raters: of `rater_artifacts`, those whose regions changed, in the order of their ids.
    """

    image_id: str
    file_name: str
    fields: tuple[FieldChange, ...]
    artifacts_added: tuple[ArtifactNote, ...]
    artifacts_removed: tuple[ArtifactNote, ...]
    artifacts_changed: tuple[ArtifactChange, ...]
    raters: tuple[RaterChange, ...] = ()


class ColumnChange(msgspec.Struct, frozen=True):
    """A column that is new (`before` is `""`), gone (`after` is `""`) or of another type."""

    column: str
    before: str
    after: str


class ClassesChange(msgspec.Struct, frozen=True):
    """A closed vocabulary with other names or another order; `taxonomy` has the versions as names."""

    column: str
    before: tuple[str, ...]
    after: tuple[str, ...]


class Announced(msgspec.Struct, frozen=True):
    """A column (`artifacts.votes`) or class (`subtype:deformed`) that the newer release announces to go away
    in the next major version, and the older one did not. instead: what to use."""

    name: str
    instead: str


class Count(msgspec.Struct, frozen=True):
    """How many images or artifacts have a value. of: what is counted, and by which field."""

    of: str
    value: str
    before: int
    after: int


class ReleaseDiff(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that differs between two releases; lists are sorted by image id.

    unread: files of either that could not be read, whose rows count as not there.
    """

    before: ReleaseSide
    after: ReleaseSide
    bump: Bump
    added: tuple[Place, ...]
    removed: tuple[Place, ...]
    moved: tuple[Move, ...]
    changed: tuple[ImageChange, ...]
    columns: tuple[ColumnChange, ...]
    classes: tuple[ClassesChange, ...]
    deprecated: tuple[Announced, ...]
    counts: tuple[Count, ...]
    unread: int = 0

    @property
    def empty(self) -> bool:
        """Whether the releases hold the same."""
        found = (self.added, self.removed, self.moved, self.changed)
        return not any((*found, self.columns, self.classes, self.deprecated))


class Example(msgspec.Struct, frozen=True):
    """A changed image with both of its rows, to be shown."""

    change: ImageChange
    before: Row
    after: Row
