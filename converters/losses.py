"""Counts what a format cannot hold while records are written, to be reported once per kind."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from synthscars.problems import Problems, Severity
from synthscars.records import ImageRecord

KEEP_RECORDS = "the format has no place for it: keep the records as well"


class _Loss(NamedTuple):
    field: str
    what: str
    severity: Severity
    fix: str


class Losses:
    """Counts by kind, with the first image of each; `report` makes one problem `loss.FIELD` of each."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file = file
        self._problems = problems
        self._counts: Counter[_Loss] = Counter()
        self._first: dict[_Loss, str] = {}

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
            named = f"{record.image_id} ({record.file_name})" if record.file_name else record.image_id
            self._first.setdefault(loss, named)

    def report(self) -> None:
        """Tell what was counted."""
        for loss, count in self._counts.items():
            self._problems.add(
                f"loss.{loss.field}",
                f"{count} {loss.what}; first: image {self._first[loss]}",
                fix=loss.fix,
                severity=loss.severity,
                file=self._file,
            )
