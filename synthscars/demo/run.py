"""The demo: every station of the way, once, on images whose artifacts are known.

Nothing in it is special: it calls what the commands call, and it can be killed and run again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import msgspec
import numpy as np

from synthscars.demo.score import Score, score
from synthscars.files import atomic_file, remove_temporary
from synthscars.ingest import ingest
from synthscars.labelstudio.client import Client, connect
from synthscars.labelstudio.people import add_person, submit
from synthscars.labelstudio.project import Project, ensure_project
from synthscars.labelstudio.pull import pull
from synthscars.labelstudio.push import push
from synthscars.labelstudio.server import start
from synthscars.labelstudio.status import platform_status
from synthscars.labelstudio.tasks import list_tasks
from synthscars.problems import Problems, WorkspaceError
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.release import build_release
from synthscars.release.features import from_row
from synthscars.settings import CONFIG_NAME
from synthscars.simulate import read_truth, write_simulated
from synthscars.simulate.raters import rate
from synthscars.stats import encode_summary, read_tables, summarize
from synthscars.stats.plots import save_plots
from synthscars.workspace import Workspace

VERSION = "0.1.0"
RATERS = ("ada@example.com", "ben@example.com", "cleo@example.com")

Answer = tuple[Review, tuple[Artifact, ...]]


class DemoReport(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look, and what was found.

    missed, invented: regions that the simulated raters overlooked, or drew where nothing is wrong, over all
    raters. standing: known artifacts that a majority of them drew: those that the release must have.
    passed: the release has exactly those, with equal texts and subtypes, on exactly the images about which a
    majority agrees. seconds: by station.
    """

    workspace: Path
    url: str
    account: str
    secrets: str
    release: Path
    plots: tuple[Path, ...]
    images: int
    annotations: int
    missed: int
    invented: int
    standing: int
    score: Score
    passed: bool
    seconds: dict[str, float]


