"""Pictures of annotated images: outlines in the taxonomy's colours, phrases as labels, explanations below.

Coordinates are pixels of the upright image as in `synthscars.geometry`. Texts come from strangers: they are
put on one line, cut where they are too long, and only ever drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from PIL import Image, ImageChops, ImageDraw

from synthscars.drawing_text import Color, Font, balanced, clean, ink, line_height, load_font, wrap
from synthscars.geometry import polygon
from synthscars.records import Artifact
from synthscars.taxonomy import load_taxonomy

_UNKNOWN_COLOR = "#666666"
_RATER_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#7A4FBF", "#8A6D3B")
"""Told apart with any common colour vision: those of Okabe and Ito (2008), and two more."""
_SMALLEST_SIDE = 384
"""Pictures whose shorter side is smaller are enlarged, so that labels can be read."""
_SMOOTH_PIXELS = 4_000_000
"""Larger pictures have lines thick enough to look smooth without drawing them larger first."""
_LABEL_LINES = 3
_LEGEND_LINES = 12
_MAP_SIDE = 256
"""Of the map of what is covered, on which places for labels are looked for."""

Floats = npt.NDArray[np.float64]


class _Style(NamedTuple):
    """Sizes in pixels of the finished picture, and its fonts."""

    scale: int
    line: int
    pad: int
    font: Font
    bold: Font


class _Shown(NamedTuple):
    """An artifact to be drawn. shape: shapely, in pixels of the finished picture; it may be empty."""

    number: int
    artifact: Artifact
    color: Color
    shape: Any


class _Label(NamedTuple):
    lines: tuple[str, ...]
    width: int
    height: int


def draw_artifacts(
    image: Image.Image,
    artifacts: Sequence[Artifact],
    *,
    labels: bool = True,
    explanations: bool = False,
    font: str | Path | None = None,
    line: int | None = None,
    raters: Sequence[str] | None = None,
) -> Image.Image:
    """The image (upright, any mode) with the outlines of its artifacts, as RGB; the image stays as it is.

    labels: every artifact's phrase beside it (its subtype, if it has none), inside the picture. explanations:
    numbers, and below the picture what they stand for, with the explanations. font: a TrueType or OpenType
    file, for scripts that DejaVu Sans does not have (Chinese, for instance). line: width of the outlines in
    pixels of the finished picture, for one that is shown smaller; it follows from the size if not given.

    raters: colours tell who drew what, not the category, and a key below names these raters, also those who
    drew nothing, and whoever else drew something. Who is first has the same colour in every picture.

    An image whose shorter side is below 384 pixels is enlarged by a whole factor. Raises `OSError` if the
    font cannot be read.
    """
    canvas = image.convert("RGBA")
    paper = Image.new("RGBA", canvas.size, "white")
    canvas = Image.alpha_composite(paper, canvas).convert("RGB")
    scale = -(-_SMALLEST_SIDE // min(canvas.size))
    if scale > 1:
        canvas = canvas.resize((canvas.width * scale, canvas.height * scale), Image.Resampling.BICUBIC)
    style = _style(canvas.size, scale, font)
    if line is not None:
        style = style._replace(line=line)
    colors = None if raters is None else _rater_colors(raters, artifacts)
    shown = [
        _Shown(
            number,
            artifact,
            _color(artifact) if colors is None else colors[artifact.rater_id],
            _shape(artifact, canvas.size, scale),
        )
        for number, artifact in enumerate(artifacts, 1)
    ]
    # Large ones first: a small one within stays in sight.
    for each in sorted(shown, key=lambda each: -each.shape.area):
        _draw_outline(canvas, each, style)
    if labels:
        _draw_labels(canvas, [each for each in shown if not each.shape.is_empty], style, explanations)
    if colors:
        canvas = _with_key(canvas, colors, shown, style)
    return _with_legend(canvas, shown, style, colors is not None) if explanations and shown else canvas


def _style(size: tuple[int, int], scale: int, font: str | Path | None) -> _Style:
    middle = min((size[0] * size[1]) ** 0.5, 1.5 * min(size))
    points = max(14, round(0.024 * middle))
    return _Style(
        scale,
        max(2, round(0.0045 * middle)),
        points // 4,
        load_font(font, points),
        load_font(font, points, bold=True),
    )


def _color(artifact: Artifact) -> Color:
    taxonomy = load_taxonomy()
    known = artifact.category in taxonomy.category_ids
    return _rgb(taxonomy.category(str(artifact.category)).color if known else _UNKNOWN_COLOR)


def _rgb(text: str) -> Color:
    return (int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16))


def _rater_colors(raters: Sequence[str], artifacts: Sequence[Artifact]) -> dict[str, Color]:
    """Rater → colour, in the order of the key; from the ninth rater on, colours come again."""
    names = dict.fromkeys([*raters, *(artifact.rater_id for artifact in artifacts)])
    named = [name for name in names if name]
    colors = {name: _rgb(_RATER_COLORS[n % len(_RATER_COLORS)]) for n, name in enumerate(named)}
    return colors | ({"": _rgb(_UNKNOWN_COLOR)} if "" in names else {})


def _shape(artifact: Artifact, size: tuple[int, int], scale: int) -> Any:
    """The union of an artifact's rings, as far as it is on the picture."""
    rings = [polygon([value * scale for value in ring]) for ring in artifact.polygons if len(ring) >= 6]
    with np.errstate(all="ignore"):  # of numbers so large that nothing can be calculated with them
        united = shapely.union_all([shapely.make_valid(ring) for ring in rings])
        return shapely.intersection(united, shapely.box(0, 0, *size))


