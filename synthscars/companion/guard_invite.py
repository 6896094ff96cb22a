"""The page behind an invite: a person chooses the password of their account.

The link's secret stands behind the `#`, which browsers keep to themselves: it is in no log.
"""

from __future__ import annotations

import asyncio
import html
import logging
from typing import TYPE_CHECKING

from synthscars.companion.guard_login import Throttle, form_fields
from synthscars.companion.guard_refusals import RefusedError, page
from synthscars.labelstudio.invites import MAX_PASSWORD, MIN_PASSWORD, PAGE, find_invite, redeem
from synthscars.problems import PlatformError, UsageError
from synthscars.workspace import Workspace

if TYPE_CHECKING:
    from starlette.responses import Response

_log = logging.getLogger(__name__)

_FORM = f"""ERROR
<p>Choose a password of {MIN_PASSWORD} to {MAX_PASSWORD} characters. It is
yours alone: nobody here can read it.</p>
<form method="post" action="{PAGE}" autocomplete="off">
  <div id="typed"><label for="code">The code of your invitation: what stands behind the # in the link</label>
  <input id="code" name="code" value="CODE" required></div>
  <label for="password">Password</label>
  <input id="password" name="password" type="password" autocomplete="new-password"
         minlength="{MIN_PASSWORD}" maxlength="{MAX_PASSWORD}" required>
  <label for="again">The same again</label>
  <input id="again" name="again" type="password" autocomplete="new-password" required>
  <button>Make my account</button>
</form>
<script nonce="NONCE">
  const code = document.getElementById("code");
  if (location.hash.length > 1) code.value = location.hash.slice(1);
  if (code.value) document.getElementById("typed").hidden = true;
</script>
"""


def invite_form(error: str = "", status: int = 200, code: str = "") -> Response:
    """The page with the form, and with what was wrong with the last try."""
    said = f'<p class="error" role="alert">{html.escape(error)}</p>' if error else ""
    return page("Welcome", _FORM.replace("ERROR", said).replace("CODE", html.escape(code)), status)


async def invite_answer(
    workspace: Workspace, throttle: Throttle, data: bytes, address: str
) -> tuple[Response, str]:
    """What comes after the form was sent, and the address of the new account, `""` if there is none."""
    fields = form_fields(data)
    code, password = fields.get("code", "").strip(), fields.get("password", "")
    throttle.check(f"invite {address}", address)
    if find_invite(workspace, code) is None:
        throttle.failed(f"invite {address}", address)
        return invite_form("This link was used before, or is too old. Ask for a new one.", 403), ""
    if password != fields.get("again"):
        return invite_form("The two passwords are not the same.", 400, code), ""
    try:
        member = await asyncio.to_thread(redeem, workspace, code, password)
    except UsageError as error:
        return invite_form(f"{error.message}: {error.fix}", 400, code), ""
    except PlatformError as error:
        _log.error("an invited account was not made: %s", error.message)
        return invite_form(
            "The account could not be made. Try again, or tell who invited you.", 502, code
        ), ""
    said = f"<p>Your account is {html.escape(member.email)}.</p>"
    return page("Your account is made", f'{said}<p><a href="/user/login/">Log in</a></p>', 201), member.email


def refuse_other(method: str) -> None:
    """Raise `RefusedError` for a method that the page does not know."""
    if method not in ("GET", "HEAD", "POST"):
        raise RefusedError(405, "This page can be read and sent.", headers={"Allow": "GET, HEAD, POST"})
