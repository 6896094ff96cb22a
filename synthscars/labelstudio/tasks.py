"""The tasks of a project and what was answered in them, as the server lists them: a page a request."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from synthscars.labelstudio.client import Client
from synthscars.labelstudio.project import Project

BATCH = 1000
"""Tasks per request."""

_NAMED = 50
"""Images per request that names them: 4 KB of address, and what comes back with all answers stays small."""

_TASK = "id,data,total_annotations,cancelled_annotations"
# The server applies the list to what is nested as well.
_ANSWER = "annotations,result,completed_by,was_cancelled,ground_truth,updated_at"


class Task(msgspec.Struct, frozen=True):
    """A task on the server. `answers`: annotations of any kind, also skips; drafts are not among them.

    data: what the interface shows, and whatever else was pushed with it.
    """

    id: int
    image_id: str
    answers: int
    data: dict[str, Any]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer on the server. rater_id: as in records. final: marked as ground truth.

    result: the items of Label Studio's JSON. updated_at: ISO 8601, by the server's clock.
    """

    id: int
    image_id: str
    rater_id: str
    updated_at: str
    final: bool
    skipped: bool
    result: list[dict[str, Any]]


def list_tasks(client: Client, project: Project, images: Collection[str] | None = None) -> Iterator[Task]:
    """Every task of the project that names an image. images: ids of the only ones that are wanted."""
    for entry, image_id in _entries(client, project, images, include=_TASK):
        answers = int(entry.get("total_annotations") or 0) + int(entry.get("cancelled_annotations") or 0)
        yield Task(int(entry["id"]), image_id, answers, entry["data"])


def list_answers(client: Client, project: Project, images: Collection[str]) -> Iterator[Answer]:
    """Every answer about these images (by id) in the project, also skips."""
    include = f"id,data,{_ANSWER}"
    for entry, image_id in _entries(client, project, images, include=include, fields="all"):
        for answer in entry["annotations"]:
            yield Answer(
                id=int(answer["id"]),
                image_id=image_id,
                rater_id=f"rater-{answer['completed_by']}",
                updated_at=str(answer["updated_at"]),
                final=answer["ground_truth"] is True,
                skipped=answer["was_cancelled"] is True,
                result=answer["result"],
            )


def newest(answer: Answer) -> tuple[str, int]:
    """The key by which the newest answer is the greatest."""
    return answer.updated_at, answer.id


def _entries(
    client: Client, project: Project, images: Collection[str] | None, **query: str
) -> Iterator[tuple[dict[str, Any], str]]:
    named = sorted(images or ())
    chosen = [{"query": _about(named[start : start + _NAMED])} for start in range(0, len(named), _NAMED)]
    for part in [{}] if images is None else chosen:
        for entry in client.pages("/api/tasks/", project=project.id, page_size=BATCH, **query, **part):
            data = entry["data"] if isinstance(entry.get("data"), dict) else {}
            image_id = data.get("image_id")
            if isinstance(image_id, str) and image_id:
                yield entry, image_id


def _about(images: list[str]) -> str:
    """The data manager's filter for the tasks of these images."""
    item = {"filter": "filter:tasks:data.image_id", "operator": "in_list", "type": "List", "value": images}
    return json.dumps({"filters": {"conjunction": "and", "items": [item]}})
