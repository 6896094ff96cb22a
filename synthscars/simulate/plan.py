"""What picture comes next in a series: its content type, scene and size, and what is to be wrong in it.

Content types take turns. The subtypes take turns too, whatever the content type is, so that neither tells the
other; where a subtype can be shown in several ways, one is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from synthscars.simulate import animals, living_room, people, still_life, street
from synthscars.simulate.artifacts import OVERLAYS
from synthscars.simulate.furnish import PROP_FAULTS
from synthscars.simulate.shapes import pick
from synthscars.simulate.stage import Stage
from synthscars.simulate.texts import wording_of

SIZES = ((512, 512), (768, 512))
CLEAN = 0.2
"""Share of images without an artifact."""
_COUNTS = (0.36, 0.34, 0.2, 0.1)
_BLOCK = 20  # of so many images in a row, each content type occurs five times and four are clean


class Scene(NamedTuple):
    """Name, what draws it, what it can show by itself (props and patches can be in every scene)."""

    name: str
    draw: Callable[[Stage], None]
    faults: tuple[str, ...]


SCENES: dict[str, tuple[Scene, ...]] = {
    "human": (Scene("portrait", people.portrait, people.FAULTS),),
    "object": (Scene("still life", still_life.still_life, still_life.FAULTS),),
    "animal": (Scene("sitting animal", animals.sitting, animals.FAULTS),),
    "scene": (
        Scene("street", street.street, street.FAULTS),
        Scene("living room", living_room.living_room, living_room.FAULTS),
    ),
}


class Plan(NamedTuple):
    """One picture to draw; `faults` are keys of the wordings, with ":prop" for what a prop shows."""

    content_type: str
    scene: Scene
    faults: tuple[str, ...]
    size: tuple[int, int]


def possible(scene: Scene) -> dict[str, tuple[str, ...]]:
    """Subtype to the faults that show it in `scene`."""
    found: dict[str, list[str]] = {}
    for fault in (*scene.faults, *PROP_FAULTS, *OVERLAYS):
        ways = found.setdefault(wording_of(fault).subtype, [])
        if fault not in ways:
            ways.append(fault)
    return {subtype: tuple(ways) for subtype, ways in found.items()}


def make_plan(seed: int, index: int, *, photograph: bool = False) -> Plan:
    """The plan of image `index` of the series `seed`; nothing is wrong in a photograph."""
    block, place = divmod(index, _BLOCK)
    turn = np.random.default_rng([seed, block, 1, int(photograph)])
    kinds = turn.permutation(list(SCENES) * (_BLOCK // len(SCENES)))
    clean = set(turn.permutation(_BLOCK)[: round(_BLOCK * CLEAN)].tolist())
    rng = np.random.default_rng([seed, index, 1, int(photograph)])
    content_type = str(kinds[place])
    scene = pick(rng, SCENES[content_type])
    size = SIZES[int(rng.random() < (0.6 if content_type == "scene" else 0.4))]
    count = int(rng.choice(len(_COUNTS), p=_COUNTS)) + 1
    if photograph or place in clean:
        return Plan(content_type, scene, (), size)
    ways = possible(scene)
    subtypes = sorted(ways)
    # The first goes round all subtypes from image to image; the others are drawn.
    round_of, number = divmod(index, len(subtypes))
    first = subtypes[int(np.random.default_rng([seed, round_of, 6]).permutation(len(subtypes))[number])]
    rest = [subtype for subtype in subtypes if subtype != first]
    chosen = [first, *(str(subtype) for subtype in rng.permutation(rest)[: count - 1])]
    return Plan(content_type, scene, tuple(pick(rng, ways[subtype]) for subtype in chosen), size)
