"""Outlines over a picture on an HTML page, as SVG: of what is true, and of what a model says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from synthscars.geometry import from_rle, simplify
from synthscars.predictions import PredictedRegion
from synthscars.records import Ring
from synthscars.release.measures import areas

MOST_REGIONS = 12
"""Predicted regions of an image that a page shows."""

_MOST_POINTS = 600
"""Points of one region that are drawn, or those of its largest part if that has more."""

OUTLINES = """
polygon{fill:none;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.rim{stroke:#fff;stroke-width:5;stroke-opacity:.85}
.was{stroke:#d55e00;stroke-width:2.5;stroke-dasharray:7 5}.is{stroke:#0072b2;stroke-width:2.5}
.same{stroke:#fff;stroke-width:1.2;stroke-opacity:.75}
.mark{fill:#fff;stroke:#000;paint-order:stroke;font-family:system-ui,sans-serif;font-weight:600}
"""
"""CSS of what `outlined` draws."""


def outline(region: PredictedRegion, width: int, height: int) -> tuple[Ring, ...]:
    """Rings around a predicted region of an image of this size, with few enough points for a page.

    None if its mask has another size or cannot be read.
    """
    if region.rle is None:
        return region.polygons
    if region.rle.size != (height, width):
        return ()
    try:
        rings = from_rle({"size": [height, width], "counts": region.rle.counts.encode()})
    except (ValueError, TypeError):
        return ()
    tolerance = max(width, height) / 250
    simple = [ring if len(ring) <= 8 else simplify(ring, tolerance) for ring in rings]
    kept: list[Ring] = []
    points = 0
    for _, ring in sorted(zip(areas([[ring] for ring in simple]), simple, strict=True), reverse=True):
        points += len(ring) // 2
        if kept and points > _MOST_POINTS:
            break
        kept.append(ring)
    return tuple(kept)


def outlined(regions: Sequence[tuple[bool, Sequence[Ring]]], kind: str, size: int) -> Iterator[str]:
    """SVG of regions, each with its number, from 1, at its first point.

    regions: whether it is what the picture is about, and its rings; the others are a thin line. kind: a class
    in `OUTLINES`. size: the longer side of the image, pixels.
    """
    for shown, rings in regions:
        if not shown:
            yield from (f'<polygon class="same" points="{_points(ring)}"/>' for ring in rings)
    step = size / 16  # that the numbers of regions at one place are apart
    taken: list[tuple[float, float]] = []
    for number, (shown, rings) in enumerate(regions, 1):
        if not shown:
            continue
        for style in ("rim", kind):
            yield from (f'<polygon class="{style}" points="{_points(ring)}"/>' for ring in rings)
        if rings and rings[0]:
            x, y = _inside(rings[0][0], size), _inside(rings[0][1], size)
            aside = step if x < size / 2 else -step
            while any(max(abs(x - across), abs(y - down)) < 0.99 * step for across, down in taken):
                x += aside
            taken.append((x, y))
            yield (
                f'<text class="mark" x="{x:.1f}" y="{y:.1f}" style="font-size:{size / 18:.1f}px;'
                f'stroke-width:{size / 120:.1f}px">{number}</text>'
            )


def _inside(value: float, size: int) -> float:
    return min(max(value, size / 18), size * 17 / 18)


def _points(ring: Ring) -> str:
    return " ".join(f"{value:.1f}" for value in ring)


def picture(address: str, width: int, height: int, id: str = "") -> str:
    """SVG of the picture under the outlines, at the size of the image. address: `""` for a grey square."""
    size = f'width="{width}" height="{height}"' + (f' id="{id}"' if id else "")
    if not address:
        return f'<rect {size} fill="#808080"/>'
    return f'<image {size} preserveAspectRatio="none" href="{address}"/>'
