"""The parts of the guard that need no server: narrowing, bodies, throttle, audit, roles, invites."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.requests import Request

from synthscars.companion import guard_audit
from synthscars.companion.guard_access import Access, read_query
from synthscars.companion.guard_answers import (
    check_stream_body,
    check_view_body,
    read_object,
    refusal_of,
)
from synthscars.companion.guard_audit import Audit, Entry
from synthscars.companion.guard_forwarding import Upstream
from synthscars.companion.guard_identity import Roles, Watched, Who, read_credential
from synthscars.companion.guard_login import PER_ACCOUNT, PER_ADDRESS, WINDOW, Throttle, form_fields
from synthscars.companion.guard_narrowing import narrow, narrowed_query
from synthscars.companion.guard_refusals import RefusedError, refusal_response
from synthscars.labelstudio.assignment import AssignedProject, note_projects
from synthscars.labelstudio.invites import (
    cancel_invites,
    create_invite,
    find_invite,
    invite_link,
    open_invites,
    redeem,
)
from synthscars.labelstudio.roles import people, remove_member, set_role
from synthscars.problems import PlatformError, Problem, UsageError
from synthscars.workspace import Workspace

ADA = Who(2, "ada@example.org", "annotator")


def request(*headers: tuple[str, str], path: str = "/api/x", method: str = "GET") -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return Request({"type": "http", "method": method, "path": path, "query_string": b"", "headers": raw})


@pytest.fixture
def workspace(tmp_path: Any) -> Workspace:
    return Workspace.create(tmp_path / "scars", "test scars")


def test_a_task_is_seen_without_what_others_did() -> None:
    task = {
        "id": 1,
        "data": {"image": "/data/x"},
        "annotations": [{"id": 5, "completed_by": 2}, {"id": 6, "completed_by": {"id": 3}}],
        "drafts": [{"id": 1, "user": "Ada@example.org"}, {"id": 2, "user": "ben@example.org"}],
        "predictions": [{"id": 9}],
        "total_annotations": 2,
        "cancelled_annotations": 4,
        "annotations_results": "[secret]",
        "annotations_ids": "5,6",
        "updated_by": [{"user_id": 3}],
    }
    seen = narrow("task", ADA, task)
    assert seen == {
        "id": 1,
        "data": {"image": "/data/x"},
        "annotations": [{"id": 5, "completed_by": 2}],
        "drafts": [{"id": 1, "user": "Ada@example.org"}],
        "predictions": [{"id": 9}],
        "total_annotations": 1,
        "cancelled_annotations": 0,
        "annotations_results": "",
        "annotations_ids": "",
        "updated_by": [],
    }


def test_a_list_of_tasks_counts_ones_own_answers_alone() -> None:
    tasks = [
        {"id": 1, "annotators": [{"user_id": 3}], "total_annotations": 1, "cancelled_annotations": 1},
        {"id": 2, "annotators": [2, 3], "total_annotations": 2, "cancelled_annotations": 0},
    ]
    listed = {"tasks": tasks, "total": 2, "total_annotations": 3, "total_predictions": 0, "more": "x"}
    seen = narrow("tasks", ADA, listed)
    assert seen["tasks"][0] == {
        "id": 1,
        "annotators": [],
        "total_annotations": 0,
        "cancelled_annotations": 0,
    }
    assert seen["tasks"][1]["annotators"] == [2]
    assert (seen["total"], seen["total_annotations"], "more" in seen) == (2, 0, False)


@pytest.mark.parametrize("kind", ["tasks", "annotations", "drafts"])
def test_an_answer_of_another_form_shows_nothing(kind: Any) -> None:
    shown = json.dumps(narrow(kind, ADA, {"results": [{"completed_by": 3, "text": "secret"}]}))
    assert "secret" not in shown


def test_people_backends_and_rights_are_narrowed() -> None:
    assert narrow("users", ADA, [{"id": 2}, {"id": 3}]) == [{"id": 2}]
    assert narrow("backends", ADA, [{"url": "http://x", "basic_auth_pass": "y"}]) == []
    rights = ["projects.view", "projects.delete", "annotations.create", "users.token.any", "webhooks.view"]
    seen = narrow("me", ADA, {"id": 2, "permissions": rights})
    assert seen == {"id": 2, "permissions": ["projects.view", "annotations.create"]}


@pytest.mark.parametrize(
    ("own", "query", "expected"),
    [
        ({4, 7}, b"page=1", b"page=1&ids=4%2C7"),
        ({4, 7}, b"ids=7,9", b"ids=7"),
        ({4, 7}, b"ids=9", b"ids=0"),
        (set(), b"", b"ids=0"),
        (None, b"page=1", b"page=1"),
    ],
)
def test_the_list_of_projects_is_asked_for_by_number(own: Any, query: bytes, expected: bytes) -> None:
    assert narrowed_query("projects", None if own is None else frozenset(own), query) == expected


def test_a_query_with_a_field_twice_is_refused() -> None:
    with pytest.raises(RefusedError, match="twice"):
        read_query(b"project=1&project=2")


def test_one_credential_is_passed_on_and_never_two() -> None:
    cookie = read_credential(request(("cookie", "a=1; sessionid=s; csrftoken=c; other=2")))
    assert cookie.headers == {"cookie": "sessionid=s; csrftoken=c"}
    token = read_credential(request(("cookie", "sessionid=s"), ("authorization", "Token abc")))
    assert token.headers == {"authorization": "Token abc"}
    assert read_credential(request(("x-api-key", "abc"))).headers == {"authorization": "Token abc"}
    assert read_credential(request()).digest == ""
    assert "abc" not in repr(token)
    for bad in (
        [("authorization", "Token a"), ("x-api-key", "b")],
        [("authorization", "Token a"), ("authorization", "Token b")],
        [("cookie", "sessionid=a; sessionid=b")],
        [("cookie", "sessionid=a"), ("cookie", "sessionid=b")],
        [("authorization", "Basic YTpi")],
    ):
        with pytest.raises(RefusedError):
            read_credential(request(*bad))


@pytest.mark.parametrize(
    "body",
    [
        {"filters": {"items": [{"filter": "filter:tasks:annotations_results"}]}},
        {"ordering": ["tasks:annotations_results"]},
        {"project": "2"},
        {"view": 3},
        {"query": "{}"},
        [1],
    ],
)
def test_the_next_task_is_not_chosen_by_what_others_answered(body: Any) -> None:
    with pytest.raises(RefusedError):
        check_stream_body(json.dumps(body).encode(), {"project": 1})
    fine = {"project": "1", "ordering": [], "filters": {"conjunction": "and", "items": []}}
    check_stream_body(json.dumps(fine).encode(), {"project": 1})


def test_a_view_of_the_table_has_no_filters_and_stays_in_its_project() -> None:
    check_view_body(b'{"data": {"title": "x", "filters": {"items": []}}, "project": 1}', {"project": 1})
    for bad in (
        {"project": 2},
        {"data": {"filters": {"items": [1]}}},
        {"data": {"ordering": ["x"]}},
        {"filter_group": {"filters": []}},
    ):
        with pytest.raises(RefusedError):
            check_view_body(json.dumps(bad).encode(), {"project": 1})


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b'"x"'])
def test_a_body_that_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        read_object(data)
    assert refused.value.status == 400


def test_problems_are_told_by_region_with_what_to_do() -> None:
    problems = [
        Problem(code="a", what="too small", fix="draw it larger", region="Region 1"),
        Problem(code="b", what="no phrase", region="Region 1"),
        Problem(code="c", what="nothing chosen"),
    ]
    refused = refusal_of(problems, "draft 3")
    assert refused.status == 400
    assert refused.errors == {
        "Region 1": ["too small (draw it larger)", "no phrase"],
        "answer": ["nothing chosen"],
    }


def test_people_get_a_page_and_programs_get_json() -> None:
    refused = RefusedError(403, "<b>no</b>")
    program = refusal_response(request(("accept", "text/html"), method="POST"), refused)
    assert json.loads(program.body) == {"detail": "<b>no</b>", "status_code": 403}
    assert program.headers["x-synthscars-refused"] == "1"
    person = refusal_response(request(("accept", "text/html"), path="/projects/3/"), refused)
    assert b"&lt;b&gt;no" in bytes(person.body)
    assert "frame-ancestors 'none'" in person.headers["content-security-policy"]
    stranger = refusal_response(request(("accept", "text/html"), path="/projects/3/"), RefusedError(401, "x"))
    assert stranger.headers["location"] == "/user/login/?next=/projects/3/"


def test_tries_are_counted_by_account_and_by_address() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    for _ in range(PER_ACCOUNT):
        throttle.check("ada", "1.1.1.1")
        throttle.failed("ada", "1.1.1.1")
    with pytest.raises(RefusedError) as refused:
        throttle.check("ada", "2.2.2.2")
    assert refused.value.status == 429
    assert refused.value.headers["Retry-After"] == str(round(WINDOW))
    throttle.check("ben", "1.1.1.1")
    for number in range(PER_ADDRESS - PER_ACCOUNT):
        throttle.failed(f"x{number}", "1.1.1.1")
    with pytest.raises(RefusedError):
        throttle.check("ben", "1.1.1.1")
    now[0] = WINDOW
    throttle.check("ada", "1.1.1.1")


def test_a_right_password_forgets_the_failed_tries_of_the_account() -> None:
    throttle = Throttle(lambda: 0.0)
    for _ in range(PER_ACCOUNT - 1):
        throttle.failed("ada", "1.1.1.1")
    throttle.succeeded("ada")
    throttle.failed("ada", "1.1.1.1")
    throttle.check("ada", "1.1.1.1")


def test_a_form_is_read_once() -> None:
    assert form_fields(b"email=a%40b&password=x+y") == {"email": "a@b", "password": "x y"}
    for bad in (b"email=a&email=b", b"\xff", b"&".join(b"a%d=1" % i for i in range(50))):
        with pytest.raises(RefusedError):
            form_fields(bad)


def test_the_audit_log_grows_by_lines_that_only_its_owner_reads(workspace: Workspace) -> None:
    audit = Audit(workspace.platform_dir)
    for number in range(3):
        audit.add(Entry(at=datetime.now(UTC), method="POST", path=f"/x/{number}\n", status=200))
    (path,) = (workspace.platform_dir / "audit").iterdir()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["path"] for line in lines] == ["/x/0\n", "/x/1\n", "/x/2\n"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_room_for_the_log_nothing_is_passed_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = Audit(workspace.platform_dir)
    audit.require_room()
    monkeypatch.setattr(guard_audit, "ROOM", 1 << 80)
    with pytest.raises(RefusedError) as refused:
        audit.require_room()
    assert refused.value.status == 503
    monkeypatch.undo()
    (workspace.platform_dir / "audit").rename(workspace.platform_dir / "gone")
    (workspace.platform_dir / "audit").write_text("a file where the folder should be")
    with pytest.raises(RefusedError):
        audit.require_room()


def test_a_file_is_read_again_when_it_was_replaced(tmp_path: Any) -> None:
    path = tmp_path / "x"
    path.write_text("1")
    watched = Watched(path, path.read_text)
    assert watched.get() == "1"
    new = tmp_path / "y"
    new.write_text("2")
    new.replace(path)
    assert watched.get() == "2"


def test_roles_are_given_changed_and_taken(workspace: Workspace) -> None:
    assert set_role(workspace, "Ada@Example.org", "annotator", 3) is None
    before = set_role(workspace, "ada@example.org", "manager", 3)
    assert before is not None
    assert before.role == "annotator"
    set_role(workspace, "ben@example.org", "adjudicator", 4)
    assert [(one.email, one.role, one.id) for one in people(workspace)] == [
        ("ada@example.org", "manager", 3),
        ("ben@example.org", "adjudicator", 4),
    ]
    path = workspace.platform_dir / "people.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["people"][0] == {
        "email": "ada@example.org",
        "role": "manager",
        "id": 3,
    }
    assert remove_member(workspace, "ADA@example.org").id == 3
    with pytest.raises(UsageError, match="has no role"):
        remove_member(workspace, "ada@example.org")


@pytest.mark.parametrize("email", ["", "ada", "a b@c.d", "a@b\n", "<x>@y.z", "a@" + "b" * 300, "a,b@c.d"])
def test_what_is_no_address_gets_no_role(workspace: Workspace, email: str) -> None:
    with pytest.raises(UsageError, match="not an e-mail address"):
        set_role(workspace, email, "annotator", 3)


def test_damaged_roles_let_nobody_in(workspace: Workspace) -> None:
    workspace.platform_dir.mkdir(exist_ok=True)
    (workspace.platform_dir / "people.json").write_text('{"people": [{"email": "a@b.c", "role": "god"}]}')
    with pytest.raises(PlatformError, match="cannot be read"):
        people(workspace)


def test_an_invite_is_kept_as_a_hash_and_can_be_cancelled(workspace: Workspace) -> None:
    invite, token = create_invite(workspace, "ada@example.org", "annotator")
    text = (workspace.platform_dir / "invites.json").read_text()
    assert token not in text
    assert find_invite(workspace, token) == invite
    assert find_invite(workspace, token[:-1]) is None
    second, other = create_invite(workspace, "ada@example.org", "manager")
    assert find_invite(workspace, token) is None
    assert open_invites(workspace) == [second]
    assert cancel_invites(workspace, "ada@example.org") == 1
    assert find_invite(workspace, other) is None


def test_an_invite_that_is_too_old_opens_nothing(workspace: Workspace) -> None:
    _, token = create_invite(workspace, "ada@example.org", "annotator", hours=-1)
    assert find_invite(workspace, token) is None
    with pytest.raises(UsageError, match="too old"):
        redeem(workspace, token, "long enough")
    with pytest.raises(UsageError, match="8 to 128"):
        redeem(workspace, token, "short")


def test_the_secret_of_a_link_stands_behind_the_hash(workspace: Workspace) -> None:
    assert invite_link(workspace, "t0k", "https://label.example.org/") == (
        "https://label.example.org/guard/invite#t0k"
    )
    with pytest.raises(UsageError, match="not known"):
        invite_link(workspace, "t0k")
    with pytest.raises(UsageError, match="not known"):
        invite_link(workspace, "t0k", "javascript:alert(1)")
    workspace.platform_dir.mkdir(exist_ok=True)
    (workspace.platform_dir / "companion.json").write_text('{"host": "127.0.0.1", "port": 8081, "key": "k"}')
    assert invite_link(workspace, "t0k") == "http://127.0.0.1:8081/guard/invite#t0k"


def test_until_there_are_queues_annotators_share_the_common_project_and_never_a_review(
    workspace: Workspace,
) -> None:
    access = Access(workspace, Upstream("http://127.0.0.1:9"), Roles(workspace))
    assert access.projects(ADA) == frozenset()
    common = AssignedProject(id=1, title="scars", kind="common")
    review = AssignedProject(id=2, title="scars review", kind="review")
    with workspace.lock():
        note_projects(workspace, [common, review])
    assert access.projects(ADA) == {1}
    assert access.projects(Who(9, "max@example.org", "adjudicator")) is None
    with workspace.lock():
        note_projects(workspace, [AssignedProject(id=3, title="001", rater="ben@example.org", batch="001")])
    assert access.projects(ADA) == frozenset()
    assert access.projects(Who(4, "ben@example.org", "annotator")) == {3}
