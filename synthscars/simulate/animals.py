"""A sitting animal seen from the front: cat, dog, rabbit, fox or bear, in a park or at home."""

from __future__ import annotations

from typing import NamedTuple

from synthscars.simulate import backdrops
from synthscars.simulate.canvas import Color, darker, lighter, mix
from synthscars.simulate.furnish import Slot, furnish
from synthscars.simulate.shapes import Points, between, blob, curve, ellipse, limb, mirror, pick, points
from synthscars.simulate.stage import Stage

FAULTS = ("extra", "uneven", "shadow", "eyes", "blotch", "noise", "smear")


class Species(NamedTuple):
    """How one kind of animal looks: name, shape of the ears, of the tail, its coats (name, colour)."""

    name: str
    ears: str
    tail: str
    coats: tuple[tuple[str, Color], ...]


SPECIES = (
    Species("cat", "pointed", "long", (("grey", (146, 148, 158)), ("ginger", (222, 142, 74)),
        ("black", (66, 62, 70)), ("cream", (236, 214, 180)))),
    Species("dog", "hanging", "short", (("brown", (150, 104, 70)), ("golden", (216, 166, 96)),
        ("chocolate", (98, 68, 54)))),
    Species("rabbit", "tall", "none", (("white", (238, 232, 226)), ("grey", (166, 160, 160)),
        ("brown", (170, 132, 100)))),
    Species("fox", "pointed", "bushy", (("red", (214, 108, 52)), ("russet", (190, 92, 58)))),
    Species("bear", "round", "none", (("brown", (132, 92, 66)), ("dark brown", (96, 70, 58)),
        ("white", (236, 232, 224)))),
)  # fmt: skip


def sitting(stage: Stage) -> None:
    """Draw the animal, register the spots, name the scene."""
    rng = stage.rng
    species = pick(rng, SPECIES)
    coat_name, coat = pick(rng, species.coats)
    indoors = bool(rng.random() < 0.4)
    if indoors:
        floor = between(rng, 330, 350)
        backdrops.wall(stage, floor)
        backdrops.floor(stage, floor)
    else:
        meadow = backdrops.park(stage, between(rng, 286, 316))
        backdrops.grass(stage, meadow)
    stage.indoors = indoors
    stage.ground = "floor" if indoors else "meadow"
    if rng.random() < 0.25:
        stage.canvas.blur(between(rng, 4, 7))
        stage.allow("background blur", "a background out of focus")
    x = stage.width * between(rng, 0.33, 0.67)
    base = between(rng, 440, 466)
    size = between(rng, 0.78, 1.12) * (0.86 if species.ears == "tall" else 1.0)
    shares = [share for share in (0.1, 0.3, 0.7, 0.9) if abs(share * stage.width - x) > 110]
    furnish(
        stage,
        [Slot(share * stage.width, between(rng, 392, 490), between(rng, 0.85, 1.25)) for share in shares],
        [Slot(share * stage.width, between(rng, 70, 150), between(rng, 0.8, 1.2)) for share in shares],
        0.35,
    )
    with stage.canvas.zoomed(x, base, size):
        _body(stage, x, base, species, coat)
        _head(stage, x, base - 226, species, coat)
    where = "on the floor of a bright room" if indoors else "on a meadow"
    stage.scene = f"A {coat_name} {species.name} sits {where} and looks at the viewer."
    stage.prompt = (
        f"a {coat_name} {species.name} sitting {where}, front view, light from the {stage.light_from}"
    )


