"""What a scene is drawn on: the canvas, the light, the artifacts that are wanted, and where they came to lie.

A scene asks `wants` or `choose` whether an artifact is to be planted, paints it if `plant` is set, and marks
its outline either way. Nothing else may depend on `plant`, so that the same picture can be drawn without its
artifacts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np

from synthscars.records import Ring
from synthscars.simulate.canvas import SCALE, Canvas, Color
from synthscars.simulate.lettering import text_mask
from synthscars.simulate.shapes import Points, ellipse, pick, points, rectangle

_Item = TypeVar("_Item")

_SMALLEST_PART = 20.0
"""Parts of a region below this area (square pixels) are left out: slivers beside what covers the region."""


class Mark(NamedTuple):
    """A planted artifact: its outlines, the words for its texts, and how much was painted before it.

    fault: a key of `synthscars.simulate.texts.WORDINGS`, with ":prop" behind it if a prop shows it.
    """

    fault: str
    outlines: tuple[Points, ...]
    words: dict[str, str]
    level: int


class Spot(NamedTuple):
    """A surface that a blotch or a patch may lie on. detail: it has enough texture for a blur to be seen.

    feature: it is one thing ("the mouth of the person") that can melt as a whole.
    """

    place: str
    outline: Points
    detail: bool
    level: int
    feature: bool = False


class Odd(NamedTuple):
    """A hard negative: odd but possible, so nobody may mark it. outlines: none if it is everywhere."""

    kind: str
    what: str
    outlines: tuple[Points, ...]
    level: int


@dataclass
class Stage:
    """One picture in the making.

    rng: draws everything about the scene. faults: names of the artifacts wanted, as in
    `synthscars.simulate.texts`. plant: whether they are painted. light_from: "left" or "right".
    light_name: as the texts call it, for example "the sun". ground: what props stand on. indoors: whether
    there is a wall behind. alias: faults that go by another name while a prop is drawn. named: the props so
    far. shown: faults that a prop shows already.
    """

    canvas: Canvas
    rng: np.random.Generator
    faults: tuple[str, ...]
    plant: bool
    light_from: str
    light_name: str = "the light"
    scene: str = ""
    prompt: str = ""
    marks: list[Mark] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)
    odd: list[Odd] = field(default_factory=list)
    ground: str = "floor"
    indoors: bool = True
    alias: dict[str, str] = field(default_factory=dict)
    named: list[str] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)

    @property
    def width(self) -> int:
        """Width of the picture in pixels."""
        return self.canvas.width

    @property
    def height(self) -> int:
        """Height of the picture in pixels."""
        return self.canvas.height

    @property
    def side(self) -> int:
        """-1 if the light comes from the left, 1 if from the right."""
        return -1 if self.light_from == "left" else 1

    def wants(self, fault: str) -> bool:
        """Whether this artifact is to be planted."""
        return fault in self.faults

    def choose(self, fault: str, candidates: Sequence[_Item]) -> _Item | None:
        """Which of `candidates` is to have the artifact; always the same number of draws from `rng`."""
        chosen = pick(self.rng, candidates)
        return chosen if self.wants(fault) else None

    def mark(self, fault: str, *outlines: Points, **words: str) -> None:
        """Note where an artifact lies. What is painted opaquely from now on is cut out of its region."""
        placed = tuple(self.canvas.place(outline) for outline in outlines)
        self.marks.append(Mark(self.alias.get(fault, fault), placed, words, len(self.canvas.opaque)))

    def mark_placed(self, fault: str, outline: Points, **words: str) -> None:
        """Note an artifact on the finished picture: nothing covers it, no zoom is in force."""
        self.marks.append(Mark(fault, (outline,), words, len(self.canvas.opaque)))

    def spot(self, place: str, outline: Points, *, detail: bool = False, feature: bool = False) -> None:
        """Name a surface for blotches and patches; what is painted opaquely from now on is cut out of it."""
        placed = self.canvas.place(outline)
        self.spots.append(Spot(place, placed, detail, len(self.canvas.opaque), feature))

    def allow(self, kind: str, what: str, *outlines: Points) -> None:
        """Note a hard negative: odd, but possible, and not to be marked."""
        placed = tuple(self.canvas.place(outline) for outline in outlines)
        self.odd.append(Odd(kind, what, placed, len(self.canvas.opaque)))

    def cast(
        self,
        outline: Points,
        x: float,
        base: float,
        half: float,
        *,
        wrong: bool,
        thing: str,
        length: float = 0.75,
        flat: float = 0.3,
        color: Color = (30, 24, 52),
        alpha: float = 0.36,
        blur: float = 1.6,
    ) -> None:
        """The shadow on the ground of `outline`, which stands at (x, base) and is 2 * half wide there.

        length, flat: how far the shadow reaches sideways and towards the viewer, per pixel of height.
        wrong: it falls towards the light; without `plant` it is then left out.
        """
        up = np.maximum(base - outline[:, 1], 0.0)
        away = self.side if wrong else -self.side
        shadow = np.stack([outline[:, 0] + away * length * up, base + flat * up], axis=1)
        if not wrong or self.plant:
            self.canvas.fill(shadow, color, alpha=alpha, blur=blur)
        if wrong:
            self.mark("shadow", _grown(shadow, blur * 0.6), thing=thing)
        self.canvas.fill(ellipse(x, base, half * 1.15, max(4.0, half * 0.2)), color, alpha=0.4, blur=3)

    def text(
        self,
        text: str,
        x: float,
        y: float,
        width: float,
        height: float,
        color: Color,
        *,
        wrong: bool,
        thing: str,
    ) -> None:
        """Letters centred on (x, y) inside a box of `width` by `height` pixels; `wrong`: scrambled."""
        scramble = int(self.rng.integers(2**31))
        factor = self.canvas.factor
        (x, y), width, height = self.canvas.place(points((x, y)))[0], width * factor, height * factor
        right = text_mask(text, width * SCALE, height * SCALE, None)
        mask = text_mask(text, width * SCALE, height * SCALE, scramble) if wrong and self.plant else right
        self.canvas.stamp(mask, x - mask.width / 2 / SCALE, y - mask.height / 2 / SCALE, color)
        if wrong:
            half_x, half_y = right.width / 2 / SCALE + 1, right.height / 2 / SCALE + 1
            box = rectangle(x - half_x, y - half_y, x + half_x, y + half_y)
            fault = self.alias.get("text", "text")
            self.marks.append(Mark(fault, (box,), {"thing": thing}, len(self.canvas.opaque)))

    def region(self, mark: Mark | Spot | Odd) -> Any:
        """The visible part of a mark or a spot, as a shapely geometry (maybe empty) inside the image."""
        from shapely import box, unary_union

        outlines = (mark.outline,) if isinstance(mark, Spot) else mark.outlines
        whole = unary_union([polygon_of(outline) for outline in outlines])
        shown = whole.intersection(box(0, 0, self.width, self.height))
        low_x, low_y, high_x, high_y = shown.bounds if not shown.is_empty else (0, 0, 0, 0)
        for outline in self.canvas.opaque[mark.level :]:
            (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0)
            if x1 > low_x and x0 < high_x and y1 > low_y and y0 < high_y:
                shown = shown.difference(polygon_of(outline))
        return shown


def polygon_of(outline: Points) -> Any:
    """A valid shapely geometry that covers `outline`, which may cross itself."""
    from shapely import Polygon, make_valid

    shape = Polygon(outline)
    return shape if shape.is_valid else make_valid(shape).buffer(0)


def _grown(outline: Points, by: float) -> Points:
    """`outline` moved outwards by `by` pixels; the largest part if it falls apart."""
    grown: Any = polygon_of(outline).buffer(by)
    parts = max(getattr(grown, "geoms", [grown]), key=lambda part: part.area)
    return np.asarray(parts.exterior.coords, dtype=np.float64)[:-1]


def rings_of(region: Any) -> tuple[Ring, ...]:
    """The outer rings of a shapely geometry, largest first, without slivers, rounded to 1/100 pixel."""
    from shapely import Polygon

    rings: list[Ring] = []
    parts = [part for part in getattr(region, "geoms", [region]) if part.geom_type == "Polygon"]
    for part in sorted(parts, key=lambda part: -part.area):
        if part.area < _SMALLEST_PART:
            continue
        slim: Any = Polygon(part.exterior).simplify(0.25)
        corners = np.round(np.asarray(slim.exterior.coords, dtype=np.float64)[:-1], 2)
        if not Polygon(corners.tolist()).is_valid:  # rounding made it touch itself
            corners = np.asarray(part.exterior.coords, dtype=np.float64)[:-1]
        rings.append(tuple(float(value) for value in corners.ravel()))
    return tuple(rings)
