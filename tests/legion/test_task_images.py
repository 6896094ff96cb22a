"""Where the service gets images from: from Label Studio, and from nowhere else."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from releasing import noise_png
from saturated import SaturatedBlob

from synthscars.images import sha256
from synthscars.legion import task_images
from synthscars.legion.serving import create_app
from synthscars.legion.task_images import FromLabelStudio
from synthscars.problems import FormatError, UsageError

testclient = pytest.importorskip("starlette.testclient")

SECRET = "s3cret-token-of-somebody"


@pytest.fixture
def model() -> SaturatedBlob:
    return SaturatedBlob()


class TestImagesFromLabelStudio:
    """Only its own files, only from its own host, and the token goes nowhere else."""

    BASE = "https://labels.example.org"

    def finder(self, handler: Any, token: str = SECRET, base: str = BASE) -> FromLabelStudio:
        return FromLabelStudio(base, token, transport=httpx.MockTransport(handler))

    def test_are_fetched_with_the_token(self) -> None:
        asked: list[httpx.Request] = []

        def handler(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            return httpx.Response(200, content=noise_png(1))

        find = self.finder(handler)
        for address in ("/data/upload/1/a.png", f"{self.BASE}:443/data/local-files/?d=images/a.png"):
            item = find({"image": address})
            assert item is not None
            assert sha256(item.load()) == sha256(noise_png(1))
        item = find({"image": f"/companion/images/{'a' * 64}"})
        assert item is not None
        item.load()
        assert asked.pop().url.path == f"/companion/images/{'a' * 64}"
        assert [request.url.host for request in asked] == ["labels.example.org"] * 2
        assert [request.headers["authorization"] for request in asked] == [f"Token {SECRET}"] * 2
        assert asked[1].url.params["d"] == "images/a.png"

    @pytest.mark.parametrize(
        "address",
        [
            "http://labels.example.org/data/a.png",
            "https://labels.example.org:8443/data/a.png",
            "https://labels.example.org.evil.net/data/a.png",
            "https://labels.example.org@evil.net/data/a.png",
            "https://user:pw@labels.example.org/data/a.png",
            "https://evil.net/data/a.png",
            "//evil.net/data/a.png",
            "/\\evil.net/data/a.png",
            "https:\\\\labels.example.org\\data\\a.png",
            "http://127.0.0.1/data/a.png",
            "http://169.254.169.254/data/",
            "file:///data/a.png",
            "s3://data/a.png",
            "gopher://labels.example.org/data/a.png",
            "/api/current-user/whoami",
            "/companion/metrics",
            "/companion/images/../metrics",
            "/data/../api/current-user/whoami",
            "/data/%2e%2e/api/current-user/whoami",
            "/data/x/..%2f..%2fapi/token",
            "/data//evil.net/a.png",
            "/data/..",
            "/data\n/a.png",
            "https://labels.example.org:port/data/a.png",
            "https://[::1/data/a.png",
            "data/a.png",
            "/etc/passwd",
        ],
    )
    def test_are_no_other_addresses(self, address: str) -> None:
        def handler(_request: httpx.Request) -> httpx.Response:
            raise AssertionError("it was asked")

        with pytest.raises(FormatError, match="hands out files"):
            self.finder(handler)({"image": address})

    @pytest.mark.parametrize("value", [None, 7, "", ["/data/a.png"], {}])
    def test_are_not_named_by_anything_else(self, value: object) -> None:
        assert self.finder(lambda _request: httpx.Response(200))({"image": value}) is None

    def test_may_be_below_a_path_of_the_host(self) -> None:
        asked: list[str] = []

        def handler(request: httpx.Request) -> httpx.Response:
            asked.append(request.url.path)
            return httpx.Response(200, content=noise_png(1))

        find = self.finder(handler, base=f"{self.BASE}/labels/")
        for address in ("/data/upload/a.png", "/labels/data/upload/a.png"):
            item = find({"image": address})
            assert item is not None
            item.load()
        assert asked == ["/labels/data/upload/a.png"] * 2
        with pytest.raises(FormatError):
            find({"image": f"{self.BASE}/data/upload/a.png"})

    def results(self, handler: Any, model: SaturatedBlob) -> tuple[list[Any], str]:
        """What the service makes of a task with an address, and what it says in its log."""
        logger, said = logging.getLogger("synthscars.services"), []
        handled = logging.Handler()
        handled.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
        logger.addHandler(handled)
        logger.setLevel(logging.INFO)
        try:
            client = testclient.TestClient(create_app(model, [self.finder(handler)]))
            task = {"id": 1, "data": {"image_id": "", "image": "/data/upload/a.png?sig=HUSH"}}
            answer = client.post("/predict", json={"tasks": [task]})
            assert answer.status_code == 200, answer.text
            return answer.json()["results"], "\n".join(said)
        finally:
            logger.removeHandler(handled)

    def test_a_redirect_is_not_followed(self, model: SaturatedBlob) -> None:
        asked: list[str] = []

        def handler(request: httpx.Request) -> httpx.Response:
            asked.append(request.url.host)
            return httpx.Response(302, headers={"Location": "http://169.254.169.254/"})

        results, said = self.results(handler, model)
        assert results == [[]]
        assert asked == ["labels.example.org"]
        assert "302" in said
        assert "HUSH" not in said

    def test_one_that_does_not_end_is_cut_off(
        self, model: SaturatedBlob, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(task_images, "MAX_BYTES", 2**20)
        sent = 0

        def forever() -> Iterator[bytes]:
            nonlocal sent
            while True:
                sent += 2**16
                yield b"\0" * 2**16

        results, said = self.results(lambda _request: httpx.Response(200, content=forever()), model)
        assert results == [[]]
        assert sent <= 2 * 2**20
        assert "more than" in said

    def test_one_that_cannot_be_reached_is_told_of_without_its_address(self, model: SaturatedBlob) -> None:
        def handler(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError(f"no route to {request.url}", request=request)

        results, said = self.results(handler, model)
        assert results == [[]]
        assert "ConnectError" in said
        assert "HUSH" not in said

    def test_a_personal_access_token_is_exchanged_and_again_when_it_has_run_out(self) -> None:
        personal = "aaa.bbb.ccc"
        given: list[str] = []

        def handler(request: httpx.Request) -> httpx.Response:
            if request.url.path == "/api/token/refresh":
                assert json.loads(request.content) == {"refresh": personal}
                given.append(f"bearer-{len(given) + 1}")
                return httpx.Response(200, json={"access": given[-1]})
            fresh = request.headers["authorization"] == f"Bearer {given[-1]}" and len(given) == 2
            return httpx.Response(200 if fresh else 401, content=noise_png(1))

        item = self.finder(handler, token=personal)({"image": "/data/a.png"})
        assert item is not None
        assert item.load() == noise_png(1)
        assert given == ["bearer-1", "bearer-2"]

    @pytest.mark.parametrize("url", ["labels.example.org", "ftp://x", "https://", "https://u:p@x", "/tmp"])
    def test_what_is_no_address_of_a_label_studio_is_said_at_once(self, url: str) -> None:
        with pytest.raises(UsageError):
            FromLabelStudio(url, SECRET)
