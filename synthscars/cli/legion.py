"""`synthscars legion`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthscars.cli.common import (
    console,
    finish,
    json_option,
    open_workspace,
    output,
    print_json,
    show_problems,
    workspace_folder_option,
)

if TYPE_CHECKING:
    from synthscars.legion.prediction_file import UnfinishedFile
    from synthscars.legion.running import Item, Predicts
    from synthscars.problems import Problems

SERVE_TOKEN = "SYNTHSCARS_SERVE_TOKEN"
LABEL_STUDIO_TOKEN = "SYNTHSCARS_LABEL_STUDIO_TOKEN"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")

_checkpoint = click.argument("checkpoint", type=click.Path(path_type=Path))
_device = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda, cuda:1, …; auto takes a GPU if there is one.",
)
_batch_size = click.option(
    "--batch-size", type=click.IntRange(1, 1024), default=8, show_default=True, help="Images at a time."
)


@click.group()
def legion() -> None:
    """The reference model: finds, outlines and explains artifacts.

    \b
    Examples:
      synthscars legion predict model/ releases/1.0.0 --split test
      synthscars legion serve model/ --workspace my-scars
    """


@legion.command()
@_checkpoint
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("predictions.jsonl"),
    show_default=True,
    help="The file of predictions.",
)
@click.option("--split", help="Only this split of a release, for instance test.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images.")
@_batch_size
@_device
@click.option("--force", is_flag=True, help="Replace a file of predictions that is there already.")
@workspace_folder_option("The workspace that has the release, where SOURCE is a version.")
@json_option
def predict(
    checkpoint: Path,
    sources: tuple[str, ...],
    target: Path,
    split: str | None,
    limit: int | None,
    batch_size: int,
    device: str,
    force: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Say what a model sees in images, in a file that `synthscars evaluate` scores.

    SOURCE is a release (its folder, a version of the workspace, or org/name or org/name@1.0.0 on the Hugging
    Face Hub), a workspace (its images that nobody answered yet), or images: folders, zip archives, files,
    patterns in quotes. Images are taken upright. One that cannot be used is reported and costs no other.

    Interrupted, the same command goes on: what is done stands in FILE.partial.

    \b
    Examples:
      synthscars legion predict model/ releases/1.0.0 --split test --output predictions.jsonl
      synthscars legion predict model/ outputs/ 'more/**/*.png' -o outputs.jsonl
      synthscars legion predict model/ my-scars --limit 100 --json
    """
    import warnings
    from itertools import islice

    from synthscars.legion.prediction_file import prediction_file
    from synthscars.problems import Problems, UsageError

    if target.exists() and not force:
        raise UsageError(f"{target} exists already", fix="name another file with --output, or say --force")
    # Pillow warns of damaged metadata without saying in which file; ours names it.
    warnings.filterwarnings("ignore", module="PIL")
    problems = Problems()
    items, total, named = _find(sources, split, workspace, problems)
    predictor = load_predictor(checkpoint, device)
    header: dict[str, Any] = {"model": predictor.name, "source": named}
    header |= {name: value for name, value in (("split", split),) if value}
    counts = {"images": 0, "predicted": 0, "resumed": 0, "repeated": 0, "failed": 0, "regions": 0}
    start = time.monotonic()
    with prediction_file(target, header, batch_size) as file:
        if file.restarted:
            problems.add(
                "predictions.restarted",
                "an unfinished file of another model or other settings was there, and was begun anew",
                severity="info",
                file=str(target),
            )
        chosen = items if limit is None else islice(items, limit)
        _predict(predictor, chosen, total if limit is None else min(limit, total), batch_size, file,
                 counts, problems)  # fmt: skip
        written = file.complete()
    seconds = time.monotonic() - start
    speed = round(counts["predicted"] / seconds, 2) if seconds else 0.0
    if as_json:
        shown = {"output": str(target), "model": predictor.name, "written": written, **counts}
        print_json({**shown, "images_per_second": speed, "problems": problems.to_json()})
    else:
        output().print(
            f"{written:,} predictions in {target} ({counts['predicted']:,} new, {speed:,.1f} images/s), "
            f"{counts['regions']:,} regions",
            markup=False,
        )
        for name, what in (("resumed", "done before"), ("repeated", "second names of images (same bytes)")):
            if counts[name]:
                output().print(f"{counts[name]:,} {what}")
        show_problems(problems)
    finish(problems)


