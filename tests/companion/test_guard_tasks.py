"""Whose task a request is about: what Label Studio is asked for it, and what of its answers gets out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import msgspec
import pytest

from synthscars.companion.guard import create_guard
from synthscars.labelstudio.assignment import AssignedProject, note_projects
from synthscars.labelstudio.credentials import ensure_credentials
from synthscars.labelstudio.roles import set_role
from synthscars.problems import Problem
from synthscars.taxonomy import Taxonomy
from synthscars.workspace import Workspace

BASE = "http://127.0.0.1:8080"
ADA = {"authorization": "Token ada"}
PIA = {"authorization": "Token pia"}
MAX = {"authorization": "Token max"}
PEOPLE = {
    "Token ada": (2, "ada@example.org"),
    "Token pia": (3, "pia@example.org"),
    "Token max": (4, "max@example.org"),
}
TASKS = {11: 1, 12: 1, 21: 2, 31: 3}
"""Projects by task; Ada has project 1, and 3 was made by hand."""


def said(status: int, json: object) -> httpx.Response:
    """An answer whose body is still to be read."""

    async def body() -> AsyncIterator[bytes]:
        yield msgspec.json.encode(json)

    return httpx.Response(status, headers={"content-type": "application/json"}, content=body())


class LabelStudio:
    """As much of it as is needed here. `asked`: what it was asked, but for who somebody is."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: list[dict[str, Any]] = []
        self.changed: dict[str, Any] = {}
        self.status = 200

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        path, who = request.url.path.rstrip("/"), request.headers.get("authorization", "")
        if path == "/api/current-user/whoami":
            number, email = PEOPLE.get(who, (1, "owner@example.org"))
            return said(200, json={"id": number, "email": email})
        self.asked.append(f"{'' if who in PEOPLE else 'owner '}{request.method} {path}")
        if path == "/api/tasks":
            return said(200, json={"tasks": [self.task(11), self.task(12)], "total": 2})
        if path == "/api/dm/actions":
            return said(200, json=self.task(12))
        if path.startswith("/api/annotations/"):
            return said(200, json={"id": 5, "task": 12, "completed_by": 3, "result": []})
        number = int(path.split("/")[3])
        if request.method == "POST":
            self.answers.append({"id": 7, "completed_by": PEOPLE.get(who, (1, ""))[0], "result": []})
            return said(201, json={"id": 7})
        if path.endswith("/annotations"):
            return said(200, json=self.answers)
        if number not in TASKS:
            return said(404, json={"detail": "a secret of its own"})
        return said(self.status, json={**self.task(number), **(self.changed if who in PEOPLE else {})})

    def task(self, number: int) -> dict[str, Any]:
        return {
            "id": number,
            "project": TASKS[number],
            "data": {"text": f"the secret of {number}"},
            "annotations": [],
        }


def check(answer: Mapping[str, Any], _taxonomy: Taxonomy) -> list[Problem]:
    return [Problem(code="x", what="it is bad")] if answer.get("result") == ["bad"] else []


@pytest.fixture
def behind() -> LabelStudio:
    return LabelStudio()


@pytest.fixture
def guard(workspace: Workspace, behind: LabelStudio) -> httpx.AsyncClient:
    ensure_credentials(workspace.platform_dir)
    set_role(workspace, "ada@example.org", "annotator", 2)
    set_role(workspace, "pia@example.org", "adjudicator", 3)
    set_role(workspace, "max@example.org", "manager", 4)
    with workspace.lock():
        note_projects(
            workspace,
            [
                AssignedProject(id=1, title="001", rater="ada@example.org", batch="001"),
                AssignedProject(id=2, title="002", rater="ben@example.org", batch="001"),
            ],
        )
    app = create_guard(workspace, "http://127.0.0.1:9", check=check, transport=httpx.MockTransport(behind))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE)


def ask(guard: httpx.AsyncClient, method: str, path: str, **options: Any) -> httpx.Response:
    return asyncio.run(guard.request(method, path, **{"headers": ADA, **options}))


def test_a_task_is_opened_with_one_request_and_judged_by_its_answer(
    guard: httpx.AsyncClient, behind: LabelStudio
) -> None:
    assert ask(guard, "GET", "/api/tasks/11").json()["data"] == {"text": "the secret of 11"}
    assert behind.asked == ["GET /api/tasks/11"]
    # What was learned holds for changes.
    assert ask(guard, "POST", "/api/tasks/11/annotations", json={"result": []}).status_code == 201
    assert behind.asked[1:] == ["POST /api/tasks/11/annotations"]


def test_only_a_first_answer_is_passed_on_without_a_look_for_an_earlier_try(
    guard: httpx.AsyncClient, behind: LabelStudio
) -> None:
    ask(guard, "GET", "/api/tasks/11")
    sent = [
        ask(guard, "POST", "/api/tasks/11/annotations", json={"result": []}).status_code for _ in range(2)
    ]
    assert sent == [201, 201]
    assert behind.asked[1:] == [
        "POST /api/tasks/11/annotations",
        "owner GET /api/tasks/11/annotations",
        "PATCH /api/annotations/7",
    ]


def test_a_view_from_before_an_answer_does_not_make_it_the_first(
    guard: httpx.AsyncClient, behind: LabelStudio
) -> None:
    ask(guard, "POST", "/api/tasks/11/annotations", json={"result": []})
    ask(guard, "GET", "/api/tasks/11")  # which tells of no answers here
    ask(guard, "POST", "/api/tasks/11/annotations", json={"result": []})
    assert behind.asked.count("POST /api/tasks/11/annotations") == 1


