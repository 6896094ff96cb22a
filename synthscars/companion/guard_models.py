"""Which addresses a manager may connect as a model: those that Label Studio may fetch from.

Label Studio asks any address for its health, saves the model, and only then refuses the webhook that it makes
for it. So the address is looked at before. A name that leads elsewhere later, or a model that redirects, is
not noticed: whoever may connect models is trusted so far.
"""

from __future__ import annotations

import asyncio
import re
import socket
from urllib.parse import urlsplit

from synthscars.companion.guard_answers import read_object
from synthscars.companion.guard_refusals import RefusedError
from synthscars.labelstudio.companion_file import HOOK_HOST
from synthscars.labelstudio.egress import is_banned

_PLACE = re.compile(r"/api/ml/?(?:\d+/?)?")


def connects(method: str, path: str) -> bool:
    """Whether a request makes or changes the connection of a model."""
    return method in ("POST", "PUT", "PATCH") and _PLACE.fullmatch(path) is not None


async def refuse_banned(data: bytes) -> None:
    """Raise `RefusedError` if the `url` in a JSON body leads where Label Studio must not go."""
    address = read_object(data).get("url")
    if address is None:
        return  # Another field of it is changed.
    try:
        parts = urlsplit(address if isinstance(address, str) else "")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https"):
        raise RefusedError(400, "The address of a model begins with http:// or https://.")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return  # Label Studio will not find it either, and says so.
    if any(is_banned(str(one[4][0])) for one in found):
        raise RefusedError(
            403,
            f"Label Studio fetches nothing from {host}, which is in a private network. Let the model listen "
            f"at {HOOK_HOST} (synthscars legion serve --host {HOOK_HOST}), or lead a tunnel there.",
        )
