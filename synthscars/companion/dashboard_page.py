"""The dashboard as HTML: a page, and its parts alone for the script that keeps it up to date.

Texts and names come from strangers and from Label Studio: everything is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files

from synthscars.companion.dashboard_data import BatchProgress, Dashboard, Dispute, Present, RaterWork, Refusal
from synthscars.metrics.gold import RaterGold
from synthscars.release.agreement import AgreementReport, Measure
from synthscars.release.page import COLOURS, html_text, page_head
from synthscars.shown import short

GALLERY = "disputes"
"""The part with pictures: it is sent again only when there are new records."""

SECONDS = 10
"""Between two questions of an open page."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

_STYLE = (
    COLOURS
    + """
:root{--bar:#0072b2;--done:#00664a;--bad:#a3122a}
@media screen and (prefers-color-scheme:dark){:root{--bar:#56b4e9;--done:#5fd3ae;--bad:#ff8c9c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:0 auto;padding:24px;
max-width:1100px}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:32px 0 10px}h3{font-size:1rem;margin:0 0 6px;overflow-wrap:anywhere}
p{margin:0 0 8px}.soft{color:var(--soft)}.bad{color:var(--bad)}a{color:var(--new)}
.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:16px 0}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px 16px;
min-width:120px}.tiles b{display:block;font-size:1.4rem;font-variant-numeric:tabular-nums}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(340px,100%),1fr));gap:8px 32px}
.pair>*{min-width:0}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;margin:0 0 8px}
th,td{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:400;color:var(--soft);vertical-align:bottom}
td:first-child{overflow-wrap:anywhere;min-width:8rem;font-weight:500}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.t{white-space:nowrap}
.w{overflow-wrap:anywhere;min-width:9rem}
svg{display:block;width:100%;height:auto}.track{fill:var(--line)}.bar{fill:var(--bar)}.full{fill:var(--done)}
.meter{min-width:90px;width:30%;vertical-align:middle}.meter svg{height:10px;margin-top:6px}
text{fill:var(--soft);font:11px system-ui,sans-serif}.axis{stroke:var(--line)}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(320px,100%),1fr));gap:16px}
article{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px;min-width:0}
article img{display:block;width:100%;height:auto;border-radius:4px;margin:0 0 8px}
article p{overflow-wrap:anywhere}.said{font-size:.9rem;white-space:pre-line}
@media(max-width:640px){body{padding:14px}.tiles{gap:8px}.tiles div{flex:1 1 40%;padding:8px 12px}
h2{margin-top:24px}thead{display:none}
tr{display:flex;flex-wrap:wrap;gap:0 16px;padding:6px 0;border-bottom:1px solid var(--line)}
td,td:first-child{border:0;padding:0;min-width:0;text-align:left;white-space:normal}
td:first-child{flex:0 0 100%}.meter{flex:1}
td[data-label]:not([data-label=""])::before{content:attr(data-label) " ";color:var(--soft)}}
@media print{body{max-width:none;padding:0}article,tr{break-inside:avoid}}
"""
)


def to_page(found: Dashboard, name: str, pictures: Mapping[str, str], nonce: str) -> str:
    """The whole page. name: of the dataset. pictures: image id → address. nonce: of its script."""
    heading = f"Annotation of {short(name, 80)}"
    inner = parts(found, pictures)
    # Only the first part is read out when it changes: it sums up, the others would never be silent.
    live = {"summary": ' aria-live="polite"'}
    sections = "\n".join(
        f'<section id="{part}"{live.get(part, "")}>{html}</section>' for part, html in inner.items()
    )
    script = (files("synthscars.companion") / "dashboard.js").read_text(encoding="utf-8")
    return (
        f"{page_head(heading, _STYLE, nonce)}"
        f'<body data-records="{html_text(state_of(found))}" data-seconds="{SECONDS}">\n'
        f"<h1>{html_text(heading)}</h1>\n"
        f'<p><a href="/projects/">Projects in Label Studio</a></p>\n'
        f'<p id="lost" class="bad" role="status"></p>\n<main>\n{sections}\n</main>\n'
        f'<script nonce="{nonce}">{script}</script></body></html>\n'
    )


