"""A backup of a real Label Studio while it runs, restored into a copy of the workspace."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from synthscars.cli import main
from synthscars.labelstudio import server
from synthscars.labelstudio.client import connect
from synthscars.labelstudio.credentials import load_credentials
from synthscars.labelstudio.people import add_person, submit
from synthscars.labelstudio.project import ensure_project
from synthscars.labelstudio.push import push
from synthscars.labelstudio.tasks import list_tasks
from synthscars.problems import Problems
from synthscars.records import ImageRecord, Review
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.slow]


def test_an_answer_is_there_after_backup_and_restore(
    served: tuple[Workspace, list[ImageRecord]], tmp_path: Path
) -> None:
    workspace, truth = served
    client = connect(workspace)
    project = ensure_project(client, workspace)
    push(client, project, workspace, Problems())
    task = next(task for task in list_tasks(client, project) if task.image_id == truth[0].image_id)
    ada = add_person(workspace, client, "ada@example.org")
    review = Review(rater_id=ada.rater_id, status="annotated", content_type="human", scene="kept 🖐")
    size = {"width": truth[0].width, "height": truth[0].height}
    submit(ada, task.id, review, truth[0].artifacts, **size)
    before = client.request("GET", f"/api/tasks/{task.id}/")["annotations"]
    # Other tests may have answered this image as well.
    authors = [one["completed_by"]["id"] for one in before]
    assert ada.id in authors

    assert server.find(workspace) is not None
    archive = tmp_path / "scars.tar.zst"
    command = ["platform", "backup", "--output", str(archive), "--json", "-w", str(workspace.root)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["database"] == "sqlite"
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    refused = CliRunner().invoke(
        main, ["platform", "restore", str(archive), "--force", "-w", str(workspace.root)]
    )
    assert refused.exit_code == 3
    assert "platform down" in refused.output
    # What happens after the backup must not be in it.
    submit(ada, task.id, review, [], **size)

    copy = tmp_path / "copy"
    shutil.copytree(workspace.root, copy, ignore=shutil.ignore_patterns("platform", ".lock"))
    result = CliRunner().invoke(main, ["platform", "restore", str(archive), "--json", "-w", str(copy)])
    assert result.exit_code == 0, result.output
    restored = Workspace.open(copy)
    assert load_credentials(restored.platform_dir) == load_credentials(workspace.platform_dir)
    for path in restored.platform_dir.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    server.start(restored, print, port=0)
    try:
        there = connect(restored)
        after = there.request("GET", f"/api/tasks/{task.id}/")["annotations"]
        assert [one["result"] for one in after] == [one["result"] for one in before]
        assert [one["completed_by"]["id"] for one in after] == authors
        # Ada's own token works there too.
        assert ada.account.token
        again = add_person(restored, there, ada.account.email)
        assert again.client.request("GET", "/api/current-user/whoami")["email"] == ada.account.email
    finally:
        server.stop(restored)
