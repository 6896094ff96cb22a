"""Passing requests on to Label Studio, and its answers back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import msgspec

from synthscars.companion.guard_refusals import RefusedError
from synthscars.companion.guard_routes import encoded

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

DOWN = (
    "The server that keeps the tasks does not answer. What you have drawn is still on your page: "
    "leave it open and submit again in a minute. If this stays so, tell the person who manages the project."
)
EDITOR_PATH = "/guard/editor.js"
EDITOR_SCRIPT = f'<script src="{EDITOR_PATH}" data-role="%s"></script>'
"""What shows the guard's messages, in every page: the editor is opened without loading a new one."""
MOST_REWRITTEN = 64 << 20
"""Bytes of an answer that is read as a whole, because it has to be narrowed."""

_log = logging.getLogger(__name__)
_SECONDS = httpx.Timeout(600, connect=5)
_ASK_SECONDS = httpx.Timeout(60, connect=5)
_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Set anew, or nobody's to say: who asks is told by the credential alone, and where by the guard's address.
_REPLACED = frozenset(
    {
        "host",
        "cookie",
        "authorization",
        "x-api-key",
        "origin",
        "referer",
        "content-length",
        "accept-encoding",
        "expect",
        "forwarded",
        "x-real-ip",
        "x-http-method-override",
    }
)
_NOT_BACK = frozenset({"server", "date"})


