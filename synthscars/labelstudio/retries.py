"""What is done when the server is busy, stumbles, or the connection is lost; and what is said about it.

A request that changes nothing, or gives the same when it is done twice, is sent again after a while. One that
must not be done twice is sent again only if the server surely did not do it; otherwise `UncertainError` is
raised, and whoever sent it looks first what the server has.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import msgspec

from synthscars.problems import PlatformError

if TYPE_CHECKING:
    import httpx

_Result = TypeVar("_Result")

_LONGEST = 60.0
"""Seconds to wait at most, whatever a server asks for."""


class Patience(msgspec.Struct, frozen=True):
    """How often a request is tried, and the seconds in between: `first`, then twice as many, up to `most`."""

    tries: int = 6
    first: float = 0.5
    most: float = 10.0


class UncertainError(PlatformError):
    """A request got no answer that tells whether it was carried out."""


class CutShortError(Exception):
    """An answer that ends before its end; never leaves this package."""


def patiently(attempt: Callable[[], _Result], patience: Patience, *, repeatable: bool) -> _Result:
    """What `attempt` returns, tried again after errors that may pass.

    repeatable: whether it may be done twice. Raises what the last attempt raised.
    """
    for number in range(patience.tries):
        try:
            return attempt()
        except Exception as error:
            passing = _passing(error) if repeatable else _surely_undone(error)
            if not passing or number == patience.tries - 1:
                raise
            wait = min(patience.first * 2**number, patience.most) * random.uniform(0.75, 1.25)
            time.sleep(min(max(wait, _asked_for(error)), _LONGEST))
    raise ValueError("patience needs at least one try")


@contextmanager
def translated(*, repeatable: bool = True) -> Iterator[None]:
    """Turn the errors of the SDK and of HTTP into `PlatformError`.

    repeatable: as in `patiently`; if it is not, an error after which the request may have been carried out
    becomes `UncertainError`.
    """
    try:
        yield
    except Exception as error:
        translation = _translation(error)
        if translation is None:
            raise
        what, fix = translation
        unsure = not repeatable and not _surely_undone(error) and _passing(error)
        raise (UncertainError if unsure else PlatformError)(what, fix=fix) from error


def _status(error: Exception) -> int | None:
    import httpx
    from label_studio_sdk.core.api_error import ApiError

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code
    return error.status_code if isinstance(error, ApiError) else None


def _passing(error: Exception) -> bool:
    """Whether it may go better next time. A server that was silent for ten minutes is not asked again."""
    import httpx

    status = _status(error)
    if status is not None:
        # Below 400 the SDK could make nothing of the answer: it was cut short.
        return status < 400 or status == 429 or status >= 500
    if isinstance(error, (CutShortError, json.JSONDecodeError, UnicodeDecodeError)):
        return True
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ReadTimeout)


def _surely_undone(error: Exception) -> bool:
    """Whether the server refused to begin, or never heard of it."""
    import httpx

    if _status(error) == 429:
        return True
    return isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))


def _asked_for(error: Exception) -> float:
    """The seconds that the server asks to wait, 0 if it does not say."""
    import httpx

    if not isinstance(error, httpx.HTTPStatusError):
        return 0.0
    asked = error.response.headers.get("Retry-After", "")
    return float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 else 0.0


def _translation(error: Exception) -> tuple[str, str] | None:
    """What an error means and what to do about it; `None` if it is none of HTTP's."""
    import httpx
    from label_studio_sdk.core.api_error import ApiError

    log = "see platform/server.log"
    runs = "see whether it runs: `synthscars platform status`"
    if isinstance(error, ApiError) and (error.status_code or 0) < 400:
        return "Label Studio answered with something that is not JSON", f"{log}, and {runs}"
    if isinstance(error, ApiError):
        return f"Label Studio refused a request ({error.status_code}): {_shorten(error.body)}", log
    if isinstance(error, httpx.HTTPStatusError):
        # Only the path: the query may hold an invite's secret.
        request, status = f"{error.request.method} {error.request.url.path}", error.response.status_code
        if status == 429:
            return f"Label Studio is asked too much: it refused {request} (429)", "run it again in a minute"
        again = f"{log}, and run the command again: it goes on where it stopped"
        what = f"Label Studio refused {request} ({status}): {_text(error.response)}"
        return what, again if status >= 500 else log
    if isinstance(error, CutShortError):
        return f"Label Studio sent something else than a whole export: {error}", f"pull again; {log}"
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        # Without the text: an answer that was cut short may hold a token.
        return "Label Studio answered with something that is not JSON", f"{log}, and {runs}"
    if isinstance(error, httpx.ReadTimeout):
        return "Label Studio did not answer in time", f"{log}; run the command again when it is less busy"
    if isinstance(error, httpx.HTTPError):
        return f"Label Studio cannot be reached: {type(error).__name__} {error}", runs
    return None


def _text(response: httpx.Response) -> str:
    import httpx

    try:
        return _shorten(response.json())
    except ValueError:
        return _shorten(response.text)
    except httpx.ResponseNotRead:
        return response.reason_phrase


def _shorten(body: object) -> str:
    text = " ".join(str(body).split())
    if text.startswith("<"):
        return "an HTML page"
    return text if len(text) <= 400 else f"{text[:400]}…"
