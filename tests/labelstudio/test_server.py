import json
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from synthscars.labelstudio import environment, processes, server
from synthscars.labelstudio.client import connect
from synthscars.labelstudio.credentials import load_credentials
from synthscars.labelstudio.environment import ENVIRONMENT_VARIABLE, LABEL_STUDIO_VERSION, executable
from synthscars.problems import PlatformError
from synthscars.workspace import Workspace

# Stands in for Label Studio where only starting, finding and stopping a process is tested.
STAND_IN = f"""#!{sys.executable}
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'{{"status": "UP"}}')
    def log_message(self, *arguments): pass
print("arguments", json.dumps(sys.argv[1:]), flush=True)
port = int(sys.argv[sys.argv.index("--port") + 1])
taken = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "taken")
if os.path.exists(taken) and port == int(open(taken).read()):
    port = 0  # as Label Studio does when the port was taken meanwhile
server = http.server.HTTPServer(("127.0.0.1", port), Handler)
print(f"Starting development server at http://127.0.0.1:{{server.server_port}}/", flush=True)
server.serve_forever()
"""


def install(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = executable(folder)
    command.parent.mkdir(parents=True)
    command.write_text(script)
    command.chmod(0o755)
    (folder / f"lib/python3.11/site-packages/label_studio-{LABEL_STUDIO_VERSION}.dist-info").mkdir(
        parents=True
    )
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(folder))


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "env", STAND_IN, monkeypatch)


def test_a_server_is_started_found_and_stopped(workspace: Workspace, stand_in: None) -> None:
    assert server.find(workspace) is None
    running, started = server.start(workspace, print)
    try:
        assert started
        assert server.find(workspace) == running
        assert server.is_healthy(running)
        assert server.start(workspace, print) == (running, False)
    finally:
        assert server.stop(workspace)
    assert not processes.exists(running.pid)
    assert server.find(workspace) is None
    assert not server.stop(workspace)


def test_neither_command_line_nor_log_hold_a_secret(workspace: Workspace, stand_in: None) -> None:
    running, _ = server.start(workspace, print)
    try:
        owner = load_credentials(workspace.platform_dir).owner
        shown = processes.command_line(running.pid) + server.log_tail(workspace.platform_dir)
        assert "--internal-host 127.0.0.1" in processes.command_line(running.pid)
        assert owner.token not in shown
        assert owner.password not in shown
        mode = (workspace.platform_dir / server.LOG_NAME).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
    finally:
        server.stop(workspace)


def test_a_busy_port_is_left_and_said_so(workspace: Workspace, stand_in: None) -> None:
    said: list[str] = []
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        wanted = busy.getsockname()[1]
        running, _ = server.start(workspace, said.append, port=wanted)
        server.stop(workspace)
    assert running.port != wanted
    assert any(f"port {wanted} is in use" in line and str(running.port) in line for line in said)


def test_a_port_that_cannot_be_had_because_it_runs_on_another_is_said_so(
    workspace: Workspace, stand_in: None
) -> None:
    running, _ = server.start(workspace, print)
    said: list[str] = []
    try:
        assert server.start(workspace, said.append, port=running.port) == (running, False)
        assert said == []
        assert server.start(workspace, said.append, port=running.port + 1) == (running, False)
    finally:
        server.stop(workspace)
    assert f"port {running.port}: port {running.port + 1} is ignored" in said[0]
    assert "`synthscars platform down`" in said[1]
    assert f"--port {running.port + 1}`" in said[1]


def test_nothing_is_installed_or_started_without_the_libraries_that_speak_to_the_server(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        environment, "find_spec", lambda name: None if name == "label_studio_sdk" else object()
    )
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "env"))
    said: list[str] = []
    for call in (lambda: server.start(workspace, said.append), lambda: connect(workspace)):
        with pytest.raises(PlatformError, match="label-studio-sdk is not installed") as caught:
            call()
        assert "[platform]" in caught.value.fix
    assert said == []
    assert not (tmp_path / "env").exists()
    assert not workspace.platform_dir.exists()