# Outlines


def _draw_outline(canvas: Image.Image, shown: _Shown, style: _Style) -> None:
    if shown.shape.is_empty:
        return
    margin = 3 * style.line
    left, top, right, bottom = shown.shape.bounds
    x, y = max(int(left) - margin, 0), max(int(top) - margin, 0)
    size = (min(int(right) + margin, canvas.width) - x, min(int(bottom) + margin, canvas.height) - y)
    smooth = 3 if canvas.width * canvas.height <= _SMOOTH_PIXELS else 1
    halo = max(2, style.line)
    for color, width in (((255, 255, 255), style.line + halo), (shown.color, style.line)):
        mask = Image.new("L", (size[0] * smooth, size[1] * smooth))
        pen = ImageDraw.Draw(mask)
        for line in _lines(shown.shape):
            # Pillow's whole numbers are the centres of pixels, ours their corners.
            points = [tuple(point) for point in (line - (x, y)) * smooth - 0.5]
            pen.line([*points, points[1]], fill=255, width=width * smooth, joint="curve")
        canvas.paste(color, (x, y), mask.resize(size, Image.Resampling.BOX))


def _lines(shape: Any) -> list[Floats]:
    """The closed lines around a shape and its holes, each of shape (points, 2)."""
    areas = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    rings = [ring for area in areas for ring in (area.exterior, *area.interiors)]
    return [np.asarray(ring.coords, dtype=np.float64) for ring in rings]


# Labels


def _draw_labels(canvas: Image.Image, shown: Sequence[_Shown], style: _Style, numbered: bool) -> None:
    covered = _covered(shown, canvas.size)
    taken: Floats = np.empty((0, 4))
    places: list[tuple[_Shown, _Label, Floats]] = []
    for each in shown:
        for label in _labels(each, canvas.width, style, numbered):
            place, free = _place(label, each.shape, taken, covered, canvas.size, style.pad)
            if free:
                break
        taken = np.vstack([taken, place])
        places.append((each, label, place))
    for each, _, place in places:
        _draw_leader(canvas, each, place, style)
    for each, label, place in places:
        _draw_label(canvas, label, place, each.color, style)


