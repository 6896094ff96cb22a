"""An answer that is sent again, and drafts that are not one's own, without a server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from synthscars.companion.guard_answers import Answers, read_object
from synthscars.companion.guard_forwarding import Upstream
from synthscars.companion.guard_identity import Credential, Who
from synthscars.companion.guard_refusals import RefusedError
from synthscars.companion.guard_routes import Match, match
from synthscars.taxonomy import load_taxonomy

NIA = Who(id=7, email="nia@example.org", role="annotator")
MINE, GONE, OTHERS = 1, 2, 3
KEPT = {"result": [{"id": "r1"}], "was_cancelled": False}


class Known:
    """What Label Studio has: one answer of nia's to task 5, and two drafts."""

    async def answers(self, task: int, *, skipped: bool) -> list[dict[str, Any]]:
        kept = [{**KEPT, "id": 40, "completed_by": 8}, {**KEPT, "id": 41, "completed_by": 7}]
        return kept if task == 5 and not skipped else []

    async def own_draft(self, who: Who, draft: int) -> bool:
        return draft == MINE


def answers(folder: Path) -> tuple[Answers, list[tuple[str, str, Any]]]:
    sent: list[tuple[str, str, Any]] = []

    def take(request: httpx.Request) -> httpx.Response:
        sent.append((request.method, request.url.path, json.loads(request.content or b"null")))
        return httpx.Response(200, stream=httpx.ByteStream(b'{"id": 41}'))

    upstream = Upstream("http://127.0.0.1:9", httpx.MockTransport(take))
    known: Any = Known()
    return Answers(upstream, known, folder, load_taxonomy(), lambda body, taxonomy: []), sent


def route() -> Match:
    found = match("POST", "/api/tasks/5/annotations")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("task", "body", "number"),
    [
        (5, KEPT, 41),
        (5, {"result": [{"id": "r1"}], "lead_time": 9, "draft_id": GONE}, 41),
        (5, {"result": [{"id": "r2"}]}, 0),
        (5, {**KEPT, "was_cancelled": True}, 0),
        (6, KEPT, 0),
    ],
)
def test_the_same_answer_is_one_with_the_same_drawing_by_the_same_person(
    tmp_path: Path, task: int, body: dict[str, Any], number: int
) -> None:
    assert asyncio.run(answers(tmp_path)[0].same_answer(NIA, task, body)) == number


@pytest.mark.parametrize("draft", [MINE, GONE, OTHERS, True, "2"])
def test_a_draft_that_is_not_ones_own_is_let_pass_only_with_an_answer_that_is_there(
    tmp_path: Path, draft: Any
) -> None:
    async def look(result: list[Any]) -> None:
        data = json.dumps({"result": result, "draft_id": draft}).encode()
        await answers(tmp_path)[0].look_at(NIA, Credential({}), route(), {"task": 5, "project": 1}, data)

    if draft != "2":
        asyncio.run(look(KEPT["result"]))  # type: ignore[arg-type]
    if draft != MINE:
        with pytest.raises(RefusedError, match="draft"):
            asyncio.run(look([{"id": "r2"}]))


@pytest.mark.parametrize("draft", [MINE, GONE, OTHERS])
def test_an_answer_is_taken_again_as_a_change_and_takes_only_its_own_draft_away(
    tmp_path: Path, draft: int
) -> None:
    made, sent = answers(tmp_path)
    answer = asyncio.run(made.take_again(41, NIA, Credential({}), {**KEPT, "draft_id": draft}))
    assert answer.status_code == 201
    deleted = [("DELETE", f"/api/drafts/{draft}/", None)] if draft == MINE else []
    assert sent == [*deleted, ("PATCH", "/api/annotations/41/", KEPT)]


def test_a_body_in_another_encoding_is_no_json() -> None:
    with pytest.raises(RefusedError, match="not JSON"):
        read_object(json.dumps(KEPT).encode("utf-16"))
