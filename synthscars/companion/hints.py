"""`POST /companion/webhook`: Label Studio says that something happened.

A hint and no more: it may be forged by whoever runs a server that knows the secret, it comes at most once,
and bulk imports send none. So it is counted and shown, and what is true is fetched (see `reconcile`), sooner
than without it if somebody answered.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import JSONResponse, Response

from synthscars.companion.measures import Measures
from synthscars.labelstudio.companion_file import HOOK_HEADER, HOOK_HOST, HOOK_PATH
from synthscars.labelstudio.webhooks import ACTIONS as ANSWERED
from synthscars.services.bodies import Refused, read_object, same_secret
from synthscars.services.logs import log

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

MOST_HINTS = 1000
_MAX_BODY = 2**20
"""Bytes of a webhook: Label Studio sends tasks and annotations along."""
ACTIONS = (
    *("TASKS_CREATED", "TASKS_DELETED", "PROJECT_CREATED", "PROJECT_UPDATED", "PROJECT_DELETED"),
    *ANSWERED,
)


class Hint(msgspec.Struct, frozen=True):
    """That something happened. at: seconds since 1970, by our clock."""

    at: float
    action: str


class Hints:
    """The last hints, newest last."""

    def __init__(self) -> None:
        self.recent: deque[Hint] = deque(maxlen=MOST_HINTS)

    def last(self, actions: tuple[str, ...] = ACTIONS) -> Hint | None:
        """The newest of these actions."""
        return next((hint for hint in reversed(self.recent) if hint.action in actions), None)


def webhook_handler(
    hints: Hints, secret: str, measures: Measures, answered: Callable[[], None]
) -> Callable[[Request], Awaitable[Response]]:
    """The handler of the route. secret: what the header must hold. answered: called if somebody answered."""

    async def webhook(request: Request) -> Response:
        if not same_secret(request.headers.get(HOOK_HEADER, ""), secret):
            log("webhook_refused")
            return JSONResponse({"error": f"the header {HOOK_HEADER} is missing or wrong"}, 401)
        try:
            body = await read_object(request, _MAX_BODY)
        except Refused as error:
            return error.response
        action = body.get("action")
        if not isinstance(action, str) or action not in ACTIONS:
            action = "other"
        hints.recent.append(Hint(time.time(), action))
        measures.hints.labels(action).inc()
        log("hint", action=action)
        if action in ANSWERED:
            answered()
        return JSONResponse({"status": "noted"})

    return webhook


_MODEL_PATH = "/companion/ml/"


class ForLabelStudioAlone:
    """An ASGI application around another: where Label Studio may be sent to, only what is for it is answered.

    That is webhooks and the routes of the model, both of which ask for a secret.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, or answer 404."""
        here = scope.get("server") or ("", None)
        path = str(scope.get("path"))
        if here[0] == HOOK_HOST and path != HOOK_PATH and not path.startswith(_MODEL_PATH):
            await JSONResponse({"error": "nothing is here for anybody but Label Studio"}, 404)(
                scope, receive, send
            )
            return
        await self._app(scope, receive, send)
