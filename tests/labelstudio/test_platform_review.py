"""Review and pre-annotations on a real server: what adjudicators and annotators find there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from synthscars.cli import main
from synthscars.consensus import adjudicate
from synthscars.jsonl import read_records, write_records
from synthscars.labelstudio.assignment import assigned_projects
from synthscars.labelstudio.client import Client, connect
from synthscars.labelstudio.people import add_person, submit
from synthscars.labelstudio.project import Project, ensure_project, put_project
from synthscars.labelstudio.pull import pull
from synthscars.labelstudio.push import add_tasks, push
from synthscars.labelstudio.review import candidates, disputed, push_review
from synthscars.labelstudio.settling import settle
from synthscars.labelstudio.tasks import list_answers, list_tasks
from synthscars.predictions import to_prediction, write_predictions
from synthscars.problems import PlatformError, Problems
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.verify.suspects import LabelError, encode_errors
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.slow]

BOX = (50.0, 50.0, 150.0, 50.0, 150.0, 150.0, 50.0, 150.0)
NEAR = (55.0, 50.0, 155.0, 50.0, 155.0, 150.0, 55.0, 150.0)
FAR = (250.0, 50.0, 350.0, 50.0, 350.0, 150.0, 250.0, 150.0)


def region(name: str, ring: tuple[float, ...], phrase: str) -> Artifact:
    return Artifact(
        artifact_id=name,
        category="structure",
        subtype="deformed",
        polygons=(ring,),
        phrase=phrase,
        explanation="It has six fingers.",
        extra={"confidence": "likely"},
    )


Started = tuple[Workspace, list[ImageRecord], Client, Project]


@pytest.fixture
def started(served: tuple[Workspace, list[ImageRecord]]) -> Started:
    workspace, truth = served
    client = connect(workspace)
    project = ensure_project(client, workspace)
    push(client, project, workspace, Problems())
    return workspace, truth, client, project


def items_by(items: list[dict[str, Any]], control: str) -> list[dict[str, Any]]:
    return [item for item in items if item["from_name"] == control]


def test_an_adjudicator_finds_everybodys_regions_and_what_they_submit_is_final(
    started: Started,
) -> None:
    workspace, truth, client, project = started
    record = truth[0]
    task = next(task for task in list_tasks(client, project) if task.image_id == record.image_id)
    people = [add_person(workspace, client, f"{name}@example.org") for name in ("dan", "eve", "fay")]
    size = {"width": record.width, "height": record.height}
    said = Review(rater_id="", status="annotated", content_type="human", scene="A person stands.")
    drawn = [
        [region("a", BOX, "the left hand")],
        [region("a", NEAR, "a hand"), region("b", FAR, "the right hand")],
    ]
    for person, artifacts in zip(people, drawn, strict=False):
        submit(person, task.id, said, artifacts, **size)
    submit(people[2], task.id, Review(rater_id="", status="clean", content_type="human"), [], **size)
    pull(client, project, workspace, Problems())
    mine = {person.rater_id for person in people}
    (whole,) = [one for one in read_records(workspace.latest_records()) if one.image_id == record.image_id]
    # Other tests answer this image as well.
    theirs = msgspec.structs.replace(
        whole,
        artifacts=tuple(one for one in whole.artifacts if one.rater_id in mine),
        reviews=tuple(one for one in whole.reviews if one.rater_id in mine),
    )
    (found,) = disputed([theirs], min_iou=0.5)
    assert [one.phrase for one in candidates(found, min_iou=0.5)] == ["the left hand", "the right hand"]

    problems = Problems()
    first = push_review(client, workspace, [found], problems)
    assert (first.images, first.pushed, first.renewed, first.present) == (1, 1, 0, 0)
    again = push_review(client, workspace, [found], problems)
    assert (again.pushed, again.renewed, again.present) == (0, 0, 1)
    assert list(problems) == []
    where = Project(id=first.project_id, title=first.project)
    (review_task,) = list_tasks(client, where)
    shown = client.request("GET", f"/api/tasks/{review_task.id}/")
    assert shown["data"]["said"].splitlines()[0].endswith("1 region, human, A person stands.")
    assert f"{people[2].rater_id}: no visible artifact, human" in shown["data"]["said"]
    (prediction,) = shown["predictions"]
    texts = [item["meta"]["text"][0] for item in items_by(prediction["result"], "category")]
    assert texts[0].startswith("2 of 3 raters drew it\n")
    assert f"{people[1].rater_id} (deformed, likely): a hand. It has six fingers." in texts[0]
    assert texts[0].endswith(f"not drawn by {people[2].rater_id}")
    assert texts[1].startswith("1 of 3 raters drew it\n")

    # Whoever says more makes other candidates, as long as nobody has decided.
    changed = msgspec.structs.replace(found, reviews=found.reviews[:2])
    assert push_review(client, workspace, [changed], problems).renewed == 1
    (prediction,) = client.request("GET", f"/api/tasks/{review_task.id}/")["predictions"]
    assert "of 2 raters" in items_by(prediction["result"], "category")[0]["meta"]["text"][0]
    # In the stream too, where Label Studio shows the predictions of one version alone.
    other = msgspec.structs.replace(truth[1], artifacts=found.artifacts, reviews=found.reviews)
    assert push_review(client, workspace, [other], problems).pushed == 1
    streamed = client.request("GET", f"/api/projects/{where.id}/next")
    assert (streamed["id"], len(streamed["predictions"])) == (review_task.id, 1)

    assert settle(client, workspace) == 0
    judge = add_person(workspace, client, "judge@example.org")
    # The first candidate is taken as it is, the other one is not.
    kept = [item for item in prediction["result"] if not str(item["id"]).startswith("candidate-2")]
    body = {"result": kept, "was_cancelled": False, "parent_prediction": prediction["id"]}
    judge.client.request("POST", f"/api/tasks/{review_task.id}/annotations/", json=body)
    assert push_review(client, workspace, [found], problems).present == 1
    assert settle(client, workspace) == 1
    assert settle(client, workspace) == 0
    pull(client, project, workspace, problems)
    (final,) = [one for one in read_records(workspace.latest_records()) if one.image_id == record.image_id]
    marked = [one.rater_id for one in final.reviews if one.extra.get("ground_truth") is True]
    assert marked == [judge.rater_id]
    (merged,) = adjudicate([final], Problems())
    assert [one.phrase for one in merged.artifacts] == ["the left hand"]
    assert merged.artifacts[0].polygons[0] == pytest.approx(BOX, abs=1e-6)
    assert disputed([final], min_iou=0.5) == []
    assert disputed([final], min_iou=0.5, suspected={final.image_id}) == []

    # Whoever decides otherwise afterwards is not overruled by what was submitted before.
    def marks() -> list[str]:
        assert settle(client, workspace) == 0
        there = [
            answer
            for each in assigned_projects(workspace)
            for answer in list_answers(client, Project(id=each.id, title=each.title), [record.image_id])
        ]
        return [answer.rater_id for answer in there if answer.final]

    decide = ["adjudicate", record.image_id[:12], "-w", str(workspace.root)]
    assert CliRunner().invoke(main, [*decide, people[1].rater_id]).exit_code == 0
    assert marks() == [people[1].rater_id]
    assert CliRunner().invoke(main, [*decide, "--undo"]).exit_code == 0
    assert marks() == []
    # Until somebody adjudicates anew, or changes what they said.
    (answer,) = list_answers(client, where, [record.image_id])
    judge.client.request("PATCH", f"/api/annotations/{answer.id}/", json={"result": prediction["result"]})
    assert settle(client, workspace) == 1
    assert marks() == [judge.rater_id]
    # Also before what they said was pulled.
    judge.client.request("PATCH", f"/api/annotations/{answer.id}/", json={"result": kept})
    assert CliRunner().invoke(main, [*decide, people[0].rater_id]).exit_code == 0
    assert marks() == [people[0].rater_id]


def test_images_of_likely_label_errors_are_sent_with_what_is_suspected(
    started: Started, tmp_path: Path
) -> None:
    workspace, truth, _, _ = started
    drawn = msgspec.structs.replace(region("a", BOX, "the left hand"), rater_id="rater-1")
    seen = Review(rater_id="rater-1", status="annotated", content_type="human", scene="A person stands.")
    record = msgspec.structs.replace(truth[2], artifacts=(drawn,), reviews=(seen,), status="annotated")
    assert disputed([record], min_iou=0.5) == []
    errors = [
        LabelError(
            rank=rank,
            image_id=image_id,
            artifact_id="a",
            file_name="",
            split="train",
            channel="match",
            match_z=9.0 - rank,
            method="matching",
            phrase="the left hand",
        )
        for rank, image_id in ((1, record.image_id), (2, "f" * 64))
    ]
    (tmp_path / "errors.jsonl").write_bytes(encode_errors(errors))
    write_records(tmp_path / "records.jsonl", [record])
    command = ["platform", "review", "--records", str(tmp_path / "records.jsonl"), "--label-errors"]
    command += [str(tmp_path / "errors.jsonl"), "-w", str(workspace.root)]
    done = CliRunner().invoke(main, [*command, "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "1 images are disputed or suspected: 1 would be sent" in done.output
    assert "1 images of likely label errors are not sent" in " ".join(done.output.split())
    done = CliRunner().invoke(main, [*command, "--json"])
    assert done.exit_code == 0, done.output
    client = connect(workspace)
    where = Project(id=json.loads(done.stdout)["project_id"], title="")
    task = next(task for task in list_tasks(client, where) if task.image_id == record.image_id)
    said = client.request("GET", f"/api/tasks/{task.id}/")["data"]["said"].splitlines()
    assert said[0] == "likely label error 1: the left hand. Do mask and text belong together?"
    assert said[1] == "rater-1: 1 region, human, A person stands."
    # What was suspected stays when the image is sent again for another reason.
    other = msgspec.structs.replace(seen, rater_id="rater-2", status="clean", scene="Nothing is wrong.")
    changed = msgspec.structs.replace(record, reviews=(seen, other))
    assert push_review(client, workspace, [changed], Problems()).renewed == 1
    renewed = client.request("GET", f"/api/tasks/{task.id}/")["data"]["said"].splitlines()
    assert renewed == [*said, "rater-2: no visible artifact, human, Nothing is wrong."]
    # Managers can edit what a task holds.
    spoilt = {**client.request("GET", f"/api/tasks/{task.id}/")["data"], "notes": 7, "candidates": "?"}
    client.request("PATCH", f"/api/tasks/{task.id}/", json={"data": spoilt})
    assert push_review(client, workspace, [changed], Problems()).renewed == 1
    assert client.request("GET", f"/api/tasks/{task.id}/")["data"]["said"].splitlines() == renewed[1:]


def test_predictions_of_a_file_are_put_into_the_tasks_once(started: Started, tmp_path: Path) -> None:
    workspace, truth, client, project = started
    file = tmp_path / "predictions.jsonl"
    sure = [
        msgspec.structs.replace(
            prediction,
            regions=tuple(msgspec.structs.replace(one, score=0.9 - 0.1 * n) for one in prediction.regions),
        )
        for n, prediction in enumerate(map(to_prediction, truth))
    ]
    write_predictions(file, sure[:3], {"model": "test model, 1"})
    priority = tmp_path / "priority.jsonl"
    call = ["platform", "preannotate", str(file), "-w", str(workspace.root), "--json"]
    runner = CliRunner()
    dry = msgspec.json.decode(runner.invoke(main, [*call, "--dry-run"]).stdout)
    assert (dry["pushed"], dry["tasks"]) == (3, 3)
    first = runner.invoke(main, [*call, "--uncertain-first", str(priority)])
    assert first.exit_code == 0, first.stderr
    told = msgspec.json.decode(first.stdout)
    assert (told["pushed"], told["present"], told["model_version"]) == (3, 0, "test model 1")
    told = msgspec.json.decode(runner.invoke(main, call).stdout)
    assert (told["pushed"], told["present"]) == (0, 3)
    tasks = {task.image_id: task for task in list_tasks(client, project)}
    for record in truth[:3]:
        (found,) = client.request("GET", "/api/predictions/", params={"task": tasks[record.image_id].id})
        phrases = [item["value"]["text"][0] for item in items_by(found["result"], "phrase")]
        assert sorted(phrases) == sorted(artifact.phrase for artifact in record.artifacts)
        client.delete(f"/api/predictions/{found['id']}/")
    lines = [msgspec.json.decode(line) for line in priority.read_bytes().splitlines()]
    assert [line["score"] for line in lines] == sorted((line["score"] for line in lines), reverse=True)
    assert {line["image_id"] for line in lines} <= {record.image_id for record in truth[:3]}


def test_predictions_of_other_images_are_a_problem(started: Started, tmp_path: Path) -> None:
    workspace, truth, _, _ = started
    file = tmp_path / "predictions.jsonl"
    write_predictions(file, [msgspec.structs.replace(to_prediction(truth[0]), image_id="ab" * 32)])
    result = CliRunner().invoke(main, ["platform", "preannotate", str(file), "-w", str(workspace.root)])
    assert result.exit_code == 1
    assert "no task shows one of these images" in result.stderr


def with_platform(workspace: Workspace, **changed: Any) -> Workspace:
    platform = msgspec.structs.replace(workspace.settings.platform, **changed)
    return Workspace(workspace.root, msgspec.structs.replace(workspace.settings, platform=platform))


def test_prompts_that_were_not_pushed_cannot_be_shown_later(started: Started) -> None:
    workspace, _, client, _ = started
    with pytest.raises(PlatformError, match="pushed without them") as refused:
        ensure_project(client, with_platform(workspace, show_prompt=True))
    assert "show_prompt = false" in refused.value.fix


def test_prompts_are_shown_and_every_shape_offered_where_the_settings_say_so(started: Started) -> None:
    workspace, truth, client, _ = started
    allowed = with_platform(
        workspace, show_prompt=True, shapes=("polygon", "rectangle", "ellipse", "brush", "magicwand")
    )
    project = put_project(client, allowed, None, title="with prompts", description="of a test", storage=False)
    try:
        records = list(workspace.images())
        assert add_tasks(client, project, allowed, records, Problems()) == len(truth)
        entry = next(client.pages("/api/tasks/", project=project.id, page_size=10))
        assert truth[0].generation is not None
        assert {task["data"]["prompt"].split(" (")[0] for task in [entry]} <= {
            record.generation.prompt for record in truth if record.generation
        }
    finally:
        client.delete(f"/api/projects/{project.id}/")
