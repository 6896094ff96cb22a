"""Props that hang on a wall or in the air of any scene: right, with one thing wrong, or odd but right.

Every function draws around (x, y), about 100 pixels high before the zoom in force.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synthscars.simulate.canvas import darker, lighter
from synthscars.simulate.shapes import Points, blob, curve, ellipse, limb, mirror, pick, points, rectangle
from synthscars.simulate.stage import Stage
from synthscars.simulate.standing import NAMED_COLOURS, SIGNS
from synthscars.simulate.things import APPLES, GLAZES, WOODS, apple, apple_outlines


def board(stage: Stage, x: float, y: float, fault: str | None) -> None:
    """A board with a word on two ropes from above; fault: text."""
    fill, rng = stage.canvas.fill, stage.rng
    _, color = pick(rng, NAMED_COLOURS)
    word = pick(rng, SIGNS)
    for side in (-1, 1):
        fill(limb(points((x + side * 44, y - 400), (x + side * 44, y - 22)), 3, 3), (96, 80, 70))
    fill(rectangle(x - 58, y - 28, x + 58, y + 28, 5), color, to=darker(color, 0.12), shade=0.3, depth=5)
    ink = (44, 40, 52) if sum(color) > 430 else (250, 246, 238)
    stage.text(word, x, y, 98, 42, ink, wrong=fault == "text", thing="hanging board")


def butterfly(stage: Stage, x: float, y: float, fault: str | None) -> None:
    """A butterfly; fault: uneven (one upper wing is another)."""
    fill, rng = stage.canvas.fill, stage.rng
    numbers = rng.permutation(4)
    color, other = NAMED_COLOURS[int(numbers[0])][1], NAMED_COLOURS[int(numbers[1])][1]
    odd = pick(rng, (-1, 1))
    upper = blob((x + 4, y - 4), (x + 22, y - 40), (x + 58, y - 44), (x + 54, y - 12), (x + 26, y + 4))
    large = (upper - (x, y)) * np.array([1.5, 1.7]) + (x, y)
    lower = blob((x + 4, y), (x + 34, y + 4), (x + 44, y + 30), (x + 22, y + 40), (x + 6, y + 18))
    for side in (-1, 1):
        wrong = fault == "uneven" and side == odd
        low = lower if side > 0 else mirror(lower, x)
        fill(low, darker(color, 0.12), shade=0.3, depth=6)
        shapes = [shape if side > 0 else mirror(shape, x) for shape in (upper, large)]
        if wrong and stage.plant:
            fill(shapes[1], other, shade=0.3, depth=6)
        else:
            fill(shapes[0], color, shade=0.3, depth=6)
            fill(ellipse(x + side * 40, y - 26, 8, 8), lighter(color, 0.7))
        if wrong:
            place = "left" if side < 0 else "right"
            stage.mark("uneven", *shapes, thing="butterfly", part="wing", place=place)
    fill(limb(points((x, y - 22), (x, y + 24)), 9, 6), (60, 48, 46), shade=0.3)
    for side in (-1, 1):
        fill(limb(curve((x, y - 20), (x + side * 8, y - 36), (x + side * 16, y - 42)), 2, 1.5), (60, 48, 46))


def umbrella(stage: Stage, x: float, y: float, fault: str | None) -> None:
    """An open umbrella that hangs from a cord; fault: umbrella (the handle is on the outside)."""
    fill, rng = stage.canvas.fill, stage.rng
    _, color = pick(rng, NAMED_COLOURS)
    fill(limb(points((x, y - 400), (x, y - 40)), 2.4, 2.4), (92, 84, 84))
    up = blob((x - 66, y), (x - 44, y - 34), (x, y - 48), (x + 44, y - 34), (x + 66, y))
    pole = limb(points((x, y - 6), (x, y + 54)), 10, 10)
    hook = limb(curve((x, y + 48), (x + 3, y + 70), (x + 22, y + 70), (x + 25, y + 50)), 14, 14)
    # Upwards the same pole and hook, mirrored at the canopy.
    above = [np.stack([shape[:, 0], 2 * (y - 22) - shape[:, 1]], axis=1) for shape in (pole, hook)]
    wrong = fault == "umbrella"
    for shape in above if wrong and stage.plant else (pole, hook) if not wrong else ():
        fill(shape, (112, 76, 54), shade=0.4, depth=4)
    if wrong:
        stage.mark("umbrella", *above)
    canopy = np.concatenate(
        [
            up[: len(up) // 5 * 4 + 1],
            curve((x + 66, y), (x + 33, y - 9), (x, y), (x - 33, y - 9), (x - 66, y)),
        ]
    )
    fill(canopy, lighter(color, 0.1), to=darker(color, 0.1), shade=0.4, depth=12)
    for dx in (-33.0, 0.0, 33.0):
        fill(limb(curve((x, y - 46), (x + dx * 0.7, y - 26), (x + dx, y - 6)), 1.6, 1.6), darker(color, 0.35))


def floating(stage: Stage, x: float, y: float, fault: str | None) -> None:
    """Something heavy in mid-air that nothing holds; without a fault, the same on a cord."""
    fill, rng = stage.canvas.fill, stage.rng
    kind = pick(rng, ("apple", "book", "mug", "stone"))
    color, peel = pick(rng, GLAZES), pick(rng, APPLES)
    shapes: tuple[Points, ...]
    if kind == "apple":
        shapes = apple_outlines(x, y, 38)
    elif kind == "book":
        shapes = (points((x - 42, y - 12), (x + 34, y - 34), (x + 44, y + 8), (x - 32, y + 30)),)
    elif kind == "mug":
        ring = limb(curve((x + 26, y - 20), (x + 52, y - 16), (x + 50, y + 14), (x + 24, y + 18)), 10, 10)
        shapes = (ring, rectangle(x - 30, y - 36, x + 30, y + 36, 7))
    else:
        stone = ((-42, 4), (-26, -30), (12, -36), (42, -8), (32, 28), (-20, 32))
        shapes = (blob(*((x + dx, y + dy) for dx, dy in stone)),)
        color = (150, 146, 142)
    if fault is None:
        fill(limb(points((x, y - 400), (x, y - 26)), 3, 3), (92, 80, 74))
    if fault is None or stage.plant:
        if kind == "apple":
            apple(stage, x, y, 38, peel)
        else:
            for shape in shapes:
                fill(shape, lighter(color, 0.12), to=darker(color, 0.12), shade=0.5, depth=12)
    if kind == "book" and (fault is None or stage.plant):
        fill(points((x - 28, y - 8), (x + 26, y - 24), (x + 28, y - 16), (x - 26, y)), lighter(color, 0.6))
    if fault is None:
        stage.allow("hanging", f"a {kind} on a cord", *shapes)
    else:
        stage.mark("floating", *shapes, thing=kind, ground=stage.ground)


def balloon(stage: Stage, x: float, y: float, fault: str | None) -> None:
    """A balloon, which may float: a hard negative."""
    fill, rng = stage.canvas.fill, stage.rng
    _, color = pick(rng, NAMED_COLOURS)
    body = blob((x, y + 38), (x - 34, y - 2), (x - 24, y - 42), (x + 24, y - 42), (x + 34, y - 2))
    fill(limb(curve((x, y + 38), (x - 6, y + 70), (x + 5, y + 110)), 2, 2), (120, 110, 110))
    fill(body, lighter(color, 0.15), to=darker(color, 0.1), shade=0.5, depth=16)
    fill(ellipse(x + stage.side * 12, y - 24, 6, 10), (255, 255, 255), alpha=0.6, blur=2)
    stage.allow("balloon", "a balloon that floats", body)


def bird(stage: Stage, x: float, y: float, fault: str | None) -> None:
    """A flying bird: a hard negative."""
    fill, rng = stage.canvas.fill, stage.rng
    color = pick(rng, ((90, 96, 110), (236, 236, 232), (120, 92, 74), (70, 110, 160)))
    way = pick(rng, (-1, 1))

    def at(*pairs: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x + way * dx, y + dy) for dx, dy in pairs]

    body = blob(*at((-44, 4), (-16, -12), (22, -12), (38, -4), (22, 10), (-14, 12)))
    wing = blob(*at((-14, -4), (-34, -46), (-6, -36), (14, -6)))
    fill(blob(*at((2, -6), (10, -50), (24, -34), (20, -6))), darker(color, 0.25))
    fill(body, color, shade=0.4, depth=7)
    fill(points(*at((36, -6), (50, -1), (36, 2))), (226, 160, 60))
    fill(wing, darker(color, 0.12), shade=0.3, depth=6)
    fill(ellipse(x + way * 28, y - 5, 2.4, 2.4), (20, 18, 20))
    stage.allow("bird", "a bird that flies", body, wing)


def child_drawing(stage: Stage, x: float, y: float, fault: str | None) -> None:
    """A drawing in another style, on paper in a frame: a hard negative."""
    fill, rng = stage.canvas.fill, stage.rng
    frame = rectangle(x - 50, y - 42, x + 50, y + 42, 2)
    fill(rectangle(x - 54, y - 36, x + 46, y + 52), (40, 30, 50), alpha=0.25, blur=4)
    fill(frame, pick(rng, WOODS), shade=0.4, depth=4)
    fill(rectangle(x - 43, y - 35, x + 43, y + 35), (252, 250, 244))
    _, color = pick(rng, NAMED_COLOURS[:4])
    ink = (50, 46, 60)
    for outline in (
        points(
            (x - 30, y + 24),
            (x - 30, y - 2),
            (x - 10, y - 20),
            (x + 10, y - 2),
            (x + 10, y + 24),
            (x - 30, y + 24),
        ),
        points((x - 30, y - 2), (x + 10, y - 2)),
        ellipse(x + 28, y - 20, 9, 9),
        points((x + 28, y - 11), (x + 28, y + 12), (x + 18, y + 28), (x + 28, y + 12), (x + 38, y + 28)),
        points((x + 16, y - 2), (x + 40, y + 2)),
    ):
        fill(limb(outline, 2.6, 2.6), ink)
    fill(rectangle(x - 16, y + 4, x - 4, y + 24), color)
    stage.allow("drawing", "a child's drawing in a frame", frame)


def torn_poster(stage: Stage, x: float, y: float, fault: str | None) -> None:
    """A poster with a corner torn off: a hard negative."""
    fill, rng = stage.canvas.fill, stage.rng
    _, color = pick(rng, NAMED_COLOURS)
    way = pick(rng, (-1, 1))
    rip = [
        (x + way * dx, y + dy)
        for dx, dy in ((44, 18), (36, 16), (32, 26), (22, 24), (20, 36), (8, 38), (8, 54))
    ]
    paper = points((x - way * 44, y - 54), (x + way * 44, y - 54), *rip, (x - way * 44, y + 54))
    fill(paper + np.array([3, 4]), (40, 30, 50), alpha=0.25, blur=3)
    fill(paper, lighter(color, 0.6), to=lighter(color, 0.45))
    fill(limb(np.array(rip), 4, 4), (250, 248, 244))
    fill(ellipse(x - way * 6, y - 16, 24, 24), color)
    fill(rectangle(x - 30, y + 16 - 4, x + way * 6 + 14, y + 20), darker(color, 0.3))
    stage.allow("torn", "a torn poster", paper)


def splash(stage: Stage, x: float, y: float, fault: str | None) -> None:
    """Paint that ran down the wall: a hard negative beside blotches."""
    fill, rng = stage.canvas.fill, stage.rng
    _, color = pick(rng, NAMED_COLOURS)
    around = np.linspace(0, 2 * np.pi, 11, endpoint=False)
    reach = 26 * rng.uniform(0.75, 1.25, 11)
    body = blob(
        *zip(
            (x + reach * np.cos(around)).tolist(),
            (y - 10 + reach * 0.8 * np.sin(around)).tolist(),
            strict=True,
        )
    )
    outlines = [body]
    for dx in (-17.0, -4.0, 9.0, 19.0):
        length = float(rng.uniform(22, 62))
        outlines.append(limb(points((x + dx, y - 8), (x + dx, y + length * 0.6), (x + dx, y + length)), 6, 8))
    for shape in outlines:
        fill(shape, color)
    for _ in range(5):
        a, far = float(rng.uniform(0, 6.3)), float(rng.uniform(34, 48))
        fill(ellipse(x + far * np.cos(a), y - 10 + far * np.sin(a), 3.5, 3.5), color)
    fill(ellipse(x + stage.side * 8, y - 18, 7, 3.5), (255, 255, 255), alpha=0.65, blur=1.5)
    stage.allow("paint", "paint that ran down the wall", *outlines)


_Draw = Callable[[Stage, float, float, str | None], None]
HANGING: dict[str, tuple[_Draw, tuple[str, ...], bool]] = {
    "hanging board": (board, ("text",), True),
    "butterfly": (butterfly, ("uneven",), True),
    "open umbrella": (umbrella, ("umbrella",), True),
    "thing in the air": (floating, ("floating",), True),
    "balloon": (balloon, (), True),
    "bird": (bird, (), True),
    "child's drawing": (child_drawing, (), False),
    "torn poster": (torn_poster, (), False),
    "splash of paint": (splash, (), False),
}
"""Name to how it is drawn, what can be wrong with it, and whether it needs no wall."""
