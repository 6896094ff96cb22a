"""A server that stumbles, a client that is killed, a disk that is full: nothing is lost, nothing doubled."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from click.testing import CliRunner
from faulty import Fault, Plan, faulty_server
from killing import killed_at
from platform_images import fill
from queues_check import check_queues

from synthscars.cli import main
from synthscars.labelstudio.assignment import Wish, read_assignment, write_assignment
from synthscars.labelstudio.client import Client, connect
from synthscars.labelstudio.credentials import load_credentials
from synthscars.labelstudio.people import add_person, submit
from synthscars.labelstudio.planning import Candidate, extend
from synthscars.labelstudio.project import ensure_project
from synthscars.labelstudio.pull import EXPORT_SUFFIX, pull
from synthscars.labelstudio.push import push
from synthscars.labelstudio.queues import fulfil
from synthscars.labelstudio.retries import Patience
from synthscars.labelstudio.tasks import list_tasks
from synthscars.problems import PlatformError, Problems
from synthscars.records import ImageRecord, Review
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.slow]

Team = tuple[Workspace, list[ImageRecord]]
RATERS = ("ada@example.org", "ben@example.org", "cleo@example.org")
QUICK = Patience(tries=6, first=0.01, most=0.05)


@pytest.fixture(scope="module")
def client(team: Team) -> Client:
    return connect(team[0])


_number = iter(range(1000, 100_000, 50))


def more_images(workspace: Workspace, count: int) -> list[ImageRecord]:
    """Images that no other test has."""
    return fill(workspace, count, first=next(_number))


def plan_more(workspace: Workspace, count: int, batch_size: int = 4) -> None:
    """New images and a plan for them, as `assign` writes it before it asks the server for anything."""
    more_images(workspace, count)
    images = [Candidate(record.image_id) for record in workspace.images()]
    wish = Wish(overlap_share=0.5, overlap_raters=2, batch_size=batch_size)
    write_assignment(workspace, extend(read_assignment(workspace), images, RATERS, wish))


def through(url: str, workspace: Workspace) -> Client:
    return Client(url, load_credentials(workspace.platform_dir).owner.token, QUICK)


def now_and_then(seed: int, faults: tuple[Fault, ...]) -> Plan:
    """Every third request fails, in any of these ways."""
    lots = random.Random(seed)

    def plan(number: int, method: str, path: str) -> Fault | None:
        return lots.choice(faults) if lots.random() < 1 / 3 else None

    return plan


def attempt(client: Client, workspace: Workspace) -> str | None:
    """Give out what is planned; says what to do if that failed."""
    with workspace.lock():
        try:
            fulfil(client, workspace, read_assignment(workspace), Problems())
        except PlatformError as error:
            return error.fix
    return None


def check_common(client: Client, workspace: Workspace) -> None:
    tasks = [task.image_id for task in list_tasks(client, ensure_project(client, workspace))]
    assert sorted(tasks) == sorted(record.image_id for record in workspace.images())


@pytest.mark.parametrize("seed", range(3))
def test_queues_become_whole_through_a_server_that_stumbles(team: Team, client: Client, seed: int) -> None:
    workspace, _ = team
    plan_more(workspace, 4)
    faults: tuple[Fault, ...] = ("500", "429", "half", "lost", "late 500", "dropped")
    with faulty_server(client.url, now_and_then(seed, faults)) as (url, server):
        stumbling = through(url, workspace)
        fixes: list[str] = []
        while (told := attempt(stumbling, workspace)) is not None:
            fixes.append(told)
            assert len(fixes) < 20, "twenty runs were not enough"
        assert all(fixes)
        assert any(fault for _, fault in server.log)
    with workspace.lock():
        fulfil(client, workspace, read_assignment(workspace), Problems())
    check_queues(client, workspace)


@pytest.mark.parametrize("fault", ["late 500", "lost", "half", "500", "429", "dropped", "slow"])
def test_a_batch_of_tasks_that_fails_is_made_once(team: Team, client: Client, fault: Fault) -> None:
    workspace, _ = team
    more_images(workspace, 3)
    failed = iter([fault, fault])

    def plan(number: int, method: str, path: str) -> Fault | None:
        return next(failed, None) if (method, path.endswith("/import")) == ("POST", True) else None

    with faulty_server(client.url, plan) as (url, server):
        stumbling = through(url, workspace)
        with workspace.lock():
            project = ensure_project(stumbling, workspace)
            result = push(stumbling, project, workspace, Problems())
        assert next(met for asked, met in server.log if asked.endswith("/import")) == fault
    assert result.removed == 0
    check_common(client, workspace)


@pytest.mark.parametrize("fault", ["half", "lost", "500", "429", "dropped"])
def test_an_export_that_fails_is_fetched_again_and_whole(team: Team, client: Client, fault: Fault) -> None:
    workspace, _ = team
    project = ensure_project(client, workspace)
    undisturbed = pull(client, project, workspace, Problems(), full=True)
    exports = iter([fault, fault])

    def plan(number: int, method: str, path: str) -> Fault | None:
        return next(exports, None) if path.endswith("/export") else None

    with faulty_server(client.url, plan) as (url, server):
        result = pull(through(url, workspace), project, workspace, Problems(), full=True)
        assert [met for _, met in server.log if met] == [fault, fault]
    assert (result.export, result.is_new) == (undisturbed.export, False)


def test_a_server_that_only_fails_leaves_everything_as_it_was(team: Team, client: Client) -> None:
    workspace, _ = team
    project = ensure_project(client, workspace)
    pull(client, project, workspace, Problems())
    before = sorted(path.name for path in workspace.exports_dir.iterdir())
    for fault in ("500", "429", "half", "lost", "dropped"):
        with faulty_server(client.url, lambda *_: fault) as (url, _):  # noqa: B023
            stumbling = through(url, workspace)
            with pytest.raises(PlatformError) as told:
                pull(stumbling, project, workspace, Problems(), full=True)
            assert told.value.fix
            with pytest.raises(PlatformError):
                push(stumbling, project, workspace, Problems())
    assert sorted(path.name for path in workspace.exports_dir.iterdir()) == before


_ASSIGN = """
from synthscars.cli import main

