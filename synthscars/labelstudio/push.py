"""Images of the workspace become tasks: one task per image, however often it is pushed or interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from synthscars.converters.labelstudio import task_data
from synthscars.labelstudio.client import Client, UncertainError
from synthscars.labelstudio.companion_file import IMAGES_PATH, read_companion
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.tasks import BATCH, Task, list_tasks
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace

Predictions = Callable[[ImageRecord], list[dict[str, Any]]]


class PushResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a push did. `removed`: second tasks of an image, without answers, that were taken away."""

    images: int
    present: int
    pushed: int
    removed: int = 0
    dry_run: bool = False


def push(
    client: Client,
    project: Project,
    workspace: Workspace,
    problems: Problems,
    *,
    dry_run: bool = False,
    advance: Callable[[int], None] = lambda count: None,
    predictions: Predictions = lambda record: [],
) -> PushResult:
    """Make a task of every image of the workspace that has none yet.

    advance: called with the number of images done, for a progress bar. predictions: what is to be shown to
    the rater of an image, as Label Studio's predictions. Images whose file is missing become problems. Call
    it with the workspace locked. Raises `PlatformError` if the server refuses.
    """
    existing = {task.image_id for task in list_tasks(client, project)}
    images = list(workspace.images())
    waiting = [record for record in images if record.image_id not in existing]
    advance(len(images) - len(waiting))
    if dry_run:
        pushed = sum(1 for _ in _data(workspace, waiting, problems))
        advance(len(waiting))
    else:
        pushed = add_tasks(
            client, project, workspace, waiting, problems, advance=advance, predictions=predictions
        )
    # The number of tasks tells, in one request, that there is nothing to look for.
    expected = len(existing) + pushed
    removed = 0 if dry_run or _count(client, project) == expected else remove_repeated(client, project)
    present = len(images) - len(waiting)
    return PushResult(images=len(images), present=present, pushed=pushed, removed=removed, dry_run=dry_run)


def add_tasks(
    client: Client,
    project: Project,
    workspace: Workspace,
    records: Sequence[ImageRecord],
    problems: Problems,
    *,
    advance: Callable[[int], None] = lambda count: None,
    predictions: Predictions = lambda record: [],
) -> int:
    """Make a task of each of these images, in this order, and return how many were made.

    They must have none in this project. If it stays open whether the server took a batch, it is asked which
    tasks there are before anything is sent again. Raises `PlatformError` if the server refuses.
    """
    sent = 0
    for start in range(0, len(records), BATCH):
        batch = records[start : start + BATCH]
        shown = {record.image_id: predictions(record) for record in batch}
        tasks: list[dict[str, Any]] = []
        for data in _data(workspace, batch, problems):
            found = shown[data["image_id"]]
            tasks.append({"data": data, "predictions": found} if found else {"data": data})
        sent += len(tasks)
        for tries_left in reversed(range(client.patience.tries)):
            if not tasks:
                break
            try:
                path = f"/api/projects/{project.id}/import"
                client.request("POST", path, params={"return_task_ids": "false"}, json=tasks)
                break
            except UncertainError:
                if not tries_left:
                    raise
                there = {task.image_id for task in list_tasks(client, project)}
                tasks = [task for task in tasks if task["data"]["image_id"] not in there]
        advance(len(batch))
    return sent


def image_url(workspace: Workspace, image_id: str) -> str | None:
    """Where people get an image of the workspace from, `None` if its file is missing.

    From the companion, for whoever is logged in, if the workspace has one; else from Label Studio itself.
    """
    path = workspace.find_image(image_id)
    if path is None:
        return None
    if read_companion(workspace.platform_dir) is not None:
        return f"{IMAGES_PATH}{image_id}"
    return f"/data/local-files/?d={quote('images/' + path.relative_to(workspace.images_dir).as_posix())}"


def found_url(workspace: Workspace, record: ImageRecord, problems: Problems) -> str | None:
    """`image_url` of a record's image; where there is none, that is a problem."""
    url = image_url(workspace, record.image_id)
    if url is None:
        problems.add(
            "image.missing",
            "the file is not in the workspace any more",
            file=record.file_name,
            image=record.image_id,
            fix="ingest it again",
        )
    return url


def remove_repeated(client: Client, project: Project) -> int:
    """Take away second tasks of an image, unless somebody answered or began both; returns how many.

    They come from a push that was killed while the server was still working on its request.
    """
    by_image: dict[str, list[Task]] = {}
    for task in list_tasks(client, project):
        by_image.setdefault(task.image_id, []).append(task)
    removed = 0
    for tasks in by_image.values():
        if len(tasks) == 1:
            continue
        # Also what somebody is drawing right now; the list of tasks does not tell.
        work = {task.id: task.answers + _drafts(client, task) for task in tasks}
        for task in sorted(tasks, key=lambda task: (-work[task.id], task.id))[1:]:
            if not work[task.id]:
                client.delete(f"/api/tasks/{task.id}/")
                removed += 1
    return removed


def _count(client: Client, project: Project) -> int | None:
    count = client.request("GET", f"/api/projects/{project.id}/").get("task_number")
    return count if isinstance(count, int) else None


def _drafts(client: Client, task: Task) -> int:
    return len(client.request("GET", f"/api/tasks/{task.id}/drafts"))


def _data(workspace: Workspace, batch: Sequence[ImageRecord], problems: Problems) -> Iterator[dict[str, Any]]:
    for record in batch:
        url = found_url(workspace, record, problems)
        if url is not None:
            yield task_data(record, url, show_prompt=workspace.settings.platform.show_prompt)
