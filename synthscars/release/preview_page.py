"""The preview of a release as one HTML page: tags, a table of rows for every config and split, the card.

It shows what a page of the Hugging Face Hub would, without a script: which table is seen is chosen with radio
buttons, and CSS shows the one that is marked. Colours of the bars are those of Okabe and Ito.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from synthscars.images import open_image, upright
from synthscars.problems import ImageError
from synthscars.records import Artifact
from synthscars.release.diff_match import usable_rings
from synthscars.release.features import Row
from synthscars.release.page import COLOURS, html_text, jpeg_uri, page_head
from synthscars.release.preview import Card, Distribution, Source, View
from synthscars.release.preview_card import card_html, tags_html
from synthscars.shown import short

SIDE = 192
"""Pixels of the longer side of a picture in a table."""

_DRAWN_SIDE = 384
"""Pixels of the shorter side while outlines are drawn."""
_LINE = 2
"""Pixels that an outline is wide in a table."""
_QUALITY = 70
_LONGEST = 1200
_SHORT = 90
_LONG_WORD = 40
_MOST_ITEMS = 60
_MOST_BARS = 6
_REGIONS = ("artifacts", "rater_artifacts")
"""Columns of regions, of which the first that a config has is drawn on the picture."""
_PARTS = {"category": "categories", "subtype": "subtypes"}
"""Parts of regions whose classes are shown beside how many regions there are."""

_encoder = msgspec.json.Encoder(order=None)

_STYLE = (
    COLOURS
    + """
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:0 auto;padding:24px;
max-width:1280px}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 12px;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:0 0 12px}.soft{color:var(--soft)}.bad{color:var(--soft)}
.tags{display:flex;flex-wrap:wrap;gap:4px 20px;margin:0 0 20px}
.tags div{display:flex;gap:8px;align-items:baseline;min-width:0}
.tags dt{color:var(--soft);font-size:.87rem}.tags dd{margin:0;min-width:0}
.tags ul{display:flex;flex-wrap:wrap;gap:4px;list-style:none;margin:0;padding:0}
.tags li{border:1px solid var(--line);border-radius:6px;padding:1px 8px;font-size:.87rem;
background:var(--card);overflow-wrap:anywhere}
.box{border:1px solid var(--line);border-radius:10px;margin:0 0 28px;overflow:hidden}
.box>h2{padding:10px 16px;margin:0;background:var(--card);border-bottom:1px solid var(--line)}
.choose{display:flex;flex-wrap:wrap;gap:6px 24px;padding:10px 16px;border-bottom:1px solid var(--line)}
.choose div{display:flex;flex-wrap:wrap;gap:6px;align-items:center}
.choose b{font-weight:600;margin-right:2px;overflow-wrap:anywhere}
.choose label{border:1px solid var(--line);border-radius:6px;padding:2px 10px;cursor:pointer;
overflow-wrap:anywhere}
.box>input{position:absolute;opacity:0;pointer-events:none}
.view{display:none}
.rows{overflow:auto;max-height:min(78vh,900px)}
.rows table{border-collapse:separate;border-spacing:0;font-size:.87rem}
.rows th,.rows td{padding:8px 10px;border-bottom:1px solid var(--line);border-right:1px solid var(--line);
text-align:left;vertical-align:top;min-width:130px;max-width:340px}
.rows th{position:sticky;top:0;background:var(--card);font-weight:600;z-index:1;max-width:none}
.rows thead small{display:block;font-weight:400;color:var(--soft)}
.rows td{overflow-wrap:anywhere}.rows tr>:last-child{border-right:0}
.rows img{display:block;width:150px;height:auto;max-height:150px;object-fit:contain;
border-radius:4px;background:#808080}
.rows .wider{min-width:280px}.n{font-variant-numeric:tabular-nums}
.null{color:var(--soft);font-style:italic}
summary{cursor:pointer}summary::marker{color:var(--soft)}
details>div{white-space:pre-wrap;margin-top:6px;padding-top:6px;border-top:1px dashed var(--line)}
.foot{padding:8px 16px;margin:0;color:var(--soft);font-size:.87rem;border-top:1px solid var(--line)}
.chart{display:block;width:130px;height:34px;margin:6px 0 0}.chart rect{fill:var(--new)}
.ends{display:flex;justify-content:space-between;gap:8px;width:130px;font-weight:400;color:var(--soft)}
.charts{display:flex;gap:4px 20px;flex-wrap:nowrap}
.bars{display:grid;grid-template-columns:max-content 60px max-content;gap:1px 6px;margin:6px 0 0;
font-weight:400;align-items:center;line-height:1.3}
.bars span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;max-width:130px}
.bars svg{width:60px;height:8px;display:block}.bars rect{fill:var(--new)}.bars i{font-style:normal;
color:var(--soft)}
.card{padding:8px 24px 24px;overflow-wrap:anywhere;max-width:920px}
.card h2,.card h3,.card h4{margin:24px 0 12px;line-height:1.25;padding-bottom:.3em;
border-bottom:1px solid var(--line)}
.card h2{font-size:1.6rem}.card h3{font-size:1.3rem}.card h4{font-size:1.1rem;border:0;padding:0}
.card p,.card ul,.card ol,.card blockquote,.card pre{margin:0 0 16px}
.card blockquote{padding:0 1em;border-left:4px solid var(--line);color:var(--soft)}
.card code{font:85%/1.45 ui-monospace,SFMono-Regular,Menlo,monospace;background:var(--card);padding:.2em .4em;
border-radius:6px}
.card pre{background:var(--card);border-radius:8px;padding:14px 16px;overflow:auto;max-height:560px}
.card pre code{background:none;padding:0;white-space:pre}
.card a{color:var(--new)}.card a:not([href]){color:inherit;border-bottom:1px dotted}
.card img{max-width:100%;height:auto;background:#fff;border-radius:6px}
.wide{overflow-x:auto;margin:0 0 16px}.card table{border-collapse:collapse}
.card th,.card td{border:1px solid var(--line);padding:6px 12px;text-align:left;overflow-wrap:normal}
.card th{background:var(--card)}.card td{min-width:70px;vertical-align:top}
@media(max-width:640px){body{padding:12px}.rows th{position:static}.card{padding:4px 14px 16px}
.card th,.card td{padding:4px 8px}h1{font-size:1.3rem}.card h2{font-size:1.3rem}.card h3{font-size:1.15rem}}
"""
)


def to_page(
    title: str, card: Card, folder: Path, sources: Sequence[Source], views: Iterable[View]
) -> Iterator[str]:
    """The page, piece by piece; joined it is one HTML document. views: one for each of the sources."""
    number = len(sources)
    rules = "".join(
        f"#v{each}:checked~.views>.p{each}{{display:block}}"
        f"#v{each}:checked~.choose label[for=v{each}]{{background:var(--ink);color:var(--page);"
        "border-color:var(--ink)}"
        f"#v{each}:focus-visible~.choose label[for=v{each}]{{outline:2px solid var(--new);"
        "outline-offset:2px}"
        for each in range(number)
    )
    yield page_head(short(title, 80), _STYLE + rules)
    yield f"<body>\n<h1>{html_text(short(title, 200))}</h1>\n{tags_html(card.header)}"
    yield '<section class="box"><h2>Dataset viewer</h2>\n'
    yield "".join(
        f'<input type="radio" name="view" id="v{each}"{" checked" if not each else ""} '
        f'aria-label="{html_text(f"{source.config}, {source.split}")}">\n'
        for each, source in enumerate(sources)
    )
    shown = iter(views)
    pieces = _panels(shown)
    yield f'{_chooser(sources)}<div class="views">\n'
    yield from pieces
    yield "</div></section>\n"
    yield f'<section class="box"><h2>Dataset card</h2>\n<div class="card">{card_html(card, folder)}</div>'
    yield "</section>\n</body></html>\n"


def _chooser(sources: Sequence[Source]) -> str:
    configs: dict[str, list[str]] = {}
    for number, source in enumerate(sources):
        label = f'<label for="v{number}">{html_text(short(source.split, 40))}</label>'
        configs.setdefault(source.config, []).append(label)
    groups = "".join(
        f"<div><b>{html_text(short(config, 60))}</b>{''.join(labels)}</div>"
        for config, labels in configs.items()
    )
    return f'<div class="choose">{groups}</div>\n'


def _panels(views: Iterable[View]) -> Iterator[str]:
    for number, view in enumerate(views):
        heads = "".join(_head(name, view) for name in view.columns)
        yield (
            f'<div class="view p{number}"><div class="rows" tabindex="0"><table>'
            f"<thead><tr>{heads}</tr></thead><tbody>\n"
        )
        for row in view.rows:
            yield f"<tr>{''.join(_cell(name, row) for name in view.columns)}</tr>\n"
        rest = f"the first {len(view.rows):,} of " if len(view.rows) < view.total else ""
        yield (
            f"</tbody></table></div>"
            f'<p class="foot">{html_text(short(view.config, 60))}, {html_text(short(view.split, 40))}: '
            f"{rest}{view.total:,} rows</p></div>\n"
        )


# Heads of columns


def _head(name: str, view: View) -> str:
    of_parts = [
        (_PARTS[path.partition(".")[2]], each)
        for path, each in view.distributions.items()
        if path.startswith(f"{name}.") and path.partition(".")[2] in _PARTS
    ]
    whole = view.distributions.get(name)
    charts = "" if whole is None else f"<div>{_chart(whole)}</div>"
    charts += "".join(f"<div>{_chart(each, html_text(part))}</div>" for part, each in of_parts)
    name_of = html_text(short(name, 60))
    return f'<th scope="col"{_wider(name)}>{name_of}<div class="charts">{charts}</div></th>'


def _wider(name: str) -> str:
    texts = ("caption", "artifacts", "rater_artifacts", "reviews", "generation")
    return ' class="wider"' if name in texts else ""


def _chart(of: Distribution, name: str = "") -> str:
    what = {"classes": "classes", "numbers": "numbers", "lengths": "characters", "items": "items"}[of.kind]
    missing = f", {of.missing:,} null" if of.missing else ""
    if of.kind == "classes":
        what = f"{len(of.counts):,} {name or ('class' if len(of.counts) == 1 else what)}"
        return f"<small>{what}{missing}</small>{_bars(of.counts)}"
    return f"<small>{what}{missing}</small>{_histogram(of) if of.bins else ''}"


def _bars(counts: Mapping[str, int]) -> str:
    most = max(counts.values(), default=1)
    rows = "".join(
        f'<span title="{html_text(short(name, 200))}">{html_text(short(name, 40)) or "(empty)"}</span>'
        f'<svg viewBox="0 0 60 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{max(60 * count / most, 1):.1f}" height="8" rx="2"/></svg><i class="n">{count:,}</i>'
        for name, count in list(counts.items())[:_MOST_BARS]
    )
    more = len(counts) - _MOST_BARS
    return f'<div class="bars">{rows}</div>' + (f"<small>and {more:,} more</small>" if more > 0 else "")


def _histogram(of: Distribution) -> str:
    step = 130 / len(of.bins)
    most = max(of.bins) or 1
    bars = "".join(
        f'<rect x="{number * step + 0.5:.1f}" y="{34 - 34 * count / most:.1f}" width="{step - 1:.1f}" '
        f'height="{34 * count / most:.1f}"/>'
        for number, count in enumerate(of.bins)
        if count
    )
    ends = f"<span>{_short_number(of.least)}</span>"
    if of.most > of.least:
        ends += f"<span>{_short_number(of.most)}</span>"
    return (
        f'<svg class="chart" viewBox="0 0 130 34" role="img" aria-label="Histogram">{bars}</svg>'
        f'<div class="ends n">{ends}</div>'
    )


def _short_number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"


# Cells


def _cell(name: str, row: Row) -> str:
    value = row.get(name)
    if isinstance(value, dict) and "bytes" in value:
        return f"<td>{_picture(value['bytes'], row)}</td>"
    if value is None:
        return '<td><span class="null">null</span></td>'
    if isinstance(value, (int, float)):
        return f'<td class="n">{html_text(str(value))}</td>'
    if isinstance(value, str):
        return f'<td dir="auto">{_folded(value, value)}</td>'
    text = _json(value)
    return f"<td>{_folded(_summary(value) or text, text)}</td>"


def _folded(start: str, whole: str) -> str:
    """A text, or its beginning with the whole of it to be opened; of hashes and the like only the start."""
    if start == whole and len(whole) >= _LONG_WORD and " " not in whole[:_LONG_WORD]:
        start = f"{whole[:9]}…"
    if start == whole and len(whole) <= _SHORT:
        return html_text(whole)
    return (
        f"<details><summary>{html_text(short(' '.join(start[: 2 * _SHORT].split()), _SHORT))}</summary>"
        f"<div>{html_text(short(whole, _LONGEST))}</div></details>"
    )


def _summary(value: Any) -> str:
    """What a list of regions is about, in a line."""
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        return ""
    phrases = [str(each["phrase"]) for each in value if each.get("phrase")]
    return f"{len(value)}: {'; '.join(phrases)}" if phrases else ""


def _json(value: Any) -> str:
    text = _encoder.encode(_cut(value)).decode()
    if len(text) <= _SHORT:
        return text
    # Numbers in a row stay in one line.
    lines = msgspec.json.format(text, indent=2)
    return re.sub(r'\[([\s\d.,eE+\-"…]*)\]', lambda found: f"[{' '.join(found[1].split())}]", lines)


def _cut(value: Any) -> Any:
    """JSON that is not endless; of numbers in a row only the first, and few digits."""
    if isinstance(value, list):
        most = 6 if value and isinstance(value[0], float) and len(value) > 6 else _MOST_ITEMS
        return [*map(_cut, value[:most]), *(["…"] if len(value) > most else [])]
    if isinstance(value, dict):
        return {str(key): _cut(item) for key, item in value.items()}
    if isinstance(value, float):
        return round(value, 2)
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    return value if value is None or isinstance(value, (bool, int)) else str(value)


# Pictures


def _picture(data: Any, row: Row) -> str:
    """The picture of a row with the outlines of its regions."""
    from synthscars.drawing import draw_artifacts

    broken = '<span class="null">not a picture</span>'
    if not isinstance(data, bytes):
        return broken
    try:
        image = upright(open_image(data))
    except ImageError:
        return broken
    size = image.size
    # Smaller than that, it would be enlarged for drawing.
    image = image.copy()
    image.thumbnail((max(_DRAWN_SIDE * size[0] // min(size), 1), max(_DRAWN_SIDE * size[1] // min(size), 1)))
    scale = (image.width / size[0], image.height / size[1])
    regions: list[Any] = next((row[name] for name in _REGIONS if isinstance(row.get(name), list)), [])
    if regions:
        enlarged = -(-_DRAWN_SIDE // min(image.size))
        line = max(2, round(_LINE * enlarged * max(image.size) / SIDE))
        image = draw_artifacts(image, list(_artifacts(regions, scale)), labels=False, line=line)
    return f'<img src="{jpeg_uri(image, SIDE, _QUALITY)}" alt="" loading="lazy">'


def _artifacts(regions: Sequence[Any], scale: tuple[float, float]) -> Iterator[Artifact]:
    for number, region in enumerate(regions[:_MOST_ITEMS]):
        if isinstance(region, dict):
            rings = usable_rings(region.get("polygons"))
            yield Artifact(
                artifact_id=str(number),
                category=str(region.get("category") or "") or None,
                polygons=tuple(
                    tuple(value * scale[place % 2] for place, value in enumerate(ring)) for ring in rings
                ),
                phrase="",
            )
