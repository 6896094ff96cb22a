"""Props of a picture: which there are, where they stand or hang, and which of them shows something wrong.

Any prop can be in any scene, so that neither the scene nor the prop tells what is wrong or where.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from synthscars.simulate.canvas import Color, darker, lighter
from synthscars.simulate.hanging import HANGING
from synthscars.simulate.shapes import between, ellipse, pick, rectangle
from synthscars.simulate.stage import Stage
from synthscars.simulate.standing import STANDING


class Slot(NamedTuple):
    """A place for a prop: x, the ground below it (or its middle if it hangs) and its size (1: 100 pixels)."""

    x: float
    y: float
    size: float


PROP_FAULTS = tuple(
    sorted(
        {f"{fault}:prop" for _, faults in STANDING.values() for fault in faults}
        | {f"{fault}:prop" for _, faults, _ in HANGING.values() for fault in faults}
    )
)
"""What a prop can show, by the name that marks it as a prop's."""


def furnish(stage: Stage, ground: Sequence[Slot], hanging: Sequence[Slot], share: float = 0.55) -> None:
    """Put props into slots: first those that the wanted faults need, then others with probability `share`.

    A fault for which no slot is left is not planted; every draw is the same with and without `plant`.
    """
    rng = stage.rng
    stand = [ground[i] for i in rng.permutation(len(ground))] if len(ground) else []
    hang = [hanging[i] for i in rng.permutation(len(hanging))] if len(hanging) else []
    chosen: list[tuple[Slot, str, str | None]] = []
    used: set[str] = set(stage.named)

    def standing_with(fault: str) -> list[str]:
        return [name for name, (_, faults) in STANDING.items() if fault in faults and name not in used]

    def hanging_with(fault: str) -> list[str]:
        return [name for name, (_, faults, _) in HANGING.items() if fault in faults and name not in used]

    for key in stage.faults:
        fault = key.removesuffix(":prop")
        if key == fault or key in stage.shown:
            continue
        options = [(stand, name) for name in standing_with(fault) if stand]
        options += [(hang, name) for name in hanging_with(fault) if hang]
        if options:
            slots, name = pick(rng, options)
            chosen.append((slots.pop(), name, fault))
            used.add(name)
            stage.shown.add(key)
    for slots, names in (
        (stand, list(STANDING)),
        (hang, [n for n, p in HANGING.items() if p[2] or stage.indoors]),
    ):
        while slots:
            slot = slots.pop()
            free = [name for name in names if name not in used]
            if rng.random() < share and free:
                name = pick(rng, free)
                used.add(name)
                chosen.append((slot, name, None))
    for slot, name, wrong in sorted(chosen, key=lambda entry: entry[0].y):
        draw = STANDING[name][0] if name in STANDING else HANGING[name][0]
        stage.alias = {wrong: f"{wrong}:prop"} if wrong else {}
        with stage.canvas.zoomed(slot.x, slot.y, slot.size):
            draw(stage, slot.x, slot.y, wrong)
        stage.alias = {}
        stage.named.append(name)


def spread(
    stage: Stage, xs: Sequence[tuple[float, float]], y: tuple[float, float], size: tuple[float, float]
) -> list[Slot]:
    """One slot in each of the ranges `xs` (shares of the width), with a random height and size."""
    rng = stage.rng
    return [Slot(between(rng, *part) * stage.width, between(rng, *y), between(rng, *size)) for part in xs]


def side_table(stage: Stage, x: float, top: float, size: float) -> None:
    """A small round table at the edge of the picture whose top is at `top`, with a prop on it."""
    wood: Color = pick(stage.rng, ((150, 106, 74), (196, 158, 118), (236, 230, 220), (92, 78, 74)))
    half = between(stage.rng, 62, 80)
    stage.canvas.fill(rectangle(x - 9, top, x + 9, 530), darker(wood, 0.25), shade=0.4)
    stage.canvas.fill(ellipse(x, top + 12, half, 20), darker(wood, 0.35))
    disc = ellipse(x, top + 4, half, 20)
    stage.canvas.fill(disc, lighter(wood, 0.2), to=wood, texture="wood", amount=0.05)
    furnish(stage, [Slot(x, top + 8, size)], (), 0.8)
