"""Who sends a request: Label Studio is asked, with the cookie or token that came with it."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

import msgspec

from synthscars.labelstudio.credentials import load_credentials
from synthscars.problems import PlatformError
from synthscars.workspace import Workspace

if TYPE_CHECKING:
    import httpx
    from starlette.requests import HTTPConnection

Role = Literal["annotator", "adjudicator", "manager"]

SECONDS = 20.0
"""For which an answer is believed: so long does somebody who logged out still see images."""

_MOST = 2000


class Identity(msgspec.Struct, frozen=True):
    """An account of Label Studio, by its number there."""

    id: int
    email: str
    role: Role


Identify = Callable[["HTTPConnection"], Awaitable[Identity | None]]
"""Says who sends a request, `None` if nobody is logged in."""


class _Who(msgspec.Struct):
    id: int
    email: str


class _People(msgspec.Struct):
    people: list[_Member] = []


class _Member(msgspec.Struct):
    email: str
    role: Role


class AskLabelStudio:
    """Identifies by asking Label Studio at `upstream`, and remembers its answer for a short while."""

    def __init__(self, workspace: Workspace, upstream: httpx.AsyncClient) -> None:
        self._workspace = workspace
        self._upstream = upstream
        self._known: OrderedDict[str, tuple[float, Identity | None]] = OrderedDict()

    async def __call__(self, request: HTTPConnection) -> Identity | None:
        """Who sends this request, `None` also if Label Studio does not answer."""
        import httpx

        session = request.cookies.get("sessionid", "")
        authorization = request.headers.get("authorization", "")
        if not session and not authorization:
            return None
        # Only a digest is kept in memory.
        key = hashlib.sha256(f"{session}\n{authorization}".encode()).hexdigest()
        known = self._known.get(key)
        if known is not None and time.monotonic() - known[0] < SECONDS:
            return known[1]
        headers = {"Authorization": authorization} if authorization else {"Cookie": f"sessionid={session}"}
        try:
            answer = await self._upstream.get("/api/current-user/whoami", headers=headers)
            who = msgspec.json.decode(answer.content, type=_Who) if answer.status_code == 200 else None
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError):
            return None  # not remembered: it may answer the next time
        identity = None if who is None else Identity(who.id, who.email, role_of(self._workspace, who.email))
        self._known[key] = (time.monotonic(), identity)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return identity


def role_of(workspace: Workspace, email: str) -> Role:
    """The role of an account: the owner's is manager, others' stands in `platform/people.json`."""
    try:
        if email == load_credentials(workspace.platform_dir).owner.email:
            return "manager"
        data = (workspace.platform_dir / "people.json").read_bytes()
        members = msgspec.json.decode(data, type=_People).people
    except (FileNotFoundError, PlatformError, msgspec.DecodeError):
        members = []
    return next((member.role for member in members if member.email == email), "annotator")
