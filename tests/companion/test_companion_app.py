"""The companion's other routes: health, metrics, webhooks, ML backend, and what everybody may send."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from companion_client import BASE, client_of, companion_of

from synthscars.companion.signing import signed_path
from synthscars.labelstudio.companion_file import Companion
from synthscars.services.logs import JsonLines
from synthscars.workspace import Workspace

pytest.importorskip("starlette")

from starlette.testclient import TestClient

HEADER = "x-synthscars-secret"


@pytest.fixture
def companion() -> Companion:
    return companion_of()


@pytest.fixture
def client(workspace: Workspace, companion: Companion) -> Iterator[TestClient]:
    with client_of(workspace, companion) as client:
        yield client


def metrics(client: TestClient, **headers: str) -> dict[str, float]:
    """Every sample by its name and labels, read by Prometheus's own parser."""
    from prometheus_client.parser import text_string_to_metric_families

    answer = client.get("/companion/metrics", headers=headers)
    assert answer.status_code == 200
    return {
        f"{sample.name}{sorted(sample.labels.items())}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_health_says_when_label_studio_is_away(client: TestClient) -> None:
    answer = client.get("/companion/health")
    assert answer.status_code == 503
    body = answer.json()
    assert (body["status"], body["label_studio"], body["instance"]) == ("DEGRADED", "DOWN", "abc")


def test_metrics_count_what_was_asked_without_naming_anybody(client: TestClient) -> None:
    client.get(f"/companion/images/{'f' * 64}")
    client.get("/companion/somewhere/else")
    client.get("/projects/12/data")
    found = metrics(client)
    route = "synthscars_requests_total[('method', 'GET'), ('route', '{}'), ('status', '{}')]"
    assert found[route.format("images", 403)] == 1
    assert found[route.format("other", 404)] == 1
    assert found[route.format("guard", 200)] == 1
    assert found["synthscars_images_refused_total[('why', 'nobody')]"] == 1
    assert found["synthscars_label_studio_up[]"] == 0
    assert not any("f" * 64 in name or "example.org" in name for name in found)


def test_no_label_of_a_metric_is_made_up_by_a_client(client: TestClient) -> None:
    for number in range(5):
        client.get(f"/companion/x{number}")
        client.request(f"X{number}", "/companion/health")
        client.get(f"/y{number}")
    names = {name for name in metrics(client) if name.startswith("synthscars_requests_total")}
    assert not any(
        f"x{number}" in name.lower() or f"y{number}" in name for name in names for number in range(5)
    )


def test_metrics_of_a_companion_that_others_reach_ask_for_a_secret(workspace: Workspace) -> None:
    companion = companion_of(public_url="https://scars.example.org")
    with client_of(workspace, companion) as client:
        assert client.get("/companion/metrics").status_code == 403
        assert client.get("/companion/metrics", headers={"authorization": "Bearer x"}).status_code == 403
        metrics(client, authorization=f"Bearer {companion.hook_secret}")


def test_a_hint_is_counted_and_nothing_of_it_believed(client: TestClient, companion: Companion) -> None:
    secret = {HEADER: companion.hook_secret}
    hint = {"action": "ANNOTATION_CREATED", "annotation": {"id": 1}, "task": {"id": 2}}
    assert client.post("/companion/webhook", json=hint, headers=secret).json() == {"status": "noted"}
    client.post("/companion/webhook", json={"action": "DROP TABLE"}, headers=secret)
    client.post("/companion/webhook", json={"action": ["x"]}, headers=secret)
    found = metrics(client)
    assert found["synthscars_hints_total[('action', 'ANNOTATION_CREATED')]"] == 1
    assert found["synthscars_hints_total[('action', 'other')]"] == 2


@pytest.mark.parametrize("given", [None, "", "wrong", "é", "x" * 5000])
def test_a_forged_hint_is_refused(client: TestClient, given: str | None) -> None:
    headers = {} if given is None else {HEADER: given.encode("latin-1")}
    answer = client.post("/companion/webhook", json={"action": "PROJECT_DELETED"}, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert not any("hints_total" in name for name in metrics(client))


def test_a_hint_that_is_none_is_refused(client: TestClient, companion: Companion) -> None:
    secret = {HEADER: companion.hook_secret}

    def send(data: Any, kind: str = "application/json") -> int:
        headers = {**secret, "content-type": kind}
        return client.post("/companion/webhook", content=data, headers=headers).status_code

    assert send(b"{}", "text/plain") == 415
    for data in (b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a": 1e999}' + b"x"):
        assert send(data) == 400, data[:20]
    large = b'{"a": "' + b"x" * 2**20 + b'"}'
    assert send(large) == 413
    # Without saying how long it is.
    assert send(large[start : start + 65536] for start in range(0, len(large), 65536)) == 413


def test_without_a_model_the_ml_backend_says_so(client: TestClient) -> None:
    for way, path in (("GET", "health"), ("POST", "setup"), ("POST", "predict"), ("POST", "webhook")):
        answer = client.request(way, f"/companion/ml/{path}")
        assert answer.status_code == 503
        assert "[platform]" in answer.json()["error"]


def test_a_name_that_somebody_gave_our_address_opens_nothing(client: TestClient) -> None:
    for host in ("evil.example.org", "127.0.0.1.evil.example.org", ""):
        assert client.get("/companion/health", headers={"host": host}).status_code == 400
        assert client.get("/", headers={"host": host}).status_code == 400
    assert client.get("/", headers={"host": "localhost:9000"}).text == "the guard"


def test_everything_else_is_the_guards_and_nothing_below_companion_is(client: TestClient) -> None:
    for path in ("/", "/api/projects/", "/companions", "/companionx/health"):
        assert client.get(path).text == "the guard", path
    for path in ("/companion/", "/companion/nothing", "/companion/ml/nothing", "/companion//health"):
        assert client.get(path).status_code == 404, path


def test_the_log_is_json_without_queries_cookies_and_tokens(
    client: TestClient, companion: Companion, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "synthscars")
    path = signed_path(companion.key, "f" * 64, int(time.time()) + 60)
    secrets = (
        "a-cookie-value",
        "a-token-value",
        companion.hook_secret,
        companion.key,
        path.split("signature=")[1],
    )
    client.get(path, headers={"cookie": f"sessionid={secrets[0]}", "authorization": f"Token {secrets[1]}"})
    client.post("/companion/webhook", json={"action": secrets[0]}, headers={HEADER: secrets[1]})
    lines = [JsonLines().format(record) for record in caplog.records if record.name.startswith("synthscars")]
    events = [json.loads(line) for line in lines]
    assert {"request", "webhook_refused"} <= {event["event"] for event in events}
    asked = next(event for event in events if event["event"] == "request")
    assert (asked["method"], asked["path"], asked["status"]) == ("GET", f"/companion/images/{'f' * 64}", 404)
    assert not any(secret in line for secret in secrets for line in lines)


def test_what_an_error_says_does_not_reach_the_log() -> None:
    try:
        raise ValueError("a-token-value")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "f", 1, "it broke: a-token-value", (), __import__("sys").exc_info()
        )
    line = JsonLines().format(record)
    assert json.loads(line)["error"] == "ValueError"
    assert "a-token-value" not in line


def test_the_description_names_every_route(workspace: Workspace, client: TestClient) -> None:
    described = client.get("/companion/openapi.json").json()["paths"]
    answers = {
        (path, way): client.request(way, path.replace("{image_id}", "f" * 64)).status_code
        for path, ways in described.items()
        for way in ways
    }
    assert len(answers) >= 10
    for (path, way), status in answers.items():
        assert str(status) in described[path][way]["responses"], (path, way, status)


def test_nothing_that_fits_the_description_or_does_not_ends_in_an_error_of_ours(
    workspace: Workspace, companion: Companion, client: TestClient
) -> None:
    """`schemathesis` makes requests from the OpenAPI document, good and bad ones, by every role."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    document = client.get("/companion/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    sent: list[tuple[str, str, int]] = []

    for result in schema.get_all_operations():
        operation = result.ok()
        ways = st.one_of(operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode)

        @given(case=ways, role=st.sampled_from([None, "annotator", "manager"]), trusted=st.booleans())
        @settings(
            max_examples=40,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def send(case: Any, role: str | None, trusted: bool) -> None:
            arguments = case.as_transport_kwargs(base_url=BASE)
            headers = {str(key): str(value) for key, value in dict(arguments.pop("headers", {})).items()}
            headers = {key: value for key, value in headers.items() if key.isascii() and value.isascii()}
            if role:
                headers["x-role"] = role
            if trusted:
                headers |= {HEADER: companion.hook_secret}
            if isinstance(arguments.get("data"), bytes):
                arguments["content"] = arguments.pop("data")
            answer = client.request(
                arguments.pop("method"),
                arguments.pop("url"),
                headers=headers,
                **{
                    key: value
                    for key, value in arguments.items()
                    if key in ("json", "params", "data", "content")
                },
                follow_redirects=False,
            )
            sent.append((case.method, case.path, answer.status_code))

        send()
    assert len({(method, path) for method, path, _ in sent}) >= len(document["paths"])
    # 503 is an answer of ours: no model, no Label Studio.
    assert [one for one in sent if one[2] >= 500 and one[2] != 503] == []


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "TRACE", "PROPFIND"])
def test_nothing_below_the_companions_own_path_reaches_label_studio(client: TestClient, method: str) -> None:
    assert client.request(method, "/companion/somewhere").status_code == 404
    # What is not below it does.
    assert client.request("GET", "/projects").status_code != 404
