"""What picture comes next in a series: its content type, scene and size, and what is to be wrong in it.

Content types take turns. The subtypes take turns too, whatever the content type is, so that neither tells the
other; where a subtype can be shown in several ways, one is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from synthscars.simulate import animals, living_room, people, places, still_life, street
from synthscars.simulate.artifacts import OVERLAYS
from synthscars.simulate.backgrounds import Background, on_background
from synthscars.simulate.furnish import PROP_FAULTS
from synthscars.simulate.shapes import pick
from synthscars.simulate.stage import Stage
from synthscars.simulate.texts import wording_of

SIZES = ((512, 512), (640, 512))
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
    "human": (
        Scene("portrait", people.portrait, people.FAULTS),
        Scene("portrait", people.portrait, people.FAULTS),
        Scene("whole person", places.figure, places.FIGURE_FAULTS),
    ),
    "object": (
        Scene("still life", still_life.still_life, still_life.FAULTS),
        Scene("shelf", places.shelf, places.SHELF_FAULTS),
    ),
    "animal": (
        Scene("sitting animal", animals.sitting, animals.FAULTS),
        Scene("sitting animal", animals.sitting, animals.FAULTS),
        Scene("bird on a branch", places.branch, places.BRANCH_FAULTS),
    ),
    "scene": (
        Scene("street", street.street, street.FAULTS),
        Scene("living room", living_room.living_room, living_room.FAULTS),
        Scene("lake", places.lake, places.LAKE_FAULTS),
    ),
}


class Plan(NamedTuple):
    """One picture to draw; `faults` are keys of the wordings, with ":prop" for what a prop shows."""

    content_type: str | None
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


def make_plan(
    seed: int, index: int, *, photograph: bool = False, background: Background | None = None
) -> Plan:
    """The plan of image `index` of the series `seed`; nothing is wrong in a photograph.

    background: what takes the place of a scene; the content type is then the background's.
    """
    block, place = divmod(index, _BLOCK)
    turn = np.random.default_rng([seed, block, 1, int(photograph)])
    kinds = turn.permutation(list(SCENES) * (_BLOCK // len(SCENES)))
    clean = set(turn.permutation(_BLOCK)[: round(_BLOCK * CLEAN)].tolist())
    rng = np.random.default_rng([seed, index, 1, int(photograph)])
    content_type: str | None = str(kinds[place])
    scene = pick(rng, SCENES[str(kinds[place])])
    if background is not None:
        scene, content_type = (
            Scene("background", partial(on_background, background=background), ()),
            background.content_type,
        )
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
