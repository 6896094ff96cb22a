"""What the guard looks at in a request before it asks whose business it is."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from synthscars.companion.guard_refusals import RefusedError

if TYPE_CHECKING:
    from starlette.requests import Request

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
METHODS = SAFE | {"POST", "PUT", "PATCH", "DELETE"}


def refuse_other_sites(request: Request) -> None:
    """Refuse changes that another site's page sends in the name of who is logged in here."""
    headers = request.headers
    if request.method in SAFE or "authorization" in headers or "x-api-key" in headers:
        return
    here = f"{request.scope['scheme']}://{headers.get('host', '')}"
    said = headers.get("origin") or _origin_of(headers.get("referer", ""))
    if said != here or headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise RefusedError(403, "This was sent from the page of another site.")


def require_json(request: Request, data: bytes) -> None:
    """Raise `RefusedError` if there is a body that is not said to be JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method not in SAFE and data and kind != "application/json":
        raise RefusedError(415, "Only JSON can be sent here.")


def _origin_of(referrer: str) -> str:
    parts = urlsplit(referrer)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
