"""The formats by name: what each can hold, which module has it, and how to recognise it.

A module of a format has `read(source, problems) -> Iterator[ImageRecord]`,
`write(records, target, problems) -> int` and `CAPABILITIES`; with `takes_images`, `read` also takes the
folder of the images and `write` a function from an image id to its file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from synthscars.problems import FormatError, Problems, UsageError
from synthscars.records import ImageRecord

_HEAD = 16 * 1024 * 1024
"""Characters that are read to recognise a file: the first item of any list that is worth converting."""


class Format(NamedTuple):
    """One format.

    first: whether the first item of a JSON list is one of its own. needs_size: it cannot hold an image whose
    size in pixels is not known.
    """

    name: str
    what: str
    module: str
    suffixes: tuple[str, ...]
    folder: bool = False
    takes_images: bool = False
    needs_size: bool = False
    first: Callable[[Any], bool] = lambda _: False

    def capabilities(self) -> str:
        """What the format holds and what it cannot."""
        return str(import_module(self.module).CAPABILITIES)


def _is_annotation(item: Any) -> bool:
    if not isinstance(item, dict) or len(item) != 1:
        return False
    (entry,) = item.values()
    return isinstance(entry, dict) and "img_file_name" in entry


def _is_task(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("data"), dict)


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format(
            "records",
            "synthscars' own records, one JSON object a line; nothing is lost",
            "synthscars.converters.records_file",
            (".jsonl", ".jsonl.zst"),
        ),
        Format(
            "labelstudio",
            "raw JSON of Label Studio: exports, and tasks to import",
            "synthscars.converters.labelstudio",
            (".json", ".json.zst"),
            needs_size=True,
            first=_is_task,
        ),
        Format(
            "synthscars-json",
            "the published SynthScars layout: a folder, or one annotation file",
            "synthscars.converters.synthscars_json",
            (".json",),
            folder=True,
            takes_images=True,
            first=_is_annotation,
        ),
    )
}


def format_named(name: str) -> Format:
    """The format of that name. Raises `UsageError` naming those there are."""
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}", fix=f"formats: {', '.join(FORMATS)}")
    return FORMATS[name]


def read(
    source: Path, problems: Problems, name: str | None = None, *, images: Path | None = None
) -> Iterator[ImageRecord]:
    """Read any known format, recognised by its content unless named.

    Raises `UsageError` if the format cannot be told or takes no folder of images, `FormatError` if the source
    cannot be read.
    """
    chosen = format_named(name) if name else detect(source)
    module = import_module(chosen.module)
    found: Iterator[ImageRecord]
    if chosen.takes_images:
        found = module.read(source, problems, images=images)
    else:
        found = module.read(source, problems)
    return found


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    name: str | None = None,
    *,
    images: Callable[[str], Path | None] | None = None,
) -> int:
    """Write any known format, told by the name of the target unless named; returns how many images."""
    chosen = format_named(name) if name else by_suffix(target)
    module = import_module(chosen.module)
    if chosen.needs_size:
        records = _with_size(records, target, problems)
    if chosen.takes_images:
        return int(module.write(records, target, problems, images=images))
    return int(module.write(records, target, problems))


def _with_size(records: Iterable[ImageRecord], target: Path, problems: Problems) -> Iterator[ImageRecord]:
    for record in records:
        if record.width > 0 and record.height > 0:
            yield record
        else:
            problems.add(
                "image.no_size",
                f"{record.file_name}: its size is not known, and the format needs it: left out",
                fix="convert where the images are at hand",
                file=str(target),
                image=record.image_id,
            )


def by_suffix(target: Path) -> Format:
    """The format that a file or folder of this name would be. Raises `UsageError` if that is not plain."""
    found = [each for each in FORMATS.values() if _has_suffix(target, each)]
    if not target.suffix:
        found = [each for each in FORMATS.values() if each.folder]
    if len(found) != 1:
        among = ", ".join(each.name for each in found) or ", ".join(FORMATS)
        raise UsageError(f"{target}: the name does not tell the format", fix=f"say which: {among}")
    return found[0]


def detect(source: Path) -> Format:
    """The format of a file or folder, by its content. Raises `UsageError` if it cannot be told."""
    if source.is_dir():
        return next(each for each in FORMATS.values() if each.folder)
    named = [each for each in FORMATS.values() if _has_suffix(source, each)]
    if len(named) == 1:
        return named[0]
    first = _first_item(source)
    for each in FORMATS.values():
        if each.first(first):
            return each
    raise UsageError(f"{source}: the format cannot be told", fix=f"say which: {', '.join(FORMATS)}")


def _has_suffix(path: Path, format: Format) -> bool:
    return path.name.lower().endswith(format.suffixes)


def _first_item(path: Path) -> Any:
    """The first item of a file that holds a JSON list, `None` if there is none."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            head = file.read(_HEAD).lstrip()
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}") from error
    if not head.startswith("["):
        return None
    try:
        return json.JSONDecoder().raw_decode(head[1:].lstrip())[0]
    except (ValueError, RecursionError):
        return None