@pytest.mark.parametrize("number", [21, 99])
def test_nothing_of_anothers_task_gets_out_nor_whether_it_is_there(
    guard: httpx.AsyncClient, behind: LabelStudio, number: int
) -> None:
    answers = [ask(guard, "GET", f"/api/tasks/{number}") for _ in range(2)]
    assert [one.status_code for one in answers] == [403, 403]
    assert not any("secret" in one.text or "etag" in one.headers for one in answers)
    # Once it is known whose it is, nobody needs to be asked.
    assert len(behind.asked) == (1 if number in TASKS else 2)


def test_changes_are_judged_before_they_are_passed_on(guard: httpx.AsyncClient, behind: LabelStudio) -> None:
    assert ask(guard, "POST", "/api/tasks/21/annotations", json={"result": []}).status_code == 403
    assert behind.asked == ["owner GET /api/tasks/21"]
    assert ask(guard, "HEAD", "/api/tasks/99").status_code == 403
    assert behind.asked[1:] == ["owner GET /api/tasks/99"]


@pytest.mark.parametrize(
    "changed", [{"project": None}, {"project": "1"}, {"project": True}, {"id": 11}, {"id": None}]
)
def test_an_answer_that_does_not_say_whose_task_it_is_is_not_believed(
    guard: httpx.AsyncClient, behind: LabelStudio, changed: dict[str, Any]
) -> None:
    behind.changed = {"project": 1, **changed}
    answer = ask(guard, "GET", "/api/tasks/21")
    assert (answer.status_code, "secret" in answer.text) in [(403, False), (502, False)]


@pytest.mark.parametrize(("status", "told"), [(500, 502), (304, 403), (404, 403), (401, 401), (302, 403)])
def test_what_is_no_task_is_refused(
    guard: httpx.AsyncClient, behind: LabelStudio, status: int, told: int
) -> None:
    behind.status = status
    answer = ask(guard, "GET", "/api/tasks/11")
    assert (answer.status_code, "secret" in answer.text) == (told, False)


LIST, NEXT = ("GET", "/api/tasks?project=1"), ("POST", "/api/dm/actions?id=next_task&project=1")


# What managers list is passed on unread, because it may be of any size.
@pytest.mark.parametrize(
    ("headers", "method", "path"),
    [(ADA, *LIST), (ADA, *NEXT), (PIA, *LIST), (PIA, *NEXT), (MAX, *NEXT)],
)
def test_lists_and_the_stream_of_tasks_tell_whose_tasks_they_hold(
    guard: httpx.AsyncClient, behind: LabelStudio, method: str, path: str, headers: dict[str, str]
) -> None:
    body = {"json": {}} if method == "POST" else {}
    assert ask(guard, method, path, headers=headers, **body).status_code == 200
    behind.asked.clear()
    sent = ask(guard, "POST", "/api/tasks/12/annotations", headers=headers, json={"result": []})
    assert (sent.status_code, behind.asked) == (201, ["POST /api/tasks/12/annotations"])


def test_head_of_what_is_narrowed_tells_nothing_of_its_length(guard: httpx.AsyncClient) -> None:
    answer = ask(guard, "HEAD", "/api/tasks/11")
    assert (answer.status_code, answer.headers["content-length"]) == (200, "0")


def test_more_tasks_than_are_remembered_are_asked_for_again(
    guard: httpx.AsyncClient, behind: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthscars.companion.guard_access._MOST", 1)
    for number in (11, 12, 11):
        assert ask(guard, "GET", f"/api/tasks/{number}").status_code == 200
    assert json.dumps(behind.asked).count("GET") == 3
    sent = ask(guard, "POST", "/api/tasks/12/annotations", json={"result": []})
    assert (sent.status_code, behind.asked[3]) == (201, "owner GET /api/tasks/12")


def test_an_adjudicators_change_that_is_refused_is_kept(
    guard: httpx.AsyncClient, behind: LabelStudio
) -> None:
    sent = ask(guard, "PATCH", "/api/annotations/5", headers=PIA, json={"result": ["bad"]})
    assert (sent.status_code, sent.json()["validation_errors"]) == (400, {"answer": ["it is bad"]})
    assert behind.asked[-1] == "POST /api/tasks/12/annotations/5/drafts"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/tasks/12/annotations"),
        ("PATCH", "/api/annotations/5"),
        ("PUT", "/api/annotations/5/"),
    ],
)
def test_what_managers_answer_has_to_be_good_too(
    guard: httpx.AsyncClient, behind: LabelStudio, method: str, path: str
) -> None:
    sent = ask(guard, method, path, headers=MAX, json={"result": ["bad"], "completed_by": 2})
    assert sent.status_code == 400
    assert not {f"PATCH {path.rstrip('/')}", f"PUT {path.rstrip('/')}"} & set(behind.asked)
    assert ask(guard, method, path, headers=MAX, data={"result": "bad"}).status_code == 415
    # What they change beside it is theirs, and so is what they answer in projects of their own.
    assert ask(guard, "PATCH", "/api/annotations/5", headers=MAX, json={"completed_by": 2}).status_code == 200
    made = ask(guard, "POST", "/api/tasks/31/annotations", headers=MAX, json={"result": ["bad"]})
    assert made.status_code == 201
    assert ask(guard, "POST", "/api/tasks/99/annotations", headers=MAX, json={}).status_code == 201
