"""The adjudicators' project: the images that raters disagree about or whose labels are suspicious.

Each task has one prediction, the candidates: what raters drew, with regions of several raters that show the
same artifact merged as `synthscars consensus` would. Who drew a region and what they called it is in its meta
text, what everybody said about the image above the answer. The adjudicator deletes, mends and draws; what
they submit becomes the final answer (Label Studio's ground-truth mark) when it is pulled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from synthscars.consensus import adjudicate, best_of, clusters
from synthscars.converters.labelstudio import results, task_data
from synthscars.labelstudio.assignment import AssignedProject, Kind, assigned_projects, note_projects
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.interface import review_config
from synthscars.labelstudio.preannotate import put_predictions
from synthscars.labelstudio.project import Project, project_title, put_project
from synthscars.labelstudio.push import found_url
from synthscars.labelstudio.tasks import BATCH, list_tasks
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace

KIND: Kind = "review"
VERSION = "candidates"
"""The model version of all candidates: in the stream, Label Studio shows predictions of one version alone."""

_DIGEST = "candidates"
"""The field of a task's data that tells of which candidates its prediction is."""
_NOTES = "notes"
"""The field with the notes of the push that had any: later ones, without, leave them in place."""

Json = dict[str, Any]


class Reviewing(msgspec.Struct, frozen=True, kw_only=True):
    """What a push for review did.

    images: that were to be reviewed. pushed: new in the project; renewed: whose candidates changed since, and
    that nobody has begun; present: as they were. project, url: where adjudicators go.
    """

    images: int
    pushed: int
    renewed: int
    present: int
    project: str = ""
    project_id: int = 0
    dry_run: bool = False


def disputed(
    records: Iterable[ImageRecord], *, min_iou: float, suspected: Container[str] = ()
) -> list[ImageRecord]:
    """The records whose raters disagree about a region, or about whether there is any; none that is final.

    min_iou: mask IoU from which regions of two raters are one artifact. suspected: ids of images that are
    wanted although everybody agrees.
    """
    found: list[ImageRecord] = []
    for record in records:
        if any(review.extra.get("ground_truth") is True for review in record.reviews):
            continue
        if record.image_id in suspected or _disagree(record, min_iou):
            found.append(record)
    return found


def _disagree(record: ImageRecord, min_iou: float) -> bool:
    problems = Problems()
    list(adjudicate([record], problems, min_iou=min_iou))
    return any(problem.code in ("consensus.unconfirmed", "consensus.disputed") for problem in problems)


def candidates(record: ImageRecord, *, min_iou: float) -> list[Artifact]:
    """Everybody's regions, those that show the same artifact as one, each with who said what in its meta."""
    found: list[Artifact] = []
    answered = [review.rater_id for review in record.reviews if review.status in ("annotated", "clean")]
    for number, (cluster, ious) in enumerate(
        clusters(record.artifacts, record.width, record.height, min_iou), start=1
    ):
        chosen = best_of(cluster, ious)
        lines = [f"{len(cluster)} of {len(answered)} raters drew it", *map(_said, cluster)]
        missing = [rater for rater in answered if all(one.rater_id != rater for one in cluster)]
        lines += [f"not drawn by {', '.join(missing)}"] if missing else []
        kept = {key: value for key, value in chosen.extra.items() if key in ("confidence", "shape", "item")}
        found.append(
            msgspec.structs.replace(
                chosen,
                artifact_id=f"candidate-{number}",
                rater_id="",
                extra={**kept, "meta": {"text": ["\n".join(lines)]}},
            )
        )
    return found


def _said(artifact: Artifact) -> str:
    about = [artifact.subtype or "no subtype", artifact.extra.get("confidence")]
    told = ", ".join(str(part) for part in about if part)
    return f"{artifact.rater_id} ({told}): {artifact.phrase or 'no phrase'}. {artifact.explanation}".strip()


def said_of(record: ImageRecord, notes: Sequence[str] = ()) -> str:
    """What every rater answered about the image as a whole, a line each, after the notes."""
    lines = list(notes)
    for review in record.reviews:
        drawn = sum(artifact.rater_id == review.rater_id for artifact in record.artifacts)
        what = {
            "clean": "no visible artifact",
            "skipped": f"skipped: {review.extra.get('skip_reason') or 'no reason'}",
        }.get(review.status, f"{drawn} region{'s' * (drawn != 1)}")
        parts = [what, review.content_type or "", review.scene]
        lines.append(f"{review.rater_id}: {', '.join(filter(None, parts))}")
    return "\n".join(lines)


