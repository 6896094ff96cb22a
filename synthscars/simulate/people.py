"""A portrait: a person from the waist up who raises one hand."""

from __future__ import annotations

import numpy as np

from synthscars.simulate import backdrops
from synthscars.simulate.canvas import Color, darker, lighter, mix
from synthscars.simulate.furnish import Slot, furnish, side_table
from synthscars.simulate.shapes import (
    Points,
    arc,
    between,
    blob,
    curve,
    ellipse,
    limb,
    mirror,
    pick,
    points,
    rectangle,
)
from synthscars.simulate.stage import Stage

FAULTS = ("finger", "eyes", "text", "blotch", "noise", "smear")
SKIN: tuple[Color, ...] = (
    (244, 208, 180),
    (226, 178, 142),
    (194, 138, 100),
    (142, 94, 70),
    (108, 72, 56),
    (236, 192, 164),
)
HAIR: tuple[tuple[str, Color], ...] = (
    ("black", (46, 40, 46)), ("brown", (104, 68, 48)), ("blond", (214, 174, 104)),
    ("red", (176, 84, 50)), ("grey", (164, 160, 164)),
)  # fmt: skip
SHIRTS: tuple[tuple[str, Color], ...] = (
    ("teal", (58, 132, 138)), ("mustard", (212, 160, 64)), ("coral", (216, 108, 92)), ("navy", (60, 78, 124)),
    ("green", (92, 138, 96)), ("lilac", (150, 126, 178)),
)  # fmt: skip
WORDS = ("HELLO", "MUSIC", "OCEAN", "SUMMER", "PARIS", "COFFEE")
STYLES = ("short", "long", "bob", "bun", "curly")


def portrait(stage: Stage) -> None:
    """Draw the person, register the spots, name the scene."""
    rng = stage.rng
    place = pick(rng, ("park", "room", "studio"))
    if place == "park":
        backdrops.park(stage, between(rng, 300, 350))
    elif place == "room":
        backdrops.wall(stage)
    else:
        backdrops.studio(stage)
    raised = pick(rng, (-1, 1))
    skin = pick(rng, SKIN)
    hair_name, hair = pick(rng, HAIR)
    shirt_name, shirt = pick(rng, SHIRTS)
    style = pick(rng, STYLES)
    word = pick(rng, WORDS)
    glasses = rng.random() < 0.35
    stage.indoors = place != "park"
    stage.ground = "table"
    if rng.random() < 0.25:
        stage.canvas.blur(between(rng, 4, 7))
        stage.allow("background blur", "a background out of focus")
    clown = rng.random() < 0.1
    size = between(rng, 0.66, 0.94)
    # Room for the raised hand on one side and for a table with props on the other.
    near, far = (
        (205 * size, stage.width - 165 * size) if raised < 0 else (165 * size, stage.width - 205 * size)
    )
    x = between(rng, near, far)
    y = between(rng, 186, 206)
    away = [share for share in (0.13, 0.36, 0.64, 0.87) if abs(share * stage.width - x) > 150 * size]
    furnish(
        stage,
        (),
        [Slot(share * stage.width, between(rng, 70, 150), between(rng, 0.8, 1.15)) for share in away[:2]],
        0.4,
    )
    with stage.canvas.zoomed(x, 512, size):
        _hair_back(stage, x, y, style, hair)
        _torso(stage, x, y, shirt, skin)
        with_word = stage.wants("text") or rng.random() < 0.4
        if with_word:
            stage.text(
                word, x, y + 236, 130, 42, lighter(shirt, 0.8), wrong=stage.wants("text"), thing="shirt"
            )
        _head(stage, x, y, skin, hair)
        _hair_front(stage, x, y, style, hair)
        if glasses:
            _glasses(stage, x, y)
        if clown:
            nose = ellipse(x, y + 34, 15, 14)
            stage.canvas.fill(nose, (214, 44, 48), shade=0.5, depth=7)
            stage.allow("clown", "the red nose of a clown", nose)
        hand = "left" if raised < 0 else "right"  # the viewer's, as everywhere
        hand_x, hand_y = x + raised * between(rng, 154, 164), y + between(rng, 72, 96)
        with stage.canvas.zoomed(hand_x, hand_y, 1.18):
            _arm(stage, hand_x, hand_y, raised, shirt, skin, hand)
    free = x - raised * 150 * size
    table_x = free / 2 if raised > 0 else (free + stage.width) / 2
    side_table(stage, table_x, between(rng, 420, 456), between(rng, 0.85, 1.15))
    where = {"park": "in a park", "room": "beside a window", "studio": "in front of a plain wall"}[place]
    worn = " and glasses" if glasses else ""
    look = "curly" if style == "curly" else {"bob": "chin-length", "bun": "pinned-up"}.get(style, style)
    stage.scene = (
        f"A person with {look} {hair_name} hair{worn} in a {shirt_name} shirt raises one hand {where}."
    )
    stage.prompt = (
        f"portrait of a person with {look} {hair_name} hair{worn}, {shirt_name} shirt, waving, {where}"
    )


