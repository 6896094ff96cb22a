"""What a model says about images, as one HTML page for people to look at: pictures, outlines, texts.

The images that it is surest about come first. The page needs nothing else; what is from outside is escaped.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from synthscars.engine import map_ordered
from synthscars.legion.running import Change, Item, Loaded, load_item
from synthscars.predictions import PredictedRegion, Prediction
from synthscars.release import page_outlines as svg
from synthscars.release.page import REPORT, html_text, jpeg_uri, page_head
from synthscars.shown import short
from synthscars.taxonomy import load_taxonomy

SIDE = 480
"""Pixels of the longer side of a picture."""

_SMALL = 160
_MOST_CLEAN = 24
_QUALITY = 72
_LONGEST_TEXT = 400

_STYLE = (
    REPORT
    + """
article{display:grid;grid-template-columns:minmax(0,480px) minmax(0,1fr);gap:4px 24px;align-items:start}
figure svg{max-height:480px}
ol{margin:0;padding-left:22px}li{overflow-wrap:anywhere;margin:0 0 8px}
li small{color:var(--soft);display:block}
.clean{display:grid;grid-template-columns:repeat(auto-fill,minmax(130px,1fr));gap:12px}
.clean img{display:block;max-width:100%;height:110px;object-fit:contain;border-radius:4px}
.clean figcaption{font-size:.8rem;color:var(--soft);overflow-wrap:anywhere}
"""
    + svg.OUTLINES
    + """
