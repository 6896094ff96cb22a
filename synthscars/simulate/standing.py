"""Props that stand on the ground of any scene, each right or with one thing wrong.

Every function draws around (x, base), about 100 pixels high before the zoom in force, and takes the fault
that it is to show or `None`. What is right is drawn as often as what is wrong: the prop alone tells nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synthscars.simulate.canvas import Color, darker, lighter, mix
from synthscars.simulate.shapes import (
    Points,
    blob,
    curve,
    ellipse,
    limb,
    mirror,
    pick,
    points,
    profile,
    rectangle,
    warped,
)
from synthscars.simulate.stage import Stage
from synthscars.simulate.things import APPLES, GLAZES, THINGS, WOODS, apple_outlines

NAMED_COLOURS: tuple[tuple[str, Color], ...] = (
    ("red", (204, 62, 54)), ("blue", (62, 108, 184)), ("green", (78, 150, 84)), ("yellow", (236, 190, 62)),
    ("white", (238, 234, 226)), ("purple", (140, 88, 168)),
)  # fmt: skip
SIGNS = ("OPEN", "STOP", "MENU", "EXIT", "SALE", "TAXI", "ZOO", "PARK", "HOTEL", "KEYS")


def ball(stage: Stage, x: float, base: float, fault: str | None) -> None:
    """A ball; faults: shadow, deformed."""
    fill, rng = stage.canvas.fill, stage.rng
    _, color = pick(rng, NAMED_COLOURS)
    r = 36.0
    round_one = ellipse(x, base - r, r, r)
    bent = warped(x, base - r - 3, r * 1.08, float(rng.uniform(0, 6)), 0.1, 0.17)
    stage.cast(round_one, x, base - 2, 20, wrong=fault == "shadow", thing="ball", length=1.0, flat=0.42)
    shape = bent if fault == "deformed" and stage.plant else round_one
    fill(shape, lighter(color, 0.1), to=darker(color, 0.15), shade=0.5, depth=18)
    band = (shape - (x, base - r)) * np.array([0.96, 0.3]) + (x, base - r)
    fill(band, lighter(color, 0.65), shade=0.2, depth=8)
    fill(ellipse(x + stage.side * 13, base - 56, 6, 4.5), (255, 255, 255), alpha=0.6, blur=1.5)
    if fault == "deformed":
        stage.mark("deformed", bent, round_one, thing="ball", part="outline")


def crate(stage: Stage, x: float, base: float, fault: str | None) -> None:
    """A wooden crate seen from above; faults: shadow, crate (its lid grows with distance)."""
    fill, rng = stage.canvas.fill, stage.rng
    wood = pick(rng, WOODS)
    half, high = 46.0, 58.0
    front = rectangle(x - half, base - high, x + half, base, 2)
    lean = float(rng.uniform(-10, 10))

    def lid(back: float) -> Points:
        y = base - high
        return points(
            (x - half, y), (x + half, y), (x + lean + half * back, y - 38), (x + lean - half * back, y - 38)
        )

    stage.cast(
        np.concatenate([front, lid(0.7)]),
        x,
        base - 2,
        half,
        wrong=fault == "shadow",
        thing="crate",
        length=1.0,
        flat=0.42,
    )
    top = lid(1.5) if fault == "crate" and stage.plant else lid(0.7)
    fill(top, lighter(wood, 0.4), to=lighter(wood, 0.25), texture="wood", amount=0.05)
    for share in (0.33, 0.67):
        a, b = top[0] + (top[1] - top[0]) * share, top[3] + (top[2] - top[3]) * share
        fill(limb(np.array([a, b]), 2, 1.6), darker(wood, 0.4))
    if fault == "crate":
        stage.mark("crate", lid(1.5), lid(0.7))
    fill(front, wood, to=darker(wood, 0.18), shade=0.25, depth=8, texture="wood", amount=0.07)
    for share in (0.33, 0.67):
        y = base - high * share
        fill(rectangle(x - half, y - 1.2, x + half, y + 1.2), darker(wood, 0.45), alpha=0.99)
    for side in (-1, 1):
        post = rectangle(x + side * (half - 6) - 6, base - high, x + side * (half - 6) + 6, base)
        fill(post, lighter(wood, 0.14), shade=0.3, depth=4)
    stage.spot("the front of the crate", front, detail=True)


def skittles(stage: Stage, x: float, base: float, fault: str | None) -> None:
    """Four equal skittles in a row that leads away; fault: skittles (the far ones are larger)."""
    rng = stage.rng
    way = pick(rng, (-1, 1))
    _, color = pick(rng, NAMED_COLOURS[:4])
    places = [(x + way * (k * 30 - 45), base - k * 14, 1.0 - 0.17 * k) for k in range(4)]
    wrong = 1.55
    for number in (3, 2, 1, 0):
        at, low, size = places[number]
        shape = _skittle(at, low, size)
        stage.cast(shape, at, low - 1, 9 * size, wrong=False, thing="skittle", flat=0.15)
        odd = number == 3 and fault == "skittles"
        _paint_skittle(stage, at, low, wrong if odd and stage.plant else size, color)
        if odd:
            stage.mark("skittles", shape, _skittle(at, low, wrong))


def _skittle(x: float, base: float, size: float) -> Points:
    return profile(
        x, (6 * size, base - 68 * size), (9 * size, base - 60 * size), (6 * size, base - 48 * size),
        (14 * size, base - 22 * size), (9 * size, base)
    )  # fmt: skip


def _paint_skittle(stage: Stage, x: float, base: float, size: float, color: Color) -> None:
    stage.canvas.fill(_skittle(x, base, size), (246, 238, 222), to=(214, 200, 180), shade=0.5, depth=7 * size)
    ring = rectangle(x - 6.5 * size, base - 52 * size, x + 6.5 * size, base - 43 * size, 2)
    stage.canvas.fill(ring, color, shade=0.3, depth=4)


def candle(stage: Stage, x: float, base: float, fault: str | None) -> None:
    """A burning candle; faults: shadow, candle (the flame sits on the side of the wax)."""
    fill, rng = stage.canvas.fill, stage.rng
    wax = pick(rng, ((242, 230, 206), (214, 96, 84), (116, 150, 176), (228, 184, 96)))
    body = rectangle(x - 20, base - 84, x + 20, base - 6, 5)
    stage.cast(body, x, base - 2, 28, wrong=fault == "shadow", thing="candle", length=1.0, flat=0.42)
    fill(ellipse(x, base - 6, 36, 9), (150, 120, 70), shade=0.4)
    fill(body, lighter(wax, 0.1), to=darker(wax, 0.08), shade=0.4, depth=10)
    fill(ellipse(x, base - 83, 19, 5), lighter(wax, 0.45))
    fill(limb(points((x, base - 84), (x + 1, base - 96)), 3.4, 3), (60, 50, 48))
    side = pick(rng, (-1, 1))
    there = (x + side * 31, base - 34)
    right = (x, base - 96)
    lit = bool(rng.random() < 0.6)
    if fault != "candle" and lit:
        fill(ellipse(right[0], right[1] - 14, 30, 34), (255, 214, 120), alpha=0.35, blur=9)
    for at in [there] * (fault == "candle" and stage.plant) + [right] * (fault != "candle" and lit):
        fill(_flame(*at), (250, 160, 40), to=(255, 220, 110), shade=0.2, depth=5)
        fill(_flame(*at, 0.65), (255, 246, 206))
    if fault == "candle":
        stage.mark("candle", _flame(*there))
    stage.spot("the candle", body)


def _flame(x: float, y: float, size: float = 1.35) -> Points:
    return blob(
        (x, y + 3), (x - 13 * size, y - 7 * size), (x - 7 * size, y - 24 * size), (x + 1, y - 40 * size),
        (x + 8 * size, y - 24 * size), (x + 13 * size, y - 7 * size)
    )  # fmt: skip


def signpost(stage: Stage, x: float, base: float, fault: str | None) -> None:
    """A board with a word on a foot; faults: shadow, text."""
    fill, rng = stage.canvas.fill, stage.rng
    _, color = pick(rng, NAMED_COLOURS)
    word = pick(rng, SIGNS)
    board = rectangle(x - 56, base - 104, x + 56, base - 52, 5)
    whole = np.concatenate([board[:18], points((x - 5, base - 52), (x - 5, base), (x + 5, base))])
    stage.cast(whole, x, base - 2, 18, wrong=fault == "shadow", thing="sign", length=1.0, flat=0.42)
    fill(rectangle(x - 5, base - 54, x + 5, base), (120, 112, 110), shade=0.4)
    fill(ellipse(x, base - 2, 22, 6), (104, 98, 98), shade=0.4)
    fill(board, color, to=darker(color, 0.1), shade=0.3, depth=5)
    ink = (44, 40, 52) if sum(color) > 430 else (250, 246, 238)
    stage.text(word, x, base - 78, 96, 40, ink, wrong=fault == "text", thing="sign")


def looking_glass(stage: Stage, x: float, base: float, fault: str | None) -> None:
    """A mirror on a foot with a ball before it; fault: mirror (it shows something else)."""
    fill, rng = stage.canvas.fill, stage.rng
    numbers = rng.permutation(len(NAMED_COLOURS))
    name, color = NAMED_COLOURS[int(numbers[0])]
    other_name, other = NAMED_COLOURS[int(numbers[1])]
    cube = bool(rng.random() < 0.6)
    cx, cy = x, base - 70
    glass, frame = ellipse(cx, cy, 44, 58), ellipse(cx, cy, 52, 66)
    stage.cast(frame, x, base - 3, 40, wrong=False, thing="mirror", flat=0.12, length=0.5)
    fill(rectangle(x - 40, base - 8, x + 40, base, 4), pick(rng, WOODS), shade=0.4)
    fill(frame, pick(rng, WOODS), shade=0.5, depth=7)
    fill(glass, (206, 222, 230), to=(164, 184, 200))
    shine = points((cx - 30, cy - 10), (cx - 6, cy - 48), (cx + 8, cy - 50), (cx - 32, cy + 10))
    fill(shine, (255, 255, 255), alpha=0.35, blur=1.6)
    mx, my, r = cx + 4, cy + 18, 21.0
    right = ellipse(mx, my, r, r)
    wrong = rectangle(mx - r, my - r, mx + r, my + r, 2) if cube else right
    if fault == "mirror" and stage.plant:
        fill(wrong, mix(other, (200, 214, 224), 0.12), shade=0.4, depth=8)
    else:
        fill(right, mix(color, (200, 214, 224), 0.12), shade=0.4, depth=9)
    shown = f"{other_name} {'cube' if cube else 'ball'}"
    if fault == "mirror":
        stage.mark("mirror", wrong, right, thing=f"{name} ball", shown=shown)
    else:
        stage.allow("reflection", "a reflection that is right", right)
    fill(ellipse(cx + 8, base + 14, 26, 7), (30, 24, 52), alpha=0.4, blur=2)
    fill(ellipse(cx + 8, base - 8, 24, 24), color, to=darker(color, 0.12), shade=0.5, depth=12)


def stool(stage: Stage, x: float, base: float, fault: str | None) -> None:
    """A four-legged stool; faults: shadow, missing (one front leg)."""
    fill, rng = stage.canvas.fill, stage.rng
    wood = pick(rng, WOODS)
    seat = points((x - 44, base - 62), (x + 44, base - 62), (x + 32, base - 84), (x - 32, base - 84))
    body = points((x - 44, base), (x - 44, base - 62), (x - 32, base - 84), (x + 32, base - 84),
        (x + 44, base - 62), (x + 44, base))  # fmt: skip
    stage.cast(body, x, base - 2, 40, wrong=fault == "shadow", thing="stool", length=1.0, flat=0.42)
    odd = pick(rng, (-1, 1))
    for side in (-1, 1):
        fill(rectangle(x + side * 15 - 6, base - 76, x + side * 15 + 6, base - 16), darker(wood, 0.35))
    for side in (-1, 1):
        leg = rectangle(x + side * 34 - 14, base - 60, x + side * 34 + 14, base)
        gone = fault == "missing" and side == odd
        if not (gone and stage.plant):
            fill(leg, wood, to=darker(wood, 0.15), shade=0.4, depth=5)
        if gone:
            stage.mark(
                "missing", leg, thing="stool", part="front leg", side_of="left" if side < 0 else "right"
            )
    fill(rectangle(x - 46, base - 64, x + 46, base - 52, 2), lighter(wood, 0.1), shade=0.3)
    fill(seat, lighter(wood, 0.35), to=lighter(wood, 0.2), texture="wood", amount=0.05)


def bottle(stage: Stage, x: float, base: float, fault: str | None) -> None:
    """A glass bottle, half full; faults: shadow, liquid (its surface is steep)."""
    fill, rng = stage.canvas.fill, stage.rng
    name, color = pick(rng, NAMED_COLOURS[:4])
    way = pick(rng, (-1, 1))
    body = profile(
        x, (9, base - 128), (9, base - 104), (31, base - 84), (32, base - 40), (30, base - 4), (27, base)
    )
    stage.cast(body, x, base - 3, 26, wrong=fault == "shadow", thing="bottle", length=1.0, flat=0.42)
    fill(body, (214, 228, 226), to=(186, 206, 208), shade=0.4, depth=10, alpha=0.999)
    level = base - 46

    def liquid(rise: float) -> Points:
        return points(
            (x - 27, base - 5), (x - 27, level + way * rise), (x + 27, level - way * rise), (x + 27, base - 5)
        )

    there = liquid(30.0)
    fill(there if fault == "liquid" and stage.plant else liquid(0), mix(color, (255, 255, 255), 0.1),
        to=darker(color, 0.1), shade=0.3, depth=8)  # fmt: skip
    if fault == "liquid":
        stage.mark("liquid", there, liquid(0), colour=name, high="right" if way > 0 else "left")
    shine = limb(points((x + stage.side * 22, base - 78), (x + stage.side * 23, base - 14)), 4, 4)
    fill(shine, (255, 255, 255), alpha=0.5, blur=1.6)
    fill(rectangle(x - 11, base - 136, x + 11, base - 120, 3), (150, 112, 80), shade=0.4)


def trophy(stage: Stage, x: float, base: float, fault: str | None) -> None:
    """A cup with two handles; faults: shadow, uneven."""
    fill, rng = stage.canvas.fill, stage.rng
    gold = pick(rng, ((224, 180, 72), (196, 200, 208), (198, 132, 84)))
    body = profile(x, (38, base - 106), (36, base - 74), (12, base - 46), (7, base - 30), (24, base - 12))
    stage.cast(body, x, base - 3, 28, wrong=fault == "shadow", thing="trophy", length=1.0, flat=0.42)
    odd = pick(rng, (-1, 1))
    for side in (-1, 1):
        ear = limb(
            curve((x + 34, base - 96), (x + 58, base - 98), (x + 58, base - 72), (x + 26, base - 62)), 9, 9
        )
        large = limb(
            curve((x + 34, base - 96), (x + 68, base - 134), (x + 92, base - 84), (x + 20, base - 50)), 15, 15
        )
        shapes = [shape if side > 0 else mirror(shape, x) for shape in (ear, large)]
        wrong = fault == "uneven" and side == odd
        fill(shapes[1] if wrong and stage.plant else shapes[0], darker(gold, 0.08), shade=0.5, depth=4)
        if wrong:
            place = "left" if side < 0 else "right"
            stage.mark("uneven", *shapes, thing="trophy", part="handle", place=place)
    fill(body, lighter(gold, 0.2), to=darker(gold, 0.15), shade=0.6, depth=14)
    fill(ellipse(x, base - 106, 38, 8), darker(gold, 0.35))
    fill(rectangle(x - 28, base - 14, x + 28, base, 3), (84, 64, 58), shade=0.4)


def apple_with_tap(stage: Stage, x: float, base: float, fault: str | None) -> None:
    """A large apple; faults: shadow, tap."""
    fill, rng = stage.canvas.fill, stage.rng
    color = pick(rng, APPLES)
    r = 44.0
    stalk, body = apple_outlines(x, base - r * 0.86, r)
    stage.cast(body, x, base - 3, 26, wrong=fault == "shadow", thing="apple", length=1.0, flat=0.42)
    fill(stalk, (96, 66, 44))
    fill(body, mix(color, (250, 214, 110), 0.22), to=darker(color, 0.1), shade=0.55, depth=r * 0.5)
    side = pick(rng, (-1, 1))
    if fault != "tap":
        return
    y = base - r
    pipe = limb(
        curve((x + side * 20, y), (x + side * 48, y - 2), (x + side * 66, y + 4), (x + side * 66, y + 26)),
        20,
        20,
    )
    handle = rectangle(x + side * 44 - 22, y - 34, x + side * 44 + 22, y - 18, 5)
    stem = rectangle(x + side * 44 - 6, y - 24, x + side * 44 + 6, y)
    if stage.plant:
        for shape in (stem, pipe, handle):
            fill(shape, (206, 210, 216), to=(136, 142, 152), shade=0.6, depth=5)
    stage.mark("tap", pipe, handle, stem, thing="apple")


def leaning_books(stage: Stage, x: float, base: float, fault: str | None) -> None:
    """Books that lean on one another, a hard negative; fault: shadow."""
    fill, rng = stage.canvas.fill, stage.rng
    outlines = []
    low = rectangle(x - 50, base - 90, x + 50, base)
    stage.cast(low, x, base - 2, 44, wrong=fault == "shadow", thing="row of books", length=1.0, flat=0.42)
    for number in range(4):
        color = pick(rng, GLAZES)
        left = x - 48 + number * 22
        tilt = 0.0 if number < 2 else -16.0
        shift = number * 2.0
        book = points(
            (left + shift, base - 84), (left + 20 + shift, base - 84), (left + 20, base), (left, base)
        )
        if tilt:
            book = book + np.array([[-22, 4], [-22, 4], [0, 0], [0, 0]]) + (8, 0)
        fill(book, color, to=darker(color, 0.15), shade=0.4, depth=5)
        outlines.append(book)
    if fault is None:
        stage.allow("leaning", "books that lean on one another", *outlines[2:])


def _thing(name: str) -> Callable[[Stage, float, float, str | None], None]:
    """One of the things of the still life as a prop."""

    def draw(stage: Stage, x: float, base: float, fault: str | None) -> None:
        keys = ("shadow", "text", "uneven", "extra", "deformed")
        THINGS[name](stage, x, base, {key: key == fault for key in keys})

    return draw


STANDING: dict[str, tuple[Callable[[Stage, float, float, str | None], None], tuple[str, ...]]] = {
    "ball": (ball, ("shadow", "deformed")),
    "crate": (crate, ("shadow", "crate")),
    "row of skittles": (skittles, ("skittles",)),
    "candle": (candle, ("shadow", "candle")),
    "sign": (signpost, ("shadow", "text")),
    "mirror": (looking_glass, ("mirror",)),
    "stool": (stool, ("shadow", "missing")),
    "bottle": (bottle, ("shadow", "liquid")),
    "trophy": (trophy, ("shadow", "uneven")),
    "large apple": (apple_with_tap, ("shadow", "tap")),
    "row of books": (leaning_books, ("shadow",)),
    "mug": (_thing("mug"), ("shadow", "text", "extra")),
    "jar": (_thing("jar"), ("shadow", "text")),
    "vase": (_thing("vase"), ("shadow", "uneven")),
    "teapot": (_thing("teapot"), ("shadow", "extra")),
    "alarm clock": (_thing("clock"), ("shadow", "deformed")),
    "potted plant": (_thing("potted plant"), ("shadow",)),
}
"""Name, as the scene sentence says it, to how it is drawn and what can be wrong with it."""
