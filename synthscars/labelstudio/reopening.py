"""An image comes back to those who answered it: a new task, in which each finds what they said before.

That is a draft of their own: Label Studio shows drafts to nobody but their author, and takes them away when
the answer is submitted.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from synthscars.labelstudio.assignment import (
    Assignment,
    Batch,
    assigned_projects,
    read_assignment,
    write_assignment,
)
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.credentials import Account, load_credentials
from synthscars.labelstudio.planning import reopen
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.queues import fulfil
from synthscars.labelstudio.tasks import Task, list_answers, list_tasks, newest
from synthscars.problems import Problems, UsageError
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace


class Reopened(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request to reopen.

    raters: who have the image again. open_already: who had not answered their task yet. offered: who find
    what they answered before in it.
    """

    image_id: str
    file_name: str
    raters: tuple[str, ...]
    open_already: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()


def reopen_image(
    client: Client, workspace: Workspace, image: ImageRecord, raters: Sequence[str], problems: Problems
) -> Reopened:
    """Put an image into the queues of raters (again), as a new task in a project of its own kind.

    raters: e-mail addresses; by default everybody who has it in a queue. What they answered before is left
    where it is, and offered to its author as a draft of the new task; once they answer anew, the newer
    counts. Who has not answered yet gets no second task. Call it with the workspace locked. Raises
    `UsageError` if nobody has the image.
    """
    plan = read_assignment(workspace)
    owners = list(dict.fromkeys(batch.rater for batch in plan.batches if image.image_id in batch.images))
    if not raters and not owners:
        raise UsageError(
            f"{image.file_name} is in nobody's queue",
            fix="name who is to look at it with --rater, or run `synthscars platform assign`",
        )
    fulfil(client, workspace, plan, problems)  # what an earlier run could not finish
    plan = read_assignment(workspace)
    named = list(dict.fromkeys(raters or owners))
    waiting = [rater for rater in named if _is_waiting(client, workspace, plan, image, rater)]
    again = [rater for rater in named if rater not in waiting]
    for rater in again:
        plan = reopen(plan, image.image_id, rater)
    write_assignment(workspace, plan)
    fulfil(client, workspace, plan, problems)
    # Also to those whose task waits: an earlier run may have been killed before this.
    offered = [rater for rater in named if _offer(client, workspace, plan, image, rater)]
    return Reopened(
        image_id=image.image_id,
        file_name=image.file_name,
        raters=tuple(again),
        open_already=tuple(waiting),
        offered=tuple(offered),
    )


def _offer(client: Client, workspace: Workspace, plan: Assignment, image: ImageRecord, rater: str) -> bool:
    """Make a rater's earlier answer the draft of the task that waits for them; whether there was one to make.

    Nothing is offered if they have a draft there, or no answer, or if we cannot act in their name.
    """
    account = _account(workspace, rater)
    tasks = _tasks(client, workspace, plan, image, rater)
    if account is None or len(tasks) < 2 or tasks[-1].answers:
        return False
    own = Client(client.url, account.token, client.patience)
    path = f"/api/tasks/{tasks[-1].id}/drafts"
    if own.request("GET", path):
        return False
    answers = [
        answer
        for project in _projects(workspace, plan, image, rater)
        for answer in list_answers(client, project, [image.image_id])
    ]
    # Adjudicators answer in queues as well.
    mine = [answer for answer in answers if answer.rater_id == f"rater-{account.id}" and answer.result]
    if not mine:
        return False
    own.request("POST", path, json={"result": max(mine, key=newest).result, "lead_time": 0})
    return True


def _is_waiting(
    client: Client, workspace: Workspace, plan: Assignment, image: ImageRecord, rater: str
) -> bool:
    """Whether the newest task with which a rater has an image has no answer yet."""
    tasks = _tasks(client, workspace, plan, image, rater)
    return bool(tasks) and not tasks[-1].answers


def _tasks(
    client: Client, workspace: Workspace, plan: Assignment, image: ImageRecord, rater: str
) -> list[Task]:
    """The tasks with which a rater has an image, oldest first."""
    return [
        task
        for project in _projects(workspace, plan, image, rater)
        for task in list_tasks(client, project, [image.image_id])
    ]


def _projects(workspace: Workspace, plan: Assignment, image: ImageRecord, rater: str) -> list[Project]:
    """The projects in which a rater has an image, oldest first."""
    noted = {(each.rater or "", str(each.kind), each.batch): each for each in assigned_projects(workspace)}
    having = [batch for batch in sorted(plan.of(rater), key=_age) if image.image_id in batch.images]
    return [Project(id=noted[batch.key].id, title=noted[batch.key].title) for batch in having]


def _age(batch: Batch) -> tuple[bool, str]:
    # Those that came back are behind the queue that they came from.
    return batch.kind == "reopened", batch.batch


def _account(workspace: Workspace, rater: str) -> Account | None:
    """A rater's account, if we can act in its name."""
    credentials = load_credentials(workspace.platform_dir)
    known = {email.lower(): account for email, account in credentials.people.items()}
    account = known.get(rater.lower())
    if rater.lower() == credentials.owner.email.lower():
        account = credentials.owner
    return account if account is not None and account.token else None
