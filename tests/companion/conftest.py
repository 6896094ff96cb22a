"""A companion without Label Studio: who is logged in is said by a header of the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from synthscars.companion.app import create_app
from synthscars.companion.identity import Identity
from synthscars.labelstudio.companion_file import Companion, new_companion
from synthscars.workspace import Workspace

UPSTREAM = "http://127.0.0.1:9"
"""Where nobody listens."""


async def identify(request: HTTPConnection) -> Identity | None:
    role = request.headers.get("x-test-role", "")
    if role == "manager":
        return Identity(1, "owner@example.org", "manager")
    return Identity(2, "ada@example.org", "annotator") if role == "annotator" else None


async def guard(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"guard": scope["path"]})(scope, receive, send)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "scars", "test scars")


@pytest.fixture
def companion() -> Companion:
    return msgspec.structs.replace(new_companion(), port=8080, instance="this one")


Serve = Callable[..., TestClient]


@pytest.fixture
def serve(workspace: Workspace, companion: Companion) -> Serve:
    """Gives a client of the companion with these notes, by default the fixture's."""

    def client(notes: Companion = companion) -> TestClient:
        app = create_app(workspace, notes, UPSTREAM, identify=identify, guard=guard)
        return TestClient(app, base_url="http://127.0.0.1:8080", raise_server_exceptions=False)

    return client


@pytest.fixture
def client(serve: Serve) -> TestClient:
    return serve()
