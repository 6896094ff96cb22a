"""What a workspace's Label Studio is doing."""

from __future__ import annotations

import msgspec

from synthscars.labelstudio.client import connect
from synthscars.labelstudio.credentials import FILE_NAME, load_credentials
from synthscars.labelstudio.project import find_project
from synthscars.labelstudio.server import LOG_NAME, find
from synthscars.workspace import Workspace


class PlatformStatus(msgspec.Struct, frozen=True, kw_only=True):
    """State of the server and of the project.

    tasks: images sent. started: tasks with an answer. annotations, skipped: answers, by all people.
    These are unknown (`None`) unless the server runs, and never left out of the JSON.
    account: who runs it; secrets: the file with the passwords. people: every account's e-mail address.
    """

    running: bool
    url: str = ""
    project_url: str = ""
    project: str = ""
    tasks: int | None = None
    started: int | None = None
    annotations: int | None = None
    skipped: int | None = None
    account: str = ""
    secrets: str = ""
    log: str = ""
    people: tuple[str, ...] = ()


def platform_status(workspace: Workspace) -> PlatformStatus:
    """Ask the workspace's server. Raises `PlatformError` if it runs but does not answer."""
    server = find(workspace)
    if server is None:
        return PlatformStatus(running=False)
    client = connect(workspace)
    project = find_project(client, workspace)
    known = client.request("GET", f"/api/projects/{project.id}/") if project else {}
    people = client.request("GET", "/api/users/")
    return PlatformStatus(
        running=True,
        url=server.url,
        project_url=f"{server.url}/projects/{project.id}/data" if project else "",
        project=project.title if project else "",
        tasks=known.get("task_number", 0),
        started=known.get("num_tasks_with_annotations", 0),
        annotations=known.get("total_annotations_number", 0),
        skipped=known.get("skipped_annotations_number", 0),
        account=load_credentials(workspace.platform_dir).owner.email,
        secrets=str(workspace.platform_dir / FILE_NAME),
        log=str(workspace.platform_dir / LOG_NAME),
        people=tuple(sorted(str(person["email"]) for person in people)),
    )
