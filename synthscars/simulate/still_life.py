"""A still life: things on a table beside a window."""

from __future__ import annotations

import numpy as np

from synthscars.simulate import backdrops
from synthscars.simulate.canvas import darker, lighter, mix
from synthscars.simulate.furnish import furnish, spread
from synthscars.simulate.shapes import between, curve, pick, points, rectangle
from synthscars.simulate.stage import Stage
from synthscars.simulate.things import APPLES, GLAZES, THINGS, WOODS, apple, apple_outlines

FAULTS = ("shadow", "text", "uneven", "extra", "floating", "deformed", "blotch", "noise", "smear")

OWN = {"text": ("mug", "jar"), "uneven": ("vase",), "extra": ("mug", "teapot"), "deformed": ("clock",)}
"""What each thing can show besides its shadow."""


def still_life(stage: Stage) -> None:
    """Draw table and things, register the spots, name the scene."""
    rng = stage.rng
    edge = between(rng, 318, 338)
    backdrops.wall(stage)
    wood = pick(rng, WOODS)
    table = rectangle(-6, edge, stage.width + 6, 520)
    stage.canvas.fill(table, lighter(wood, 0.18), to=darker(wood, 0.12), texture="wood", amount=0.07)
    stage.canvas.fill(rectangle(-6, edge - 3, stage.width + 6, edge + 3), lighter(wood, 0.42))
    middle = stage.width / 2
    if not stage.wants("floating"):
        _picture(stage, middle - stage.side * between(rng, 20, 60), between(rng, 108, 122))
    stage.spot("the table top", rectangle(30, 420, stage.width - 30, 500), detail=True)

    count = 3 if stage.width < 600 else 4
    names = _cast_of(stage, count)
    shadowed = stage.choose("shadow", names)
    owners = {
        fault: stage.choose(fault, [name for name in names if name in owned] or [""])
        for fault, owned in OWN.items()
    }
    size = between(rng, 1.28, 1.4) if count == 3 else between(rng, 1.2, 1.32)
    clear = 132.0  # the window's side of the table stays free, so that shadows towards it can be seen
    left, right = (clear, 86.0) if stage.side < 0 else (86.0, clear)
    slots = np.linspace(left, stage.width - right, count) + rng.uniform(-10, 10, count)
    bases = rng.permutation(np.linspace(392, 438, count))
    for slot in np.argsort(bases, kind="stable"):
        name = names[slot]
        wrong = {"shadow": name == shadowed, **{fault: name == owner for fault, owner in owners.items()}}
        x, base = float(slots[slot]), float(bases[slot])
        with stage.canvas.zoomed(x, base, size * (0.94 + 0.12 * (base - 392) / 46)):
            THINGS[name](stage, x, base, wrong)
            stage.spot(f"the {name}", rectangle(x - 50, base - 130, x + 50, base + 4), feature=True)
    if stage.wants("floating"):
        gap = int(rng.integers(count - 1))
        _floating(stage, float(slots[gap] + slots[gap + 1]) / 2, between(rng, 110, 150))
    stage.ground = "table"
    furnish(
        stage,
        spread(stage, ((0.08, 0.3), (0.4, 0.6), (0.7, 0.92))[: 2 + (count > 3)], (476, 504), (0.8, 1.05)),
        spread(stage, ((0.08, 0.24), (0.76, 0.92)), (64, 130), (0.75, 1.05)),
        0.35,
    )
    listed = ", ".join(f"a {name}" for name in names[:-1]) + f" and a {names[-1]}"
    stage.scene = f"A still life of {listed} stands on a wooden table beside a window."
    stage.prompt = (
        f"still life, {listed}, wooden table, window light from the {stage.light_from}, soft shadows"
    )


def _picture(stage: Stage, x: float, y: float) -> None:
    """A framed landscape on the wall."""
    rng, fill = stage.rng, stage.canvas.fill
    half = between(rng, 64, 84)
    fill(
        rectangle(x - half - stage.side * 6, y - 50, x + half - stage.side * 6, y + 62),
        (40, 30, 50),
        alpha=0.26,
        blur=5,
    )
    fill(rectangle(x - half, y - 56, x + half, y + 56, 2), pick(rng, WOODS), shade=0.4, depth=4)
    fill(rectangle(x - half + 6, y - 50, x + half - 6, y + 50), (246, 240, 228))
    left, right, top, bottom = x - half + 16, x + half - 16, y - 40, y + 40
    high, low = pick(rng, backdrops.SKIES)
    fill(rectangle(left, top, right, bottom), high, to=low)
    far, near = pick(rng, GLAZES), pick(rng, backdrops.GREENS)
    ridge = curve(
        (left, y + 8),
        (x - half * 0.3, y - 14),
        (x + half * 0.1, y + 6),
        (x + half * 0.4, y - 4),
        (right, y + 10),
    )
    fill(np.concatenate([ridge, points((right, bottom), (left, bottom))]), mix(far, low, 0.4))
    meadow = curve((left, y + 22), (x, y + 14), (right, y + 24))
    fill(np.concatenate([meadow, points((right, bottom), (left, bottom))]), near, to=darker(near, 0.15))


def _cast_of(stage: Stage, count: int) -> list[str]:
    """Which things stand on the table: those that the wanted artifacts need, then others at random."""
    needed: list[str] = []
    for fault, owned in OWN.items():
        if stage.wants(fault) and not set(needed) & set(owned):
            needed.append(pick(stage.rng, owned))
    others = [str(name) for name in stage.rng.permutation(sorted(THINGS))]
    names = (needed + [name for name in others if name not in needed])[:count]
    return [names[i] for i in stage.rng.permutation(count)]


def _floating(stage: Stage, x: float, y: float) -> None:
    """An apple that nothing holds."""
    color = pick(stage.rng, APPLES)
    if stage.plant:
        apple(stage, x, y, 34.0, color)
    stage.mark("floating", *apple_outlines(x, y, 34.0), thing="apple", ground="table")
