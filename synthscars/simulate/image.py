"""One simulated image: what is drawn, what is wrong in it, and the record that says so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np
from PIL import Image

from synthscars.caption import compose
from synthscars.problems import UsageError
from synthscars.records import Artifact, ImageRecord, Review, Status
from synthscars.simulate import animals, living_room, people, still_life, street
from synthscars.simulate.artifacts import OVERLAYS, SMALLEST, overlay
from synthscars.simulate.canvas import Canvas, Pixels
from synthscars.simulate.metadata import encode, settings
from synthscars.simulate.shapes import between, pick
from synthscars.simulate.stage import Stage, rings_of
from synthscars.simulate.texts import WORDINGS, describe

SOURCE = "synthscars simulate"
LICENSE = "CC0-1.0"
RATER = "truth"
SIZES = ((512, 512), (768, 512))
_BLOCK = 8  # of so many images in a row, each content type occurs twice and one is clean


class SimulatedImage(msgspec.Struct, frozen=True, kw_only=True):
    """A picture (RGB, as drawn), its file (`data`: PNG or JPEG with metadata) and the truth about it."""

    image: Image.Image
    data: bytes
    record: ImageRecord


class Drawing(NamedTuple):
    """A drawn picture before it becomes a file. regions: shapely geometries, one per mark of the stage."""

    image: Image.Image
    stage: Stage
    content_type: str
    regions: tuple[Any, ...]


_SCENES: dict[str, tuple[tuple[Callable[[Stage], None], tuple[str, ...]], ...]] = {
    "human": ((people.portrait, people.FAULTS),),
    "object": ((still_life.still_life, still_life.FAULTS),),
    "animal": ((animals.sitting, animals.FAULTS),),
    "scene": ((street.street, street.FAULTS), (living_room.living_room, living_room.FAULTS)),
}


def simulate_image(seed: int, index: int) -> SimulatedImage:
    """Draw image `index` of the series `seed`. The same two numbers give the same bytes.

    Raises `UsageError` if one of them is negative.
    """
    if seed < 0 or index < 0:
        raise UsageError(f"seed {seed} and index {index} must not be negative")
    drawing = draw(seed, index)
    rng = np.random.default_rng([seed, index, 3])
    stage = drawing.stage
    generation = settings(stage.prompt, stage.width, stage.height, rng)
    name, data = encode(drawing.image, generation, index)
    artifacts = _artifacts(drawing, rng)
    scene = stage.scene.rstrip(".")
    status: Status = "annotated" if artifacts else "clean"
    record = ImageRecord(
        image_id=hashlib.sha256(data).hexdigest(),
        file_name=name,
        width=stage.width,
        height=stage.height,
        content_type=drawing.content_type,
        status=status,
        caption=compose(scene, [(artifact.phrase, artifact.explanation) for artifact in artifacts]),
        artifacts=artifacts,
        reviews=(Review(rater_id=RATER, status=status, content_type=drawing.content_type, scene=scene),),
        generation=generation,
        source=SOURCE,
        license=LICENSE,
    )
    return SimulatedImage(image=drawing.image, data=data, record=record)


def draw(seed: int, index: int, *, plant: bool = True) -> Drawing:
    """Draw a picture; without `plant` the same one with nothing wrong in it, but with the same regions."""
    content_type, scene, faults, size = _plan(seed, index)
    while True:
        drawing = _draw(seed, index, content_type, scene, faults, size, True)
        hidden = _hidden(drawing)
        if not hidden:
            break
        faults = tuple(fault for fault in faults if fault not in hidden)
    if plant:
        return drawing
    # What is planted decides what is hidden by it, so the regions always come from the planted picture.
    without = _draw(seed, index, content_type, scene, faults, size, False)
    return without._replace(regions=drawing.regions)


def _plan(seed: int, index: int) -> tuple[str, Callable[[Stage], None], tuple[str, ...], tuple[int, int]]:
    """Content type, scene, wanted artifacts, size. Kinds take turns, so that short series have them all."""
    block, place = divmod(index, _BLOCK)
    turn = np.random.default_rng([seed, block, 1])
    kinds = turn.permutation(list(_SCENES) * (_BLOCK // len(_SCENES)))
    clean = int(turn.integers(_BLOCK))
    rng = np.random.default_rng([seed, index, 1])
    content_type = str(kinds[place])
    turn_of_kind = block * 2 + int(np.sum(kinds[:place] == content_type)) + seed
    scenes = _SCENES[content_type]
    scene, possible = scenes[turn_of_kind % len(scenes)]
    size = SIZES[int(rng.random() < (0.7 if content_type == "scene" else 0.35))]
    count = int(rng.choice([1, 2, 3], p=[0.4, 0.38, 0.22]))
    # The first artifact goes round the list from block to block; the others are drawn.
    first = possible[turn_of_kind // len(scenes) % len(possible)]
    rest = [str(fault) for fault in rng.permutation([fault for fault in possible if fault != first])]
    faults = () if place == clean else (first, *rest[: count - 1])
    return content_type, scene, faults, size


def _draw(
    seed: int,
    index: int,
    content_type: str,
    scene: Callable[[Stage], None],
    faults: tuple[str, ...],
    size: tuple[int, int],
    plant: bool,
) -> Drawing:
    rng = np.random.default_rng([seed, index, 2])
    light = pick(rng, ("left", "right"))
    toward = (-0.75 if light == "left" else 0.75, -0.66)
    stage = Stage(Canvas(*size, toward, int(rng.integers(2**31))), rng, faults, plant, light)
    scene(stage)
    pixels = _lit(stage.canvas.finish(), stage.side, between(rng, 0.8, 1.2))
    regions = [stage.region(mark) for mark in stage.marks]
    for number, fault in enumerate(OVERLAYS):
        if fault in faults:
            patch_rng = np.random.default_rng([seed, index, 4, number])
            pixels = overlay(stage, pixels, fault, patch_rng, regions)
            regions += [stage.region(mark) for mark in stage.marks[len(regions) :]]
    grain = np.random.default_rng([seed, index, 5]).standard_normal(pixels.shape[:2], dtype=np.float32)
    pixels = np.clip(pixels + 1.6 * grain[:, :, None] + 0.5, 0, 255)
    return Drawing(Image.fromarray(pixels.astype(np.uint8)), stage, content_type, tuple(regions))


def _lit(pixels: Pixels, side: int, strength: float) -> Pixels:
    """The whole picture a little warmer and brighter towards the light, darker in the far corners."""
    height, width = pixels.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * side
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    glow = (0.035 * x - 0.03 * y) * strength
    dark = 0.05 * np.clip(x * x + y * y - 0.7, 0, None) * strength
    warm = np.array([1.02, 1.0, 0.975], dtype=np.float32)
    return (pixels * (1 + glow - dark)[:, :, None] * warm).astype(np.float32)


def _hidden(drawing: Drawing) -> set[str]:
    """Artifacts that cannot stay: too small to be seen, or upon another one of their category."""
    seen: list[tuple[str, Any]] = []
    bad: set[str] = set()
    for mark, region in zip(drawing.stage.marks, drawing.regions, strict=True):
        category = WORDINGS[mark.fault].category
        small = sum(_area(ring) for ring in rings_of(region)) < SMALLEST * 2
        if small or any(
            category == other and region.intersection(taken).area > 0.1 * region.union(taken).area
            for other, taken in seen
        ):
            bad.add(mark.fault)
        else:
            seen.append((category, region))
    return bad


def _area(ring: tuple[float, ...]) -> float:
    """Area of a ring by the shoelace formula, in square pixels."""
    x, y = np.array(ring[::2]), np.array(ring[1::2])
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _artifacts(drawing: Drawing, rng: np.random.Generator) -> tuple[Artifact, ...]:
    """The artifacts of a drawing with their texts, phrases all different where there is a choice."""
    stage = drawing.stage
    light = {
        "light": stage.light_name,
        "side": stage.light_from,
        "away": "right" if stage.light_from == "left" else "left",
    }
    found: list[Artifact] = []
    for number, (mark, region) in enumerate(zip(stage.marks, drawing.regions, strict=True)):
        taken = {artifact.phrase for artifact in found}
        phrase, explanation = describe(mark.fault, {**light, **mark.words}, rng, taken)
        wording = WORDINGS[mark.fault]
        found.append(
            Artifact(
                artifact_id=f"a{number}",
                category=wording.category,
                subtype=wording.subtype,
                polygons=rings_of(region),
                phrase=phrase,
                explanation=explanation,
                rater_id=RATER,
            )
        )
    return tuple(found)
