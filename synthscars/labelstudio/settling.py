"""What adjudicators submitted becomes final when it is pulled, once: who decides otherwise later is heard.

`settled.json` in the workspace's `platform/` says of which answers that was done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from synthscars.files import atomic_file
from synthscars.labelstudio.adjudicate import put_marks
from synthscars.labelstudio.assignment import assigned_projects
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.project import Project, list_projects
from synthscars.labelstudio.review import KIND
from synthscars.labelstudio.tasks import Answer, list_answers, list_tasks, newest
from synthscars.problems import PlatformError
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
    noted = _read(workspace).answers
    projects, reviews = _projects(client, workspace)
    found: dict[int, str] = {}
    decided: dict[str, Answer] = {}
    for project in reviews:
        answered = {task.image_id for task in list_tasks(client, project) if task.answers}
        for answer in list_answers(client, project, answered):
            found[answer.id] = _digest(answer)
            if noted.get(answer.id) != found[answer.id]:
                decided[answer.image_id] = max(decided.get(answer.image_id, answer), answer, key=newest)
    if decided:
        _settle(client, projects, decided)
    if found != noted:
        _write(workspace, _Settled(found))
    return sum(not answer.final for answer in decided.values())


def overrule(client: Client, workspace: Workspace, image_id: str) -> None:
    """Somebody decided otherwise: what adjudicators have submitted about an image becomes final no more.

    Call it with the workspace locked. Raises as `settle`.
    """
    noted = _read(workspace).answers
    _, reviews = _projects(client, workspace)
    for project in reviews:
        noted |= {answer.id: _digest(answer) for answer in list_answers(client, project, [image_id])}
    _write(workspace, _Settled(noted))


def _projects(client: Client, workspace: Workspace) -> tuple[list[Project], list[Project]]:
    """All projects of the workspace that the server has, and those for adjudicators."""
    there = {int(entry["id"]) for entry in list_projects(client, include="id")}
    known = [each for each in assigned_projects(workspace) if each.id in there]
    found = {each.id: Project(id=each.id, title=each.title) for each in known}
    return list(found.values()), [found[each.id] for each in known if each.kind == KIND]


def _settle(client: Client, projects: Sequence[Project], decided: dict[str, Answer]) -> None:
    answers: dict[str, list[Answer]] = {}
    for project in projects:
        for answer in list_answers(client, project, decided):
            answers.setdefault(answer.image_id, []).append(answer)
    for image_id, final in decided.items():
        put_marks(client, answers.get(image_id, []), final)


def _digest(answer: Answer) -> str:
    # The mark is not part of it: `synthscars adjudicate` may take that away again.
    told = msgspec.json.encode([answer.skipped, answer.result], order="deterministic")
    return hashlib.sha256(told).hexdigest()[:12]


def _read(workspace: Workspace) -> _Settled:
    path = workspace.platform_dir / FILE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Settled)
    except FileNotFoundError:
        return _Settled()
    except (msgspec.DecodeError, OSError) as error:
        raise PlatformError(f"{path} cannot be read: {error}", fix="restore it from a backup") from error


def _write(workspace: Workspace, settled: _Settled) -> None:
    with atomic_file(workspace.platform_dir / FILE_NAME, private=True) as file:
        file.write(msgspec.json.encode(settled))
