"""One request on its way through the guard.

It is read once, looked up in the table of `guard_routes` (what is not there is refused), checked for whose
thing it is about (`guard_access`), and passed on with nothing changed but its credential and its origin.
Answers of people are validated on their way in (`guard_answers`). What lists things is narrowed on its way
out (`guard_narrowing`). Whatever changes something is written down (`guard_audit`).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from synthscars.companion import guard_answers, guard_invite, guard_login, guard_models
from synthscars.companion.guard_access import read_query
from synthscars.companion.guard_audit import Entry
from synthscars.companion.guard_forwarding import (
    DOWN,
    EDITOR_PATH,
    decoded,
    editor_script,
    read_all,
    target_of,
)
from synthscars.companion.guard_identity import (
    SESSION_COOKIE,
    Account,
    Credential,
    Who,
    read_credential,
)
from synthscars.companion.guard_narrowing import is_narrowed, narrow, narrowed_query
from synthscars.companion.guard_refusals import LOG_IN, NOT_YOURS, RefusedError, refusal_response
from synthscars.companion.guard_requests import METHODS, SAFE, refuse_other_sites, require_json
from synthscars.companion.guard_routes import LOGGED_OUT, Match, match
from synthscars.labelstudio.invites import PAGE
from synthscars.problems import PlatformError

if TYPE_CHECKING:
    import httpx
    from starlette.requests import Request
    from starlette.responses import Response

    from synthscars.companion.guard import Guard

MOST = 16 << 20
"""Bytes of a body. A manager's may be of any told size unless it is an answer: it is passed on in pieces."""

_log = logging.getLogger(__name__)


