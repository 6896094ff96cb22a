"""What every command shares: options, exit codes, how problems and progress are shown.

Results go to stdout, everything else to stderr, so that `--json` can be piped.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from synthscars.problems import Problems, SynthScarsError
from synthscars.shown import escape_json, visible

if TYPE_CHECKING:
    from rich.console import Console

    from synthscars.workspace import Workspace

_Command = TypeVar("_Command", bound=Callable[..., Any])

MAX_SHOWN = 10
"""Problems of one code that are printed to the terminal; `--json` has them all."""

_COLOURS = {"error": "red", "warning": "yellow", "info": "cyan"}
_NAMES = {"error": "error", "warning": "warning", "info": "note"}


def workspace_option(command: _Command) -> _Command:
    """Add `--workspace`; the command gets an opened `Workspace`."""
    return click.option(
        "-w",
        "--workspace",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(),
        show_default="this folder, or the nearest one above it that is a workspace",
        envvar="SYNTHSCARS_WORKSPACE",
        callback=lambda _context, _parameter, path: open_workspace(path),
        help="The workspace to work in.",
    )(command)


def workspace_folder_option(help: str) -> Callable[[_Command], _Command]:
    """Add `--workspace` where one need not be; the command gets the folder as `workspace: Path`, unopened."""
    return click.option(
        "-w",
        "--workspace",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(),
        show_default="this folder, or the nearest one above it that is a workspace",
        envvar="SYNTHSCARS_WORKSPACE",
        help=help,
    )


def json_option(command: _Command) -> _Command:
    """Add `--json`; the command gets `as_json: bool`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(command)


def open_workspace(path: Path) -> Workspace:
    """Open the workspace in `path` or in the nearest folder above it."""
    from synthscars.settings import CONFIG_NAME
    from synthscars.workspace import Workspace

    resolved = path.resolve()
    for folder in (resolved, *resolved.parents):
        if (folder / CONFIG_NAME).is_file():
            return Workspace.open(folder)
    return Workspace.open(path)  # raises the error that says what to do


@contextmanager
def held(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace for writing; whoever has to wait for another command is told for which."""
    from synthscars.labelstudio.locking import workspace_lock

    with workspace_lock(workspace, say):
        yield


def say(line: str) -> None:
    """Tell what is going on, beside the results."""
    console().print(line, markup=False)


def console() -> Console:
    """The console for everything that is not a result (stderr)."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def output() -> Console:
    """The console for results (stdout)."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a result as indented JSON on stdout, with `?` for what is not UTF-8 in names of files."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        from synthscars.converters.reading import plain

        encoded = msgspec.json.encode(plain(msgspec.to_builtins(value)))
    click.echo(escape_json(msgspec.json.format(encoded, indent=2).decode()))


@contextmanager
def progress(description: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a bar with counts on stderr while the block runs; gives `advance(count)`."""
    with stages() as stage:
        yield stage(description, total)


@contextmanager
def stages() -> Iterator[Callable[[str, int | None], Callable[[int], None]]]:
    """Show a bar with counts on stderr for every stage of a long work; gives what makes the next one."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(), disable=not sys.stderr.isatty()) as bar:

        def stage(name: str, total: int | None) -> Callable[[int], None]:
            task = bar.add_task(name, total=total)
            return lambda count: bar.advance(task, count)

        yield stage


def show_problems(problems: Problems) -> None:
    """Print the problems of a run on stderr, errors first, and how many there are.

    Of many problems with one code only the first are shown, so that one flood does not hide the rest.
    """
    from rich.text import Text

    screen = console()
    shown: Counter[str] = Counter()
    for problem in problems.by_severity():
        shown[problem.code] += 1
        if shown[problem.code] > MAX_SHOWN:
            continue
        line = Text(problem.severity, style=_COLOURS[problem.severity])
        line.append(f" {problem.code}", style="bold")
        # The first digits of an image id are enough for a person; --json has all of them.
        image = problem.image[:12] if re.fullmatch("[0-9a-f]{64}", problem.image) else problem.image
        where = msgspec.structs.replace(problem, image=image).where
        what = f"{where}: {problem.what}" if where else problem.what
        line.append(f"  {visible(what)}", style="default")
        if problem.fix:
            line.append(f" → {visible(problem.fix)}", style="dim")
        screen.print(line)
    for code, count in shown.items():
        if count > MAX_SHOWN:
            screen.print(f"… and {count - MAX_SHOWN} more {code}; --json lists them all")
    if len(problems):
        counts = problems.counts().items()
        screen.print(", ".join(f"{count} {_NAMES[name]}{'s' * (count != 1)}" for name, count in counts))


def finish(problems: Problems) -> None:
    """End the command: exit code 1 if an item had to be set aside, else 0."""
    if problems.failed:
        sys.exit(1)


class Command(click.Group):
    """A group whose commands turn `SynthScarsError` into a message and an exit code, without a traceback."""

    def invoke(self, context: click.Context) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(context)
        except SynthScarsError as error:
            fail(error.message, error.fix, error.exit_code)
        except KeyboardInterrupt:
            fail("interrupted", "run the same command again; nothing is left half done", 130)
        except BrokenPipeError:
            raise  # whoever read the output has seen enough; click ends quietly
        except OSError as error:
            # The disk is full, a folder is read-only, a name is too long: the reader can mend it.
            fail(str(error), "mend the cause (a full disk? a missing permission?) and run it again", 3)


def fail(message: str, fix: str, exit_code: int) -> None:
    """Print an error and end with its exit code."""
    from rich.text import Text

    line = Text("error: ", style="bold red").append(visible(message), style="default")
    if fix:
        line.append(f"\n  → {visible(fix)}", style="dim")
    console().print(line)
    sys.exit(exit_code)