def parts(found: Dashboard, pictures: Mapping[str, str], *, gallery: bool = True) -> dict[str, str]:
    """The sections of the page, by name, in their order. gallery: also the one with pictures."""
    made = {
        "summary": _summary(found),
        "activity": _activity(found),
        "present": _present(found.present),
        "progress": _progress(found.batches),
        "raters": _raters(found.raters),
        "agreement": _agreement(found),
        "gold": _gold(found.gold),
        "refusals": _refusals(found),
    }
    if gallery:
        made[GALLERY] = _disputes(found, pictures)
    return made


def state_of(found: Dashboard) -> str:
    """Tells records from other ones: a page that has these needs no new pictures."""
    return f"{found.records}@{found.pulled_at:.3f}"


def _summary(found: Dashboard) -> str:
    tiles = {
        "images": f"{found.images:,}",
        "with an answer": f"{found.answered:,}",
        "answers": f"{found.answers:,}",
        "disputed images": f"{found.disputed:,}",
        "refused submissions": f"{found.refused:,}",
    }
    inner = "".join(f"<div><b>{value}</b>{what}</div>" for what, value in tiles.items())
    return f'<div class="tiles">{inner}</div>{_pulled(found)}'


def _pulled(found: Dashboard) -> str:
    """How fresh the figures are, and whether anything is wrong with fetching."""
    if not found.records:
        lines = [
            "<p>Nothing was pulled yet: run <code>synthscars platform pull</code>, or wait for the first.</p>"
        ]
    else:
        new = f", {found.fresh:,} newer answers counted from the audit log" if found.fresh else ""
        lines = [
            f'<p class="soft">From the pull of {_time(found.pulled_at)} '
            f"({html_text(found.records)}){new}. Times are UTC.</p>"
        ]
    if found.hint_at > found.pulled_at:
        lines.append(f'<p class="soft">Label Studio told of a change at {_time(found.hint_at)}.</p>')
    if found.pulls.running:
        lines.append('<p class="soft">A pull is running.</p>')
    if found.pulls.failures == 1:
        # Often another command was at work.
        lines.append(
            f'<p class="soft">The last pull did not work and comes again: {html_text(found.pulls.error)}</p>'
        )
    elif found.pulls.failures:
        lines.append(
            f'<p class="bad">Pulling failed {found.pulls.failures} times in a row: '
            f"{html_text(found.pulls.error)}</p>"
        )
    if not found.pulls.every_minutes:
        lines.append('<p class="soft">Pulls on their own are switched off (reconcile_minutes is 0).</p>')
    if found.unreadable:
        lines.append(f'<p class="bad">{found.unreadable:,} lines of platform/audit cannot be read.</p>')
    return "".join(lines)


def _activity(found: Dashboard) -> str:
    days = _chart(found.days, "%d %b", "Answers per day")
    hours = _chart(found.hours, "%H:00", "Answers per hour")
    return f'<h2>Activity</h2><div class="pair"><div>{days}</div><div>{hours}</div></div>'


def _chart(bars: Sequence[tuple[float, int]], pattern: str, title: str) -> str:
    """Bars as SVG; every figure is told in a tooltip too. The heading says the sum."""
    width, height, foot, head = 480, 150, 20, 16
    most, step = max((count for _, count in bars), default=0), width / max(len(bars), 1)
    shapes = []
    for index, (begin, count) in enumerate(bars):
        tall = (height - foot - head) * count / most if most else 0
        x, y = index * step + step * 0.12, height - foot - tall
        when = datetime.fromtimestamp(begin, UTC)
        shapes.append(
            f"<g><title>{when:%Y-%m-%d %H:%M}: {count:,}</title>"
            f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{step * 0.76:.1f}" height="{tall:.1f}"/></g>'
        )
        middle = index * step + step / 2
        if count == most and most:
            shapes.append(f'<text x="{middle:.1f}" y="{y - 4:.1f}" text-anchor="middle">{count:,}</text>')
        # Labels every few bars, counted from the newest.
        if (len(bars) - 1 - index) % 4 == 0:
            anchor, place = ("end", width) if index == len(bars) - 1 else ("middle", middle)
            label = when.strftime(pattern)
            shapes.append(f'<text x="{place:.1f}" y="{height - 5}" text-anchor="{anchor}">{label}</text>')
    line = f'<line class="axis" x1="0" x2="{width}" y1="{height - foot}" y2="{height - foot}"/>'
    total = sum(count for _, count in bars)
    unit = "day" if bars and len(bars) > 1 and bars[1][0] - bars[0][0] >= _DAY else "hour"
    told = f"{title}: {total:,} in the last {len(bars)} {unit}s"
    return (
        f"<h3>{told}</h3>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{told}">{line}{"".join(shapes)}</svg>'
    )


