"""Whether a server has exactly what a plan says: nothing lost, nothing doubled."""

from __future__ import annotations

from collections import Counter

from synthscars.labelstudio.assignment import assigned_projects, read_assignment
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.project import Project, list_projects
from synthscars.labelstudio.tasks import list_tasks
from synthscars.workspace import Workspace


def check_queues(client: Client, workspace: Workspace) -> int:
    """Hold projects and tasks on the server against plan and notes; returns how many tasks there are."""
    plan = read_assignment(workspace)
    noted = {(each.rater, each.kind, each.batch): each for each in assigned_projects(workspace)}
    there = {int(entry["id"]) for entry in list_projects(client)}
    assert {each.id for each in noted.values()} == there
    assert len(noted) == len(assigned_projects(workspace))
    total = 0
    for batch in plan.batches:
        project = noted[batch.key]
        tasks = Counter(task.image_id for task in list_tasks(client, Project(project.id, project.title)))
        assert tasks == Counter(batch.images), batch.key
        storages = client.request("GET", "/api/storages/localfiles/", params={"project": project.id})
        assert len(storages) >= 1
        total += len(batch.images)
    return total
