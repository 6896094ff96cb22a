"""`synthscars platform review`, `preannotate` and `guideline`: what people find in front of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from synthscars.cli.common import (
    console,
    finish,
    held,
    json_option,
    output,
    print_json,
    progress,
    show_problems,
    workspace_option,
)

if TYPE_CHECKING:
    from synthscars.workspace import Workspace

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_TARGET = click.Path(path_type=Path, dir_okay=False)


@click.command()
@workspace_option
@click.option("--records", type=_FILE, help="Records to look through; the newest pull if not given.")
@click.option(
    "--label-errors",
    type=_FILE,
    metavar="FILE",
    help="Also the images of likely label errors: verification/label_errors.jsonl of a release.",
)
@click.option("--most", type=click.IntRange(min=1), help="Of --label-errors, so many of the most suspicious.")
@click.option("--dry-run", is_flag=True, help="Only say how many images would be sent.")
@json_option
def review(
    workspace: Workspace,
    records: Path | None,
    label_errors: Path | None,
    most: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Give adjudicators the images that raters disagree about.

    With --label-errors also those whose labels `synthscars verify` suspects, and what it suspects. They go
    into a project of their own, with everybody's regions as candidates and what everybody said. What an
    adjudicator submits there becomes the final answer with the next pull. Running it again adds what is new,
    and renews what nobody has answered yet.

    \b
    Examples:
      synthscars platform pull
      synthscars platform review
      synthscars platform review --label-errors releases/1.0.0/verification/label_errors.jsonl --most 50
    """
    from synthscars.jsonl import read_records
    from synthscars.labelstudio.client import connect
    from synthscars.labelstudio.review import disputed, push_review
    from synthscars.labelstudio.service import find_companion
    from synthscars.problems import Problems

    problems = Problems()
    source = records or workspace.latest_records()
    notes = _suspicions(label_errors, most)
    min_iou = workspace.settings.consensus.min_iou
    found = disputed(read_records(source), min_iou=min_iou, suspected=notes)
    if left_out := len(notes.keys() - {record.image_id for record in found}):
        problems.add(
            "review.not_sent",
            f"{left_out} images of likely label errors are not sent: they have a final answer, or no record",
            severity="info",
            file=source.name,
            count=left_out,
        )
    client = connect(workspace)
    with held(workspace), progress("sending images", len(found)) as advance:
        result = push_review(
            client, workspace, found, problems, notes=notes, dry_run=dry_run, advance=advance
        )
    if as_json:
        print_json({**_fields(result), "problems": problems.to_json()})
    else:
        would = "would be sent" if dry_run else "sent"
        why = "disputed or suspected" if label_errors else "disputed"
        output().print(
            f"{result.images} images are {why}: {result.pushed} {would}, {result.renewed} renewed, "
            f"{result.present} as they were"
        )
        if result.project_id:
            companion = find_companion(workspace)  # where people come to
            url = companion.url if companion else client.url
            output().print(f"review them at {url}/projects/{result.project_id}/data", markup=False)
        show_problems(problems)
    finish(problems)


def _suspicions(path: Path | None, most: int | None) -> dict[str, list[str]]:
    """By image id, what is told of its likely label errors; empty without a list of them."""
    from synthscars.problems import UsageError
    from synthscars.shown import short
    from synthscars.verify.suspects import read_errors

    if path is None:
        if most is not None:
            raise UsageError("--most is about a list that is not given", fix="add --label-errors FILE")
        return {}
    notes: dict[str, list[str]] = {}
    for error in read_errors(path)[:most]:
        together = "Do mask and text belong together?"
        asked = together if error.channel == "match" else f"Is its {error.channel} right?"
        words = short(error.phrase or error.explanation, 80)
        notes.setdefault(error.image_id, []).append(f"likely label error {error.rank}: {words}. {asked}")
    return notes


