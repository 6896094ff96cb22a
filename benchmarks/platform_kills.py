"""Kill Label Studio, the companion or the client in the middle of a push, a submission or a pull.

Starts a Label Studio with its companion in a temporary folder, and gives three simulated annotators their
queues. Each round begins an operation as a process of its own, kills (SIGKILL) one of the three at a moment
drawn by lot while it runs, starts again what was killed with `synthscars platform up`, repeats the operation
until it ends, and then looks: every image has one task, every answer that was called accepted is there once,
a pull of what changed has exactly what the server has, every file is whole. A message that does not say
what to do counts as a violation too.

    python benchmarks/platform_kills.py --kills 100
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from guarded_people import drawn
from platform_checks import Told, digest, violations
from platform_images import fill

from synthscars.labelstudio.assignment import assigned_projects
from synthscars.labelstudio.client import connect
from synthscars.labelstudio.people import Person, add_person
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.roles import set_role
from synthscars.labelstudio.server import find, stop
from synthscars.labelstudio.service import find_companion, stop_companion
from synthscars.labelstudio.tasks import list_tasks
from synthscars.workspace import Workspace

OPERATIONS = ("push", "submit", "pull")
VICTIMS = ("client", "companion", "label studio")
# Label Studio takes longest to start again.
TURNS = ("client", "companion", "client", "companion", "label studio")
NEW_IMAGES = 3
TRIES = 12


class Round(msgspec.Struct):
    """One kill. running: the operation had not ended. failed: it did not end well, and was done again."""

    operation: str
    victim: str
    running: bool
    failed: bool
    tries: int
    seconds: float
    wrong: list[str]


class Asked(msgspec.Struct):
    """The submission that is under way."""

    person: Person
    task: int
    body: dict[str, Any]


class Site(msgspec.Struct):
    """The platform that is tried, what its clients know, and the answers that are still to be given."""

    workspace: Workspace
    people: list[Person]
    told: Told
    answers: Iterator[tuple[Person, int]]
    lots: random.Random
    asked: Asked | None = None
    images: int = 0
    usual: dict[str, float] = {}
    wrong: list[str] = []


def main() -> int:
    """Read the options, and try."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--submit", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.submit:
        return submit_from(json.load(sys.stdin))
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder) / "w", "kills")
        try:
            site = prepare(workspace, options.kills, options.seed)
            rounds = list(run(site, options.kills))
        finally:
            stop_companion(workspace)
            stop(workspace)
    show(rounds, as_json=options.json)
    return 1 if any(one.wrong for one in rounds) else 0


def prepare(workspace: Workspace, kills: int, seed: int) -> Site:
    """Start the platform, make people and queues, and see how long each operation takes undisturbed."""
    # Each round answers one task at most; every image is a task of all three people.
    images = kills // 3 + 6
    fill(workspace, images)
    again(workspace, "up")
    owner = connect(workspace)
    people = [add_person(workspace, owner, f"kills{number}@example.org") for number in range(3)]
    for person in people:
        set_role(workspace, person.account.email, "annotator", person.id)
    again(workspace, "push")
    again(workspace, "assign", "--overlap-share", "1", "--overlap-raters", "3")
    site = Site(workspace, people, Told(), iter(()), random.Random(seed), images=images)
    by_email = {person.account.email: person for person in people}
    tasks = [
        (by_email[project.rater], task.id)
        for project in assigned_projects(workspace)
        if project.rater
        for task in list_tasks(owner, Project(project.id, project.title))
    ]
    site.lots.shuffle(tasks)
    site.answers = iter(tasks)
    for operation in (*OPERATIONS, *OPERATIONS):  # the first time takes longer
        process, begun = begin(site, operation)
        finish(site, operation, process)
        site.usual[operation] = time.monotonic() - begun
    found = violations(workspace, site.told, pushed=True)
    assert not found, found
    return site


