import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from synthscars.labelstudio import environment, processes
from synthscars.labelstudio.environment import LABEL_STUDIO_VERSION, ensure_environment, executable, is_ready
from synthscars.problems import PlatformError


def make_by_hand(folder: Path, version: str = LABEL_STUDIO_VERSION) -> None:
    command = executable(folder)
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    (folder / f"lib/python3.11/site-packages/label_studio-{version}.dist-info").mkdir(parents=True)


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache" / "env"
    monkeypatch.setenv(environment.ENVIRONMENT_VARIABLE, str(folder))
    return folder


def test_the_place_is_the_users_cache_unless_the_variable_names_another(
    chosen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert environment.environment_path() == chosen
    monkeypatch.delenv(environment.ENVIRONMENT_VARIABLE)
    assert environment.environment_path().name == f"label-studio-{LABEL_STUDIO_VERSION}"


def test_an_environment_made_by_hand_is_used_as_it_is(chosen: Path) -> None:
    make_by_hand(chosen)
    before = sorted(chosen.rglob("*"))
    assert ensure_environment(print) == chosen
    assert sorted(chosen.rglob("*")) == before


def test_another_version_does_not_count_and_a_foreign_folder_is_never_removed(chosen: Path) -> None:
    make_by_hand(chosen, "1.0.0")
    assert not is_ready(chosen)
    with pytest.raises(PlatformError, match="in the way"):
        ensure_environment(print)
    assert executable(chosen).exists()


def test_a_half_made_environment_is_made_again(chosen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_by_hand(chosen)
    (chosen / "leftover").write_text("half")
    (chosen / "synthscars-environment.json").write_text('{"state": "installing"}')
    assert not is_ready(chosen)

    def install(command: list[str], failure: str, folder: Path, say: object) -> None:
        if "pip" in command:
            make_by_hand(folder)

    monkeypatch.setattr(environment, "_run", install)
    assert ensure_environment(print) == chosen
    assert is_ready(chosen)
    assert not (chosen / "leftover").exists()


def test_two_at_once_install_once(chosen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Path] = []

    def install(folder: Path, say: object) -> None:
        runs.append(folder)
        time.sleep(0.2)
        make_by_hand(folder)

    monkeypatch.setattr(environment, "_install", install)
    threads = [threading.Thread(target=ensure_environment, args=(print,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs == [chosen]


@pytest.mark.slow
def test_a_failed_installation_says_what_pip_said_and_is_tried_again(
    chosen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "LABEL_STUDIO_VERSION", "0.0.0.dev404")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for _ in range(2):
        with pytest.raises(PlatformError, match="No matching distribution found") as caught:
            ensure_environment(print)
        assert "python3-venv" in caught.value.fix
        assert not is_ready(chosen)


def test_what_a_killed_installation_left_running_is_ended_first(
    chosen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen.mkdir(parents=True)
    # The name of the folder on its command line marks it as ours.
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", str(chosen)])
    while str(chosen) not in processes.command_line(orphan.pid):
        time.sleep(0.01)  # just after its start a process has no command line yet
    (chosen / "synthscars-environment.json").write_text(
        json.dumps({"state": "installing", "pid": orphan.pid})
    )
    monkeypatch.setattr(environment, "_run", lambda command, failure, folder, say: None)
    with pytest.raises(PlatformError, match="no label-studio command"):
        ensure_environment(print)
    assert not processes.exists(orphan.pid)


def test_a_stranger_with_the_same_number_is_left_alone(chosen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen.mkdir(parents=True)
    (chosen / "synthscars-environment.json").write_text(
        json.dumps({"state": "installing", "pid": os.getpid()})
    )
    monkeypatch.setattr(environment, "_run", lambda command, failure, folder, say: None)
    with pytest.raises(PlatformError):
        ensure_environment(print)  # had it ended the process of that number, this test would not go on
