"""Databases with Label Studio's tables, which a first start takes half a minute to make.

They are made once for all tests of a run, by Label Studio itself, and copied into new workspaces. Without
users and projects: those come from our own first start, as anywhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

from synthscars.files import atomic_file
from synthscars.labelstudio.credentials import ensure_credentials
from synthscars.labelstudio.database import SQLITE_NAME
from synthscars.labelstudio.environment import ensure_environment, executable
from synthscars.labelstudio.server import server_environment
from synthscars.workspace import Workspace


def with_tables(workspace: Workspace, folders: pytest.TempPathFactory) -> Workspace:
    """The same workspace, new until now, with a database."""
    base = folders.getbasetemp()
    # Each worker of xdist has a folder of its own in the one of the run.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    template = shared / "label-studio.sqlite3"
    with FileLock(shared / "label-studio.lock"):
        if not template.exists():
            _make(Workspace.create(base / "template", "template"), template)
    workspace.platform_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # In our order: a database without the owner's secrets would be somebody else's.
    ensure_credentials(workspace.platform_dir)
    shutil.copyfile(template, workspace.platform_dir / SQLITE_NAME)
    return workspace


def _make(workspace: Workspace, target: Path) -> None:
    environment = ensure_environment(print)
    folder = workspace.platform_dir
    folder.mkdir(mode=0o700)
    variables = server_environment(workspace, ensure_credentials(folder).owner, port=8080)
    python = executable(environment).with_name("python")
    (manage,) = environment.glob("lib/python*/site-packages/label_studio/manage.py")
    command = [str(python), str(manage), "migrate", "--no-color", "--verbosity", "0"]
    subprocess.run(
        command, check=True, env=variables, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    with atomic_file(target) as file, (folder / SQLITE_NAME).open("rb") as made:
        shutil.copyfileobj(made, file)
