"""A model as an ML backend of Label Studio: it is sent tasks and answers with pre-annotations.

The protocol, as Label Studio 1.23 speaks it: `GET /health`; `POST /setup` when a project is connected, and
before every prediction; `POST /predict` with tasks, answered by one entry of `results` for each; events to
`POST /webhook`.

`/setup` brings the access token of whoever made the project. It is neither kept nor logged: images come from
a workspace, or from Label Studio with a token of our own (see `synthscars.legion.task_images`).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from synthscars.converters.labelstudio_tasks import CATEGORY
from synthscars.legion.label_studio import Answer, to_answer
from synthscars.legion.running import Known, Loaded, Predicts, load_item, predict_loaded
from synthscars.legion.task_images import FindImage, image_of
from synthscars.predictions import Prediction
from synthscars.problems import Problem, SynthScarsError
from synthscars.services.bodies import Refused, read_object
from synthscars.services.logs import log
from synthscars.taxonomy import load_taxonomy

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MAX_BODY = 16 * 2**20
"""Bytes of a request."""

MAX_TASKS = 1000
"""Tasks of a request."""

MAX_REQUESTS = 16
"""Requests for predictions at a time; further ones are told to come again."""

MAX_ANSWERS = 2000
"""Answers that are remembered, so that an image is not predicted twice."""

_READERS = 4
_GRACE = 60
_CONTROL = re.compile(rf"""\bname\s*=\s*["']{CATEGORY}["']""")

Json = dict[str, Any]
_Handler = Callable[["Request"], Awaitable["Response"]]


def create_app(
    predictor: Predicts,
    images: Sequence[FindImage],
    token: str | None = None,
    *,
    batch_size: int = 8,
    hosts: Sequence[str] | None = None,
) -> Starlette:
    """The service as a Starlette application, to be run on its own or mounted into another.

    images: the ways to a task's image, in the order in which they are tried. token: what requests must bring,
    as a bearer token or as the password of Basic authentication (`None`: nothing); `/` and `/health` never
    ask for it. hosts: the names by which it may be addressed (`None`: any); without a token, naming them
    keeps web pages from reaching it through a name of their own.

    The model is used by one batch at a time, in a thread of its own, so that `/health` answers meanwhile.
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Route

    service = _Service(predictor, images, batch_size)
    return Starlette(
        routes=[
            Route("/", service.health, methods=["GET"]),
            Route("/health", service.health, methods=["GET"]),
            Route("/setup", _guarded(service.setup, token), methods=["POST"]),
            Route("/predict", _guarded(service.predict, token), methods=["POST"]),
            Route("/webhook", _guarded(service.webhook, token), methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))] if hosts else [],
    )


def _guarded(handler: _Handler, token: str | None) -> _Handler:
    """The handler behind the check of the token, with its errors as JSON."""
    from starlette.responses import JSONResponse

    async def guarded(request: Request) -> Response:
        try:
            if token and not _is_allowed(request.headers.get("authorization", ""), token):
                challenge = {"WWW-Authenticate": 'Basic realm="synthscars"'}
                raise Refused(401, "the token is missing or wrong", challenge)
            return await handler(request)
        except Refused as error:
            log("refused", path=request.url.path, status=error.status, why=str(error))
            return error.response
        except Exception as error:
            # Only its kind: the message may hold anything that was sent.
            log("failed", path=request.url.path, error=type(error).__name__)
            return JSONResponse({"error": "it failed; see the log"}, status_code=500)

    return guarded


def _is_allowed(authorization: str, token: str) -> bool:
    scheme, _, rest = authorization.partition(" ")
    given = rest.strip().encode("latin-1")  # as header fields are decoded
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).partition(b":")[2]
        except binascii.Error:
            given = b""
    elif scheme.lower() != "bearer":
        given = b""
    return hmac.compare_digest(given, token.encode())


class _Service:
    """What the routes share: the model, its thread, and how many requests are waiting for it."""

    def __init__(self, predictor: Predicts, images: Sequence[FindImage], batch_size: int) -> None:
        self._predictor = predictor
        self._images = tuple(images)
        self._batch_size = batch_size
        self._taxonomy = load_taxonomy()
        self._model = ThreadPoolExecutor(1, thread_name_prefix="synthscars-model")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="synthscars-images")
        self._requests = 0
        # Label Studio gives a large request up after a while, and sends it again: what was done is not lost.
        self._answered: dict[str, Answer] = {}

    async def health(self, _request: Request) -> Response:
        from starlette.responses import JSONResponse

        return JSONResponse({"status": "UP", "model_version": self._predictor.name})

    async def setup(self, request: Request) -> Response:
        """Label Studio introduces a project; all that is taken of it is whether the interface is ours."""
        from starlette.responses import JSONResponse

        body = await read_object(request, MAX_BODY)
        schema = body.get("schema")
        if isinstance(schema, str) and schema.strip() and not _CONTROL.search(schema):
            raise Refused(
                400,
                f"the project's labelling interface has no control named {CATEGORY!r}: use the one that "
                "`synthscars platform push` gives a project",
            )
        log("setup", project=str(body.get("project"))[:80])
        return JSONResponse({"model_version": self._predictor.name})

    async def webhook(self, request: Request) -> Response:
        """An event: a hint that something changed, of which nothing here depends."""
        from starlette.responses import JSONResponse

        body = await read_object(request, MAX_BODY)
        log("webhook", action=str(body.get("action"))[:80])
        return JSONResponse({"status": "accepted"})

    async def predict(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        body = await read_object(request, MAX_BODY)
        tasks = body.get("tasks")
        if not isinstance(tasks, list):
            raise Refused(400, "the request has no list of tasks")
        if len(tasks) > MAX_TASKS:
            raise Refused(413, f"{len(tasks)} tasks: send at most {MAX_TASKS} at a time")
        if self._requests >= MAX_REQUESTS:
            raise Refused(503, "too many requests are waiting: come again", {"Retry-After": "10"})
        self._requests += 1
        start = time.monotonic()
        try:
            results = await self._results(request, tasks)
        finally:
            self._requests -= 1
        failed = sum(1 for result in results if isinstance(result, list))
        seconds = round(time.monotonic() - start, 3)
        log("predict", tasks=len(tasks), failed=failed, answered=len(results), seconds=seconds)
        return JSONResponse({"results": results})

    async def _results(self, request: Request, tasks: list[Any]) -> list[Json | list[Json]]:
        """One entry for each task; while the model works on a batch, the images of the next are fetched."""
        loop = asyncio.get_running_loop()
        chunks = [tasks[start : start + self._batch_size] for start in range(0, len(tasks), self._batch_size)]

        def fetch(chunk: list[Any]) -> asyncio.Future[list[Loaded | Known | Problem]]:
            return asyncio.gather(*(loop.run_in_executor(self._readers, self._load, task) for task in chunk))

        results: list[Json | list[Json]] = []
        coming = fetch(chunks[0]) if chunks else None
        for number, chunk in enumerate(chunks):
            assert coming is not None
            loaded = await coming
            coming = fetch(chunks[number + 1]) if number + 1 < len(chunks) else None
            results += await loop.run_in_executor(self._model, self._answers, chunk, loaded)
            if coming is not None and await request.is_disconnected():
                coming.cancel()
                break  # Label Studio waits for so long and no longer
        return results

    def _load(self, task: Any) -> Loaded | Known | Problem:
        try:
            return load_item(image_of(task, self._images), skip=self._answered)
        except SynthScarsError as error:
            return Problem(code="task.image", what=error.message, fix=error.fix)

    def _answers(self, tasks: list[Any], loaded: list[Loaded | Known | Problem]) -> list[Json | list[Json]]:
        outcomes = iter(predict_loaded(self._predictor, [one for one in loaded if isinstance(one, Loaded)]))
        results: list[Json | list[Json]] = []
        for task, one in zip(tasks, loaded, strict=True):
            answer = self._answer(next(outcomes) if isinstance(one, Loaded) else one)
            if isinstance(answer, str):
                log("task.failed", task=_number(task), why=answer)
                # No prediction at all. An empty one would say that there is nothing to see, and Label Studio
                # would never ask again.
                results.append([])
            else:
                if answer.left_out:
                    log("task.regions_left_out", task=_number(task), without_outline=answer.left_out)
                version = self._predictor.name
                results.append({"result": answer.result, "score": answer.score, "model_version": version})
        return results

    def _answer(self, outcome: Prediction | Known | Problem) -> Answer | str:
        """The answer for one task, or why there is none. Called in the model's thread alone."""
        if isinstance(outcome, Problem):
            return str(outcome)
        if isinstance(outcome, Known):
            return self._answered.get(outcome.image_id) or "it was forgotten just now: ask again"
        try:
            answer = to_answer(outcome, self._taxonomy)
        except SynthScarsError as error:
            return error.message
        while len(self._answered) >= MAX_ANSWERS:
            del self._answered[next(iter(self._answered))]
        self._answered[outcome.image_id] = answer
        return answer


def _number(task: Any) -> int | None:
    number = task.get("id") if isinstance(task, dict) else None
    return number if isinstance(number, int) else None


def run(app: Starlette, at: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C; requests that are being answered are finished first."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE,
    )
    uvicorn.Server(config).run(sockets=[at])
