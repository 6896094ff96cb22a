"""A street with houses, a shop, a tree, a walker and sometimes a car."""

from __future__ import annotations

import numpy as np

from synthscars.simulate import backdrops
from synthscars.simulate.canvas import Color, darker, lighter, mix
from synthscars.simulate.furnish import furnish, spread
from synthscars.simulate.people import HAIR, SHIRTS, SKIN
from synthscars.simulate.shapes import (
    Points,
    between,
    blob,
    curve,
    ellipse,
    limb,
    pick,
    points,
    rectangle,
    warped,
)
from synthscars.simulate.stage import Stage
from synthscars.simulate.things import GLAZES

FAULTS = ("text", "shadow", "deformed", "noise", "blotch", "smear")
SHOPS = ("BAKERY", "BOOKS", "CAFE", "FLOWERS", "TEA ROOM", "MUSIC", "HOTEL", "CINEMA")
FACADES: tuple[Color, ...] = (
    (214, 170, 140), (206, 192, 168), (168, 186, 190), (220, 188, 120), (196, 144, 128), (178, 190, 160),
    (226, 214, 200),
)  # fmt: skip
_CURB = 396.0


def street(stage: Stage) -> None:
    """Draw a row of houses with a shop, a tree, a walker and a car in the sun."""
    rng, fill = stage.rng, stage.canvas.fill
    haze = backdrops.sky(stage, _CURB)
    _skyline(stage, haze)
    word = pick(rng, SHOPS)
    shop = _houses(stage, word)
    fill(
        rectangle(-6, _CURB, stage.width + 6, 434),
        (206, 198, 190),
        to=(190, 182, 178),
        texture="cloth",
        amount=0.015,
    )
    for x in np.arange(-20, stage.width + 40, 46).tolist():
        fill(points((x, _CURB), (x + 1.4, _CURB), (x - 14, 434), (x - 16, 434)), (160, 152, 150), alpha=0.5)
    fill(rectangle(-6, 432, stage.width + 6, 440), (222, 216, 208), to=(150, 146, 146))
    fill(
        rectangle(-6, 440, stage.width + 6, 520),
        (112, 110, 118),
        to=(92, 90, 100),
        texture="fine",
        amount=0.03,
    )
    for dash in np.arange(-30 + between(rng, 0, 60), stage.width, 96).tolist():
        fill(
            points((dash, 500), (dash + 46, 500), (dash + 40, 506), (dash - 8, 506)),
            (226, 222, 210),
            alpha=0.7,
        )
    stage.spot("the road", rectangle(20, 446, stage.width - 20, 506))
    # The tree stands beside the shop on the side away from the sun, walker and lamp on the other.
    car = bool(stage.wants("deformed") or (rng.random() < 0.7 and not stage.wants("shadow")))
    shadowed = stage.choose("shadow", ["walker"] if car else ["tree", "walker"])
    size = between(rng, 186, 216)
    tree_x = shop - stage.side * (0.5 * _share(stage) + 0.3 * size + 4)
    walker_x = shop + stage.side * (0.5 * _share(stage) + between(rng, 8, 26))
    lamp_x = shop + stage.side * (0.5 * _share(stage) + between(rng, 76, 96))
    _lamp(stage, lamp_x, 416)
    color = pick(rng, backdrops.LEAVES)
    crown = backdrops.tree(stage, tree_x, 420, size, color, wrong=shadowed == "tree")
    stage.spot("the crown of the tree", crown, detail=True)
    walker(stage, walker_x, 430, shadowed == "walker")
    if car:
        _car(stage, walker_x - stage.side * between(rng, 128, 150), 488)
    stage.ground, stage.indoors = "road", False
    furnish(
        stage,
        spread(stage, ((0.06, 0.26), (0.38, 0.6), (0.72, 0.94)), (470, 506), (0.8, 1.1)),
        spread(stage, ((0.2, 0.45), (0.55, 0.85)), (54, 110), (0.8, 1.05)),
        0.3,
    )
    last = "a tree, a walker and a parked car" if car else "a tree and a walker"
    stage.scene = f"A sunny street with a row of houses, a shop, {last}."
    stage.prompt = f"street with colourful houses, shop sign {word}, {last}, sun from the {stage.light_from}"


