"""What is checked: one image with its record, and where it came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from synthscars.problems import Problem, Severity
from synthscars.records import Artifact, ImageRecord
from synthscars.release.features import Row


class Item(NamedTuple):
    """One image to be checked.

    file: where its record is, relative to what is checked. load: gives its original bytes or the file that
    has them, `None` if they are not at hand; may be called from any thread. row: the row of a release that it
    came from, with the columns that no record has (`bbox`, `area`, `rater_list`); `None` if it is from
    elsewhere. regions: every rater's before they were merged, where they are known. annotated: false if its
    place asks for no annotations (`detection/`).
    """

    record: ImageRecord
    file: str
    load: Callable[[], bytes | Path | None]
    row: Row | None = None
    regions: tuple[Artifact, ...] = ()
    annotated: bool = True

    @property
    def released(self) -> bool:
        """Whether it is in a release, which promises more than other annotations do."""
        return self.row is not None

    def problem(
        self,
        code: str,
        what: str,
        fix: str,
        *,
        severity: Severity = "error",
        region: str = "",
        count: int = 1,
    ) -> Problem:
        """A problem of this image."""
        return Problem(
            code=code,
            what=what,
            fix=fix,
            severity=severity,
            file=self.file,
            image=self.record.image_id,
            region=region,
            count=count,
        )


def region_of(artifact: Artifact) -> str:
    """The name of an artifact in a problem."""
    return f"artifact {artifact.artifact_id}"
