"""A small sound release to plant faults in; `datasets` must not ask the network while it opens folders."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hub import Hub

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a release without a fault; not to be changed."""
    from releasing import filled_workspace

    from synthscars.problems import Problems
    from synthscars.release import build_release

    workspace = filled_workspace(tmp_path_factory.mktemp("check") / "w")
    build_release(workspace, "1.0.0", Problems())
    return workspace.release_dir("1.0.0")


@pytest.fixture
def release(sound: Path, tmp_path: Path) -> Path:
    """A copy of it that may be changed."""
    return Path(shutil.copytree(sound, tmp_path / "1.0.0"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[Hub]":
    """A running Hub with the dataset `org/scars`, and no waiting between attempts."""
    from hub import running_hub

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with running_hub(tmp_path / "hub") as running:
        running.create("org/scars")
        yield running