def _share(stage: Stage) -> float:
    """Width of a house."""
    return stage.width * 0.84 / (3 if stage.width < 600 else 4)


def _skyline(stage: Stage, haze: Color) -> None:
    for _ in range(7):
        x = between(stage.rng, -30, stage.width)
        w, h = between(stage.rng, 50, 90), between(stage.rng, 110, 200)
        stage.canvas.fill(rectangle(x, _CURB - h, x + w, _CURB), mix(haze, (132, 146, 172), 0.45))


def _houses(stage: Stage, word: str) -> float:
    """Houses from the side away from the sun up to some open sky. Returns the middle of the shop."""
    rng, fill = stage.rng, stage.canvas.fill
    count = 3 if stage.width < 600 else 4
    share = _share(stage)
    shop = int(rng.integers(1, count - 1))
    middle = 0.0
    last: Color | None = None
    for number in range(count):
        near = number * share
        x0, x1 = (stage.width - near - share, stage.width - near) if stage.side < 0 else (near, near + share)
        top = between(rng, 96, 140) + 34 * number
        color = pick(rng, [facade for facade in FACADES if facade != last])
        last = color
        front = rectangle(x0, top, x1, _CURB)
        fill(front, lighter(color, 0.1), to=darker(color, 0.05), texture="cloth", amount=0.018)
        fill(rectangle(x0 - 4, top - 10, x1 + 4, top + 6, 2), darker(color, 0.22), shade=0.3, depth=4)
        edge = x0 if stage.side > 0 else x1
        fill(rectangle(edge - 5, top + 6, edge + 5, _CURB), darker(color, 0.4), alpha=0.25, blur=4)
        if number == shop:
            _windows(stage, x0, x1, top + 26, _CURB - 150, color)
            _shop(stage, x0, x1, color, word)
            middle = (x0 + x1) / 2
        else:
            _windows(stage, x0, x1, top + 26, _CURB - 70, color)
            door = (x0 + x1) / 2
            fill(
                rectangle(door - 17, _CURB - 62, door + 17, _CURB, 2),
                darker(pick(rng, GLAZES), 0.25),
                shade=0.25,
                depth=5,
            )
            fill(ellipse(door + 10, _CURB - 30, 2.4, 2.4), (240, 214, 140))
        name = ("the house farthest from the sun", "the second house", "the third house", "the fourth house")[
            number
        ]
        foot = _CURB - 144 if number == shop else _CURB - 70
        stage.spot(name, rectangle(x0 + 8, top + 12, x1 - 8, foot), detail=True)
    return middle


def _windows(stage: Stage, x0: float, x1: float, top: float, bottom: float, color: Color) -> None:
    fill = stage.canvas.fill
    columns = max(2, round((x1 - x0) / 58))
    step = (x1 - x0) / columns
    y = top
    while y + 44 <= bottom:
        for column in range(columns):
            x = x0 + step * (column + 0.5)
            fill(rectangle(x - 15, y - 3, x + 15, y + 41), lighter(color, 0.6))
            fill(rectangle(x - 12, y, x + 12, y + 38), (96, 124, 152), to=(170, 196, 210))
            fill(
                points((x - 12, y + 26), (x + 8, y), (x + 12, y), (x + 12, y + 4), (x - 12, y + 36)),
                (226, 238, 244),
                alpha=0.3,
            )
            fill(rectangle(x - 1, y, x + 1, y + 38), lighter(color, 0.6))
            fill(rectangle(x - 17, y + 40, x + 17, y + 45), darker(color, 0.18))
        y += 62


