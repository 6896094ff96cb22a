"""Make one rater's answer final: the mark that overrules the majority.

Label Studio keeps a ground-truth mark with every annotation, and its community edition has no button for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from synthscars.labelstudio.assignment import assigned_projects, read_assignment
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.project import Project, find_project, list_projects
from synthscars.labelstudio.tasks import Answer, list_answers, newest
from synthscars.problems import PlatformError, UsageError
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace


class Final(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided. `rater_id`: whose answer is final, `""` if none is any more."""

    image_id: str
    file_name: str
    rater_id: str


def find_image(workspace: Workspace, name: str) -> ImageRecord:
    """The image with this file name, or whose id starts with `name` (at least 6 digits).

    Raises `UsageError` if there is none, or more than one.
    """
    found = [
        record
        for record in workspace.images()
        if record.file_name == name or (len(name) >= 6 and record.image_id.startswith(name))
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(
            f"no image is called {name}, and no image id starts with it",
            fix="take the file name or the first digits of the id from `synthscars consensus`",
        )
    raise UsageError(
        f"{len(found)} images are called {name}: {', '.join(record.image_id[:12] for record in found)}",
        fix="name one by the first digits of its id",
    )


def answers_about(client: Client, workspace: Workspace, images: Collection[str]) -> Iterator[Answer]:
    """Every answer about these images (by id), in whatever project of the workspace.

    A queue is only asked about the images that it holds. Raises `PlatformError` if there is no project.
    """
    wanted = set(images)
    held = {batch.key: wanted.intersection(batch.images) for batch in read_assignment(workspace).batches}
    asked = {
        each.id: wanted if each.rater is None else held.get((each.rater, each.kind, each.batch), set())
        for each in assigned_projects(workspace)
    }
    common = find_project(client, workspace)
    if common is not None:
        asked[common.id] = wanted
    there = {int(entry["id"]): str(entry["title"]) for entry in list_projects(client, include="id,title")}
    if not asked.keys() & there.keys():
        raise PlatformError("Label Studio has no project of this workspace", fix="synthscars platform push")
    for number in sorted(asked.keys() & there.keys()):
        yield from list_answers(client, Project(id=number, title=there[number]), asked[number])


def make_final(client: Client, workspace: Workspace, image: ImageRecord, rater: str) -> Final:
    """Mark the answer of `rater` (`rater-3`, or an account's e-mail address) as final, and no other.

    An empty `rater` takes the mark away, and the majority counts again. Takes effect with the next pull.
    Raises `UsageError` naming the raters there are if that one did not answer, `PlatformError` if the server
    refuses or has no project of the workspace.
    """
    answers = list(answers_about(client, workspace, [image.image_id]))
    names = {f"rater-{user['id']}": str(user["email"]) for user in client.request("GET", "/api/users/")}
    chosen = [answer for answer in answers if rater in (answer.rater_id, names.get(answer.rater_id))]
    if rater and not chosen:
        raters = sorted({answer.rater_id for answer in answers})
        there = ", ".join(f"{each} ({names[each]})" if each in names else each for each in raters)
        raise UsageError(
            f"{rater} did not answer {image.file_name}",
            fix=f"raters who did: {there}" if there else "nobody did yet",
        )
    # Of several answers of one rater the latest counts, as it does when they are read.
    final = max(chosen, key=newest, default=None) if rater else None
    put_marks(client, answers, final)
    return Final(
        image_id=image.image_id,
        file_name=image.file_name,
        rater_id=final.rater_id if final is not None else "",
    )


def put_marks(client: Client, answers: Sequence[Answer], final: Answer | None) -> None:
    """Let one answer about an image have the mark, and no other of `answers`."""
    for answer in answers:
        is_final = final is not None and answer.id == final.id
        if answer.final is not is_final:
            client.request("PATCH", f"/api/annotations/{answer.id}/", json={"ground_truth": is_final})