main(["platform", "assign", "--workspace", sys.argv[1]])
"""
_PUSH = _ASSIGN.replace('"assign"', '"push"')
_PULL = _ASSIGN.replace('"assign"', '"pull"')


@pytest.fixture
def people(team: Team) -> Iterator[None]:
    workspace, _ = team
    listed = [{"email": rater, "role": "annotator", "id": number} for number, rater in enumerate(RATERS, 2)]
    path = workspace.platform_dir / "people.json"
    path.write_bytes(msgspec.json.encode({"people": listed}))
    yield
    path.unlink()


def test_giving_out_can_be_killed_before_and_after_anything_it_does(
    team: Team, client: Client, people: None
) -> None:
    workspace, _ = team
    plan_more(workspace, 3, batch_size=3)
    more_images(workspace, 3)
    step = kills = 0
    # Each run begins where the one before was killed, and gets four steps further.
    while killed_at(step := step + 4, _ASSIGN, workspace.root, requests=True):
        kills += 1
    assert kills >= 5, "there are more steps than that: the test shows nothing"
    check_queues(client, workspace)


def test_a_pull_can_be_killed_before_and_after_anything_it_does(team: Team, client: Client) -> None:
    workspace, _ = team
    project = ensure_project(client, workspace)
    pull(client, project, workspace, Problems())
    person = add_person(workspace, client, RATERS[0])
    task = next(task for task in list_tasks(client, project) if not task.answers)
    submit(person, task.id, Review(rater_id=person.rater_id, status="clean"), (), width=64, height=64)
    exports = len(workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX))
    step = kills = 0
    while killed_at(step := step + 5, _PULL, workspace.root, requests=True):
        kills += 1
    assert kills >= 5, "there are more steps than that: the test shows nothing"
    found = workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX)
    assert len(found) == exports + 1
    full = pull(client, project, workspace, Problems(), full=True)
    assert (full.export, full.is_new) == (found[-1].name, False)
    answers = [one for each in whole(found[-1]) if each["id"] == task.id for one in each["annotations"]]
    assert len(answers) == 1


@pytest.mark.parametrize("command", [_ASSIGN, _PUSH, _PULL], ids=["assign", "push", "pull"])
def test_a_kill_at_any_time_loses_and_doubles_nothing(
    team: Team, client: Client, people: None, command: str
) -> None:
    workspace, _ = team
    lots = random.Random(command)
    more_images(workspace, 6)
    killed = 0
    for _ in range(6):
        run = subprocess.Popen(
            [sys.executable, "-c", "import sys\n" + command, str(workspace.root)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(lots.uniform(0.4, 2.0))
        run.kill()
        killed += run.wait() == -signal.SIGKILL
    assert killed
    for arguments in (["push"], ["assign"], ["pull"]):
        result = CliRunner().invoke(main, ["platform", *arguments, "-w", str(workspace.root)])
        assert result.exit_code == 0, result.stderr
    check_queues(client, workspace)
    check_common(client, workspace)


def test_a_full_disk_at_any_moment_of_a_pull_is_told_and_made_up_for(
    team: Team, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = team
    project = ensure_project(client, workspace)
    push(client, project, workspace, Problems())
    pull(client, project, workspace, Problems())
    person = add_person(workspace, client, RATERS[1])
    fsync = os.fsync
    unanswered = [task for task in list_tasks(client, project) if not task.answers]
    for task, after, code in zip(unanswered, range(0, 16, 2), [errno.ENOSPC, errno.EDQUOT] * 4, strict=False):
        submit(person, task.id, Review(rater_id=person.rater_id, status="clean"), (), width=64, height=64)
        before = {path.name: path.read_bytes() for path in workspace.exports_dir.iterdir()}
        left = after

        def full(descriptor: int, code: int = code) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(code, os.strerror(code))
            fsync(descriptor)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            result = CliRunner().invoke(main, ["platform", "pull", "-w", str(workspace.root)])
        if result.exit_code == 0:
            assert after > 3
            break
        assert result.exit_code == 3
        assert os.strerror(code) in result.stderr
        assert "full disk" in result.stderr
        for name, content in before.items():
            assert (workspace.exports_dir / name).read_bytes() == content
        with workspace.lock():
            pull(client, project, workspace, Problems())
        assert whole(workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX)[-1])
    else:
        pytest.fail("a pull has fewer steps than that")


def whole(export: Path) -> list[Any]:
    found: list[Any] = msgspec.json.decode(
        zstandard.ZstdDecompressor().stream_reader(export.read_bytes()).read()
    )
    return found
