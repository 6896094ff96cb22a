"""One image on the page: as it is, with what is true, with what was predicted, and what both say of it.

The picture is in the page once; the other two panels use it again. Outlines are SVG over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from synthscars.geometry import from_rle, simplify
from synthscars.images import open_image, upright
from synthscars.predictions import PredictedRegion, Prediction
from synthscars.problems import ImageError
from synthscars.records import Artifact, ImageRecord, Ring
from synthscars.release.page import html_text, jpeg_uri
from synthscars.shown import short

SIDE = 360
"""Pixels of the longer side of a picture."""

_QUALITY = 72
_LONGEST_TEXT = 600
_LONGEST_ANSWER = 200
_MOST_REGIONS = 12
_MOST_POINTS = 600
"""Points of one region that are drawn."""


class Example(NamedTuple):
    """What is shown of one image. marked: the artifact that it is about, `""` if all of them. note: HTML."""

    record: ImageRecord
    prediction: Prediction | None
    note: str = ""
    marked: str = ""


def example_html(example: Example, number: int, picture: Callable[[str], bytes | None]) -> str:
    """An article about an image. number: makes ids on the page unique."""
    record = example.record
    regions = example.prediction.regions if example.prediction is not None else ()
    true = [(artifact.artifact_id == example.marked, artifact.polygons) for artifact in record.artifacts]
    seen = [(True, _outline(region, record)) for region in regions[:_MOST_REGIONS]]
    if not example.marked:
        true = [(True, rings) for _, rings in true]
    width, height = record.width, record.height
    base = _image(record, number, picture)
    again = f'<use href="#p{number}"/>'
    panels = [
        ("image", base, ""),
        ("truth", again, "".join(_drawn(true, "is", max(width, height)))),
        ("prediction", again, "".join(_drawn(seen, "was", max(width, height)))),
    ]
    if example.prediction is None:
        panels.pop()
    figures = "".join(
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{name}">{inner}{outlines}</svg>'
        f"<figcaption>{name}</figcaption></figure>"
        for name, inner, outlines in panels
    )
    said = _texts("Truth", "is", [(each.phrase, each.explanation) for each in record.artifacts], true)
    if example.prediction is not None:
        told = [(each.phrase, each.explanation) for each in regions[:_MOST_REGIONS]]
        said += _texts("Prediction", "was", told, seen, _whole(example.prediction))
    return (
        f"<article><h3><bdi>{html_text(short(record.file_name, 60))}</bdi> "
        f"<code>{html_text(record.image_id[:12])}</code></h3>\n{example.note}"
        f'<div class="panels">{figures}</div><div class="said">{said}</div></article>\n'
    )


def _image(record: ImageRecord, number: int, picture: Callable[[str], bytes | None]) -> str:
    data = picture(record.image_id)
    address = ""
    if data is not None:
        try:
            address = jpeg_uri(upright(open_image(data)), SIDE, _QUALITY)
        except (ImageError, OSError):
            address = ""
    size = f'id="p{number}" width="{record.width}" height="{record.height}"'
    if not address:
        return f'<rect {size} fill="#808080"/>'
    return f'<image {size} preserveAspectRatio="none" href="{address}"/>'


def _outline(region: PredictedRegion, record: ImageRecord) -> tuple[Ring, ...]:
    """The outline of a predicted region, with few enough points for a page."""
    if region.rle is None:
        return region.polygons
    height, width = region.rle.size
    if (width, height) != (record.width, record.height):
        return ()
    try:
        rings = from_rle({"size": [height, width], "counts": region.rle.counts.encode()})
    except (ValueError, TypeError):
        return ()
    tolerance = max(width, height) / 250
    simple = [ring if len(ring) <= 8 else simplify(ring, tolerance) for ring in rings]
    kept: list[Ring] = []
    points = 0
    for ring in sorted(simple, key=len, reverse=True):
        points += len(ring) // 2
        if points <= _MOST_POINTS:
            kept.append(ring)
    return tuple(kept)


def _drawn(regions: Sequence[tuple[bool, Sequence[Ring]]], kind: str, size: int) -> Iterator[str]:
    for shown, rings in regions:
        if not shown:
            yield from (f'<polygon class="same" points="{_points(ring)}"/>' for ring in rings)
    for number, (shown, rings) in enumerate(regions, 1):
        if not shown:
            continue
        for style in ("rim", kind):
            yield from (f'<polygon class="{style}" points="{_points(ring)}"/>' for ring in rings)
        if rings and rings[0]:
            x, y = _inside(rings[0][0], size), _inside(rings[0][1], size)
            yield (
                f'<text class="mark" x="{x}" y="{y}" style="font-size:{size / 18:.1f}px;'
                f'stroke-width:{size / 120:.1f}px">{number}</text>'
            )


def _inside(value: float, size: int) -> str:
    return f"{min(max(value, size / 18), size * 17 / 18):.1f}"


def _points(ring: Ring) -> str:
    return " ".join(f"{value:.1f}" for value in ring)


def _whole(prediction: Prediction) -> str:
    """The text of an answer whose regions have none."""
    return "" if any(each.phrase or each.explanation for each in prediction.regions) else prediction.text


def _texts(
    name: str,
    kind: str,
    told: Sequence[tuple[str, str]],
    regions: Sequence[tuple[bool, Sequence[Ring]]],
    whole: str = "",
) -> str:
    items = "".join(
        f"<li{'' if marked else ' class=soft'}><b>{html_text(short(phrase, 120))}</b> "
        f"{html_text(short(explanation, _LONGEST_TEXT))}</li>"
        for (phrase, explanation), (marked, _) in zip(told, regions, strict=False)
    )
    body = f'<ol dir="auto">{items}</ol>' if items else '<p class="soft">no artifact</p>'
    if whole:
        body += f'<p dir="auto">{html_text(short(whole, _LONGEST_ANSWER))}</p>'
    return f'<div><h4 class="{kind}-name">{name}</h4>{body}</div>'


def artifact_of(record: ImageRecord, artifact_id: str) -> Artifact | None:
    """The artifact of an id."""
    return next((each for each in record.artifacts if each.artifact_id == artifact_id), None)