def _shop(stage: Stage, x0: float, x1: float, color: Color, word: str) -> None:
    rng, fill = stage.rng, stage.canvas.fill
    awning = pick(rng, GLAZES)
    board = darker(pick(rng, GLAZES), 0.4)
    fill(rectangle(x0 + 10, _CURB - 84, x1 - 10, _CURB - 4, 3), darker(color, 0.45))
    fill(rectangle(x0 + 16, _CURB - 74, x1 - 16, _CURB - 14), (250, 226, 170), to=(214, 176, 128))
    for k in range(4):
        x = x0 + 30 + k * (x1 - x0 - 60) / 3
        fill(ellipse(x, _CURB - 24, 9, 12), pick(rng, GLAZES), shade=0.4)
    fill(rectangle(x0 + 8, _CURB - 12, x1 - 8, _CURB), darker(color, 0.5))
    stage.spot("the shop window", rectangle(x0 + 14, _CURB - 98, x1 - 14, _CURB - 10), feature=True)
    stripes = 8
    step = (x1 - x0 - 4) / stripes
    for k in range(stripes):
        a = x0 + 2 + k * step
        strip = points(
            (a + 2, _CURB - 100),
            (a + step + 2, _CURB - 100),
            (a + step, _CURB - 72),
            (a + step * 0.75, _CURB - 67),
            (a + step * 0.25, _CURB - 67),
            (a, _CURB - 72),
        )
        fill(
            strip, awning if k % 2 else (248, 242, 232), to=darker(awning, 0.14) if k % 2 else (222, 214, 206)
        )
    sign = rectangle(x0 + 8, _CURB - 140, x1 - 8, _CURB - 102, 4)
    fill(sign, lighter(board, 0.1), to=darker(board, 0.1), shade=0.3, depth=4)
    stage.text(
        word,
        (x0 + x1) / 2,
        _CURB - 121,
        x1 - x0 - 32,
        32,
        (252, 240, 214),
        wrong=stage.wants("text"),
        thing="shop sign",
    )


def _lamp(stage: Stage, x: float, base: float) -> None:
    fill = stage.canvas.fill
    iron = (62, 66, 76)
    pole = points(
        (x - 3, base),
        (x - 3, base - 150),
        (x - 11, base - 158),
        (x - 11, base - 184),
        (x + 11, base - 184),
        (x + 11, base - 158),
        (x + 3, base - 150),
        (x + 3, base),
    )
    stage.cast(pole, x, base, 7, wrong=False, thing="street lamp", length=0.8, flat=0.28)
    fill(limb(points((x, base), (x, base - 150)), 8, 5), iron, shade=0.4)
    fill(rectangle(x - 9, base - 8, x + 9, base, 2), iron, shade=0.3)
    fill(
        points((x - 7, base - 152), (x + 7, base - 152), (x + 12, base - 180), (x - 12, base - 180)),
        (250, 240, 206),
        shade=0.2,
    )
    fill(points((x - 15, base - 179), (x + 15, base - 179), (x, base - 194)), iron, shade=0.3)


