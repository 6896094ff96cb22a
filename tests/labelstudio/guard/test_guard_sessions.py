"""The guard in front of a real Label Studio: who comes in, how, and until when."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from guard_server import log_in, running_guard
from guarded_people import Team, audit_lines, drawn

from synthscars.cli import main
from synthscars.labelstudio.invites import create_invite
from synthscars.labelstudio.roles import people, remove_member, set_role

pytestmark = [pytest.mark.platform, pytest.mark.slow]


def test_another_site_s_page_changes_nothing(team: Team, sessions: dict[str, httpx.Client]) -> None:
    nia, address = sessions["nia"], f"/api/tasks/{team.tasks['nia'][0]}/drafts"
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "", "Referer": "https://evil.example/x"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        assert nia.post(address, json={"result": []}, headers=headers).status_code == 403


def test_who_is_not_logged_in_is_led_to_the_login_page(url: str) -> None:
    page = httpx.get(f"{url}/projects/", headers={"Accept": "text/html"}, trust_env=False)
    assert (page.status_code, page.headers["location"]) == (302, "/user/login/?next=/projects/")
    assert httpx.get(f"{url}/api/projects", trust_env=False).status_code == 401
    login = httpx.get(f"{url}/user/login/", trust_env=False)
    assert login.status_code == 200
    assert "127.0.0.1" not in login.text  # Label Studio's own address would lead past the guard


def test_nobody_gets_the_cookies_of_who_came_before(team: Team, url: str) -> None:
    with closing(log_in(url, team.email("nia"), team.password("nia"))) as nia:
        assert nia.get("/api/projects").status_code == 200
    # Label Studio answers the login page with a redirection to whoever it takes for logged in.
    assert httpx.get(f"{url}/user/login/", trust_env=False).status_code == 200
    with httpx.Client(base_url=url, trust_env=False) as visitor:
        visitor.get("/static/css/main.css")
        assert visitor.get("/api/projects").status_code == 401


def test_an_address_without_a_role_cannot_log_in(url: str) -> None:
    with httpx.Client(base_url=url, headers={"Origin": url}, trust_env=False) as session:
        session.get("/user/login/")
        fields = {"email": "nobody@guard.example.org", "password": "x" * 12}
        assert session.post("/user/login/", data=fields).status_code == 403


def test_removing_somebody_ends_their_session_and_keeps_their_answers(team: Team, url: str) -> None:
    session = log_in(url, team.email("oto"), team.password("oto"))
    answers = team.owner.request("GET", f"/api/tasks/{team.tasks['oto'][0]}/annotations/")
    try:
        assert session.get("/api/projects").status_code == 200
        remove_member(team.workspace, team.email("oto"))
        assert session.get("/api/projects").status_code == 403
        assert session.post(f"/api/tasks/{team.tasks['oto'][0]}/annotations", json=drawn()).status_code == 403
        with pytest.raises(AssertionError):
            log_in(url, team.email("oto"), team.password("oto"))
    finally:
        set_role(team.workspace, team.email("oto"), "annotator", team.people["oto"].id)
    assert session.get("/api/projects").status_code == 200
    assert team.owner.request("GET", f"/api/tasks/{team.tasks['oto'][0]}/annotations/") == answers


def test_logging_out_is_believed_at_once(team: Team, url: str) -> None:
    session = log_in(url, team.email("oto"), team.password("oto"))
    assert session.get("/logout").status_code == 302
    assert session.get("/api/projects").status_code == 401


def test_passwords_are_not_tried_for_long(team: Team, url: str) -> None:
    with httpx.Client(base_url=url, headers={"Origin": url}, trust_env=False, timeout=60) as session:
        session.get("/user/login/")
        token = session.cookies.get("csrftoken") or ""
        answers = [
            session.post(
                "/user/login/",
                data={
                    "email": team.email("pia"),
                    "password": f"wrong {number}",
                    "csrfmiddlewaretoken": token,
                },
            ).status_code
            for number in range(11)
        ]
    assert answers == [200] * 10 + [429]


def test_an_invited_person_chooses_a_password_once(team: Team, url: str) -> None:
    _, token = create_invite(team.workspace, "quin@guard.example.org", "annotator")
    with httpx.Client(base_url=url, headers={"Origin": url}, trust_env=False, timeout=60) as session:
        form = session.get("/guard/invite")
        assert "frame-ancestors 'none'" in form.headers["content-security-policy"]
        fields = {"code": token, "password": "my own secret", "again": "my own secret"}
        assert session.post("/guard/invite", data={**fields, "again": "other"}).status_code == 400
        assert session.post("/guard/invite", data={**fields, "code": "x"}).status_code == 403
        made = session.post("/guard/invite", data=fields)
        assert made.status_code == 201, made.text
        assert session.post("/guard/invite", data=fields).status_code == 403
    quin = next(one for one in people(team.workspace) if one.email == "quin@guard.example.org")
    assert quin.role == "annotator"
    with closing(log_in(url, quin.email, "my own secret")) as logged_in:
        assert logged_in.get("/api/projects").json()["results"] == []
    files = team.workspace.platform_dir.rglob("*")
    texts = [
        path.read_bytes() for path in files if path.is_file() and path.suffix in (".json", ".jsonl", ".log")
    ]
    assert not [text for text in texts if b"my own secret" in text or token.encode() in text]


def test_no_secret_gets_into_the_audit_log(team: Team, sessions: dict[str, httpx.Client]) -> None:
    text = json.dumps(audit_lines(team))
    for person in team.people.values():
        assert person.account.token not in text
        assert person.account.password not in text
    for session in sessions.values():
        assert str(session.cookies.get("sessionid")) not in text
    assert "csrfmiddlewaretoken" not in text


def test_without_label_studio_people_are_told_and_nothing_is_lost(team: Team) -> None:
    with running_guard(team.workspace, "http://127.0.0.1:9") as alone:
        page = httpx.get(f"{alone}/user/login/", headers={"Accept": "text/html"}, trust_env=False)
        assert page.status_code == 502
        assert "still on your page" in page.text
        headers = {"Authorization": f"Token {team.people['nia'].account.token}"}
        sent = httpx.post(f"{alone}/api/tasks/1/drafts", json={}, headers=headers, trust_env=False)
        assert sent.status_code == 502
        assert sent.json()["detail"].startswith("The server that keeps the tasks does not answer")


def test_while_nobody_has_a_queue_the_common_project_is_everybody_s(team: Team, url: str) -> None:
    path = team.workspace.platform_dir / "projects.json"
    noted = path.read_bytes()
    common = json.loads((team.workspace.platform_dir / "project.json").read_bytes())["id"]
    with closing(log_in(url, team.email("nia"), team.password("nia"))) as nia:
        assert nia.get(f"/api/projects/{common}").status_code == 403
        try:
            path.unlink()
            assert nia.get(f"/api/projects/{common}").status_code == 200
            assert nia.get(f"/api/projects/{team.projects['nia']}").status_code == 403
        finally:
            path.write_bytes(noted)


def test_the_commands_make_show_and_remove_people(team: Team) -> None:
    def run(*arguments: str, **options: Any) -> Any:
        command = ["platform", "users", *arguments, "--workspace", str(team.workspace.root)]
        return CliRunner().invoke(main, command, **options)

    made = run(
        "add", "Rosa@guard.example.org", "--role", "adjudicator", "--password-stdin", input="correct horse\n"
    )
    assert made.exit_code == 0, made.output
    assert "rosa@guard.example.org is adjudicator now" in made.output
    assert "correct horse" not in made.output
    changed = run("add", "rosa@guard.example.org", "--role", "annotator", "--show")
    assert "is annotator now, was adjudicator" in changed.output
    assert "correct horse" in changed.output
    invited = run("invite", "sam@guard.example.org", "--url", "https://label.example.org", "--json")
    assert json.loads(invited.output)["link"].startswith("https://label.example.org/guard/invite#")
    listed = json.loads(run("list", "--json").output)
    assert {one["email"]: one["role"] for one in listed["people"]}["rosa@guard.example.org"] == "annotator"
    assert [one["email"] for one in listed["invited"]] == ["sam@guard.example.org"]
    table = run("list").output
    assert "rosa@guard.example.org" in table
    assert "invited until" in table
    for email in ("rosa@guard.example.org", "sam@guard.example.org"):
        assert run("remove", email).exit_code == 0
    for arguments in (
        ("invite", team.email("nia"), "--url", "https://x.example"),
        ("add", team.email("nia"), "--password-stdin"),
        ("add", team.owner.request("GET", "/api/current-user/whoami")["email"]),
    ):
        refused = run(*arguments, input="another password\n")
        assert refused.exit_code == 2, refused.output
    again = run("remove", "rosa@guard.example.org")
    assert (again.exit_code, "has no role" in again.output) == (2, True)
    assert run("add", "no address").exit_code == 2
