"""`synthscars legion serve`: calls that cannot work say so before a model is loaded."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from synthscars.cli import main
from synthscars.workspace import Workspace


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["legion", "serve", "model", *map(str, arguments)])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return Workspace.create(tmp_path / "scars").root


def test_it_wants_to_know_where_the_images_are() -> None:
    result = run()
    assert result.exit_code == 2
    assert "--workspace" in result.stderr


def test_a_label_studio_needs_a_token_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNTHSCARS_LABEL_STUDIO_TOKEN", raising=False)
    result = run("--label-studio", "http://127.0.0.1:8080")
    assert result.exit_code == 2
    assert "SYNTHSCARS_LABEL_STUDIO_TOKEN" in result.stderr


def test_a_port_that_is_taken_is_named(workspace: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("--workspace", workspace, "--port", port)
    assert result.exit_code == 3
    assert f"port {port}" in result.stderr


def test_what_is_no_checkpoint_is_named(workspace: Path) -> None:
    result = run("--workspace", workspace, "--port", 0)
    assert result.exit_code == 2
    assert "config.json" in result.stderr
