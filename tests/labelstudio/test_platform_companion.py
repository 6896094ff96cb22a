"""`platform up` with both of its processes: what people get, and what happens when one is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from browser import needs_browser
from click.testing import CliRunner
from guarded_people import drawn
from platform_images import fill

from synthscars.cli import main
from synthscars.companion.signing import signed_path
from synthscars.labelstudio import processes, server
from synthscars.labelstudio.client import connect
from synthscars.labelstudio.companion_file import FILE_NAME, HOOK_HOST, HOOK_PATH, Companion, save_companion
from synthscars.labelstudio.credentials import load_credentials
from synthscars.labelstudio.project import put_project, refresh_webhooks
from synthscars.labelstudio.service import LOG_NAME, find_companion, stop_companion
from synthscars.labelstudio.webhooks import put_webhooks
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.slow]


def run(workspace: Workspace, *arguments: str) -> Any:
    result = CliRunner().invoke(main, ["platform", *arguments, "-w", str(workspace.root), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, list[ImageRecord]]]:
    workspace = Workspace.create(tmp_path_factory.mktemp("companion") / "scars", "test scars")
    truth = fill(workspace, 3)
    try:
        run(workspace, "up")
        run(workspace, "push")
        yield workspace, truth
    finally:
        stop_companion(workspace)
        server.stop(workspace)


def companion_of(workspace: Workspace) -> Companion:
    companion = find_companion(workspace)
    assert companion is not None
    return companion


def wait_until(true: Any) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within a minute")


def health(workspace: Workspace) -> httpx.Response:
    return httpx.get(f"{companion_of(workspace).url}/companion/health", trust_env=False, timeout=30)


@contextmanager
def logged_in(workspace: Workspace) -> Iterator[httpx.Client]:
    """The owner's session in a browser, without the browser."""
    owner = load_credentials(workspace.platform_dir).owner
    with httpx.Client(base_url=companion_of(workspace).url, trust_env=False, timeout=60) as session:
        session.get("/user/login/").raise_for_status()
        form = {
            "email": owner.email,
            "password": owner.password,
            "csrfmiddlewaretoken": session.cookies.get("csrftoken") or "",
        }
        answer = session.post("/user/login/", data=form, headers={"Referer": str(session.base_url)})
        assert answer.status_code == 302, answer.text
        yield session


def test_people_come_to_the_companion_alone(up: tuple[Workspace, list[ImageRecord]]) -> None:
    workspace, truth = up
    companion, behind = companion_of(workspace), server.require(workspace)
    assert companion.port != behind.port
    assert processes.variable(behind.pid, "LABEL_STUDIO_HOST") == ""  # pages name nothing but paths
    status = run(workspace, "status")
    assert (status["running"], status["companion"], status["url"]) == (True, True, companion.url)
    assert health(workspace).json()["label_studio"] == "UP"
    with logged_in(workspace) as session:
        tasks = session.get("/api/tasks/", params={"project": 1}).json()["tasks"]
        assert len(tasks) == len(truth)
        for task in tasks:
            url = task["data"]["image"]
            assert url == f"/companion/images/{task['data']['image_id']}"
            path = workspace.find_image(task["data"]["image_id"])
            assert path is not None
            assert session.get(url).content == path.read_bytes()
    stranger = httpx.get(f"{companion.url}{url}", trust_env=False)
    assert stranger.status_code == 403
    signed = signed_path(companion.key, truth[0].image_id, int(time.time()) + 60)
    assert httpx.get(f"{companion.url}{signed}", trust_env=False).status_code == 200


def test_its_secrets_are_in_its_file_alone(up: tuple[Workspace, list[ImageRecord]]) -> None:
    workspace, truth = up
    companion = companion_of(workspace)
    signed = signed_path(companion.key, truth[0].image_id, int(time.time()) + 60)
    httpx.get(f"{companion.url}{signed}", trust_env=False)
    with logged_in(workspace) as session:
        cookie = session.cookies["sessionid"]
        session.get(f"/companion/images/{truth[0].image_id}")
    folder = workspace.platform_dir
    for name in (FILE_NAME, LOG_NAME, server.LOG_NAME):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    owner = load_credentials(folder).owner
    texts = [(folder / name).read_text(encoding="utf-8") for name in (LOG_NAME, server.LOG_NAME)]
    texts.append(processes.command_line(companion.pid))
    secrets = [companion.key, companion.hook_secret, owner.password, owner.token, cookie]
    for secret in (*secrets, re.split("signature=", signed)[1]):
        assert secret
        assert not any(secret in text for text in texts)
    for line in texts[0].splitlines():
        assert {"time", "level", "event"} <= json.loads(line).keys()


