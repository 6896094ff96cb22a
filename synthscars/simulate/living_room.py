"""A living room with a sofa, a poster, a clock, a coffee table and a plant."""

from __future__ import annotations

import numpy as np

from synthscars.simulate import backdrops
from synthscars.simulate.canvas import Color, darker, lighter
from synthscars.simulate.furnish import furnish, spread
from synthscars.simulate.shapes import arc, between, blob, ellipse, limb, pick, points, rectangle, warped
from synthscars.simulate.stage import Stage
from synthscars.simulate.things import GLAZES, plant

FAULTS = ("shadow", "text", "uneven", "floating", "deformed", "blotch", "noise", "smear")
SOFAS: tuple[tuple[str, Color], ...] = (
    ("coral", (214, 112, 94)), ("blue", (84, 132, 160)), ("yellow", (228, 182, 90)),
    ("green", (112, 146, 110)),
    ("cream", (238, 224, 204)), ("lilac", (156, 124, 168)), ("navy", (66, 92, 124)),
    ("terracotta", (206, 128, 98)),
)  # fmt: skip
POSTERS = ("JAZZ", "PARIS", "OCEAN", "RELAX", "SUMMER", "HOME")


def living_room(stage: Stage) -> None:
    """Draw a room with a sofa, a poster, a clock, a lamp and a plant."""
    rng = stage.rng
    level = between(rng, 336, 350)
    backdrops.wall(stage, level)
    backdrops.floor(stage, level)
    wide = stage.width / 512
    middle = stage.width / 2 - stage.side * 30 * wide
    word = pick(rng, POSTERS)
    poster_x = middle - stage.side * (56 + 30 * wide)
    _poster(stage, poster_x, 126, word)
    _wall_clock(stage, middle + stage.side * 62, 112)
    shadowed = stage.choose("shadow", ["potted plant", "coffee table"])
    sofa_name, sofa = pick(rng, SOFAS)
    _sofa(stage, middle, level + 44, sofa, 124 + 20 * (wide - 1))
    plant_x = middle - stage.side * (176 + 90 * (wide - 1))
    with stage.canvas.zoomed(plant_x, level + 78, 1.25):
        plant(stage, plant_x, level + 78, {"shadow": shadowed == "potted plant"})
    table_x = middle + stage.side * (70 + 90 * (wide - 1))
    _table(stage, table_x, 470, shadowed == "coffee table")
    if stage.wants("floating"):
        _cushion(stage, middle + stage.side * between(rng, 70, 100), between(rng, 186, 200))
    furnish(
        stage,
        spread(stage, ((0.08, 0.25), (0.4, 0.6), (0.75, 0.92)), (476, 504), (0.8, 1.15)),
        spread(stage, ((0.1, 0.3), (0.7, 0.9)), (60, 120), (0.75, 1.0)),
        0.3,
    )
    stage.scene = (
        f"A living room with a {sofa_name} sofa, a poster, a wall clock, a coffee table and a potted plant."
    )
    stage.prompt = (
        f"cosy living room, {sofa_name} sofa, poster with the word {word}, wall clock, coffee table, plant, "
        f"window on the {stage.light_from}"
    )


def _poster(stage: Stage, x: float, y: float, word: str) -> None:
    rng, fill = stage.rng, stage.canvas.fill
    shade = -stage.side * 6
    fill(rectangle(x - 62 + shade, y - 78 + 6, x + 62 + shade, y + 78 + 6), (40, 30, 50), alpha=0.3, blur=5)
    fill(rectangle(x - 62, y - 78, x + 62, y + 78, 2), (92, 70, 58), shade=0.4, depth=4)
    paper = lighter(pick(rng, GLAZES), 0.76)
    accent = darker(pick(rng, SOFAS[:4])[1], 0.3)
    fill(rectangle(x - 55, y - 71, x + 55, y + 71), paper)
    fill(ellipse(x, y - 20, 34, 34), lighter(accent, 0.25), to=accent)
    fill(
        blob(
            (x - 55, y + 14),
            (x - 26, y - 12),
            (x - 2, y + 10),
            (x + 28, y - 4),
            (x + 55, y + 14),
            (x, y + 17),
            n=6,
        ),
        lighter(accent, 0.55),
    )
    stage.spot("the picture on the poster", rectangle(x - 52, y - 66, x + 52, y + 22), feature=True)
    stage.text(word, x, y + 46, 98, 34, accent, wrong=stage.wants("text"), thing="poster")