def walker(stage: Stage, x: float, base: float, wrong: bool) -> None:
    """A person seen from the side who walks, 130 pixels high; `wrong`: the shadow falls towards the light."""
    rng, fill = stage.rng, stage.canvas.fill
    skin, (_, hair), (_, shirt) = pick(rng, SKIN), pick(rng, HAIR), pick(rng, SHIRTS)
    whole = blob(
        (x - 12, base),
        (x - 16, base - 50),
        (x - 18, base - 92),
        (x - 8, base - 124),
        (x + 8, base - 124),
        (x + 18, base - 92),
        (x + 16, base - 50),
        (x + 12, base),
    )
    stage.cast(whole, x, base - 1, 13, wrong=wrong, thing="walker", length=0.85, flat=0.3)
    trousers: Color = pick(rng, ((62, 70, 98), (96, 84, 76), (70, 72, 78)))
    for step in (-1, 1):
        leg = limb(
            curve((x + step * 3, base - 54), (x + step * 9, base - 28), (x + step * 13, base - 4)), 14, 9
        )
        fill(leg, trousers, shade=0.3)
        fill(ellipse(x + step * 15 + 2, base - 2, 8, 4), (54, 44, 46))
    fill(
        limb(curve((x + 10, base - 92), (x + 19, base - 74), (x + 18, base - 54)), 9, 8),
        darker(shirt, 0.15),
        shade=0.3,
    )
    fill(
        blob(
            (x - 13, base - 92),
            (x - 7, base - 100),
            (x + 7, base - 100),
            (x + 13, base - 92),
            (x + 12, base - 52),
            (x - 12, base - 52),
        ),
        shirt,
        shade=0.4,
        depth=6,
    )
    fill(limb(curve((x - 11, base - 92), (x - 19, base - 74), (x - 15, base - 56)), 9, 8), shirt, shade=0.3)
    fill(ellipse(x - 15, base - 52, 4.4, 4.4), skin)
    fill(rectangle(x - 4, base - 106, x + 4, base - 96), darker(skin, 0.15))
    fill(ellipse(x, base - 114, 11, 13), skin, shade=0.35, depth=5)
    fill(
        blob(
            (x - 12, base - 112),
            (x - 10, base - 126),
            (x, base - 131),
            (x + 11, base - 126),
            (x + 12, base - 112),
            (x + 6, base - 121),
            (x - 6, base - 121),
        ),
        hair,
        shade=0.3,
        depth=3,
    )


def _car(stage: Stage, x: float, base: float) -> None:
    rng, fill = stage.rng, stage.canvas.fill
    paint = pick(rng, GLAZES)
    facing = pick(rng, (-1, 1))
    odd = int(pick(rng, (-1, 1))) if stage.wants("deformed") else 0

    def at(*pairs: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x + facing * dx, base + dy) for dx, dy in pairs]

    fill(ellipse(x - stage.side * 16, base + 4, 122, 12), (24, 20, 40), alpha=0.5, blur=5)
    body = blob(
        *at(
            (-112, -22),
            (-110, -48),
            (-84, -58),
            (-58, -64),
            (-34, -94),
            (28, -94),
            (56, -64),
            (98, -54),
            (112, -36),
            (110, -16),
            (0, -12),
        ),
        n=7,
    )
    fill(body, lighter(paint, 0.14), to=darker(paint, 0.2), shade=0.5, depth=12)
    for pane in (
        at((-48, -62), (-28, -86), (-4, -87), (-4, -62)),
        at((2, -62), (2, -87), (24, -86), (44, -62)),
    ):
        fill(points(*pane), (120, 150, 172), to=(190, 212, 222))
    fill(limb(points(*at((-1, -60), (-1, -18))), 1.4, 1.4), darker(paint, 0.5), alpha=0.7)
    stage.spot("the cabin of the car", rectangle(x - 60, base - 100, x + 60, base - 48), feature=True)
    fill(ellipse(x + facing * 104, base - 40, 6, 7), (255, 244, 206), shade=0.3)
    fill(ellipse(x - facing * 108, base - 42, 4, 7), (206, 62, 56))
    for side in (-1, 1):
        wx, wy, r = x + side * 66, base - 13, 22.0
        fill(ellipse(wx, wy - 1, r + 4, r + 4), darker(paint, 0.6))
        tyre = ellipse(wx, wy, r, r)
        if side == odd:
            bent = warped(wx, wy, r * 1.18, between(rng, 0, 6), 0.08, 0.16)
            _wheel(stage, bent if stage.plant else tyre, wx, wy)
            where = "front" if side == facing else "rear"
            stage.mark("deformed", bent, tyre, thing="car", part=f"{where} wheel")
        else:
            _wheel(stage, tyre, wx, wy)


def _wheel(stage: Stage, tyre: Points, x: float, y: float) -> None:
    middle = np.array([x, y])
    stage.canvas.fill(tyre, (48, 46, 54), shade=0.4, depth=5)
    stage.canvas.fill((tyre - middle) * 0.58 + middle, (206, 208, 212), shade=0.4, depth=4)
    stage.canvas.fill((tyre - middle) * 0.2 + middle, (120, 122, 130))
