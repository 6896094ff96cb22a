"""The table of formats and what each can hold, made from the declarations of the formats themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from synthscars.converters.formats import FORMATS, Format
from synthscars.converters.holds import ARTIFACT_FIELDS, IMAGE_FIELDS, Holds
from synthscars.records import STATUSES

_OUTLINES = {
    "exact": "exact",
    "rounded": "within 1e-6 px",
    "pixels": "pixels",
    "boxes": "boxes",
    "none": "no",
}


def _files(format: Format) -> str:
    names = list(format.suffixes)
    return ", ".join([*names, "folder"] if format.folder else names)


def _not_held(holds: Holds) -> list[str]:
    missing = [name for name in IMAGE_FIELDS if name not in holds.image and name not in ("image_id", "size")]
    missing += [f"artifact.{name}" for name in ARTIFACT_FIELDS if name not in holds.artifact]
    return missing


def as_json() -> list[dict[str, Any]]:
    """One object per format, with every field it holds."""
    return [
        {
            "name": each.name,
            "what": each.what,
            "files": _files(each),
            "reads": each.reads,
            "writes": each.writes,
            "embeds_images": each.embeds,
            "image": [name for name in IMAGE_FIELDS if name in each.holds.image],
            "artifact": [name for name in ARTIFACT_FIELDS if name in each.holds.artifact],
            "statuses": [name for name in STATUSES if name in {*each.holds.statuses, "annotated"}],
            "outlines": each.holds.outlines,
            "several_rings": each.holds.several_rings,
            "note": each.holds.note,
        }
        for each in FORMATS.values()
    ]


def as_markdown() -> str:
    """The table of docs/formats.md."""
    lines = [
        "| format | files | read | write | outlines | images without artifacts | not held |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in FORMATS.values():
        holds = each.holds
        statuses = ", ".join(name for name in STATUSES if name in holds.statuses and name != "annotated")
        missing = ", ".join(f"`{name}`" for name in _not_held(holds)) or "nothing"
        lines.append(
            f"| `{each.name}` | {_files(each)} | {_yes(each.reads)} | {_yes(each.writes)} "
            f"| {_OUTLINES[holds.outlines]} | {statuses or 'none'} | {missing} |"
        )
    notes = [f"- `{each.name}`: {each.what}. {each.holds.note}".rstrip() for each in FORMATS.values()]
    return "\n".join([*lines, "", *notes]) + "\n"


def as_rich() -> Iterator[Any]:
    """Tables for a terminal: formats by image fields, and by artifact fields."""
    from rich.table import Table

    head = Table(title="Formats", title_justify="left", box=None, pad_edge=False)
    for name in ("format", "files", "read", "write", "outlines", "what it is"):
        head.add_column(name, overflow="fold", no_wrap=name == "format")
    for each in FORMATS.values():
        head.add_row(
            each.name,
            _files(each),
            _mark(each.reads),
            _mark(each.writes),
            _OUTLINES[each.holds.outlines],
            each.what,
        )
    yield head
    for title, fields, attribute in (
        ("\nWhat they hold of an image", IMAGE_FIELDS, "image"),
        ("\nWhat they hold of an artifact", ARTIFACT_FIELDS, "artifact"),
    ):
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        table.add_column("format", no_wrap=True)
        for name in fields:
            table.add_column(name.replace("_", " "), justify="center")
        for each in FORMATS.values():
            held = getattr(each.holds, attribute)
            table.add_row(each.name, *(_mark(name in held) for name in fields))
        yield table


def _yes(value: bool) -> str:
    return "yes" if value else ""


def _mark(value: bool) -> str:
    return "✓" if value else "·"
