"""What adjudicators submitted becomes final when it is pulled, once: who decides otherwise later is heard.

`settled.json` in the workspace's `platform/` says of which answers that was done.
"""

from __future__ import annotations

import hashlib

import msgspec

from synthscars.labelstudio.adjudicate import answers_about, put_marks
from synthscars.labelstudio.assignment import assigned_projects, read_noted, write_noted
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.project import Project, list_projects
from synthscars.labelstudio.review import KIND
from synthscars.labelstudio.tasks import Answer, list_answers, list_tasks, newest
from synthscars.workspace import Workspace

FILE_NAME = "settled.json"


class _Settled(msgspec.Struct):
    """answers: digests of what answers in review projects said when they were settled, by their numbers."""

    answers: dict[int, str] = {}


def settle(client: Client, workspace: Workspace) -> int:
    """Make what adjudicators submitted since the last time final; returns about how many images.

    All other answers about the image lose the mark: the newest decision holds. To be called before a pull,
    with the workspace locked. Raises `PlatformError` if the server refuses, or `settled.json` cannot be read.
    """
    noted = _read(workspace)
    found: dict[int, str] = {}
    decided: dict[str, Answer] = {}
    for project in _reviews(client, workspace):
        answered = {task.image_id for task in list_tasks(client, project) if task.answers}
        for answer in list_answers(client, project, answered):
            found[answer.id] = _digest(answer)
            if noted.get(answer.id) != found[answer.id]:
                decided[answer.image_id] = max(decided.get(answer.image_id, answer), answer, key=newest)
    if decided:
        answers: dict[str, list[Answer]] = {}
        for answer in answers_about(client, workspace, decided):
            answers.setdefault(answer.image_id, []).append(answer)
        for image_id, final in decided.items():
            put_marks(client, answers.get(image_id, []), final)
    if found != noted:
        _write(workspace, found)
    return sum(not answer.final for answer in decided.values())


def overrule(client: Client, workspace: Workspace, image_id: str) -> None:
    """Somebody decided otherwise: what adjudicators have submitted about an image becomes final no more.

    Call it with the workspace locked. Raises as `settle`.
    """
    noted = _read(workspace)
    for project in _reviews(client, workspace):
        noted |= {answer.id: _digest(answer) for answer in list_answers(client, project, [image_id])}
    _write(workspace, noted)


def _reviews(client: Client, workspace: Workspace) -> list[Project]:
    there = {int(entry["id"]) for entry in list_projects(client, include="id")}
    return [
        Project(id=each.id, title=each.title)
        for each in assigned_projects(workspace)
        if each.kind == KIND and each.id in there
    ]


def _digest(answer: Answer) -> str:
    # The mark is not part of it: `synthscars adjudicate` may take that away again.
    told = msgspec.json.encode([answer.skipped, answer.result], order="deterministic")
    return hashlib.sha256(told).hexdigest()[:12]


def _read(workspace: Workspace) -> dict[int, str]:
    return read_noted(workspace.platform_dir / FILE_NAME, _Settled, _Settled()).answers


def _write(workspace: Workspace, answers: dict[int, str]) -> None:
    write_noted(workspace.platform_dir / FILE_NAME, _Settled(answers))
