"""What a manager can make a real Label Studio fetch: nothing of this machine, but for models to connect."""

from __future__ import annotations

import json
import re
import resource
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from guarded_people import Team, drawn

from synthscars.companion.guard_passage import MOST
from synthscars.labelstudio.companion_file import HOOK_HOST, HOOK_PATH
from synthscars.labelstudio.egress import DEFAULT
from synthscars.labelstudio.environment import environment_path

pytestmark = [pytest.mark.platform, pytest.mark.slow]


@pytest.fixture(scope="module")
def manager(team: Team, url: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Token {team.people['max'].account.token}"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
        yield client


class Secret:
    """A service of this machine that trusts whoever reaches it.

    asked: what it was asked. answer: what it always says.
    """

    def __init__(self) -> None:
        asked: list[str] = []
        self.answer: Any = [{"data": {"text": "the secret of this machine"}}]
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("content-length", 0)))
                data = json.dumps(service.answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_HEAD = do_PUT = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self.asked = asked
        self.server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        self.port = self.server.server_address[1]


@pytest.fixture
def secret() -> Iterator[Secret]:
    made = Secret()
    thread = threading.Thread(target=made.server.serve_forever, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def local_addresses(port: int) -> list[str]:
    hosts = (
        "127.0.0.1",
        "localhost",
        "127.83.83.82",
        "0.0.0.0",
        "2130706433",
        "0x7f000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
    )
    return [f"http://{host}:{port}/tasks.json" for host in hosts]


HERE = (
    *("127.0.0.1", "localhost", "127.83.83.82", "0.0.0.0", "2130706433", "0x7f000001"),
    *("[::1]", "[::ffff:127.0.0.1]"),
)
# 500: it does not resolve addresses of IPv6, and calls that an error of its own.
REFUSED = (400, 403, 500)
ELSEWHERE = [
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/x.json",
    "file:///etc/passwd",
    "FILE:///etc/passwd",
    "ftp://127.0.0.1/x.json",
    "gopher://127.0.0.1:6379/_x",
]


def test_tasks_are_not_imported_from_this_machine(team: Team, manager: httpx.Client, secret: Secret) -> None:
    project = team.projects["oto"]
    for address in (*local_addresses(secret.port), *ELSEWHERE):
        ways: list[dict[str, Any]] = [{"json": {"url": address}}, {"data": {"url": address}}]
        for body in ways:
            sent = manager.post(f"/api/projects/{project}/import", **body)
            assert sent.status_code in REFUSED, (address, sent.text)
            assert "secret" not in sent.text
            assert "root:" not in sent.text
    assert secret.asked == []


def test_webhooks_do_not_go_into_this_machine(team: Team, manager: httpx.Client, secret: Secret) -> None:
    project = team.projects["oto"]
    for address in (*local_addresses(secret.port), *ELSEWHERE):
        body = {"url": address, "project": project, "send_for_all_actions": True}
        made = manager.post("/api/webhooks/", json=body)
        assert made.status_code in REFUSED, (address, made.text)
    manager.patch(f"/api/projects/{project}/", json={"description": "x"}).raise_for_status()
    assert secret.asked == []
    # The one exception, where the companion takes webhooks and asks its model.
    body = {"url": f"http://{HOOK_HOST}:{secret.port}{HOOK_PATH}", "project": project}
    made = manager.post("/api/webhooks/", json={**body, "send_for_all_actions": True})
    assert made.status_code == 201
    manager.patch(f"/api/projects/{project}/", json={"description": "y"}).raise_for_status()
    assert secret.asked == [f"POST {HOOK_PATH}"]
    assert manager.delete(f"/api/webhooks/{made.json()['id']}/").status_code == 204


def test_storages_do_not_reach_into_this_machine(team: Team, manager: httpx.Client, secret: Secret) -> None:
    project = team.projects["oto"]
    bucket = {"project": project, "bucket": "b", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    redis = {"project": project, "port": secret.port, "path": "x"}
    for address in local_addresses(secret.port):
        host = httpx.URL(address).host
        for kind in ("s3", "export/s3"):
            made = manager.post(f"/api/storages/{kind}", json={**bucket, "s3_endpoint": address})
            assert made.status_code in REFUSED, (kind, address, made.text)
        made = manager.post("/api/storages/redis", json={**redis, "host": host})
        assert made.status_code in REFUSED, (address, made.text)
    assert secret.asked == []
    folder = team.workspace.platform_dir
    for path in ("/etc", str(folder), str(folder.parent), f"{folder}/served/../", "/"):
        made = manager.post("/api/storages/localfiles", json={"project": project, "path": path})
        assert made.status_code in REFUSED, (path, made.text)
    for path in ("../credentials.json", "../../synthscars.toml", "/etc/passwd", "images/../../people.json"):
        got = manager.get("/data/local-files/", params={"d": path})
        # 500: Label Studio's way to refuse what leads out of the folder.
        assert got.status_code in (403, 404, 500), path
        assert not any(told in got.text for told in ("password", "root:", "workspace_version"))


def test_pictures_of_tasks_are_not_fetched_from_this_machine(
    team: Team, manager: httpx.Client, secret: Secret
) -> None:
    project = team.projects["oto"]
    places = [
        *local_addresses(secret.port)[:3],
        "file:///etc/passwd",
        "/data/local-files/?d=../credentials.json",
    ]
    tasks = [{"data": {"image": place}, "annotations": [{"result": drawn()["result"]}]} for place in places]
    sent = manager.post(f"/api/projects/{project}/import?return_task_ids=true", json=tasks)
    assert sent.status_code == 201, sent.text
    for number in sent.json()["task_ids"]:
        assert "secret" not in manager.get(f"/api/tasks/{number}?resolve_uri=true").text
    export = manager.get(
        f"/api/projects/{project}/export?exportType=YOLO_WITH_IMAGES&download_all_tasks=true"
    )
    owner = json.loads((team.workspace.platform_dir / "credentials.json").read_bytes())["owner"]
    for told in ("secret of this machine", "root:x:", owner["password"]):
        assert told.encode() not in export.content
    assert secret.asked == []
    for number in sent.json()["task_ids"]:
        manager.delete(f"/api/tasks/{number}/").raise_for_status()


def test_a_model_is_connected_only_where_label_studio_may_go(
    team: Team, manager: httpx.Client, secret: Secret
) -> None:
    """Label Studio itself asks it, saves it, and then refuses the address of the webhook that it makes."""
    project = team.projects["oto"]
    secret.answer = {"status": "UP", "model_version": "m"}
    body = {"project": project, "title": "x"}
    for address in (*local_addresses(secret.port), *ELSEWHERE):
        made = manager.post("/api/ml/", json={**body, "url": address})
        assert made.status_code in (400, 403), (address, made.text)
    assert HOOK_HOST in manager.post("/api/ml", json={**body, "url": "http://localhost:1"}).json()["detail"]
    assert secret.asked == []
    form = manager.post("/api/ml/", data={**body, "url": f"http://127.0.0.1:{secret.port}"})
    assert form.status_code == 415
    assert manager.get("/api/ml/", params={"project": project}).json() == []

    body["url"] = f"http://{HOOK_HOST}:{secret.port}"
    made = manager.post("/api/ml/", json=body)
    assert made.status_code == 201, made.text
    there = f"/api/ml/{made.json()['id']}"
    moved = manager.patch(there, json={**body, "url": f"http://127.0.0.1:{secret.port}"})
    assert moved.status_code == 403
    assert manager.patch(there, json={**body, "title": "y"}).status_code == 200
    manager.delete(there).raise_for_status()


def test_what_is_banned_is_what_label_studio_bans_by_itself() -> None:
    (file,) = environment_path().glob("lib/python*/site-packages/label_studio/core/utils/io.py")
    listed = file.read_text(encoding="utf-8").partition("default_banned_subnets = [")[2].partition("]")[0]
    assert re.findall(r"'([^']+)',", listed) == list(DEFAULT)


def status_of(client: httpx.Client, path: str, content: Any) -> int:
    try:
        return client.post(path, content=content).status_code
    except httpx.TransportError:
        return 413  # it hung up in the middle of the body


def test_bodies_without_end_are_refused_in_bounded_memory(team: Team, url: str) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(20 * MOST >> 20):
            yield b" " * (1 << 20)

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("nia", "pia", "max"):
        headers = {
            "Authorization": f"Token {team.people[name].account.token}",
            "Content-Type": "application/json",
        }
        path = f"/api/tasks/{team.tasks['nia'][0]}/annotations"
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
            assert status_of(client, path, body()) == 413, name
            deep = client.post(path, content=b"[" * (1 << 20))
            assert deep.status_code == 400, name
            long = client.get(f"/api/tasks?project={team.projects['nia']}&x={'y' * 60_000}")
            assert long.status_code < 500, name
    # The guard runs in this process. In kB; what is too much is read and forgotten.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 10 * MOST >> 10
    with httpx.Client(base_url=url, headers={"Origin": url}, trust_env=False, timeout=60) as visitor:
        assert status_of(visitor, "/user/login/", b"x" * (MOST + 1)) == 413
