"""What stands before Label Studio and gives its accounts roles: all that people send comes through here.

`create_guard` makes the ASGI application. How one request goes through it is told in `guard_passage`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from synthscars.companion import guard_login
from synthscars.companion.guard_access import Access
from synthscars.companion.guard_answers import Answers, Check
from synthscars.companion.guard_audit import Audit
from synthscars.companion.guard_forwarding import Upstream
from synthscars.companion.guard_identity import Identities, Roles, Who, read_credential
from synthscars.companion.guard_passage import Passage
from synthscars.companion.guard_refusals import RefusedError
from synthscars.labelstudio.validation import check_answer
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace

if TYPE_CHECKING:
    import httpx
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send


def create_guard(
    workspace: Workspace,
    upstream: str,
    *,
    check: Check | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Guard:
    """The guard of a workspace as an ASGI application, to be mounted at `/`.

    upstream: Label Studio's own address. check: says what is wrong with an answer, by default
    `synthscars.labelstudio.validation.check_answer`. transport: another way to reach Label Studio.
    """
    strict = partial(check_answer, min_area=workspace.settings.platform.min_area)
    return Guard(workspace, Upstream(upstream, transport), check or strict)


class Guard:
    """The ASGI application. `close` gives its connections back."""

    def __init__(self, workspace: Workspace, upstream: Upstream, check: Check) -> None:
        self.workspace = workspace
        self.upstream = upstream
        self.roles = Roles(workspace)
        self.identities = Identities(upstream)
        self.access = Access(workspace, upstream, self.roles)
        folder = workspace.platform_dir
        self.answers = Answers(upstream, self.access, folder, load_taxonomy(), check)
        self.audit = Audit(folder)
        self.throttle = guard_login.Throttle()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Label Studio has no websockets, so there are none here."""
        from starlette.requests import Request

        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        response = await Passage(self, request).answer()
        await response(scope, receive, send)

    async def identify(self, request: Request) -> Who | None:
        """Who sends a request that is not passed on; `None`: nobody with a role, or Label Studio is away."""
        try:
            account = await self.identities.account(read_credential(request))
            return self.roles.who(account) if account else None
        except RefusedError:
            return None

    async def close(self) -> None:
        """Give the connections to Label Studio back."""
        await self.upstream.close()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