def _hair_back(stage: Stage, x: float, y: float, style: str, hair: Color) -> None:
    fill, dark = stage.canvas.fill, darker(hair, 0.3)
    if style == "long":
        fill(
            blob((x - 86, y - 30), (x - 60, y - 98), (x, y - 116), (x + 60, y - 98), (x + 86, y - 30),
            (x + 100, y + 96), (x + 88, y + 176), (x, y + 160), (x - 88, y + 176),
            (x - 100, y + 96)), dark, shade=0.25, texture="fur"
        )  # fmt: skip
    elif style == "bob":
        fill(
            blob((x - 88, y - 20), (x - 62, y - 96), (x, y - 114), (x + 62, y - 96), (x + 88, y - 20),
            (x + 94, y + 70), (x + 50, y + 96), (x - 50, y + 96),
            (x - 94, y + 70)), dark, shade=0.25, texture="fur"
        )  # fmt: skip
    elif style == "bun":
        fill(ellipse(x, y - 118, 38, 32), hair, shade=0.4, texture="fur")
    elif style == "curly":
        for turn in range(150, 391, 20):
            a = np.radians(turn)
            fill(ellipse(x + 84 * np.cos(a), y - 30 + 82 * np.sin(a), 32, 32), dark, shade=0.3, texture="fur")


def _torso(stage: Stage, x: float, y: float, shirt: Color, skin: Color) -> None:
    fill = stage.canvas.fill
    body = blob(
        (x - 34, y + 118), (x - 92, y + 140), (x - 138, y + 180), (x - 150, y + 260), (x - 146, 540),
        (x, 560), (x + 146, 540), (x + 150, y + 260), (x + 138, y + 180), (x + 92, y + 140),
        (x + 34, y + 118), (x, y + 124)
    )  # fmt: skip
    fill(
        body, lighter(shirt, 0.05), to=darker(shirt, 0.2), shade=0.36, depth=26, texture="cloth", amount=0.02
    )
    for side in (-1, 1):
        fold = limb(curve((x + side * 104, y + 210), (x + side * 98, y + 280), (x + side * 106, 520)), 3, 10)
        fill(fold, darker(shirt, 0.5), alpha=0.22, blur=3)
    fill(rectangle(x - 33, y + 60, x + 33, y + 138, 22), darker(skin, 0.12), shade=0.2, depth=12)
    fill(ellipse(x, y + 98, 40, 22), darker(skin, 0.45), alpha=0.35, blur=7)
    fill(
        blob(
            (x - 33, y + 118),
            (x - 22, y + 140),
            (x, y + 150),
            (x + 22, y + 140),
            (x + 33, y + 118),
            (x, y + 116),
        ),
        darker(skin, 0.08),
    )
    collar = limb(
        curve((x - 42, y + 114), (x - 26, y + 142), (x, y + 156), (x + 26, y + 142), (x + 42, y + 114)),
        11,
        11,
    )
    fill(collar, darker(shirt, 0.16), shade=0.3)
    stage.spot("the front of the shirt", rectangle(x - 96, y + 176, x + 96, 500, 20))