def no_cookies() -> CookieJar:
    """A jar that stays empty: httpx else keeps the cookies of every answer, and sends one person's with
    another's request."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


class Upstream:
    """Label Studio, as the guard reaches it. `url`: its own address, `http://127.0.0.1:8080`."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        self.host = urlsplit(self.url).netloc
        options: dict[str, Any] = {"base_url": self.url, "trust_env": False, "follow_redirects": False}
        options |= {"timeout": _SECONDS, "transport": transport, "cookies": no_cookies()}
        self._reading = httpx.AsyncClient(
            **options,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=4),
        )
        # A kept connection may be closed by the server just when a change is sent over it; nobody could tell
        # whether it was done, and sending it again may do it twice.
        self._changing = httpx.AsyncClient(
            **options, limits=httpx.Limits(max_connections=100, max_keepalive_connections=0)
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._reading.aclose()
        await self._changing.aclose()

    async def send(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        content: bytes | AsyncIterator[bytes] | None = None,
        timeout: httpx.Timeout = _SECONDS,
    ) -> httpx.Response:
        """Send a request; the answer's body is still to be read. Raises `RefusedError` 502 if none comes."""
        safe = method in ("GET", "HEAD")
        client = self._reading if safe else self._changing
        request = client.build_request(
            method, target, headers=list(headers), content=content, timeout=timeout
        )
        try:
            try:
                return await client.send(request, stream=True)
            except httpx.RemoteProtocolError:
                if not safe:
                    raise
                return await client.send(request, stream=True)  # the kept connection had just been closed
        except httpx.TransportError as error:
            _log.warning("Label Studio does not answer: %s", type(error).__name__)
            raise RefusedError(502, DOWN) from error

    async def ask(self, path: str, headers: Mapping[str, str]) -> Any:
        """The JSON at an address; `None` if Label Studio says no. Raises `RefusedError` if it fails."""
        answer = await self.send("GET", path, headers.items(), timeout=_ASK_SECONDS)
        status, data = answer.status_code, await read_all(answer)
        if status in (401, 403, 404):
            return None
        if status != 200:
            raise RefusedError(502, DOWN)
        return decoded(data)

    async def tell(self, method: str, path: str, headers: Mapping[str, str], body: object) -> tuple[int, Any]:
        """Send JSON, and return the status and the JSON of the answer."""
        content = msgspec.json.encode(body)
        told = {**headers, "content-type": "application/json"}
        answer = await self.send(method, path, told.items(), content, timeout=_ASK_SECONDS)
        status, data = answer.status_code, await read_all(answer)
        return status, decoded(data) if data and status < 300 else None

    def request_headers(self, request: Request, credential: Mapping[str, str]) -> list[tuple[str, str]]:
        """The headers of a request as they are passed on.

        Host, origin and referrer become Label Studio's own, so that its check of forms holds.
        """
        dropped = _HOP | _REPLACED | _named(request.headers.get("connection", ""))
        passed = [
            (name, value)
            for name, value in request.headers.items()
            # A name with an underscore would be taken for the one with a hyphen.
            if name not in dropped and "_" not in name and not name.startswith("x-forwarded")
        ]
        passed += [("host", self.host), ("accept-encoding", "identity"), *credential.items()]
        if request.headers.get("origin"):
            passed.append(("origin", self.url))
        if request.headers.get("referer"):
            # Where somebody was is none of its business, that it was here is.
            passed.append(("referer", f"{self.url}/"))
        return passed

    async def response(
        self, answer: httpx.Response, *, secure: bool, content: bytes | None = None, role: str = ""
    ) -> Response:
        """Label Studio's answer, to be passed back; `content` in the place of its body, if given.

        secure: people reach the guard by https, so cookies are for that alone. role: of who asked, for pages.
        """
        from starlette.background import BackgroundTask
        from starlette.responses import Response, StreamingResponse

        if content is None and answer.headers.get("content-type", "").startswith("text/html"):
            # Its pages name its own address, which leads past the guard, or nowhere.
            content = (await read_all(answer)).replace(self.url.encode(), b"")
            content = content.replace(b"</head>", (EDITOR_SCRIPT % role).encode() + b"</head>", 1)
        result: Response
        if content is None:
            result = StreamingResponse(
                _body(answer), answer.status_code, background=BackgroundTask(answer.aclose)
            )
        else:
            result = Response(content, answer.status_code)
        result.raw_headers = [
            *self._headers_back(answer, secure=secure, whole=content is None),
            *([(b"content-length", str(len(content)).encode())] if content is not None else []),
        ]
        return result

    def _headers_back(
        self, answer: httpx.Response, *, secure: bool, whole: bool
    ) -> list[tuple[bytes, bytes]]:
        dropped = _HOP | _NOT_BACK | _named(answer.headers.get("connection", ""))
        if not whole:
            dropped |= {"content-length", "etag", "last-modified"}
        back = []
        for name, value in answer.headers.multi_items():
            if name in dropped:
                continue
            if name == "location" and value.startswith(self.url):
                value = value.removeprefix(self.url) or "/"
            if name == "set-cookie" and secure and "; secure" not in value.lower():
                value += "; Secure"
            back.append((name.encode("latin-1"), value.strip().encode("latin-1")))
        return back


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_raw():
            yield part
    finally:
        await answer.aclose()  # also if whoever asked has gone away


def target_of(path: str, query: bytes) -> str:
    """Where a request goes on Label Studio: the path as the guard has read it, and the query as it came."""
    asked = query.decode("latin-1")
    return encoded(path) + (f"?{asked}" if asked else "")


async def read_all(answer: httpx.Response) -> bytes:
    """The whole body of an answer. Raises `RefusedError` if it is too large or breaks off."""
    parts, size = [], 0
    try:
        async for part in answer.aiter_raw():
            size += len(part)
            if size > MOST_REWRITTEN:
                raise RefusedError(502, "The answer is too large. Ask for fewer tasks at once.")
            parts.append(part)
    except httpx.TransportError as error:
        raise RefusedError(502, DOWN) from error
    finally:
        await answer.aclose()
    return b"".join(parts)


def decoded(data: bytes) -> Any:
    """JSON from Label Studio. Raises `RefusedError` if it is not, for instance because it was cut short."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(502, DOWN) from error


def _named(connection: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in connection.split(","))


def editor_script() -> Response:
    """The script itself."""
    from starlette.responses import Response

    script = (files("synthscars.companion") / "guard_editor.js").read_bytes()
    headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(script, media_type="text/javascript", headers=headers)
