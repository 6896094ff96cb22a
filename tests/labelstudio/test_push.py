import json

import httpx
import pytest
from click.testing import CliRunner
from platform_images import fill

from synthscars.cli import main
from synthscars.labelstudio import client as client_module
from synthscars.labelstudio import project as project_module
from synthscars.labelstudio import server as server_module
from synthscars.labelstudio import service as service_module
from synthscars.labelstudio import status as status_module
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.push import push
from synthscars.labelstudio.server import Server
from synthscars.labelstudio.status import PlatformStatus
from synthscars.problems import Problems, WorkspaceError
from synthscars.workspace import Workspace


def test_what_is_sent_names_neither_the_file_nor_the_prompt_nor_the_generator(workspace: Workspace) -> None:
    truth = fill(workspace, 2)
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            sent.append(request.content)
            return httpx.Response(201, json={})
        return httpx.Response(200, json={"tasks": [], "total": 0})

    client = Client("http://127.0.0.1:9", "f" * 40)
    client.http = httpx.Client(base_url=client.url, transport=httpx.MockTransport(answer))
    assert push(client, Project(1, "scars"), workspace, Problems()).pushed == 2
    (body,) = sent
    assert [set(task["data"]) for task in json.loads(body)] == [{"image", "image_id", "width", "height"}] * 2
    for record in truth:
        assert record.generation is not None
        for secret in (record.file_name, record.generation.prompt, record.generation.model):
            assert secret
            assert secret.encode() not in body


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """`platform up` without a server: what it calls is recorded by the tests that need it."""
    running = PlatformStatus(running=True, tasks=0, started=0, annotations=0, skipped=0)
    monkeypatch.setattr(server_module, "start", lambda *_: (Server(pid=1, port=8080), True))
    monkeypatch.setattr(service_module, "start_companion", lambda _, planned, __: (planned, True))
    monkeypatch.setattr(client_module, "connect", lambda _: None)
    monkeypatch.setattr(status_module, "platform_status", lambda _: running)


def test_the_workspace_is_held_while_the_project_is_made(
    workspace: Workspace, no_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[WorkspaceError] = []

    def ensure_project(_client: Client, held: Workspace) -> None:
        with pytest.raises(WorkspaceError, match="another synthscars command") as caught, held.lock():
            pass
        refused.append(caught.value)

    monkeypatch.setattr(project_module, "ensure_project", ensure_project)
    monkeypatch.setattr(project_module, "refresh_webhooks", lambda *_: None)
    result = CliRunner().invoke(main, ["platform", "up", "-w", str(workspace.root)])
    assert result.exit_code == 0, result.output
    assert len(refused) == 1
    with workspace.lock():
        pass


def test_counters_are_told_also_when_they_are_zero_and_not_made_up_when_nobody_can_ask(
    workspace: Workspace, no_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = ("tasks", "started", "annotations", "skipped")
    for expected in (0, None):
        result = CliRunner().invoke(main, ["platform", "status", "-w", str(workspace.root), "--json"])
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        assert [said[name] for name in counters] == [expected] * 4
        monkeypatch.undo()
