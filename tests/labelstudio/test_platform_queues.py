"""Queues of raters on a real server: given out, answered, pulled, reopened, made final."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from queues_check import check_queues

from synthscars.cli import main
from synthscars.jsonl import read_records, write_records
from synthscars.labelstudio import locking
from synthscars.labelstudio.assignment import assigned_projects, read_assignment
from synthscars.labelstudio.client import Client, connect
from synthscars.labelstudio.people import Person, add_person, submit
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.tasks import list_tasks
from synthscars.records import ImageRecord, Review
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.slow]

Team = tuple[Workspace, list[ImageRecord]]
RATERS = ("ada@example.org", "ben@example.org", "cleo@example.org")


@pytest.fixture(scope="module")
def client(team: Team) -> Client:
    return connect(team[0])


def run(workspace: Workspace, *arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(main, [*arguments, "-w", str(workspace.root), "--json"])
    assert result.exit_code == code, result.output + result.stderr
    return json.loads(result.stdout) if code in (0, 1) else result.stderr


@pytest.fixture(scope="module")
def assigned(team: Team, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two known answers, three of the ten others for all raters, batches of five."""
    workspace, truth = team
    known = tmp_path_factory.mktemp("gold") / "known.jsonl"
    write_records(known, truth[:2])
    people = [{"email": rater, "role": "annotator", "id": number} for number, rater in enumerate(RATERS, 2)]
    people.append({"email": "lead@example.org", "role": "manager", "id": 9})
    (workspace.platform_dir / "people.json").write_text(json.dumps({"people": people}))
    options = ["--overlap-share", "0.3", "--overlap-raters", "3", "--batch-size", "5"]
    options += ["--gold", str(known), "--gold-share", "0.25"]
    planned = run(workspace, "platform", "assign", *options, "--dry-run")
    assert read_assignment(workspace).batches == ()
    made = run(workspace, "platform", "assign", *options)
    assert made == {**planned, "dry_run": False}
    return made


@pytest.fixture(scope="module")
def raters(team: Team, client: Client, assigned: Any) -> dict[str, Person]:
    return {rater: add_person(team[0], client, rater) for rater in RATERS}


def queue(workspace: Workspace, client: Client, rater: str) -> list[tuple[int, str]]:
    """Task and image of everything a rater has, in order."""
    return [
        (task.id, task.image_id)
        for project in assigned_projects(workspace)
        if project.rater == rater
        for task in list_tasks(client, Project(project.id, project.title))
    ]


@pytest.fixture(scope="module")
def answered(team: Team, client: Client, raters: dict[str, Person]) -> None:
    """Everybody answers everything: Ada as it is, Ben finds nothing, Cleo skips."""
    workspace, truth = team
    by_id = {record.image_id: record for record in truth}
    for rater, person in raters.items():
        for task, image in queue(workspace, client, rater):
            record = by_id[image]
            artifacts = record.artifacts if rater == RATERS[0] else ()
            status = {RATERS[0]: "annotated" if artifacts else "clean", RATERS[1]: "clean"}.get(
                rater, "skipped"
            )
            content_type = None if status == "skipped" else record.content_type
            review = Review(
                rater_id=person.rater_id,
                status=status,  # type: ignore[arg-type]
                content_type=content_type,
            )
            submit(person, task, review, artifacts, width=record.width, height=record.height)


def test_everybody_has_a_queue_as_planned(team: Team, client: Client, assigned: Any) -> None:
    workspace, _ = team
    # 10 images, of which 3 for all: 16 tasks; and a third as many known answers as images, but there are 2.
    assert (assigned["images"], assigned["several"]) == (10, 3)
    assert sorted(share["tasks"] - share["gold"] for share in assigned["raters"]) == [5, 5, 6]
    assert [share["gold"] for share in assigned["raters"]] == [2, 2, 2]
    assert check_queues(client, workspace) == 22
    for name in ("projects.json", "assignment.json", "gold.jsonl.zst"):
        assert stat.S_IMODE((workspace.platform_dir / name).stat().st_mode) == 0o600
    assert {each.rater for each in assigned_projects(workspace)} == {None, *RATERS}


def test_running_it_again_changes_nothing(team: Team, client: Client, assigned: Any) -> None:
    workspace, _ = team
    before = read_assignment(workspace), assigned_projects(workspace)
    again = run(workspace, "platform", "assign")
    assert [share["new"] for share in again["raters"]] == [0, 0, 0]
    run(workspace, "platform", "up")
    assert (read_assignment(workspace), assigned_projects(workspace)) == before
    assert check_queues(client, workspace) == 22