class _Stations:
    """Says what begins, and how long it took."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str, what: str) -> Iterator[None]:
        self.say(f"{name}: {what}")
        begun = perf_counter()
        yield
        self.seconds[name] = round(perf_counter() - begun, 1)


def run_demo(
    folder: Path,
    problems: Problems,
    *,
    images: int = 24,
    seed: int = 0,
    port: int | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> DemoReport:
    """Go the whole way in `folder`: simulate, ingest, push, annotate, pull, release, load, compare.

    The Label Studio server is left running. Running it again in the same folder, with the same seed, goes on
    where it stopped. Raises what the stations raise.
    """
    station = _Stations(say)
    with station("simulate", f"drawing {images} images with known artifacts"):
        truth_file = write_simulated(folder / "generated", images, seed)
        truth = {record.image_id: record for record in read_truth(truth_file)}
    with station("ingest", "taking them into a workspace"):
        workspace = _workspace(folder / "workspace", truth)
        ingest(workspace, [str(truth_file.parent / "images")], problems, license="CC0-1.0")
    with station("platform up", "a real Label Studio on this machine"):
        start(workspace, say, port)
        client = connect(workspace)
        with workspace.lock():
            project = ensure_project(client, workspace)
    with station("push", "every image becomes a task"), workspace.lock():
        push(client, project, workspace, problems)
    answers = simulated_answers(truth, seed)
    with station("annotate", f"{len(RATERS)} simulated raters answer through the API"):
        annotations = _annotate(workspace, client, project, truth, answers)
    with station("pull", "the raw export is kept, then read"), workspace.lock():
        pull(client, project, workspace, problems)
    with station("release", f"building {VERSION}"):
        release = workspace.release_dir(VERSION)
        if not release.exists():
            build_release(workspace, VERSION, problems)
    with station("stats", "counting and plotting"):
        plots = _stats(release, workspace.reports_dir / VERSION)
    with station("load_dataset", "reading it back, and comparing with the known artifacts"):
        result = score(load_release(release), truth)
    known = known_artifacts(truth)
    drawn = [name for rater in answers for name in drawn_artifacts(rater)]
    seen = sum(name in known for name in drawn)
    standing = {name for name, votes in Counter(drawn).items() if _is_majority(votes)}
    status = platform_status(workspace)
    return DemoReport(
        workspace=workspace.root,
        url=str(status.project_url),
        account=str(status.account),
        secrets=str(status.secrets),
        release=release,
        plots=tuple(plots),
        images=len(truth),
        annotations=annotations,
        missed=len(known) * len(RATERS) - seen,
        invented=len(drawn) - seen,
        standing=len(standing),
        score=result,
        passed=known - set(result.missing) == standing
        and result.images == len(agreed_images(answers))
        and result.invented == 0
        and result.texts_equal == result.subtypes_equal == result.matched,
        seconds=station.seconds,
    )


def simulated_answers(truth: Mapping[str, ImageRecord], seed: int) -> list[dict[str, Answer]]:
    """What each rater will answer, by image id. One generator per rater, images in the order of their ids."""
    return [
        {image_id: rate(truth[image_id], rng) for image_id in sorted(truth)}
        for rng in (np.random.default_rng([seed, number]) for number in range(len(RATERS)))
    ]


def known_artifacts(truth: Mapping[str, ImageRecord]) -> set[tuple[str, str]]:
    """`image_id` and `artifact_id` of everything that is wrong in the images."""
    return {(image_id, artifact.artifact_id) for image_id in truth for artifact in truth[image_id].artifacts}


def drawn_artifacts(rater: Mapping[str, Answer]) -> list[tuple[str, str]]:
    """`image_id` and `artifact_id` of everything that one rater draws."""
    return [(image_id, a.artifact_id) for image_id, (_, artifacts) in rater.items() for a in artifacts]


def agreed_images(answers: list[dict[str, Answer]]) -> set[str]:
    """The images that must be in the release: a majority drew the same artifact, or found nothing.

    The others are disputed, and left out until an adjudicator decides.
    """
    drawn = Counter(name for rater in answers for name in drawn_artifacts(rater))
    nothing = Counter(
        image_id for rater in answers for image_id, (_, artifacts) in rater.items() if not artifacts
    )
    return {image_id for (image_id, _), votes in drawn.items() if _is_majority(votes)} | {
        image_id for image_id, votes in nothing.items() if _is_majority(votes)
    }


def _is_majority(votes: int) -> bool:
    return votes > len(RATERS) // 2


def load_release(folder: Path) -> Iterator[ImageRecord]:
    """Every image of a release, through `datasets.load_dataset`, as anybody would open it."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, load_dataset

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        with TemporaryDirectory(prefix="synthscars-") as cache:
            for split, rows in load_dataset(str(folder), cache_dir=cache).items():
                for row in rows:
                    yield from_row(row, split)
    finally:
        if shown:
            enable_progress_bars()


def _workspace(path: Path, truth: Mapping[str, ImageRecord]) -> Workspace:
    if not (path / CONFIG_NAME).exists():
        remove_temporary(path)  # what a demo that was killed right here left behind
        return Workspace.create(path, "simulated-scars")
    workspace = Workspace.open(path)
    present = {record.image_id for record in workspace.images()}
    # A demo that was killed while ingesting has fewer images, but no release yet.
    if present - truth.keys() or (workspace.release_dir(VERSION).exists() and present != truth.keys()):
        raise WorkspaceError(f"{path} holds other images than this demo draws", fix="choose another folder")
    return workspace


def _annotate(
    workspace: Workspace,
    client: Client,
    project: Project,
    truth: Mapping[str, ImageRecord],
    answers: list[dict[str, Answer]],
) -> int:
    """Submit every answer that the server does not have yet; returns how many there are."""
    tasks = {task.image_id: task.id for task in list_tasks(client, project)}
    for email, rater in zip(RATERS, answers, strict=True):
        person = add_person(workspace, client, email)
        for image_id, (review, artifacts) in rater.items():
            # Asked per task, so that a demo killed here does not answer twice when it is run again.
            if person.id not in _answered_by(client, tasks[image_id]):
                size = truth[image_id]
                submit(person, tasks[image_id], review, artifacts, width=size.width, height=size.height)
    return sum(len(rater) for rater in answers)


def _answered_by(client: Client, task_id: int) -> set[int]:
    annotations = client.request("GET", f"/api/tasks/{task_id}/annotations/")
    return {int(annotation["completed_by"]) for annotation in annotations}


def _stats(release: Path, target: Path) -> list[Path]:
    tables = read_tables(release)
    with atomic_file(target / "stats.json") as file:
        file.write(encode_summary(summarize(tables)))
    return save_plots(tables, target)
