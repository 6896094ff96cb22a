"""`synthscars platform assign` and `reopen`: who looks at which image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from synthscars.cli.common import (
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
    from synthscars.labelstudio.assignment import Wish
    from synthscars.labelstudio.client import Client
    from synthscars.labelstudio.planning import Outline
    from synthscars.labelstudio.status import RaterStatus
    from synthscars.workspace import Workspace

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(short_help="Give the images out to annotators.")
@workspace_option
@click.option(
    "--rater", "raters", multiple=True, metavar="EMAIL", help="Only to these; by default all annotators."
)
@click.option("--overlap-share", type=float, help="Share of the images that several raters get, 0 to 1.")
@click.option("--overlap-raters", type=int, help="How many raters those get; the others get one.")
@click.option("--batch-size", type=int, help="Tasks of a batch, which is a project of its own.")
@click.option("--gold", type=_FILE, help="Records with known answers to mix in; kept for later runs.")
@click.option("--gold-share", type=float, help="Share of every queue that is such images, 0 to 0.5.")
@click.option("--priority", type=_FILE, help="Scores of images (.jsonl, .csv): higher ones come first.")
@click.option("--limit", type=click.IntRange(min=0), help="Take in so many new images at most.")
@click.option("--seed", type=int, help="Of what is drawn by lot.")
@click.option("--dry-run", is_flag=True, help="Only say what would be assigned.")
@click.option("--status", "only_status", is_flag=True, help="Only say how far everybody is.")
@json_option
def assign(
    workspace: Workspace,
    raters: tuple[str, ...],
    overlap_share: float | None,
    overlap_raters: int | None,
    batch_size: int | None,
    gold: Path | None,
    gold_share: float | None,
    priority: Path | None,
    limit: int | None,
    seed: int | None,
    dry_run: bool,
    only_status: bool,
    as_json: bool,
) -> None:
    """Give every image that nobody has yet to one or several annotators.

    Each rater gets a queue of their own, in projects of --batch-size tasks. What is assigned stays assigned:
    run it again when there are new images or new people. What an option does not say is as in the run before.
    A run that was interrupted is gone on with.

    \b
    Examples:
      synthscars platform assign --overlap-share 0.2 --overlap-raters 3
      synthscars platform assign --gold known.jsonl --gold-share 0.05 --dry-run
      synthscars platform assign --rater ada@example.org --priority disagreement.csv --limit 200
      synthscars platform assign --status
    """
    from synthscars.labelstudio.assignment import read_assignment, write_assignment
    from synthscars.labelstudio.client import connect
    from synthscars.labelstudio.material import (
        annotators,
        keep_known_answers,
        known_answers,
        read_known_answers,
        read_scores,
    )
    from synthscars.labelstudio.planning import Candidate, extend, outline
    from synthscars.labelstudio.queues import fulfil
    from synthscars.problems import Problems

    if only_status:
        _show_status(workspace, as_json)
        return
    problems = Problems()
    client = None if dry_run else connect(workspace)
    with held(workspace):
        before = read_assignment(workspace)
        wish = _changed(
            before.wish,
            overlap_share=overlap_share,
            overlap_raters=overlap_raters,
            gold_share=gold_share,
            batch_size=batch_size,
            seed=seed,
        )
        names = _accounts(client, raters) or annotators(workspace)
        images = list(workspace.images())
        known = known_answers(workspace)
        if gold is not None:
            known |= read_known_answers(gold, images, problems)
        plan = extend(
            before,
            [Candidate(image.image_id, image.group_id) for image in images],
            names,
            wish,
            gold=known,
            scores=read_scores(priority, images, problems) if priority else None,
            limit=limit,
        )
        found = outline(before, plan, names, problems)
        if client is not None:
            if gold is not None:
                keep_known_answers(workspace, known)
            write_assignment(workspace, plan)
            with progress("giving out tasks", sum(share.tasks for share in found.raters)) as advance:
                fulfil(client, workspace, plan, problems, advance=advance)
    if as_json:
        print_json({**_fields(found), "dry_run": dry_run, "problems": problems.to_json()})
    else:
        _show(found, dry_run)
        show_problems(problems)
    finish(problems)


@click.command(short_help="Bring an IMAGE back to those who answered it.")
@click.argument("image")
@click.option(
    "--rater", "raters", multiple=True, metavar="EMAIL", help="By default everybody who has the image."
)
@workspace_option
@json_option
def reopen(workspace: Workspace, image: str, raters: tuple[str, ...], as_json: bool) -> None:
    """Put an IMAGE back into the queues of those who answered it.

    IMAGE is a file name or the first digits of an image id. It comes as a new task in a project called
    "again", in which every rater finds their own earlier answer as a draft, to be changed and submitted. What
    was answered before is kept, and the newest answer of a rater counts. With --rater it may also go to
    somebody who never had it.

    \b
    Examples:
      synthscars platform reopen 0049942e5c1a
      synthscars platform reopen portrait-17.png --rater ada@example.org
    """
    from synthscars.labelstudio.adjudicate import find_image
    from synthscars.labelstudio.client import connect
    from synthscars.labelstudio.reopening import reopen_image
    from synthscars.problems import Problems

    problems = Problems()
    found = find_image(workspace, image)
    client = connect(workspace)
    with held(workspace):
        result = reopen_image(client, workspace, found, _accounts(client, raters), problems)
    if as_json:
        print_json({**_fields(result), "problems": problems.to_json()})
    else:
        for rater in result.raters:
            draft = ", with their earlier answer as a draft" if rater in result.offered else ""
            output().print(f"{result.file_name} is in the queue of {rater} again{draft}", markup=False)
        for rater in result.open_already:
            output().print(
                f"{rater} has not answered {result.file_name} yet: nothing to reopen", markup=False
            )
        show_problems(problems)
    finish(problems)


def _accounts(client: Client | None, names: Sequence[str]) -> list[str]:
    """Addresses as the server spells them. Raises `UsageError` for one that has no account."""
    from synthscars.problems import UsageError

    wanted = [name.lower() for name in names]
    if client is None or not wanted:
        return wanted
    there = {str(user["email"]).lower() for user in client.request("GET", "/api/users/")}
    for name in wanted:
        if name not in there:
            raise UsageError(
                f"{name} has no account", fix=f"make one with `synthscars platform users add {name}`"
            )
    return wanted


def _changed(wish: Wish, **given: float | int | None) -> Wish:
    import msgspec

    return msgspec.structs.replace(wish, **{key: value for key, value in given.items() if value is not None})


def _show(found: Outline, dry_run: bool) -> None:
    screen = output()
    would = "would be given" if dry_run else "given"
    screen.print(
        f"{found.new_images} new images {would} out; "
        f"of all {found.images}, {found.several} have several raters"
    )
    width = max((len(share.rater) for share in found.raters), default=0)
    for share in found.raters:
        gold = f", {share.gold} with a known answer" if share.gold else ""
        tasks = f"{share.tasks} tasks ({share.new} new{gold}) in {share.batches} batches"
        screen.print(f"  {share.rater:{width}}  {tasks}", markup=False)


def _show_status(workspace: Workspace, as_json: bool) -> None:
    from synthscars.labelstudio.server import require
    from synthscars.labelstudio.status import platform_status

    require(workspace)
    status = platform_status(workspace)
    if as_json:
        print_json({"raters": status.raters})
    else:
        show_raters(status.raters)


def show_raters(raters: Sequence[RaterStatus]) -> None:
    """Print one line for each rater who has a queue."""
    screen = output()
    if not raters:
        screen.print("nobody has a queue yet; make them with `synthscars platform assign`", markup=False)
    width = max((len(each.rater) for each in raters), default=0)
    for each in raters:
        skipped = f", {each.skipped} skipped" if each.skipped else ""
        screen.print(
            f"  {each.rater:{width}}  {each.answered} of {each.tasks} tasks answered{skipped}, "
            f"{each.projects} projects",
            markup=False,
        )


def _fields(result: object) -> dict[str, object]:
    import msgspec

    fields = msgspec.to_builtins(result)
    assert isinstance(fields, dict)
    return fields
