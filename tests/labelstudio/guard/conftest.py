"""People of every role at work, and the guard that they go through."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from guard_server import log_in, running_guard
from guarded_people import Team, team_at_work

from synthscars.records import ImageRecord
from synthscars.workspace import Workspace


@pytest.fixture(scope="module")
def team(served: tuple[Workspace, list[ImageRecord]]) -> Iterator[Team]:
    """Two annotators, an adjudicator and a manager, and a queue for each annotator."""
    with team_at_work(*served) as made:
        yield made


@pytest.fixture(scope="module")
def url(team: Team) -> Iterator[str]:
    """Where the guard answers."""
    with running_guard(team.workspace, team.owner.url) as address:
        yield address


@pytest.fixture(scope="module")
def sessions(team: Team, url: str) -> Iterator[dict[str, httpx.Client]]:
    """Everybody, by name, as they are logged in through the guard."""
    made = {name: log_in(url, team.email(name), team.password(name)) for name in team.people}
    yield made
    for session in made.values():
        session.close()
