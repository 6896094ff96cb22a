"""Single things that stand on a table. Each is drawn standing at (x, base).

`wrong` says which artifacts the thing is to show: a shadow towards the light, scrambled letters, and so on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synthscars.simulate import backdrops
from synthscars.simulate.canvas import Color, darker, lighter, mix
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
    profile,
    rectangle,
    warped,
)  # fmt: skip
from synthscars.simulate.stage import Stage

GLAZES: tuple[Color, ...] = (
    (206, 98, 82), (72, 128, 150), (226, 178, 84), (110, 146, 108), (240, 226, 208), (154, 120, 164),
    (62, 90, 120), (222, 142, 120),
)  # fmt: skip
WOODS: tuple[Color, ...] = ((176, 126, 84), (146, 100, 70), (204, 164, 118), (124, 92, 78))
APPLES: tuple[Color, ...] = ((206, 66, 54), (226, 158, 60), (142, 168, 70))
MUG_WORDS = ("TEA", "MILK", "JAVA", "CHAI")
WORDS = ("TEA", "SUGAR", "HONEY", "COCOA", "LEMON", "SALT", "COFFEE", "OLIVE")


def _mug(stage: Stage, x: float, base: float, wrong: dict[str, bool]) -> None:
    fill, rng = stage.canvas.fill, stage.rng
    glaze = pick(rng, GLAZES)
    body = profile(x, (36, base - 84), (36, base - 30), (33, base - 8), (24, base))
    stage.cast(body, x, base - 3, 30, wrong=wrong["shadow"], thing="mug")
    side = pick(rng, (-1, 1))
    handle = limb(
        arc(x + side * 36, base - 46, 23, 23, -90 if side > 0 else 90, 90 if side > 0 else 270), 11, 11
    )
    if wrong["extra"]:
        second = mirror(handle, x)
        if stage.plant:
            fill(second, darker(glaze, 0.08), shade=0.4, depth=5)
        stage.mark("extra", second, thing="mug", part="handle", usual="one handle")
    fill(handle, darker(glaze, 0.08), shade=0.4, depth=5)
    fill(body, lighter(glaze, 0.08), to=darker(glaze, 0.1), shade=0.5, depth=16, texture="soft", amount=0.015)
    fill(ellipse(x, base - 84, 36, 9), lighter(glaze, 0.4))
    fill(ellipse(x, base - 83, 31, 6.5), mix(glaze, (70, 44, 32), 0.8))
    ink = darker(glaze, 0.65) if sum(glaze) > 520 else lighter(glaze, 0.85)
    stage.text(pick(rng, MUG_WORDS), x, base - 42, 60, 30, ink, wrong=wrong["text"], thing="mug")
    stage.spot("the side of the mug", body)


def _jar(stage: Stage, x: float, base: float, wrong: dict[str, bool]) -> None:
    fill, rng = stage.canvas.fill, stage.rng
    inside = pick(rng, ((214, 150, 62), (196, 80, 84), (150, 116, 84), (232, 204, 150)))
    body = profile(x, (30, base - 108), (40, base - 96), (43, base - 50), (42, base - 10), (34, base))
    stage.cast(body, x, base - 3, 38, wrong=wrong["shadow"], thing="jar")
    fill(
        body, mix(inside, (226, 236, 236), 0.45), to=mix(inside, (226, 236, 236), 0.08), shade=0.42, depth=15
    )
    fill(
        limb(
            curve(
                (x + stage.side * 33, base - 90),
                (x + stage.side * 36, base - 52),
                (x + stage.side * 34, base - 16),
            ),
            4,
            4,
        ),
        (255, 255, 255),
        alpha=0.5,
        blur=1.5,
    )
    fill(
        rectangle(x - 34, base - 124, x + 34, base - 103, 5),
        pick(rng, WOODS),
        shade=0.4,
        depth=6,
        texture="wood",
    )
    fill(rectangle(x - 35, base - 76, x + 35, base - 32, 3), (248, 240, 222), to=(234, 222, 200))
    stage.text(pick(rng, WORDS), x, base - 54, 64, 28, (82, 58, 50), wrong=wrong["text"], thing="jar")


def _vase(stage: Stage, x: float, base: float, wrong: dict[str, bool]) -> None:
    fill, rng = stage.canvas.fill, stage.rng
    glaze = pick(rng, GLAZES)
    body = profile(
        x,
        (20, base - 158),
        (14, base - 140),
        (18, base - 122),
        (46, base - 88),
        (44, base - 52),
        (24, base - 12),
        (26, base),
    )
    stage.cast(body, x, base - 3, 26, wrong=wrong["shadow"], thing="vase", length=0.6)
    small = limb(
        curve((x + 14, base - 138), (x + 42, base - 138), (x + 50, base - 112), (x + 36, base - 98)), 8, 8
    )
    # Thick enough to cover the small one, so that its own outline is all that changes.
    large = limb(
        curve(
            (x + 14, base - 138),
            (x + 44, base - 140),
            (x + 60, base - 108),
            (x + 72, base - 74),
            (x + 40, base - 58),
        ),
        13,
        22,
    )
    odd = 1 if x < stage.width / 2 else -1  # towards the middle, where there is room
    for side in (-1, 1):
        handle = small if side > 0 else mirror(small, x)
        if wrong["uneven"] and side == odd:
            grown = large if side > 0 else mirror(large, x)
            fill(grown if stage.plant else handle, darker(glaze, 0.1), shade=0.45, depth=4)
            stage.mark(
                "uneven", grown, handle, thing="vase", part="handle", place="right" if side > 0 else "left"
            )
        else:
            fill(handle, darker(glaze, 0.1), shade=0.45, depth=4)
    fill(
        body, lighter(glaze, 0.08), to=darker(glaze, 0.14), shade=0.5, depth=17, texture="soft", amount=0.015
    )
    for y, half in ((base - 96, 41.5), (base - 44, 40.5)):
        band = limb(curve((x - half, y), (x, y + 7), (x + half, y)), 4, 4)
        fill(band, lighter(glaze, 0.55), alpha=0.8)
    fill(ellipse(x, base - 158, 20, 5), darker(glaze, 0.5))
    fill(limb(arc(x, base - 158, 20, 5, 0, 360, 30), 2.5, 2.5), lighter(glaze, 0.35))
    stage.spot("the belly of the vase", body)


def _teapot(stage: Stage, x: float, base: float, wrong: dict[str, bool]) -> None:
    fill, rng = stage.canvas.fill, stage.rng
    glaze = pick(rng, GLAZES)
    body = profile(x, (22, base - 82), (42, base - 66), (50, base - 38), (38, base - 10), (28, base))
    stage.cast(body, x, base - 3, 32, wrong=wrong["shadow"], thing="teapot")
    side = pick(rng, (-1, 1))
    spout = limb(
        curve(
            (x + side * 38, base - 30),
            (x + side * 62, base - 44),
            (x + side * 68, base - 66),
            (x + side * 80, base - 78),
        ),
        24,
        11,
    )
    handle = limb(
        curve(
            (x - side * 38, base - 68),
            (x - side * 72, base - 66),
            (x - side * 72, base - 28),
            (x - side * 40, base - 22),
        ),
        9,
        9,
    )
    if wrong["extra"]:
        second = limb(
            curve(
                (x + side * 30, base - 70),
                (x + side * 46, base - 100),
                (x + side * 46, base - 116),
                (x + side * 58, base - 128),
            ),
            22,
            10,
        )
        if stage.plant:
            fill(second, darker(glaze, 0.04), shade=0.4, depth=6)
        stage.mark("extra", second, thing="teapot", part="spout", usual="one spout")
    fill(spout, glaze, shade=0.42, depth=7)
    fill(handle, darker(glaze, 0.08), shade=0.4, depth=4)
    fill(
        body, lighter(glaze, 0.08), to=darker(glaze, 0.12), shade=0.5, depth=18, texture="soft", amount=0.015
    )
    fill(
        blob(
            (x - 26, base - 80),
            (x - 16, base - 92),
            (x, base - 95),
            (x + 16, base - 92),
            (x + 26, base - 80),
            (x, base - 76),
        ),
        lighter(glaze, 0.1),
        shade=0.4,
        depth=7,
    )
    fill(ellipse(x, base - 99, 8, 7), glaze, shade=0.5)
    stage.spot("the belly of the teapot", body)


def _clock(stage: Stage, x: float, base: float, wrong: dict[str, bool]) -> None:
    fill, rng = stage.canvas.fill, stage.rng
    glaze = pick(rng, GLAZES)
    cy, r = base - 58, 46.0
    round_rim = ellipse(x, cy, r, r)
    melted = warped(x, cy, r * 1.06, between(rng, 0, 6), 0.13, 0.12)
    rim = melted if wrong["deformed"] and stage.plant else round_rim
    stage.cast(round_rim, x, base - 2, 26, wrong=wrong["shadow"], thing="alarm clock")
    for side in (-1, 1):
        fill(
            limb(points((x + side * 22, base - 22), (x + side * 34, base)), 9, 7),
            darker(glaze, 0.3),
            shade=0.4,
        )
        fill(ellipse(x + side * 26, cy - 44, 17, 14, side * 30), lighter(glaze, 0.2), shade=0.5)
    fill(rim, glaze, shade=0.5, depth=9)
    fill((rim - (x, cy)) * 0.8 + (x, cy), (250, 246, 236), to=(232, 228, 220))
    if wrong["deformed"]:
        stage.mark("deformed", round_rim, melted, thing="alarm clock", part="rim")
    for hour in range(12):
        a = np.radians(hour * 30)
        inner = 27.0 if hour % 3 == 0 else 30.0
        fill(
            limb(
                points(
                    (x + inner * np.sin(a), cy - inner * np.cos(a)), (x + 33 * np.sin(a), cy - 33 * np.cos(a))
                ),
                2.4,
                2.4,
            ),
            (70, 62, 70),
            blur=1.6,
            alpha=0.99,
        )
    for angle, length, width in ((between(rng, 0, 360), 17, 4.0), (between(rng, 0, 360), 26, 2.8)):
        a = np.radians(angle)
        fill(
            limb(points((x, cy), (x + length * np.sin(a), cy - length * np.cos(a))), width, width),
            (60, 52, 60),
            alpha=0.99,
        )
    fill(ellipse(x, cy, 3.6, 3.6), (206, 80, 66), alpha=0.99)


def plant(stage: Stage, x: float, base: float, wrong: dict[str, bool]) -> None:
    """A potted plant, standing at (x, base); `wrong["shadow"]`: its shadow falls towards the light."""
    fill, rng = stage.canvas.fill, stage.rng
    pot = pick(rng, GLAZES)
    leaf = pick(rng, backdrops.LEAVES[:3])
    body = points((x - 33, base - 62), (x + 33, base - 62), (x + 25, base), (x - 25, base))
    whole = blob(
        (x - 25, base),
        (x - 34, base - 62),
        (x - 52, base - 120),
        (x - 10, base - 164),
        (x + 46, base - 130),
        (x + 34, base - 62),
        (x + 25, base),
    )
    stage.cast(whole, x, base - 3, 27, wrong=wrong["shadow"], thing="potted plant", length=0.62)
    for angle in (-62.0, 58.0, -40.0, 38.0, -18.0, 20.0, 2.0):
        a = np.radians(angle + between(rng, -6, 6))
        length = between(rng, 76, 104)
        tip = (x + length * np.sin(a), base - 58 - length * np.cos(a))
        bend = (x + length * 0.5 * np.sin(a * 0.6), base - 58 - length * 0.56 * np.cos(a * 0.6))
        middle = np.array([(x + 2 * np.sin(a), base - 58), bend, tip])
        normal = np.array([np.cos(a), np.sin(a)]) * 13
        shape = blob(
            (float(middle[0, 0]), float(middle[0, 1])),
            *(((float(p[0]), float(p[1]))) for p in (bend - normal, np.array(tip), bend + normal)),
        )
        tone = mix(leaf, (206, 216, 120), between(rng, 0, 0.3))
        fill(shape, lighter(tone, 0.1), to=darker(tone, 0.2), shade=0.4, depth=6)
        fill(
            limb(
                curve((float(middle[0, 0]), float(middle[0, 1])), (float(bend[0]), float(bend[1])), tip),
                1.6,
                0.8,
            ),
            lighter(tone, 0.4),
            alpha=0.5,
        )
    fill(body, lighter(pot, 0.08), to=darker(pot, 0.12), shade=0.48, depth=14)
    fill(rectangle(x - 36, base - 68, x + 36, base - 54, 4), lighter(pot, 0.12), shade=0.4, depth=6)
    stage.spot("the flower pot", body)


def _books(stage: Stage, x: float, base: float, wrong: dict[str, bool]) -> None:
    fill, rng = stage.canvas.fill, stage.rng
    widths = (58.0, 52.0, 46.0)
    stack = rectangle(x - 54, base - 78, x + 54, base)
    stage.cast(stack, x, base - 2, 54, wrong=wrong["shadow"], thing="pile of books")
    for level, half in enumerate(widths):
        low = base - level * 27
        shift = between(rng, -5, 5)
        cover = pick(rng, GLAZES)
        book = rectangle(x - half + shift, low - 27, x + half + shift, low, 4)
        fill(
            book,
            lighter(cover, 0.06),
            to=darker(cover, 0.12),
            shade=0.3,
            depth=5,
            texture="cloth",
            amount=0.03,
        )
        fill(
            rectangle(x - half * 0.72 + shift, low - 22, x - half * 0.64 + shift, low - 5),
            lighter(cover, 0.6),
            alpha=0.8,
        )
        fill(
            rectangle(x + half * 0.64 + shift, low - 22, x + half * 0.72 + shift, low - 5),
            lighter(cover, 0.6),
            alpha=0.8,
        )
        fill(
            rectangle(x - half * 0.4 + shift, low - 16, x + half * 0.4 + shift, low - 11),
            lighter(cover, 0.5),
            alpha=0.6,
        )
    stage.spot("the spines of the books", rectangle(x - 44, base - 78, x + 44, base - 2), detail=True)


def _bowl(stage: Stage, x: float, base: float, wrong: dict[str, bool]) -> None:
    fill, rng = stage.canvas.fill, stage.rng
    glaze = pick(rng, GLAZES)
    body = profile(x, (58, base - 52), (50, base - 24), (26, base - 4), (24, base))
    stage.cast(body, x, base - 3, 28, wrong=wrong["shadow"], thing="fruit bowl", length=1.0, flat=0.5)
    fill(ellipse(x, base - 52, 58, 12), darker(glaze, 0.4))
    for dx, dy in ((-28, -60), (26, -60), (-2, -68)):
        apple(stage, x + dx, base + dy, 23, pick(rng, APPLES))
    fill(body, lighter(glaze, 0.08), to=darker(glaze, 0.12), shade=0.5, depth=15)
    fill(limb(curve((x - 58, base - 52), (x, base - 43), (x + 58, base - 52)), 4, 4), lighter(glaze, 0.4))


def apple_outlines(x: float, y: float, r: float) -> tuple[Points, Points]:
    """Stalk and body of an apple around (x, y)."""
    stalk = limb(curve((x, y - r * 0.7), (x + 1, y - r), (x + 4, y - r * 1.35)), 3.4, 3)
    body = blob(
        (x, y - r * 0.84), (x + r * 0.62, y - r), (x + r * 1.06, y - r * 0.25),
        (x + r * 0.72, y + r * 0.8), (x, y + r * 0.88), (x - r * 0.72, y + r * 0.8),
        (x - r * 1.06, y - r * 0.25), (x - r * 0.62, y - r)
    )  # fmt: skip
    return stalk, body


def apple(stage: Stage, x: float, y: float, r: float, color: Color) -> None:
    """An apple around (x, y)."""
    stalk, body = apple_outlines(x, y, r)
    stage.canvas.fill(stalk, (96, 66, 44))
    stage.canvas.fill(
        body, mix(color, (250, 214, 110), 0.22), to=darker(color, 0.1), shade=0.55, depth=r * 0.5
    )
    stage.canvas.fill(
        ellipse(x + stage.side * r * 0.4, y - r * 0.42, r * 0.2, r * 0.14), (255, 255, 255), alpha=0.5, blur=2
    )


THINGS: dict[str, Callable[[Stage, float, float, dict[str, bool]], None]] = {
    "mug": _mug, "jar": _jar, "vase": _vase, "teapot": _teapot, "clock": _clock, "potted plant": plant,
    "pile of books": _books, "bowl of fruit": _bowl,
}  # fmt: skip
