"""Reviews and pre-annotations at thousands: seconds and requests of each step, on one real server.

Two raters disagree about the category of everything that they drew, so all images with regions are disputed.
An adjudicator submits what the first of them drew; then decisions are settled, once all new and once none.

    python benchmarks/platform_review.py --folder /tmp/review
    python benchmarks/platform_review.py --folder /tmp/review --count 500
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from label_studio_export import POLYGONS, TASKS
from platform_size import make_workspace, simulated
from release_measure import peak_mb

from synthscars.converters import labelstudio as converter
from synthscars.labelstudio.client import Client, connect
from synthscars.labelstudio.preannotate import preannotate
from synthscars.labelstudio.project import Project, ensure_project
from synthscars.labelstudio.push import push
from synthscars.labelstudio.review import disputed, push_review
from synthscars.labelstudio.server import start, stop
from synthscars.labelstudio.settling import settle
from synthscars.labelstudio.tasks import list_tasks
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace

COUNT = 2000


class Clock:
    """Seconds and requests of steps, in their order."""

    def __init__(self, client: Client) -> None:
        self.steps: dict[str, tuple[float, int]] = {}
        self._requests = 0
        client.http.event_hooks = {"request": [self._seen]}

    def _seen(self, request: object) -> None:
        self._requests += 1

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """What happens inside is one step."""
        begun, before = time.perf_counter(), self._requests
        yield
        self.steps[name] = (time.perf_counter() - begun, self._requests - before)


def main() -> None:
    """Measure, and print seconds and requests."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="a new workspace is made in it")
    parser.add_argument("--count", type=int, default=COUNT, help="images")
    arguments = parser.parse_args()
    workspace = make_workspace(arguments.folder / "size", arguments.count)
    start(workspace, print)
    try:
        clock = measured(workspace, arguments.count)
    finally:
        stop(workspace)
    for name, (seconds, requests) in clock.steps.items():
        print(f"{name:34}{seconds:8.2f} s{requests:7} requests")
    print(f"{'peak memory':34}{peak_mb():8.0f} MB   ({POLYGONS / TASKS:.1f} regions an image and rater)")


def measured(workspace: Workspace, count: int) -> Clock:
    """All steps, one after the other."""
    client = connect(workspace)
    project = ensure_project(client, workspace)
    push(client, project, workspace, Problems())
    records = two_raters(workspace, count)
    clock = Clock(client)
    shown = {
        task["data"]["image_id"]: {"result": task["annotations"][0]["result"], "score": 0.5}
        for task in simulated(count)
    }
    with clock.step("preannotate, all new"):
        done = preannotate(client, [project], shown.get, "simulated")
    assert done.pushed == count
    with clock.step("preannotate, again"):
        done = preannotate(client, [project], shown.get, "simulated")
    assert done.pushed == 0
    with clock.step("who is disputed"):
        found = disputed(records, min_iou=0.5)
    with clock.step("review, all new"):
        result = push_review(client, workspace, found, Problems())
    assert result.pushed == len(found)
    with clock.step("review, again"):
        result = push_review(client, workspace, found, Problems())
    assert result.present == len(found)
    more = [
        msgspec.structs.replace(record, reviews=record.reviews[:1]) for record in found[: len(found) // 10]
    ]
    with clock.step(f"review, {len(more)} renewed"):
        result = push_review(client, workspace, more, Problems())
    assert result.renewed == len(more)
    review = Project(id=result.project_id, title=result.project)
    answered = 0
    for task in list_tasks(client, review):
        body = {"result": shown[task.image_id]["result"], "was_cancelled": False}
        client.request("POST", f"/api/tasks/{task.id}/annotations/", json=body)
        answered += 1
    with clock.step(f"settle, {answered} decisions"):
        assert settle(client, workspace) == answered
    with clock.step("settle, none new"):
        assert settle(client, workspace) == 0
    return clock


def two_raters(workspace: Workspace, count: int) -> list[ImageRecord]:
    """Records in which a second rater has drawn the same and called it something else."""
    export = workspace.root / "answers.json"
    export.write_text(json.dumps(simulated(count)))
    images = {record.image_id: record for record in workspace.images()}
    found = []
    for record in converter.read(export, Problems(), images):
        again = tuple(
            msgspec.structs.replace(
                artifact,
                artifact_id=f"{artifact.artifact_id}-2",
                rater_id="second",
                category="physics" if artifact.category != "physics" else "structure",
                subtype=None,
            )
            for artifact in record.artifacts
        )
        reviews = tuple(msgspec.structs.replace(review, rater_id="second") for review in record.reviews)
        found.append(
            msgspec.structs.replace(
                record, artifacts=record.artifacts + again, reviews=record.reviews + reviews
            )
        )
    return found


if __name__ == "__main__":
    main()
