"""`synthscars platform`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from synthscars.cli.common import (
    finish,
    held,
    json_option,
    output,
    print_json,
    progress,
    say,
    show_problems,
    workspace_option,
)
from synthscars.cli.platform_assign import assign, reopen, show_raters
from synthscars.cli.platform_backup import backup, restore
from synthscars.cli.platform_review import changes, gold
from synthscars.cli.platform_users import users
from synthscars.cli.platform_views import guideline, preannotate, review

if TYPE_CHECKING:
    from synthscars.workspace import Workspace


@click.group()
def platform() -> None:
    """Run Label Studio, send it tasks, fetch annotations.

    Everything listens on this machine only (127.0.0.1) unless `up` is told otherwise, and its data are in the
    workspace's platform/ folder.

    \b
    Examples:
      synthscars platform up       # the first time, this also installs Label Studio
      synthscars platform push
      synthscars platform users invite ada@example.org
      synthscars platform assign --overlap-share 0.2 --overlap-raters 3
      synthscars platform pull
      synthscars platform down
    """


platform.add_command(backup)
platform.add_command(restore)
platform.add_command(assign)
platform.add_command(reopen)
platform.add_command(gold)
platform.add_command(changes)
platform.add_command(review)
platform.add_command(preannotate)
platform.add_command(users)
platform.add_command(guideline)


@platform.command(short_help="Start Label Studio and the companion before it.")
@workspace_option
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Preferred port; the workspace's setting if not given."
)
@click.option("--host", default="", help="Address to listen at, if not this machine alone (127.0.0.1).")
@click.option(
    "--public-url", default="", metavar="URL", help="https address of the proxy through which people come."
)
@json_option
def up(workspace: Workspace, port: int | None, host: str, public_url: str, as_json: bool) -> None:
    """Start Label Studio and, before it, the companion that people come to; prepare the project.

    The first time, Label Studio is installed into an environment of its own in the user's cache folder (name
    another one in SYNTHSCARS_LABEL_STUDIO_ENV), and an account is made; its password is in
    platform/credentials.json. What ended is started again, what runs is left alone.

    \b
    Examples:
      synthscars platform up --port 8090
      synthscars platform up --public-url https://scars.example.org
    """
    from synthscars.labelstudio.client import connect
    from synthscars.labelstudio.locking import platform_lock
    from synthscars.labelstudio.project import ensure_project, refresh_webhooks
    from synthscars.labelstudio.queues import refresh
    from synthscars.labelstudio.server import start
    from synthscars.labelstudio.service import plan_companion, start_companion
    from synthscars.labelstudio.status import platform_status

    with platform_lock(workspace):
        companion = plan_companion(workspace, say, port=port, host=host, public_url=public_url)
        _, started = start(workspace, say, 0, companion.public_url)
        client = connect(workspace)
        with held(workspace):
            ensure_project(client, workspace)
            refresh(client, workspace)
        companion, begun = start_companion(workspace, companion, say)
        refresh_webhooks(client, workspace)
    status = platform_status(workspace)
    if as_json:
        print_json(status)
        return
    screen = output()
    state = "runs" if started or begun else "was already running"
    screen.print(f"The platform {state} at {companion.url}", markup=False)
    screen.print(f"  project   {status.project_url}", markup=False)
    screen.print(f"  dashboard {companion.url}/companion/dashboard", markup=False)
    screen.print(f"  account   {status.account}, password in {status.secrets}", markup=False)


@platform.command()
@workspace_option
@json_option
def down(workspace: Workspace, as_json: bool) -> None:
    """Stop the companion and Label Studio. Nothing is lost; `up` starts them again.

    \b
    Example:
      synthscars platform down
    """
    from synthscars.labelstudio.locking import platform_lock
    from synthscars.labelstudio.server import stop
    from synthscars.labelstudio.service import stop_companion

    with platform_lock(workspace):
        companion = stop_companion(workspace)
        stopped = stop(workspace) or companion
    if as_json:
        print_json({"stopped": stopped})
    else:
        output().print("The platform is stopped" if stopped else "The platform was not running")


@platform.command()
@workspace_option
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@json_option
def push(workspace: Workspace, dry_run: bool, as_json: bool) -> None:
    """Make a task of every image that has none yet.

    Annotators see the picture, not the prompt, the generator or the file's name. Pushing twice changes
    nothing.

    \b
    Example:
      synthscars platform push --dry-run
    """
    from synthscars.labelstudio.client import connect
    from synthscars.labelstudio.project import ensure_project
    from synthscars.labelstudio.push import push as push_images
    from synthscars.problems import Problems

    problems = Problems()
    client = connect(workspace)
    with held(workspace):
        project = ensure_project(client, workspace)
        total = sum(1 for _ in workspace.images())
        with progress("sending images", total) as advance:
            result = push_images(client, project, workspace, problems, dry_run=dry_run, advance=advance)
    if as_json:
        print_json({**_fields(result), "problems": problems.to_json()})
    else:
        would = "would be sent" if dry_run else "sent"
        output().print(
            f"{result.pushed} of {result.images} images {would}, {result.present} were there already"
        )
        if result.removed:
            output().print(f"{result.removed} second tasks of the same image removed")
        show_problems(problems)
    finish(problems)


@platform.command(short_help="Fetch all answers, and read them into records.")
@workspace_option
@click.option("--full", is_flag=True, help="Fetch also what seems to be as it was.")
@json_option
def pull(workspace: Workspace, full: bool, as_json: bool) -> None:
    """Fetch all answers: the raw export into exports/, the records read from it into records/.

    Only projects in which something changed are fetched. Answers that were edited or deleted on the server
    since the last pull are reported with task, image and rater. Regions that cannot be read are reported with
    task, image and region; everything else is used. Nothing on the server is changed.

    \b
    Example:
      synthscars platform pull --json
    """
    from synthscars.labelstudio.assignment import assigned_projects
    from synthscars.labelstudio.client import connect
    from synthscars.labelstudio.project import find_project
    from synthscars.labelstudio.pull import pull as pull_answers
    from synthscars.labelstudio.settling import settle
    from synthscars.problems import PlatformError, Problems

    problems = Problems()
    client = connect(workspace)
    # Not `ensure_project`: answers must come out also where the server refuses today's interface.
    project = find_project(client, workspace)
    queues = assigned_projects(workspace)
    if project is None and not queues:
        raise PlatformError(
            "the workspace has no project in Label Studio", fix="make it with `synthscars platform push`"
        )
    with held(workspace), progress("fetching projects", max(len(queues), 1)) as advance:
        settled = settle(client, workspace)
        result = pull_answers(client, project, workspace, problems, full=full, advance=advance)
    if as_json:
        print_json({**_fields(result), "settled": settled, "problems": problems.to_json()})
    else:
        if settled:
            output().print(f"{settled} images decided by adjudicators since the last pull")
        what = "new" if result.is_new else "nothing new since"
        statuses = ", ".join(f"{count} {status}" for status, count in result.statuses.items())
        output().print(f"{what}: exports/{result.export} → records/{result.records}", markup=False)
        output().print(
            f"{result.images} images ({statuses}), {result.artifacts} regions by {result.raters} raters",
            markup=False,
        )
        show_problems(problems)
    finish(problems)


@platform.command(short_help="Say whether the platform runs, and how far it is.")
@workspace_option
@json_option
def status(workspace: Workspace, as_json: bool) -> None:
    """Say whether Label Studio runs, where, and how far the annotators are.

    \b
    Example:
      synthscars platform status
    """
    from synthscars.labelstudio.status import platform_status

    found = platform_status(workspace)
    if as_json:
        print_json(found)
        return
    screen = output()
    if not found.running:
        screen.print("Label Studio is not running; start it with `synthscars platform up`", markup=False)
        return
    if not found.companion:
        screen.print("the companion is not running; start it with `synthscars platform up`", markup=False)
    for name, value in (
        ("url", found.url),
        ("project", f"{found.project}, {found.project_url}"),
        ("tasks", f"{found.tasks} in {found.projects} projects, {found.started} of them with answers"),
        ("answers", f"{found.annotations} annotations, {found.skipped} skipped"),
        ("account", f"{found.account}, password in {found.secrets}"),
        ("people", ", ".join(found.people)),
        ("log", found.log),
    ):
        screen.print(f"{name:9}{value}", markup=False)
    if found.raters:
        show_raters(found.raters)


def _fields(result: object) -> dict[str, object]:
    import msgspec

    fields = msgspec.to_builtins(result)
    assert isinstance(fields, dict)
    return fields
