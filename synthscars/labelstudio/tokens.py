"""How a request says who sends it: a legacy token, or a personal access token.

A personal access token is not sent with requests. It is exchanged for one that holds for some minutes, which
is exchanged anew before it ends, or when the server does not take it any more. The clock that counts is
monotonic, so that a clock that is set does not matter.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Generator

import httpx
import msgspec

from synthscars.problems import PlatformError

REFRESH_PATH = "/api/token/refresh/"
_LIFETIME = 300.0
_MARGIN = 30.0
_RENEW = "make a new one in Label Studio, under Account & Settings, Personal Access Token"


class _Claims(msgspec.Struct):
    iat: float = 0.0
    exp: float = 0.0


class LegacyToken(httpx.Auth):
    """The token that does not change."""

    def __init__(self, token: str) -> None:
        self._header = f"Token {token}"

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with the token."""
        request.headers["Authorization"] = self._header
        yield request


class PersonalToken(httpx.Auth):
    """A personal access token. url: of the server, the only one that it is shown to."""

    def __init__(self, url: str, token: str) -> None:
        self._refresh_url = url.rstrip("/") + REFRESH_PATH
        self._token = token
        self._access = ""
        self._ends = 0.0

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request with a token that holds, and once more with a new one if the server refuses it."""
        fresh = time.monotonic() > self._ends
        if fresh:
            self._take((yield self._exchange()))
        request.headers["Authorization"] = f"Bearer {self._access}"
        response = yield request
        if response.status_code == 401 and not fresh:
            self._take((yield self._exchange()))
            request.headers["Authorization"] = f"Bearer {self._access}"
            yield request

    def _exchange(self) -> httpx.Request:
        return httpx.Request("POST", self._refresh_url, json={"refresh": self._token})

    def _take(self, response: httpx.Response) -> None:
        response.read()
        if response.status_code in (400, 401, 403):
            raise PlatformError(
                "Label Studio does not take the personal access token: it has ended or was taken back",
                fix=_RENEW,
            )
        response.raise_for_status()
        answer = response.json()
        access = answer.get("access") if isinstance(answer, dict) else None
        if not isinstance(access, str) or not access:
            raise PlatformError("Label Studio gave no token for the personal access token", fix=_RENEW)
        self._access = access
        self._ends = time.monotonic() + max(_seconds(access) - _MARGIN, 0.0)


def is_personal(token: str) -> bool:
    """Whether this is a personal access token (a JSON web token): legacy ones are 40 hexadecimal digits."""
    return token.count(".") == 2


def auth_for(url: str, token: str) -> httpx.Auth:
    """What puts a token into the requests to the server at `url`."""
    return PersonalToken(url, token) if is_personal(token) else LegacyToken(token)


def _seconds(access: str) -> float:
    """How long a token holds, by its own times of issue and end; it is not proven, only read."""
    payload = access.split(".")[1] if is_personal(access) else ""
    try:
        claims = msgspec.json.decode(
            base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims
        )
    except (ValueError, msgspec.DecodeError):
        return _LIFETIME
    lifetime = claims.exp - claims.iat
    return lifetime if 0 < lifetime < 86_400 else _LIFETIME