class Passage:
    """One request, with what is learned about it, for the log. `answer` once."""

    def __init__(self, guard: Guard, request: Request) -> None:
        self.guard = guard
        self.request = request
        self.method = request.method
        self.path: str = request.scope["path"]
        self.query: bytes = request.scope["query_string"]
        self.address = request.client.host if request.client else ""
        self.credential = Credential({})
        self.account: Account | None = None
        self.who: Who | None = None
        self.ids: dict[str, int] = {}
        self.sha256 = ""
        self.email = ""
        self.kept = ""
        self.upstream_seconds = 0.0
        self.is_json = False

    async def answer(self) -> Response:
        """The answer, whatever happens: a refusal is one too, and is written down like any other."""
        changes = self.method not in SAFE
        started = time.perf_counter()
        try:
            if self.method not in METHODS:
                raise RefusedError(405, "This cannot be done here.")
            if changes:
                self.guard.audit.require_room()
            response = await self._pass()
        except RefusedError as refusal:
            response = refusal_response(self.request, refusal)
        except PlatformError as error:
            _log.error("%s; %s", error.message, error.fix)
            response = refusal_response(self.request, RefusedError(503, "The platform's files are damaged."))
        if changes:
            self._write_down(response.status_code)
        own = 1000 * (time.perf_counter() - started - self.upstream_seconds)
        response.headers["Server-Timing"] = f"guard;dur={own:.1f}"
        return response

    async def _pass(self) -> Response:
        refuse_other_sites(self.request)
        if self.path == PAGE:
            return await self._invite()
        if self.path == EDITOR_PATH:
            return editor_script()
        self.credential = read_credential(self.request)
        found = match(self.method, self.path)
        if found is not None and found.route.public:
            return await self._public(found)
        self.account = await self.guard.identities.account(self.credential)
        if self.account is None:
            raise RefusedError(401, LOG_IN)
        self.who = self.guard.roles.who(self.account)
        if self.who is None:
            raise RefusedError(
                403, "Your account has no role here. Ask the person who manages the project for one."
            )
        if self.who.role == "manager":
            return await self._managed(self.who)
        if found is None:
            raise RefusedError(403, NOT_YOURS)
        return await self._checked(self.who, found)

    async def _managed(self, who: Who) -> Response:
        """For managers: everything, but what they answer in the platform's projects has to be good too."""
        if guard_models.connects(self.method, self.path):
            data = await self._json_body()
            await guard_models.refuse_banned(data)
            return await self._forward(data, self.query)
        found = match("PATCH" if self.method == "PUT" else self.method, self.path)
        if found is None or found.route.body not in ("answer", "change"):
            answer = await self._send(await self._any_body(), self.query)
            if found is None or found.route.narrow != "task":
                return await self._back(answer)
            return await self._back(answer, await self._seen(who, found, answer))
        self.ids = await self.guard.access.located(found.ids)
        if self.guard.access.is_made_here(self.ids.get("project", 0)):
            data = await self._json_body()
            await self._look_at(who, found, data)
        else:
            data = await self._read_body()
        return await self._back(await self._answered(who, found, data, self.query))

    async def _look_at(self, who: Who, found: Match, data: bytes) -> None:
        """Raise `RefusedError` unless the answer in a body is good."""
        problems, self.kept = await self.guard.answers.look_at(who, self.credential, found, self.ids, data)
        if problems:
            raise guard_answers.refusal_of(problems, self.kept)

    async def _answered(self, who: Who, found: Match, data: bytes, query: bytes) -> httpx.Response:
        """Pass a request on."""
        if found.route.body == "answer":
            return await self._submit(who, data, query)
        return await self._send(data, query)

    async def _submit(self, who: Who, data: bytes, query: bytes) -> httpx.Response:
        """Pass an answer on, but never the same one as a second answer."""
        answers, task = self.guard.answers, self.ids["task"]
        body = guard_answers.read_object(data)
        async with answers.one_at_a_time(who, task):
            there = await answers.same_answer(who, task, body)
            if there:
                started = time.perf_counter()
                answer = await answers.take_again(there, who, self.credential, body)
                self.upstream_seconds += time.perf_counter() - started
            else:
                answer = await self._send(data, query)
        if answer.status_code == 201:
            await answers.submitted(who, self.credential, task)
        return answer

    async def _checked(self, who: Who, found: Match) -> Response:
        """For annotators and adjudicators: what the line of the table asks for."""
        guard, rule = self.guard, found.route.body
        told = self.method == "GET" and guard.access.is_told(who, found)
        self.ids = await guard.access.check(who, found, self.query, later=told)
        data = await self._json_body()
        if rule == "next":
            if self._asked("id") != "next_task":
                raise RefusedError(403, "Of the actions on tasks only the next task is yours.")
            if who.role == "annotator":
                guard_answers.check_stream_body(data, self.ids)
        elif rule == "view" and who.role == "annotator":
            guard_answers.check_view_body(data, self.ids)
        elif rule in ("answer", "change", "draft"):
            # An adjudicator's right to change answers is not looked up above.
            self.ids = await guard.access.located(self.ids) if rule == "change" else self.ids
            await self._look_at(who, found, data)
        query = narrowed_query(found.route.narrow, guard.access.projects(who), self.query)
        answer = await self._answered(who, found, data, query)
        return await self._back(answer, await self._seen(who, found, answer, told=told))

    async def _seen(
        self, who: Who, found: Match, answer: httpx.Response, *, told: bool = False
    ) -> bytes | None:
        """The part of an answer that this person may see; `None`: all of it, still to be read.

        told: the answer says whose task it shows, and nothing of it is passed back before that is checked.
        """
        access, kind = self.guard.access, found.route.narrow
        if told and answer.status_code != 200:
            await answer.aclose()
            if answer.status_code == 401:
                raise RefusedError(401, LOG_IN)
            if answer.status_code >= 500:
                raise RefusedError(502, DOWN)
            raise RefusedError(403, NOT_YOURS)  # as if it were somebody else's: who asks learns nothing
        narrowed = is_narrowed(kind, who)
        learned = kind in ("task", "tasks") and self.method != "HEAD"
        if answer.status_code != 200 or not (narrowed or learned):
            return None
        data = await read_all(answer)
        if self.method == "HEAD":
            return b""
        value = decoded(data)
        access.learn(kind, value)
        if told:
            self.ids = await access.check(who, found, self.query)
        if learned:
            self.guard.answers.shown(who, value)
        return msgspec.json.encode(narrow(kind, who, value)) if narrowed else data

    async def _public(self, found: Match) -> Response:
        """Login page, static files: the same for everybody."""
        data = await self._read_body()
        if self.path.startswith(LOGGED_OUT):
            self.guard.identities.forget(self.credential)
        if found.route.body == "login":
            return await self._log_in(data)
        return await self._forward(data, self.query)

    async def _log_in(self, data: bytes) -> Response:
        email = guard_login.form_fields(data).get("email", "").strip().lower()
        self.guard.throttle.check(email, self.address)
        self.sha256 = ""  # it would be the digest of a password
        if not self.guard.roles.may_log_in(email):
            self.guard.throttle.failed(email, self.address)
            raise RefusedError(403, "This address and password do not open anything here.")
        self.email = email
        response = await self._forward(data, self.query)
        if response.status_code == 302:
            self.guard.throttle.succeeded(email)
        else:
            self.guard.throttle.failed(email, self.address)
        return response

    async def _invite(self) -> Response:
        guard_invite.refuse_other(self.method)
        if self.method != "POST":
            return guard_invite.invite_form()
        data = await self._read_body()
        self.sha256 = ""
        guard = self.guard
        response, self.email = await guard_invite.invite_answer(
            guard.workspace, guard.throttle, data, self.address
        )
        return response

    async def _forward(self, data: bytes | AsyncIterator[bytes] | None, query: bytes) -> Response:
        return await self._back(await self._send(data, query))

    async def _send(self, data: bytes | AsyncIterator[bytes] | None, query: bytes) -> httpx.Response:
        upstream = self.guard.upstream
        headers = upstream.request_headers(self.request, self.credential.headers)
        if self.method not in SAFE:
            length = (
                str(len(data)) if isinstance(data, bytes) else self.request.headers.get("content-length", "0")
            )
            headers.append(("content-length", length))
        if self.is_json and data:
            # Said plainly, so that nobody reads the same bytes as other letters.
            headers = [(name, value) for name, value in headers if name != "content-type"]
            headers.append(("content-type", "application/json"))
        started = time.perf_counter()
        answer = await upstream.send(self.method, self._target(query), headers, data or None)
        self.upstream_seconds += time.perf_counter() - started
        return answer

    def _target(self, query: bytes) -> str:
        raw: bytes | None = self.request.scope.get("raw_path")
        if raw and self.who is not None and self.who.role == "manager":
            return raw.partition(b"?")[0].decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
        return target_of(self.path, query)

    async def _back(self, answer: httpx.Response, content: bytes | None = None) -> Response:
        self._adopt(answer)
        secure = self.request.scope["scheme"] == "https"
        role = self.who.role if self.who is not None else ""
        return await self.guard.upstream.response(answer, secure=secure, content=content, role=role)

    def _adopt(self, answer: httpx.Response) -> None:
        """Label Studio signs the session anew in nearly every answer: the new cookie is the same person's."""
        if self.account is None or not self.credential.session:
            return
        for value in answer.headers.get_list("set-cookie"):
            name, _, rest = value.strip().partition("=")
            if name == SESSION_COOKIE and (cookie := rest.partition(";")[0].strip('"')):
                self.guard.identities.adopt(self.account, cookie)

    async def _read_body(self) -> bytes:
        """The whole body. Raises `RefusedError` 413 if it is too large."""
        parts, size = [], 0
        async for part in self.request.stream():
            size += len(part)
            if size > MOST:
                raise RefusedError(413, f"More than {MOST >> 20} MB cannot be sent here.")
            parts.append(part)
        data = b"".join(parts)
        if data:
            self.sha256 = hashlib.sha256(data).hexdigest()
        return data

    async def _json_body(self) -> bytes:
        """The body, which must be JSON, and is passed on as nothing else."""
        data = await self._read_body()
        require_json(self.request, data)
        self.is_json = True
        return data

    async def _any_body(self) -> bytes | AsyncIterator[bytes] | None:
        length = self.request.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length) > MOST:
            return self.request.stream()
        return await self._read_body()

    def _asked(self, name: str) -> str:
        return read_query(self.query).get(name, "")

    def _write_down(self, status: int) -> None:
        account = self.account
        entry = Entry(
            at=datetime.now(UTC),
            user=account.id if account else 0,
            email=account.email if account else self.email,
            role=self.who.role if self.who else "",
            address=self.address,
            method=self.method,
            path=self.path[:2000],
            status=status,
            sha256=self.sha256,
            kept=self.kept,
            **{name: self.ids.get(name, 0) for name in ("project", "task", "annotation")},
        )
        try:
            self.guard.audit.add(entry)
        except OSError:
            # It is done already; nothing more is let through until there is room again.
            _log.exception("a change is missing in the audit log: %s", msgspec.json.encode(entry).decode())
