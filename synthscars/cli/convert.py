"""`synthscars convert`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from synthscars.cli.common import finish, json_option, output, print_json, progress, show_problems
from synthscars.converters.formats import FORMATS

if TYPE_CHECKING:
    from synthscars.records import ImageRecord

_NAMES = click.Choice(list(FORMATS))
_LIST = "\n".join(f"  {each.name:<16} {each.what}" for each in FORMATS.values())


@click.command(
    help=f"""Read SRC in one format and write it to DST in another.

    The format of SRC is recognised by its content, that of DST by its name, where they tell. Whatever is
    wrong with SRC is reported with file, image and region, and everything else is converted; what the format
    of DST cannot hold is counted. DST must not exist yet.

    \b
    Formats:
    {_LIST.replace(chr(10), chr(10) + "    ")}

    \b
    Examples:
      synthscars convert SynthScars/ published.jsonl.zst
      synthscars convert test.json test.jsonl --images SynthScars/test/images
      synthscars convert export.json SynthScars/ --to synthscars-json --images photos/
    """
)
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path, exists=True))
@click.argument("target", metavar="DST", type=click.Path(path_type=Path))
@click.option("--from", "from_", type=_NAMES, help="Format of SRC, if it cannot be told.")
@click.option("--to", type=_NAMES, help="Format of DST, if its name does not tell.")
@click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the images, for formats that need them.",
)
@json_option
def convert(
    source: Path, target: Path, from_: str | None, to: str | None, images: Path | None, as_json: bool
) -> None:
    """Read SRC in one format and write it to DST in another."""
    from synthscars.converters import formats
    from synthscars.problems import Problems, UsageError

    reader = formats.format_named(from_) if from_ else formats.detect(source)
    writer = formats.format_named(to) if to else formats.by_suffix(target)
    if target.exists():
        raise UsageError(f"{target} exists already", fix="choose another name, or remove it first")
    if images and not (reader.takes_images or writer.takes_images):
        raise UsageError("neither format takes images", fix="leave --images out")
    problems = Problems()
    counts: Counter[str] = Counter()
    # A file that is written alone has no place for images.
    copies = writer.takes_images and target.suffix not in writer.suffixes
    find = _by_id([images] if images else [source] if source.is_dir() else []) if copies else None
    with progress("Converting") as advance:
        records = formats.read(source, problems, reader.name, images=images)
        counted = _counted(records, counts, advance)
        written = formats.write(counted, target, problems, writer.name, images=find)
    result = {"source": str(source), "from": reader.name, "target": str(target), "to": writer.name}
    numbers = {"images": counts["images"], "artifacts": counts["artifacts"], "written": written}
    if as_json:
        print_json({**result, **numbers, "problems": problems.to_json()})
    else:
        show_problems(problems)
        output().print(
            f"{written} of {counts['images']} images, {counts['artifacts']} artifacts: "
            f"{source} ({reader.name}) → {target} ({writer.name})",
            markup=False,
        )
    finish(problems)


def _counted(
    records: Iterable[ImageRecord], counts: Counter[str], advance: Callable[[int], None]
) -> Iterator[ImageRecord]:
    for record in records:
        counts["images"] += 1
        counts["artifacts"] += len(record.artifacts)
        advance(1)
        yield record


def _by_id(folders: list[Path]) -> Callable[[str], Path | None]:
    """Find image files by their sha256; the folders are read only when the first image is wanted."""
    from synthscars.images import SUFFIXES, sha256

    found: dict[str, Path] = {}
    waiting = list(folders)

    def find(image_id: str) -> Path | None:
        while waiting:
            for path in sorted(waiting.pop().rglob("*")):
                if path.suffix.lower() in {*SUFFIXES.values(), ".jpeg"} and path.is_file():
                    found.setdefault(sha256(path.read_bytes()), path)
        return found.get(image_id)

    return find
