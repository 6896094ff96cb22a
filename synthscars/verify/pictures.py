"""One image on the page: as it is, with what is true, with what was predicted, and what both say of it.

The picture is in the page once; the other two panels use it again. Outlines are SVG over it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from synthscars.images import open_image, upright
from synthscars.predictions import Prediction
from synthscars.problems import ImageError
from synthscars.records import Artifact, ImageRecord, Ring
from synthscars.release import page_outlines as svg
from synthscars.release.page import html_text, jpeg_uri
from synthscars.shown import short

SIDE = 360
"""Pixels of the longer side of a picture."""

_QUALITY = 72
_LONGEST_TEXT = 600
_LONGEST_ANSWER = 200


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
    seen = [
        (True, svg.outline(region, record.width, record.height)) for region in regions[: svg.MOST_REGIONS]
    ]
    if not example.marked:
        true = [(True, rings) for _, rings in true]
    width, height = record.width, record.height
    base = _image(record, number, picture)
    again = f'<use href="#p{number}"/>'
    panels = [
        ("image", base, ""),
        ("truth", again, "".join(svg.outlined(true, "is", max(width, height)))),
        ("prediction", again, "".join(svg.outlined(seen, "was", max(width, height)))),
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
        told = [(each.phrase, each.explanation) for each in regions[: svg.MOST_REGIONS]]
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
    return svg.picture(address, record.width, record.height, f"p{number}")


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