def test_no_task_tells_that_its_answer_is_known(team: Team, client: Client, assigned: Any) -> None:
    workspace, truth = team
    gold = {record.image_id for record in truth[:2]}
    shapes: dict[bool, set[str]] = {True: set(), False: set()}
    for task, image in queue(workspace, client, RATERS[0]):
        entry = client.request("GET", f"/api/tasks/{task}/")
        told = {key: type(entry[key]).__name__ for key in entry}
        told["data"] = sorted(entry["data"])
        told["meta"] = json.dumps(entry["meta"])
        shapes[image in gold].add(json.dumps(told, sort_keys=True))
        assert "gold" not in json.dumps(entry)
    assert shapes[True] == shapes[False]


def test_projects_of_queues_are_made_like_the_common_one(team: Team, client: Client, assigned: Any) -> None:
    workspace, _ = team
    found = [client.request("GET", f"/api/projects/{each.id}/") for each in assigned_projects(workspace)]
    for field in ("label_config", "expert_instruction", "show_instruction", "enable_empty_annotation"):
        assert len({json.dumps(entry[field]) for entry in found}) == 1
    assert found[1]["label_config"]


def test_raters_can_fetch_the_images_of_their_queue(
    team: Team, client: Client, raters: dict[str, Person]
) -> None:
    workspace, _ = team
    for task, image in queue(workspace, client, RATERS[1]):
        person = raters[RATERS[1]].client
        url = person.request("GET", f"/api/tasks/{task}/")["data"]["image"]
        path = workspace.find_image(image)
        assert path is not None
        assert person.http.get(url).content == path.read_bytes()


def test_answers_of_all_queues_become_one_record_an_image(
    team: Team, client: Client, answered: None, raters: dict[str, Person]
) -> None:
    workspace, truth = team
    pulled = run(workspace, "platform", "pull")
    assert (pulled["images"], pulled["raters"], pulled["is_new"]) == (12, 3, True)
    assert [problem["code"] for problem in pulled["problems"] if problem["severity"] != "info"] == []
    records = {record.image_id: record for record in read_records(workspace.latest_records())}
    owners = {rater: {image for _, image in queue(workspace, client, rater)} for rater in RATERS}
    for record in truth:
        expected = sorted(raters[rater].rater_id for rater in RATERS if record.image_id in owners[rater])
        assert sorted(records[record.image_id].raters) == expected
    again = run(workspace, "platform", "pull")
    # A project is left out if the server still gives the mark that was read from its export.
    assert (again["is_new"], again["fetched"], again["projects"]) == (False, 0, pulled["projects"])


def test_only_what_changed_is_fetched_and_the_export_is_as_if_all_were(
    team: Team, client: Client, answered: None, raters: dict[str, Person]
) -> None:
    workspace, truth = team
    run(workspace, "platform", "pull")
    task, image = queue(workspace, client, RATERS[2])[0]
    (record,) = [each for each in truth if each.image_id == image]
    person = raters[RATERS[2]]
    review = Review(rater_id=person.rater_id, status="clean")
    submit(person, task, review, (), width=record.width, height=record.height)
    pulled = run(workspace, "platform", "pull")
    assert (pulled["fetched"], pulled["is_new"]) == (1, True)
    full = run(workspace, "platform", "pull", "--full")
    assert (full["fetched"], full["is_new"]) == (pulled["projects"], False)
    assert list((workspace.platform_dir / "export").iterdir()) == []


