"""A workspace with images, and its companion's own routes."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthscars.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "scars", "test scars")
