"""By what it is seen that nothing has changed in a project: which tasks it has, when each was changed last,
and how many answers and predictions there are.

The same mark can be asked of the server and read from an export, so about what has just been fetched nobody
need be asked. Times are only compared with what they were, never with each other or with now: clocks jump.
Drafts do not show in a mark.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from synthscars.converters.json_list import read_blocks
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.project import Project

_PAGE = 1000
_COUNTS = ("total", "total_annotations", "total_predictions")
_Times = list[tuple[int, str | None]]


def mark_on_server(client: Client, project: Project) -> str:
    """The mark of a project as it is now; empty if that cannot be told. Raises `PlatformError`."""
    query = {"project": project.id, "page_size": _PAGE, "include": "id,updated_at"}
    times: _Times = []
    counts: list[Any] = []
    page, total = 1, 0
    while page == 1 or (page - 1) * _PAGE < total:
        answer = client.request("GET", "/api/tasks/", params={**query, "page": page})
        if not isinstance(answer, dict) or not isinstance(answer.get("tasks"), list):
            return ""
        counts = [answer.get(name) for name in _COUNTS]
        total = int(answer.get("total") or 0)
        times += [(task.get("id"), task.get("updated_at")) for task in answer["tasks"]]
        page += 1
    return _mark(times, counts)


class _Answer(msgspec.Struct):
    was_cancelled: bool


class _Task(msgspec.Struct):
    id: int
    updated_at: str
    annotations: list[_Answer]
    predictions: list[msgspec.Raw]


_decode = msgspec.json.Decoder(list[_Task]).decode


def mark_of_export(export: Path) -> str:
    """The mark of a project when it was exported; empty if that cannot be told.

    The server reads each task before its answers, and changes it after them. What is answered while it
    exports is therefore in the export, or changes the mark, or both.
    """
    times: _Times = []
    answers = predictions = 0
    with export.open("rb") as file:
        for block in read_blocks(file, export.name, _decode):
            if block.decoded is None:
                return ""
            for task in block.decoded:
                times.append((task.id, task.updated_at))
                answers += sum(not answer.was_cancelled for answer in task.annotations)
                predictions += len(task.predictions)
    return _mark(times, [len(times), answers, predictions])


def _mark(times: Iterable[tuple[int, str | None]], counts: list[Any]) -> str:
    seen = hashlib.sha256()
    for number, when in sorted(times, key=lambda each: each[0]):
        seen.update(f"{number} {when}\n".encode())
    return json.dumps([seen.hexdigest(), dict(zip(_COUNTS, counts, strict=True))])