def _head(stage: Stage, x: float, y: float, skin: Color, hair: Color) -> None:
    fill, rng = stage.canvas.fill, stage.rng
    for side in (-1, 1):
        fill(ellipse(x + side * 72, y + 8, 15, 22), skin, shade=0.3)
        fill(ellipse(x + side * 73, y + 9, 7, 12), darker(skin, 0.25), alpha=0.7, blur=2)
    face = blob(
        (x - 70, y - 40), (x - 44, y - 86), (x, y - 96), (x + 44, y - 86), (x + 70, y - 40),
        (x + 70, y + 16), (x + 52, y + 66), (x + 18, y + 94), (x - 18, y + 94), (x - 52, y + 66),
        (x - 70, y + 16)
    )  # fmt: skip
    fill(face, lighter(skin, 0.1), to=darker(skin, 0.06), shade=0.34, depth=22)
    for side in (-1, 1):
        fill(ellipse(x + side * 40, y + 38, 20, 14), mix(skin, (226, 92, 84), 0.5), alpha=0.32, blur=7)
    odd = int(pick(rng, (-1, 1))) if stage.wants("eyes") else 0
    iris = pick(rng, ((88, 124, 150), (96, 74, 52), (92, 122, 88), (70, 52, 44)))
    for side in (-1, 1):
        at_x, at_y = x + side * 29, y + 4
        if side == odd:
            viewed = "left" if side < 0 else "right"
            region = blob(
                (at_x - 27, at_y + 4), (at_x - 19, at_y - 17), (at_x, at_y - 22), (at_x + 19, at_y - 17),
                (at_x + 27, at_y + 4), (at_x + 18, at_y + 28), (at_x, at_y + 33), (at_x - 18, at_y + 28)
            )  # fmt: skip
            if stage.plant:
                _eye(stage, at_x, at_y + 9, 1.5, mix(iris, (210, 150, 40), 0.75), skin, hair, brow=False)
            else:
                _eye(stage, at_x, at_y, 1.0, iris, skin, hair, brow=False)
            stage.mark("eyes", region, place=viewed)
            _brow(stage, at_x, at_y, hair)
        else:
            _eye(stage, at_x, at_y, 1.0, iris, skin, hair)
    nose = limb(curve((x + 2, y + 6), (x + 7, y + 26), (x + 10, y + 40), (x + 1, y + 45)), 3, 4)
    fill(mirror(nose, x) if stage.side < 0 else nose, darker(skin, 0.3), alpha=0.5, blur=1.6)
    fill(ellipse(x + stage.side * 3, y + 36, 8, 7), lighter(skin, 0.6), alpha=0.4, blur=3)
    smile = between(rng, 3, 11)
    lips = mix(skin, (186, 60, 66), 0.6)
    mouth = curve(
        (x - 28, y + 58),
        (x - 14, y + 61 + smile * 0.5),
        (x, y + 62 + smile * 0.7),
        (x + 14, y + 61 + smile * 0.5),
        (x + 28, y + 58),
    )
    lower = curve(
        (x + 25, y + 60),
        (x + 12, y + 69 + smile * 0.7),
        (x, y + 72 + smile * 0.8),
        (x - 12, y + 69 + smile * 0.7),
        (x - 25, y + 60),
    )
    fill(np.concatenate([mouth - (0, 2), lower]), lips, shade=0.2, depth=4)
    fill(limb(mouth, 2.4, 2.4), darker(lips, 0.5))
    fill(ellipse(x, y + 82 + smile * 0.6, 16, 3.5), darker(skin, 0.3), alpha=0.3, blur=2)
    stage.spot("the mouth of the person", ellipse(x, y + 64, 38, 22), feature=True)
    stage.spot("the cheek on the left", ellipse(x - 44, y + 44, 24, 22))
    stage.spot("the cheek on the right", ellipse(x + 44, y + 44, 24, 22))


def _eye(
    stage: Stage, x: float, y: float, size: float, iris: Color, skin: Color, hair: Color, *, brow: bool = True
) -> None:
    fill = stage.canvas.fill
    white = blob(
        (x - 17 * size, y + 1), (x - 8 * size, y - 8 * size), (x + 2 * size, y - 9.5 * size),
        (x + 11 * size, y - 6 * size), (x + 17 * size, y + 1), (x + 8 * size, y + 7 * size),
        (x - 6 * size, y + 7.5 * size)
    )  # fmt: skip
    fill(white, (250, 248, 244), to=(228, 226, 232))
    fill(ellipse(x, y - 1 * size, 8 * size, 8 * size), iris, shade=0.2)
    fill(ellipse(x, y - 1 * size, 3.9 * size, 3.9 * size), (22, 18, 24))
    fill(ellipse(x + stage.side * 3 * size, y - 4 * size, 2.2 * size, 2.2 * size), (255, 255, 255))
    lid = curve(
        (x - 18 * size, y + 2),
        (x - 9 * size, y - 8.5 * size),
        (x + 2 * size, y - 10.5 * size),
        (x + 11 * size, y - 7 * size),
        (x + 18 * size, y + 1),
    )
    fill(limb(lid, 2.6 * size, 3.2 * size), darker(mix(skin, hair, 0.6), 0.5))
    if brow:
        _brow(stage, x, y, hair)


def _brow(stage: Stage, x: float, y: float, hair: Color) -> None:
    stage.canvas.fill(
        limb(curve((x - 20, y - 24), (x - 4, y - 31), (x + 20, y - 25)), 5.5, 5), darker(hair, 0.2)
    )