def _wall_clock(stage: Stage, x: float, y: float) -> None:
    rng, fill = stage.rng, stage.canvas.fill
    r = 34.0
    tone = pick(rng, GLAZES)
    bent = warped(x, y, r * 1.12, between(rng, 0, 6), 0.15, 0.115)
    true = ellipse(x, y, r, r)
    rim = bent if stage.wants("deformed") and stage.plant else true
    middle = np.array([x, y])
    fill(rim, tone, shade=0.5, depth=7)
    fill((rim - middle) * 0.82 + middle, (250, 246, 238), to=(234, 230, 222))
    if stage.wants("deformed"):
        stage.mark("deformed", bent, true, thing="wall clock", part="rim")
    for angle, length in ((between(rng, 0, 360), 13.0), (between(rng, 0, 360), 20.0)):
        a = np.radians(angle)
        fill(
            limb(points((x, y), (x + length * np.sin(a), y - length * np.cos(a))), 3, 2.4),
            (60, 54, 62),
            alpha=0.99,
        )


def _sofa(stage: Stage, x: float, base: float, color: Color, half: float) -> None:
    fill = stage.canvas.fill
    fill(ellipse(x - stage.side * 14, base + 4, half + 26, 15), (30, 22, 44), alpha=0.42, blur=7)
    for side in (-1, 1):
        fill(
            limb(points((x + side * (half - 8), base - 12), (x + side * (half - 4), base + 6)), 8, 6),
            (92, 66, 52),
            shade=0.3,
        )
    back = rectangle(x - half + 8, base - 118, x + half - 8, base - 30, 24)
    fill(back, color, to=darker(color, 0.12), shade=0.36, depth=14, texture="cloth", amount=0.022)
    stage.spot("the backrest of the sofa", rectangle(x - half + 24, base - 108, x + half - 24, base - 62))
    fill(limb(points((x, base - 112), (x, base - 60)), 2, 2), darker(color, 0.4), alpha=0.4, blur=1)
    for side in (-1, 1):
        seat = rectangle(
            x - half + 10 if side < 0 else x + 1,
            base - 60,
            x - 1 if side < 0 else x + half - 10,
            base - 30,
            10,
        )
        fill(seat, lighter(color, 0.12), shade=0.36, depth=7, texture="cloth", amount=0.022)
    fill(
        rectangle(x - half + 6, base - 34, x + half - 6, base - 8, 6),
        darker(color, 0.08),
        shade=0.3,
        depth=8,
        texture="cloth",
        amount=0.022,
    )
    odd = stage.side  # the plant stands before the other armrest
    for side in (-1, 1):
        arm = rectangle(x + side * half - 17, base - 78, x + side * half + 17, base - 8, 14)
        if stage.wants("uneven") and side == odd:
            large = rectangle(
                x + side * (half + 8) - 28, base - 132, x + side * (half + 8) + 28, base - 6, 27
            )
            fill(
                large if stage.plant else arm,
                lighter(color, 0.05),
                shade=0.42,
                depth=9,
                texture="cloth",
                amount=0.022,
            )
            stage.mark(
                "uneven", large, arm, thing="sofa", part="armrest", place="left" if side < 0 else "right"
            )
        else:
            fill(arm, lighter(color, 0.05), shade=0.42, depth=9, texture="cloth", amount=0.022)


def _table(stage: Stage, x: float, base: float, wrong: bool) -> None:
    fill = stage.canvas.fill
    wood: Color = pick(stage.rng, ((150, 106, 74), (120, 86, 66), (186, 144, 104)))
    side = points((x - 60, base), (x - 62, base - 56), (x + 62, base - 56), (x + 60, base))
    stage.cast(side, x, base, 56, wrong=wrong, thing="coffee table", length=0.95, flat=0.36)
    for leg in (-1, 1):
        fill(
            limb(points((x + leg * 46, base - 50), (x + leg * 52, base)), 8, 6), darker(wood, 0.2), shade=0.3
        )
    fill(ellipse(x, base - 50, 72, 17), darker(wood, 0.3), shade=0.2)
    fill(ellipse(x, base - 56, 72, 17), lighter(wood, 0.2), to=wood, texture="wood", amount=0.05)
    cup = pick(stage.rng, GLAZES)
    fill(limb(arc(x + 12, base - 70, 8, 8, -90, 90), 4, 4), cup)
    fill(rectangle(x - 10, base - 84, x + 12, base - 58, 5), cup, shade=0.45, depth=6)
    fill(ellipse(x + 1, base - 83, 11, 3.4), lighter(cup, 0.4))
    stage.spot("the coffee table", rectangle(x - 70, base - 86, x + 70, base - 4), feature=True)


def _cushion(stage: Stage, x: float, y: float) -> None:
    """A cushion that hangs in the air before the wall."""
    color = pick(stage.rng, GLAZES)
    shape = blob(
        (x - 34, y - 30),
        (x, y - 24),
        (x + 34, y - 30),
        (x + 28, y),
        (x + 34, y + 30),
        (x, y + 24),
        (x - 34, y + 30),
        (x - 28, y),
    )
    if stage.plant:
        stage.canvas.fill(shape, lighter(color, 0.1), shade=0.5, depth=12, texture="cloth", amount=0.04)
    stage.mark("floating", shape, thing="cushion", ground="sofa")
