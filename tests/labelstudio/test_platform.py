"""The way to a real Label Studio server and back."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from folders import folder_bytes
from killing import killed_at

from synthscars.cli import main
from synthscars.converters import labelstudio as converter
from synthscars.converters.labelstudio_tasks import task_data
from synthscars.jsonl import read_records
from synthscars.labelstudio import processes, server
from synthscars.labelstudio.client import Client, connect
from synthscars.labelstudio.credentials import load_credentials, save_credentials
from synthscars.labelstudio.people import Person, add_person, submit
from synthscars.labelstudio.project import Project, ensure_project
from synthscars.labelstudio.pull import EXPORT_SUFFIX, PullResult, download, pull
from synthscars.labelstudio.push import push
from synthscars.labelstudio.status import platform_status
from synthscars.labelstudio.tasks import list_tasks
from synthscars.problems import PlatformError, Problems
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.slow]

Served = tuple[Workspace, list[ImageRecord]]

NASTY = (
    " leading space, two\nlines\r\n\tand a tab ",
    "👩🏽‍🎨 six fingers 🖐, e\u0301 is not é",
    "اليد اليسرى ‏(يسار)‏",
    '"quoted" \\ back\\slash </script><b>&amp; $image {{x}} %s',
    "\u2028\u2029\ufeffא",
)


@pytest.fixture(scope="module")
def served(served_alone: Served) -> Served:
    """What is counted here must not grow by what other modules do."""
    return served_alone


@pytest.fixture(scope="module")
def client(served: Served) -> Client:
    return connect(served[0])


@pytest.fixture(scope="module")
def project(served: Served, client: Client) -> Project:
    return ensure_project(client, served[0])


@pytest.fixture(scope="module")
def pushed(served: Served, client: Client, project: Project) -> dict[str, int]:
    """Task ids by image id, after two pushes."""
    workspace, truth = served
    problems = Problems()
    first = push(client, project, workspace, problems)
    second = push(client, project, workspace, problems)
    assert (first.pushed, second.pushed, second.present) == (len(truth), 0, len(truth))
    assert not len(problems)
    tasks = list(list_tasks(client, project))
    assert len(tasks) == len(truth)
    return {task.image_id: task.id for task in tasks}


@pytest.fixture(scope="module")
def people(served: Served, client: Client) -> list[Person]:
    return [add_person(served[0], client, f"{name}@example.org") for name in ("ada", "ben")]


@pytest.fixture(scope="module")
def drawn(served: Served, pushed: dict[str, int], people: list[Person]) -> dict[str, list[Artifact]]:
    """What Ada drew, by image id, with texts that trip careless software up; Ben finds nothing."""
    _, truth = served
    ada, ben = people
    answers: dict[str, list[Artifact]] = {}
    third = 100 / 3
    for number, record in enumerate(truth[:3]):
        ring = (0.1, 0.2, third, 1e-7, record.width - 1 / 7, record.height / 3, 17.123456789012345, 99.99)
        artifacts = [
            Artifact(
                artifact_id=f"n{number}",
                category="structure",
                subtype="text_distortion",
                polygons=(ring,),
                phrase=NASTY[number],
                explanation=NASTY[-1 - number],
            ),
            *record.artifacts,
        ]
        review = Review(
            rater_id=ada.rater_id, status="annotated", content_type="human", scene=NASTY[3], seconds=12.5
        )
        submit(ada, pushed[record.image_id], review, artifacts, width=record.width, height=record.height)
        answers[record.image_id] = artifacts
    for record, status in ((truth[0], "clean"), (truth[3], "clean")):
        review = Review(rater_id=ben.rater_id, status=status)  # type: ignore[arg-type]
        submit(ben, pushed[record.image_id], review, [], width=record.width, height=record.height)
    return answers


@pytest.fixture(scope="module")
def pulled(
    served: Served, client: Client, project: Project, drawn: dict[str, list[Artifact]]
) -> tuple[PullResult, dict[str, ImageRecord], Problems]:
    problems = Problems()
    result = pull(client, project, served[0], problems)
    return result, {record.image_id: record for record in read_records(served[0].latest_records())}, problems


def test_texts_come_back_byte_for_byte_and_polygons_to_a_millionth_of_a_pixel(
    pulled: Any, drawn: dict[str, list[Artifact]], people: list[Person]
) -> None:
    _, records, problems = pulled
    assert not problems.failed
    for image_id, artifacts in drawn.items():
        found = [one for one in records[image_id].artifacts if one.rater_id == people[0].rater_id]
        assert [one.artifact_id for one in found] == [one.artifact_id for one in artifacts]
        for after, before in zip(found, artifacts, strict=True):
            assert after.phrase.encode() == before.phrase.encode()
            assert after.explanation.encode() == before.explanation.encode()
            assert (after.category, after.subtype) == (before.category, before.subtype)
            for ring, true in zip(after.polygons, before.polygons, strict=True):
                assert ring == pytest.approx(true, rel=0, abs=1e-6)
        (review,) = [one for one in records[image_id].reviews if one.rater_id == people[0].rater_id]
        assert (review.scene, review.content_type, review.seconds) == (NASTY[3], "human", 12.5)


def test_every_rater_is_kept_and_clean_is_not_unlabelled(
    served: Served, pulled: Any, people: list[Person]
) -> None:
    _, truth = served
    result, records, _ = pulled
    ada, ben = people
    assert records[truth[0].image_id].raters == (ada.rater_id, ben.rater_id)
    assert [one.status for one in records[truth[0].image_id].reviews] == ["annotated", "clean"]
    assert records[truth[3].image_id].status == "clean"
    assert records[truth[4].image_id].status == "unlabelled"
    assert result.statuses == {"annotated": 3, "clean": 1, "unlabelled": 1}
    assert result.raters == 2


def test_a_pull_without_news_stores_nothing_and_the_server_keeps_no_copy(
    served: Served, client: Client, project: Project, pulled: Any
) -> None:
    workspace, _ = served
    before = [path.name for path in workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX)]
    again = pull(client, project, workspace, Problems())
    assert not again.is_new
    assert [path.name for path in workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX)] == before
    assert list((workspace.platform_dir / "export").iterdir()) == []


_PULL = """
from synthscars.cli import main

