"""What a model says, put into the tasks as predictions: outlines to correct, texts to edit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from synthscars.files import atomic_file
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.tasks import BATCH, list_tasks
from synthscars.predictions import Prediction
from synthscars.problems import Problems

Json = dict[str, Any]

Say = Callable[[str], Json | None]
"""What is to be predicted for an image id: `result` and `score`; `None` if nothing."""


class Preannotated(msgspec.Struct, frozen=True, kw_only=True):
    """What was done. tasks: that show an image with a prediction; present: those that had it already."""

    model_version: str
    tasks: int
    present: int
    pushed: int
    dry_run: bool = False


class Score(msgspec.Struct, frozen=True):
    """How much an image deserves to be looked at first; one line of a priority file."""

    image_id: str
    score: float


def preannotate(
    client: Client,
    projects: Sequence[Project],
    say: Say,
    model_version: str,
    *,
    dry_run: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> Preannotated:
    """Give every task of these projects what a model says about its image, unless it has that already.

    A prediction is told by its `model_version`: pushing the same version again changes nothing, also if the
    first run was killed. advance: called with the number of projects done. Call it with the workspace locked.
    Raises `PlatformError` if the server refuses.
    """
    model_version = version_name(model_version)
    tasks = present = pushed = 0
    for project in projects:
        having = with_version(client, project, model_version)
        waiting: list[Json] = []
        for task in list_tasks(client, project):
            found = say(task.image_id)
            if found is None:
                continue
            tasks += 1
            if task.id in having:
                present += 1
            else:
                waiting.append({"task": task.id, "model_version": model_version, **found})
            if len(waiting) == BATCH:
                pushed += put_predictions(client, project, waiting, dry_run=dry_run)
                waiting = []
        pushed += put_predictions(client, project, waiting, dry_run=dry_run)
        advance(1)
    return Preannotated(
        model_version=model_version, tasks=tasks, present=present, pushed=pushed, dry_run=dry_run
    )


def version_name(text: str) -> str:
    """A model's name as Label Studio can tell it from others: in its lists, commas stand between names."""
    return " ".join(text.replace(",", " ").split())[:200] or "model"


def put_predictions(
    client: Client, project: Project, predictions: Sequence[Json], *, dry_run: bool = False
) -> int:
    """Add predictions (`task`, `model_version`, `result`, `score`), `BATCH` a request; returns how many."""
    for start in range(0, 0 if dry_run else len(predictions), BATCH):
        batch = list(predictions[start : start + BATCH])
        client.request("POST", f"/api/projects/{project.id}/import/predictions", json=batch)
    return len(predictions)


def with_version(client: Client, project: Project, model_version: str) -> set[int]:
    """The tasks of a project that have a prediction of this version."""
    fields = "id,predictions_model_versions"
    pages = client.pages("/api/tasks/", project=project.id, page_size=BATCH, include=fields, fields="all")
    return {int(entry["id"]) for entry in pages if version_name(model_version) in _versions(entry)}


def _versions(entry: Mapping[str, Any]) -> list[str]:
    # The data manager gives them as one text.
    told = entry.get("predictions_model_versions")
    return [part.strip() for part in told.split(",")] if isinstance(told, str) else list(told or ())


def uncertain_first(predictions: Iterable[Prediction], problems: Problems) -> Iterator[Score]:
    """How uncertain the model is about each image, in [0, 1], most uncertain first.

    Images about which it does not say how sure it is are left out and counted (`prediction.no_score`).
    """
    untold = 0
    scores: list[Score] = []
    for prediction in predictions:
        doubt = uncertainty(prediction)
        if doubt is None:
            untold += 1
        else:
            scores.append(Score(prediction.image_id, round(doubt, 6)))
    if untold:
        problems.add(
            "prediction.no_score",
            f"{untold} predictions do not say how sure the model is; they get no priority",
            severity="warning",
            fix="use a model that scores its regions",
            count=untold,
        )
    yield from sorted(scores, key=lambda one: (-one.score, one.image_id))


def write_scores(path: Path, scores: Iterable[Score]) -> int:
    """Write a priority file, JSON Lines, atomically; returns how many lines."""
    count = 0
    with atomic_file(path) as file:
        for score in scores:
            file.write(msgspec.json.encode(score) + b"\n")
            count += 1
    return count


def uncertainty(prediction: Prediction) -> float | None:
    """0 where the model is sure, 1 where it might as well toss a coin; `None` if it does not say.

    That of its most doubtful region; without regions, that of the probability that the image is generated.
    """
    sure = [region.score for region in prediction.regions if region.score is not None]
    sure = [score for score in sure if math.isfinite(score)]
    if not sure and prediction.synthetic is not None and not prediction.regions:
        sure = [prediction.synthetic]
    return max((1 - abs(2 * min(max(score, 0.0), 1.0) - 1) for score in sure), default=None)