@click.command(short_help="Put a model's predictions into the tasks.")
@click.argument("predictions", type=_FILE)
@workspace_option
@click.option("--model-version", default="", help="Name of the model; by default the one in the file.")
@click.option(
    "--uncertain-first",
    type=_TARGET,
    metavar="FILE",
    help="Also write how uncertain the model is about each image, for `assign --priority`.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@json_option
def preannotate(
    predictions: Path,
    workspace: Workspace,
    model_version: str,
    uncertain_first: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put what a model says (PREDICTIONS, a .jsonl file) into the tasks: outlines to correct, texts to edit.

    The file is what `synthscars legion predict` writes, or any model in that form. Nothing is answered for
    the annotator. Sending the same model version twice changes nothing.

    \b
    Examples:
      synthscars legion predict MODEL my-scars --output predictions.jsonl
      synthscars platform preannotate predictions.jsonl --uncertain-first priority.jsonl
      synthscars platform assign --priority priority.jsonl
    """
    from synthscars.labelstudio.assignment import assigned_projects
    from synthscars.labelstudio.client import connect
    from synthscars.labelstudio.preannotate import preannotate as put
    from synthscars.labelstudio.preannotate import uncertain_first as order
    from synthscars.labelstudio.preannotate import write_scores
    from synthscars.labelstudio.project import Project, ensure_project
    from synthscars.legion.label_studio import to_answer
    from synthscars.predictions import PredictionFile, read_predictions
    from synthscars.problems import Problems

    problems = Problems()
    client = connect(workspace)
    with PredictionFile(predictions, problems) as file, held(workspace):

        def say(image_id: str) -> dict[str, object] | None:
            found = file.get(image_id)
            if found is None:
                return None
            answer = to_answer(found)
            if answer.left_out:
                problems.add(
                    "prediction.no_outline",
                    f"{answer.left_out} of {len(found.regions)} regions have no outline that could be drawn",
                    severity="warning",
                    image=image_id,
                    count=answer.left_out,
                )
            told = {} if answer.score is None else {"score": answer.score}
            return {"result": answer.result, **told}

        ensure_project(client, workspace)
        projects = [
            Project(id=each.id, title=each.title)
            for each in assigned_projects(workspace)
            if each.kind != "review"
        ]
        name = model_version or str(file.header.get("model") or "") or predictions.stem
        with progress("projects", len(projects)) as advance:
            result = put(client, projects, say, name, dry_run=dry_run, advance=advance)
        if not len(file):
            problems.add("prediction.none", "there is no prediction in the file", file=predictions.name)
        elif not result.tasks:
            problems.add(
                "prediction.unknown_images",
                "no task shows one of these images",
                file=predictions.name,
                fix="predict the images of this workspace, and push them first: `synthscars platform push`",
            )
    if uncertain_first is not None:
        write_scores(uncertain_first, order(read_predictions(predictions, Problems()), problems))
        console().print(f"saved {uncertain_first}", markup=False)
    if as_json:
        print_json({**_fields(result), "problems": problems.to_json()})
    else:
        would = "would be sent" if dry_run else "sent"
        output().print(
            f"{result.model_version}: {result.tasks} tasks, {result.pushed} predictions {would}, "
            f"{result.present} were there already",
            markup=False,
        )
        show_problems(problems)
    finish(problems)


@click.command(short_help="Write the guideline with its examples.")
@click.option(
    "--output", "target", type=_TARGET, required=True, help="A file that ends with .html, .pdf or .md."
)
@json_option
def guideline(target: Path, as_json: bool) -> None:
    """Write the guideline that annotators see, with its examples: to read before, or on paper beside.

    Its pictures are drawn by the simulator. A .pdf is printed by Chromium, which must be installed; the
    pictures of an .md lie in a folder beside it.

    \b
    Examples:
      synthscars platform guideline --output guideline.pdf
      synthscars platform guideline --output guideline.html
    """
    from synthscars.labelstudio.guideline import write_guideline
    from synthscars.taxonomy import load_taxonomy

    write_guideline(load_taxonomy(), target)
    if as_json:
        print_json({"saved": str(target), "bytes": target.stat().st_size})
    else:
        output().print(f"saved {target}", markup=False)


def _fields(result: object) -> dict[str, object]:
    import msgspec

    fields = msgspec.to_builtins(result)
    assert isinstance(fields, dict)
    return fields
