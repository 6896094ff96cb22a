"""What the annotator of `annotator_day.py` is going to say about each picture, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from synthscars.records import ImageRecord

Kind = Literal["drawn", "clean", "skipped"]
Mistake = Literal["", "placeholder", "no explanation", "crossing", "two points", "no content type"]

CATEGORIES = (("1", "physics"), ("2", "structure"), ("3", "distortion"))
SUBTYPES = {
    "physics": (("q", "optical_display"), ("w", "physical_law_violation"), ("e", "space_perspective")),
    "structure": (("a", "deformed"), ("d", "incomplete_redundant"), ("f", "illogical")),
    "distortion": (("z", "color_texture"), ("x", "noise_blurring"), ("c", "artistic_style")),
}
CONFIDENCES = (("4", "certain"), ("5", "likely"), ("6", "unsure"))
CONTENT_TYPES = (("7", "human"), ("8", "object"), ("9", "animal"), ("0", "scene"))
REASONS = (("t", "not_generated"), ("y", "damaged"), ("i", "offensive"), ("j", "unclear"))

_PHRASES = ("the left hand", "the shadow of the lamp", "the “sign” 🪧", "اليد اليسرى", "die Tür rechts")
_EXPLANATIONS = (
    "It has six fingers.",
    "It falls towards the light, which is to the left.",
    "Its letters are none: half of them are mirrored.",
    "Beyond the frame it goes on in another colour; that cannot be.",
)
# Parts of the picture in which two regions do not touch: x, y of the middle, the longest radius.
_PLACES = ((0.26, 0.5, 0.17), (0.74, 0.5, 0.17))

# In a cycle of ten pictures: one clean, one skipped, a mistake in most of the others.
_KINDS: dict[int, Kind] = {3: "clean", 7: "skipped"}
_MISTAKES: dict[int, Mistake] = {
    1: "placeholder",
    2: "no explanation",
    4: "two points",
    6: "crossing",
    9: "no content type",
}


class Region(msgspec.Struct, frozen=True):
    """A polygon to be drawn. corners, middle: in parts of the picture's sides. The keys come before ids."""

    category: tuple[str, str]
    subtype: tuple[str, str]
    confidence: tuple[str, str]
    corners: tuple[tuple[float, float], ...]
    middle: tuple[float, float]
    phrase: str
    explanation: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said about a picture, and which mistake is made first. keys: with the keyboard alone."""

    kind: Kind
    regions: tuple[Region, ...] = ()
    content_type: tuple[str, str]
    scene: str = ""
    reason: tuple[str, str]
    mistake: Mistake = ""
    keys: bool


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that was answered. corners: of each region, in pixels of the picture, as they were clicked.

    Seconds: drawing and typing; from submitting to the answer; from there until the next picture is shown.
    """

    image_id: str
    task: int
    plan: Plan
    corners: tuple[tuple[float, ...], ...]
    draw: float
    submit: float
    load: float


def make_plan(number: int, rng: np.random.Generator) -> Plan:
    """What is said about the picture of this number. Every other one is done with the keyboard."""
    kind = _KINDS.get(number % 10, "drawn")
    keys = number % 2 == 1
    count = (1 + number // 2 % 2) if kind == "drawn" else 0
    return Plan(
        kind=kind,
        regions=tuple(_region(place, number + place, rng) for place in range(count)),
        content_type=CONTENT_TYPES[number % 4],
        # No key leads to the scene.
        scene="" if keys or kind == "skipped" else f"A made-up scene, number {number}; “quoted”.",
        reason=REASONS[number // 10 % 4],
        mistake=_MISTAKES.get(number % 10, "") if kind == "drawn" else "",
        keys=keys,
    )


def _region(place: int, number: int, rng: np.random.Generator) -> Region:
    x, y, radius = _PLACES[place]
    count = int(rng.integers(3, 8))
    turns = (np.arange(count) + rng.uniform(-0.25, 0.25, count)) * 2 * math.pi / count
    radii = rng.uniform(0.75, 1.0, count) * radius
    category = CATEGORIES[number % 3]
    subtypes = SUBTYPES[category[1]]
    return Region(
        category=category,
        subtype=subtypes[number % len(subtypes)],
        confidence=CONFIDENCES[number % 3],
        corners=tuple(
            (x + float(r * math.cos(turn)), y + float(r * math.sin(turn)))
            for r, turn in zip(radii, turns, strict=True)
        ),
        middle=(x, y),
        phrase=_PHRASES[number % len(_PHRASES)],
        explanation=_EXPLANATIONS[number % len(_EXPLANATIONS)],
    )


def lost(done: Sequence[Done], records: Sequence[ImageRecord], rater_id: str) -> list[str]:
    """What of the answers did not come out of a pull as it was drawn and typed, a line each."""
    by_image = {record.image_id: record for record in records}
    return [line for one in done for line in _differences(one, by_image.get(one.image_id), rater_id)]


def _differences(done: Done, record: ImageRecord | None, rater_id: str) -> list[str]:
    where = f"task {done.task}"
    reviews = [one for one in record.reviews if one.rater_id == rater_id] if record else []
    if record is None or len(reviews) != 1:
        return [f"{where}: {len(reviews)} answers"]
    (review,), plan = reviews, done.plan
    # An outline that was drawn anew comes last, and no two of a picture have the same phrase.
    drawn = sorted((one for one in record.artifacts if one.rater_id == rater_id), key=lambda one: one.phrase)
    wanted_regions = sorted(zip(plan.regions, done.corners, strict=True), key=lambda one: one[0].phrase)
    status = {"drawn": "annotated"}.get(plan.kind, plan.kind)
    said: list[tuple[str, object, object]] = [("status", review.status, status)]
    if plan.kind == "skipped":
        said.append(("reason", review.extra.get("skip_reason"), plan.reason[1]))
    else:
        said.append(("content type", review.content_type, plan.content_type[1]))
        said.append(("scene", review.scene, plan.scene))
    said.append(("regions", len(drawn), len(plan.regions)))
    for (region, _), artifact in zip(wanted_regions, drawn, strict=False):
        said += [
            ("category", artifact.category, region.category[1]),
            ("subtype", artifact.subtype, region.subtype[1]),
            ("confidence", artifact.extra.get("confidence"), region.confidence[1]),
            ("phrase", artifact.phrase, region.phrase),
            ("explanation", artifact.explanation, region.explanation),
            ("rings", len(artifact.polygons), 1),
        ]
    found = [f"{where}: {what} is {got!r}, not {wanted!r}" for what, got, wanted in said if got != wanted]
    for (_, corners), artifact in zip(wanted_regions, drawn, strict=False):
        ring = [float(number) for number in artifact.polygons[0]]
        if len(ring) != len(corners):
            found.append(f"{where}: {len(ring) // 2} corners, not {len(corners) // 2}")
        elif (away := max(abs(a - b) for a, b in zip(ring, corners, strict=True))) > 1:
            found.append(f"{where}: a corner is {away:.2f} pixels away from where it was clicked")
    return found
