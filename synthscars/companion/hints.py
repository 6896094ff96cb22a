"""`POST /companion/webhook`: Label Studio says that something happened.

A hint and no more: it may be forged by whoever runs a server that knows the secret, it comes at most once,
and bulk imports send none. So it is counted and shown, and what is true is fetched (see `reconcile`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import JSONResponse, Response

from synthscars.companion.bodies import Refused, read_object, same_secret
from synthscars.companion.logs import log
from synthscars.companion.measures import Measures

if TYPE_CHECKING:
    from starlette.requests import Request

HEADER = "x-synthscars-secret"
MOST_HINTS = 1000
ACTIONS = (
    *("TASKS_CREATED", "TASKS_DELETED", "PROJECT_CREATED", "PROJECT_UPDATED", "PROJECT_DELETED"),
    *("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"),
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
    hints: Hints, secret: str, measures: Measures
) -> Callable[[Request], Awaitable[Response]]:
    """The handler of the route. secret: what the header must hold."""

    async def webhook(request: Request) -> Response:
        if not same_secret(request.headers.get(HEADER, ""), secret):
            log("webhook_refused")
            return JSONResponse({"error": f"the header {HEADER} is missing or wrong"}, 401)
        try:
            body = await read_object(request)
        except Refused as error:
            return error.response
        action = body.get("action")
        if not isinstance(action, str) or action not in ACTIONS:
            action = "other"
        hints.recent.append(Hint(time.time(), action))
        measures.hints.labels(action).inc()
        log("hint", action=action)
        return JSONResponse({"status": "noted"})

    return webhook
