"""Every request is counted and timed on its way, and who works on which task is noted."""

from __future__ import annotations

import logging
import re
import time
from typing import TYPE_CHECKING

import msgspec

from synthscars.companion.identity import Identify
from synthscars.companion.measures import Measures
from synthscars.services.logs import log

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TASK = re.compile(r"/api/tasks/([0-9]{1,12})(/|$)")
_NEXT = re.compile(r"/api/projects/([0-9]{1,12})/next/?$")
_ROUTES = (
    *("images", "health", "metrics", "webhook", "ml", "dashboard", "openapi.json"),
    "static",
)
MOST_PEOPLE = 1000


class Seen(msgspec.Struct, frozen=True):
    """What somebody did last. at: seconds since 1970. task, project: 0 if the request did not name it."""

    email: str
    at: float
    task: int = 0
    project: int = 0
    what: str = "looks at"


class Presence:
    """Who did what last, by e-mail address."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}

    def note(self, seen: Seen) -> None:
        """Remember it instead of what was known of this account."""
        self._seen.pop(seen.email, None)
        self._seen[seen.email] = seen
        if len(self._seen) > MOST_PEOPLE:
            del self._seen[next(iter(self._seen))]

    def recent(self, seconds: float) -> list[Seen]:
        """Who did something in the last so many seconds, latest first."""
        since = time.time() - seconds
        return sorted((one for one in self._seen.values() if one.at >= since), key=lambda one: -one.at)


class Observed:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, measures: Measures, presence: Presence, identify: Identify) -> None:
        self._app = app
        self._measures = measures
        self._presence = presence
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on; note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        begun = time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            seconds = time.perf_counter() - begun
            route, method = route_of(scope["path"]), known_method(scope["method"])
            self._measures.requests.labels(route, method, str(status)).inc()
            self._measures.seconds.labels(route).observe(seconds)
            if status >= 500 or route not in ("guard", "static", "health", "metrics", "dashboard"):
                level = logging.WARNING if status >= 500 else logging.INFO
                path = scope["path"][:200]
                log("request", level, method=method, path=path, status=status, seconds=round(seconds, 4))
        if status < 400:
            await self._note_person(scope)

    async def _note_person(self, scope: Scope) -> None:
        from starlette.requests import Request

        path, method = scope["path"], scope["method"]
        task, stream = _TASK.match(path), _NEXT.match(path)
        if task is None and stream is None:
            return
        who = await self._identify(Request(scope))
        if who is None:
            return
        what = "looks at"
        if task is not None and method in ("POST", "PATCH"):
            what = "draws" if "/drafts" in path else "answered"
        number = int(task[1]) if task is not None else 0
        project = int(stream[1]) if stream is not None else 0
        self._presence.note(Seen(who.email, time.time(), number, project, what))


def route_of(path: str) -> str:
    """One of few names for a path: what a client makes up must not become a label."""
    if path.startswith("/companion/"):
        name = path.split("/")[2]
        return name if name in _ROUTES else "other"
    return "static" if path.startswith(("/static/", "/react-app/", "/label-studio-frontend/")) else "guard"


def known_method(method: str) -> str:
    """The method, or `other`."""
    return method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
