"""Counts what a format cannot hold while records are written, to be reported once per kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from synthscars.problems import Problem, Problems, Severity, UsageError
from synthscars.records import ImageRecord

KEEP_RECORDS = "the format has no place for it: keep the records as well"
EXAMPLES = 3
OTHER_FIELDS = frozenset({"image", "record", "text", "artifact.rings", "artifact.grounding", "prediction"})
"""What can be lost besides fields of a record: image files, characters, that rings are of one artifact, that
an artifact is shown to a model."""


class _Loss(NamedTuple):
    field: str
    what: str
    severity: Severity
    fix: str


class Losses:
    """Counts by kind, with the first images of each; `report` makes one problem `loss.FIELD` of each.

    Severities: `info` for what the format never holds, as its `Holds` says; `warning` for images and regions
    that are left out; `error` for what nobody could expect.
    """

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._counts: Counter[_Loss] = Counter()
        self._examples: dict[_Loss, list[ImageRecord]] = {}

    def count(
        self,
        field: str,
        what: str,
        record: ImageRecord,
        times: int = 1,
        *,
        severity: Severity = "info",
        fix: str = KEEP_RECORDS,
    ) -> None:
        """Add `times` losses of one kind; `what` goes on from their number ("3 captions")."""
        if times:
            loss = _Loss(field, what, severity, fix)
            self._counts[loss] += times
            examples = self._examples.setdefault(loss, [])
            if len(examples) < EXAMPLES and (not examples or examples[-1].image_id != record.image_id):
                examples.append(record)

    def report(self) -> None:
        """Tell what was counted."""
        for loss, count in self._counts.items():
            examples = self._examples[loss]
            named = ", ".join((record.file_name or record.image_id)[:100] for record in examples)
            self._problems.add(
                f"loss.{loss.field}",
                f"{count} {loss.what}; for instance {named}",
                fix=loss.fix,
                severity=loss.severity,
                file=self._file,
                image=examples[0].image_id,
                count=count,
            )


def check_fields(fields: Iterable[str]) -> None:
    """Raise `UsageError` if one of these is no field that can be lost."""
    from synthscars.converters.holds import ARTIFACT_FIELDS, IMAGE_FIELDS

    names = {*IMAGE_FIELDS, *(f"artifact.{name}" for name in ARTIFACT_FIELDS), *OTHER_FIELDS}
    if unknown := set(fields) - names:
        raise UsageError(
            f"nothing named {', '.join(sorted(unknown))} can be lost",
            fix=f"fields: {', '.join(sorted(names))}",
        )


def unexpected(problems: Problems, expected: Iterable[str]) -> Problems:
    """The same problems, with every loss an error unless its field is among those `expected`."""
    fields = set(expected)

    def judged(problem: Problem) -> Problem:
        if not problem.code.startswith("loss."):
            return problem
        is_expected = problem.code.removeprefix("loss.") in fields
        return msgspec.structs.replace(problem, severity="info" if is_expected else "error")

    return Problems(map(judged, problems))