def test_a_killed_companion_is_started_again_where_it_was(up: tuple[Workspace, list[ImageRecord]]) -> None:
    workspace, truth = up
    before, behind = companion_of(workspace), server.require(workspace)
    signed = signed_path(before.key, truth[0].image_id, int(time.time()) + 600)
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: find_companion(workspace) is None)
    assert run(workspace, "status")["companion"] is False
    assert run(workspace, "up")["companion"] is True
    after = companion_of(workspace)
    assert after.pid != before.pid
    assert (after.url, server.require(workspace)) == (before.url, behind)
    # Addresses that were signed before go on working.
    assert httpx.get(f"{after.url}{signed}", trust_env=False).status_code == 200
    # And what runs is left alone.
    run(workspace, "up")
    assert companion_of(workspace) == after


def test_a_killed_label_studio_is_seen_and_found_again_wherever_it_is(
    up: tuple[Workspace, list[ImageRecord]],
) -> None:
    workspace, _ = up
    before = server.require(workspace)
    os.killpg(before.pid, signal.SIGKILL)
    wait_until(lambda: server.find(workspace) is None)
    seen = health(workspace)
    assert (seen.status_code, seen.json()["status"], seen.json()["label_studio"]) == (503, "DEGRADED", "DOWN")
    page = httpx.get(f"{companion_of(workspace).url}/user/login/", trust_env=False, timeout=60)
    assert page.status_code in (502, 503)
    run(workspace, "up")
    assert server.require(workspace).pid != before.pid
    assert health(workspace).json()["status"] == "UP"
    with logged_in(workspace) as session:
        assert len(session.get("/api/tasks/", params={"project": 1}).json()["tasks"]) == 3


def test_two_ups_at_once_start_one_companion(up: tuple[Workspace, list[ImageRecord]]) -> None:
    """One of them works; the other one is told at once who does, and changes nothing."""
    workspace, _ = up
    behind = server.require(workspace)
    os.kill(companion_of(workspace).pid, signal.SIGKILL)
    command = [sys.executable, "-m", "synthscars", "platform", "up", "--workspace", str(workspace.root)]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    said = [" ".join(one.communicate(timeout=300)[1].split()) for one in both]
    assert sorted(one.returncode for one in both) == [0, 3], said
    (told,) = [words for one, words in zip(both, said, strict=True) if one.returncode]
    (winner,) = [one.pid for one in both if not one.returncode]
    assert f"`synthscars platform up`, process {winner}" in told
    assert "wait until it has finished" in told
    assert server.require(workspace) == behind
    listed = subprocess.run(["ps", "-e", "-ww", "-o", "args="], capture_output=True, text=True).stdout
    assert sum(f"synthscars.companion {workspace.root}" in line for line in listed.splitlines()) == 1
    assert health(workspace).json()["label_studio"] == "UP"


def test_notes_of_another_workspace_are_not_believed(
    up: tuple[Workspace, list[ImageRecord]], tmp_path: Path
) -> None:
    workspace, _ = up
    # Its root starts as the other's does.
    other = Workspace.create(Path(str(workspace.root).removesuffix("s")))
    other.platform_dir.mkdir()
    (other.platform_dir / FILE_NAME).write_bytes((workspace.platform_dir / FILE_NAME).read_bytes())
    assert find_companion(other) is None
    assert not stop_companion(other)
    assert find_companion(workspace) is not None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "as they are"),
        (["--public-url", "http://scars.example.org"], "https"),
        (["--host", "0.0.0.0", "--public-url", "https://scars.example.org/label"], "without a path"),
        (["--public-url", "https://scars.example.org?x"], "without a path"),
    ],
)
def test_nothing_is_opened_to_others_without_https(
    workspace: Workspace, options: list[str], said: str
) -> None:
    result = CliRunner().invoke(main, ["platform", "up", *options, "-w", str(workspace.root)])
    assert result.exit_code == 3
    assert said in result.output
    assert not (workspace.platform_dir / FILE_NAME).exists()


