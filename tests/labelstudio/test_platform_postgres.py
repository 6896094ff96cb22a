"""Label Studio on PostgreSQL, by one setting: the whole way through the commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from platform_images import fill
from postgres import USER, sql

from synthscars.cli import main
from synthscars.labelstudio.client import connect
from synthscars.labelstudio.database import SQLITE_NAME
from synthscars.labelstudio.people import add_person, submit
from synthscars.labelstudio.project import ensure_project
from synthscars.labelstudio.tasks import list_tasks
from synthscars.records import ImageRecord, Review
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.slow]


def run(workspace: Workspace, *command: str) -> dict[str, Any]:
    """What a command of the platform says as JSON."""
    done = CliRunner().invoke(main, ["platform", *command, "--json", "-w", str(workspace.root)])
    assert done.exit_code == 0, done.output
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def scars(
    postgres: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Workspace, list[ImageRecord]]]:
    """A workspace whose settings name a database of PostgreSQL, and the truth about its images."""
    workspace = Workspace.create(tmp_path_factory.mktemp("postgres") / "scars", "scars")
    config = workspace.root / "synthscars.toml"
    setting = f'[platform]\ndatabase = "postgresql://{USER}@/label_studio?host={postgres}"\n'
    config.write_text(config.read_text().replace("[platform]\n", setting))
    workspace = Workspace.open(workspace.root)
    truth = fill(workspace, 3)
    yield workspace, truth
    CliRunner().invoke(main, ["platform", "down", "-w", str(workspace.root)])


def test_answers_are_kept_in_postgresql(
    scars: tuple[Workspace, list[ImageRecord]], postgres: Path, tmp_path: Path
) -> None:
    workspace, truth = scars
    # Nobody has made the database yet, and nothing of that may end in a traceback.
    refused = CliRunner().invoke(main, ["platform", "up", "-w", str(workspace.root)])
    assert refused.exit_code == 3
    assert 'database "label_studio" does not exist' in refused.output
    assert "Traceback" not in refused.output
    sql(postgres, "postgres", "create database label_studio")
    run(workspace, "up")
    assert not (workspace.platform_dir / SQLITE_NAME).exists()
    assert run(workspace, "push")["pushed"] == len(truth)

    client = connect(workspace)
    tasks = list(list_tasks(client, ensure_project(client, workspace)))
    ada = add_person(workspace, client, "ada@example.org")
    for record in truth:
        (task,) = (task for task in tasks if task.image_id == record.image_id)
        review = Review(
            rater_id=ada.rater_id,
            status="annotated" if record.artifacts else "clean",
            content_type=record.content_type,
            scene="kept 🖐",
        )
        submit(ada, task.id, review, record.artifacts, width=record.width, height=record.height)
    assert sql(postgres, "label_studio", "select count(*) from task_completion") == str(len(truth))
    assert run(workspace, "pull")["images"] == len(truth)

    archive = tmp_path / "scars.tar.zst"
    assert run(workspace, "backup", "--output", str(archive))["database"] == "postgresql"
    run(workspace, "down")
    run(workspace, "up")
    assert run(workspace, "pull")["images"] == len(truth)
