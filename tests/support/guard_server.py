"""The guard as a running server before a real Label Studio, for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from synthscars.companion.guard import create_guard
from synthscars.workspace import Workspace


@contextmanager
def running_guard(workspace: Workspace, upstream: str) -> Iterator[str]:
    """Run the guard on a free port while the block runs; gives its address."""
    with running_app(create_guard(workspace, upstream)) as url:
        yield url


@contextmanager
def running_app(app: Any) -> Iterator[str]:
    """Run an ASGI application on a free port while the block runs; gives its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 30
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


def log_in(url: str, email: str, password: str) -> httpx.Client:
    """A session like a browser's, logged in through the guard."""
    session = httpx.Client(base_url=url, trust_env=False, timeout=60, headers={"Origin": url})
    session.get("/user/login/").raise_for_status()
    fields = {
        "email": email,
        "password": password,
        "persist_session": "on",
        "csrfmiddlewaretoken": session.cookies.get("csrftoken") or "",
    }
    answer = session.post("/user/login/?next=/", data=fields)
    assert answer.status_code == 302, answer.status_code
    return session