def _present(present: Sequence[Present]) -> str:
    rows = [
        f'<tr><td>{html_text(one.name)}</td><td class="w">{_does(one)}</td>'
        f'<td class="n">{_ago(one.seconds_ago)}</td></tr>'
        for one in present
    ]
    table = _table(("who", "what", "n:last seen"), rows, "Nobody was here in the last minutes.")
    return f"<h2>Who is on what now</h2>{table}"


def _does(one: Present) -> str:
    name = f" ({html_text(short(one.file_name, 80))})" if one.file_name else ""
    return f"{html_text(one.what)} task {one.task}{name}" if one.task else "asks for the next task"


def _progress(batches: Sequence[BatchProgress]) -> str:
    rows = []
    for one in batches:
        kind = "" if one.kind == "queue" else f" ({one.kind})"
        skipped = f", {one.skipped:,} skipped" if one.skipped else ""
        rows.append(
            f'<tr><td>{html_text(one.rater)}</td><td class="t">{html_text(one.batch + kind)}</td>'
            f'<td class="meter">{_meter(one.answered, one.tasks)}</td>'
            f'<td class="n">{one.answered:,} of {one.tasks:,}{skipped}</td></tr>'
        )
    nothing = "No batches were assigned: everybody answers in the common project."
    table = _table(("rater", "batch", ":", "n:answered"), rows, nothing)
    return f"<h2>Progress per batch</h2>{table}"


def _meter(part: int, whole: int) -> str:
    share = min(part / whole, 1.0) if whole else 0.0
    kind = "full" if share == 1 else "bar"
    return (
        f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{share:.0%}">'
        f'<rect class="track" width="100" height="10"/>'
        f'<rect class="{kind}" width="{100 * share:.1f}" height="10"/></svg>'
    )


def _raters(raters: Sequence[RaterWork]) -> str:
    rows = []
    for one in raters:
        spread = f"{_duration(one.low)} – {_duration(one.high)}" if one.median is not None else "–"
        rows.append(
            f'<tr><td>{html_text(one.name)}</td><td class="n">{one.answered:,}</td>'
            f'<td class="n">{one.skipped:,}</td><td class="n">{one.refused:,}</td>'
            f'<td class="n">{_duration(one.median)}</td><td class="n">{spread}</td></tr>'
        )
    heads = ("rater", "n:answers", "n:skipped", "n:refused", "n:median time", "n:middle half")
    return f"<h2>Raters</h2>{_table(heads, rows, 'Nobody has answered yet.')}"


def _agreement(found: Dashboard) -> str:
    report = found.agreement
    if report is None:
        return (
            "<h2>Agreement so far</h2>"
            '<p class="soft">No image was answered by two raters yet, as far as answers were pulled.</p>'
        )
    rows = [
        f'<tr><td>{what}</td><td class="n">{_value(measure)}</td><td class="n">{_interval(measure)}</td>'
        f'<td class="n">{measure.images if measure else 0:,}</td></tr>'
        for what, measure in _measures(report)
    ]
    table = _table(("", "n:value", "n:95 % interval", "n:images"), rows, "")
    return (
        f'<h2>Agreement so far</h2><p class="soft">{report.raters:,} raters on {report.images:,} images that '
        f"at least two of them answered.</p>{table}"
    )


def _measures(report: AgreementReport) -> Iterable[tuple[str, Measure | None]]:
    yield "images where all say the same: artifacts or none", report.status
    yield "regions that the other rater drew too (F1 at IoU 0.5)", report.regions.found
    yield "mean mask IoU of these", report.regions.iou
    yield "Dice of everything drawn", report.regions.dice
    yield "same category", report.category
    yield "category, corrected for chance (kappa)", report.kappa


def _value(measure: Measure | None) -> str:
    return "–" if measure is None else f"{measure.value:.2f}"


def _interval(measure: Measure | None) -> str:
    if measure is None or measure.low is None or measure.high is None:
        return "–"
    return f"{measure.low:.2f} – {measure.high:.2f}"