def test_edits_and_deletions_on_the_server_are_told_and_kept(
    team: Team, client: Client, answered: None, raters: dict[str, Person]
) -> None:
    workspace, _ = team
    before = run(workspace, "platform", "pull")
    tasks = queue(workspace, client, RATERS[0])
    answers = [client.request("GET", f"/api/tasks/{task}/annotations/")[0] for task, _ in tasks]
    # Its own rater, somebody else, gone, gone with its task; and a mark, which is no edit.
    nothing = {
        "result": [
            msgspec.json.decode(
                b'{"id":"n","from_name":"no_visible_artifact","to_name":"image",'
                b'"type":"choices","value":{"choices":["no_visible_artifact"]}}'
            )
        ]
    }
    raters[RATERS[0]].client.request("PATCH", f"/api/annotations/{answers[0]['id']}/", json=nothing)
    client.request("PATCH", f"/api/annotations/{answers[1]['id']}/", json=nothing)
    client.delete(f"/api/annotations/{answers[2]['id']}/")
    client.delete(f"/api/tasks/{tasks[3][0]}/")
    client.request("PATCH", f"/api/annotations/{answers[4]['id']}/", json={"ground_truth": True})
    pulled = run(workspace, "platform", "pull")
    assert (pulled["edited"], pulled["deleted"]) == (2, 2)
    told = {
        problem["file"]: problem for problem in pulled["problems"] if problem["code"].startswith("answer.")
    }
    for (task, image), answer, code, severity in zip(
        tasks,
        answers,
        ("answer.edited", "answer.edited", "answer.deleted", "answer.deleted"),
        ("info", "warning", "warning", "warning"),
        strict=False,
    ):
        problem = told[f"task {task}, annotation {answer['id']}"]
        assert (problem["code"], problem["image"]) == (code, image)
        assert problem.get("severity", "error") == severity
        assert raters[RATERS[0]].rater_id in problem["what"]
        assert before["export"] in problem["fix"]
    assert len(told) == 4
    assert run(workspace, "platform", "pull")["problems"] == [
        problem for problem in pulled["problems"] if not problem["code"].startswith("answer.")
    ]
    compared = run(workspace, "platform", "changes")["problems"]
    assert {problem["file"] for problem in compared} == set(told)
    # The task is made again, for the plan still has it.
    run(workspace, "platform", "assign")
    check_queues(client, workspace)


def test_a_reopened_image_comes_back_and_its_newest_answer_counts(
    team: Team, client: Client, answered: None, raters: dict[str, Person]
) -> None:
    workspace, truth = team
    task, image = queue(workspace, client, RATERS[1])[1]
    (record,) = [each for each in truth if each.image_id == image]
    person = raters[RATERS[1]]
    opened = run(workspace, "platform", "reopen", image[:12], "--rater", RATERS[1])
    assert opened["raters"] == [RATERS[1]]
    again = run(workspace, "platform", "reopen", record.file_name, "--rater", RATERS[1])
    assert (again["raters"], again["open_already"]) == ([], [RATERS[1]])
    check_queues(client, workspace)
    (new,) = [each for each, shown in queue(workspace, client, RATERS[1]) if shown == image and each != task]
    review = Review(rater_id=person.rater_id, status="annotated", content_type="human", scene="seen again")
    submit(
        person,
        new,
        review,
        truth[0].artifacts[:1] or record.artifacts,
        width=record.width,
        height=record.height,
    )
    pulled = run(workspace, "platform", "pull")
    (found,) = [each for each in read_records(workspace.latest_records()) if each.image_id == image]
    (kept,) = [each for each in found.reviews if each.rater_id == person.rater_id]
    assert (kept.scene, len(kept.extra["earlier_annotations"])) == ("seen again", 1)
    repeated = [each for each in pulled["problems"] if each["code"] == "annotation.repeated"]
    mine = [each for each in repeated if each["image"] == image and person.rater_id in each["what"]]
    assert [each["severity"] for each in mine] == ["info"]
    # Answered, so it can be asked for once more, and by somebody who never had it.
    everybody = run(workspace, "platform", "reopen", image[:12], *(f"--rater={rater}" for rater in RATERS))
    assert RATERS[1] in everybody["raters"]
    check_queues(client, workspace)
    for rater in RATERS:
        assert image in [shown for _, shown in queue(workspace, client, rater)]


def test_an_answer_in_a_queue_can_be_made_final(
    team: Team, client: Client, answered: None, raters: dict[str, Person]
) -> None:
    workspace, _ = team
    task, image = queue(workspace, client, RATERS[2])[0]  # skips are not among the answers that can be final
    assert run(workspace, "adjudicate", image[:12], RATERS[2])["rater_id"] == raters[RATERS[2]].rater_id
    (answer, *_) = client.request("GET", f"/api/tasks/{task}/annotations/")
    assert answer["ground_truth"] is True
    run(workspace, "adjudicate", image[:12], "--undo")


