"""Clocks that jump: a pull of what changed misses nothing, whatever time the server or the client has."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from guarded_people import Team, drawn, team_at_work
from platform_checks import unpacked

from synthscars.labelstudio.database import SQLITE_NAME
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.pull import pull
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.slow]


@pytest.fixture(scope="module")
def team(served: tuple[Workspace, list[ImageRecord]]) -> Iterator[Team]:
    with team_at_work(*served) as made:
        yield made


def set_time(team: Team, task: int, away: timedelta) -> None:
    """As if the server's clock had been so far away when it changed the task."""
    when = (datetime.now(UTC) + away).strftime("%Y-%m-%d %H:%M:%S.%f")
    with closing(sqlite3.connect(team.workspace.platform_dir / SQLITE_NAME, timeout=30)) as database:
        database.execute("UPDATE task SET updated_at = ? WHERE id = ?", (when, task))
        database.commit()


def explanations(team: Team) -> dict[int, str]:
    """What was said about each task of nia's, by a pull of what changed."""
    project = Project(team.projects["nia"], "nia")
    export = pull(team.owner, project, team.workspace, Problems()).export
    return {
        task["id"]: str(answer["result"])
        for task in unpacked(team.workspace.exports_dir / export)
        for answer in task["annotations"]
    }


@pytest.mark.parametrize("away", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=-9000)], ids=str)
def test_an_edit_is_not_missed_if_the_servers_clock_was_elsewhere(team: Team, away: timedelta) -> None:
    first, second = team.tasks["nia"][:2]
    person = team.people["nia"].client
    numbers = []
    for task in (first, second):
        made = person.request("POST", f"/api/tasks/{task}/annotations/", json=drawn(f"before {away}"))
        numbers.append(made["id"])
    assert f"before {away}" in explanations(team)[second]
    for number, task in zip(numbers, (first, second), strict=True):
        # Every change is at a time that is not the newest, or not over yet.
        text = f"after {away} {number}"
        person.request("PATCH", f"/api/annotations/{number}/", json={"result": drawn(text)["result"]})
        set_time(team, task, away)
        assert text in explanations(team)[task]
    for number in numbers:
        team.owner.delete(f"/api/annotations/{number}/")


@pytest.mark.parametrize("now", [0.0, 4e9])
def test_the_clients_clock_does_not_matter(team: Team, now: float, monkeypatch: pytest.MonkeyPatch) -> None:
    task = team.tasks["nia"][2]
    explanations(team)
    person = team.people["nia"].client
    made = person.request("POST", f"/api/tasks/{task}/annotations/", json=drawn(f"at {now}"))
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: now)
        assert f"at {now}" in explanations(team)[task]
    person.request("PATCH", f"/api/annotations/{made['id']}/", json={"result": drawn("later")["result"]})
    assert "later" in explanations(team)[task]
    team.owner.delete(f"/api/annotations/{made['id']}/")
