"""`synthscars import`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from click.core import ParameterSource

from synthscars.cli.common import (
    console,
    finish,
    json_option,
    open_workspace,
    output,
    print_json,
    progress,
    show_problems,
)

if TYPE_CHECKING:
    from synthscars.problems import Problem, Problems, Severity
    from synthscars.published import ImportReport
    from synthscars.workspace import Workspace

_DONE = {
    "picture.twin": "both kept, in one group",
    "picture.annotated_again": "kept as several raters' answers",
    "picture.train_test": "kept, in one group; a release leaves the one outside test out",
    "polygon.rounding": "kept: within the tolerance",
    "polygon.outside": "kept; a release cuts it off at the edge",
    "polygon.crosses_itself": "kept; look at it",
    "explanation.empty": "kept without explanation",
    "phrase.empty": "kept without phrase",
    "phrase.not_in_caption": "kept; LEGION's loader drops it",
    "phrase.repeated": "kept; LEGION's loader confuses them",
    "caption.line_break": "mended; the original is in extra",
    "caption.not_in_grammar": "kept word for word",
    "bbox.missing": "made anew when needed",
    "image.missing": "annotation kept, without a size",
    "image.not_annotated": "not in the records",
    "counts.paper": "nothing to do",
    "counts.not_published": "nothing to do",
    "counts.differ": "look at it",
    "id.repeated": "both kept",
}
"""What becomes of a defect, by its code."""


class _Defect(msgspec.Struct, frozen=True):
    """All problems of one code and severity."""

    code: str
    severity: Severity
    count: int
    example: str
    done: str


@click.command("import")
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path, exists=True))
@click.argument("target", metavar="[DST]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-w",
    "--workspace",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="SYNTHSCARS_WORKSPACE",
    show_default="this folder, or the nearest one above it that is a workspace",
    help="The workspace to import into, if there is no DST.",
)
@click.option(
    "--final",
    metavar="ID",
    multiple=True,
    help="Of several annotations of one picture, the one that counts (317, train/317). Repeatable.",
)
@click.option("--license", default="", help="Licence of the images, for instance CC-BY-4.0.")
@click.option("--workers", type=click.IntRange(min=1), help="Threads; one per core if not given.")
@click.option("--dry-run", is_flag=True, help="Look at everything, report, write nothing.")
@json_option
def import_(
    source: Path,
    target: Path | None,
    folder: Path | None,
    final: tuple[str, ...],
    license: str,
    workers: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take the published SynthScars dataset, with all its defects found.

    SRC is the official folder (train/ and test/ in it), one of its splits, or one annotation file. Its images
    go into the workspace, its records into imports/ there; with DST, only records are written, to a .jsonl or
    .jsonl.zst file. Every defect is reported by its code with what was done. Nothing is invented: what cannot
    be used is set aside, what is doubtful is kept.

    \b
    Pictures that are there twice:
      one file annotated twice          becomes one record with several raters' answers
      one picture in two files          both keep their record, in one group
      a train picture that is in test   is left out of a release, test stays as it is

    \b
    Examples:
      synthscars import SynthScars/ --dry-run          # what is wrong with it?
      synthscars import SynthScars/ -w my-scars        # images and records into a workspace
      synthscars import SynthScars/ scars.jsonl.zst    # records alone
      synthscars import SynthScars/ --json | jq '.defects'

    \b
    Exit codes: 1 if a region, an annotation or an image had to be set aside.
    """
    import warnings

    from synthscars.problems import Problems, UsageError
    from synthscars.published import import_published

    context = click.get_current_context()
    if target and context.get_parameter_source("folder") is ParameterSource.COMMANDLINE:
        raise UsageError(f"both {target} and the workspace {folder} are given", fix="leave one out")
    if target and not target.name.endswith((".jsonl", ".jsonl.zst")):
        raise UsageError(f"{target} is no name for records", fix="end it with .jsonl or .jsonl.zst")
    if target and target.exists() and not dry_run:
        raise UsageError(f"{target} exists already", fix="choose another name, or remove it first")
    if source.suffix == ".zip":
        raise UsageError(f"{source} is an archive", fix="unpack it and name the folder")
    workspace = None if target else _workspace(folder, needed=not dry_run)
    warnings.filterwarnings("ignore", module="PIL")
    problems = Problems()
    with ExitStack() as stack:

        def bar(what: str, total: int) -> Callable[[int], None]:
            stack.close()
            return stack.enter_context(progress(what, total))

        report = import_published(
            source,
            problems,
            workspace=workspace,
            target=target,
            final=final,
            license=license,
            dry_run=dry_run,
            workers=workers,
            progress=bar,
        )
    defects = _defects(problems)
    if as_json:
        print_json(
            {
                "report": report,
                "dry_run": dry_run,
                "defects": defects,
                "problems": problems.to_json(),
            }
        )
    else:
        _show_counts(report)
        _show_defects(defects)
        show_problems(Problems(problem for problem in problems if problem.severity == "error"))
        _show_end(report, workspace.root if workspace else None)
    finish(problems)


