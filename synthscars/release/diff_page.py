"""A difference between releases as one HTML page that needs nothing else: no script, no font, no image file.

Old outlines are orange and dashed, new ones blue and solid (of the colours of Okabe and Ito, which people
who are colour-blind can tell apart), both on a white rim so that they show on any picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from synthscars.converters.pictures import Finder
from synthscars.images import open_image, upright
from synthscars.problems import ImageError
from synthscars.release.diff_match import usable_rings
from synthscars.release.diff_model import ArtifactChange, ArtifactNote, Example, FieldChange, ReleaseDiff
from synthscars.release.diff_text import (
    as_text,
    asks_for,
    fitting,
    rater_lines,
    schema_lines,
    too_low,
)
from synthscars.release.features import Row
from synthscars.release.page import REPORT, html_text, jpeg_uri, page_head
from synthscars.release.page_outlines import OUTLINES
from synthscars.shown import short

SIDE = 480
"""Pixels of the longer side of a picture on the page."""

QUALITY = 75
LONGEST_PIECE = 1500
MOST_PLACES = 200
"""Images that were added, removed or moved that the page names; the others are counted."""

_STYLE = (
    REPORT
    + """
:root{--old:#b84a00;--del:#fbe3d3;--ins:#d9ebf7;--bad:#a3122a}
@media screen and (prefers-color-scheme:dark){:root{--old:#f59a4d;--del:#53290c;--ins:#0d3a58;--bad:#ff8c9c}}
.bad{color:var(--bad);font-weight:600}
.tables{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(340px,100%),1fr));gap:8px 40px;
align-items:start}
table{width:100%}caption{text-align:left;font-weight:600;padding:4px 0}
th,td{padding:3px 8px 3px 0;overflow-wrap:anywhere}.tables td{overflow-wrap:break-word}
.places td:first-child{width:9rem;white-space:nowrap}.places td:last-child{width:11rem}
article{display:grid;grid-template-columns:minmax(0,480px) minmax(0,1fr);gap:8px 20px}
article h3{grid-column:1/-1}
figure{position:relative;align-self:start}
ul{list-style:none;margin:0;padding:0}li{padding:8px 0;border-top:1px solid var(--line);
overflow-wrap:anywhere}li:first-child{border-top:0;padding-top:0}
.number{display:inline-block;min-width:1.6em;padding:0 .3em;text-align:center;border-radius:1em;
background:var(--ink);color:var(--page);font-size:.85em;margin-right:6px}
.text{white-space:pre-wrap;margin:4px 0 0}.text b{font-weight:400;color:var(--soft)}
del{background:var(--del);color:inherit;text-decoration:line-through;text-decoration-thickness:1px;
border-radius:2px}
del+ins{margin-left:.2em}
ins{background:var(--ins);color:inherit;text-decoration:underline;text-underline-offset:2px;
border-radius:2px}
.key{display:flex;flex-wrap:wrap;gap:4px 20px;margin:0 0 12px;align-items:center}
.key svg{width:44px;height:12px;vertical-align:middle;margin-right:6px}
"""
    + OUTLINES
    + """
.line{fill:none;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.mark{fill:#fff;stroke:#000;stroke-width:3;paint-order:stroke;font:600 1px system-ui,sans-serif}
@media(max-width:760px){article{grid-template-columns:minmax(0,1fr)}
.places td:last-child{width:5.5rem}}
@media print{h2,h3,caption{break-after:avoid}.tiles div{break-inside:avoid}
del,ins,.number,figure,.key{print-color-adjust:exact}}
"""
)


def to_page(diff: ReleaseDiff, examples: Sequence[Example], pictures: Iterable[Finder]) -> Iterator[str]:
    """The page, piece by piece; joined it is one HTML document.

    examples: the changed images to show. pictures: where to look for their original bytes, one after the
    other; an image that none has is shown as its outlines alone. Everything from the data is escaped.
    """
    sources = list(pictures)
    title = f"From {short(diff.before.name, 80)} to {short(diff.after.name, 80)}"
    yield page_head(title, _STYLE) + f"<body>\n<h1>{html_text(title)}</h1>\n"
    bad = f'<span class="bad">{html_text(too_low(diff))}</span> ' if too_low(diff) else ""
    if fitting(diff):
        yield f"<p>{bad}Lowest version that fits: <strong>{html_text(fitting(diff))}</strong></p>\n"
    yield f'<p class="soft">{html_text(asks_for(diff))}</p>\n'
    yield _tiles(diff)
    yield _schema(diff)
    yield _counts(diff)
    yield from _places(diff)
    if diff.changed:
        yield _heading(diff, len(examples))
        for example in examples:
            yield _article(example, sources)
    yield "</body></html>\n"


def _name(text: str) -> str:
    return html_text(short(text, 80))


def _tiles(diff: ReleaseDiff) -> str:
    before, after = diff.before, diff.after
    numbers = {
        "images": f"{before.images:,} → {after.images:,}",
        "artifacts": f"{before.artifacts:,} → {after.artifacts:,}",
        "images added": f"{len(diff.added):,}",
        "images removed": f"{len(diff.removed):,}",
        "moved between splits": f"{len(diff.moved):,}",
        "images changed": f"{len(diff.changed):,}",
    }
    tiles = "".join(f"<div><b>{number}</b>{name}</div>" for name, number in numbers.items())
    return f'<div class="tiles">{tiles}</div>\n'


def _schema(diff: ReleaseDiff) -> str:
    rows = "".join(
        f"<tr><td>{_name(what)}<td>{html_text(short(before)) or 'none'}"
        f"<td>{html_text(short(after)) or 'none'}"
        for what, before, after in schema_lines(diff)
    )
    head = "<tr><th>what<th>before<th>after"
    table = f'<div class="wide"><table>{head}{rows}</table></div>\n' if rows else ""
    going = "".join(
        f"<tr><td>{_name(each.name)}<td>{html_text(short(each.instead))}" for each in diff.deprecated
    )
    if going:
        head = "<tr><th>newly deprecated: goes away in the next major version<th>instead"
        table += f'<div class="wide"><table>{head}{going}</table></div>\n'
    return f"<h2>Schema and taxonomy</h2>\n{table}" if table else ""


def _counts(diff: ReleaseDiff) -> str:
    tables = []
    for of in dict.fromkeys(each.of for each in diff.counts):
        rows = "".join(
            f'<tr><td>{_name(each.value)}<td class="n">{each.before:,}<td class="n">{each.after:,}'
            f'<td class="n">{_step(each.after - each.before)}'
            for each in diff.counts
            if each.of == of
        )
        head = '<tr><th><th class="n">before<th class="n">after<th class="n">change'
        tables.append(f"<table><caption>{html_text(of.capitalize())}</caption>{head}{rows}</table>")
    return f'<h2>Counts</h2>\n<div class="tables">{"".join(tables)}</div>\n'


def _step(change: int) -> str:
    return f"{change:+,}".replace("-", "−") if change else "="


def _places(diff: ReleaseDiff) -> Iterator[str]:
    lists = {
        "Images added": [(x.image_id, x.file_name, f"in {x.split or 'unknown'}") for x in diff.added],
        "Images removed": [(x.image_id, x.file_name, f"was in {x.split or 'unknown'}") for x in diff.removed],
        "Images moved between splits": [
            (x.image_id, x.file_name, f"{x.before or 'unknown'} → {x.after or 'unknown'}") for x in diff.moved
        ],
    }
    for title, found in lists.items():
        if not found:
            continue
        rows = "".join(
            f"<tr><td><code>{html_text(image_id[:12])}</code><td><bdi>{_name(name)}</bdi><td>{_name(where)}"
            for image_id, name, where in found[:MOST_PLACES]
        )
        more = len(found) - MOST_PLACES
        rest = f'<p class="soft">… and {more:,} more</p>' if more > 0 else ""
        table = f'<div class="wide places"><table>{rows}</table></div>'
        yield f"<h2>{title}: {len(found):,}</h2>\n{table}{rest}\n"


def _heading(diff: ReleaseDiff, shown: int) -> str:
    count = len(diff.changed)
    rest = (
        f'<p class="soft">{shown:,} of them are shown, {count - shown:,} are not.</p>'
        if shown < count
        else ""
    )
    key = "".join(
        f'<span><svg viewBox="0 0 44 12" aria-hidden="true"><path class="line {kind}" d="M2 6H42"/></svg>'
        f"{what}</span>"
        for kind, what in (("was", "old outline, dashed"), ("is", "new outline, solid"))
    )
    key += '<span><svg viewBox="0 0 44 12" aria-hidden="true"><rect width="44" height="12" rx="2" '
    key += 'fill="#777"/><path class="line same" d="M2 6H42"/></svg>unchanged, thin white</span>'
    return (
        f"<h2>Images changed: {count:,}</h2>\n{rest}"
        f'<div class="key">{key}<span>Words <del>taken out</del> and <ins>put in</ins></span></div>\n'
    )


# One image


def _article(example: Example, sources: Sequence[Finder]) -> str:
    change = example.change
    items = [_changed(each, number) for number, each in enumerate(change.artifacts_changed, 1)]
    number = len(items)
    for notes, word in ((change.artifacts_removed, "removed"), (change.artifacts_added, "added")):
        for note in notes:
            number += 1
            items.append(f"<li>{_number(number)}artifact {word}: {_note(note)}{_said(note, word)}</li>")
    items += [f"<li>{_field(each)}</li>" for each in change.fields]
    items += [f"<li>{html_text(line)}</li>" for line in rater_lines(change)]
    return (
        f"<article><h3><bdi>{_name(change.file_name)}</bdi> "
        f'<span class="soft">{html_text(change.image_id[:12])}</span></h3>\n'
        f"{_figure(example, sources)}\n<ul>{''.join(items)}</ul></article>\n"
    )


def _said(note: ArtifactNote, word: str) -> str:
    tag = "ins" if word == "added" else "del"
    return f'<div class="text" dir="auto"><{tag}>{_clipped(note.phrase)}</{tag}></div>' if note.phrase else ""


def _changed(change: ArtifactChange, number: int) -> str:
    outline = (
        f"outline changed, IoU {change.iou:.2f} with the old one" if change.redrawn else "outline as it was"
    )
    fields = "".join(_field(each) for each in change.fields)
    kept = "" if any(each.field == "phrase" for each in change.fields) else _clipped(change.after.phrase)
    phrase = f'<div class="text" dir="auto">{kept}</div>' if kept else ""
    return f"<li>{_number(number)}{_note(change.after)}, {outline}{phrase}{fields}</li>"


def _number(number: int) -> str:
    return f'<span class="number">{number}</span>'


def _note(note: ArtifactNote) -> str:
    kind = f"{note.category or 'unknown'}, {note.subtype or 'unknown'}"
    who = f' <span class="soft">by {_name(note.rater_id)}</span>' if note.rater_id else ""
    return f"{_name(kind)}{who}"


def _field(change: FieldChange) -> str:
    if change.words:
        tags = {"-": "del", "+": "ins"}
        text = "".join(
            f"<{tags[kind]}>{_clipped(piece)}</{tags[kind]}>" if kind in tags else _clipped(piece)
            for kind, piece in change.words[:MOST_PLACES]
        )
        text += " …" if len(change.words) > MOST_PLACES else ""
    else:
        text = f"{_value(change.before, 'del')} → {_value(change.after, 'ins')}"
    return f'<div class="text" dir="auto"><b>{_name(change.field)}:</b> {text}</div>'


def _value(value: Any, tag: str) -> str:
    return f"<{tag}>{_clipped(as_text(value))}</{tag}>" if value not in (None, "") else "none"


def _clipped(text: str) -> str:
    half = LONGEST_PIECE // 2
    return html_text(text if len(text) <= LONGEST_PIECE else f"{text[:half]} […] {text[-half:]}")


# Pictures


def _figure(example: Example, sources: Sequence[Finder]) -> str:
    data = next((found for found in (find(example.change.image_id) for find in sources) if found), None)
    picture = _thumbnail(data)
    width, height = (_side(example.after.get(name)) for name in ("width", "height"))
    inner = f'<rect width="{width}" height="{height}" fill="#808080"/>'
    if picture:
        inner = f'<image width="{width}" height="{height}" preserveAspectRatio="none" href="{picture}"/>'
    what = "" if picture else '<p class="soft">The picture could not be read.</p>'
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="Outlines before and after">'
        f"{inner}{''.join(_outlines(example, max(width, height)))}</svg>{what}</figure>"
    )


def _side(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 1


def _thumbnail(data: bytes | Path | None) -> str:
    """The address of a small JPEG of the upright image, `""` if there is none."""
    if data is None:
        return ""
    try:
        image = upright(open_image(data if isinstance(data, bytes) else data.read_bytes()))
    except (ImageError, OSError):
        return ""
    return jpeg_uri(image, SIDE, QUALITY)


def _outlines(example: Example, size: int) -> Iterator[str]:
    """SVG of what changed, numbered as in the list beside it."""
    change = example.change
    old, new = (_by_key(row) for row in (example.before, example.after))
    shown: list[tuple[list[list[float]], list[list[float]]]] = []
    for each in change.artifacts_changed:
        now = _take(new, each.after)
        was = _take(old, each.before)
        shown.append((was if each.redrawn else [], now))
    shown += [(_take(old, note), []) for note in change.artifacts_removed]
    shown += [([], _take(new, note)) for note in change.artifacts_added]
    for rings in (ring for regions in new.values() for ring in regions):
        yield from _polygons(rings, "same")
    for was, now in shown:
        yield from _polygons(now, "rim", "is")
        yield from _polygons(was, "rim", "was")
    for number, (was, now) in enumerate(shown, 1):
        points = now or was
        if points:
            x, y = points[0][0], points[0][1]
            yield (
                f'<text class="mark" x="{_float(x)}" y="{_float(y)}" '
                f'style="font-size:{_float(size / 24)}px;stroke-width:{_float(size / 160)}px">{number}</text>'
            )


def _by_key(row: Row) -> dict[tuple[str, ...], list[list[list[float]]]]:
    found: dict[tuple[str, ...], list[list[list[float]]]] = {}
    for artifact in row.get("artifacts") or ():
        if isinstance(artifact, dict):
            key = tuple(
                str(artifact.get(name) or "")
                for name in ("artifact_id", "rater_id", "category", "subtype", "phrase")
            )
            found.setdefault(key, []).append(usable_rings(artifact.get("polygons")))
    return found


def _take(regions: dict[tuple[str, ...], list[list[list[float]]]], note: ArtifactNote) -> list[list[float]]:
    key = (note.artifact_id, note.rater_id, note.category or "", note.subtype or "", note.phrase)
    found = regions.get(key)
    return found.pop(0) if found else []


def _polygons(rings: list[list[float]], *kinds: str) -> Iterator[str]:
    for kind in kinds:
        for ring in rings:
            points = " ".join(map(_float, ring))
            yield f'<polygon class="{kind}" points="{points}"/>'


def _float(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if math.isfinite(value) else "0"
