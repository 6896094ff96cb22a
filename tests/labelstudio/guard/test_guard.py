"""The guard in front of a real Label Studio: what each role gets, and what is kept."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from guard_server import running_app
from guarded_people import Team, audit_lines, drawn, make_queue

from synthscars.companion.guard import create_guard
from synthscars.companion.guard_passage import MOST
from synthscars.companion.guard_refusals import NOT_YOURS
from synthscars.labelstudio.credentials import load_credentials

pytestmark = [pytest.mark.platform, pytest.mark.slow]


def test_an_annotator_takes_the_next_task_and_submits(team: Team, sessions: dict[str, httpx.Client]) -> None:
    nia, project = sessions["nia"], team.projects["nia"]
    asked = {"project": str(project), "ordering": [], "filters": {"conjunction": "and", "items": []}}
    given = nia.post(f"/api/dm/actions?id=next_task&project={project}", json=asked)
    assert given.status_code == 200, given.text
    task = given.json()["id"]
    assert task in team.tasks["nia"]
    made = nia.post(f"/api/tasks/{task}/annotations?project={project}", json=drawn())
    assert made.status_code == 201, made.text
    assert made.json()["completed_by"] == team.people["nia"].id
    found = nia.get(f"/api/tasks/{task}/annotations/").json()
    assert [one["id"] for one in found] == [made.json()["id"]]
    line = audit_lines(team)[-1]
    assert (line["email"], line["role"]) == (team.email("nia"), "annotator")
    assert (line["method"], line["status"], line["task"], line["project"]) == ("POST", 201, task, project)
    assert re.fullmatch("[0-9a-f]{64}", line["sha256"])


def test_a_refused_answer_is_told_and_its_drawing_is_kept(
    team: Team, sessions: dict[str, httpx.Client]
) -> None:
    nia, task = sessions["nia"], team.tasks["nia"][1]
    for _ in range(2):  # the second refusal makes no second draft
        refused = nia.post(f"/api/tasks/{task}/annotations", json=drawn(explanation=""))
        assert refused.status_code == 400
        assert list(refused.json()["validation_errors"]) == ["region 1 (structure: the hand)"]
    drafts = team.owner.request("GET", f"/api/tasks/{task}/drafts")
    assert [one["user"] for one in drafts] == [team.email("nia")]
    assert drafts[0]["result"][0]["value"]["points"][0] == [20, 20]
    assert audit_lines(team)[-1]["kept"] == f"draft {drafts[0]['id']}"
    assert nia.post(f"/api/tasks/{task}/annotations", json=drawn()).status_code == 201
    assert team.owner.request("GET", f"/api/tasks/{task}/drafts") == []


def test_a_change_that_spoils_an_answer_is_refused(team: Team, sessions: dict[str, httpx.Client]) -> None:
    nia, task = sessions["nia"], team.tasks["nia"][2]
    made = nia.post(f"/api/tasks/{task}/annotations", json=drawn()).json()
    address = f"/api/annotations/{made['id']}/"
    assert nia.patch(address, json=drawn(explanation="")).status_code == 400
    assert team.owner.request("GET", address)["result"] == made["result"]
    (draft,) = team.owner.request("GET", f"/api/tasks/{task}/drafts")
    assert draft["annotation"] == made["id"]
    assert nia.patch(address, json=drawn("there are six fingers")).status_code == 200
    skip = {**drawn(""), "was_cancelled": True}
    refused = nia.post(f"/api/tasks/{task}/annotations", json=skip)
    assert refused.status_code == 400
    assert "without a reason" in refused.text
    skip["result"] = [
        *skip["result"],
        {"id": "i2", "to_name": "image", "from_name": "skip_reason", "type": "choices"}
        | {"value": {"choices": ["unclear"]}},
    ]
    skipped = nia.post(f"/api/tasks/{task}/annotations", json=skip)
    assert skipped.status_code == 201  # a skip needs no explanation of regions ...
    back = nia.patch(f"/api/annotations/{skipped.json()['id']}/", json={"was_cancelled": False})
    assert back.status_code == 400  # ... and does not become an answer by the back door
    assert nia.delete(address).status_code == 204


def test_the_drawing_is_kept_in_a_file_where_no_draft_can_be_made(
    team: Team, sessions: dict[str, httpx.Client]
) -> None:
    nia, task = sessions["nia"], team.tasks["nia"][1]
    body = {**drawn(explanation=""), "lead_time": "not a number"}
    assert nia.post(f"/api/tasks/{task}/annotations", json=body).status_code == 400
    name = audit_lines(team)[-1]["kept"]
    kept = json.loads((team.workspace.platform_dir / name).read_bytes())
    assert kept["user"] == team.people["nia"].id
    assert kept["body"]["result"] == body["result"]


@pytest.mark.parametrize(
    "field",
    [
        {"completed_by": 1},
        {"ground_truth": True},
        {"task": 987654},
        {"project": 987654},
        {"updated_by": 1},
        {"draft_id": 987654},
        {"unknown": 1},
    ],
)
def test_an_answer_cannot_be_given_in_another_name_or_place(
    team: Team, sessions: dict[str, httpx.Client], field: dict[str, Any]
) -> None:
    address = f"/api/tasks/{team.tasks['nia'][0]}/annotations"
    assert sessions["nia"].post(address, json={**drawn("a new one"), **field}).status_code == 403


def test_only_json_in_utf_8_is_an_answer(team: Team, sessions: dict[str, httpx.Client]) -> None:
    address = f"/api/tasks/{team.tasks['nia'][0]}/annotations"
    form = sessions["nia"].post(address, data={"result": "[]"})
    assert form.status_code == 415
    other = sessions["nia"].post(
        address,
        content=json.dumps(drawn()).encode("utf-16"),
        headers={"Content-Type": "application/json; charset=utf-16"},
    )
    # Python's JSON reader finds out by itself that this is UTF-16; Label Studio is told UTF-8.
    assert other.status_code == 400


def test_nothing_of_another_annotator_is_seen_or_changed(
    team: Team, sessions: dict[str, httpx.Client]
) -> None:
    nia, oto = sessions["nia"], sessions["oto"]
    task, project = team.tasks["oto"][0], team.projects["oto"]
    answer = oto.post(f"/api/tasks/{task}/annotations", json=drawn("a secret of oto"))
    assert answer.status_code == 201
    draft = oto.post(f"/api/tasks/{task}/drafts", json={"result": drawn("a draft of oto")["result"]})
    assert draft.status_code == 201
    number, own = answer.json()["id"], team.tasks["nia"][0]
    tries: list[tuple[str, str, Any]] = [
        ("GET", f"/api/tasks/{task}", None),
        ("GET", f"/api/tasks/{task}/annotations", None),
        ("GET", f"/api/tasks/{task}/drafts", None),
        ("GET", f"/api/annotations/{number}", None),
        ("PATCH", f"/api/annotations/{number}", drawn()),
        ("DELETE", f"/api/annotations/{number}", None),
        ("POST", f"/api/annotations/{number}/convert-to-draft", {}),
        ("POST", f"/api/tasks/{own}/annotations/{number}/drafts", {"result": []}),
        ("GET", f"/api/drafts/{draft.json()['id']}", None),
        ("PATCH", f"/api/drafts/{draft.json()['id']}", {"result": []}),
        ("DELETE", f"/api/drafts/{draft.json()['id']}", None),
        ("POST", f"/api/tasks/{own}/annotations", {**drawn("by nia"), "draft_id": draft.json()["id"]}),
        ("POST", f"/api/tasks/{task}/annotations", drawn()),
        ("GET", f"/api/tasks?project={project}", None),
        ("GET", f"/api/tasks?project={team.projects['nia']}&query=%7B%7D", None),
        ("GET", f"/api/tasks?project={team.projects['nia']}&project={project}", None),
        ("GET", f"/api/projects/{project}", None),
        ("GET", f"/api/projects/{project}/next", None),
        ("GET", f"/api/dm/columns?project={project}", None),
        ("GET", "/api/dm/columns", None),
        ("GET", f"/projects/{project}/data?task={task}", None),
    ]
    before = (
        team.owner.request("GET", f"/api/annotations/{number}/"),
        team.owner.request("GET", f"/api/tasks/{task}/drafts"),
    )
    for method, address, body in tries:
        got = nia.request(method, address, json=body)
        assert got.status_code in (400, 403), (method, address, got.status_code)
        assert "secret" not in got.text
        assert team.email("oto") not in got.text
    assert before == (
        team.owner.request("GET", f"/api/annotations/{number}/"),
        team.owner.request("GET", f"/api/tasks/{task}/drafts"),
    )
    assert [one["id"] for one in nia.get("/api/projects").json()["results"]] == [team.projects["nia"]]
    assert nia.get(f"/api/projects?ids={project}").json()["results"] == []
    assert [one["email"] for one in nia.get("/api/users").json()] == [team.email("nia")]


def test_in_one_s_own_project_the_answers_of_others_are_left_out(
    team: Team, sessions: dict[str, httpx.Client]
) -> None:
    nia, pia, task = sessions["nia"], sessions["pia"], team.tasks["nia"][3]
    project = team.projects["nia"]
    assert pia.post(f"/api/tasks/{task}/annotations", json=drawn("a secret of pia")).status_code == 201
    shown = [
        nia.get(f"/api/tasks/{task}"),
        nia.get(f"/api/tasks/{task}/annotations"),
        nia.get(f"/api/tasks?project={project}&page=1&page_size=30"),
        nia.get(f"/api/projects/{project}/next"),
    ]
    for answer in shown:
        assert answer.status_code == 200
        assert "secret" not in answer.text
    listed = {one["id"]: one for one in shown[2].json()["tasks"]}
    assert listed[task]["total_annotations"] == 0
    assert "secret" in pia.get(f"/api/tasks/{task}").text


def test_an_adjudicator_reads_and_marks_and_changes_nothing_else(
    team: Team, sessions: dict[str, httpx.Client]
) -> None:
    pia, task = sessions["pia"], team.tasks["oto"][1]
    answer = sessions["oto"].post(f"/api/tasks/{task}/annotations", json=drawn("read by pia")).json()
    address = f"/api/annotations/{answer['id']}/"
    assert "read by pia" in pia.get(address).text
    assert pia.patch(address, json={"ground_truth": True}).status_code == 200
    assert team.owner.request("GET", address)["ground_truth"] is True
    assert pia.patch(address, json={**drawn(), "ground_truth": True}).status_code == 403
    assert pia.delete(address).status_code == 403
    assert pia.delete(f"/api/projects/{team.projects['oto']}/").status_code == 403
    assert pia.patch(f"/api/projects/{team.projects['oto']}/", json={"title": "mine"}).status_code == 403
    assert pia.get(f"/api/projects/{team.projects['oto']}/export").status_code == 403
    deleting = f"/api/dm/actions?id=delete_tasks&project={team.projects['oto']}"
    for name in ("pia", "oto"):
        assert sessions[name].post(deleting, json={"project": team.projects["oto"]}).status_code == 403


def test_a_manager_may_do_everything(team: Team, sessions: dict[str, httpx.Client]) -> None:
    manager, project = sessions["max"], team.projects["oto"]
    assert manager.patch(f"/api/projects/{project}/", json={"description": "by max"}).status_code == 200
    export = manager.get(f"/api/projects/{project}/export?exportType=JSON")
    assert export.status_code == 200
    assert len(export.json()) >= 1
    assert manager.get("/api/storages/").status_code == 200
    assert len(manager.get("/api/users").json()) > 4  # nothing is narrowed


def test_what_a_manager_answers_is_validated_where_the_platform_made_the_project(
    team: Team, sessions: dict[str, httpx.Client]
) -> None:
    manager, task = sessions["max"], team.tasks["oto"][2]
    address = f"/api/tasks/{task}/annotations"
    refused = manager.post(address, json=drawn(explanation=""))
    assert refused.status_code == 400
    assert list(refused.json()["validation_errors"]) == ["region 1 (structure: the hand)"]
    made = manager.post(address, json={**drawn(), "completed_by": team.people["oto"].id})
    assert made.status_code == 201
    assert team.owner.request("GET", f"/api/tasks/{task}/drafts") == []
    answer = f"/api/annotations/{made.json()['id']}/"
    for method in ("PATCH", "PUT"):
        assert manager.request(method, answer, json=drawn(explanation="")).status_code == 400
    assert manager.patch(answer, json={"ground_truth": True}).status_code == 200
    assert manager.delete(answer).status_code == 204
    # By hand, with an interface that is none of ours.
    config = '<View><Text name="t" value="$text"/><TextArea name="a" toName="t"/></View>'
    made = manager.post("/api/projects/", json={"title": "by hand", "label_config": config})
    sent = manager.post(f"/api/projects/{made.json()['id']}/import", json=[{"data": {"text": "x"}}])
    assert sent.status_code == 201
    (other,) = manager.get("/api/tasks", params={"project": made.json()["id"]}).json()["tasks"]
    assert manager.post(f"/api/tasks/{other['id']}/annotations", json={"result": []}).status_code == 201


def test_an_adjudicator_s_change_that_is_refused_is_kept(
    team: Team, sessions: dict[str, httpx.Client]
) -> None:
    pia, task = sessions["pia"], team.tasks["oto"][3]
    made = pia.post(f"/api/tasks/{task}/annotations", json=drawn()).json()
    assert pia.patch(f"/api/annotations/{made['id']}/", json=drawn(explanation="")).status_code == 400
    (draft,) = team.owner.request("GET", f"/api/tasks/{task}/drafts")
    assert (draft["annotation"], draft["user"]) == (made["id"], team.email("pia"))


def test_a_task_that_is_not_known_costs_no_request_more(team: Team) -> None:
    asked: list[str] = []

    class Counted(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(f"{request.method} {request.url.path}")
            return await super().handle_async_request(request)

    guard = create_guard(team.workspace, team.owner.url, transport=Counted())
    token = {"Authorization": f"Token {team.people['nia'].account.token}"}
    with running_app(guard) as url, httpx.Client(base_url=url, headers=token, trust_env=False) as nia:
        own, other = team.tasks["nia"][0], team.tasks["oto"][0]
        shown = nia.get(f"/api/tasks/{own}?project={team.projects['nia']}")
        assert (shown.status_code, shown.json()["id"]) == (200, own)
        refused = nia.get(f"/api/tasks/{other}?project={team.projects['oto']}")
        assert refused.status_code == 403
        assert refused.json() == {"detail": NOT_YOURS, "status_code": 403}
        assert nia.get("/api/tasks/987654321").json() == refused.json()
        assert asked == [
            "GET /api/current-user/whoami",
            *(f"GET /api/tasks/{number}" for number in (own, other, 987654321)),
        ]
        nia.get(f"/api/tasks?project={team.projects['nia']}&page=1&page_size=30").raise_for_status()
        asked.clear()
        last = team.tasks["nia"][4]
        assert nia.post(f"/api/tasks/{last}/drafts", json={"result": []}).status_code == 201
        assert asked == [f"POST /api/tasks/{last}/drafts"]


def test_a_large_import_of_a_manager_passes_in_pieces(team: Team, sessions: dict[str, httpx.Client]) -> None:
    project = make_queue(team.owner, team.workspace, "nobody")
    tasks = [{"data": {"image": f"/data/{number}.png", "pad": "x" * 60_000}} for number in range(300)]
    sent = sessions["max"].post(f"/api/projects/{project}/import", json=tasks)
    assert len(sent.request.content) > MOST
    assert sent.status_code == 201, sent.text[:300]
    assert sent.json()["task_count"] == 300
    address = f"/api/tasks/{team.tasks['nia'][0]}/annotations"
    too_large = sessions["nia"].post(address, content=b" " * (17 << 20))
    assert too_large.status_code == 413


def test_tokens_have_the_role_of_their_account(team: Team, url: str) -> None:
    token = team.people["nia"].account.token
    with httpx.Client(base_url=url, headers={"Authorization": f"Token {token}"}, trust_env=False) as api:
        assert api.get("/api/current-user/whoami").json()["email"] == team.email("nia")
        assert api.get(f"/api/tasks/{team.tasks['nia'][0]}").status_code == 200
        assert api.get(f"/api/tasks/{team.tasks['oto'][0]}").status_code == 403
        assert api.delete(f"/api/projects/{team.projects['nia']}/").status_code == 403
    with httpx.Client(base_url=url, headers={"X-Api-Key": token}, trust_env=False) as api:
        assert api.get(f"/api/tasks/{team.tasks['oto'][0]}").status_code == 403
    owner = load_credentials(team.workspace.platform_dir).owner.token
    both = {"Authorization": f"Token {token}", "X-Api-Key": owner}
    assert httpx.get(f"{url}/api/current-user/whoami", headers=both, trust_env=False).status_code == 400
    wrong = {"Authorization": "Token 0123456789"}
    assert httpx.get(f"{url}/api/current-user/whoami", headers=wrong, trust_env=False).status_code == 401
