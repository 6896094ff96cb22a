"""What the guard adds to a request: the same ones sent straight to Label Studio and through it, in turn.

Starts a Label Studio of its own in a temporary folder (or uses the workspace of `--workspace`, whose answers
it adds to), gives simulated annotators a queue each, and lets each submit and fetch the next task, at first
one alone, then all at once. The guard runs in a process of its own, as it does on the platform. `own` is what
the guard says it took itself (`Server-Timing`): asking for roles and whose task it is, validation, the log.

    python benchmarks/guard_latency.py --people 12 --rounds 20

With `--minutes` it is a test under load instead: everybody opens a task, submits, and asks for the next one
every few seconds (`--pause`), through the guard but for every fourth time, which goes straight to Label
Studio and is compared. Errors are counted.

    python benchmarks/guard_latency.py --people 12 --minutes 10
"""

from __future__ import annotations

import argparse
import json
import math
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from guarded_people import add_tasks, drawn, make_queue
from platform_images import fill

from synthscars.labelstudio.client import connect
from synthscars.labelstudio.people import Person, add_person
from synthscars.labelstudio.project import ensure_project
from synthscars.labelstudio.roles import set_role
from synthscars.labelstudio.server import start, stop
from synthscars.workspace import Workspace


def main() -> None:
    """Read the options, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=20, help="submissions of each person, each way")
    parser.add_argument("--minutes", type=float, default=0, help="a test under load for so long instead")
    parser.add_argument("--pause", type=float, help="seconds between two rounds of a person: 2, under load 4")
    parser.add_argument("--serve", nargs=2, metavar=("UPSTREAM", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(Workspace.open(options.workspace), *options.serve)
        return
    pause = options.pause if options.pause is not None else (4.0 if options.minutes else 2.0)
    with tempfile.TemporaryDirectory() as folder:
        given = options.workspace is not None
        workspace = (
            Workspace.open(options.workspace) if given else Workspace.create(Path(folder) / "w", "bench")
        )
        images = list(workspace.images()) if given else fill(workspace, 4)
        server, _ = start(workspace, lambda line: print(line, file=sys.stderr))
        try:
            rounds = math.ceil(60 * options.minutes / pause) + 1 if options.minutes else options.rounds
            run(workspace, server.url, images, options.people, rounds, pause, options.minutes)
        finally:
            if not given:
                stop(workspace)


def serve(workspace: Workspace, upstream: str, port: str) -> None:
    """Run the guard alone."""
    import uvicorn

    from synthscars.companion.guard import create_guard

    guard = create_guard(workspace, upstream)
    uvicorn.run(guard, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


def run(
    workspace: Workspace,
    upstream: str,
    images: Any,
    people: int,
    rounds: int,
    pause: float,
    minutes: float = 0,
) -> None:
    """Prepare the queues, start the guard, and measure. Each round takes one or two of a person's tasks."""
    owner = connect(workspace)
    ensure_project(owner, workspace)
    team, noted = [], []
    for number in range(people):
        person = add_person(workspace, owner, f"bench{number}@example.org")
        set_role(workspace, person.account.email, "annotator", person.id)
        project = make_queue(owner, workspace, f"bench {number}")
        needed = [images[one % len(images)] for one in range(rounds if minutes else 4 * rounds)]
        team.append((person, project, add_tasks(owner, workspace, project, needed)))
        print(f"{number + 1} of {people} queues with {len(needed)} tasks each", file=sys.stderr)
        noted.append({"id": project, "title": f"bench {number}", "rater": person.account.email})
    (workspace.platform_dir / "projects.json").write_text(json.dumps({"projects": noted}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, __file__, "--workspace", str(workspace.root), "--serve", upstream, str(port)]
    guard = subprocess.Popen(command)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(url)
        if minutes:
            show_load(load(team, upstream, url, 60 * minutes, pause))
            return
        alone = measure(team[:1], upstream, url, rounds, 0.0)
        together = measure(team, upstream, url, rounds, pause)
    finally:
        guard.terminate()
        guard.wait(30)
    for title, times in (("one person", alone), (f"{people} people at once", together)):
        show(title, times)
    print(json.dumps({"alone": summary(alone), "together": summary(together)}))


Team = list[tuple[Person, int, list[int]]]
Times = dict[tuple[str, str], list[float]]


def measure(team: Team, upstream: str, url: str, rounds: int, pause: float) -> Times:
    """Milliseconds by kind of request and way."""
    times: Times = {}
    failed: list[str] = []
    lock = threading.Lock()

    def work(person: Person, project: int, tasks: list[int], number: int) -> None:
        clients, kinds = clients_of(person, upstream, url), kinds_of(project)
        time.sleep(pause * number / max(1, len(team)))
        for turn in range(rounds):
            for kind, send in kinds.items():
                # Each way goes first every other time.
                for way in ("direct", "guard") if turn % 2 else ("guard", "direct"):
                    task = tasks[2 * turn + (way == "guard")]
                    before = time.perf_counter()
                    answer = send(clients[way], task)
                    took = 1000 * (time.perf_counter() - before)
                    with lock:
                        times.setdefault((kind, way), []).append(took)
                        if way == "guard":
                            own = answer.headers["server-timing"].rpartition("=")[2]
                            times.setdefault((kind, "own"), []).append(float(own))
                        if answer.status_code >= 400 and (kind, answer.status_code) != ("next task", 404):
                            failed.append(f"{way} {kind} {answer.status_code}")
            time.sleep(pause)
        for client in clients.values():
            client.close()

    threads = [threading.Thread(target=work, args=(*one, number)) for number, one in enumerate(team)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(f"{len(failed)} requests failed: {failed[:5]}")
    return times


Kinds = dict[str, Callable[[httpx.Client, int], httpx.Response]]


def clients_of(person: Person, upstream: str, url: str) -> dict[str, httpx.Client]:
    """A person's connections by way."""
    headers = {"Authorization": f"Token {person.account.token}"}
    return {
        way: httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=60)
        for way, base in (("direct", upstream), ("guard", url))
    }


def kinds_of(project: int) -> Kinds:
    """The requests of a round, each with a task of its own."""
    body = {"project": str(project)}
    return {
        "whoami": lambda client, task: client.get("/api/current-user/whoami"),
        "task": lambda client, task: client.get(f"/api/tasks/{task}?project={project}"),
        "submit": lambda client, task: client.post(f"/api/tasks/{task}/annotations", json=drawn()),
        "next task": lambda client, task: client.post(
            f"/api/dm/actions?id=next_task&project={project}", json=body
        ),
    }


class Loaded:
    """What a test under load found: milliseconds by kind and way, and errors by what they were.

    late: rounds that were not begun, because the ones before took too long.
    """

    def __init__(self) -> None:
        self.times: Times = {}
        self.errors: Counter[str] = Counter()
        self.late = 0
        self._lock = threading.Lock()

    def send(self, kind: str, way: str, send: Callable[[], httpx.Response]) -> None:
        """Send a request and note how it went."""
        before = time.perf_counter()
        try:
            answer = send()
        except httpx.HTTPError as error:
            with self._lock:
                self.errors[f"{way} {kind} {type(error).__name__}"] += 1
            return
        took = 1000 * (time.perf_counter() - before)
        with self._lock:
            self.times.setdefault((kind, way), []).append(took)
            if way == "guard":
                own = answer.headers.get("server-timing", "=nan").rpartition("=")[2]
                self.times.setdefault((kind, "own"), []).append(float(own))
            # 404: no task is left.
            if answer.status_code >= 400 and (kind, answer.status_code) != ("next task", 404):
                self.errors[f"{way} {kind} {answer.status_code}"] += 1

    def count(self, way: str) -> int:
        """Requests that were answered."""
        return sum(len(times) for (_, one), times in self.times.items() if one == way)


def load(team: Team, upstream: str, url: str, seconds: float, pause: float) -> Loaded:
    """Let everybody work for so long, a round each `pause` seconds however long the answers take."""
    found, begun = Loaded(), time.monotonic()

    def work(person: Person, project: int, tasks: list[int], number: int) -> None:
        clients, kinds = clients_of(person, upstream, url), kinds_of(project)
        for turn, task in enumerate(tasks):
            due = begun + pause * (turn + number / len(team))
            if due >= begun + seconds:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() >= begun + seconds:
                found.late += 1
                continue
            way = "direct" if (turn + number) % 4 == 0 else "guard"
            for kind in ("task", "submit", "next task"):
                found.send(kind, way, lambda kind=kind, way=way, task=task: kinds[kind](clients[way], task))
        for client in clients.values():
            client.close()

    threads = [threading.Thread(target=work, args=(*one, number)) for number, one in enumerate(team)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        told = f"{found.count('guard')} requests through the guard, {found.count('direct')} direct"
        print(
            f"{time.monotonic() - begun:4.0f} s: {told}, {sum(found.errors.values())} errors", file=sys.stderr
        )
        time.sleep(min(15.0, seconds / 4))
    return found


def show_load(found: Loaded) -> None:
    """Print the table and the JSON of a test under load; exit with an error if any request failed."""
    show(f"{found.count('guard')} requests through the guard, {found.count('direct')} direct", found.times)
    counted = {"guard": found.count("guard"), "direct": found.count("direct")}
    told = {"requests": counted, "errors": dict(found.errors), "rounds left out": found.late}
    print(json.dumps({**told, "load": summary(found.times)}))
    if found.errors:
        raise SystemExit(f"{sum(found.errors.values())} requests failed: {dict(found.errors)}")
    print(f"0 errors, {found.late} rounds left out because answers came too late")


def summary(times: Times) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of each kind, each way, and what the guard adds to them."""
    found = {}
    for kind in dict.fromkeys(kind for kind, _ in times):
        direct, guard = times[kind, "direct"], times[kind, "guard"]
        found[kind] = {
            "direct": round(statistics.median(direct), 1),
            "guard": round(statistics.median(guard), 1),
            "added": round(statistics.median(guard) - statistics.median(direct), 1),
            "p95 direct": round(p95(direct), 1),
            "p95 guard": round(p95(guard), 1),
            "p95 added": round(p95(guard) - p95(direct), 1),
            "own": round(statistics.median(times[kind, "own"]), 1),
            "p95 own": round(p95(times[kind, "own"]), 1),
        }
    return found


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


def show(title: str, times: Times) -> None:
    """Print a table in milliseconds."""
    print(f"\n{title} (ms)")
    for kind, values in summary(times).items():
        print(f"  {kind:10}", "  ".join(f"{name} {value:7.1f}" for name, value in values.items()))


def wait_for(url: str) -> None:
    """Wait until the guard answers."""
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/guard/editor.js", trust_env=False)
            return
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    main()
