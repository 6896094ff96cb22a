"""The companion as one Starlette application: its own routes, and the guard for everything else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

import synthscars
from synthscars.companion.dashboard import dashboard_routes
from synthscars.companion.guard import Guard, create_guard
from synthscars.companion.guard_forwarding import no_cookies
from synthscars.companion.hints import ForLabelStudioAlone, Hints, webhook_handler
from synthscars.companion.identity import Identify
from synthscars.companion.images import image_handler
from synthscars.companion.measures import CONTENT_TYPE, Measures
from synthscars.companion.ml import ml_routes
from synthscars.companion.openapi import openapi
from synthscars.companion.pictures import Pictures
from synthscars.companion.presence import Observed, Presence
from synthscars.companion.reconcile import Reconciler
from synthscars.companion.signing import VARIANTS, signed_path
from synthscars.labelstudio.companion_file import HOOK_HOST, HOOK_PATH, LOOPBACK, Companion
from synthscars.services.bodies import Refused, read_object, same_secret
from synthscars.workspace import Workspace

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

LONGEST_ADDRESS = 7 * 86_400
"""Seconds that a signed address may live."""

_PROBE_SECONDS = 5.0


def create_app(
    workspace: Workspace,
    companion: Companion,
    upstream: str,
    *,
    identify: Identify | None = None,
    guard: ASGIApp | None = None,
    reconciler: Reconciler | None = None,
) -> Starlette:
    """The service of a workspace.

    companion: where it listens, and its secrets. upstream: Label Studio's own address. identify: says who
    sends a request, by default what the guard finds out. guard: what answers every path that is not below
    `/companion/`. reconciler: pulls now and then, by default as the settings say.
    """
    api = httpx.AsyncClient(base_url=upstream, timeout=30, trust_env=False, cookies=no_cookies())
    measures, hints, presence = Measures(), Hints(), Presence()
    pictures = Pictures(workspace)
    guard = guard or create_guard(workspace, upstream)
    who = identify or _by(guard)
    every = workspace.settings.platform.reconcile_minutes
    pulls = reconciler or Reconciler(workspace, every, measures)
    service = _Service(companion, api, who, pictures, measures, pulls)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(pulls.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await api.aclose()
            if isinstance(guard, Guard):
                await guard.close()

    origins = _origins(companion, upstream)
    image = image_handler(
        pictures, companion.key, who, origins, lambda why: measures.refused.labels(why).inc()
    )
    webhook = webhook_handler(hints, companion.hook_secret, measures, pulls.hurry)
    routes: list[Any] = [
        Route("/companion/health", service.health),
        Route("/companion/metrics", service.metrics),
        Route("/companion/openapi.json", service.openapi),
        Route("/companion/images/{image_id}", image, methods=["GET", "HEAD", "OPTIONS"]),
        Route("/companion/images/{image_id}/address", service.address, methods=["POST"]),
        Route(HOOK_PATH, webhook, methods=["POST"]),
        *dashboard_routes(workspace, companion, api, who, presence, hints, pulls),
        *ml_routes(workspace, companion.hook_secret),
        # With whatever method: nothing below it is Label Studio's.
        Mount("/companion", _nothing_here),
        Mount("/", guard),
    ]
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[
            Middleware(Observed, measures=measures, presence=presence, identify=who),
            # A web page that gives our address a name of its own must not get in with it.
            Middleware(TrustedHostMiddleware, allowed_hosts=_hosts(companion), www_redirect=False),
            Middleware(ForLabelStudioAlone),
        ],
        exception_handlers={500: _failed},
    )


def _by(guard: ASGIApp) -> Identify:
    assert isinstance(guard, Guard), "who is another guard's business: give `identify` with it"
    return guard.identify


def _hosts(companion: Companion) -> list[str]:
    named = [httpx.URL(companion.public_url).host] if companion.public_url else []
    return sorted({*LOOPBACK, "[::1]", HOOK_HOST, companion.host, *named} - {"0.0.0.0", "::"})


def _origins(companion: Companion, upstream: str) -> frozenset[str]:
    """Whose pages may read pixels: where the editor is shown."""
    ways = {companion.url, companion.local_url, upstream, f"http://localhost:{companion.port}"}
    return frozenset(way.rstrip("/") for way in ways)


class _Service:
    """The small routes, and what they share."""

    def __init__(
        self,
        companion: Companion,
        api: httpx.AsyncClient,
        identify: Identify,
        pictures: Pictures,
        measures: Measures,
        pulls: Reconciler,
    ) -> None:
        self._companion = companion
        self._api = api
        self._identify = identify
        self._pictures = pictures
        self._measures = measures
        self._pulls = pulls

    async def health(self, _request: Request) -> Response:
        """Up, and Label Studio too? Tells nothing that a stranger may not know."""
        up = await self._label_studio_is_up()
        state = self._pulls.state
        body = {
            "status": "UP" if up else "DEGRADED",
            "label_studio": "UP" if up else "DOWN",
            "version": synthscars.__version__,
            "instance": self._companion.instance,
            "reconciliation": {
                "running": state.running,
                "failures": state.failures,
                "last_success": state.at or None,
            },
        }
        return JSONResponse(body, 200 if up else 503, headers={"Cache-Control": "no-store"})

    async def _label_studio_is_up(self) -> bool:
        try:
            answer = await self._api.get("/health", timeout=_PROBE_SECONDS)
            up = answer.status_code == 200
        except httpx.HTTPError:
            up = False
        self._measures.label_studio_up.set(up)
        return up

    async def metrics(self, request: Request) -> Response:
        """For Prometheus: without a secret only where nobody but this machine gets in."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        secret = scheme.lower() == "bearer" and same_secret(token.strip(), self._companion.hook_secret)
        exposed = bool(self._companion.public_url) or self._companion.host not in LOOPBACK
        if exposed and not secret:
            return JSONResponse(
                {"error": "bring hook_secret of platform/companion.json as a bearer token"}, 403
            )
        await self._label_studio_is_up()
        return Response(self._measures.text(), headers={"Content-Type": CONTENT_TYPE})

    async def openapi(self, _request: Request) -> Response:
        return JSONResponse(openapi(synthscars.__version__))

    async def address(self, request: Request) -> Response:
        """A signed address of an image, for a program that has no account."""
        who = await self._identify(request)
        if who is None or who.role != "manager":
            return JSONResponse({"error": "signed addresses are for managers"}, 403)
        try:
            body = await read_object(request, 4096)
        except Refused as error:
            return error.response
        seconds, variant = body.get("seconds", 3600), body.get("variant", "upright")
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds <= LONGEST_ADDRESS:
            return JSONResponse({"error": f"seconds: a whole number from 1 to {LONGEST_ADDRESS}"}, 400)
        if not isinstance(variant, str) or variant not in VARIANTS:
            return JSONResponse({"error": f"variant: {' or '.join(VARIANTS)}"}, 400)
        image_id = request.path_params["image_id"]
        found = await asyncio.to_thread(self._pictures.find, image_id, "original")
        if found is None:
            return JSONResponse({"error": "there is no image of this id"}, 404)
        expires = int(time.time()) + seconds
        path = signed_path(self._companion.key, image_id, expires, variant)
        return JSONResponse({"url": f"{self._companion.url}{path}", "expires": expires})


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    answer = JSONResponse({"error": "there is nothing here: see /companion/openapi.json"}, 404)
    await answer(scope, receive, send)


async def _failed(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "it failed; see platform/companion.log"}, 500)


def is_this(body: bytes, instance: str) -> bool:
    """Whether an answer of `/companion/health` comes from this instance."""
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return False
    return isinstance(found, dict) and bool(instance) and found.get("instance") == instance