def _gold(gold: Sequence[tuple[str, RaterGold]]) -> str:
    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.0%}"

    rows = [
        f'<tr><td>{html_text(name)}</td><td class="n">{one.answered:,}</td>'
        f'<td class="n">{share(one.status_agreed)}</td><td class="n">{one.found:,}</td>'
        f'<td class="n">{one.missed:,}</td><td class="n">{one.false_alarms:,}</td>'
        f'<td class="n">{"–" if one.iou is None else f"{one.iou:.2f}"}</td>'
        f'<td class="n">{share(one.category)}</td></tr>'
        for name, one in gold
    ]
    heads = (
        *("rater", "n:images", "n:artifact or none right", "n:found", "n:missed"),
        *("n:false alarms", "n:IoU", "n:category right"),
    )
    nothing = "Nobody has answered an image whose answer is known, or there are none."
    return f"<h2>Images with a known answer</h2>{_table(heads, rows, nothing)}"


def _refusals(found: Dashboard) -> str:
    rows = [_refusal(one) for one in found.refusals]
    count = (
        f'<p class="soft">The last {len(rows)} of {found.refused:,}.</p>' if found.refused > len(rows) else ""
    )
    table = _table(("who", "when", "task", "where the drawing is"), rows, "Nothing was refused.")
    return f"<h2>Refused submissions</h2>{count}{table}"


def _refusal(one: Refusal) -> str:
    place = html_text(one.kept) if one.kept else "nothing was drawn"
    why = "".join(f'<br><span class="soft">{html_text(short(each))}</span>' for each in one.wrong[:3])
    return (
        f'<tr><td>{html_text(one.name)}</td><td class="t">{_time(one.at)}</td>'
        f'<td class="t">{one.task or "–"}</td><td class="w">{place}{why}</td></tr>'
    )


def _disputes(found: Dashboard, pictures: Mapping[str, str]) -> str:
    if not found.disputes:
        return '<h2>Worst disagreements</h2><p class="soft">None so far.</p>'
    cards = "".join(_dispute(one, pictures.get(one.image_id, "")) for one in found.disputes)
    return (
        '<h2>Worst disagreements</h2><p class="soft">Disagreement: of every region, the share of the other '
        f'raters who did not draw it; the mean over all.</p><div class="gallery">{cards}</div>'
    )


def _dispute(one: Dispute, picture: str) -> str:
    name = html_text(short(one.file_name, 80))
    # Only what is surely a picture of ours.
    shown = picture if re.fullmatch(r"data:image/jpeg;base64,[0-9A-Za-z+/=]+", picture) else ""
    image = (
        f'<img alt="Outlines that the raters drew on {name}" src="{shown}">'
        if shown
        else '<p class="soft">The image cannot be shown.</p>'
    )
    link = (
        f'<p><a href="/projects/{one.project}/data?task={one.task}">Task {one.task} in Label Studio</a></p>'
        if one.project and one.task
        else ""
    )
    return (
        f"<article><h3>{name}</h3>{image}<p>Disagreement {one.disagreement:.0%}</p>"
        f'<p class="said">{html_text(short(one.said, 600))}</p>{link}</article>'
    )


def _table(heads: Sequence[str], rows: Sequence[str], nothing: str) -> str:
    """A table, or what is said if there are no rows. heads: `n:` before those of numbers."""
    if not rows:
        return f'<p class="soft">{nothing}</p>'
    names = [head.removeprefix("n:").strip(":") for head in heads]
    cells = "".join(
        f'<th scope="col"{" class=n" if head.startswith("n:") else ""}>{name}</th>'
        for head, name in zip(heads, names, strict=True)
    )
    body = "".join(_labelled(row, names) for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _labelled(row: str, names: Sequence[str]) -> str:
    """A row whose cells say what they are, for narrow screens without a head. Escaped text has no `<td`."""
    begin, *cells = row.split("<td")
    labels = ["", *names[1:]]  # the first says it by itself
    return begin + "".join(
        f'<td data-label="{label}"{cell}' for label, cell in zip(labels, cells, strict=True)
    )


def _time(at: float) -> str:
    when = datetime.fromtimestamp(at, UTC)
    return f'<time datetime="{when:%Y-%m-%dT%H:%M:%SZ}">{when:%d %b %Y, %H:%M}</time>'


def _ago(seconds: float) -> str:
    return "just now" if seconds < 15 else f"{_duration(seconds)} ago"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    if seconds < 1.5 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.1f} min" if seconds < 1.5 * _HOUR else f"{seconds / _HOUR:.1f} h"
