"""The dashboard: its figures, what managers see of them, and what others do not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pages import Page
from releasing import by_raters, changed, noise_png, sample_record
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient

from synthscars.companion.dashboard import dashboard_routes
from synthscars.companion.dashboard_data import Answer, Audited, Facts, Submission, compose, disagreement
from synthscars.companion.dashboard_page import GALLERY
from synthscars.companion.dashboard_reading import AuditReader
from synthscars.companion.guard_audit import Audit, Entry
from synthscars.companion.hints import Hints
from synthscars.companion.identity import Identity
from synthscars.companion.measures import Measures
from synthscars.companion.presence import Presence, Seen
from synthscars.companion.reconcile import Reconciled, Reconciler
from synthscars.jsonl import write_records
from synthscars.labelstudio.assignment import Assignment, Batch, write_assignment
from synthscars.labelstudio.companion_file import new_companion
from synthscars.labelstudio.material import keep_known_answers
from synthscars.labelstudio.roles import Role, set_role
from synthscars.records import ImageRecord, Review
from synthscars.workspace import Workspace

NAMES = {"rater-2": "ada@example.org", "rater-3": "ben@example.org"}
NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC).timestamp()
EVIL = '<script>alert("x")</script>'


def answer(image: str, rater: int, **fields: Any) -> Answer:
    return Answer(image, f"rater-{rater}", **{"status": "annotated", "at": NOW - 60, **fields})


def composed(facts: Facts, audited: Audited | None = None, plan: Assignment | None = None) -> Any:
    pulls = Reconciled(every_minutes=10)
    return compose(facts, audited or Audited(), plan or Assignment(), NAMES, [], pulls, NOW)


def test_batches_count_their_own_raters_answers_and_skips() -> None:
    facts = Facts(
        images={"a": "a.png", "b": "b.png", "c": "c.png"},
        answers=(
            answer("a", 2),
            answer("b", 2, status="skipped"),
            answer("a", 3),
            answer("c", 3, again=True),
        ),
    )
    batches = (
        Batch(rater="ada@example.org", batch="001", images=("a", "b", "c")),
        Batch(rater="ben@example.org", batch="001", kind="reopened", images=("a", "c")),
    )
    found = composed(facts, plan=Assignment(batches=batches)).batches
    assert [(one.tasks, one.answered, one.skipped) for one in found] == [(3, 2, 1), (2, 1, 0)]


def test_times_are_those_of_answers_that_are_no_skips() -> None:
    given = [answer(str(n), 2, seconds=float(n)) for n in (10, 20, 30, 40, 50)]
    facts = Facts(answers=(*given, answer("x", 2, status="skipped", seconds=9999.0), answer("y", 3)))
    ada, ben = composed(facts).raters
    assert (ada.name, ada.answered, ada.skipped) == ("ada@example.org", 6, 1)
    assert (ada.low, ada.median, ada.high) == (20, 30, 40)
    assert (ben.answered, ben.median) == (1, None)


def test_bars_end_with_today_and_this_hour() -> None:
    times = (NOW - 60, NOW - 3600, NOW - 86_400, NOW - 30 * 86_400)
    found = composed(Facts(answers=tuple(answer(str(n), 2, at=at) for n, at in enumerate(times))))
    assert [count for _, count in found.days][-3:] == [0, 1, 2]
    assert [count for _, count in found.hours][-3:] == [0, 1, 1]
    assert sum(count for _, count in found.days) == 3
    assert found.days[-1][0] == datetime(2026, 3, 10, tzinfo=UTC).timestamp()


def test_answers_since_the_pull_are_counted_once_and_refused_ones_are_not() -> None:
    facts = Facts(at=NOW - 600, images={"a": "a.png", "b": "b.png"}, tasks={1: "a", 2: "b"})
    facts = msgspec.structs.replace(facts, answers=(answer("a", 2),))
    log = (
        Submission(NOW - 700, 2, "ada@example.org", 1, 9),
        Submission(NOW - 90, 2, "ada@example.org", 2, 9, refused=True, kept="draft 4"),
        Submission(NOW - 60, 2, "ada@example.org", 2, 9),
        Submission(NOW - 50, 2, "ada@example.org", 2, 9),
        Submission(NOW - 90_000, 3, "ben@example.org", 2, 9),
    )
    found = composed(facts, Audited(log))
    assert (found.fresh, found.answers, found.answered, found.refused) == (1, 2, 2, 1)
    assert [(one.name, one.task, one.kept) for one in found.refusals] == [("ada@example.org", 2, "draft 4")]


def test_answers_to_tasks_that_are_newer_than_the_pull_are_no_more_images_than_there_are() -> None:
    facts = Facts(at=NOW - 600, images={"a": "a.png"}, tasks={1: "a"}, answers=(answer("a", 2),))
    reviewed = Submission(NOW - 60, 4, "pia@example.org", 7, 9)  # a task that a review made since
    found = composed(facts, Audited((reviewed,)))
    assert (found.images, found.answered, found.answers) == (1, 1, 2)
    assert composed(Facts(), Audited((reviewed,))).answered == 1


def test_disagreement_is_the_share_of_others_who_did_not_draw_a_region() -> None:
    data = noise_png(1)
    one = by_raters(sample_record(1, data), 1)  # all three drew the region
    assert disagreement(one, 0.01) == 0
    alone = changed(one, artifacts=one.artifacts[:1])
    assert disagreement(alone, 0.5) == 1
    assert disagreement(changed(alone, reviews=one.reviews[:1]), 0.5) == 0


def test_the_log_is_read_on_from_where_it_ended(tmp_path: Path) -> None:
    audit, reader = Audit(tmp_path), AuditReader(tmp_path / "audit")
    assert reader.read() == Audited()
    audit.add(submission(5, 201))
    audit.add(msgspec.structs.replace(submission(5, 201), path="/api/tasks/5/drafts"))
    assert [one.task for one in reader.read().submissions] == [5]
    (file,) = (tmp_path / "audit").iterdir()
    whole = msgspec.json.encode(submission(6, 400, "draft 1")) + b"\n"
    with file.open("ab") as log:
        log.write(b'{"annotations": damaged}\n' + whole[:20])
    assert (len(reader.read().submissions), reader.read().unreadable) == (1, 1)
    with file.open("ab") as log:
        log.write(whole[20:])
    assert [(one.task, one.refused, one.kept) for one in reader.read().submissions] == [
        (5, False, ""),
        (6, True, "draft 1"),
    ]


def submission(task: int, status: int, kept: str = "") -> Entry:
    path = f"/api/tasks/{task}/annotations"
    common = {"user": 2, "email": "ada@example.org", "project": 7, "method": "POST"}
    return Entry(at=datetime.now(UTC), path=path, status=status, task=task, kept=kept, **common)  # type: ignore[arg-type]


# The page


def client(
    workspace: Workspace, role: Role | None = "manager", presence: Presence | None = None
) -> TestClient:
    import httpx

    async def who(_request: HTTPConnection) -> Identity | None:
        return None if role is None else Identity(1, "who@example.org", role)

    api = httpx.AsyncClient(base_url="http://127.0.0.1:9", trust_env=False)  # nothing listens there
    pulls = Reconciler(workspace, 10, Measures())
    routes = dashboard_routes(workspace, new_companion(), api, who, presence or Presence(), Hints(), pulls)
    return TestClient(Starlette(routes=routes), follow_redirects=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "scars", "scars <b>")


@pytest.mark.parametrize("path", ["/companion/dashboard", "/companion/dashboard/data"])
def test_others_than_managers_see_nothing(workspace: Workspace, path: str) -> None:
    page = {"accept": "text/html"}
    assert client(workspace, None).get(path).status_code == 401
    assert (
        client(workspace, None).get(path, headers=page).headers["location"].startswith("/user/login/?next=")
    )
    for role in ("annotator", "adjudicator"):
        for headers in ({}, page):
            answer = client(workspace, role).get(path, headers=headers)  # type: ignore[arg-type]
            assert answer.status_code == 403
            assert "for those who manage" in answer.text


def test_an_empty_workspace_has_a_page(workspace: Workspace) -> None:
    answer = client(workspace).get("/companion/dashboard")
    assert answer.status_code == 200
    assert "Nothing was pulled yet" in answer.text
    assert "<b>scars" not in answer.text
    assert "Annotation of scars <b>" in Page(answer.text).text
    data = client(workspace).get("/companion/dashboard/data").json()["data"]
    assert (data["images"], data["answers"], data["agreement"]) == (0, 0, None)


def filled(workspace: Workspace) -> list[ImageRecord]:
    """Four images that three raters judged, with what could be mark-up wherever a text may stand."""
    set_role(workspace, "ada@example.org", "annotator", 2)
    records = []
    for number in (1, 2, 3, 6):
        data = noise_png(number)
        record = by_raters(sample_record(number, data), number)
        workspace.add_image(data, record.image_id, ".png")
        rename = {"anna": "rater-2", "ben": "rater-3", "carla": EVIL}
        artifacts = tuple(
            changed(each, rater_id=rename[each.rater_id], phrase=EVIL, explanation=EVIL)
            for each in record.artifacts
        )
        reviews = tuple(
            Review(rater_id=rename[each.rater_id], status=each.status, scene=EVIL, seconds=30.0)
            for each in record.reviews
        )
        extra = {"label_studio_tasks": [number]}
        records.append(
            changed(record, artifacts=artifacts, reviews=reviews, file_name=f"{EVIL}.png", extra=extra)
        )
    write_records(workspace.records_dir / "000001.jsonl.zst", records)
    return records


def test_texts_of_strangers_stay_texts(workspace: Workspace) -> None:
    records = filled(workspace)
    rater = f"{EVIL}@example.org"
    write_assignment(
        workspace,
        Assignment(batches=(Batch(rater=rater, batch=EVIL, images=(records[0].image_id,)),)),
    )
    rejected = workspace.platform_dir / "rejected"
    rejected.mkdir(parents=True)
    (rejected / "x-task-6.json").write_bytes(msgspec.json.encode({"wrong": [EVIL]}))
    audit = Audit(workspace.platform_dir)
    audit.add(msgspec.structs.replace(submission(6, 400, "rejected/x-task-6.json"), email=EVIL))
    presence = Presence()
    presence.note(Seen(EVIL, datetime.now(UTC).timestamp(), 6, 0, EVIL))
    answer = client(workspace, presence=presence).get("/companion/dashboard")
    page = Page(answer.text)
    assert EVIL not in answer.text
    # A rater, a batch, a file, an explanation of a refusal, who is present, and what somebody said.
    assert page.text.count(EVIL) >= 6
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert len(scripts) == 1
    assert f"'nonce-{scripts[0]['nonce']}'" in answer.headers["content-security-policy"]
    handlers = [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert handlers == []


def test_the_page_shows_the_worst_disagreements(workspace: Workspace) -> None:
    records = filled(workspace)
    keep_known_answers(workspace, {records[0].image_id: sample_record(1, noise_png(1))})
    Audit(workspace.platform_dir).add(submission(6, 201))
    found = client(workspace)
    answer = found.get("/companion/dashboard").text
    images = [attributes for tag, attributes in Page(answer).tags if tag == "img"]
    told = found.get("/companion/dashboard/data").json()
    assert len(images) == len(told["data"]["disputes"]) == told["data"]["disputed"] > 0
    assert all(str(one["src"]).startswith("data:image/jpeg;base64,") for one in images)
    # The audit log knows the project of task 6, and Label Studio, which could tell the others, is away.
    assert 'href="/projects/7/data?task=6"' in answer
    assert answer.count("/data?task=") == 1
    assert told["data"]["agreement"]["images"] == 4
    assert {name for name, _ in told["data"]["gold"]} == {"ada@example.org", "rater-3", EVIL}
    again = found.get("/companion/dashboard/data", params={"records": told["records"]}).json()
    assert GALLERY in told["parts"]
    assert GALLERY not in again["parts"]


def test_new_records_are_seen_and_bad_ones_told(workspace: Workspace) -> None:
    filled(workspace)
    assert client(workspace).get("/companion/dashboard/data").json()["data"]["images"] == 4
    (workspace.records_dir / "000002.jsonl.zst").write_bytes(b"not zstandard")
    answer = client(workspace).get("/companion/dashboard/data")
    assert answer.status_code == 503
    assert "000002.jsonl.zst" in answer.json()["detail"]
