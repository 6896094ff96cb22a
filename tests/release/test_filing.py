"""The files of a release: the same bytes however they came about."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from folders import folder_bytes
from releasing import add_records, filled_workspace, without_figures

from synthscars.problems import Problems, WorkspaceError
from synthscars.release import build_release
from synthscars.release import filing as filing_module
from synthscars.release import write as write_module
from synthscars.workspace import Workspace


def built(workspace: Workspace, version: str | None = "1.0.0") -> dict[str, bytes]:
    problems = Problems()
    report = build_release(workspace, version, problems, workers=2)
    assert not problems.failed
    return folder_bytes(report.path)


def second_batch(root: Path) -> Workspace:
    """A workspace with a release and more images than that."""
    workspace = filled_workspace(root, 8)
    built(workspace)
    add_records(workspace, range(20))
    return workspace


@pytest.mark.parametrize("room", [0, 5_000])
def test_records_that_there_is_no_room_for_are_read_again(
    tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = built(without_figures(filled_workspace(tmp_path / "a")))
    monkeypatch.setattr(filing_module, "_KEPT_BYTES", room)
    monkeypatch.setattr(filing_module, "_TOGETHER", 3)
    assert built(without_figures(filled_workspace(tmp_path / "b"))) == expected


def test_figures_are_the_same_whether_the_version_was_named_or_had_to_be_found(tmp_path: Path) -> None:
    found = built(second_batch(tmp_path / "a"), None)
    assert {"figures/examples.jpg", "figures/sizes.png"} <= found.keys()
    assert built(second_batch(tmp_path / "b"), "1.1.0") == found


def test_figures_are_drawn_once_in_the_thread_that_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, threads = write_module.draw_figures, []

    def watched(*arguments: object, **options: object) -> object:
        threads.append(threading.current_thread())
        return draw(*arguments, **options)

    monkeypatch.setattr(write_module, "draw_figures", watched)
    monkeypatch.setattr("synthscars.release.card.draw_figures", watched)
    workspace = second_batch(tmp_path / "w")
    assert threads == [threading.current_thread()]
    built(workspace, "1.1.0")
    built(workspace, "2.0.0")
    assert threads == [threading.current_thread()] * 3


def test_a_disk_that_is_full_when_the_figures_are_drawn_costs_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = built(filled_workspace(tmp_path / "a"))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    workspace = filled_workspace(tmp_path / "b")
    with monkeypatch.context() as patched:
        patched.setattr(write_module, "draw_figures", full)
        with pytest.raises(WorkspaceError, match="the disk is full"):
            built(workspace)
    kept = {path.name: path.stat().st_ino for path in workspace.releases_dir.glob(".building/data/*.parquet")}
    assert kept
    assert built(workspace) == expected
    data = workspace.release_dir("1.0.0") / "data"
    assert kept.items() <= {path.name: path.stat().st_ino for path in data.iterdir()}.items()
