"""A workspace, and a real server for the tests that need one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from platform_images import fill

from synthscars.records import ImageRecord
from synthscars.workspace import Workspace

IMAGES = 5


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "scars", "test scars")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, list[ImageRecord]]]:
    """A workspace with five simulated images whose Label Studio runs, and the truth about the images.

    One server for all test modules: its first start takes half a minute.
    """
    from synthscars.labelstudio.server import start, stop

    workspace = Workspace.create(tmp_path_factory.mktemp("platform") / "scars", "test scars")
    truth = fill(workspace, IMAGES)
    try:
        start(workspace, print)
        yield workspace, truth
    finally:
        stop(workspace)


RATERS = ("ada@example.org", "ben@example.org", "cleo@example.org")


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, list[ImageRecord]]]:
    """A workspace with twelve images and three raters whose Label Studio runs; nothing is pushed."""
    from synthscars.labelstudio.client import connect
    from synthscars.labelstudio.people import add_person
    from synthscars.labelstudio.project import ensure_project
    from synthscars.labelstudio.server import start, stop

    workspace = Workspace.create(tmp_path_factory.mktemp("team") / "scars", "team <b>&")
    truth = fill(workspace, 12)
    try:
        start(workspace, print)
        client = connect(workspace)
        ensure_project(client, workspace)
        for rater in RATERS:
            add_person(workspace, client, rater)
        yield workspace, truth
    finally:
        stop(workspace)