main(["platform", "pull", "--workspace", sys.argv[1]])
"""


def test_a_pull_killed_at_any_step_and_run_again_ends_as_if_undisturbed(
    served: Served, client: Client, project: Project, pulled: Any
) -> None:
    workspace, _ = served
    folders = (workspace.exports_dir, workspace.records_dir)
    expected = [folder_bytes(folder) for folder in folders]
    step = 0
    while True:
        for folder in folders:
            shutil.rmtree(folder)
        if not killed_at(step := step + 1, _PULL, workspace.root):
            break
        # A second one that is killed at the next step, and one that is not.
        killed_at(step + 1, _PULL, workspace.root)
        with workspace.lock():
            pull(client, project, workspace, Problems())
        assert [folder_bytes(folder) for folder in folders] == expected
    assert step >= 6, "a pull has more steps than that: the test shows nothing"
    assert [folder_bytes(folder) for folder in folders] == expected


def test_an_adjudicator_makes_one_answer_final_and_takes_it_back(
    served: Served, client: Client, project: Project, pulled: Any, people: list[Person], tmp_path: Path
) -> None:
    workspace, truth = served
    ada, ben = people
    run = CliRunner().invoke
    common = ["-w", str(workspace.root), "--json"]

    def final_raters() -> list[str]:
        export = tmp_path / "export.json"
        download(client, project, export)
        (record,) = [
            each for each in converter.read(export, Problems()) if each.image_id == truth[0].image_id
        ]
        return [each.rater_id for each in record.reviews if each.extra.get("ground_truth") is True]

    assert final_raters() == []
    made = run(main, ["adjudicate", truth[0].image_id[:12], ada.rater_id, *common])
    assert (made.exit_code, json.loads(made.stdout)["rater_id"]) == (0, ada.rater_id)
    assert final_raters() == [ada.rater_id]
    # By address and file name, and there is only one final answer.
    made = run(main, ["adjudicate", truth[0].file_name, ben.account.email, *common])
    assert made.exit_code == 0, made.stderr
    assert final_raters() == [ben.rater_id]
    missing = run(main, ["adjudicate", truth[0].file_name, "rater-99", *common])
    assert missing.exit_code == 2
    assert ada.rater_id in missing.stderr
    assert ben.account.email in missing.stderr
    assert run(main, ["adjudicate", truth[0].file_name, "--undo", *common]).exit_code == 0
    assert final_raters() == []
    unknown = run(main, ["adjudicate", "no-such.png", ada.rater_id, *common])
    assert (unknown.exit_code, "no-such.png" in unknown.stderr) == (2, True)


def test_tasks_tell_neither_prompt_nor_generator(served: Served, client: Client, pushed: Any) -> None:
    _, truth = served
    for record in truth:
        task = client.request("GET", f"/api/tasks/{pushed[record.image_id]}/")
        assert set(task["data"]) == set(task_data(record, ""))
        assert record.generation is not None
        assert record.generation.prompt not in json.dumps(task)
        assert record.file_name not in json.dumps(task)


def test_annotators_can_fetch_the_images_as_they_were_ingested(
    served: Served, client: Client, pushed: Any, people: list[Person]
) -> None:
    workspace, truth = served
    for record in truth:
        url = client.request("GET", f"/api/tasks/{pushed[record.image_id]}/")["data"]["image"]
        path = workspace.find_image(record.image_id)
        assert path is not None
        assert people[0].client.http.get(url).content == path.read_bytes()


def test_no_member_can_fetch_anything_else_of_the_workspace(
    served: Served, project: Project, people: list[Person]
) -> None:
    workspace, _ = served
    member = people[0].client
    secret = (workspace.platform_dir / "credentials.json").read_bytes()
    for folder in (
        workspace.platform_dir,
        workspace.root,
        workspace.platform_dir / "served" / "images" / "..",
    ):
        storage = {"project": project.id, "path": str(folder), "title": "x", "use_blob_urls": True}
        assert member.http.post("/api/storages/localfiles/", json=storage).status_code == 400
    for name in ("credentials.json", "label_studio.sqlite3", ".env", "server.json"):
        for way in ("", "platform/", "../", "images/../", "images/../../", "images/../../platform/", "/"):
            answer = member.http.get("/data/local-files/", params={"d": way + name})
            assert answer.status_code >= 400
            assert secret not in answer.content
    config = member.http.get("/data/local-files/", params={"d": "images/../../../synthscars.toml"})
    assert config.status_code >= 400


def test_nobody_gets_in_without_an_account(served: Served, client: Client) -> None:
    import httpx

    with httpx.Client(base_url=client.url, trust_env=False) as stranger:
        assert stranger.get("/api/projects/").status_code == 401
        assert stranger.get("/data/local-files/", params={"d": "images"}).status_code in (401, 403)
        stranger.get("/user/signup/")
        form = {
            "email": "eve@example.org",
            "password": "a-long-password",
            "csrfmiddlewaretoken": stranger.cookies.get("csrftoken") or "",
        }
        assert stranger.post("/user/signup/", data=form).status_code == 403


def test_secrets_stay_in_their_file(served: Served, pulled: Any) -> None:
    workspace, _ = served
    path = workspace.platform_dir / "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    credentials = load_credentials(workspace.platform_dir)
    accounts = [credentials.owner, *credentials.people.values()]
    assert len(accounts) == 3
    running = server.require(workspace)
    log = (workspace.platform_dir / server.LOG_NAME).read_text(encoding="utf-8")
    texts = [log, Path(f"/proc/{running.pid}/cmdline").read_text()]
    texts += [json.dumps(msgspec.to_builtins(record)) for record in read_records(workspace.latest_records())]
    import zstandard

    for export in workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX):
        texts.append(zstandard.ZstdDecompressor().stream_reader(export.read_bytes()).read().decode())
    for account in accounts:
        assert len(account.token) == 40
        assert not any(account.token in text or account.password in text for text in texts)


def test_the_invite_in_the_log_is_worthless(served: Served, client: Client, people: list[Person]) -> None:
    log = (served[0].platform_dir / server.LOG_NAME).read_text(encoding="utf-8")
    assert client.request("GET", "/api/invite")["token"] not in log


def test_the_server_listens_on_this_machine_only(served: Served) -> None:
    running = server.require(served[0])
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    addresses = [line.split()[1] for line in listening if line.split()[3] == "0A"]
    ours = [address for address in addresses if int(address.split(":")[1], 16) == running.port]
    assert ours == [f"0100007F:{running.port:04X}"]


def test_a_second_task_of_an_image_is_taken_away_and_answers_are_kept(
    served: Served, client: Client, project: Project, pushed: dict[str, int], drawn: Any
) -> None:
    workspace, truth = served
    # As after a push that was killed while the server was still making the tasks of its request.
    doubles = [{"data": task_data(record, "/data/x.png")} for record in (truth[0], truth[4])]
    client.request("POST", f"/api/projects/{project.id}/import", json=doubles)
    assert len(list(list_tasks(client, project))) == len(truth) + 2
    result = push(client, project, workspace, Problems())
    assert (result.pushed, result.removed) == (0, 2)
    assert {task.image_id: task.id for task in list_tasks(client, project)} == pushed


def test_a_second_task_that_somebody_is_drawing_on_is_kept(
    served: Served, client: Client, project: Project, pushed: dict[str, int], drawn: Any, people: list[Person]
) -> None:
    workspace, truth = served
    double = [{"data": task_data(truth[0], "/data/x.png")}]
    client.request("POST", f"/api/projects/{project.id}/import", json=double)
    (second,) = [task.id for task in list_tasks(client, project) if task.id not in pushed.values()]
    begun = {"result": [], "lead_time": 1}
    made = people[1].client.request("POST", f"/api/tasks/{second}/drafts", json=begun)
    assert push(client, project, workspace, Problems()).removed == 0
    problems = Problems()
    pull(client, project, workspace, problems)
    assert {"task.repeated", "draft.not_submitted"} <= {problem.code for problem in problems}
    client.request("DELETE", f"/api/drafts/{made['id']}/")
    assert push(client, project, workspace, Problems()).removed == 1


def test_an_image_whose_file_is_gone_is_reported_and_the_others_are_sent(
    served: Served, client: Client, project: Project, pushed: Any, tmp_path: Path
) -> None:
    from platform_images import fill

    other = Workspace.create(tmp_path / "other")
    truth = fill(other, 2, first=20)
    gone = other.find_image(truth[0].image_id)
    assert gone is not None
    gone.unlink()
    problems = Problems()
    result = push(client, project, other, problems, dry_run=True)
    assert (result.images, result.pushed, result.dry_run) == (2, 1, True)
    assert [(problem.code, problem.image) for problem in problems] == [("image.missing", truth[0].image_id)]
    assert len(list(list_tasks(client, project))) == len(pushed)


def test_making_the_same_project_and_the_same_person_again_changes_nothing(
    served: Served, client: Client, project: Project, people: list[Person]
) -> None:
    workspace, _ = served
    (workspace.platform_dir / "project.json").unlink()  # killed before it was noted down
    assert ensure_project(client, workspace) == project
    assert len(client.request("GET", "/api/projects/")["results"]) == 1
    assert add_person(workspace, client, people[0].account.email).account == people[0].account
    # Killed after the server made the account, before its token was noted down.
    credentials = load_credentials(workspace.platform_dir)
    half = msgspec.structs.replace(people[0].account, token="", id=0)
    save_credentials(
        workspace.platform_dir,
        msgspec.structs.replace(credentials, people={**credentials.people, half.email: half}),
    )
    assert add_person(workspace, client, half.email).account == people[0].account


def test_an_owner_whose_token_the_server_does_not_know_gets_in_by_password(served: Served) -> None:
    workspace, _ = served
    credentials = load_credentials(workspace.platform_dir)
    wrong = msgspec.structs.replace(credentials.owner, token="0" * 40)
    save_credentials(workspace.platform_dir, msgspec.structs.replace(credentials, owner=wrong))
    connect(workspace).request("GET", "/api/projects/")
    assert load_credentials(workspace.platform_dir).owner.token == credentials.owner.token


def test_refusals_of_the_server_become_errors_without_secrets(client: Client) -> None:
    with pytest.raises(PlatformError, match="404"):
        client.request("GET", "/api/projects/999/")
    stranger = Client(client.url, "f" * 40)
    with pytest.raises(PlatformError, match="401") as caught:
        stranger.request("GET", "/api/projects/")
    assert "f" * 40 not in str(caught.value)


def test_the_project_shows_interface_and_guideline_as_we_wrote_them(client: Client, project: Project) -> None:
    from synthscars.labelstudio.guideline import guideline_html
    from synthscars.labelstudio.interface import label_config
    from synthscars.taxonomy import load_taxonomy

    found = client.request("GET", f"/api/projects/{project.id}/")
    assert found["label_config"] == label_config(load_taxonomy())
    # The server removes whatever it thinks unsafe.
    assert found["expert_instruction"] == guideline_html(load_taxonomy())
    assert found["show_instruction"] is True


def test_an_account_that_the_server_refuses_can_be_asked_for_again(served: Served, client: Client) -> None:
    workspace, _ = served
    with pytest.raises(PlatformError, match="does not make an account"):
        add_person(workspace, client, "cleo@example.org", password="short")
    assert "cleo@example.org" not in load_credentials(workspace.platform_dir).people


def test_a_pull_changes_nothing_on_the_server(
    served: Served, client: Client, project: Project, pulled: Any
) -> None:
    from click.testing import CliRunner

    workspace, _ = served
    client.request("PATCH", f"/api/projects/{project.id}/", json={"expert_instruction": "<p>By hand.</p>"})
    result = CliRunner().invoke(main, ["platform", "pull", "-w", str(workspace.root), "--json"])
    assert result.exit_code == 0, result.output
    found = client.request("GET", f"/api/projects/{project.id}/")
    ensure_project(client, workspace)
    assert found["expert_instruction"] == "<p>By hand.</p>"


def test_status_tells_where_and_how_far(served: Served, project: Project, pulled: Any) -> None:
    status = platform_status(served[0])
    assert status.running
    assert status.project_url.endswith(f"/projects/{project.id}/data")
    assert (status.tasks, status.started, status.annotations, status.skipped) == (5, 4, 5, 0)
    assert status.people == ("ada@example.org", "ben@example.org", "owner@synthscars.local")


def test_the_commands_work_from_one_end_to_the_other(served: Served, pulled: Any) -> None:
    from click.testing import CliRunner

    workspace, _ = served

    def run(*arguments: str) -> Any:
        result = CliRunner().invoke(main, ["platform", *arguments, "-w", str(workspace.root), "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    assert run("up")["running"] is True
    assert run("push")["pushed"] == 0
    assert run("pull")["images"] == 5
    assert (run("status")["tasks"], run("status")["skipped"]) == (5, 0)
    pid = server.require(workspace).pid
    assert run("down") == {"stopped": True}
    assert not processes.exists(pid)
    stopped = run("status")
    assert (stopped["running"], stopped["tasks"]) == (False, None)
    assert run("up")["tasks"] == 5
