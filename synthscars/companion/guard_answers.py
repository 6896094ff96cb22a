"""Answers on their way in: who may say what, strict validation, and keeping what is refused."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from synthscars.companion.guard_access import Access, author_of
from synthscars.companion.guard_forwarding import Upstream
from synthscars.companion.guard_identity import Credential, Who
from synthscars.companion.guard_refusals import RefusedError
from synthscars.companion.guard_routes import Match
from synthscars.labelstudio.roles import write_private
from synthscars.problems import Problem
from synthscars.taxonomy import Taxonomy

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger(__name__)

Check = Callable[[Mapping[str, Any], Taxonomy], Sequence[Problem]]
"""What is wrong with an answer, as `synthscars.labelstudio.validation.check_answer` tells it."""

REJECTED_NAME = "rejected"
_MOST_NOTED = 20_000

# What the editor sends. `completed_by` and others would give an answer in another person's name.
_FIELDS = frozenset(
    {
        "result",
        "lead_time",
        "draft_id",
        "parent_prediction",
        "parent_annotation",
        "started_at",
        "unique_id",
        "project",
        "task",
        "was_cancelled",
        "was_postponed",
        "ground_truth",
    }
)

# What an answer says.
_SAYS = frozenset({"result", "was_cancelled"})


def read_object(data: bytes) -> dict[str, Any]:
    """A JSON object from a body. Raises `RefusedError` if it is none."""
    try:
        value = json.loads(data.decode())  # Label Studio is told UTF-8, whatever else might be read
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, "The body is not JSON.") from error
    if not isinstance(value, dict):
        raise RefusedError(400, "The body is not a JSON object.")
    return value


class Answers:
    """Looks at answers before Label Studio gets them."""

    def __init__(
        self, upstream: Upstream, access: Access, platform_dir: Path, taxonomy: Taxonomy, check: Check
    ) -> None:
        self._upstream = upstream
        self._access = access
        self._folder = platform_dir / REJECTED_NAME
        self._taxonomy = taxonomy
        self._check = check
        # The drafts that were made here, by person and task; the editor does not know of them.
        self._drafts: dict[tuple[int, int], int] = {}
        self._turns: WeakValueDictionary[tuple[int, int], asyncio.Lock] = WeakValueDictionary()
        # Whether a person's answer to a task is sure to be their first, as far as was seen here.
        self._first: OrderedDict[tuple[int, int], bool] = OrderedDict()

    def shown(self, who: Who, value: Any) -> None:
        """Note the tasks in an answer of Label Studio that hold nothing by the person yet.

        Their first answer to each then needs no search for an earlier try.
        """
        for task in value.get("tasks", [value]) if isinstance(value, dict) else ():
            there = task.get("annotations") if isinstance(task, dict) else None
            if isinstance(there, list) and isinstance(task.get("id"), int):
                # What was sent since an older view of the task was asked for counts.
                key, theirs = (who.id, task["id"]), any(author_of(one) in (who.id, 0) for one in there)
                self._note_first(key, not theirs and self._first.get(key, True))

    def _note_first(self, key: tuple[int, int], first: bool) -> None:
        self._first[key] = first
        self._first.move_to_end(key)
        while len(self._first) > _MOST_NOTED:
            self._first.popitem(last=False)

    async def look_at(
        self, who: Who, credential: Credential, found: Match, ids: Mapping[str, int], data: bytes
    ) -> tuple[list[Problem], str]:
        """What is wrong with the answer in a body, and where it was kept then.

        Raises `RefusedError` if the person may not send such a body at all.
        """
        body = read_object(data)
        if who.role != "manager":
            await self._check_fields(who, found, ids, body)
        if found.route.body == "draft":
            return [], ""
        complete = body
        if found.route.body == "change":
            if not _SAYS & set(body):
                return [], ""  # a mark, a time: what was answered stays as it is
            # A change may come in parts: the answer that would come out has to be good.
            complete = {**await self._access.annotation(ids["annotation"]), **body}
        problems = [one for one in self._check(complete, self._taxonomy) if one.severity == "error"]
        kept = await self._keep(who, credential, ids, body, problems) if problems else ""
        return problems, kept

    async def submitted(self, who: Who, credential: Credential, task: int) -> None:
        """Take away the draft of an earlier refusal, once the mended answer is there."""
        draft = self._drafts.pop((who.id, task), 0)
        if draft:
            try:
                await self._upstream.tell("DELETE", f"/api/drafts/{draft}/", credential.headers, None)
            except RefusedError:
                _log.warning("the draft %d of task %d is left over", draft, task)

    def one_at_a_time(self, who: Who, task: int) -> asyncio.Lock:
        """What to hold while an answer is looked for and passed on."""
        return self._turns.setdefault((who.id, task), asyncio.Lock())

    async def same_answer(self, who: Who, task: int, body: Mapping[str, Any]) -> int:
        """The number of an answer of theirs to the task that says exactly this, 0 if there is none.

        It is there if the first try was cut off after Label Studio had taken it: the editor was told nothing,
        and its person submits again.
        """
        key = (who.id, task)
        first = self._first.get(key, False)
        self._note_first(key, False)
        if first:
            return 0
        skipped = bool(body.get("was_cancelled"))
        for one in await self._access.answers(task, skipped=skipped):
            if author_of(one) == who.id and one.get("result") == body.get("result", []):
                return int(one["id"])
        return 0

    async def take_again(
        self, number: int, who: Who, credential: Credential, body: dict[str, Any]
    ) -> httpx.Response:
        """Let Label Studio take an answer that it has once more, so that it ends what it may not have ended.

        A first try that was cut off within it may have kept the answer and not yet counted it, nor taken its
        draft away. The answer to it is that of a new one.
        """
        draft = body.pop("draft_id", None)
        if draft and await self._access.own_draft(who, draft):
            await self._upstream.tell("DELETE", f"/api/drafts/{draft}/", credential.headers, None)
        headers = {**credential.headers, "content-type": "application/json"}
        answer = await self._upstream.send(
            "PATCH", f"/api/annotations/{number}/", headers.items(), json.dumps(body).encode()
        )
        if answer.status_code == 200:
            answer.status_code = 201
        return answer

    async def _check_fields(
        self, who: Who, found: Match, ids: Mapping[str, int], body: dict[str, Any]
    ) -> None:
        other = sorted(set(body) - _FIELDS)
        if other:
            raise RefusedError(403, f"{other[0]!r} cannot be set with an answer.")
        if who.role == "annotator" and "ground_truth" in body and body["ground_truth"] is not False:
            raise RefusedError(403, "An answer is made final by those who adjudicate.")
        for name in ("task", "project"):
            if name in body and body[name] is not None and str(body[name]) != str(ids.get(name)):
                raise RefusedError(403, f"The {name} of an answer cannot be another one.")
        draft = body.get("draft_id")
        if draft and not (isinstance(draft, int) and await self._access.own_draft(who, draft)):
            # It may have become the answer that is sent again.
            again = found.route.body == "answer" and isinstance(draft, int)
            if not (again and await self.same_answer(who, ids["task"], body)):
                raise RefusedError(403, "The draft belongs to somebody else.")
        # An adjudicator may mark any answer as final, and change nothing else about it.
        marks = found.route.body == "change" and set(body) == {"ground_truth"}
        if (
            found.route.body == "change"
            and not marks
            and not await self._access.is_by(who, ids["annotation"])
        ):
            raise RefusedError(403, "This answer is somebody else's: only they, or a manager, can change it.")

    async def _keep(
        self,
        who: Who,
        credential: Credential,
        ids: Mapping[str, int],
        body: dict[str, Any],
        problems: list[Problem],
    ) -> str:
        """Put the drawing of a refused answer where its author finds it again; returns where."""
        try:
            return await self._keep_as_draft(who, credential, ids, body)
        except RefusedError as error:
            _log.warning("a refused answer to task %s is kept in a file: %s", ids.get("task"), error.message)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-task-{ids.get('task', 0)}-{secrets.token_hex(4)}.json"
        wrong = [str(one) for one in problems]
        write_private(self._folder / name, {"user": who.id, "ids": dict(ids), "body": body, "wrong": wrong})
        return f"{REJECTED_NAME}/{name}"

    async def _keep_as_draft(
        self, who: Who, credential: Credential, ids: Mapping[str, int], body: dict[str, Any]
    ) -> str:
        draft = {"result": body.get("result", []), "lead_time": body.get("lead_time")}
        if not draft["result"]:
            return ""  # nothing was drawn
        number = body.get("draft_id") or self._drafts.get((who.id, ids["task"]))
        if number and "annotation" not in ids:
            method, path = "PATCH", f"/api/drafts/{number}/"
        elif "annotation" in ids:
            method, path = "POST", f"/api/tasks/{ids['task']}/annotations/{ids['annotation']}/drafts"
        else:
            method, path = "POST", f"/api/tasks/{ids['task']}/drafts"
        status, made = await self._upstream.tell(method, path, credential.headers, draft)
        if status >= 300 or not isinstance(made, dict):
            raise RefusedError(502, f"the draft was refused ({status})")
        if not body.get("draft_id") and "annotation" not in ids:
            self._drafts[who.id, ids["task"]] = int(made["id"])
        return f"draft {made['id']}"


def check_stream_body(data: bytes, ids: Mapping[str, int]) -> None:
    """Raise `RefusedError` unless a body asks for the next task, without filters."""
    body = read_object(data)
    if body.get("ordering") or _items(body.get("filters")) or "view" in body or "query" in body:
        raise RefusedError(403, "Tasks are given out in their own order: filters are for managers.")
    if "project" in body and str(body["project"]) != str(ids.get("project")):
        raise RefusedError(403, "The project of the body is another one than the address names.")


def check_view_body(data: bytes, ids: Mapping[str, int]) -> None:
    """Raise `RefusedError` unless a body describes a view without filters, in the project of the address."""
    body = read_object(data)
    inner = body.get("data") if isinstance(body.get("data"), dict) else {}
    assert isinstance(inner, dict)
    filtered = _items(inner.get("filters")) or inner.get("ordering") or body.get("ordering")
    if filtered or body.get("filter_group") or body.get("selected_items"):
        raise RefusedError(403, "Filters and orders of the table are for managers.")
    if "project" in body and str(body["project"]) != str(ids.get("project")):
        raise RefusedError(403, "The project of the body is another one than the address names.")


def refusal_of(problems: Sequence[Problem], kept: str) -> RefusedError:
    """What the editor shows for a refused answer: each region with what is wrong, and what to do."""
    errors: dict[str, list[str]] = {}
    for problem in problems:
        fix = f" ({problem.fix})" if problem.fix else ""
        errors.setdefault(problem.region or "answer", []).append(f"{problem.what}{fix}")
    return RefusedError(
        400, "This answer cannot be submitted yet. Nothing is lost: mend it and submit again.", errors=errors
    )


def _items(filters: object) -> object:
    return filters.get("items") if isinstance(filters, dict) else filters
