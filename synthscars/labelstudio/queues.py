"""The plan on the server: one project for each batch of each rater, with a task for each of its images.

Everything looks first what is there, so that it can be run as often as one likes, also after a kill.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from synthscars.labelstudio.assignment import (
    AssignedProject,
    Assignment,
    Batch,
    assigned_projects,
    note_projects,
    read_assignment,
    write_assignment,
)
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.project import Project, list_projects, put_project
from synthscars.labelstudio.push import add_tasks, remove_repeated
from synthscars.labelstudio.server import served_images
from synthscars.labelstudio.tasks import list_tasks
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace


class Fulfilled(msgspec.Struct, frozen=True, kw_only=True):
    """What had to be done so that the server has the plan."""

    projects: int
    projects_made: int = 0
    tasks: int
    tasks_made: int = 0
    removed: int = 0


def fulfil(
    client: Client,
    workspace: Workspace,
    plan: Assignment,
    problems: Problems,
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> Fulfilled:
    """Make the projects and tasks of a plan that the server lacks.

    advance: called with the number of tasks done. Images whose file is missing become problems. Call it with
    the workspace locked. Raises `PlatformError` if the server refuses.
    """
    entries = _queue_projects(client, workspace)
    records = {record.image_id: record for record in workspace.images()}
    made = sent = removed = 0
    moved = plan.served != str(served_images(workspace))
    for batch in plan.batches:
        entry = entries.get(batch.key)
        is_whole = entry is not None and int(entry["task_number"]) == len(batch.images)
        project = _put(client, workspace, batch, entry, storage=moved or not is_whole)
        note_projects(workspace, [_noted(batch, project)])
        if not is_whole:
            made += entry is None
            sent += _fill(client, project, workspace, batch, records, problems, is_new=entry is None)
            removed += remove_repeated(client, project)
        advance(len(batch.images))
    if moved:
        write_assignment(workspace, msgspec.structs.replace(plan, served=str(served_images(workspace))))
    return Fulfilled(
        projects=len(plan.batches),
        projects_made=made,
        tasks=sum(len(batch.images) for batch in plan.batches),
        tasks_made=sent,
        removed=removed,
    )


def refresh(client: Client, workspace: Workspace) -> None:
    """Bring interface, guideline and storage of all queues up to date, without making anything new."""
    plan = read_assignment(workspace)
    if not plan.batches:
        return
    served = str(served_images(workspace))
    entries = _queue_projects(client, workspace)
    for batch in plan.batches:
        if batch.key in entries:
            _put(client, workspace, batch, entries[batch.key], storage=plan.served != served)
    write_assignment(workspace, msgspec.structs.replace(plan, served=served))


def _fill(
    client: Client,
    project: Project,
    workspace: Workspace,
    batch: Batch,
    records: Mapping[str, ImageRecord],
    problems: Problems,
    *,
    is_new: bool,
) -> int:
    there = set() if is_new else {task.image_id for task in list_tasks(client, project)}
    waiting = [records[each] for each in batch.images if each not in there and each in records]
    return add_tasks(client, project, workspace, waiting, problems)


def _queue_projects(client: Client, workspace: Workspace) -> dict[tuple[str, str, str], dict[str, Any]]:
    """What the server says about our queues, by the key of their batch.

    They are found by our notes, else by their description. A second one of a batch, which a kill at a bad
    moment can leave, is taken away if it is empty.
    """
    noted = {each.id: (each.rater or "", each.kind, each.batch) for each in assigned_projects(workspace)}
    marks = {_mark(batch): batch.key for batch in read_assignment(workspace).batches}
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for entry in list_projects(client):
        key = noted.get(int(entry["id"])) or marks.get(str(entry.get("description")).rpartition(" ")[2])
        if key is not None and key[0]:
            found.setdefault(key, []).append(entry)
    for entries in found.values():
        entries.sort(key=lambda entry: (int(entry["id"]) not in noted, int(entry["id"])))
        for other in entries[1:]:
            if not int(other["task_number"]):
                client.delete(f"/api/projects/{int(other['id'])}/")
    return {key: entries[0] for key, entries in found.items()}


def _put(
    client: Client, workspace: Workspace, batch: Batch, entry: Mapping[str, Any] | None, *, storage: bool
) -> Project:
    # As its rater sees it; Label Studio wants 3 to 50 characters.
    title = f"{'' if batch.kind == 'queue' else 'again '}{batch.batch} {batch.rater}"[:50]
    description = f"synthscars: {batch.kind} {batch.batch} of {batch.rater} {_mark(batch)}"
    return put_project(client, workspace, entry, title=title, description=description, storage=storage)


def _mark(batch: Batch) -> str:
    """The end of a description: the server may clean up the rest of it, and people may rename titles."""
    return hashlib.sha256("\0".join(batch.key).encode()).hexdigest()[:16]


def _noted(batch: Batch, project: Project) -> AssignedProject:
    return AssignedProject(
        id=project.id, title=project.title, rater=batch.rater, batch=batch.batch, kind=batch.kind
    )
