"""What is told of earlier answers when two exports are compared."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelstudio_tasks import answered_records, exported, spoil

from synthscars.labelstudio.changes import report_changes
from synthscars.problems import FormatError, Problem, Problems
from synthscars.records import ImageRecord


def compare(before: list[Any], after: list[Any], folder: Path) -> list[Problem]:
    for name, tasks in (("old", before), ("new", after)):
        (folder / f"{name}.json").write_text(json.dumps(tasks))
    problems = Problems()
    report_changes(folder / "old.json", folder / "new.json", problems)
    return list(problems)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changes")


@given(st.lists(answered_records(), max_size=3), st.data())
def test_every_edit_and_deletion_is_told_once_and_nothing_else(
    folder: Path, records: list[ImageRecord], data: st.DataObject
) -> None:
    before = [exported(record, number) for number, record in enumerate(records, start=1)]
    after = copy.deepcopy(before)
    expected: dict[str, tuple[str, str]] = {}
    for task in list(after):
        gone = data.draw(st.integers(0, 4)) == 0
        if gone:
            after.remove(task)
        for answer in list(task["annotations"]):
            where = f"task {task['id']}, annotation {answer['id']}"
            fate = "lost" if gone else data.draw(st.sampled_from(["kept", "marked", "own", "other", "lost"]))
            if fate == "lost":
                task["annotations"].remove(answer)
                expected[where] = ("answer.deleted", "warning")
            elif fate == "marked":
                answer |= {"ground_truth": True, "updated_at": "2027-01-01T00:00:00Z"}
            elif fate != "kept":
                answer["result"] = [*answer["result"], {"id": "new", "type": "choices"}]
                answer["updated_by"] = answer["completed_by"] if fate == "own" else -1
                expected[where] = ("answer.edited", "info" if fate == "own" else "warning")
    told = compare(before, after, folder)
    assert {problem.file: (problem.code, problem.severity) for problem in told} == expected
    assert len(told) == len(expected)
    assert all("old.json" in problem.fix for problem in told)


@given(answered_records(), st.data())
def test_nonsense_in_an_export_raises_nothing(folder: Path, record: ImageRecord, data: st.DataObject) -> None:
    before = [exported(record)]
    after = copy.deepcopy(before)
    spoil(data, after[0])
    compare(before, after, folder)
    compare(after, before, folder)


def test_what_is_no_export_is_an_error(folder: Path) -> None:
    (folder / "page.json").write_text("<html>")
    (folder / "list.json").write_text("[]")
    with pytest.raises(FormatError, match=r"page\.json"):
        report_changes(folder / "page.json", folder / "list.json", Problems())