def test_gold_scores_tell_the_raters_apart(
    team: Team, client: Client, answered: None, raters: dict[str, Person], tmp_path: Path
) -> None:
    workspace, truth = team
    run(workspace, "platform", "pull")
    scored = {each["rater_id"]: each for each in run(workspace, "platform", "gold")["raters"]}
    with_artifacts = [record for record in truth[:2] if record.artifacts]
    assert with_artifacts
    assert {"rater_id", "iou", "found", "missed", "false_alarms", "status_agreed"} <= set(
        scored[raters[RATERS[0]].rater_id]
    )
    nothing_seen = scored[raters[RATERS[1]].rater_id]
    assert nothing_seen["found"] == 0
    assert nothing_seen["missed"] == sum(len(record.artifacts) for record in with_artifacts)
    assert scored[raters[RATERS[2]].rater_id]["skipped"] >= 1


def test_status_counts_over_all_projects_by_rater(team: Team, client: Client, answered: None) -> None:
    workspace, _ = team
    said = run(workspace, "platform", "status")
    assert {each["rater"] for each in said["raters"]} == set(RATERS)
    assert run(workspace, "platform", "assign", "--status") == {"raters": said["raters"]}
    for each in said["raters"]:
        assert each["tasks"] == len(queue(workspace, client, each["rater"]))
        assert 0 < each["answered"] <= each["tasks"]
    assert said["tasks"] == sum(each["tasks"] for each in said["raters"])


def test_a_rater_without_an_account_is_refused_before_anything_is_planned(team: Team, assigned: Any) -> None:
    workspace, _ = team
    before = read_assignment(workspace)
    told = run(workspace, "platform", "assign", "--rater", "nobody@example.org", code=2)
    assert "nobody@example.org has no account" in told
    assert read_assignment(workspace) == before


def test_a_personal_access_token_does_as_well(team: Team, client: Client) -> None:
    token = client.request("POST", "/api/token/")["token"]
    other = Client(client.url, token)
    assert other.request("GET", "/api/current-user/whoami")["email"] == "owner@synthscars.local"
    assert other.sdk.projects.get(id=1).id == 1
    log = (team[0].platform_dir / "server.log").read_text(encoding="utf-8")
    assert token not in log


def test_a_second_pull_at_the_same_time_says_so(
    team: Team, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = team
    monkeypatch.setattr(locking, "PATIENCE", 0)
    with workspace.lock():
        told = run(workspace, "platform", "pull", code=3)
    assert "another synthscars command" in told
    assert "wait" in told


def test_whoever_gets_an_image_again_finds_their_own_answer_as_a_draft(
    team: Team, client: Client, answered: None, raters: dict[str, Person]
) -> None:
    workspace, _ = team
    tasks = {rater: {image: task for task, image in queue(workspace, client, rater)} for rater in RATERS}
    reopened = [batch for batch in read_assignment(workspace).batches if batch.kind == "reopened"]
    again = {image for batch in reopened for image in batch.images}
    image = next(each for each in tasks[RATERS[2]] if each in tasks[RATERS[0]] and each not in again)
    # An adjudicator answered in Ada's queue later; Cleo skipped the image without a word.
    mine, person = tasks[RATERS[0]][image], raters[RATERS[0]]
    (earlier,) = person.client.request("GET", f"/api/tasks/{mine}/annotations/")[-1:]
    client.request("POST", f"/api/tasks/{mine}/annotations/", json={"result": earlier["result"][:1]})
    opened = run(workspace, "platform", "reopen", image, f"--rater={RATERS[0]}", f"--rater={RATERS[2]}")
    assert (opened["raters"], opened["offered"]) == ([RATERS[0], RATERS[2]], [RATERS[0]])
    new = [number for number, shown in queue(workspace, client, RATERS[0]) if shown == image][-1]
    (draft,) = person.client.request("GET", f"/api/tasks/{new}/drafts")
    assert (draft["user"], draft["result"]) == (RATERS[0], earlier["result"])
    # As their page asks for it, and as another one's page does.
    (shown,) = person.client.request("GET", f"/api/tasks/{new}/")["drafts"]
    assert shown["id"] == draft["id"]
    assert raters[RATERS[1]].client.request("GET", f"/api/tasks/{new}/")["drafts"] == []
    # A second time changes nothing; a draft that was lost, for instance to a kill, comes back.
    twice = run(workspace, "platform", "reopen", image, "--rater", RATERS[0])
    assert (twice["raters"], twice["open_already"], twice["offered"]) == ([], [RATERS[0]], [])
    person.client.delete(f"/api/drafts/{draft['id']}/")
    healed = run(workspace, "platform", "reopen", image, "--rater", RATERS[0])
    assert (healed["raters"], healed["offered"]) == ([], [RATERS[0]])
