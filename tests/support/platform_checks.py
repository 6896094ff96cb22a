"""What must hold of a platform whatever was killed: nothing lost, nothing doubled, everything readable."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from queues_check import check_queues

from synthscars.jsonl import read_records
from synthscars.labelstudio.assignment import assigned_projects
from synthscars.labelstudio.client import Client, connect
from synthscars.labelstudio.database import SQLITE_NAME
from synthscars.labelstudio.project import find_project
from synthscars.labelstudio.pull import EXPORT_SUFFIX, RECORDS_SUFFIX, pull
from synthscars.problems import Problems, WorkspaceError
from synthscars.workspace import Workspace

Answer = tuple[int, int, str]
"""Task, rater's number, digest of what was drawn."""


class Told(msgspec.Struct):
    """What clients know. accepted: answers of which the server said that it has them, by task and rater.

    tried: all answers that were ever sent. kept: the sha256 of files that must never change again.
    """

    accepted: dict[tuple[int, int], str] = {}
    tried: dict[tuple[int, int], str] = {}
    kept: dict[str, str] = {}


def digest(result: Any) -> str:
    """What tells two drawings apart."""
    return hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()[:16]


def violations(workspace: Workspace, told: Told, *, pushed: bool) -> list[str]:
    """What is not as it must be. pushed: the last push ended, so that every image has to have its task."""
    client = connect(workspace)
    found: list[str] = []
    tasks = server_tasks(client, workspace)
    found += _wrong_tasks(client, workspace, tasks, pushed=pushed)
    found += _wrong_answers(tasks, told)
    found += _wrong_pull(client, workspace, tasks)
    found += _wrong_files(workspace, told)
    found += _missing_log_lines(workspace, told)
    return found


def server_tasks(client: Client, workspace: Workspace) -> dict[int, dict[str, Any]]:
    """Every task of the workspace's projects with its answers, by number, from the server itself."""
    found = {}
    query = {"exportType": "JSON", "download_all_tasks": "true"}
    for project in assigned_projects(workspace):
        for task in client.request("GET", f"/api/projects/{project.id}/export", params=query):
            found[int(task["id"])] = {**task, "kind": project.kind}
    return found


def _wrong_tasks(
    client: Client, workspace: Workspace, tasks: dict[int, dict[str, Any]], *, pushed: bool
) -> list[str]:
    found = []
    common = Counter(task["data"]["image_id"] for task in tasks.values() if task["kind"] == "common")
    found += [f"image {image[:12]} has {count} common tasks" for image, count in common.items() if count > 1]
    if pushed:
        missing = {record.image_id for record in workspace.images()} - set(common)
        found += [f"image {image[:12]} has no task though the push ended" for image in missing]
    try:
        check_queues(client, workspace)
    except AssertionError as error:
        found.append(f"queues: {error}")
    return found


def _answers(tasks: dict[int, dict[str, Any]]) -> Counter[Answer]:
    return Counter(
        (number, _person(one), digest(one["result"]))
        for number, task in tasks.items()
        for one in task["annotations"]
    )


def _person(annotation: dict[str, Any]) -> int:
    by = annotation["completed_by"]
    return int(by["id"] if isinstance(by, dict) else by)


def _wrong_answers(tasks: dict[int, dict[str, Any]], told: Told) -> list[str]:
    found = []
    there = _answers(tasks)
    for (task, rater), drawn in told.accepted.items():
        if not there[task, rater, drawn]:
            found.append(f"lost: the accepted answer of rater {rater} to task {task}")
    for (task, rater, drawn), count in there.items():
        if count > 1:
            found.append(f"doubled: {count} times the answer of rater {rater} to task {task}")
        if told.tried.get((task, rater)) != drawn:
            found.append(f"nobody gave the answer of rater {rater} to task {task}")
    return found


def _wrong_pull(client: Client, workspace: Workspace, tasks: dict[int, dict[str, Any]]) -> list[str]:
    """Pull only what changed, and hold that against what the server has."""
    project = find_project(client, workspace)
    patient_pull(workspace, client, project)
    exports = workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX)
    pulled = {int(task["id"]): task for task in unpacked(exports[-1])}
    found = []
    if pulled.keys() != tasks.keys():
        found.append(f"pulled: tasks {sorted(pulled.keys() ^ tasks.keys())[:5]} differ from the server's")
    here, there = _answers(pulled), _answers(tasks)
    found += [f"pulled: not the answer to task {one[0]} of rater {one[1]}" for one in there - here]
    found += [f"pulled: an answer to task {one[0]} that the server has not" for one in here - there]
    raters: dict[str, set[str]] = {}
    for task in tasks.values():
        who = raters.setdefault(task["data"]["image_id"], set())
        who.update(f"rater-{_person(one)}" for one in task["annotations"])
    records = workspace.numbered(workspace.records_dir, RECORDS_SUFFIX)[-1]
    read = {record.image_id: set(record.raters) for record in read_records(records)}
    if read != raters:
        found.append(f"{records.name} names other raters than the server's answers")
    return found


def patient_pull(workspace: Workspace, client: Client, project: Any, seconds: float = 60.0) -> None:
    """Pull as soon as nobody else does: the companion pulls on its own account."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with workspace.lock():
                pull(client, project, workspace, Problems())
            return
        except WorkspaceError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def unpacked(export: Path) -> list[Any]:
    """The tasks of a stored export."""
    raw = zstandard.ZstdDecompressor().stream_reader(export.read_bytes()).read()
    found: list[Any] = msgspec.json.decode(raw)
    return found


def _wrong_files(workspace: Workspace, told: Told) -> list[str]:
    found = []
    exports = workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX)
    if [int(path.name[:6]) for path in exports] != list(range(1, len(exports) + 1)):
        found.append("the numbers of the exports have gaps")
    for path in [*exports, *workspace.index_batches()]:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        if told.kept.setdefault(str(path), content) != content:
            found.append(f"{path.name} was changed")
    for name in set(told.kept) - {str(path) for path in [*exports, *workspace.index_batches()]}:
        found.append(f"{name} is gone")
    for path in workspace.platform_dir.glob("*.json"):
        try:
            msgspec.json.decode(path.read_bytes())
        except msgspec.DecodeError as error:
            found.append(f"{path.name}: {error}")
    sum(1 for _ in workspace.images())
    database = workspace.platform_dir / SQLITE_NAME
    if database.exists():
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as opened:
            (said,) = opened.execute("PRAGMA integrity_check").fetchone()
            if said != "ok":
                found.append(f"{database.name}: {said}")
    return found


def _missing_log_lines(workspace: Workspace, told: Told) -> list[str]:
    """Every accepted answer stands in the guard's log."""
    logged = set()
    for path in sorted((workspace.platform_dir / "audit").glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            entry = msgspec.json.decode(line)
            if entry["method"] == "POST" and entry["status"] in (200, 201):
                logged.add((entry.get("task", 0), entry.get("user", 0)))
    return [f"the log has no line for task {task} of rater {r}" for task, r in told.accepted.keys() - logged]
