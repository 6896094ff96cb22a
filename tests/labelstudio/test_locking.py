"""Who comes second, while another command writes to the workspace, waits for it and says so."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest
from click.testing import CliRunner

from synthscars.cli import main
from synthscars.labelstudio import locking
from synthscars.problems import WorkspaceError
from synthscars.workspace import Workspace


def test_it_waits_for_the_first_and_says_at_once_for_whom(workspace: Workspace) -> None:
    said: list[str] = []
    with ExitStack() as first:
        first.enter_context(workspace.lock())
        ended = threading.Timer(0.5, first.close)
        ended.start()
        begun = time.monotonic()
        with locking.workspace_lock(workspace, said.append):
            assert time.monotonic() - begun >= 0.4
        ended.join()
    assert len(said) == 1
    assert said[0].startswith("waiting: another synthscars command is writing to")
    with workspace.lock():
        pass  # it was let go


def test_nobody_is_told_anything_when_there_is_nobody_to_wait_for(workspace: Workspace) -> None:
    said: list[str] = []
    with locking.workspace_lock(workspace, said.append), pytest.raises(WorkspaceError), workspace.lock():
        pass
    assert said == []


def test_it_does_not_wait_for_ever(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "PATIENCE", 0.3)
    refused = pytest.raises(WorkspaceError, match="another synthscars command")
    with workspace.lock(), refused, locking.workspace_lock(workspace):
        raise AssertionError("it was let in")


def test_what_goes_wrong_inside_is_not_taken_for_a_lock(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="of its own"), locking.workspace_lock(workspace):
        raise WorkspaceError("of its own")


def test_a_command_tells_on_the_other_output(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "PATIENCE", 0)
    with workspace.lock():
        refused = CliRunner().invoke(main, ["platform", "assign", "--dry-run", "-w", str(workspace.root)])
    assert refused.exit_code == 3
    assert "wait until it has finished" in refused.stderr
    assert refused.stdout == ""
