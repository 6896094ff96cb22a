"""What stands before Label Studio: for now it passes every request on as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthscars.workspace import Workspace

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)


def create_guard(workspace: Workspace, upstream: str) -> Starlette:
    """The proxy as an application, to be mounted at `/`. upstream: Label Studio's own address."""
    import httpx
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route

    client = httpx.AsyncClient(
        base_url=upstream, timeout=httpx.Timeout(600, connect=5), trust_env=False, follow_redirects=False
    )

    async def forward(request: Request) -> Response:
        headers = [(name, value) for name, value in request.headers.raw if name.decode().lower() not in _HOP]
        target = httpx.URL(upstream).copy_with(
            raw_path=request.url.path.encode("ascii", "ignore")
            if not request.scope.get("raw_path")
            else request.scope["raw_path"] + (b"?" + request.scope["query_string"] if request.url.query else b"")
        )
        sent = client.build_request(request.method, target, headers=headers, content=request.stream())
        try:
            answer = await client.send(sent, stream=True)
        except httpx.TransportError:
            return JSONResponse({"error": "Label Studio does not answer"}, 502)
        response = StreamingResponse(
            answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose)
        )
        response.raw_headers = [
            (name.lower(), value)
            for name, value in answer.headers.raw
            if name.decode().lower() not in _HOP
        ]
        return response

    return Starlette(routes=[Route("/{path:path}", forward, methods=list(METHODS))])
