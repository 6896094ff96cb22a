"""Two annotators with queues of their own, an adjudicator and a manager, on a running Label Studio."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from synthscars.labelstudio.client import Client, connect
from synthscars.labelstudio.people import Person, add_person
from synthscars.labelstudio.project import ensure_project
from synthscars.labelstudio.push import image_url
from synthscars.labelstudio.roles import Role, set_role
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace

ROLES: Mapping[str, Role] = {
    "nia": "annotator",
    "oto": "annotator",
    "pia": "adjudicator",
    "max": "manager",
}


class Team(msgspec.Struct):
    """The people by name, and of each annotator: the project, and its tasks."""

    workspace: Workspace
    owner: Client
    people: dict[str, Person]
    projects: dict[str, int]
    tasks: dict[str, list[int]]

    def email(self, name: str) -> str:
        return self.people[name].account.email

    def password(self, name: str) -> str:
        return self.people[name].account.password


@contextmanager
def team_at_work(
    workspace: Workspace, images: list[ImageRecord], domain: str = "guard.example.org"
) -> Iterator[Team]:
    """Make the accounts and queues; the queues and everything that was made beside them are removed.

    domain: of their addresses; another one for a test after which their tokens are not what they were.
    """
    owner = connect(workspace)
    ensure_project(owner, workspace)
    before = {project["id"] for project in owner.pages("/api/projects/", page_size=100)}
    people = {name: add_person(workspace, owner, f"{name}@{domain}") for name in ROLES}
    for name, role in ROLES.items():
        set_role(workspace, f"{name}@{domain}", role, people[name].id)
    projects, tasks = {}, {}
    for name in ("nia", "oto"):
        projects[name] = make_queue(owner, workspace, name)
        tasks[name] = add_tasks(owner, workspace, projects[name], images)
    noted = [
        {"id": number, "title": name, "rater": people[name].account.email, "batch": "001", "kind": "queue"}
        for name, number in projects.items()
    ]
    path = workspace.platform_dir / "projects.json"
    path.write_text(json.dumps({"projects": noted}))
    try:
        yield Team(workspace, owner, people, projects, tasks)
    finally:
        path.unlink(missing_ok=True)
        for project in list(owner.pages("/api/projects/", page_size=100)):
            if project["id"] not in before:
                owner.request("DELETE", f"/api/projects/{project['id']}/")


def make_queue(owner: Client, workspace: Workspace, name: str) -> int:
    """An empty project with the workspace's interface."""
    common = json.loads((workspace.platform_dir / "project.json").read_bytes())["id"]
    config = owner.request("GET", f"/api/projects/{common}/")["label_config"]
    fields = {"title": f"queue of {name}", "label_config": config, "show_skip_button": True}
    return int(owner.request("POST", "/api/projects/", json=fields)["id"])


def add_tasks(owner: Client, workspace: Workspace, project: int, images: list[ImageRecord]) -> list[int]:
    """A task of each image; returns their numbers, in order."""
    data = [
        {
            "data": {
                "image": image_url(workspace, one.image_id),
                "image_id": one.image_id,
                "width": one.width,
                "height": one.height,
            }
        }
        for one in images
    ]
    made = owner.request(
        "POST", f"/api/projects/{project}/import", params={"return_task_ids": "true"}, json=data
    )
    return [int(number) for number in made["task_ids"]]


def drawn(explanation: str = "it has six fingers", region: str = "r1") -> dict[str, Any]:
    """An answer with one polygon, as the editor sends it."""
    value = {"points": [[20, 20], [60, 25], [55, 70], [25, 60]], "closed": True}
    common = {"id": region, "to_name": "image", "original_width": 640, "original_height": 512}
    whole = {"id": "i1", "to_name": "image"}
    labelled = {**value, "polygonlabels": ["structure"]}
    result = [
        {**common, "from_name": "category", "type": "polygonlabels", "value": labelled},
        {**common, "from_name": "phrase", "type": "textarea", "value": {**value, "text": ["the hand"]}},
        {**whole, "from_name": "content_type", "type": "choices", "value": {"choices": ["human"]}},
    ]
    if explanation:
        text = {**value, "text": [explanation]}
        result.append({**common, "from_name": "explanation", "type": "textarea", "value": text})
    return {"result": result, "lead_time": 4.5, "draft_id": 0, "parent_prediction": None}


def audit_lines(team: Team) -> list[dict[str, Any]]:
    """What the guard has written down, oldest first."""
    files = sorted((team.workspace.platform_dir / "audit").iterdir())
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]
