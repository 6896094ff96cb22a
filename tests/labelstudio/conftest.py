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