def test_a_server_that_had_to_move_is_started_again_where_we_know_it(
    workspace: Workspace, tmp_path: Path, stand_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Workspace.create(tmp_path / "other")
    said: list[str] = []
    first, _ = server.start(other, print)
    try:
        # Both chose the port while it was free; the other server was quicker, and answers there.
        monkeypatch.setattr(server, "_can_bind", lambda port: True)
        (tmp_path / "env/bin/taken").write_text(str(first.port))
        second, _ = server.start(workspace, said.append, port=first.port)
        try:
            assert second.port != first.port
            assert server.is_healthy(second)
            assert server.find(workspace) == second
            assert any("meanwhile another program took port" in line for line in said)
            assert processes.variable(second.pid, "LABEL_STUDIO_HOST") == second.url
        finally:
            server.stop(workspace)
    finally:
        server.stop(other)


def test_a_server_that_a_killed_start_left_behind_is_replaced(workspace: Workspace, stand_in: None) -> None:
    running, _ = server.start(workspace, print)
    note = {"pid": running.pid, "port": running.port, "ready": False}
    (workspace.platform_dir / "server.json").write_text(json.dumps(note))
    assert server.find(workspace) is None
    again, started = server.start(workspace, print)
    server.stop(workspace)
    assert started
    assert again.pid != running.pid
    assert not processes.exists(running.pid)


def test_a_server_that_dies_leaves_its_last_words(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "env", "#!/bin/sh\necho the database is damaged >&2\nexit 3\n", monkeypatch)
    with pytest.raises(PlatformError, match="the database is damaged"):
        server.start(workspace, print)
    assert server.find(workspace) is None


def test_notes_about_a_dead_server_are_not_believed(workspace: Workspace) -> None:
    workspace.platform_dir.mkdir()
    # The number belongs to a living process, but not to a server of this workspace.
    note = {"pid": os.getpid(), "port": 8080, "version": LABEL_STUDIO_VERSION, "ready": True}
    (workspace.platform_dir / "server.json").write_text(json.dumps(note))
    assert server.find(workspace) is None
    assert not server.stop(workspace)  # had it believed them, it would have ended this very test
    with pytest.raises(PlatformError, match="not running"):
        server.require(workspace)


def test_a_workspaces_server_is_not_taken_for_anothers(
    workspace: Workspace, tmp_path: Path, stand_in: None
) -> None:
    other = Workspace.create(tmp_path / "other")
    running, _ = server.start(workspace, print)
    try:
        other.platform_dir.mkdir()
        note = (workspace.platform_dir / "server.json").read_bytes()
        (other.platform_dir / "server.json").write_bytes(note)
        assert server.find(other) is None
        assert not server.stop(other)
        assert server.find(workspace) == running
    finally:
        server.stop(workspace)


def test_the_servers_settings_are_ours_whatever_the_callers_are(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_BASE_DATA_DIR", "/elsewhere")
    monkeypatch.setenv("LABEL_STUDIO_PORT", "1")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("DJANGO_DB", "default")  # Label Studio takes it without its prefix as well
    monkeypatch.setenv("HF_TOKEN", "hush")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    owner = server.ensure_credentials(workspace.platform_dir).owner
    variables = server.server_environment(workspace, owner, 8080)
    assert variables["LABEL_STUDIO_BASE_DATA_DIR"] == str(workspace.platform_dir)
    assert "LABEL_STUDIO_PORT" not in variables
    assert not variables.keys() & {"PYTHONPATH", "DJANGO_DB", "HF_TOKEN"}
    assert variables["LC_ALL"] == "C.UTF-8"
    assert "PATH" in variables
    assert variables["COLLECT_ANALYTICS"] == variables["LATEST_VERSION_CHECK"] == "false"
    assert variables["SENTRY_DSN"] == variables["FRONTEND_SENTRY_DSN"] == ""
    assert variables["LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK"] == "true"


def test_the_served_folder_shows_the_images_and_nothing_else(workspace: Workspace) -> None:
    link = server.served_images(workspace)
    assert link.resolve() == workspace.images_dir
    assert [path.name for path in link.parent.iterdir()] == ["images"]
    moved = workspace.root.with_name("moved")
    workspace.root.rename(moved)
    again = server.served_images(Workspace.open(moved))
    assert again.resolve() == moved / "images"
