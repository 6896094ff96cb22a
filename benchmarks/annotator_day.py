"""A day of three people at the platform, in a real browser: annotator, adjudicator, manager.

Makes a workspace of simulated images in a temporary folder, starts the platform with the product's commands,
and gives everybody an account. The annotator logs in through the guard and answers pictures in a row: draws
polygons, types, is told of mistakes, mends them, submits; every other picture with the keyboard where there
are keys. A second annotator's answers are sent without a browser, so that there is something to disagree
about; the adjudicator decides about it, the manager looks at the dashboard. At last everything is pulled, and
held against what was drawn and typed. Whatever a browser reports that nobody expects is a failure.

    python benchmarks/annotator_day.py --tasks 30 --pictures shots --json day.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import numpy as np
from annotator_browser import Person
from annotator_plan import Done, lost, make_plan
from browser import browser
from platform_images import fill

from synthscars.jsonl import read_records
from synthscars.labelstudio.assignment import assigned_projects
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.credentials import load_credentials
from synthscars.labelstudio.people import Person as Account
from synthscars.labelstudio.people import submit
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.server import require
from synthscars.labelstudio.tasks import list_tasks
from synthscars.records import ImageRecord, Review
from synthscars.workspace import Workspace

ADA, BEN = "ada@example.org", "ben@example.org"
ROLES = {ADA: "annotator", BEN: "annotator", "pia@example.org": "adjudicator", "max@example.org": "manager"}
PASSWORD = "a long password"


class Platform:
    """A workspace, and the product's commands for it."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.url = ""

    def run(self, *arguments: str, typed: str = "") -> Any:
        """Run `synthscars ARGUMENTS --json` as a person would; what it prints. Stops if it fails."""
        command = [sys.executable, "-m", "synthscars", *arguments, "-w", str(self.workspace.root), "--json"]
        done = subprocess.run(command, input=typed, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            raise SystemExit(f"synthscars {' '.join(arguments)}: {done.stderr or done.stdout}")
        say(f"synthscars {' '.join(arguments)}")
        return json.loads(done.stdout)


def main() -> None:
    """Read the options, live through the day, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=30, help="pictures that the annotator answers")
    parser.add_argument("--disputes", type=int, default=4, help="of them, that the adjudicator decides about")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--workspace", type=Path, help="one whose platform runs; images are added to it")
    parser.add_argument("--pictures", type=Path, help="a folder for screenshots")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    options = parser.parse_args()
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        given = options.workspace is not None
        root = options.workspace if given else Path(folder) / "scars"
        workspace = Workspace.open(root) if given else Workspace.create(root, "A day of annotators")
        with started(workspace, options.tasks, stop=not given) as (platform, truth):
            found = day(platform, truth, options)
    report(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if found["failures"]:
        raise SystemExit(1)


@contextmanager
def started(workspace: Workspace, tasks: int, *, stop: bool) -> Iterator[tuple[Platform, list[ImageRecord]]]:
    """The platform while it runs, with accounts and queues, and the truth about the images in them."""
    truth = fill(workspace, tasks, first=sum(1 for _ in workspace.images()))
    platform = Platform(workspace)
    try:
        platform.url = platform.run("platform", "up")["url"]
        for email, role in ROLES.items():
            add = ("platform", "users", "add", email, "--role", role, "--password-stdin")
            platform.run(*add, typed=f"{PASSWORD}\n")
        shared = ("--overlap-share", "1", "--overlap-raters", "2")
        platform.run("platform", "assign", *shared, "--rater", ADA, "--rater", BEN)
        yield platform, truth
    finally:
        if stop:
            platform.run("platform", "down")


def day(platform: Platform, truth: list[ImageRecord], options: argparse.Namespace) -> dict[str, Any]:
    """Everybody's work, one after another; the figures and what went wrong."""
    workspace, tasks = platform.workspace, options.tasks
    rng = np.random.default_rng(options.seed)
    failures: list[str] = []
    seen: dict[str, list[str]] = {}
    times: dict[str, float] = {}
    with browser() as running:

        def person(email: str) -> Person:
            found = Person(running, platform.url, options.pictures)
            found.log_in(email, PASSWORD)
            seen[email] = found.seen
            return found

        ada = person(ADA)
        ada.picture("home")
        times["open the queue"] = ada.open_queue(f"001 {ADA}")
        done: list[Done] = []
        for number in range(tasks):
            try:
                done.append(ada.do(make_plan(number, rng), last=number == tasks - 1))
            except Exception as error:
                ada.picture("failure")
                failures.append(f"picture {number}: {error}")
                break
            say(f"picture {number + 1} of {tasks}: {done[-1].draw:.1f} s, {done[-1].submit:.1f} s")
        ada.page.wait_for_timeout(3000)
        ada.picture("end")
        refusals = list(ada.refusals)
        expected = sum(one.plan.mistake in ("placeholder", "crossing") for one in done)
        if len(refusals) != expected:
            failures.append(f"{len(refusals)} answers were refused, not {expected}: {refusals}")

        others = answer_as_ben(workspace, done, truth, options.disputes)
        failures += look_at_another(ada, workspace)

        platform.run("platform", "pull")
        review = platform.run("platform", "review")
        disputed = int(review["images"])
        pia = person("pia@example.org")
        times["open the review"] = pia.open_queue(str(review["project"]))
        decided = decide(pia, min(disputed, options.disputes), failures)
        boss = person("max@example.org")
        times["open the dashboard"] = look_at_dashboard(boss, failures, answers=len(done) + others)

    pulled = platform.run("platform", "pull")
    records = list(read_records(workspace.latest_records()))
    account = load_credentials(workspace.platform_dir).people[ADA]
    failures += lost(done, records, f"rater-{account.id}")
    if pulled["settled"] != decided:
        failures.append(f"{decided} disputes were decided, {pulled['settled']} came out")
    failures += [f"{who}: {line}" for who, lines in seen.items() for line in lines]
    return {
        "tasks": len(done),
        "keys": sum(one.plan.keys for one in done),
        "regions": sum(len(one.plan.regions) for one in done),
        "mistakes": sum(bool(one.plan.mistake) for one in done),
        "refused by the guard": len(refusals),
        "disputed": disputed,
        "decided": decided,
        "seconds": {**{name: spread([value]) for name, value in times.items()}, **by_task(done)},
        "failures": failures,
    }


def answer_as_ben(workspace: Workspace, done: list[Done], truth: list[ImageRecord], disputes: int) -> int:
    """Give the second annotator's answers to pictures on which the first drew; how many there are."""
    account = load_credentials(workspace.platform_dir).people[BEN]
    ben = Account(account, Client(require(workspace).url, account.token))
    by_id = {record.image_id: record for record in truth}
    answered = [by_id[one.image_id] for one in done if one.plan.kind == "drawn" and one.image_id in by_id]
    drawn = [record.image_id for record in answered if record.artifacts]
    tasks = {task.image_id: task.id for task in list_tasks(ben.client, project_of(workspace, BEN))}
    for image in drawn[:disputes]:
        record = by_id[image]
        review = Review(rater_id=ben.rater_id, status="annotated", content_type=record.content_type)
        submit(ben, tasks[image], review, record.artifacts, width=record.width, height=record.height)
    return len(drawn[:disputes])


def project_of(workspace: Workspace, email: str) -> Project:
    """The first queue of an annotator."""
    found = next(one for one in assigned_projects(workspace) if one.rater == email)
    return Project(found.id, found.title)


def look_at_another(ada: Person, workspace: Workspace) -> list[str]:
    """What an annotator gets to see at the address of another's task; what is wrong with that."""
    project = project_of(workspace, BEN)
    account = load_credentials(workspace.platform_dir).people[BEN]
    task = next(list_tasks(Client(require(workspace).url, account.token), project))
    refusals, seen = len(ada.refusals), len(ada.seen)
    for address in (
        f"/projects/{project.id}/data?task={task.id}",
        f"/api/tasks/{task.id}/",
        f"/api/tasks/{task.id}/annotations/",
    ):
        answer = ada.page.goto(f"{ada.url}{address}")
        text = ada.page.inner_text("body")
        if answer.status != 403 or task.image_id in text or "not in your queue" not in text:
            return [f"{address} answers an annotator whose it is not: {answer.status} {text[:200]}"]
    ada.page.goto(f"{ada.url}/projects/{project.id}/data?task={task.id}")
    ada.picture("not-yours")
    del ada.refusals[refusals:], ada.seen[seen:]
    ada.page.goto(f"{ada.url}/projects/")
    ada.page.get_by_text(f"001 {ADA}").wait_for()
    if ada.page.get_by_text(BEN).count():
        return ["the list of projects shows an annotator another's queue"]
    return []


def decide(pia: Person, count: int, failures: list[str]) -> int:
    """Decide about disputed pictures: the first candidate is deleted where there are several; how many."""
    for number in range(count):
        task = pia.task()["id"]
        pia.picture(f"review-{number + 1}")
        if pia.regions() > 1:
            pia.key("Alt+.")
            pia.picture(f"review-{number + 1}-selected")
            pia.key("Backspace")
        pia.answer_whole(("8", "object"))
        answer = pia.submit(keys=True)
        if answer.status != 201:
            failures.append(f"the decision about task {task} was refused: {answer.text()[:300]}")
            return number
        if number < count - 1:
            pia.wait_for_task(task)
    return count


def look_at_dashboard(boss: Person, failures: list[str], *, answers: int) -> float:
    """Open the dashboard, and hold its figures against what was done; seconds until it shows them."""
    begun = time.perf_counter()
    boss.page.goto(f"{boss.url}/companion/dashboard")
    boss.page.wait_for_load_state("networkidle")
    took = time.perf_counter() - begun
    boss.picture("dashboard")
    data = boss.page.evaluate("() => fetch('/companion/dashboard/data').then((answer) => answer.json())")
    told = sum(one["answered"] for one in data["data"]["batches"] if one["rater"] in (ADA, BEN))
    if told < answers:  # a workspace that was given may have had some
        failures.append(f"the dashboard counts {told} answers, not {answers}")
    return took


def by_task(done: list[Done]) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of each part of a picture, in seconds."""
    parts: dict[str, Callable[[Done], float]] = {
        "draw and type": lambda one: one.draw,
        "submit to answer": lambda one: one.submit,
        "answer to next picture": lambda one: one.load,
        "submit to next picture": lambda one: one.submit + one.load,
    }
    # After the last there is no next.
    return {
        name: spread([part(one) for one in (done if name in list(parts)[:2] else done[:-1])])
        for name, part in parts.items()
        if len(done) > 1
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    p95 = sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]
    return {"median": round(statistics.median(values), 2), "p95": round(p95, 2)}


def report(found: dict[str, Any]) -> None:
    """Print the figures as a table."""
    for name in ("tasks", "keys", "regions", "mistakes", "refused by the guard", "disputed", "decided"):
        print(f"{name:24} {found[name]:8}")
    print(f"{'seconds':24} {'median':>8} {'p95':>8}")
    for name, values in found["seconds"].items():
        print(f"  {name:22} {values['median']:8.2f} {values['p95']:8.2f}")
    print(f"{'failures':24} {len(found['failures']):8}")
    for failure in found["failures"]:
        print(f"  {failure}")


def say(line: str) -> None:
    """Progress, which goes to the other output."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
