"""A mark tells whether anything has changed in a project. That the server and its export give the same one is
tried on a real server, in `test_platform_queues`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synthscars.labelstudio.marks import mark_of_export


def task(number: int, *cancelled: bool, when: str = "2026-03-01T10:00:00.000001Z") -> dict[str, Any]:
    answers = [{"id": place, "was_cancelled": each, "result": []} for place, each in enumerate(cancelled)]
    return {"id": number, "updated_at": when, "annotations": answers, "predictions": [7], "data": {}}


def mark(folder: Path, *tasks: Any) -> str:
    (folder / "export.json").write_text(json.dumps(tasks))
    return mark_of_export(folder / "export.json")


def test_counts_are_those_that_the_server_tells(tmp_path: Path) -> None:
    found = mark(tmp_path, task(1, False, True), task(2, False))
    # It counts no answer that was cancelled, which is how skipping is kept.
    assert json.loads(found)[1] == {"total": 2, "total_annotations": 2, "total_predictions": 2}


def test_the_order_does_not_matter(tmp_path: Path) -> None:
    assert mark(tmp_path, task(1), task(2, False)) == mark(tmp_path, task(2, False), task(1))


@pytest.mark.parametrize(
    "others",
    [
        [task(1, False)],
        [task(1, False), task(3)],
        [task(1, False), task(2, False)],
        [task(1), task(2)],
        [task(1, True), task(2)],
        [task(1, False, when="2026-03-01T09:00:00.000001Z"), task(2)],
        [task(1, False), {**task(2), "predictions": []}],
    ],
    ids=["task-gone", "other-task", "answered", "answer-gone", "skipped", "changed", "prediction-gone"],
)
def test_what_has_changed_has_another_mark(tmp_path: Path, others: list[Any]) -> None:
    assert mark(tmp_path, task(1, False), task(2)) != mark(tmp_path, *others)


@pytest.mark.parametrize("bad", [5, {"id": 1}, {**task(1), "id": "one"}, {**task(1), "annotations": None}])
def test_what_cannot_be_told_has_no_mark(tmp_path: Path, bad: Any) -> None:
    assert mark(tmp_path, task(2), bad) == ""
