"""The same thing twice, or at once: an answer sent again, two commands on one workspace."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import msgspec
import pytest
from guard_server import running_guard
from guarded_people import Team, drawn, team_at_work

from synthscars.labelstudio.database import SQLITE_NAME
from synthscars.labelstudio.locking import server_lock
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.pull import pull
from synthscars.labelstudio.server import Server, find, start
from synthscars.problems import PlatformError, Problems
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.slow]


@pytest.fixture(scope="module")
def team(served: tuple[Workspace, list[ImageRecord]]) -> Iterator[Team]:
    with team_at_work(*served) as made:
        yield made


@pytest.fixture(scope="module")
def nia(team: Team) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Token {team.people['nia'].account.token}"}
    with (
        running_guard(team.workspace, team.owner.url) as url,
        httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as session,
    ):
        yield session


def answers(team: Team, task: int) -> list[int]:
    return [one["id"] for one in team.owner.request("GET", f"/api/tasks/{task}/")["annotations"]]


def skip() -> dict[str, Any]:
    reason = {"id": "i2", "to_name": "image", "from_name": "skip_reason", "type": "choices"}
    return {"result": [{**reason, "value": {"choices": ["unclear"]}}], "was_cancelled": True}


@pytest.mark.parametrize("body", [drawn(), skip()], ids=["answer", "skip"])
def test_an_answer_that_is_sent_again_is_taken_once(
    team: Team, nia: httpx.Client, body: dict[str, Any]
) -> None:
    task = team.tasks["nia"][1 if "was_cancelled" in body else 0]
    draft = nia.post(f"/api/tasks/{task}/drafts", json={"result": body["result"]}).json()["id"]
    first = nia.post(f"/api/tasks/{task}/annotations", json={**body, "draft_id": draft})
    assert first.status_code == 201, first.text
    # The draft is gone by now, and time has passed.
    again = nia.post(f"/api/tasks/{task}/annotations", json={**body, "draft_id": draft, "lead_time": 9.5})
    assert again.status_code == 201, again.text
    assert again.json().keys() == first.json().keys()
    assert again.json()["id"] == first.json()["id"]
    assert answers(team, task) == [first.json()["id"]]


def test_another_answer_to_the_same_task_is_another_one(team: Team, nia: httpx.Client) -> None:
    task = team.tasks["nia"][2]
    for text in ("it has six fingers", "it has seven fingers"):
        assert nia.post(f"/api/tasks/{task}/annotations", json=drawn(text)).status_code == 201
    assert len(answers(team, task)) == 2


def test_the_same_answer_sent_by_two_at_once_is_taken_once(team: Team, nia: httpx.Client) -> None:
    task = team.tasks["nia"][3]
    codes: list[int] = []

    def send() -> None:
        codes.append(nia.post(f"/api/tasks/{task}/annotations", json=drawn()).status_code)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [201] * 4
    assert len(answers(team, task)) == 1


def test_an_answer_that_label_studio_kept_but_never_counted_is_mended_by_sending_it_again(
    team: Team, nia: httpx.Client
) -> None:
    task, project = team.tasks["nia"][4], Project(team.projects["nia"], "nia")
    pull(team.owner, project, team.workspace, Problems())
    database = sqlite3.connect(team.workspace.platform_dir / SQLITE_NAME, timeout=30)
    with closing(database):
        row = database.execute("SELECT total_annotations, updated_at FROM task WHERE id = ?", (task,))
        before = row.fetchone()
        assert nia.post(f"/api/tasks/{task}/annotations", json=drawn()).status_code == 201
        # As a kill leaves it between its first and its second write.
        change = "UPDATE task SET is_labeled = 0, total_annotations = ?, updated_at = ? WHERE id = ?"
        database.execute(change, (*before, task))
        database.commit()
    assert nia.post(f"/api/tasks/{task}/annotations", json=drawn()).status_code == 201
    found = team.owner.request("GET", f"/api/tasks/{task}/")
    assert (found["total_annotations"], found["is_labeled"], len(found["annotations"])) == (1, True, 1)
    assert pull(team.owner, project, team.workspace, Problems()).is_new


def test_after_a_start_of_the_server_everything_is_fetched(team: Team) -> None:
    task, project = team.tasks["nia"][0], Project(team.projects["nia"], "nia")
    pull(team.owner, project, team.workspace, Problems())
    assert not pull(team.owner, project, team.workspace, Problems()).fetched
    with closing(sqlite3.connect(team.workspace.platform_dir / SQLITE_NAME, timeout=30)) as database:
        # As a kill leaves an edit between its first and its second write.
        changed = database.execute("UPDATE task_completion SET lead_time = 77.5 WHERE task_id = ?", (task,))
        assert changed.rowcount
        database.commit()
    noted = team.workspace.platform_dir / "server.json"
    before = noted.read_bytes()
    server = msgspec.structs.replace(msgspec.json.decode(before, type=Server), instance="another")
    noted.write_bytes(msgspec.json.encode(server))
    try:
        assert pull(team.owner, project, team.workspace, Problems()).is_new
        assert not pull(team.owner, project, team.workspace, Problems()).fetched
    finally:
        noted.write_bytes(before)


_HOLD = """
import sys
from pathlib import Path
from synthscars.labelstudio.locking import platform_lock, server_lock
from synthscars.workspace import Workspace

workspace = Workspace.open(Path(sys.argv[4]))
locks = {"pull": workspace.lock, "up": lambda: platform_lock(workspace)}
with locks[sys.argv[3]]():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held(root: str, command: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of a command, named like a real one: messages say what runs."""
    other = subprocess.Popen(
        [sys.executable, "-c", _HOLD, "synthscars", "platform", command, root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield other
    finally:
        other.kill()
        other.communicate()


def started(root: str, command: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "synthscars", "platform", command, "--workspace", root]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("second", ["up", "down"])
def test_who_starts_or_stops_second_is_refused_at_once(team: Team, second: str) -> None:
    root = str(team.workspace.root)
    server = find(team.workspace)
    begun = time.monotonic()
    with held(root, "up") as other:
        process = started(root, second)
        _, told = process.communicate()
        assert time.monotonic() - begun < 30
    assert process.returncode == 3, told
    assert f"process {other.pid}" in told
    assert "wait until it has finished" in told
    assert find(team.workspace) == server


@pytest.mark.parametrize("second", ["pull", "push"])
def test_who_writes_second_is_told_at_once_whom_it_waits_for(team: Team, second: str) -> None:
    root = str(team.workspace.root)
    with held(root, "pull") as other:
        process = started(root, second)
        assert process.stderr is not None
        told = process.stderr.readline()
        assert told.startswith("waiting: another synthscars command is writing to")
        assert f"process {other.pid}" in told
        assert process.poll() is None
    _, error = process.communicate()
    assert process.returncode == 0, error


def test_a_server_is_not_started_by_two(team: Team) -> None:
    with server_lock(team.workspace.platform_dir), pytest.raises(PlatformError, match="another command"):
        start(team.workspace, print)
