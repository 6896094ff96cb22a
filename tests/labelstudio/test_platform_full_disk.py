"""A disk that is really full: a small file system of its own, with the whole platform on it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from guarded_people import drawn
from migrated import with_tables
from platform_checks import server_tasks, unpacked
from platform_images import fill

from synthscars.cli import main
from synthscars.labelstudio.assignment import assigned_projects
from synthscars.labelstudio.backup import FOLDER_NAME
from synthscars.labelstudio.client import connect
from synthscars.labelstudio.people import Person, add_person
from synthscars.labelstudio.project import Project, find_project
from synthscars.labelstudio.pull import EXPORT_SUFFIX
from synthscars.labelstudio.restoring import extract
from synthscars.labelstudio.roles import set_role
from synthscars.labelstudio.server import stop
from synthscars.labelstudio.service import find_companion, stop_companion
from synthscars.labelstudio.tasks import list_tasks
from synthscars.settings import CONFIG_NAME
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.slow]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 48 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(folder)]
        done = subprocess.run(mount, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("a small file system needs the program `mount`")
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here (root may): {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def running(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = small / "scars"
    Workspace.create(folder, "small scars")
    settings = folder / CONFIG_NAME
    # The companion's own pull would be in the way of ours.
    settings.write_text(settings.read_text().replace("# reconcile_minutes = 10", "reconcile_minutes = 0"))
    workspace = Workspace.open(folder)
    assert workspace.settings.platform.reconcile_minutes == 0
    fill(with_tables(workspace, tmp_path_factory), 4)
    try:
        assert command(workspace, "up") == (0, "")
        yield workspace
    finally:
        stop_companion(workspace)
        stop(workspace)


def command(workspace: Workspace, *arguments: str) -> tuple[int, str]:
    """The exit code of a command, and what it said was wrong."""
    done = CliRunner().invoke(main, ["platform", *arguments, "--workspace", str(workspace.root)])
    return done.exit_code, " ".join(done.stderr.split()) if done.exit_code else ""


def submit(workspace: Workspace, person: Person, task: int) -> httpx.Response:
    companion = find_companion(workspace)
    assert companion is not None
    return httpx.post(
        f"{companion.local_url}/api/tasks/{task}/annotations",
        json=drawn(),
        headers={"Authorization": f"Token {person.account.token}"},
        trust_env=False,
        timeout=60,
    )


def fill_up(path: Path) -> None:
    """Write until nothing more goes in, to the last byte."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    assert shutil.disk_usage(path).free == 0


def kept(workspace: Workspace) -> dict[Path, bytes]:
    """Everything but what the server and the companion write themselves."""
    folders = (workspace.exports_dir, workspace.records_dir, workspace.index_dir, workspace.images_dir)
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    found += workspace.platform_dir.glob("*.json")
    return {path: path.read_bytes() for path in found}


def test_a_full_disk_is_told_damages_nothing_and_is_made_up_for(
    running: Workspace, small: Path, tmp_path: Path
) -> None:
    workspace = running
    owner = connect(workspace)
    nia = add_person(workspace, owner, "nia@example.org")
    set_role(workspace, nia.account.email, "annotator", nia.id)
    for name in ("push", "assign", "pull"):
        assert command(workspace, name) == (0, "")
    (queue,) = [Project(one.id, one.title) for one in assigned_projects(workspace) if one.rater]
    tasks = [task.id for task in list_tasks(owner, queue)]
    assert submit(workspace, nia, tasks[0]).status_code == 201
    fill(workspace, 3, first=10)
    before = kept(workspace)
    fill_up(small / "ballast")
    refused = submit(workspace, nia, tasks[1])
    assert refused.status_code == 503
    assert "leave it open" in refused.text
    for name in ("pull", "push", "backup"):
        code, said = command(workspace, name)
        assert code == 3, said
        assert "full" in said
        assert str(small) in said
        assert "run it again" in said or "run the command again" in said
        assert "restore" not in said
        assert kept(workspace) == before, name
    (small / "ballast").unlink()
    for name in ("push", "pull", "backup"):
        assert command(workspace, name) == (0, "")
    assert submit(workspace, nia, tasks[1]).status_code == 201
    common = find_project(owner, workspace)
    assert common is not None
    assert sorted(task.image_id for task in list_tasks(owner, common)) == sorted(
        image.image_id for image in workspace.images()
    )
    exports = workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX)
    answered = [task["id"] for task in unpacked(exports[-1]) if task["annotations"]]
    assert answered == [tasks[0]]
    there = [number for number, task in server_tasks(owner, workspace).items() if task["annotations"]]
    assert sorted(there) == sorted(tasks[:2])
    (made,) = (workspace.root / FOLDER_NAME).iterdir()
    target = tmp_path / "extracted"
    target.mkdir()
    assert extract(made, target).members
