"""The workspace's project in Label Studio: its interface, its guideline, and the way to the images."""

from __future__ import annotations

from typing import Any

import msgspec

from synthscars.files import atomic_file
from synthscars.labelstudio.client import Client, translated
from synthscars.labelstudio.interface import guideline_html, label_config
from synthscars.labelstudio.server import served_images
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace

_STORAGE_TITLE = "images of the workspace"
_FILE_NAME = "project.json"
# Label Studio takes an image out of the stream of tasks after so many answers.
_MANY = 1000
_PAGE = 100


class Project(msgspec.Struct, frozen=True):
    """The project that belongs to a workspace."""

    id: int
    title: str


def ensure_project(client: Client, workspace: Workspace) -> Project:
    """Find the workspace's project, or make it; bring its interface, guideline and storage up to date.

    Raises `PlatformError` if the server refuses, for instance because existing answers use a label that the
    taxonomy no longer has.
    """
    taxonomy = load_taxonomy()
    title = project_title(workspace)
    wanted: dict[str, Any] = {
        "label_config": label_config(taxonomy, workspace.settings.platform),
        "expert_instruction": guideline_html(taxonomy),
        "show_instruction": True,
        "show_skip_button": True,
        "enable_empty_annotation": True,
        "show_collab_predictions": True,
        "maximum_annotations": _MANY,
    }
    project = find_project(client, workspace)
    with translated():
        if project is None:
            description = f"synthscars: {workspace.name}"
            made = client.sdk.projects.create(title=title, description=description, **wanted)
            project = Project(id=int(made.id or 0), title=title)
        else:
            _update(client, project, wanted)
        with atomic_file(workspace.platform_dir / _FILE_NAME) as file:
            file.write(msgspec.json.encode(project))
        _ensure_storage(client, workspace, project)
    return project


def find_project(client: Client, workspace: Workspace) -> Project | None:
    """The workspace's project by the id in our notes, else by its title; `None` if there is none."""
    title = project_title(workspace)
    listed = client.pages("/api/projects/", page_size=_PAGE)
    known = {int(project["id"]): str(project["title"]) for project in listed}
    try:
        noted = msgspec.json.decode((workspace.platform_dir / _FILE_NAME).read_bytes(), type=Project)
    except (FileNotFoundError, msgspec.DecodeError):
        noted = None
    if noted is not None and noted.id in known:
        return Project(id=noted.id, title=known[noted.id])
    # Killed between making the project and noting it down: the title still finds it.
    same = [number for number, name in known.items() if name == title]
    return Project(id=min(same), title=title) if same else None


def project_title(workspace: Workspace) -> str:
    """The project's title; Label Studio wants 3 to 50 characters."""
    title = workspace.settings.platform.title or workspace.name
    return title[:50] if len(title.strip()) >= 3 else f"synthscars {title}".strip()[:50]


def _update(client: Client, project: Project, wanted: dict[str, Any]) -> None:
    current = client.request("GET", f"/api/projects/{project.id}/")
    changed = {key: value for key, value in wanted.items() if current.get(key) != value}
    if changed:
        client.sdk.projects.update(id=project.id, **changed)


def _ensure_storage(client: Client, workspace: Workspace, project: Project) -> None:
    # Never synchronised, which would make second tasks: it only lets the server hand the images out.
    path = str(served_images(workspace))
    for storage in client.sdk.import_storage.local.list(project=project.id):
        if storage.title == _STORAGE_TITLE:
            if storage.path != path:
                client.sdk.import_storage.local.update(id=int(storage.id), path=path)
            return
    client.sdk.import_storage.local.create(
        project=project.id, title=_STORAGE_TITLE, path=path, use_blob_urls=True, synchronizable=False
    )
