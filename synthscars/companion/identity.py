"""Who sends a request: what the guard has found out, for the companion's own routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from synthscars.companion.guard_identity import Who

if TYPE_CHECKING:
    from starlette.requests import Request

Identity = Who
"""An account of Label Studio by its number there, its address and its role."""

Identify = Callable[["Request"], Awaitable["Identity | None"]]
"""Says who sends a request, `None` if nobody with a role is logged in."""
