"""One simulated image: what is drawn, what is wrong in it, and the record that says so."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import msgspec
import numpy as np
from PIL import Image

from synthscars.caption import compose
from synthscars.problems import UsageError
from synthscars.records import Artifact, ImageRecord, Review, Status
from synthscars.simulate.artifacts import OVERLAYS, SMALLEST, overlay
from synthscars.simulate.backgrounds import Background
from synthscars.simulate.canvas import Canvas, Pixels
from synthscars.simulate.metadata import encode, encode_photograph, file_name, settings
from synthscars.simulate.plan import Plan, make_plan
from synthscars.simulate.shapes import between, pick
from synthscars.simulate.stage import Stage, rings_of
from synthscars.simulate.texts import describe, wording_of
from synthscars.simulate.traces import camera_traces, generator_traces

SOURCE = "synthscars simulate"
LICENSE = "CC0-1.0"
RATER = "truth"
NARROWEST = 20.0
"""The least width of an artifact in pixels (of the narrowest box around it, in any direction)."""
LARGEST = 0.12
"""The largest share of the picture that one artifact may cover."""


class SimulatedImage(msgspec.Struct, frozen=True, kw_only=True):
    """A picture (RGB, as drawn), its file (`data`: PNG or JPEG with metadata) and the truth about it."""

    image: Image.Image
    data: bytes
    record: ImageRecord


class Drawing(NamedTuple):
    """A drawn picture before it becomes a file. regions: shapely geometries, one per mark of the stage."""

    image: Image.Image
    stage: Stage
    plan: Plan
    regions: tuple[Any, ...]


def simulate_image(seed: int, index: int, background: Background | None = None) -> SimulatedImage:
    """Draw image `index` of the series `seed`. The same two numbers give the same bytes.

    background: a picture that takes the place of a scene (see `synthscars.simulate.backgrounds`); the record
    then has its source and licence, and all images on one background have the same `group_id`.

    Raises `UsageError` if one of them is negative.
    """
    _check(seed, index)
    drawing = draw(seed, index, background=background)
    rng = np.random.default_rng([seed, index, 3])
    stage = drawing.stage
    generation = settings(stage.prompt, stage.width, stage.height, rng)
    name = file_name(seed, index, on=background.sha256 if background else "")
    data = encode(drawing.image, generation, name, rng)
    artifacts = _artifacts(drawing, rng)
    scene = stage.scene.rstrip(".")
    status: Status = "annotated" if artifacts else "clean"
    record = ImageRecord(
        image_id=hashlib.sha256(data).hexdigest(),
        file_name=name,
        width=stage.width,
        height=stage.height,
        content_type=drawing.plan.content_type,
        status=status,
        caption=compose(scene, [(artifact.phrase, artifact.explanation) for artifact in artifacts]),
        artifacts=artifacts,
        reviews=(Review(rater_id=RATER, status=status, content_type=drawing.plan.content_type, scene=scene),),
        generation=generation,
        group_id=f"background-{background.sha256[:16]}" if background else "",
        source=f"{SOURCE}/{background.source}" if background else SOURCE,
        license=background.license if background else LICENSE,
        extra=_extra(drawing),
    )
    return SimulatedImage(image=drawing.image, data=data, record=record)


def simulate_photograph(seed: int, index: int) -> SimulatedImage:
    """Draw a scene as a camera would take it: nothing wrong, and the traces of a lens and a sensor.

    Its record has the origin "real" and the status "unlabelled", as a photograph that nobody annotated.
    The same two numbers give the same bytes. Raises `UsageError` if one of them is negative.
    """
    _check(seed, index)
    drawing = _draw(seed, index, make_plan(seed, index, photograph=True), plant=True, photograph=True)
    rng = np.random.default_rng([seed, index, 3, 1])
    name = file_name(seed, index, photograph=True)
    data = encode_photograph(drawing.image, name, rng)
    record = ImageRecord(
        image_id=hashlib.sha256(data).hexdigest(),
        file_name=name,
        width=drawing.stage.width,
        height=drawing.stage.height,
        origin="real",
        content_type=drawing.plan.content_type,
        status="unlabelled",
        source=SOURCE,
        license=LICENSE,
        extra=_extra(drawing),
    )
    return SimulatedImage(image=drawing.image, data=data, record=record)


def _check(seed: int, index: int) -> None:
    if seed < 0 or index < 0:
        raise UsageError(f"seed {seed} and index {index} must not be negative")


def _extra(drawing: Drawing) -> dict[str, Any]:
    """The scene and what is odd in the picture without being wrong."""
    stage = drawing.stage
    odd = []
    for each in stage.odd:
        rings = rings_of(stage.region(each)) if each.outlines else ()
        if rings or not each.outlines:
            odd.append({"kind": each.kind, "what": each.what, "polygons": [list(ring) for ring in rings]})
    return {"scene": drawing.plan.scene.name, "hard_negatives": odd}


def draw(seed: int, index: int, *, plant: bool = True, background: Background | None = None) -> Drawing:
    """Draw a picture; without `plant` the same one with nothing wrong in it, but with the same regions."""
    plan = make_plan(seed, index, background=background)
    wanted = bool(plan.faults)
    spare = [str(fault) for fault in np.random.default_rng([seed, index, 7]).permutation(OVERLAYS)]
    while True:
        drawing = _draw(seed, index, plan, plant=True)
        hidden = _hidden(drawing)
        faults = tuple(fault for fault in plan.faults if fault not in hidden)
        if not hidden and (drawing.regions or not wanted or not spare):
            break
        if not faults or not hidden:
            # Nothing that was planned can be seen: a patch can be, on one surface or another.
            faults = (spare.pop(),) if spare else ()
        plan = plan._replace(faults=faults)
    if plant:
        return drawing
    # What is planted decides what is hidden by it, so the regions always come from the planted picture.
    without = _draw(seed, index, plan, plant=False)
    return without._replace(regions=drawing.regions)


def _draw(seed: int, index: int, plan: Plan, *, plant: bool, photograph: bool = False) -> Drawing:
    rng = np.random.default_rng([seed, index, 2, int(photograph)])
    light = pick(rng, ("left", "right"))
    toward = (-0.75 if light == "left" else 0.75, -0.66)
    stage = Stage(Canvas(*plan.size, toward, int(rng.integers(2**31))), rng, plan.faults, plant, light)
    # The frame: the whole scene or a part of it.
    closer = max(1.0, between(rng, 0.9, 1.45))
    at = (between(rng, 0.1, 0.9) * plan.size[0], between(rng, 0.2, 0.9) * plan.size[1])
    with stage.canvas.zoomed(*at, closer):
        plan.scene.draw(stage)
    pixels = _lit(stage.canvas.finish(), stage.side, between(rng, 0.8, 1.2))
    traces = np.random.default_rng([seed, index, 5, int(photograph)])
    if photograph:
        pixels = camera_traces(pixels, traces)
    else:
        pixels = generator_traces(pixels, traces)
    regions = [stage.region(mark) for mark in stage.marks]
    for number, fault in enumerate(OVERLAYS):
        if fault in plan.faults:
            patch_rng = np.random.default_rng([seed, index, 4, number])
            pixels = overlay(stage, pixels, fault, patch_rng, regions)
            regions += [stage.region(mark) for mark in stage.marks[len(regions) :]]
    pixels = np.clip(pixels + 0.5, 0, 255)
    return Drawing(Image.fromarray(pixels.astype(np.uint8)), stage, plan, tuple(regions))


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
        category = wording_of(mark.fault).category
        shown = sum(_area(ring) for ring in rings_of(region))
        small = shown < SMALLEST or _width(region) < NARROWEST
        if (
            small
            or shown > LARGEST * drawing.stage.width * drawing.stage.height
            or any(
                category == other and region.intersection(taken).area > 0.1 * region.union(taken).area
                for other, taken in seen
            )
        ):
            bad.add(mark.fault)
        else:
            seen.append((category, region))
    return bad


def _width(region: Any) -> float:
    """The shorter side of the smallest box around a region, in any direction."""
    corners = np.asarray(region.minimum_rotated_rectangle.exterior.coords)
    return float(min(np.hypot(*(corners[1] - corners[0])), np.hypot(*(corners[2] - corners[1]))))


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
    # From left to right, as people go through a picture, so that a model can know what comes next.
    shown = sorted(zip(stage.marks, drawing.regions, strict=True), key=lambda pair: pair[1].centroid.x)
    for number, (mark, region) in enumerate(shown):
        taken = {artifact.phrase for artifact in found}
        phrase, explanation = describe(mark.fault, {**light, **mark.words}, rng, taken)
        wording = wording_of(mark.fault)
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
