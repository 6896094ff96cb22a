"""How the guard says no: JSON in Label Studio's form for its pages' calls, a small page for people."""

from __future__ import annotations

import html
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class RefusedError(Exception):
    """A request that is not passed on. `status` is HTTP's; the message is for the person who sent it.

    errors: what is wrong with an answer, by region.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: Mapping[str, list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = dict(headers or {})


NOT_YOURS = "This is not in your queue. If it should be, ask the person who manages the project."
LOG_IN = (
    "You are not logged in any more. What you have drawn is still on your page: leave it open, "
    "log in in another tab, and submit again."
)
MARK = "X-Synthscars-Refused"
"""Tells the script in the editor's page (`guard_editor.js`) to show the message."""


def refusal_response(request: Request, refusal: RefusedError) -> Response:
    """The answer to a refused request, as its sender can read it."""
    from starlette.responses import JSONResponse, RedirectResponse

    headers = {**refusal.headers, "Cache-Control": "no-store"}
    if wants_page(request):
        if refusal.status == 401:
            from urllib.parse import quote

            here = quote(request.scope["path"], safe="/")
            return RedirectResponse(f"/user/login/?next={here}", 302, headers=headers)
        title = _TITLES.get(refusal.status, "Not possible")
        return page(title, f"<p>{html.escape(refusal.message)}</p>{_WAYS}", refusal.status, headers)
    body: dict[str, Any] = {"detail": refusal.message, "status_code": refusal.status}
    if refusal.errors is not None:
        body |= {"validation_errors": dict(refusal.errors), "exc_info": None}
    if request.method not in ("GET", "HEAD"):
        headers[MARK] = "1"
    return JSONResponse(body, refusal.status, headers=headers)


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer, not a program."""
    accepted = request.headers.get("accept", "")
    return "text/html" in accepted and not request.scope["path"].startswith(("/api/", "/data/"))


def page(title: str, body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """One of the guard's own pages. `body` is HTML; scripts in it say `nonce="NONCE"`."""
    from starlette.responses import HTMLResponse

    nonce = secrets.token_urlsafe(16)
    text = _PAGE.replace("TITLE", html.escape(title)).replace("BODY", body).replace("NONCE", nonce)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(
        text,
        status,
        headers={
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            # Not no-referrer: browsers would then send forms with the origin "null".
            "Referrer-Policy": "same-origin",
            "Cache-Control": "no-store",
            **(headers or {}),
        },
    )


_TITLES = {
    400: "This request makes no sense",
    403: "Not for you",
    404: "Nothing here",
    413: "Too large",
    429: "Too many tries",
    502: "Label Studio does not answer",
    503: "Not now",
}

_WAYS = '<p><a href="/projects/">Your projects</a> · <a href="/logout">Log out</a></p>'

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>TITLE</title>
<style nonce="NONCE">
  :root { color-scheme: light dark; }
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 12vh auto; padding: 0 1.25rem; }
  h1 { font-size: 1.4rem; font-weight: 600; }
  label { display: block; margin: 1rem 0 0.25rem; }
  input { font: inherit; width: 100%; box-sizing: border-box; padding: 0.5rem; border-radius: 4px;
          border: 1px solid #767676; }
  button { font: inherit; margin-top: 1.25rem; padding: 0.5rem 1.25rem; border-radius: 4px; cursor: pointer;
           border: 0; color: #fff; background: #1f5fbf; }
  .error { border-left: 4px solid #c22; padding-left: 0.75rem; }
</style>
<h1>TITLE</h1>
BODY
</html>
"""
