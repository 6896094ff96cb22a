"""`GET /companion/images/<id>`: for whoever is logged in, or with a signed address."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, JSONResponse, Response

from synthscars.companion.identity import Identify
from synthscars.companion.pictures import Pictures
from synthscars.companion.signing import VARIANTS, refusal
from synthscars.problems import ImageError

if TYPE_CHECKING:
    from starlette.requests import Request

_DAY = 86_400
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Vary": "Origin, Cookie, Authorization",
}


def image_handler(
    pictures: Pictures,
    key: str,
    identify: Identify,
    origins: Collection[str],
    refused: Callable[[str], None] = lambda why: None,
) -> Callable[[Request], Awaitable[Response]]:
    """The handler of the route. key: of the signatures. origins: pages that may read the pixels (CORS).

    refused: called with a word for each refusal, for the metrics.
    """

    async def image(request: Request) -> Response:
        cors = _cors(request, origins)
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={**_PREFLIGHT, **cors, "Vary": "Origin"})
        image_id = request.path_params["image_id"]
        query = request.query_params
        variant = query.get("variant", "upright")
        if variant not in VARIANTS:
            return _error(400, f"there is no variant of that name: use {' or '.join(VARIANTS)}", cors)
        signed = "signature" in query or "expires" in query
        if signed:
            expires, given = query.get("expires", ""), query.get("signature", "")
            why = refusal(key, image_id, variant, expires, given, time.time())
            if why:
                refused("signature")
                return _error(403, why, cors)
            seconds = max(min(int(expires) - int(time.time()), _DAY), 0)
        else:
            if await identify(request) is None:
                refused("nobody")
                return _error(403, "log in first, or use a signed address", cors)
            seconds = _DAY
        try:
            picture = await run_in_threadpool(pictures.find, image_id, variant)
        except ImageError as error:
            return _error(422, f"the file of this image is damaged: {error.message}", cors)
        if picture is None:
            return _error(404, "there is no image of this id", cors)
        etag = f'"{image_id[:40]}{"-turned" if picture.turned else ""}"'
        headers = {
            **_HEADERS,
            **cors,
            "ETag": etag,
            # An id names its bytes: they never change.
            "Cache-Control": f"private, max-age={seconds}, immutable",
            "Cross-Origin-Resource-Policy": "cross-origin" if signed else "same-origin",
        }
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        found = await run_in_threadpool(_stat, picture.path)
        if found is None:
            return _error(404, "there is no image of this id", cors)
        return FileResponse(picture.path, headers=headers, media_type=picture.media_type, stat_result=found)

    return image


_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Range, If-None-Match, If-Range",
    "Access-Control-Max-Age": "600",
}


def _cors(request: Request, origins: Collection[str]) -> dict[str, str]:
    origin = request.headers.get("origin", "")
    if origin not in origins:
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, ETag",
    }


def _error(status: int, message: str, headers: dict[str, str]) -> Response:
    return JSONResponse({"error": message}, status, headers={**headers, "Cache-Control": "no-store"})


def _matches(given: str, etag: str) -> bool:
    if given.strip() == "*":
        return True
    return etag in (one.strip().removeprefix("W/") for one in given.split(","))


def _stat(path: os.PathLike[str]) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return None
