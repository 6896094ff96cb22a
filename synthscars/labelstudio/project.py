"""Projects in Label Studio: their interface, their guideline, and the way to the images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from synthscars.converters.labelstudio_tasks import PROMPT
from synthscars.files import atomic_file
from synthscars.labelstudio.assignment import AssignedProject, assigned_projects, note_projects
from synthscars.labelstudio.client import Client, UncertainError
from synthscars.labelstudio.guideline import guideline_html
from synthscars.labelstudio.interface import label_config
from synthscars.labelstudio.server import served_images
from synthscars.labelstudio.webhooks import make_webhook, put_webhooks
from synthscars.problems import PlatformError
from synthscars.settings import PlatformSettings
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace

_STORAGE_TITLE = "images of the workspace"
FILE_NAME = "project.json"
# Label Studio takes an image out of the stream of tasks after so many answers.
_MANY = 1000
_PAGE = 100


class Project(msgspec.Struct, frozen=True):
    """A project that belongs to a workspace."""

    id: int
    title: str


def ensure_project(client: Client, workspace: Workspace) -> Project:
    """Find the workspace's common project, or make it; bring its interface, guideline and storage up to date.

    Raises `PlatformError` if the server refuses, for instance because existing answers use a label that the
    taxonomy no longer has.
    """
    found = find_project(client, workspace)
    entry = None if found is None else client.request("GET", f"/api/projects/{found.id}/")
    title = project_title(workspace)
    project = put_project(client, workspace, entry, title=title, description=f"synthscars: {workspace.name}")
    with atomic_file(workspace.platform_dir / FILE_NAME) as file:
        file.write(msgspec.json.encode(project))
    note_projects(workspace, [AssignedProject(id=project.id, title=project.title, kind="common")])
    return project


def put_project(
    client: Client,
    workspace: Workspace,
    entry: Mapping[str, Any] | None,
    *,
    title: str,
    description: str,
    storage: bool = True,
    config: str = "",
) -> Project:
    """Make a project, or bring one up to date: interface, guideline, storage. Every project is made here.

    A new one tells the companion about answers, if that runs; `up` looks after the webhooks of all.

    entry: what the server says about it, `None` if there is none yet. title: of a new one, 3 to 50
    characters. description: of a new one, by which it is found again. storage: whether the way to the images
    is looked after, which takes a request. config: another labelling interface. Raises `PlatformError` if the
    server refuses.
    """
    wanted = _settings(workspace.settings.platform)
    if config:
        wanted = {**wanted, "label_config": config}
    if entry is None:
        project = _make(client, title, description, wanted)
    else:
        project = Project(id=int(entry["id"]), title=str(entry["title"]))
        _refuse_late_prompts(entry, str(wanted["label_config"]))
        changed = {key: value for key, value in wanted.items() if entry.get(key) != value}
        if changed:
            client.call(lambda: client.sdk.projects.update(id=project.id, **changed))
    if storage or entry is None:
        _ensure_storage(client, workspace, project)
    if entry is None:
        make_webhook(client, workspace, project.id)
    return project


def refresh_webhooks(client: Client, workspace: Workspace) -> None:
    """Bring the webhooks of all projects of the workspace up to date. The companion has to run."""
    noted = noted_project(workspace)
    known = {each.id for each in assigned_projects(workspace)} | ({noted.id} if noted else set())
    there = (int(entry["id"]) for entry in list_projects(client, include="id"))
    put_webhooks(client, workspace, [each for each in there if each in known])


def _refuse_late_prompts(entry: Mapping[str, Any], config: str) -> None:
    # Label Studio would only say that a column is missing.
    mark = f"${PROMPT}"
    tasks = int(entry.get("task_number") or 0)
    if tasks and mark in config and mark not in str(entry.get("label_config")):
        raise PlatformError(
            f"prompts cannot be shown: the {tasks} tasks of {entry.get('title')} were pushed without them",
            fix="set show_prompt = false again under [platform]; prompts can be shown from the first push on",
        )


def list_projects(client: Client, include: str = "") -> list[dict[str, Any]]:
    """What the server says about every project it has; `include`: only these fields, with commas."""
    query = {"include": include} if include else {}
    return list(client.pages("/api/projects/", page_size=_PAGE, **query))


@cache
def _settings(platform: PlatformSettings) -> dict[str, Any]:
    taxonomy = load_taxonomy()
    return {
        "label_config": label_config(taxonomy, platform),
        "expert_instruction": guideline_html(taxonomy),
        "show_instruction": True,
        "show_skip_button": True,
        "enable_empty_annotation": True,
        "show_collab_predictions": True,
        "maximum_annotations": _MANY,
    }


def _make(client: Client, title: str, description: str, wanted: dict[str, Any]) -> Project:
    for _ in range(client.patience.tries):
        try:
            made = client.call(
                lambda: client.sdk.projects.create(title=title, description=description, **wanted),
                repeatable=False,
            )
            return Project(id=int(made.id or 0), title=title)
        except UncertainError:
            same = [entry for entry in list_projects(client) if entry.get("description") == description]
            if same:
                first = min(same, key=lambda entry: int(entry["id"]))
                return Project(id=int(first["id"]), title=str(first["title"]))
    raise PlatformError(
        f"Label Studio does not make the project {title!r}", fix="see platform/server.log, and try again"
    )


def find_project(client: Client, workspace: Workspace) -> Project | None:
    """The workspace's common project by the id in our notes, else by its title; `None` if there is none."""
    title = project_title(workspace)
    listed = list_projects(client, include="id,title")
    known = {int(project["id"]): str(project["title"]) for project in listed}
    noted = noted_project(workspace)
    if noted is not None and noted.id in known:
        return Project(id=noted.id, title=known[noted.id])
    # Killed between making the project and noting it down: the title still finds it.
    same = [number for number, name in known.items() if name == title]
    return Project(id=min(same), title=title) if same else None


def noted_project(workspace: Workspace) -> Project | None:
    """The common project as our notes name it, without asking the server; `None` if they do not."""
    try:
        return msgspec.json.decode((workspace.platform_dir / FILE_NAME).read_bytes(), type=Project)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def project_title(workspace: Workspace) -> str:
    """The project's title; Label Studio wants 3 to 50 characters."""
    title = workspace.settings.platform.title or workspace.name
    return title[:50] if len(title.strip()) >= 3 else f"synthscars {title}".strip()[:50]


def _ensure_storage(client: Client, workspace: Workspace, project: Project) -> None:
    # Never synchronised, which would make second tasks: it only lets the server hand the images out.
    path = str(served_images(workspace))
    storages = client.sdk.import_storage.local
    ours = [
        storage
        for storage in client.call(lambda: storages.list(project=project.id))
        if storage.title == _STORAGE_TITLE
    ]
    if not ours:
        # A second one, made by a try that only seemed to fail, does no harm: both let out the same images.
        new = {"title": _STORAGE_TITLE, "path": path, "use_blob_urls": True, "synchronizable": False}
        client.call(lambda: storages.create(project=project.id, **new))
    elif ours[0].path != path:
        client.call(lambda: storages.update(id=int(ours[0].id), path=path))
