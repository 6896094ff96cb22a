"""`synthscars legion predict`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthscars.cli import legion_model
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
from synthscars.cli.legion_model import batch_size_option, checkpoint_argument, device_option

if TYPE_CHECKING:
    from synthscars.legion.prediction_file import UnfinishedFile
    from synthscars.legion.running import Change, Item, Step
    from synthscars.predictions import Prediction
    from synthscars.problems import Problems


@click.command(short_help="Say what a model sees in images.")
@checkpoint_argument
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
@click.option("--perturb", metavar="NAME", help="Change every image first: jpeg-50, noise-0.1, blur-5, …")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images.")
@batch_size_option
@device_option
@click.option(
    "--page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write an HTML page to look at: pictures, outlines, and what is said of them.",
)
@click.option(
    "--page-images",
    type=click.IntRange(1, 2000),
    default=100,
    show_default=True,
    help="Images with findings that the page shows, the surest first.",
)
@click.option("--force", is_flag=True, help="Replace predictions, and a page, that are there.")
@workspace_folder_option("The workspace that has the release, where SOURCE is a version.")
@json_option
def predict(
    checkpoint: Path,
    sources: tuple[str, ...],
    target: Path,
    split: str | None,
    perturb: str | None,
    limit: int | None,
    batch_size: int,
    device: str,
    page: Path | None,
    page_images: int,
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
      synthscars legion predict model/ 1.0.0 --split test --perturb jpeg-50 -o jpeg-50.jsonl
      synthscars legion predict model/ outputs/ 'more/**/*.png' -o outputs.jsonl --page outputs.html
      synthscars legion predict model/ my-scars --limit 100 --json
    """
    import warnings
    from itertools import islice

    from synthscars.legion.prediction_file import prediction_file
    from synthscars.legion.running import predict_items
    from synthscars.problems import Problems, UsageError

    named_images = click.get_current_context().get_parameter_source("page_images")
    if page is None and named_images is not click.core.ParameterSource.DEFAULT:
        raise UsageError("--page-images says what a page shows, and there is none", fix="name it with --page")
    if page is not None and page.resolve() == target.resolve():
        raise UsageError(f"{page} cannot be predictions and page", fix="name another file with --page")
    for path, option in ((target, "--output"), (page, "--page")):
        if path is not None and path.exists() and not force:
            raise UsageError(f"{path} exists already", fix=f"name another file with {option}, or say --force")
    # Pillow warns of damaged metadata without saying in which file; ours names it.
    warnings.filterwarnings("ignore", module="PIL")
    change = None if perturb is None else _perturbation(perturb)
    problems = Problems()
    items, total, named = _find(sources, split, workspace, problems)
    predictor = legion_model.load_predictor(checkpoint, device)
    header: dict[str, Any] = {"model": predictor.name, "source": named}
    header |= {name: value for name, value in (("split", split), ("perturbation", perturb)) if value}
    start = time.monotonic()
    with prediction_file(target, header, batch_size) as file:
        if file.restarted:
            problems.add(
                "predictions.restarted",
                "an unfinished file of another model or other settings was there, and was begun anew",
                severity="info",
                file=str(target),
            )
        done = frozenset(file.finished)
        batches = predict_items(
            predictor, islice(items, limit), batch_size=batch_size, skip=done, change=change
        )
        where: dict[str, Item] | None = None if page is None else {}
        counts = _write(batches, done, total if limit is None else min(limit, total), file, problems, where)
        seconds = time.monotonic() - start
        if page is not None and where is not None:
            # Before the file takes its name, so that another run goes on here if the page cannot be written.
            source = ", ".join(each for each in (named, split, perturb) if each)
            _write_page(page, file.predictions(), predictor.name, source, where, change, page_images)
        written = file.complete()
    speed = round(counts["predicted"] / seconds, 2) if seconds else 0.0
    if as_json:
        shown = {"output": str(target), "model": predictor.name, "written": written, **counts}
        shown |= {} if page is None else {"page": str(page)}
        print_json({**shown, "images_per_second": speed, "problems": problems.to_json()})
    else:
        output().print(
            f"{written:,} predictions in {target} ({counts['predicted']:,} new "
            f"with {counts['regions']:,} regions, {speed:,.1f} images/s)",
            markup=False,
        )
        for name, what in (("resumed", "done before"), ("repeated", "second names of images (same bytes)")):
            if counts[name]:
                output().print(f"{counts[name]:,} {what}")
        if page is not None:
            output().print(f"look at it: {page}", markup=False)
        show_problems(problems)
    finish(problems)


def _write_page(
    page: Path,
    predictions: Iterable[Prediction],
    model: str,
    source: str,
    where: Mapping[str, Item],
    change: Change | None,
    most: int,
) -> None:
    """Write the page of some predictions. where: image id → what gives its picture."""
    from synthscars.files import atomic_file
    from synthscars.legion.findings_page import overview, pictures, to_page

    seen = overview(predictions, most)
    found = pictures(where, seen, change=change)
    with atomic_file(page) as file:
        for piece in to_page(model, source, seen, found):
            file.write(piece.encode())


def _write(
    batches: Iterable[list[Step]],
    done: Container[str],
    total: int,
    file: UnfinishedFile,
    problems: Problems,
    where: dict[str, Item] | None,
) -> dict[str, int]:
    """Write what every batch brings, and count it.

    done: ids of the images that an earlier run wrote. where: gets image id → the first item that is it.
    """
    from synthscars.legion.running import Known
    from synthscars.predictions import Prediction
    from synthscars.problems import Problem

    counts = {"images": 0, "predicted": 0, "resumed": 0, "repeated": 0, "failed": 0, "regions": 0}
    with _progress(total) as advance:
        for steps in batches:
            outcomes = [step.outcome for step in steps]
            predictions = [one for one in outcomes if isinstance(one, Prediction)]
            file.write(predictions)
            failed = [one for one in outcomes if isinstance(one, Problem)]
            problems.extend(failed)
            known = [one.image_id in done for one in outcomes if isinstance(one, Known)]
            if where is not None:
                for step in steps:
                    if not isinstance(step.outcome, Problem):
                        where.setdefault(step.outcome.image_id, step.item)
            counts["images"] += len(steps)
            counts["predicted"] += len(predictions)
            counts["failed"] += len(failed)
            counts["resumed"] += sum(known)
            counts["repeated"] += len(known) - sum(known)
            counts["regions"] += sum(len(prediction.regions) for prediction in predictions)
            advance(len(steps), len(predictions))
    return counts


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


def _perturbation(name: str) -> Change:
    """What `--perturb` does; the noise of an image depends on its id alone. Raises `UsageError`."""
    from synthscars.metrics import PERTURBATIONS, perturb
    from synthscars.problems import UsageError

    if name not in PERTURBATIONS:
        raise UsageError(f"there is no perturbation {name[:60]}", fix=f"there are {', '.join(PERTURBATIONS)}")
    return lambda image, image_id: perturb(image, name, seed=int(image_id[:16], 16))


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
