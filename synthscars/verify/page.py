"""The verification as one HTML page that needs nothing else; the style is that of the other pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from synthscars.metrics import Figure, ImageScore
from synthscars.metrics.statistics import with_artifacts
from synthscars.predictions import Prediction
from synthscars.records import ImageRecord
from synthscars.release.page import REPORT, html_text, page_head
from synthscars.release.page_outlines import OUTLINES
from synthscars.shown import short
from synthscars.verify.gate import METRICS, shown
from synthscars.verify.judge import Shown
from synthscars.verify.pictures import Example, artifact_of, example_html
from synthscars.verify.plots import as_png, plot_answers, plot_curves, read_curves
from synthscars.verify.result import Criterion, Scored, Verification
from synthscars.verify.suspects import LabelError

REASONS = 6
GALLERY = 9
EXTREMES = 6
SUSPECTS = 24
"""How many of each the page shows."""

_GROUPS = {
    "data": "The data",
    "trivial": "Better than every trivial answer",
    "shuffled": "Shuffled labels",
    "leaks": "Leaks",
}
_MARKS = {"passed": "✓ passed", "failed": "✗ failed", "not_applicable": "– not applicable"}

_STYLE = (
    REPORT
    + """
:root{--old:#b84a00;--good:#00664a;--bad:#a3122a}
@media screen and (prefers-color-scheme:dark){:root{--old:#f59a4d;--good:#5fd3ae;--bad:#ff8c9c}}
h4{font-size:.9rem;margin:0 0 2px}
.good{color:var(--good)}.bad{color:var(--bad)}
.verdict{border:1px solid var(--line);border-left:6px solid;border-radius:8px;background:var(--card);
padding:12px 16px;margin:0 0 16px}.verdict strong{font-size:1.3rem;display:block}
.verdict.good{border-left-color:var(--good)}.verdict.bad{border-left-color:var(--bad)}
.verdict ul{color:var(--ink);margin:8px 0 0;padding-left:20px}.verdict p{color:var(--ink);margin:4px 0 0}
table{width:100%}td small{display:block;color:var(--soft);white-space:nowrap}
.criteria td:first-child{white-space:nowrap;width:9.5rem}.criteria td{overflow-wrap:anywhere}
.criteria small{white-space:normal}
tr.model td{font-weight:600}
.figures td:first-child{min-width:11rem}
.plot{background:#fff;border-radius:8px;padding:8px;margin:0 0 12px}.plot img{display:block;width:100%;
height:auto}
.panels{display:grid;grid-template-columns:repeat(3,minmax(0,1fr));gap:12px}
figure svg{max-height:420px}
figcaption{color:var(--soft);font-size:.85rem}
.said{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(280px,100%),1fr));gap:4px 24px;
margin-top:8px}ol{margin:0;padding-left:22px}li{overflow-wrap:anywhere}
.is-name{color:var(--new)}.was-name{color:var(--old)}
"""
    + OUTLINES
    + """
code{font:85% ui-monospace,SFMono-Regular,Menlo,monospace;overflow-wrap:anywhere}
details{margin:0 0 12px}summary{cursor:pointer}
@media(max-width:640px){.panels{grid-template-columns:repeat(2,minmax(0,1fr));gap:8px}
.figures td:first-child{min-width:8rem}.tiles{gap:8px}.tiles div{flex:1 1 40%}
.criteria td{display:block;border-bottom:0;padding:0}.criteria td:first-child{width:auto}
.criteria tr{display:block;border-bottom:1px solid var(--line);padding:6px 0}}
"""
)


def to_page(
    found: Shown,
    predictions: Mapping[str, Prediction],
    picture: Callable[[str], bytes | None],
    curves: Path | None = None,
) -> Iterator[str]:
    """The page, piece by piece. predictions: of whatever images there are. picture: original bytes by id.

    curves: the log of the training. Everything from the data is escaped.
    """
    result = found.verification
    name = f"{result.release.name} {result.release.version}".strip()
    heading = f"Verification of {short(name, 80)}"
    yield page_head(heading, _STYLE) + f"<body>\n<h1>{html_text(heading)}</h1>\n"
    yield _verdict(result)
    yield _tiles(result)
    yield _criteria(result.criteria)
    yield _figures(result)
    plot = as_png(lambda: plot_answers(result))
    yield f'<div class="plot"><img alt="The same figures as a plot" src="{plot}"></div>\n'
    yield _ceiling(result)
    yield _training(result, curves)
    yield from _examples(found, predictions, picture)
    yield _made(result)
    yield "</body></html>\n"


def _verdict(result: Verification) -> str:
    if result.verified:
        return (
            '<div class="verdict good"><strong>✓ Verified</strong><p>The model learned from this release '
            "what no answer without a look at the image can know, and nothing points to a leak.</p></div>\n"
        )
    items = "".join(f"<li>{html_text(reason)}</li>" for reason in result.reasons[:REASONS])
    more = len(result.reasons) - REASONS
    rest = f'<p class="soft">and {more} more below</p>' if more > 0 else ""
    return (
        '<div class="verdict bad"><strong>✗ Not verified</strong><p>This does not hold:</p>'
        f"<ul>{items}</ul>{rest}</div>\n"
    )


def _tiles(result: Verification) -> str:
    release, model = result.release, result.answers[0].figures
    tiles = {
        "train images": f"{release.images['train']:,}",
        "test images": f"{release.images['test']:,}",
        "artifacts": f"{sum(release.artifacts.values()):,}",
    }
    for metric, what in (("fg_iou", "foreground IoU"), ("pooled_f1", "F1"), ("rouge_l", "ROUGE-L")):
        if metric in model:
            tiles[f"{what}, the model"] = f"{model[metric].value:.3f}"
    inner = "".join(f"<div><b>{value}</b>{name}</div>" for name, value in tiles.items())
    return f'<div class="tiles">{inner}</div>\n'


def _criteria(criteria: Sequence[Criterion]) -> str:
    parts = ["<h2>What must hold</h2>\n"]
    for group, heading in _GROUPS.items():
        rows = [each for each in criteria if each.group == group]
        passed = sum(each.verdict == "passed" for each in rows)
        count = sum(each.verdict != "not_applicable" for each in rows)
        failed = any(each.verdict == "failed" for each in rows)
        body = "".join(
            f'<tr><td class="{_colour(each.verdict)}">{_MARKS[each.verdict]}<td>{html_text(each.what)}'
            f"<small>{html_text(_detail(each))}</small>"
            for each in rows
        )
        parts.append(
            f"<details{' open' if failed or group == 'leaks' else ''}><summary><b>{heading}</b>: "
            f"{passed} of {count} passed</summary>"
            f'<table class="criteria">{body}</table></details>\n'
        )
    return "".join(parts)


def _detail(criterion: Criterion) -> str:
    told = shown(criterion)
    return told if not criterion.why or criterion.why == told else f"{told}. {short(criterion.why, 400)}"


def _colour(verdict: str) -> str:
    return {"passed": "good", "failed": "bad"}.get(verdict, "soft")


def _figures(result: Verification) -> str:
    columns = [name for name in METRICS if any(name in each.figures for each in result.answers)]
    head = "".join(f'<th class="n">{html_text(METRICS[name])}' for name in columns)
    rows = "".join(
        f'<tr class="{each.kind}"><td>{html_text(_title(each))}'
        + "".join(_cell(each.figures.get(name)) for name in columns)
        for each in result.answers
    )
    return (
        "<h2>The model beside answers that need none</h2>\n"
        f'<p class="soft">On the test split; below each figure its {result.thresholds.confidence:.0%} '
        "interval. IoU and mIoU are averaged over the images with artifacts, F1 is of all pixels. An empty "
        "mask has about half of the mIoU, so that decides nothing.</p>\n"
        f'<div class="wide"><table class="figures"><tr><th>answer{head}{rows}</table></div>\n'
    )


def _title(answer: Scored) -> str:
    return f"the model ({short(answer.title, 60)})" if answer.kind == "model" else answer.title


def _cell(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return '<td class="n soft">–'
    ends = f"{figure.low:.3f} – {figure.high:.3f}" if figure.low is not None else ""
    return f'<td class="n">{figure.value:.3f}<small>{ends}</small>'


def _ceiling(result: Verification) -> str:
    ceiling = result.ceiling
    heading = "<h2>People</h2>\n"
    if ceiling.why:
        return f'{heading}<p class="soft">{html_text(ceiling.why)}</p>\n'
    shares = ", ".join(f"{share:.0%} in {METRICS[name]}" for name, share in ceiling.reached.items())
    return (
        f"{heading}<p>{ceiling.answers:,} answers of raters on {ceiling.images:,} test images, each against "
        f"what the other raters of the image agree on. The model reaches {html_text(shares)}.</p>\n"
    )


def _training(result: Verification, curves: Path | None) -> str:
    read = read_curves(curves) if curves is not None else {}
    heading = "<h2>Training</h2>\n"
    if not read:
        why = "There is no log of the training." if curves is None else "It was too short for curves."
        return f'{heading}<p class="soft">{why}</p>\n'
    plot = as_png(lambda: plot_curves(read, short(result.model.name, 60)))
    return f'{heading}<div class="plot"><img alt="Losses and metrics" src="{plot}"></div>\n'


# Pictures


def _examples(
    found: Shown, predictions: Mapping[str, Prediction], picture: Callable[[str], bytes | None]
) -> Iterator[str]:
    records = {record.image_id: record for group in found.inputs for record in group}
    scores = [score for score in found.scores if score.image_id in records and score.judged]
    chosen = sorted(scores, key=lambda score: hashlib.sha256(score.image_id.encode()).digest())[:GALLERY]
    ranked = sorted(filter(with_artifacts, scores), key=lambda score: (_iou(score), score.image_id))
    number = 0
    for heading, what, group in (
        ("Gallery", "Chosen by the hash of their ids, not by how well the model does.", chosen),
        ("Worst", "Lowest foreground IoU.", ranked[:EXTREMES]),
        ("Best", "Highest foreground IoU.", ranked[::-1][:EXTREMES]),
    ):
        yield f'<h2>{heading}</h2>\n<p class="soft">{what}</p>\n'
        for score in group:
            number += 1
            record = records[score.image_id]
            example = Example(record, predictions.get(score.image_id), _note(score))
            yield example_html(example, number, picture)
    yield from _suspects(found, records, predictions, picture, number)


def _iou(score: ImageScore) -> float:
    return score.pixels.overlap()["fg_iou"]


def _note(score: ImageScore) -> str:
    if not with_artifacts(score):
        return f'<p class="soft">clean; {"nothing" if not score.found else "something"} was predicted</p>'
    text = f", ROUGE-L {score.rouge_l:.2f}" if score.rouge_l is not None else ""
    return f'<p class="soft">foreground IoU {_iou(score):.2f}{text}</p>'


def _suspects(
    found: Shown,
    records: Mapping[str, ImageRecord],
    predictions: Mapping[str, Prediction],
    picture: Callable[[str], bytes | None],
    number: int,
) -> Iterator[str]:
    listed = found.verification.label_errors.listed
    yield f"<h2>Likely label errors: {listed:,}</h2>\n"
    if not listed:
        yield '<p class="soft">There is too little evidence to suspect any label.</p>\n'
        return
    yield (
        f'<p class="soft">The first {min(listed, SUSPECTS):,} of the list, the most suspicious first; all '
        "are in <code>label_errors.jsonl</code>. A label is here because models that have not learned from "
        "it would expect another: look at it before you change it.</p>\n"
    )
    for error in found.errors[:SUSPECTS]:
        record = records[error.image_id]
        if artifact_of(record, error.artifact_id) is None:
            continue
        number += 1
        example = Example(record, predictions.get(error.image_id), _suspicion(error), error.artifact_id)
        yield example_html(example, number, picture)


def _suspicion(error: LabelError) -> str:
    z = ", ".join(
        f"{name} {value:+.1f}"
        for name, value in (("mask", error.mask_z), ("text", error.text_z), ("match", error.match_z))
        if value is not None
    )
    asked = "mask or text" if error.channel == "match" else error.channel
    return (
        f"<p>{error.rank}. Is the <strong>{asked}</strong> wrong? <span class=soft>artifact "
        f"<code>{html_text(short(error.artifact_id, 80))}</code> in {html_text(error.split or 'no split')}; "
        f"z-scores from {error.method}: {z}</span></p>"
    )


def _made(result: Verification) -> str:
    model = result.model
    lines = {
        "model": model.name,
        "sha256 of the model": model.digest,
        "sha256 of the manifest": result.release.manifest_sha256,
        "seed": str(result.seed),
        **result.tools,
    }
    rows = "".join(
        f"<tr><td>{html_text(name)}<td><code>{html_text(short(value, 120))}</code>"
        for name, value in lines.items()
    )
    return f"<h2>Made from</h2>\n<div class=wide><table>{rows}</table></div>\n"