def run(site: Site, kills: int) -> Iterator[Round]:
    """Kill so many times; each operation meets each victim in turn."""
    known: set[str] = set()
    pairs = [(operation, victim) for victim in TURNS for operation in OPERATIONS]
    for number in range(kills):
        operation, victim = pairs[number % len(pairs)]
        started = time.monotonic()
        one = kill_once(site, operation, victim)
        found = site.wrong + violations(site.workspace, site.told, pushed=True)
        one.wrong = [line for line in found if line not in known]
        known.update(found)
        site.wrong = []
        one.seconds = round(time.monotonic() - started, 1)
        print(f"{number + 1} {operation} {victim} {one.running} {one.failed} {one.tries} {one.seconds} s",
              *one.wrong, sep="\n  ", file=sys.stderr, flush=True)  # fmt: skip
        yield one


def kill_once(site: Site, operation: str, victim: str) -> Round:
    """Begin the operation, kill the victim while it runs, start that again, and repeat until it is done."""
    process, begun = begin(site, operation)
    # What a command does before it sends anything takes about half of its time.
    least = 0.35 if operation != "submit" else 0.0
    time.sleep(max(0.0, begun + site.lots.uniform(least, 0.95) * site.usual[operation] - time.monotonic()))
    running = process.poll() is None
    # It gets slower as images become more, and what the machine does beside varies.
    site.usual[operation] *= 1.05 if running else 0.9
    kill(site, victim, process)
    code = end(site, process)
    if victim != "client":
        again(site.workspace, "up", told=site.wrong)
    tries = 1 + (repeat(site, operation) if code else 0)
    return Round(operation, victim, running, tries > 1, tries, 0.0, [])


def repeat(site: Site, operation: str) -> int:
    """Do an operation that did not end well again, with nothing new; returns how often that took."""
    for number in range(1, TRIES):
        process, _ = begin(site, operation, again=True)
        if end(site, process) == 0:
            return number
        time.sleep(1)
    site.wrong.append(f"{operation} did not end after {TRIES} tries")
    return TRIES


def finish(site: Site, operation: str, process: subprocess.Popen[str]) -> None:
    """Wait for an operation, and repeat it if the companion was pulling just then."""
    if end(site, process):
        repeat(site, operation)


def kill(site: Site, victim: str, client: subprocess.Popen[str]) -> None:
    """End a process, or Label Studio with all of its processes, without a chance to clear up."""
    if victim == "client":
        client.kill()
    elif victim == "companion":
        companion = find_companion(site.workspace)
        assert companion is not None
        os.kill(companion.pid, signal.SIGKILL)
    else:
        server = find(site.workspace)
        assert server is not None
        os.killpg(server.pid, signal.SIGKILL)


def begin(site: Site, operation: str, *, again: bool = False) -> tuple[subprocess.Popen[str], float]:
    """Start an operation as a process; returns when it began to matter. again: not with anything new."""
    workspace = site.workspace
    if operation == "submit":
        return begin_submission(site, site.asked if again and site.asked else new_answer(site))
    if not again and operation == "push":
        fill(workspace, NEW_IMAGES, first=site.images)
        site.images += NEW_IMAGES
    if not again and operation == "pull":
        process, _ = begin_submission(site, new_answer(site))
        finish(site, "submit", process)
    return command(workspace, operation), time.monotonic()


def new_answer(site: Site) -> Asked:
    """The next task, and what its rater says; every second one was kept as a draft before."""
    person, task = next(site.answers)
    body = drawn(f"it has {task} fingers", f"r{task}")
    if site.lots.random() < 0.5:
        with talking(site, person) as session:
            draft = session.post(f"/api/tasks/{task}/drafts", json={"result": body["result"]})
            body["draft_id"] = draft.raise_for_status().json()["id"]
    site.told.tried[task, person.id] = digest(body["result"])
    site.asked = Asked(person, task, body)
    return site.asked


def talking(site: Site, person: Person) -> httpx.Client:
    """A session of a person with the companion."""
    companion = find_companion(site.workspace)
    assert companion is not None
    headers = {"Authorization": f"Token {person.account.token}"}
    return httpx.Client(base_url=companion.local_url, headers=headers, trust_env=False, timeout=60)


def begin_submission(site: Site, asked: Asked) -> tuple[subprocess.Popen[str], float]:
    """Start the client of a submission; it has said that it is about to send."""
    companion = find_companion(site.workspace)
    assert companion is not None
    order = {
        "url": companion.local_url,
        "token": asked.person.account.token,
        "task": asked.task,
        "rater": asked.person.id,
        "body": asked.body,
    }
    process = launch(sys.executable, __file__, "--submit")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(order))
    process.stdin.close()
    process.stdin = None
    assert process.stdout.readline() == "ready\n"
    return process, time.monotonic()