def _labels(shown: _Shown, width: int, style: _Style, numbered: bool) -> list[_Label]:
    """What may be written beside an artifact, the longest first: where that finds no room, a shorter one."""
    prefix = f"{shown.number}  " if numbered else ""
    text = prefix + _title(shown.artifact)
    half = max(width // 2, 4 * round(style.font.getlength("M")))
    found = [_label(balanced(text, style.font, half, _LABEL_LINES), style)]
    found.append(_label(wrap(text, style.font, half // 2, 1), style))
    if numbered:
        found.append(_label([str(shown.number)], style))
    return found


def _title(artifact: Artifact) -> str:
    taxonomy = load_taxonomy()
    kinds = _name_of(taxonomy.subtypes, artifact.subtype), _name_of(taxonomy.categories, artifact.category)
    return next(filter(None, map(clean, (artifact.phrase, *kinds))), "artifact")


def _name_of(entries: Sequence[Any], id: str | None) -> str:
    return next((each.name for each in entries if each.id == id), id or "")


def _label(lines: Sequence[str], style: _Style) -> _Label:
    width = max(round(style.font.getlength(line)) for line in lines) + 4 * style.pad
    return _Label(tuple(lines), width, len(lines) * line_height(style.font) + 2 * style.pad)


def _covered(shown: Sequence[_Shown], size: tuple[int, int]) -> Floats:
    """What the artifacts cover, summed up over rows and columns: shape (rows + 1, columns + 1)."""
    factor = min(1.0, _MAP_SIDE / max(size))
    width, height = max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)
    mask = Image.new("1", (width, height))
    for each in shown:
        layer = Image.new("1", (width, height))
        for line in _lines(each.shape):
            ImageDraw.Draw(layer).polygon([tuple(point) for point in line * factor - 0.5], fill=1, outline=1)
        mask = ImageChops.logical_or(mask, layer)
    sums = np.asarray(mask, dtype=np.float64).cumsum(axis=0).cumsum(axis=1)
    return np.pad(sums, ((1, 0), (1, 0)))


def _place(
    label: _Label, shape: Any, taken: Floats, covered: Floats, size: tuple[int, int], pad: int
) -> tuple[Floats, bool]:
    """The best place for a label as `[left, top, right, bottom]`, and whether no other label is there.

    Best is near its artifact, on no other label, and covers as little as it can of what is wrong.
    """
    left, top, right, bottom = shape.bounds
    w, h = label.width, label.height
    beside = [
        (x, y)
        for y in (top - h - pad, bottom + pad)
        for x in (left, (left + right - w) / 2, right - w, left - w, right)
    ]
    beside += [
        (x, y) for x in (right + pad, left - w - pad) for y in (top, (top + bottom - h) / 2, bottom - h)
    ]
    grid = [
        (x, y)
        for y in np.linspace(0, max(size[1] - h, 0), 24)
        for x in np.linspace(0, max(size[0] - w, 0), 16)
    ]
    corners = np.array(beside + grid)
    corners = np.clip(corners, 1, np.maximum(np.array(size) - (w, h) - 1, 1))
    places = np.hstack([corners, corners + np.array([w, h])])
    gaps = shapely.distance(shapely.box(*places.T), shape)
    collisions = _overlaps(places, taken, pad)
    offsets = np.abs(places[:, ::2].mean(axis=1) - (left + right) / 2) / w
    near = gaps / (h * 2) + (gaps < pad) + offsets / 2
    cost = near + 6 * _share_covered(places, covered, size) + 1000 * collisions / (w * h)
    best = int(np.argmin(cost))
    return places[best], not collisions[best]


def _overlaps(places: Floats, taken: Floats, pad: int) -> Floats:
    """Of each place, how many square pixels others have taken, with some room around those."""
    low = np.maximum(places[:, None, :2], taken[None, :, :2] - pad)
    high = np.minimum(places[:, None, 2:], taken[None, :, 2:] + pad)
    overlaps: Floats = np.clip(high - low, 0, None).prod(axis=2).sum(axis=1)
    return overlaps


def _share_covered(places: Floats, covered: Floats, size: tuple[int, int]) -> Floats:
    rows, columns = covered.shape[0] - 1, covered.shape[1] - 1
    factors = np.array([columns / size[0], rows / size[1]] * 2)
    low = np.clip(np.floor(places * factors)[:, :2], 0, (columns - 1, rows - 1)).astype(int)
    high = np.clip(np.ceil(places * factors)[:, 2:], low + 1, (columns, rows)).astype(int)
    (x0, y0), (x1, y1) = low.T, high.T
    found = covered[y1, x1] - covered[y0, x1] - covered[y1, x0] + covered[y0, x0]
    share: Floats = found / ((x1 - x0) * (y1 - y0))
    return share


def _draw_leader(canvas: Image.Image, shown: _Shown, place: Floats, style: _Style) -> None:
    """A line from a label to its artifact, where the one is not beside the other."""
    line = shapely.shortest_line(shapely.box(*place), shown.shape)
    if line.length <= 2 * style.pad + style.line:
        return
    (x0, y0), (x1, y1) = line.coords
    pen = ImageDraw.Draw(canvas)
    for color, width in (((255, 255, 255), style.line + 2), (shown.color, style.line)):
        pen.line((x0, y0, x1, y1), fill=color, width=width)


def _draw_label(canvas: Image.Image, label: _Label, place: Floats, color: Color, style: _Style) -> None:
    pen = ImageDraw.Draw(canvas)
    left, top = round(place[0]), round(place[1])
    box = (left, top, left + label.width - 1, top + label.height - 1)
    pen.rounded_rectangle(box, style.pad, fill=color, outline="white", width=max(1, style.line // 2))
    for number, text in enumerate(label.lines):
        y = top + style.pad + (number + 0.5) * line_height(style.font)
        pen.text((left + 2 * style.pad, y), text, ink(color), style.font, anchor="lm")


# Legend


def _with_key(
    canvas: Image.Image, colors: dict[str, Color], shown: Sequence[_Shown], style: _Style
) -> Image.Image:
    """The picture with the raters' names below, each in its colour and with how much they drew."""
    height, pad = line_height(style.font), style.pad
    indent = 3 * height
    page = Image.new("RGB", (canvas.width, canvas.height + len(colors) * (height + pad) + 3 * pad), "white")
    page.paste(canvas)
    pen = ImageDraw.Draw(page)
    y = canvas.height + 2 * pad
    for rater, color in colors.items():
        count = sum(each.artifact.rater_id == rater for each in shown)
        told = f": {count or 'no'} region{'s' * (count != 1)}"
        room = int(canvas.width - indent - 3 * pad - style.font.getlength(told))
        (name,) = wrap(clean(rater) or "unknown rater", style.font, room, 1)
        pen.rounded_rectangle((2 * pad, y, 2 * pad + round(1.8 * height), y + height), pad, fill=color)
        pen.text((indent, y + height / 2), name + told, "#222222", style.font, anchor="lm")
        y += height + pad
    return page


def _with_legend(canvas: Image.Image, shown: Sequence[_Shown], style: _Style, raters: bool) -> Image.Image:
    """The picture with what its numbers stand for below. raters: also who drew what."""
    taxonomy = load_taxonomy()
    height, pad = line_height(style.font), style.pad
    indent = 3 * height
    width = canvas.width - indent - 3 * pad
    entries: list[tuple[_Shown, list[tuple[str, Font, str]]]] = []
    for each in shown:
        kinds = (
            _name_of(taxonomy.categories, each.artifact.category),
            _name_of(taxonomy.subtypes, each.artifact.subtype),
            clean(each.artifact.rater_id) if raters else "",
        )
        parts = (
            (_title(each.artifact), style.bold, "#111111", _LABEL_LINES),
            (clean(each.artifact.explanation), style.font, "#222222", _LEGEND_LINES),
            (" · ".join(filter(None, kinds)), style.font, "#666666", 1),
        )
        lines = [
            (line, font, shade)
            for text, font, shade, most in parts
            if text
            for line in wrap(text, font, width, most)
        ]
        entries.append((each, lines))
    rows = sum(len(lines) for _, lines in entries)
    total = rows * height + len(entries) * 2 * pad + 4 * pad
    page = Image.new("RGB", (canvas.width, canvas.height + total), "white")
    page.paste(canvas)
    pen = ImageDraw.Draw(page)
    y = canvas.height + 3 * pad
    for each, lines in entries:
        badge = (2 * pad, y, 2 * pad + round(1.8 * height), y + height)
        pen.rounded_rectangle(badge, pad, fill=each.color)
        middle = ((badge[0] + badge[2]) / 2, (badge[1] + badge[3]) / 2)
        pen.text(middle, str(each.number), ink(each.color), style.font, anchor="mm")
        for text, font, shade in lines:
            pen.text((indent, y + height / 2), text, shade, font, anchor="lm")
            y += height
        y += 2 * pad
    return page
