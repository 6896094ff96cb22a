"""`/companion/dashboard`: how the work goes, for managers. See `dashboard_data` for what is on it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import httpx
import msgspec
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from synthscars.companion.dashboard_data import Dashboard
from synthscars.companion.dashboard_page import parts, state_of, to_page
from synthscars.companion.dashboard_reading import Reader
from synthscars.companion.guard_refusals import LOG_IN, RefusedError, refusal_response
from synthscars.companion.hints import Hints
from synthscars.companion.identity import Identify
from synthscars.companion.presence import Presence
from synthscars.companion.reconcile import Reconciler
from synthscars.labelstudio.companion_file import Companion
from synthscars.problems import SynthScarsError
from synthscars.services.logs import log
from synthscars.workspace import Workspace

if TYPE_CHECKING:
    from starlette.requests import Request

KEPT_SECONDS = 4.0
"""For which figures are shown again without working them out anew, however many pages are open."""

PRESENT_SECONDS = 900.0
"""Who did something within the last so many seconds is there."""

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}


def dashboard_routes(
    workspace: Workspace,
    companion: Companion,
    api: httpx.AsyncClient,
    who: Identify,
    presence: Presence,
    hints: Hints,
    pulls: Reconciler,
) -> list[Route]:
    """The page and its data. api: Label Studio; who: says who sends a request."""
    del companion  # the page's links are relative
    shown = _Board(workspace, api, who, presence, hints, pulls)
    return [
        Route("/companion/dashboard", shown.page),
        Route("/companion/dashboard/data", shown.data),
    ]


class _Board:
    def __init__(
        self,
        workspace: Workspace,
        api: httpx.AsyncClient,
        who: Identify,
        presence: Presence,
        hints: Hints,
        pulls: Reconciler,
    ) -> None:
        self._workspace = workspace
        self._api = api
        self._who = who
        self._presence = presence
        self._hints = hints
        self._pulls = pulls
        self._reader = Reader(workspace)
        self._one_at_a_time = asyncio.Lock()
        self._made: tuple[float, Dashboard, Mapping[str, str]] | None = None
        self._projects: dict[int, int] = {}
        """Task → project, which never changes."""

    async def page(self, request: Request) -> Response:
        try:
            found, pictures = await self._found(request)
        except RefusedError as refusal:
            return refusal_response(request, refusal)
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        html = await asyncio.to_thread(to_page, found, self._workspace.name, pictures, nonce)
        return HTMLResponse(html, headers={**_HEADERS, "Content-Security-Policy": policy})

    async def data(self, request: Request) -> Response:
        """Figures, and the parts of the page as HTML; without pictures if the asker has those already."""
        try:
            found, pictures = await self._found(request)
        except RefusedError as refusal:
            return refusal_response(request, refusal)
        state = state_of(found)
        known = request.query_params.get("records") == state
        body = {"records": state, "data": found, "parts": parts(found, pictures, gallery=not known)}
        return Response(msgspec.json.encode(body), media_type="application/json", headers=_HEADERS)

    async def _found(self, request: Request) -> tuple[Dashboard, Mapping[str, str]]:
        """Raises `RefusedError` for everybody but managers, and if something cannot be read."""
        asker = await self._who(request)
        if asker is None:
            raise RefusedError(401, LOG_IN)
        if asker.role != "manager":
            raise RefusedError(403, "The dashboard is for those who manage the project.")
        async with self._one_at_a_time:
            if self._made is None or time.monotonic() - self._made[0] > KEPT_SECONDS:
                try:
                    found = await asyncio.to_thread(self._read)
                except SynthScarsError as error:
                    log("dashboard_failed", error=error.message)
                    raise RefusedError(503, f"The figures cannot be worked out: {error.message}") from error
                linked = await self._link(request, found)
                self._made = (time.monotonic(), linked, dict(self._reader.pictures))
            return self._made[1], self._made[2]

    def _read(self) -> Dashboard:
        hint = self._hints.last()
        return self._reader.read(
            self._presence.recent(PRESENT_SECONDS),
            msgspec.structs.replace(self._pulls.state),
            time.time(),
            hint.at if hint else 0.0,
        )

    async def _link(self, request: Request, found: Dashboard) -> Dashboard:
        """Look up in which projects the tasks of the disputes are, with the asker's own credentials."""
        disputes = []
        for one in found.disputes:
            if one.task and not one.project:
                number = self._projects.get(one.task) or await self._project_of(request, one.task)
                self._projects[one.task] = number
                disputes.append(msgspec.structs.replace(one, project=number))
            else:
                disputes.append(one)
        return msgspec.structs.replace(found, disputes=disputes)

    async def _project_of(self, request: Request, task: int) -> int:
        """0 if Label Studio does not tell now: the page then has no link, and it is asked again."""
        authorization = request.headers.get("authorization", "")
        session = request.cookies.get("sessionid", "")
        headers = {"Authorization": authorization} if authorization else {"Cookie": f"sessionid={session}"}
        try:
            answer = await self._api.get(f"/api/tasks/{task}/", headers=headers, timeout=5)
            found = msgspec.json.decode(answer.content, type=_Task) if answer.status_code == 200 else _Task()
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            log("task_unknown", task=task, error=type(error).__name__)
            return 0
        return found.project


class _Task(msgspec.Struct):
    project: int = 0
