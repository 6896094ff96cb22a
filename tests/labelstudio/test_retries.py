"""What is sent again after an error, and what is not."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from synthscars.labelstudio import retries
from synthscars.labelstudio.client import Client, UncertainError
from synthscars.labelstudio.retries import Patience
from synthscars.problems import PlatformError

URL = "http://127.0.0.1:9"
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(retries.time, "sleep", waited.append)
    return waited


def talking_to(answer: Answer, token: str = "f" * 40) -> Client:
    client = Client(URL, token, Patience(tries=4, first=1, most=3))
    client.http = httpx.Client(base_url=URL, auth=client.http.auth, transport=httpx.MockTransport(answer))
    return client


def failing(times: int, *ways: Answer | Exception | int) -> tuple[Answer, list[str]]:
    """A server that fails some times, in these ways, and then answers."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(f"{request.method} {request.url.path}")
        if len(seen) <= times:
            way = ways[(len(seen) - 1) % len(ways)]
            if isinstance(way, Exception):
                raise way
            return httpx.Response(way) if isinstance(way, int) else way(request)
        return httpx.Response(200, json={"ok": True})

    return answer, seen


def half(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b'{"ok": tr')


@pytest.mark.parametrize(
    "way",
    [
        500,
        502,
        503,
        429,
        half,
        httpx.ConnectError("no"),
        httpx.ReadError("gone"),
        httpx.RemoteProtocolError("half"),
    ],
)
def test_what_changes_nothing_is_sent_again_later_and_later(
    pauses: list[float], way: Answer | Exception | int
) -> None:
    answer, seen = failing(3, way)
    assert talking_to(answer).request("GET", "/api/x") == {"ok": True}
    assert len(seen) == 4
    for waited, meant in zip(pauses, (1, 2, 3), strict=True):
        assert 0.75 * meant <= waited <= 1.25 * meant


@pytest.mark.parametrize("way", [500, 503, half, httpx.ReadError("gone"), httpx.RemoteProtocolError("half")])
def test_a_post_that_may_have_been_done_is_not_sent_again(
    pauses: list[float], way: Answer | Exception | int
) -> None:
    answer, seen = failing(9, way)
    with pytest.raises(UncertainError):
        talking_to(answer).request("POST", "/api/x", json={})
    assert (len(seen), pauses) == (1, [])


@pytest.mark.parametrize("way", [429, httpx.ConnectError("no"), httpx.ConnectTimeout("no")])
def test_a_post_that_was_surely_not_done_is_sent_again(
    pauses: list[float], way: Answer | Exception | int
) -> None:
    answer, seen = failing(2, way)
    assert talking_to(answer).request("POST", "/api/x", json={}) == {"ok": True}
    assert len(seen) == 3


@pytest.mark.parametrize("way", [400, 401, 403, 404, httpx.ReadTimeout("slow")])
def test_what_will_not_pass_is_told_at_once(pauses: list[float], way: Exception | int) -> None:
    for method in ("GET", "POST"):
        answer, seen = failing(9, way)
        with pytest.raises(PlatformError) as caught:
            talking_to(answer).request(method, "/api/x")
        assert not isinstance(caught.value, UncertainError)
        assert (len(seen), pauses) == (1, [])
        assert caught.value.fix


def test_a_server_that_says_how_long_to_wait_is_heard_within_reason(pauses: list[float]) -> None:
    ways = [
        lambda _request, text=text: httpx.Response(429, headers={"Retry-After": text})
        for text in ("7", "99999", "soon")
    ]
    answer, _ = failing(3, *ways)
    talking_to(answer).request("GET", "/api/x")
    assert (pauses[0], pauses[1]) == (7, 60)
    assert pauses[2] <= 3 * 1.25


def test_something_that_is_gone_already_counts_as_deleted(pauses: list[float]) -> None:
    answer, seen = failing(2, 500, 404)
    talking_to(answer).delete("/api/tasks/1/")
    assert len(seen) == 2


# Personal access tokens


def token(name: str, lifetime: int = 300) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"iat": 1, "exp": 1 + lifetime, "n": name}).encode())
    return f"h.{claims.decode().rstrip('=')}.s"


class Tokens:
    """A server that hands out tokens, and takes only the newest."""

    def __init__(self, lifetime: int = 300) -> None:
        self.lifetime, self.given, self.asked = lifetime, 0, 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/token/refresh/":
            assert json.loads(request.content) == {"refresh": PERSONAL}
            assert "Authorization" not in request.headers
            self.given += 1
            return httpx.Response(200, json={"access": token(str(self.given), self.lifetime)})
        self.asked += 1
        good = request.headers["Authorization"] == f"Bearer {token(str(self.given), self.lifetime)}"
        return httpx.Response(200 if good and self.given else 401, json={})


PERSONAL = token("personal", 86_400 * 365)


def test_a_personal_token_is_exchanged_once_and_again_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from synthscars.labelstudio import tokens

    now = 1000.0
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now)
    server = Tokens()
    client = talking_to(server, PERSONAL)
    for _ in range(3):
        client.request("GET", "/api/x")
    assert (server.given, server.asked) == (1, 3)
    now += 260
    client.request("GET", "/api/x")
    assert server.given == 1
    now += 11  # 29 seconds before the end
    client.request("GET", "/api/x")
    assert server.given == 2


def test_a_token_that_the_server_takes_back_is_replaced_once() -> None:
    server = Tokens()
    client = talking_to(server, PERSONAL)
    client.request("GET", "/api/x")
    server.given += 1
    client.request("POST", "/api/x", json={"whole": "body"})
    assert (server.given, server.asked) == (3, 3)


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(401, json={"detail": "x"}), httpx.Response(200, json={}), httpx.Response(200, json=[])],
)
def test_a_personal_token_that_is_worth_nothing_is_told_without_showing_it(answer: httpx.Response) -> None:
    with pytest.raises(PlatformError, match="personal access token") as caught:
        talking_to(lambda _: answer, PERSONAL).request("GET", "/api/x")
    assert PERSONAL not in f"{caught.value}{caught.value.fix}"


def test_a_failure_on_a_full_disk_is_called_that(
    tmp_path: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, _ = failing(99, 500)
    client = Client(URL, "f" * 40, Patience(tries=1), tmp_path)
    client.http = httpx.Client(base_url=URL, transport=httpx.MockTransport(answer))
    with pytest.raises(PlatformError) as told:
        client.request("GET", "/api/x")
    assert "full" not in str(told.value)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
    for method in ("GET", "POST"):
        with pytest.raises(PlatformError, match=f"the disk of {tmp_path} is full: .*500") as told:
            client.request(method, "/api/x")
        assert "make room" in told.value.fix
    assert isinstance(told.value, UncertainError)
