"""A workspace, and a real server for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import browser
from migrated import with_tables
from platform_images import fill
from postgres import missing, running_postgres

from synthscars.records import ImageRecord
from synthscars.workspace import Workspace

IMAGES = 5


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "scars", "test scars")


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of a real browser."""
    with browser() as running:
        yield running.new_page(viewport={"width": 1440, "height": 900})


@pytest.fixture(scope="module")
def postgres() -> Iterator[Path]:
    """The folder of the socket of a PostgreSQL server."""
    if why := missing():
        pytest.skip(why)
    with running_postgres() as folder:
        yield folder


Served = tuple[Workspace, list[ImageRecord]]


@contextmanager
def serving(folders: pytest.TempPathFactory, name: str) -> Iterator[Served]:
    """A workspace with five simulated images whose Label Studio runs, and the truth about the images."""
    from synthscars.labelstudio.server import start, stop
    from synthscars.labelstudio.service import stop_companion

    workspace = with_tables(Workspace.create(folders.mktemp(name) / "scars", "test scars"), folders)
    truth = fill(workspace, IMAGES)
    try:
        start(workspace, print)
        yield workspace, truth
    finally:
        stop_companion(workspace)  # which `platform up` starts
        stop(workspace)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all test modules that do not mind each other."""
    with serving(tmp_path_factory, "platform") as served:
        yield served


@pytest.fixture(scope="module")
def served_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One for a module that counts everybody and everything on the server."""
    with serving(tmp_path_factory, "alone") as served:
        yield served


RATERS = ("ada@example.org", "ben@example.org", "cleo@example.org")


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, list[ImageRecord]]]:
    """Twelve images, three raters and Label Studio, for one module alone: who assigns changes all queues."""
    from synthscars.labelstudio.client import connect
    from synthscars.labelstudio.people import add_person
    from synthscars.labelstudio.project import ensure_project
    from synthscars.labelstudio.server import start, stop
    from synthscars.labelstudio.service import stop_companion

    folder = tmp_path_factory.mktemp("team") / "scars"
    workspace = with_tables(Workspace.create(folder, "team <b>&"), tmp_path_factory)
    truth = fill(workspace, 12)
    try:
        # As `platform up` starts it, which would else move it to another port.
        start(workspace, print, public_url="")
        client = connect(workspace)
        ensure_project(client, workspace)
        for rater in RATERS:
            add_person(workspace, client, rater)
        yield workspace, truth
    finally:
        stop_companion(workspace)
        stop(workspace)