def hooks(workspace: Workspace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = connect(workspace).request("GET", "/api/webhooks/")
    return found


def test_label_studio_tells_the_companion_that_somebody_answered(
    up: tuple[Workspace, list[ImageRecord]],
) -> None:
    workspace, _ = up
    companion, client = companion_of(workspace), connect(workspace)
    (hook,) = hooks(workspace)
    assert (hook["project"], hook["send_payload"], hook["is_active"]) == (1, False, True)
    assert hook["url"] == f"http://{HOOK_HOST}:{companion.port}{HOOK_PATH}"
    task = next(client.pages("/api/tasks/", project=1, page_size=1))
    token = {"Authorization": f"Token {load_credentials(workspace.platform_dir).owner.token}"}
    sent = httpx.post(
        f"{companion.url}/api/tasks/{task['id']}/annotations", json=drawn(), headers=token, trust_env=False
    )
    assert sent.status_code == 201, sent.text

    def told() -> bool:
        metrics = httpx.get(f"{companion.url}/companion/metrics", trust_env=False).text
        return 'synthscars_hints_total{action="ANNOTATION_CREATED"} 1.0' in metrics

    wait_until(told)


def test_webhooks_are_made_once_follow_the_companion_and_end_with_it(
    up: tuple[Workspace, list[ImageRecord]],
) -> None:
    workspace, _ = up
    companion, client = companion_of(workspace), connect(workspace)
    run(workspace, "up")
    (hook,) = hooks(workspace)
    assert put_webhooks(client, workspace, [1]) == 0
    other = {"url": "http://8.8.8.8/x", "project": 1, "send_for_all_actions": True, "is_active": False}
    other["id"] = client.request("POST", "/api/webhooks/", json=other)["id"]
    second = {key: hook[key] for key in ("url", "project", "headers", "actions")}
    client.request("POST", "/api/webhooks/", json={**second, "is_active": False})
    try:
        save_companion(workspace.platform_dir, msgspec.structs.replace(companion, port=companion.port + 1))
        refresh_webhooks(client, workspace)
        assert [one["id"] for one in hooks(workspace)] == [hook["id"], other["id"]]
        assert hooks(workspace)[0]["url"] == f"http://{HOOK_HOST}:{companion.port + 1}{HOOK_PATH}"
        save_companion(workspace.platform_dir, msgspec.structs.replace(companion, pid=0))
        refresh_webhooks(client, workspace)
        assert [one["id"] for one in hooks(workspace)] == [other["id"]]
    finally:
        save_companion(workspace.platform_dir, companion)
    made = put_project(client, workspace, None, title="another", description="another")
    assert [one["project"] for one in hooks(workspace)] == [1, made.id]
    client.delete(f"/api/projects/{made.id}/")
    client.delete(f"/api/webhooks/{other['id']}/")
    refresh_webhooks(client, workspace)
    assert [(one["project"], one["url"]) for one in hooks(workspace)] == [(1, hook["url"])]


@pytest.mark.browser
@needs_browser
def test_the_editor_shows_the_image_and_may_read_its_pixels(
    up: tuple[Workspace, list[ImageRecord]], page: Any
) -> None:
    workspace, truth = up
    owner = load_credentials(workspace.platform_dir).owner
    url = companion_of(workspace).url
    task = next(connect(workspace).pages("/api/tasks/", project=1, page_size=1))
    record = next(one for one in truth if one.image_id == task["data"]["image_id"])
    got: list[tuple[int, str]] = []
    page.on("response", lambda answer: got.append((answer.status, answer.url)))
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", owner.email)
    page.fill("input[name=password]", owner.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_load_state("networkidle")
    page.goto(f"{url}/projects/1/data?task={task['id']}")
    page.wait_for_selector(".konvajs-content")
    page.wait_for_timeout(1000)
    size = page.evaluate(
        """async path => {
          const image = new Image(); image.src = path; await image.decode();
          const canvas = document.createElement('canvas');
          [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
          const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);
          return [canvas.width, canvas.height, context.getImageData(0, 0, 1, 1).data.length];
        }""",
        task["data"]["image"],
    )
    shown = page.evaluate(
        "[...document.images].filter(i => i.src.includes('/companion/images/') && i.naturalWidth).length"
    )
    assert size == [record.width, record.height, 4]
    assert shown >= 1
    # Nothing led past the companion, neither to Label Studio's own port nor elsewhere.
    assert {found for _, found in got if not found.startswith((f"{url}/", "data:", "blob:"))} == set()
    assert [one for one in got if one[0] >= 500] == []


def test_down_ends_both_and_keeps_the_secrets(up: tuple[Workspace, list[ImageRecord]]) -> None:
    workspace, _ = up
    companion, behind = companion_of(workspace), server.require(workspace)
    assert run(workspace, "down") == {"stopped": True}
    assert not processes.exists(companion.pid)
    assert not processes.exists(behind.pid)
    assert run(workspace, "down") == {"stopped": False}
    noted = json.loads((workspace.platform_dir / FILE_NAME).read_text())
    assert (noted["key"], noted["pid"]) == (companion.key, 0)