def _hair_front(stage: Stage, x: float, y: float, style: str, hair: Color) -> None:
    fill = stage.canvas.fill
    if style == "curly":
        for turn in range(176, 372, 22):
            a = np.radians(turn)
            fill(ellipse(x + 62 * np.cos(a), y - 46 + 44 * np.sin(a), 25, 24), hair, shade=0.4, texture="fur")
        cap: Points = ellipse(x, y - 92, 50, 22)
    elif style in ("short", "bun"):
        cap = blob(
            (x - 77, y + 2), (x - 80, y - 58), (x - 46, y - 104), (x + 10, y - 116), (x + 62, y - 96),
            (x + 80, y - 50), (x + 76, y + 2), (x + 64, y - 36), (x + 30, y - 62), (x - 14, y - 58),
            (x - 56, y - 42)
        )  # fmt: skip
        fill(cap, lighter(hair, 0.06), to=darker(hair, 0.1), shade=0.4, depth=14, texture="fur", amount=0.07)
    else:
        cap = blob(
            (x - 88, y + 64), (x - 90, y - 30), (x - 54, y - 102), (x + 6, y - 118), (x + 60, y - 100),
            (x + 90, y - 28), (x + 88, y + 64), (x + 70, y + 34), (x + 60, y - 36), (x + 10, y - 74),
            (x - 36, y - 54), (x - 64, y - 18), (x - 70, y + 34)
        )  # fmt: skip
        fill(cap, lighter(hair, 0.06), to=darker(hair, 0.1), shade=0.4, depth=14, texture="fur", amount=0.07)
    stage.spot(
        "the hair above the forehead",
        blob((x - 58, y - 66), (x, y - 104), (x + 58, y - 74), (x + 4, y - 70)),
        detail=True,
    )


def _glasses(stage: Stage, x: float, y: float) -> None:
    rim = (58, 46, 54)
    for side in (-1, 1):
        stage.canvas.fill(limb(arc(x + side * 30, y + 5, 25, 23, 0, 360, 40), 3, 3), rim, blur=0.1)
    stage.canvas.fill(limb(curve((x - 6, y + 1), (x, y - 3), (x + 6, y + 1)), 3, 3), rim)


def _arm(stage: Stage, x: float, y: float, side: int, shirt: Color, skin: Color, hand: str) -> None:
    """The forearm from below and the open hand around (x, y), left (`side` -1) or right (1) of the head."""
    fill = stage.canvas.fill
    elbow = (x + side * 26, 560.0)
    fill(
        limb(curve(elbow, (x + side * 18, y + 170), (x + side * 2, y + 60)), 82, 52),
        shirt,
        shade=0.4,
        depth=14,
        texture="cloth",
        amount=0.02,
    )
    fill(limb(points((x + side * 2, y + 42), (x, y + 20)), 36, 34), darker(skin, 0.05), shade=0.3, depth=9)
    fill(
        limb(points((x + side * 3 - 23, y + 60), (x + side * 3 + 23, y + 60)), 15, 15),
        darker(shirt, 0.12),
        shade=0.3,
    )
    slots = ((-16.0, 54.0, -15.0), (-3.0, 62.0, -4.0), (10.0, 57.0, 7.0), (22.0, 45.0, 20.0))

    def finger(offset: float, length: float, angle: float, root: float, width: float) -> Points:
        a = np.radians(angle)
        base = (x + side * offset, y - root)
        tip = (base[0] + side * length * np.sin(a), base[1] - length * np.cos(a))
        middle = (base[0] + side * length * 0.5 * np.sin(a * 0.9), base[1] - length * 0.5 * np.cos(a))
        return limb(curve(base, middle, tip), width, width * 0.86)

    if stage.wants("finger"):
        extra = finger(28, 56, 52, 2, 22)
        if stage.plant:
            fill(extra, skin, shade=0.36, depth=5)
        stage.mark("finger", extra, hand=hand)
    for offset, length, angle in slots:
        fill(finger(offset, length, angle, 16, 14.5), lighter(skin, 0.04), shade=0.36, depth=5)
    fill(finger(-22, 44, -52, -8, 16), skin, shade=0.36, depth=5)
    palm = blob(
        (x - side * 26, y - 22), (x - side * 8, y - 31), (x + side * 12, y - 30), (x + side * 29, y - 20),
        (x + side * 31, y + 8), (x + side * 20, y + 36), (x, y + 42), (x - side * 20, y + 34),
        (x - side * 30, y + 8)
    )  # fmt: skip
    fill(palm, lighter(skin, 0.06), to=darker(skin, 0.04), shade=0.22, depth=8)
    for line in (
        curve((x - side * 20, y - 8), (x, y - 2), (x + side * 22, y - 12)),
        curve((x - side * 16, y - 4), (x - side * 2, y + 12), (x - side * 2, y + 32)),
    ):
        fill(limb(line, 2, 1.4), darker(skin, 0.4), alpha=0.35, blur=0.8)
    around = blob(
        (x - 44, y + 44),
        (x - 52, y - 30),
        (x - 30, y - 84),
        (x + 30, y - 84),
        (x + 52, y - 30),
        (x + 44, y + 44),
    )
    stage.spot(f"the raised hand on the {hand}", around, feature=True)
    stage.spot(
        "the sleeve of the raised arm", limb(points((x + side * 12, y + 110), (x + side * 22, 520)), 64, 76)
    )
