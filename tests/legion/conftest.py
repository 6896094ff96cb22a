"""What the tests of LEGION share: a release of simulated images, drawn once."""

from __future__ import annotations

from pathlib import Path

import pytest
from releasing import without_figures

from synthscars.ingest import ingest
from synthscars.jsonl import write_records
from synthscars.problems import Problems
from synthscars.release.build import build_release
from synthscars.simulate import read_truth, write_simulated
from synthscars.workspace import Workspace


@pytest.fixture(scope="session")
def drawn_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a release of 24 simulated images and 6 photographs."""
    root = tmp_path_factory.mktemp("scars")
    truth = write_simulated(root / "drawn", 24, seed=3, photographs=6)
    workspace = without_figures(Workspace.create(root / "workspace", "drawn"))
    ingest(workspace, [root / "drawn" / "images"], Problems())
    ingest(workspace, [root / "drawn" / "photographs"], Problems(), origin="real")
    write_records(workspace.next_numbered(workspace.records_dir, ".jsonl.zst"), read_truth(truth))
    build_release(workspace, "1.0.0", Problems(), check=False)
    return workspace.release_dir("1.0.0")
