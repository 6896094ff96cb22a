"""The companion's own routes, asked without a network; who sends a request is what its header says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synthscars.labelstudio.companion_file import Companion, new_companion
from synthscars.workspace import Workspace

if TYPE_CHECKING:
    from starlette.testclient import TestClient

UPSTREAM = "http://127.0.0.1:9"
"""Nothing listens there."""

BASE = "http://127.0.0.1:8080"


def companion_of(**fields: Any) -> Companion:
    """One at port 8080 with secrets of its own."""
    import msgspec

    return msgspec.structs.replace(new_companion(), port=8080, instance="abc", **fields)


def client_of(workspace: Workspace, companion: Companion, **options: Any) -> TestClient:
    """A client for the application. The header `x-role` says with which role a request is sent, if any."""
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.testclient import TestClient

    from synthscars.companion.app import create_app
    from synthscars.companion.identity import Identity

    async def identify(request: Request) -> Identity | None:
        role: Any = request.headers.get("x-role")
        return Identity(3, f"{role}@example.org", role) if role else None

    app = create_app(
        workspace,
        companion,
        UPSTREAM,
        identify=identify,
        guard=PlainTextResponse("the guard"),
        **options,
    )
    return TestClient(app, base_url=BASE, raise_server_exceptions=False)
