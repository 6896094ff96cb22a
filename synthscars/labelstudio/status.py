"""What a workspace's Label Studio is doing, and how far each rater is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from synthscars.labelstudio.assignment import assigned_projects
from synthscars.labelstudio.client import connect
from synthscars.labelstudio.credentials import FILE_NAME, load_credentials
from synthscars.labelstudio.project import find_project, list_projects
from synthscars.labelstudio.server import LOG_NAME, find
from synthscars.labelstudio.service import find_companion
from synthscars.workspace import Workspace


class RaterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far one rater is in their own queues. answered: tasks with an answer, `skipped` among them."""

    rater: str
    projects: int
    tasks: int
    answered: int
    skipped: int


class PlatformStatus(msgspec.Struct, frozen=True, kw_only=True):
    """State of the server and of the workspace's projects.

    running: Label Studio; companion: the service before it. url: where people come to.
    project: the common one; projects: how many there are. tasks: in all of them. started: tasks with an
    answer. annotations, skipped: answers, by all people. These are unknown (`None`) unless the server runs,
    and never left out of the JSON. raters: those with a queue of their own.
    account: who runs it; secrets: the file with the passwords. people: every account's e-mail address.
    """

    running: bool
    companion: bool = False
    url: str = ""
    project_url: str = ""
    project: str = ""
    projects: int | None = None
    tasks: int | None = None
    started: int | None = None
    annotations: int | None = None
    skipped: int | None = None
    raters: tuple[RaterStatus, ...] = ()
    account: str = ""
    secrets: str = ""
    log: str = ""
    people: tuple[str, ...] = ()


def platform_status(workspace: Workspace) -> PlatformStatus:
    """Ask the workspace's server. Raises `PlatformError` if it runs but does not answer."""
    server, companion = find(workspace), find_companion(workspace)
    if server is None:
        return PlatformStatus(running=False, companion=companion is not None)
    url = companion.url if companion else server.url
    client = connect(workspace)
    project = find_project(client, workspace)
    owners = {each.id: each.rater for each in assigned_projects(workspace)}
    if project:
        owners[project.id] = None
    entries = {int(entry["id"]): entry for entry in list_projects(client) if int(entry["id"]) in owners}
    people = client.request("GET", "/api/users/")
    return PlatformStatus(
        running=True,
        companion=companion is not None,
        url=url,
        project_url=f"{url}/projects/{project.id}/data" if project else "",
        project=project.title if project else "",
        projects=len(entries),
        tasks=_sum(entries.values(), "task_number"),
        started=_sum(entries.values(), "num_tasks_with_annotations"),
        annotations=_sum(entries.values(), "total_annotations_number"),
        skipped=_sum(entries.values(), "skipped_annotations_number"),
        raters=_by_rater(entries, owners),
        account=load_credentials(workspace.platform_dir).owner.email,
        secrets=str(workspace.platform_dir / FILE_NAME),
        log=str(workspace.platform_dir / LOG_NAME),
        people=tuple(sorted(str(person["email"]) for person in people)),
    )


def _by_rater(
    entries: Mapping[int, Mapping[str, Any]], owners: Mapping[int, str | None]
) -> tuple[RaterStatus, ...]:
    found = []
    for rater in sorted({owner for owner in owners.values() if owner}):
        own = [entries[number] for number in sorted(entries) if owners[number] == rater]
        tasks, skipped = _sum(own, "task_number"), _sum(own, "skipped_annotations_number")
        answered = min(_sum(own, "num_tasks_with_annotations") + skipped, tasks)
        found.append(
            RaterStatus(rater=rater, projects=len(own), tasks=tasks, answered=answered, skipped=skipped)
        )
    return tuple(found)


def _sum(entries: Iterable[Mapping[str, Any]], field: str) -> int:
    return sum(int(entry.get(field) or 0) for entry in entries)
