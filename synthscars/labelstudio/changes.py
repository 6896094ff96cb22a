"""What became of earlier answers between two exports: edits and deletions on the server.

In Label Studio's community edition everybody may change or delete everybody's answers, and it keeps no
history. The exports do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from synthscars.converters.json_list import open_plain, read_blocks, split_block
from synthscars.converters.reading import decode_json
from synthscars.problems import FormatError, Problems

_decode = msgspec.json.Decoder(list[Any]).decode


class _Answer(NamedTuple):
    task: int
    image: str
    rater: str
    content: bytes
    changed_by: str


def report_changes(older: Path, newer: Path, problems: Problems) -> None:
    """Tell which answers of an export are not in a newer one as they were.

    `answer.edited`: its regions, texts or choices differ, or it was skipped in between; a note if its own
    rater did it, else a warning. `answer.deleted`: it is gone, or its task is. Marks as ground truth are no
    edits. Raises `FormatError` if a file is no export.
    """
    before, _ = _read(older)
    after, tasks = _read(newer)
    kept = f"the earlier answer stays in exports/{older.name}"
    for number, answer in before.items():
        where = f"task {answer.task}, annotation {number}"
        now = after.get(number)
        if now is None:
            with_task = "" if answer.task in tasks else ", with its task"
            problems.add(
                "answer.deleted",
                f"the answer of {answer.rater} was deleted on the server{with_task}",
                severity="warning",
                file=where,
                image=answer.image,
                fix=kept,
            )
        elif now.content != answer.content:
            own = now.changed_by in ("", answer.rater)
            by = "" if own else f" by {now.changed_by}"
            problems.add(
                "answer.edited",
                f"the answer of {answer.rater} was changed{by}",
                severity="info" if own else "warning",
                file=where,
                image=answer.image,
                fix=kept,
            )


def _read(export: Path) -> tuple[dict[int, _Answer], set[int]]:
    """The answers of an export by the number of their annotation, and the numbers of all its tasks."""
    answers: dict[int, _Answer] = {}
    tasks: set[int] = set()
    for task in _items(export):
        number = task["id"] if isinstance(task.get("id"), int) else 0
        tasks.add(number)
        data, listed = task.get("data"), task.get("annotations")
        image = str(data.get("image_id") or "") if isinstance(data, dict) else ""
        for one in listed if isinstance(listed, list) else []:
            if isinstance(one, dict) and isinstance(one.get("id"), int):
                said = json.dumps([one.get("result"), one.get("was_cancelled") is True])
                content = hashlib.sha256(said.encode()).digest()[:16]
                who, by = _person(one.get("completed_by")), _person(one.get("updated_by"))
                answers[one["id"]] = _Answer(number, image, who or "somebody", content, by)
    return answers, tasks


def _items(export: Path) -> Iterator[dict[str, Any]]:
    """The tasks of an export that are objects; what is not is told when the export is read into records."""
    with open_plain(export) as file:
        for block in read_blocks(file, export.name, _decode):
            if block.decoded is not None:
                found = block.decoded
            else:
                found = [_item(item.content, export.name) for item in split_block(block)]
            yield from (task for task in found if isinstance(task, dict))


def _item(content: bytes, name: str) -> Any:
    try:
        return decode_json(content, name)
    except FormatError:
        return None


def _person(who: Any) -> str:
    number = who.get("id") if isinstance(who, dict) else who
    return f"rater-{number}" if isinstance(number, int) else ""