@media(max-width:760px){article{grid-template-columns:minmax(0,1fr)}}
"""
)


class Overview(NamedTuple):
    """What a file of predictions adds up to, and what of it the page shows.

    found: images in which something was seen. generated: images taken for generated ones, of `judged`.
    kinds: (category, subtype) → regions. shown: of the images in which something was seen those that the
    model is surest about. clean: the first of the others.
    """

    images: int
    found: int
    regions: int
    judged: int
    generated: int
    kinds: Mapping[tuple[str, str], int]
    shown: list[Prediction]
    clean: list[Prediction]


def overview(predictions: Iterable[Prediction], most: int) -> Overview:
    """Look through predictions once, and keep what the page shows. most: images with something found."""
    counts: Counter[str] = Counter()
    kinds: Counter[tuple[str, str]] = Counter()
    surest: list[tuple[float, int, Prediction]] = []
    clean: list[Prediction] = []
    for number, prediction in enumerate(predictions):
        counts["images"] += 1
        counts["regions"] += len(prediction.regions)
        if prediction.synthetic is not None:
            counts["judged"] += 1
            counts["generated"] += prediction.synthetic >= 0.5
        kinds.update((region.category or "", region.subtype or "") for region in prediction.regions)
        if prediction.regions:
            counts["found"] += 1
            score = max(region.score or 0.0 for region in prediction.regions)
            # The number makes equally sure ones differ, the first of them the surest.
            entry = score, -number, prediction
            (heapq.heappush if len(surest) < most else heapq.heappushpop)(surest, entry)
        elif len(clean) < _MOST_CLEAN:
            clean.append(prediction)
    ordered = [prediction for *_, prediction in sorted(surest, key=lambda each: each[:2], reverse=True)]
    return Overview(
        images=counts["images"],
        found=counts["found"],
        regions=counts["regions"],
        judged=counts["judged"],
        generated=counts["generated"],
        kinds=kinds,
        shown=ordered,
        clean=clean,
    )


class Picture(NamedTuple):
    """A picture on the page. name: of its file; address: of a small JPEG, as `jpeg_uri` makes it."""

    name: str
    address: str


def pictures(
    where: Mapping[str, Item], seen: Overview, *, change: Change | None = None, workers: int | None = None
) -> dict[str, Picture]:
    """The pictures that the page shows, by image id, small; those that cannot be read any more are not there.

    where: image id → what gives the image; only those that are shown are read. change: as the model saw them.
    """
    sides = {each.image_id: SIDE for each in seen.shown} | {each.image_id: _SMALL for each in seen.clean}

    def small(image_id: str) -> tuple[str, Picture] | None:
        item = where[image_id]
        loaded = load_item(item._replace(image_id=image_id), change=change)
        if not isinstance(loaded, Loaded):
            return None
        return image_id, Picture(item.name, jpeg_uri(loaded.image, sides[image_id], _QUALITY))

    # In the order in which they were predicted, so that the parts of a file are read one after the other.
    wanted = (image_id for image_id in where if image_id in sides)
    return dict(filter(None, map_ordered(small, wanted, workers=workers)))


def to_page(model: str, source: str, seen: Overview, found: Mapping[str, Picture]) -> Iterator[str]:
    """The page, piece by piece. model, source: names; found: as `pictures` gives it."""
    heading = f"What {short(model, 60)} sees in {short(source, 80)}"
    yield page_head(heading, _STYLE) + f"<body>\n<h1>{html_text(heading)}</h1>\n"
    yield _tiles(seen)
    if seen.kinds:
        yield _kinds(seen.kinds)
    if seen.shown:
        rest = f"The {len(seen.shown):,} that it is surest about" if len(seen.shown) < seen.found else "All"
        yield (
            f'<h2>Something found: {seen.found:,}</h2>\n<p class="soft">{rest}, the surest first. '
            "Numbers are those of the list beside the picture. A model may be wrong in each: look.</p>\n"
        )
        for prediction in seen.shown:
            yield _article(prediction, found.get(prediction.image_id))
    if seen.clean:
        count = seen.images - seen.found
        first = f'<p class="soft">The first {len(seen.clean):,}.</p>\n' if len(seen.clean) < count else ""
        items = "".join(_clean(each, found.get(each.image_id)) for each in seen.clean)
        yield f'<h2>Nothing found: {count:,}</h2>\n{first}<div class="clean">{items}</div>\n'
    yield "</body></html>\n"


def _tiles(seen: Overview) -> str:
    tiles = {"images": seen.images, "with something found": seen.found, "regions": seen.regions}
    if seen.judged:
        tiles["taken for generated"] = seen.generated
    inner = "".join(f"<div><b>{value:,}</b>{name}</div>" for name, value in tiles.items())
    return f'<div class="tiles">{inner}</div>\n'


def _kinds(kinds: Mapping[tuple[str, str], int]) -> str:
    ranked = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    rows = "".join(
        f"<tr><td>{html_text(_kind(category, subtype))}<td class=n>{count:,}"
        for (category, subtype), count in ranked
    )
    return f"<table><tr><th>kind<th class=n>regions{rows}</table>\n"


def _kind(category: str, subtype: str) -> str:
    """The names of a category and a subtype, or the ids where the taxonomy has none."""
    taxonomy = load_taxonomy()
    names = {each.id: each.name for each in taxonomy.categories}
    names |= {each.id: each.name for each in taxonomy.subtypes}
    told = (short(names.get(each, each), 60) for each in (category, subtype) if each)
    return " / ".join(told) or "no kind named"


def _article(prediction: Prediction, picture: Picture | None) -> str:
    width, height = prediction.width, prediction.height
    regions = prediction.regions[: svg.MOST_REGIONS]
    outlines = svg.outlined(
        [(True, svg.outline(region, width, height)) for region in regions], "is", max(width, height)
    )
    items = "".join(map(_said, regions))
    more = len(prediction.regions) - len(regions)
    rest = f'<p class="soft">and {more:,} more</p>' if more else ""
    return (
        f'<article><figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="The image, outlined">'
        f"{svg.picture(picture.address if picture else '', width, height)}{''.join(outlines)}</svg></figure>"
        f"<div><h3>{_name(prediction, picture)}</h3>{_origin(prediction)}"
        f'<ol dir="auto">{items}</ol>{rest}</div></article>\n'
    )


def _said(region: PredictedRegion) -> str:
    sure = "" if region.score is None else f", score {region.score:.2f}"
    return (
        f"<li><b>{html_text(short(region.phrase, 120))}</b> "
        f"{html_text(short(region.explanation, _LONGEST_TEXT))}"
        f"<small>{html_text(_kind(region.category or '', region.subtype or ''))}{sure}</small></li>"
    )


def _origin(prediction: Prediction) -> str:
    if prediction.synthetic is None:
        return ""
    return f'<p class="soft">generated: {prediction.synthetic:.0%}</p>'


def _name(prediction: Prediction, picture: Picture | None) -> str:
    name = f"<bdi>{html_text(short(picture.name, 80))}</bdi> " if picture else ""
    return f"{name}<code>{html_text(short(prediction.image_id, 12))}</code>"


def _clean(prediction: Prediction, picture: Picture | None) -> str:
    image = f'<img src="{picture.address}" alt="">' if picture else ""
    return (
        f"<figure>{image}<figcaption>{_name(prediction, picture)}{_origin(prediction)}</figcaption></figure>"
    )
