"""Pushing and pulling many tasks: our commands against the server's own API, in one run on one server.

The raw API gets requests of 1,000 tasks that were made before the clock starts, and its export is written to
a file and looked at no further. Ours finds out what is there, makes the tasks, asks whether they came, and
keeps, compresses and reads the export.

    python benchmarks/platform_size.py --folder /tmp/size
    python benchmarks/platform_size.py --folder /tmp/size --count 2000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from label_studio_export import POLYGONS, TASKS, simulated_tasks
from release_measure import peak_mb

from synthscars.labelstudio.client import Client, connect
from synthscars.labelstudio.project import Project, put_project
from synthscars.labelstudio.pull import pull
from synthscars.labelstudio.push import image_url, push
from synthscars.labelstudio.server import start, stop
from synthscars.labelstudio.tasks import BATCH
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace


def main() -> None:
    """Measure, and print seconds, ratios and the peak memory of each side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="a new workspace is made in it")
    parser.add_argument("--count", type=int, default=TASKS, help="tasks")
    parser.add_argument("--side", choices=["raw", "ours"], help="used by the benchmark itself")
    arguments = parser.parse_args()
    if arguments.side:
        side = {"raw": raw, "ours": ours}[arguments.side]
        print(json.dumps(side(Workspace.open(arguments.folder / "size"), arguments.count)))
        return
    workspace = make_workspace(arguments.folder / "size", arguments.count)
    start(workspace, print)
    try:
        found = {side: measured(arguments.folder, arguments.count, side) for side in ("raw", "ours")}
    finally:
        stop(workspace)
    for what in ("push", "pull", "pull without news"):
        told = {side: found[side].get(what) for side in found}
        ratio = f"{told['ours'] / told['raw']:.2f}" if told["raw"] else "-"
        print(f"{what:18} raw {told['raw'] or 0:7.2f} s   ours {told['ours']:7.2f} s   ratio {ratio}")
    print(f"{'peak memory':18} raw {found['raw']['peak']:7.0f} MB  ours {found['ours']['peak']:7.0f} MB")


def measured(folder: Path, count: int, side: str) -> dict[str, Any]:
    """One side in a process of its own, so that its peak is its own."""
    command = [sys.executable, __file__, "--folder", str(folder), "--count", str(count), "--side", side]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def simulated(count: int) -> list[dict[str, Any]]:
    """Tasks with as many regions in proportion as the published dataset."""
    # Some of it is JSON already, which only msgspec knows how to write.
    tasks = simulated_tasks(count, round(POLYGONS * count / TASKS), seed=0)
    return [msgspec.json.decode(msgspec.json.encode(task)) for task in tasks]


def make_workspace(folder: Path, count: int) -> Workspace:
    """A workspace whose images are empty files: nobody looks at them here."""
    workspace = Workspace.create(folder)
    records = []
    for task in simulated(count):
        data = task["data"]
        path = workspace.image_path(data["image_id"], ".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        records.append(
            ImageRecord(
                image_id=data["image_id"],
                file_name=f"{data['image_id'][:12]}.png",
                width=data["width"],
                height=data["height"],
            )
        )
    workspace.append_index(records)
    return workspace


def predicted(tasks: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """What a model would show, by image: the answers of the simulated tasks."""
    return {
        task["data"]["image_id"]: [
            {"model_version": "simulated", "result": one["result"]}
            for one in task["annotations"]
            if one["result"]
        ]
        for task in tasks
    }


def a_project(client: Client, workspace: Workspace, title: str) -> Project:
    """A new project, made before the clock starts."""
    return put_project(client, workspace, None, title=title, description=title)


def raw(workspace: Workspace, count: int) -> dict[str, float]:
    """The server's own API, with nothing around it."""
    client = connect(workspace)
    project = a_project(client, workspace, "raw")
    tasks = simulated(count)
    shown = predicted(tasks)
    bodies = []
    for first in range(0, count, BATCH):
        batch = [
            {
                "data": {**task["data"], "image": image_url(workspace, task["data"]["image_id"])},
                "predictions": shown[task["data"]["image_id"]],
            }
            for task in tasks[first : first + BATCH]
        ]
        bodies.append(msgspec.json.encode(batch))
    del tasks, shown
    path = f"/api/projects/{project.id}/import?return_task_ids=false"
    begun = time.perf_counter()
    for body in bodies:
        client.http.post(path, content=body, headers={"Content-Type": "application/json"}).raise_for_status()
    pushed = time.perf_counter() - begun
    begun = time.perf_counter()
    query = {"exportType": "JSON", "download_all_tasks": "true"}
    with (
        client.http.stream("GET", f"/api/projects/{project.id}/export", params=query) as response,
        (workspace.root / "raw.json").open("wb") as file,
    ):
        for chunk in response.iter_bytes(1 << 20):
            file.write(chunk)
    return {"push": pushed, "pull": time.perf_counter() - begun, "peak": peak_mb()}


def ours(workspace: Workspace, count: int) -> dict[str, float]:
    """What `platform push` and `platform pull` do."""
    client = connect(workspace)
    project = a_project(client, workspace, "ours")
    shown = predicted(simulated(count))
    problems = Problems()
    begun = time.perf_counter()
    result = push(client, project, workspace, problems, predictions=lambda record: shown[record.image_id])
    pushed = time.perf_counter() - begun
    assert result.pushed == count
    assert not len(problems)
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        found = pull(client, project, workspace, Problems())
        times.append(time.perf_counter() - begun)
        assert found.images == count
    return {"push": pushed, "pull": times[0], "pull without news": times[1], "peak": peak_mb()}


if __name__ == "__main__":
    main()