def _body(stage: Stage, x: float, base: float, species: Species, coat: Color) -> None:
    fill, rng = stage.canvas.fill, stage.rng
    belly = mix(coat, (255, 248, 238), 0.55)
    whole = blob(
        (x - 70, base), (x - 88, base - 60), (x - 58, base - 160), (x - 66, base - 240), (x, base - 290),
        (x + 66, base - 240), (x + 58, base - 160), (x + 88, base - 60), (x + 70, base)
    )  # fmt: skip
    wrong = stage.wants("shadow")
    stage.cast(whole, x, base - 4, 84, wrong=wrong, thing=species.name, length=0.8, flat=0.19)
    swing = pick(rng, (-1, 1))
    tail = _tail(x, base, swing, species.tail)
    if tail is not None:
        fill(tail, darker(coat, 0.1), shade=0.4, depth=9, texture="fur", amount=0.05)
        if species.tail == "bushy":
            fill(ellipse(x + swing * 128, base - 102, 16, 24, swing * 20), belly, shade=0.3, blur=1)
    second: tuple[Points, ...]
    if stage.wants("extra"):
        if tail is not None and rng.random() < 0.5:
            second = (mirror(tail, x),)
            words = {"part": "tail", "usual": "one tail"}
        else:
            leg = limb(
                curve(
                    (x - swing * 60, base - 108), (x - swing * 104, base - 66), (x - swing * 112, base - 10)
                ),
                40,
                30,
            )
            second = (leg, ellipse(x - swing * 118, base - 7, 24, 13))
            words = {"part": "front leg", "usual": "two front legs"}
        if stage.plant:
            for outline in second:
                fill(outline, coat, shade=0.4, depth=8, texture="fur", amount=0.05)
        stage.mark("extra", *second, thing=species.name, **words)
    torso = blob(
        (x - 56, base - 4), (x - 92, base - 30), (x - 82, base - 92), (x - 54, base - 168),
        (x - 34, base - 204), (x, base - 214), (x + 34, base - 204), (x + 54, base - 168),
        (x + 82, base - 92), (x + 92, base - 30), (x + 56, base - 4)
    )  # fmt: skip
    fill(torso, lighter(coat, 0.04), to=darker(coat, 0.14), shade=0.42, depth=24, texture="fur", amount=0.05)
    for side in (-1, 1):
        fill(
            ellipse(x + side * 62, base - 38, 34, 40, side * -14),
            coat,
            shade=0.34,
            depth=14,
            texture="fur",
            amount=0.05,
        )
        fill(ellipse(x + side * 66, base - 6, 32, 14), mix(coat, belly, 0.2), shade=0.4, depth=7)
    fill(ellipse(x, base - 128, 38, 56), belly, alpha=0.9, blur=7)
    for side in (-1, 1):
        leg = limb(
            points((x + side * 22, base - 120), (x + side * 24, base - 60), (x + side * 25, base - 10)),
            36,
            30,
        )
        fill(leg, coat, to=darker(coat, 0.06), shade=0.36, depth=9, texture="fur", amount=0.04)
        fill(ellipse(x + side * 27, base - 7, 22, 13), mix(coat, belly, 0.4), shade=0.4, depth=7)
        for toe in (-7, 0, 7):
            fill(
                limb(points((x + side * 27 + toe, base - 4), (x + side * 27 + toe, base + 3)), 1.6, 1.6),
                darker(coat, 0.5),
                alpha=0.5,
            )
    stage.spot(f"the front paws of the {species.name}", ellipse(x, base - 14, 56, 28), feature=True)
    stage.spot(f"the chest of the {species.name}", ellipse(x, base - 140, 40, 40), detail=False)
    stage.spot(f"the left side of the {species.name}", ellipse(x - 62, base - 56, 30, 44), detail=True)
    stage.spot(f"the right side of the {species.name}", ellipse(x + 62, base - 56, 30, 44), detail=True)


def _tail(x: float, base: float, swing: int, kind: str) -> Points | None:
    if kind == "long":
        return limb(
            curve(
                (x + swing * 60, base - 22),
                (x + swing * 118, base - 22),
                (x + swing * 138, base - 78),
                (x + swing * 116, base - 124),
                (x + swing * 134, base - 156),
            ),
            22,
            17,
        )
    if kind == "short":
        return limb(
            curve((x + swing * 66, base - 28), (x + swing * 106, base - 50), (x + swing * 122, base - 96)),
            24,
            13,
        )
    if kind == "bushy":
        return blob(
            (x + swing * 56, base - 12),
            (x + swing * 110, base - 14),
            (x + swing * 152, base - 70),
            (x + swing * 132, base - 134),
            (x + swing * 104, base - 96),
            (x + swing * 78, base - 52),
        )
    return None


def _ear(x: float, y: float, side: int, kind: str, odd: bool) -> tuple[Points, Points]:
    """Outline and inside of one ear, far too large if `odd`; (x, y) is the middle of the head."""
    wide, tall = {"tall": (2.1, 1.04)}.get(kind, (1.6, 1.6)) if odd else (1.0, 1.0)
    pivot = 34 if kind == "tall" else 52

    def at(dx: float, dy: float) -> tuple[float, float]:
        return x + side * (pivot + (dx - pivot) * wide), y - 40 + (dy + 40) * tall

    if kind == "pointed":
        outer = blob(at(20, -52), at(44, -84), at(68, -112), at(80, -60), at(76, -18), n=6)
        inner = blob(at(38, -56), at(52, -80), at(65, -94), at(70, -60), at(62, -38), n=6)
    elif kind == "tall":
        outer = blob(at(14, -54), at(16, -110), at(34, -168), at(54, -160), at(58, -104), at(48, -44))
        inner = blob(at(24, -70), at(26, -112), at(36, -152), at(46, -146), at(48, -104), at(40, -64))
    elif kind == "hanging":
        outer = blob(at(40, -62), at(76, -54), at(104, -4), at(100, 50), at(78, 56), at(66, 6))
        inner = blob(at(82, 6), at(94, 20), at(92, 42), at(82, 44))
    else:
        outer = blob(at(34, -58), at(44, -88), at(70, -90), at(84, -64), at(72, -36))
        inner = blob(at(46, -58), at(52, -76), at(68, -76), at(74, -62), at(64, -46))
    return outer, inner