def submit_from(order: dict[str, Any]) -> int:
    """The client of a submission, once and as the editor does: says what it was told."""
    headers = {"Authorization": f"Token {order['token']}"}
    with httpx.Client(base_url=order["url"], headers=headers, trust_env=False, timeout=60) as session:
        print("ready", flush=True)
        try:
            answer = session.post(f"/api/tasks/{order['task']}/annotations", json=order["body"])
        except httpx.HTTPError as error:
            # It is a browser that says so.
            print(f"error: {type(error).__name__}\n  → submit again", file=sys.stderr)
            return 3
    if answer.status_code != 201:
        advice = "  → submit again" if "submit again" in answer.text else ""
        print(f"error: {answer.status_code} {answer.text[:300]}\n{advice}", file=sys.stderr)
        return 3
    print(json.dumps([order["task"], order["rater"], digest(answer.json()["result"])]), flush=True)
    return 0


def end(site: Site, process: subprocess.Popen[str]) -> int:
    """Wait for an operation, and note what it was told, and a message that does not help."""
    try:
        out, err = process.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        site.wrong.append("an operation did not end in three minutes")
    if out.startswith("["):
        task, rater, answer = json.loads(out)
        site.told.accepted[task, rater] = answer
    if process.returncode not in (0, -signal.SIGKILL):
        site.wrong += unhelpful(process.returncode, err)
    return process.returncode


def unhelpful(code: int, err: str) -> list[str]:
    """What is wrong with the message of a command that failed."""
    if code == 3 and "error: " in err and "→ " in err and "Traceback" not in err:
        return []
    return [f"exit {code}, and no word about what to do: {err[-600:]}"]


def launch(*arguments: str) -> subprocess.Popen[str]:
    """Start a process whose words are read."""
    pipe = subprocess.PIPE
    return subprocess.Popen(list(arguments), stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def command(workspace: Workspace, *arguments: str) -> subprocess.Popen[str]:
    """A command of `synthscars platform`."""
    name, *others = arguments
    where = ("--workspace", str(workspace.root))
    return launch(sys.executable, "-m", "synthscars", "platform", name, "--json", *where, *others)


def again(workspace: Workspace, *arguments: str, told: list[str] | None = None) -> None:
    """Run a command until it works: the companion may be pulling just now."""
    for _ in range(TRIES):
        process = command(workspace, *arguments)
        _, err = process.communicate(timeout=400)
        if process.returncode == 0:
            return
        if told is not None:
            told += unhelpful(process.returncode, err)
        time.sleep(1)
    raise SystemExit(f"`platform {arguments[0]}` does not work: {err}")


def show(rounds: list[Round], *, as_json: bool) -> None:
    """Print the figures."""
    rows = []
    for operation in OPERATIONS:
        for victim in VICTIMS:
            some = [one for one in rounds if (one.operation, one.victim) == (operation, victim)]
            rows.append(
                {
                    "operation": operation,
                    "victim": victim,
                    "kills": len(some),
                    "running": sum(one.running for one in some),
                    "repeated": sum(one.failed for one in some),
                    "violations": sum(len(one.wrong) for one in some),
                    "seconds": round(statistics.median(one.seconds for one in some), 1) if some else 0.0,
                }
            )
    if as_json:
        print(json.dumps({"rows": rows, "wrong": [line for one in rounds for line in one.wrong]}))
        return
    print(f"{'operation':10} {'victim':13} {'kills':>5} {'running':>8} {'repeated':>9} {'violations':>11}  s")
    for row in rows:
        print(
            f"{row['operation']:10} {row['victim']:13} {row['kills']:5} {row['running']:8} "
            f"{row['repeated']:9} {row['violations']:11} {row['seconds']:5}"
        )
    for column in ("kills", "running", "repeated", "violations"):
        print(f"{column}: {sum(int(str(row[column])) for row in rows)}")


if __name__ == "__main__":
    sys.exit(main())
