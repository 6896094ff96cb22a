"""Webhooks: what hurries a pull, what does not, and what is found at the address where they come in."""

from __future__ import annotations

import asyncio
import sys
import time
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from companion_client import client_of, companion_of

from synthscars.companion.measures import Measures
from synthscars.companion.reconcile import SHARE, Reconciler
from synthscars.labelstudio.companion_file import HOOK_HEADER, HOOK_HOST, HOOK_PATH
from synthscars.labelstudio.egress import DEFAULT, banned
from synthscars.workspace import Workspace


class Pulls(Reconciler):
    """Notes when it would have pulled. took: seconds that each took; fails: whether it went wrong."""

    def __init__(self, workspace: Workspace, *, took: float = 0, fails: bool = False, **options: Any) -> None:
        options = {"first": 0, "calm": 0.05, "least": 0.3, **options}
        super().__init__(workspace, 10, Measures(), [sys.executable], **options)
        self.runs: list[float] = []
        self._took, self._fails = took, fails

    async def once(self) -> None:
        self.runs.append(time.monotonic())
        self.state.seconds, self.state.failures = self._took, int(self._fails)


async def working(pulls: Pulls, hints: list[float]) -> list[float]:
    """Seconds after the first run at which more came, with hints after so many seconds each."""
    task = asyncio.create_task(pulls.run())
    await asyncio.sleep(0.02)
    for pause in hints:
        await asyncio.sleep(pause)
        pulls.hurry()
    await asyncio.sleep(0.6)
    task.cancel()
    return [at - pulls.runs[0] for at in pulls.runs[1:]]


def test_a_hint_brings_the_next_pull_after_a_moment_of_calm(workspace: Workspace) -> None:
    runs = asyncio.run(working(Pulls(workspace, least=0.1), [0.4]))
    assert len(runs) == 1
    assert 0.4 <= runs[0] < 0.7


def test_many_hints_are_one_pull_and_pulls_are_not_too_many(workspace: Workspace) -> None:
    runs = asyncio.run(working(Pulls(workspace), [0.01] * 20))
    assert 1 <= len(runs) <= 2
    assert runs[0] >= 0.29


def test_hints_do_not_hurry_what_takes_long(workspace: Workspace) -> None:
    assert asyncio.run(working(Pulls(workspace, took=100 / SHARE), [0.1])) == []


def test_after_a_failure_a_hint_waits_twice_as_long(workspace: Workspace) -> None:
    pulls = Pulls(workspace, fails=True, least=0.2)
    runs = asyncio.run(working(pulls, [0.1]))
    assert len(runs) == 1
    assert runs[0] >= 0.39


def test_without_hints_nothing_is_hurried(workspace: Workspace) -> None:
    assert asyncio.run(working(Pulls(workspace), [])) == []


def test_answers_alone_hurry_a_pull(workspace: Workspace) -> None:
    companion, pulls = companion_of(), Pulls(workspace, first=600)
    secret = {HOOK_HEADER: companion.hook_secret}
    with client_of(workspace, companion, reconciler=pulls) as client:
        client.post(HOOK_PATH, json={"action": "TASKS_CREATED"}, headers=secret)
        client.post(HOOK_PATH, json={"action": "ANNOTATION_CREATED"}, headers={HOOK_HEADER: "wrong"})
        assert not pulls._hinted.is_set()
        client.post(HOOK_PATH, json={"action": "ANNOTATION_CREATED"}, headers=secret)
        assert pulls._hinted.is_set()


@pytest.mark.parametrize("path", ["/", "/companion/health", "/companion/metrics", f"{HOOK_PATH}/", "/api"])
def test_where_label_studio_may_be_sent_there_is_nothing_for_others(workspace: Workspace, path: str) -> None:
    companion = companion_of()
    with client_of(workspace, companion) as client:
        there = f"http://{HOOK_HOST}:8080"
        assert client.get(f"{there}{path}").status_code == 404
        assert client.get(f"{there}{path}", headers={"host": "127.0.0.1:8080"}).status_code == 404
        secret = {HOOK_HEADER: companion.hook_secret}
        hint = client.post(f"{there}{HOOK_PATH}", json={"action": "ANNOTATION_CREATED"}, headers=secret)
        assert hint.status_code == 200
        assert client.get(f"{there}/companion/ml/health").status_code == 503  # no model is set


def test_nothing_but_that_address_is_taken_from_what_is_banned() -> None:
    networks = [ip_network(one) for one in banned()]

    def is_banned(address: str) -> bool:
        return any(ip_address(address) in network for network in networks)

    assert not is_banned(HOOK_HOST)
    assert not is_banned("8.8.8.8")
    for address in ("127.0.0.1", "127.83.83.82", "127.83.83.84", "127.255.255.255", "169.254.169.254"):
        assert is_banned(address)
    for one in DEFAULT:
        network = ip_network(one)
        for address in (network[0], network[-1]):
            assert is_banned(str(address))
