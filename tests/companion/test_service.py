"""The companion's other routes: health, metrics, webhook, ML backend, and what its document says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from synthscars.companion.bodies import MAX_HINT, same_secret
from synthscars.companion.hints import ACTIONS, HEADER, MOST_HINTS, Hint, Hints
from synthscars.companion.ml import ml_routes
from synthscars.companion.openapi import openapi
from synthscars.labelstudio.companion_file import Companion
from synthscars.workspace import Workspace

Serve = Callable[..., TestClient]


def metrics(client: TestClient) -> dict[tuple[str, str], float]:
    """Values by sample name and labels."""
    answer = client.get("/companion/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_health_says_that_label_studio_is_down_and_no_secret(
    client: TestClient, companion: Companion
) -> None:
    answer = client.get("/companion/health")
    assert (answer.status_code, answer.headers["cache-control"]) == (503, "no-store")
    found = answer.json()
    assert (found["status"], found["label_studio"], found["instance"]) == ("DEGRADED", "DOWN", "this one")
    assert companion.key not in answer.text
    assert companion.hook_secret not in answer.text


def test_metrics_count_requests_by_few_names(client: TestClient) -> None:
    client.get("/companion/images/x")
    client.get("/companion/made-up-by-a-client")
    client.get("/projects/17/data")
    client.request("BREW", "/companion/health")
    found = metrics(client)
    assert found["synthscars_requests_total", "GET images 403"] == 1
    assert found["synthscars_requests_total", "GET other 404"] == 1
    assert found["synthscars_requests_total", "GET guard 200"] == 1
    assert found["synthscars_requests_total", "other health 404"] == 1
    assert found["synthscars_images_refused_total", "nobody"] == 1
    assert found["synthscars_label_studio_up", ""] == 0
    assert not any("made-up" in labels or "17" in labels for _, labels in found)


def test_metrics_are_for_this_machine_or_for_who_has_the_secret(serve: Serve, companion: Companion) -> None:
    for notes in (
        msgspec.structs.replace(companion, public_url="https://scars.example"),
        msgspec.structs.replace(companion, host="0.0.0.0"),
    ):
        client = serve(notes)
        for authorization in ("", "Bearer", "Bearer wrong", f"Basic {companion.hook_secret}", "Bearer é"):
            headers = {"authorization": authorization.encode()}
            assert client.get("/companion/metrics", headers=headers).status_code == 403
        headers = {"authorization": f"bearer {companion.hook_secret}".encode()}
        assert client.get("/companion/metrics", headers=headers).status_code == 200


def test_a_name_that_a_stranger_gave_our_address_is_refused(client: TestClient) -> None:
    assert client.get("/companion/openapi.json").status_code == 200
    for host in ("evil.example", "127.0.0.1.evil.example"):
        assert client.get("/companion/openapi.json", headers={"host": host}).status_code == 400


def test_a_hint_with_the_secret_is_noted(client: TestClient, companion: Companion) -> None:
    right = {HEADER: companion.hook_secret}
    for action in ("ANNOTATION_CREATED", "made up", 5, None):
        answer = client.post("/companion/webhook", json={"action": action, "task": {"id": 1}}, headers=right)
        assert (answer.status_code, answer.json()) == (200, {"status": "noted"})
    found = metrics(client)
    assert found["synthscars_hints_total", "ANNOTATION_CREATED"] == 1
    assert found["synthscars_hints_total", "other"] == 3


def test_a_hint_without_the_secret_is_not(client: TestClient, companion: Companion) -> None:
    for given in (None, "", "wrong", companion.hook_secret[:-1], companion.hook_secret + "x", "é"):
        headers = {} if given is None else {HEADER: given.encode()}
        answer = client.post("/companion/webhook", json={"action": ACTIONS[0]}, headers=headers)
        assert answer.status_code == 401
    assert not any(name == "synthscars_hints_total" for name, _ in metrics(client))


def chunks() -> Iterator[bytes]:
    yield b'{"a": "'
    for _ in range(2 * MAX_HINT // 65536):
        yield b"x" * 65536
    yield b'"}'


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"{}", "", 415),
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b'{"action": "\xff"}', "application/json", 400),
        (b"[" * 200_000, "application/json", 400),
        (b'{"a":' * 100_000, "application/json", 400),
        (b'{"a": "' + b"x" * MAX_HINT + b'"}', "application/json", 413),
        (chunks, "application/json", 413),
        (b"{}", "Application/JSON; charset=utf-8", 200),
    ],
)
def test_bodies_that_are_no_hint(
    client: TestClient, companion: Companion, content: Any, kind: str, status: int
) -> None:
    headers = {HEADER: companion.hook_secret, "content-type": kind}
    content = content() if callable(content) else content
    answer = client.post("/companion/webhook", content=content, headers=headers)
    assert answer.status_code == status
    # The secret is asked for first: strangers cannot make it read anything.
    assert client.post("/companion/webhook", content=b"{", headers={"content-type": kind}).status_code == 401


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "9" * 5000])
def test_a_length_that_lies_does_no_harm(client: TestClient, companion: Companion, length: str) -> None:
    headers = [(HEADER, companion.hook_secret), ("content-type", "application/json")]
    raw = [(name.encode(), value.encode()) for name, value in (*headers, ("content-length", length))]
    assert client.post("/companion/webhook", content=b"{}", headers=raw).status_code in (200, 413)


def test_only_the_last_hints_are_kept() -> None:
    hints = Hints()
    for number in range(MOST_HINTS + 5):
        hints.recent.append(Hint(number, ACTIONS[number % 2]))
    assert len(hints.recent) == MOST_HINTS
    last = hints.last()
    assert last is not None
    assert last.at == MOST_HINTS + 4
    assert hints.last(("PROJECT_CREATED",)) is None


def test_an_empty_secret_lets_nobody_in() -> None:
    assert not same_secret("", "")
    assert same_secret("a", "a")
    assert not same_secret("\u2603", "?")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_a_model_the_ml_backend_says_so(client: TestClient, method: str) -> None:
    paths = ["health"] if method == "GET" else ["setup", "predict", "webhook"]
    for path in paths:
        answer = client.request(method, f"/companion/ml/{path}")
        assert answer.status_code == 503
        assert "no model is configured" in answer.json()["error"]


def test_a_model_that_is_none_does_not_keep_it_from_starting(workspace: Workspace) -> None:
    platform = msgspec.structs.replace(workspace.settings.platform, model="nowhere")
    broken = Workspace(workspace.root, msgspec.structs.replace(workspace.settings, platform=platform))
    (mount,) = ml_routes(broken, "secret")
    answer = TestClient(mount).get("/companion/ml/health")
    assert answer.status_code == 503
    assert "holds no model" in answer.json()["error"]


def test_paths_that_are_not_there_are_not_passed_on(client: TestClient) -> None:
    for path in (
        "/companion/",
        "/companion/nothing",
        "/companion/images/",
        "/companion/ml/other",
    ):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert '"guard":' not in answer.text
    assert client.get("/projects/").json() == {"guard": "/projects/"}


DOCUMENT = openapi("1")
# The dashboard is tried where it is made.
PATHS = sorted(path for path in DOCUMENT["paths"] if "dashboard" not in path)


def test_the_document_names_each_reference_and_each_method_once(client: TestClient) -> None:
    assert client.get("/companion/openapi.json").json()["paths"] == json.loads(json.dumps(DOCUMENT["paths"]))
    for path, operations in DOCUMENT["paths"].items():
        named = {
            one["name"]
            for way in operations.values()
            for one in way.get("parameters", ())
            if one["in"] == "path"
        }
        assert named == set(re.findall(r"{(\w+)}", path))


@pytest.mark.parametrize("path", PATHS)
def test_every_method_of_every_path_is_answered_without_failing(
    serve: Serve, companion: Companion, path: str
) -> None:
    client = serve()
    address = path.replace("{image_id}", "a" * 64)
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
        for role in ("", "annotator", "manager"):
            headers = {"x-test-role": role, HEADER: companion.hook_secret}
            answer = client.request(method, address, headers=headers)
            assert answer.status_code < 500 or answer.status_code == 503, (method, role)
            assert '"guard":' not in answer.text


schema = schemathesis.openapi.from_dict(
    {**DOCUMENT, "paths": {path: DOCUMENT["paths"][path] for path in PATHS}}
)
EXPECTED = {
    f"{way.upper()} {path}": {int(one) for one in operation["responses"]}
    for path in PATHS
    for way, operation in DOCUMENT["paths"][path].items()
}


@schema.parametrize()
@settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
def test_whatever_is_sent_is_answered_as_the_document_says(
    serve: Serve, companion: Companion, case: Any
) -> None:
    headers = {"x-test-role": "manager", HEADER: companion.hook_secret}
    client = getattr(serve, "kept", None) or serve()
    serve.kept = client  # type: ignore[attr-defined]
    sent = case.as_transport_kwargs(base_url="http://127.0.0.1:8080")
    given = {
        key: value
        for key, value in (sent.get("headers") or {}).items()
        if key.lower() not in ("user-agent", "host")
    }
    body = {
        "content" if key == "data" and isinstance(sent[key], str | bytes) else key: sent[key]
        for key in ("json", "data", "content")
        if key in sent
    }
    answer = client.request(
        sent["method"], sent["url"], params=sent.get("params"), headers={**given, **headers}, **body
    )
    preflight = {204} if case.method.upper() == "OPTIONS" else set()
    said = EXPECTED.get(f"{case.method.upper()} {case.path}", preflight)
    assert answer.status_code in said | {404, 405}, answer.text
    assert '"guard":' not in answer.text