def _predict(
    predictor: Predicts,
    items: Iterable[Item],
    total: int,
    batch_size: int,
    file: UnfinishedFile,
    counts: dict[str, int],
    problems: Problems,
) -> None:
    """Predict what is not in the file yet, and write it there batch by batch."""
    from synthscars.legion.running import predict_items
    from synthscars.predictions import Prediction
    from synthscars.problems import Problem

    done = frozenset(file.finished)
    with _progress(total) as advance:
        for steps in predict_items(predictor, items, batch_size=batch_size, skip=done):
            predictions = [step.outcome for step in steps if isinstance(step.outcome, Prediction)]
            failed = [step.outcome for step in steps if isinstance(step.outcome, Problem)]
            problems.extend(failed)
            file.write(predictions)
            known = [
                step.outcome.image_id for step in steps if not isinstance(step.outcome, Prediction | Problem)
            ]
            resumed = sum(image_id in done for image_id in known)
            counts["images"] += len(steps)
            counts["predicted"] += len(predictions)
            counts["failed"] += len(failed)
            counts["resumed"] += resumed
            counts["repeated"] += len(known) - resumed
            counts["regions"] += sum(len(prediction.regions) for prediction in predictions)
            advance(len(steps), len(predictions))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, int], None]]:
    """A bar with counts and images per second; gives `advance(items, predicted)`."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("predict"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    start, predicted = time.monotonic(), 0
    with Progress(*columns, console=console(), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("predict", total=total, speed="")

        def advance(items: int, more: int) -> None:
            nonlocal predicted
            predicted += more
            speed = predicted / max(time.monotonic() - start, 1e-9)
            bar.update(task, advance=items, speed=f"{speed:.1f} images/s" if predicted else "")

        yield advance


def load_predictor(checkpoint: Path, device: str) -> Predicts:
    """The model of a checkpoint. Raises `UsageError` if there is none, or its libraries are missing."""
    from importlib import import_module
    from importlib.util import find_spec

    from synthscars.problems import UsageError

    if not (checkpoint / "config.json").is_file():
        raise UsageError(
            f"{checkpoint} is not a checkpoint: it has no config.json",
            fix="name a folder that `synthscars legion train` wrote",
        )
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise UsageError(f"{' and '.join(missing)} not installed", fix='pip install "synthscars[legion]"')
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    predictor: Predicts = import_module("synthscars.legion").Predictor(checkpoint, device=device)
    return predictor


def _find(
    sources: tuple[str, ...], split: str | None, workspace: Path, problems: Problems
) -> tuple[Iterable[Item], int, str]:
    """The images of what the user named, how many they are (at least), and a name without a path."""
    from synthscars.legion import sources as found
    from synthscars.problems import UsageError
    from synthscars.settings import CONFIG_NAME

    folder = _release(sources[0], workspace, problems) if len(sources) == 1 else None
    if folder is not None:
        files = found.release_files(folder, split)
        return found.release_items(folder, files, problems), found.count_rows(files), _release_name(folder)
    if split is not None:
        raise UsageError("--split is for a release", fix="leave it away, or name one release")
    if len(sources) == 1 and (Path(sources[0]) / CONFIG_NAME).is_file():
        opened = open_workspace(Path(sources[0]))
        waiting = found.workspace_items(opened)
        return waiting, len(waiting), opened.name
    from synthscars.ingest.sources import is_missing

    missing = next(filter(is_missing, sources), None)
    if missing is not None:
        raise UsageError(f"{missing} does not exist", fix="name a release, a workspace, a folder or an image")
    items = found.file_items(sources, problems)
    return items, len(items), ", ".join(sorted({Path(source).name or source for source in sources}))


def _release(source: str, workspace: Path, problems: Problems) -> Path | None:
    """The folder of a release, also one that has to be fetched; `None` if the source is none."""
    from synthscars.cli.releases import find_release
    from synthscars.legion.sources import is_release
    from synthscars.workspace import is_version

    path = Path(source)
    if path.exists():
        return path if is_release(path) else None
    if is_version(source):
        return find_release(source, workspace)
    name, _, version = source.partition("@")
    if "://" not in source and (name.count("/") != 1 or name.startswith((".", "~", "/"))):
        return None
    from platformdirs import user_cache_path

    from synthscars.release.publish import get_release, parse_target

    place = parse_target(name)
    kept = user_cache_path("synthscars", appauthor=False) / "releases" / place.shown.rpartition("://")[2]
    return get_release(place, kept, problems, version=version or None).path


def _release_name(folder: Path) -> str:
    from synthscars.problems import ReleaseError
    from synthscars.release import read_manifest

    try:
        manifest = read_manifest(folder)
    except ReleaseError:
        return folder.resolve().name
    return f"{manifest.name} {manifest.version}"


@legion.command()
@_checkpoint
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9090, show_default=True, help="0: any free one."
)
@click.option(
    "-w",
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False),
    help="The workspace whose images the tasks are about.",
)
@click.option("--label-studio", metavar="URL", help="The Label Studio that images may be fetched from.")
@_batch_size
@_device
def serve(
    checkpoint: Path,
    host: str,
    port: int,
    workspace: Path | None,
    label_studio: str | None,
    batch_size: int,
    device: str,
) -> None:
    """Answer Label Studio with pre-annotations: outlines, categories, phrases and explanations to correct.

    Connect it under Settings, Model, Connect Model, with the address that this prints. Experts then find its
    regions in every task that they open.

    Images come from the --workspace, by the ids that `synthscars platform push` put into the tasks, or from
    --label-studio, with the token of an account in SYNTHSCARS_LABEL_STUDIO_TOKEN. From nowhere else. With a
    token in SYNTHSCARS_SERVE_TOKEN, only requests that bring it are answered: as the password of Basic
    authentication in Label Studio, or as a bearer token.

    Ctrl-C or SIGTERM ends it after the requests that are being answered. The log, a line of JSON for each
    request, is on stderr.

    \b
    Examples:
      synthscars legion serve model/ --workspace my-scars
      SYNTHSCARS_SERVE_TOKEN=… synthscars legion serve model/ --host 0.0.0.0 --label-studio https://ls.example.org
    """
    import os

    from synthscars.legion.serving import create_app, listen, run
    from synthscars.legion.task_images import FindImage, FromLabelStudio, from_workspace
    from synthscars.problems import UsageError

    images: list[FindImage] = []
    if workspace is not None:
        images.append(from_workspace(open_workspace(workspace)))
    if label_studio is not None:
        secret = os.environ.get(LABEL_STUDIO_TOKEN)
        if not secret:
            raise UsageError(
                f"--label-studio needs the token of an account in {LABEL_STUDIO_TOKEN}",
                fix="make one in Label Studio, under Account & Settings",
            )
        images.append(FromLabelStudio(label_studio, secret))
    if not images:
        raise UsageError(
            "where are the images of the tasks?", fix="name a --workspace, a --label-studio, or both"
        )
    token = os.environ.get(SERVE_TOKEN) or None
    at = listen(host, port)
    with at:
        predictor = load_predictor(checkpoint, device)
        loopback = host in _LOOPBACK
        app = create_app(
            predictor,
            images,
            token,
            batch_size=batch_size,
            hosts=_LOOPBACK if loopback and not token else None,
        )
        _log_to_stderr()
        shown = f"[{host}]" if ":" in host else host
        screen = console()
        screen.print(f"{predictor.name} at http://{shown}:{at.getsockname()[1]}", markup=False)
        if not loopback and not token:
            screen.print(f"anybody who reaches {host} can use it: set {SERVE_TOKEN} to ask for a token")
        run(app, at)


def _log_to_stderr() -> None:
    """One line of JSON for each thing that the service says; of its libraries, only what went wrong."""
    import logging

    import msgspec

    class Lines(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            said = record.getMessage()
            try:
                fields = msgspec.json.decode(said, type=dict[str, Any])
            except msgspec.DecodeError:
                fields = {"event": "log", "logger": record.name, "message": said}
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
            return msgspec.json.encode({"time": stamp, "level": record.levelname, **fields}).decode()

    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    for name, level in (("synthscars.legion.serving", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.addHandler(handler)
        logger.propagate = False
