"""The table of formats and what each can hold, made from the declarations of the formats themselves."""

from __future__ import annotations

from typing import Any

from synthscars.converters.formats import FORMATS, Format
from synthscars.converters.holds import ARTIFACT_FIELDS, IMAGE_FIELDS, Holds
from synthscars.records import STATUSES

_OUTLINES = {
    "exact": "exact",
    "rounded": "to 1e-6 px",
    "pixels": "pixels",
    "boxes": "boxes",
    "none": "no",
}


def _files(format: Format) -> str:
    names = list(format.suffixes)
    return ", ".join([*names, "folder"] if format.folder else names)


def _not_held(holds: Holds) -> list[str]:
    told_by_file = ("image_id", "size")
    missing = [f"artifact.{name}" for name in ARTIFACT_FIELDS if name not in holds.artifact]
    return missing + [name for name in IMAGE_FIELDS if name not in holds.image and name not in told_by_file]


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
            "options": each.options,
            "read_options": each.read_options,
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


def as_rich() -> Any:
    """A table for a terminal: one line a format, with what it does not hold."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("format", "", "files", "outlines", "not held"):
        table.add_column(name, overflow="fold", no_wrap=name in ("format", ""))
    for each in FORMATS.values():
        missing = _not_held(each.holds)
        shown = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        table.add_row(
            each.name,
            ("r" if each.reads else "") + ("w" if each.writes else ""),
            _files(each),
            _OUTLINES[each.holds.outlines],
            shown or "nothing is lost",
        )
    return table


def details(format: Format) -> str:
    """All about one format, for a terminal."""
    holds = format.holds
    does = " and ".join(name for name, able in (("read", format.reads), ("written", format.writes)) if able)
    empty = ", ".join(name for name in STATUSES if name in holds.statuses and name != "annotated")
    lines = [
        f"{format.name}: {format.what}",
        "",
        f"It is {does}. Files: {_files(format)}.{' Images can be embedded.' if format.embeds else ''}",
        f"Outlines: {_OUTLINES[holds.outlines]}. Images without artifacts: {empty or 'none'}.",
        f"Not held: {', '.join(_not_held(holds)) or 'nothing is lost'}.",
        *(f"Option when read, {key}: {', '.join(values)}." for key, values in format.read_options.items()),
        *(f"Option when written, {key}: {', '.join(values)}." for key, values in format.options.items()),
        *(["", holds.note] if holds.note else []),
        "",
        (format.load().__doc__ or "").strip(),  # written for whoever reads the format, users among them
    ]
    return "\n".join(lines).rstrip()


def _yes(value: bool) -> str:
    return "yes" if value else ""