def push_review(
    client: Client,
    workspace: Workspace,
    records: Sequence[ImageRecord],
    problems: Problems,
    *,
    notes: Mapping[str, Sequence[str]] = {},
    dry_run: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> Reviewing:
    """Put disputed images into the review project, which is made if it is not there.

    records: those of `disputed`. notes: by image id, what adjudicators are told beside what raters said;
    without any, an image keeps those of an earlier push.
    Pushing again adds what is new, and renews the candidates of images that nobody has answered there.
    advance: called with the number of images done. Call it with the workspace locked. Raises `PlatformError`
    if the server refuses.
    """
    min_iou = workspace.settings.consensus.min_iou
    noted = next((each for each in assigned_projects(workspace) if each.kind == KIND), None)
    if dry_run and noted is None:
        return Reviewing(images=len(records), pushed=len(records), renewed=0, present=0, dry_run=True)
    project = _ensure_project(client, workspace, noted) if not dry_run else _as_project(noted)
    tasks = {task.image_id: task for task in list_tasks(client, project)}
    there = _predictions(client, project)
    pushed = renewed = present = 0
    for start in range(0, len(records), BATCH):
        new: list[Json] = []
        stale: list[tuple[int, list[Json], Json]] = []
        for record in records[start : start + BATCH]:
            found = candidates(record, min_iou=min_iou)
            items = results(found, _common(record), record.width, record.height)
            task = tasks.get(record.image_id)
            before = task.data if task is not None else {}
            told = list(notes.get(record.image_id, ())) or _notes(before)
            said = said_of(record, told)
            digest = _digest(items, said)
            if task is None:
                url = found_url(workspace, record, problems)
                if url is None:
                    continue
                data = {**task_data(record, url), "said": said, _NOTES: told, _DIGEST: digest}
                new.append({"data": data, "predictions": [{"model_version": VERSION, "result": items}]})
                continue
            if task.answers or before.get(_DIGEST) == digest:
                present += 1
            else:
                renewed += 1
                stale.append((task.id, items, {**before, "said": said, _NOTES: told, _DIGEST: digest}))
        if new and not dry_run:
            client.request("POST", f"/api/projects/{project.id}/import", json=new)
        if stale and not dry_run:
            _renew(client, project, stale, there)
        pushed += len(new)
        advance(len(records[start : start + BATCH]))
    if (pushed or renewed) and not dry_run:
        client.request("PATCH", f"/api/projects/{project.id}/", json={"model_version": VERSION})
    return Reviewing(
        images=len(records),
        pushed=pushed,
        renewed=renewed,
        present=present,
        project=project.title,
        project_id=project.id,
        dry_run=dry_run,
    )


def _notes(data: Json) -> list[str]:
    # People can edit what a task holds.
    noted = data.get(_NOTES)
    return [note for note in noted if isinstance(note, str)] if isinstance(noted, list) else []


def _ensure_project(client: Client, workspace: Workspace, noted: AssignedProject | None) -> Project:
    entry = client.request("GET", f"/api/projects/{noted.id}/") if noted is not None else None
    title = f"Review: {project_title(workspace)}"[:50]
    project = put_project(
        client,
        workspace,
        entry,
        title=title,
        description=f"synthscars: review of {workspace.name}",
        config=review_config(load_taxonomy(), workspace.settings.platform),
    )
    note_projects(workspace, [AssignedProject(id=project.id, title=project.title, kind=KIND)])
    return project


def _as_project(noted: AssignedProject | None) -> Project:
    assert noted is not None
    return Project(id=noted.id, title=noted.title)


def _predictions(client: Client, project: Project) -> dict[int, list[int]]:
    """The numbers of the predictions of each task."""
    found: dict[int, list[int]] = {}
    for each in client.request("GET", "/api/predictions/", params={"project": project.id}):
        found.setdefault(int(each["task"]), []).append(int(each["id"]))
    return found


def _renew(
    client: Client,
    project: Project,
    stale: Sequence[tuple[int, list[Json], Json]],
    there: Mapping[int, Sequence[int]],
) -> None:
    """Give tasks (number, candidates, data) new predictions in place of those that are `there`."""
    for task_id, _, _ in stale:
        for number in there.get(task_id, ()):
            client.delete(f"/api/predictions/{number}/")
    made = [{"task": task_id, "model_version": VERSION, "result": items} for task_id, items, _ in stale]
    put_predictions(client, project, made)
    # Last: after a kill in between, the next push does it all again.
    for task_id, _, data in stale:
        client.request("PATCH", f"/api/tasks/{task_id}/", json={"data": data})


def _digest(items: list[Json], said: str) -> str:
    # The ids of answers about the image are ours, so equal candidates give equal bytes.
    told = msgspec.json.encode([items, said], order="deterministic")
    return hashlib.sha256(told).hexdigest()[:12]


def _common(record: ImageRecord) -> Review:
    """What is answered for the adjudicator about the whole image: what raters agree about, and a scene."""
    types = {review.content_type for review in record.reviews if review.content_type}
    return Review(
        rater_id="",
        status="annotated",
        content_type=types.pop() if len(types) == 1 else None,
        scene=next((review.scene for review in record.reviews if review.scene.strip()), ""),
    )
