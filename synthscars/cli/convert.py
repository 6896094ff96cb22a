"""`synthscars convert` and `synthscars formats`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from synthscars.cli.common import console, finish, json_option, output, print_json, progress, show_problems
from synthscars.converters.formats import FORMATS

if TYPE_CHECKING:
    from synthscars.problems import Problem, Problems

_READ = click.Choice([each.name for each in FORMATS.values() if each.reads])
_WRITTEN = click.Choice([each.name for each in FORMATS.values() if each.writes])
_LIST = "\n    ".join(f"  {each.name:<16} {each.what}" for each in FORMATS.values())


@click.command(
    help=f"""Read SRC in one format and write it to DST in another.

    The format of SRC is recognised by its content, that of DST by its name, where they tell. Whatever is
    wrong with SRC is reported with file, image and region, and everything else is converted; what the format
    of DST cannot hold is counted by field. DST must not exist yet.

    \b
    Formats (`synthscars formats` says what each can hold):
    {_LIST}

    \b
    Examples:
      synthscars convert SynthScars/ published.jsonl.zst
      synthscars convert export.json scars-coco/ --to coco --images photos/
      synthscars convert test.json test.jsonl --images SynthScars/test/images
      synthscars convert scars.jsonl.zst scars.csv --strict --expect generation --expect reviews
      synthscars convert scars.jsonl.zst scars.json --to coco --option segmentation=rle
      synthscars convert releases/1.0.0 raters.json --to coco --option raters=true
      synthscars convert scars.jsonl.zst yolo/ --to yolo --dry-run

    \b
    Exit codes: 1 if an item had to be set aside, if something was lost that the format promises to hold, or,
    with --strict, if anything was lost that --expect does not name.
    """
)
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path, exists=True))
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option("--from", "from_", metavar="FORMAT", type=_READ, help="Format of SRC, if it cannot be told.")
@click.option("--to", metavar="FORMAT", type=_WRITTEN, help="Format of DST, if its name does not tell.")
@click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the images, if they are not with SRC.",
)
@click.option(
    "--image-files",
    "how",
    type=click.Choice(["copy", "link", "embed", "none"]),
    help="What becomes of the image files: copied into DST, linked, put into the annotation files, or left "
    "alone.  [default: copy into a folder, leave alone beside a file]",
)
@click.option(
    "-o",
    "--option",
    "options",
    metavar="NAME=VALUE",
    multiple=True,
    help="A choice that the format of SRC or DST leaves, such as raters=true (a release: what every rater "
    "drew) or segmentation=rle (COCO); `synthscars formats FORMAT` lists them. Repeatable.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 if DST cannot hold everything.")
@click.option(
    "--expect", metavar="FIELD", multiple=True, help="A field that may be lost; implies --strict. Repeatable."
)
@click.option("--dry-run", is_flag=True, help="Read, report what would be lost, write nothing.")
@json_option
def convert(
    source: Path,
    target: Path,
    from_: str | None,
    to: str | None,
    images: Path | None,
    how: Any,
    options: tuple[str, ...],
    strict: bool,
    expect: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Read SRC in one format and write it to DST in another."""
    from synthscars.converters import formats
    from synthscars.converters.losses import check_fields, unexpected
    from synthscars.problems import Problems

    check_fields(expect)
    problems = Problems()
    with progress("Converting") as advance:
        done = formats.convert(
            source,
            target,
            problems,
            from_=from_,
            to=to,
            images=images,
            how=how,
            options=dict(_pair(each) for each in options),
            dry_run=dry_run,
            progress=advance,
        )
    if strict or expect:
        problems = unexpected(problems, expect)
    if as_json:
        result = msgspec.to_builtins(done)
        print_json({**result, "dry_run": dry_run, "problems": problems.to_json()})
    else:
        _show_losses(problems, done.to)
        show_problems(Problems(each for each in problems if not each.code.startswith("loss.")))
        would = "would become" if dry_run else "→"
        output().print(
            f"{done.written} of {done.images} images, {done.artifacts} artifacts: "
            f"{source} ({done.from_}) {would} {target} ({done.to})",
            markup=False,
        )
        if lost := sorted({field for each in problems if (field := _unexpected(each))}):
            console().print(f"not expected to be lost: {', '.join(lost)}", style="red")
    finish(problems)


def _unexpected(problem: Problem) -> str:
    """The field that was lost and should not have been, `""` if the problem is none of that."""
    lost = problem.severity == "error" and problem.code.startswith("loss.")
    return problem.code.removeprefix("loss.") if lost else ""


def _pair(option: str) -> tuple[str, str]:
    from synthscars.problems import UsageError

    name, equals, value = option.partition("=")
    if not equals:
        raise UsageError(f"--option {option}: it is not NAME=VALUE", fix="write it as segmentation=rle")
    return name, value


def _show_losses(problems: Problems, to: str) -> None:
    """Print what was lost as a table: field, how many, what."""
    from rich.table import Table

    losses: dict[tuple[str, str, str], tuple[int, str]] = {}
    for each in problems.by_severity():
        if each.code.startswith("loss."):
            what, _, examples = each.what.removeprefix(f"{each.count} ").partition("; for instance ")
            key = (each.severity, each.code.removeprefix("loss."), what)
            count, first = losses.get(key, (0, examples.split(", ")[0] or each.image[:12]))
            losses[key] = (count + each.count, first)
    if not losses:
        return
    table = Table(title=f"Not held by {to}", title_justify="left", box=None, pad_edge=False)
    table.add_column("field")
    table.add_column("count", justify="right")
    table.add_column("what", overflow="fold")
    table.add_column("for instance", overflow="fold")
    styles = {"error": "red", "warning": "yellow", "info": "dim"}
    for (severity, field, what), (count, first) in losses.items():
        table.add_row(field, str(count), what, first, style=styles[severity])
    console().print(table)


@click.command()
@click.argument("name", metavar="[FORMAT]", required=False, type=click.Choice(list(FORMATS)))
@click.option("--markdown", is_flag=True, help="Print the table as in docs/formats.md.")
@json_option
def formats(name: str | None, markdown: bool, as_json: bool) -> None:
    """List the formats and what each cannot hold, or tell all about one FORMAT.

    In the list, `r` is read and `w` is written.

    \b
    Examples:
      synthscars formats
      synthscars formats coco
      synthscars formats --json | jq '.[] | select(.writes) | .name'
    """
    from synthscars.converters.table import as_json as rows
    from synthscars.converters.table import as_markdown, as_rich, details

    if as_json:
        print_json([row for row in rows() if name in (None, row["name"])])
    elif markdown:
        click.echo(as_markdown(), nl=False)
    elif name:
        output().print(details(FORMATS[name]), markup=False)
    else:
        output().print(as_rich())