def _head(stage: Stage, x: float, y: float, species: Species, coat: Color) -> None:
    fill, rng = stage.canvas.fill, stage.rng
    pale = mix(coat, (255, 248, 238), 0.6)
    pink = mix(coat, (236, 150, 140), 0.6)
    fill(ellipse(x, y + 64, 44, 16), darker(coat, 0.5), alpha=0.3, blur=6)
    odd = int(pick(rng, (-1, 1)))
    behind = species.ears != "hanging"

    def ears() -> None:
        for side in (-1, 1):
            wrong = stage.wants("uneven") and side == odd
            outer, inner = _ear(x, y, side, species.ears, wrong and stage.plant)
            fill(outer, darker(coat, 0.1), shade=0.4, depth=8, texture="fur", amount=0.05)
            fill(inner, pink if behind else darker(coat, 0.25), alpha=0.8, blur=1.5)
            if wrong:
                both = [_ear(x, y, side, species.ears, large)[0] for large in (False, True)]
                stage.mark(
                    "uneven", *both, thing=species.name, part="ear", place="left" if side < 0 else "right"
                )

    if behind:
        ears()
    head = blob(
        (x - 74, y + 2), (x - 62, y - 48), (x - 22, y - 68), (x + 22, y - 68), (x + 62, y - 48),
        (x + 74, y + 2), (x + 54, y + 46), (x + 20, y + 62), (x - 20, y + 62), (x - 54, y + 46)
    )  # fmt: skip
    fill(head, lighter(coat, 0.08), to=darker(coat, 0.06), shade=0.4, depth=22, texture="fur", amount=0.05)
    if species.name in ("fox", "dog"):
        fill(
            blob(
                (x - 54, y + 40),
                (x - 24, y + 8),
                (x, y + 22),
                (x + 24, y + 8),
                (x + 54, y + 40),
                (x + 18, y + 60),
                (x - 18, y + 60),
            ),
            pale,
            alpha=0.9,
            blur=3,
        )
    if not behind:
        ears()
    muzzle = ellipse(x, y + 32, 30, 23)
    fill(muzzle, pale, shade=0.26, depth=10)
    tones = ((196, 160, 60), (110, 150, 92), (96, 66, 44), (96, 140, 166))
    iris = pick(rng, tones)
    two = rng.random() < 0.15 and not stage.wants("eyes")
    for side in (-1, 1):
        at_x, at_y = x + side * 31, y - 6
        wrong = stage.wants("eyes") and side == odd
        if wrong:
            if stage.plant:
                _eye(stage, at_x + side * 2, at_y + 7, 1.6, mix(iris, (90, 190, 210), 0.8))
            else:
                _eye(stage, at_x, at_y, 1.0, iris)
            stage.mark(
                "eyes",
                ellipse(at_x + side * 2, at_y + 7, 22, 22),
                ellipse(at_x, at_y, 14, 14),
                place="left" if side < 0 else "right",
            )
        else:
            _eye(
                stage,
                at_x,
                at_y,
                1.0,
                (90, 160, 210) if two and side < 0 else (200, 150, 50) if two else iris,
            )
    if two:
        stage.allow(
            "odd eyes",
            "two eyes of equal size and different colour",
            *(ellipse(x + side * 31, y - 6, 13, 13) for side in (-1, 1)),
        )
    fill(
        blob((x - 12, y + 18), (x, y + 15), (x + 12, y + 18), (x + 4, y + 28), (x - 4, y + 28)),
        (72, 50, 54) if species.name != "rabbit" else (206, 130, 130),
        shade=0.4,
        depth=3,
    )
    for side in (-1, 1):
        fill(
            limb(curve((x, y + 28), (x + side * 3, y + 40), (x + side * 15, y + 42)), 2.4, 1.6),
            darker(coat, 0.62),
        )
        if species.name in ("cat", "rabbit", "fox"):
            for dy in (-4, 3, 10):
                whisker = limb(
                    curve(
                        (x + side * 22, y + 32 + dy * 0.5),
                        (x + side * 54, y + 28 + dy),
                        (x + side * 84, y + 28 + dy * 1.9),
                    ),
                    1.2,
                    0.8,
                )
                fill(whisker, (250, 246, 240), alpha=0.75)
    stage.spot(f"the face of the {species.name}", ellipse(x, y + 8, 58, 46), feature=True)
    stage.spot(f"the forehead of the {species.name}", ellipse(x, y - 46, 42, 20), detail=True)


def _eye(stage: Stage, x: float, y: float, size: float, iris: Color) -> None:
    fill = stage.canvas.fill
    fill(ellipse(x, y, 13 * size, 13 * size), (40, 32, 38))
    fill(ellipse(x, y, 11 * size, 11 * size), lighter(iris, 0.1), to=darker(iris, 0.2))
    fill(ellipse(x, y, 6.4 * size, 8.4 * size), (20, 16, 22))
    fill(ellipse(x + stage.side * 3.6 * size, y - 4 * size, 2.8 * size, 2.8 * size), (255, 255, 255))