def _workspace(folder: Path | None, *, needed: bool) -> Workspace | None:
    """The workspace to import into. To look what is wrong with the files, none is needed."""
    from synthscars.problems import WorkspaceError

    try:
        return open_workspace(folder or Path())
    except WorkspaceError:
        if needed or folder is not None:
            raise
        return None


def _defects(problems: Problems) -> list[_Defect]:
    groups: dict[tuple[str, Severity], list[Problem]] = {}
    for problem in problems.by_severity():
        groups.setdefault((problem.code, problem.severity), []).append(problem)
    otherwise = {"error": "set aside", "warning": "kept", "info": ""}
    return [
        _Defect(
            code,
            severity,
            sum(problem.count for problem in found),
            _example(found[0]),
            "set aside" if severity == "error" else _DONE.get(code, otherwise[severity]),
        )
        for (code, severity), found in groups.items()
    ]


def _example(problem: Problem) -> str:
    # What was seen tells more than where, but for problems that say the same everywhere.
    where = ", ".join(part for part in (Path(problem.file).stem, problem.image[:12], problem.region) if part)
    return f"{where}: {problem.what}" if where else problem.what


def _show_counts(report: ImportReport) -> None:
    from rich.markup import escape
    from rich.table import Table

    rows = (
        ("annotations", "annotations"),
        ("file_names", "file names"),
        ("images", "different files"),
        ("pictures", "different pictures"),
        ("annotated_again", "pictures annotated several times"),
        ("refs", "refs"),
        ("artifacts", "artifacts that can be used"),
    )
    table = Table("", *map(escape, report.splits), box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, what in rows:
        table.add_row(what, *(f"{getattr(counts, name):,}" for counts in report.splits.values()))
    if any(counts.paper for counts in report.splits.values()):
        papers = (counts.paper for counts in report.splits.values())
        table.add_row("instances in the paper", *("" if paper is None else f"{paper:,}" for paper in papers))
    output().print(table)


def _show_defects(defects: list[_Defect]) -> None:
    from rich.markup import escape
    from rich.table import Table

    if not defects:
        output().print("no defects")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("defect", no_wrap=True)
    table.add_column("count", justify="right")
    table.add_column("what was done", overflow="fold", max_width=36)
    table.add_column("example", overflow="fold")
    styles = {"error": "red", "warning": "yellow", "info": "cyan"}
    for each in defects:
        style = styles[each.severity]
        code = f"[{style}]{each.code}[/]"
        table.add_row(code, f"{each.count:,}", each.done, escape(each.example))
    output().print()
    output().print(table)
    console().print("--json lists every one with file, image and region", style="dim")


def _show_end(report: ImportReport, workspace: Path | None) -> None:
    would = "" if report.records else "would become "
    where = f" in {report.records}" if report.records else "; nothing was written"
    output().print()
    output().print(
        f"{would}{report.images:,} records with {report.artifacts:,} artifacts{where}", markup=False
    )
    if report.records and workspace:
        command = [
            "synthscars",
            "release",
            "build",
            "0.1.0",
            "-w",
            str(workspace),
            "--records",
            report.records,
        ]
        console().print(f"next: {shlex.join(command)}", markup=False)
