"""Reading what is sent to a service, in bounded memory, and refusing it."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class Refused(Exception):  # noqa: N818
    """A request that is answered with an error; `status` and `response` are that answer's."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        from starlette.responses import JSONResponse

        super().__init__(message)
        self.status = status
        self.response: Response = JSONResponse({"error": message}, status, headers)


async def read_object(request: Request, most: int) -> dict[str, Any]:
    """The JSON object of a request. Raises `Refused` if it is none, or has more than `most` bytes."""
    # A web page may send anything else to any address without asking first.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "send application/json")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > most:
        raise Refused(413, f"the request has more than {most:,} bytes: send less at a time")
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise Refused(413, f"the request has more than {most:,} bytes: send less at a time")
    try:
        body = msgspec.json.decode(bytes(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(400, "the request is not JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "the request is not a JSON object")
    return body


def same_secret(given: str, secret: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them is."""
    # Not "replace": what cannot be encoded must not become a character that the secret may have.
    return bool(secret) and hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())
