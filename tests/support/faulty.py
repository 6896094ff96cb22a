"""A server between a client and Label Studio that fails on purpose, by the number of the request."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Literal

import httpx
import uvicorn

Fault = Literal["500", "429", "slow", "half", "lost", "late 500", "dropped"]
"""`500`, `429`: refused, and not passed on. `slow`: after a second. `half`: the first half of the answer, as
if it were whole. `late 500`: carried out, and then refused. `lost`: carried out, and the connection is closed
in the middle of the answer. `dropped`: neither carried out nor answered.
"""

Plan = Callable[[int, str, str], Fault | None]
"""What happens to the n-th request (from 1) with this method and path."""

_HOP = {b"connection", b"transfer-encoding", b"content-length", b"content-encoding", b"keep-alive"}


class Faulty:
    """The ASGI application. log: every request as "METHOD path", with the fault that it met."""

    def __init__(self, upstream: str, plan: Plan) -> None:
        self.client = httpx.AsyncClient(base_url=upstream, trust_env=False, timeout=120)
        self.plan = plan
        self.log: list[tuple[str, Fault | None]] = []

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        method, path = scope["method"], scope["path"]
        fault = self.plan(len(self.log) + 1, method, path)
        self.log.append((f"{method} {path}", fault))
        if fault in ("500", "429"):
            await _answer(send, int(fault), [], b"<h1>Sorry</h1>")
            return
        if fault == "dropped":
            raise ConnectionError("dropped on purpose")
        if fault == "slow":
            await asyncio.sleep(1)
        headers = [
            (key, value) for key, value in scope["headers"] if key not in (b"host", b"accept-encoding")
        ]
        url = path + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
        found = await self.client.request(method, url, headers=headers, content=body)
        kept = [(key.lower(), value) for key, value in found.headers.raw if key.lower() not in _HOP]
        content = found.content
        if fault == "late 500":
            await _answer(send, 500, [], b"<h1>Sorry</h1>")
        elif fault == "half":
            await _answer(send, found.status_code, kept, content[: len(content) // 2])
        elif fault == "lost":
            length = [(b"content-length", str(len(content) + 100).encode())]
            await send({"type": "http.response.start", "status": found.status_code, "headers": kept + length})
            await send(
                {"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True}
            )
            raise ConnectionError("lost on purpose")
        else:
            await _answer(send, found.status_code, kept, content)


async def _answer(
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    status: int,
    headers: list[tuple[bytes, bytes]],
    content: bytes,
) -> None:
    length = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers + length})
    await send({"type": "http.response.body", "body": content})


@contextmanager
def faulty_server(upstream: str, plan: Plan) -> Iterator[tuple[str, Faulty]]:
    """Run one on a free port of this machine; gives its address and itself."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        app = Faulty(upstream, plan)
        config = uvicorn.Config(app, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", app
        finally:
            server.should_exit = True
            thread.join(timeout=20)
