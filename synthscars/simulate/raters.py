"""Simulated raters: they see what is there, and are as imperfect as people are, in known ways.

For demos and tests of everything that comes after drawing; no substitute for a person.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np

from synthscars import geometry
from synthscars.records import Artifact, ImageRecord, Review, Ring


class Imperfection(NamedTuple):
    """How a rater errs.

    jitter: standard deviation of a vertex in units of the region's size (square root of its area), at most
    2 pixels. miss: probability of overlooking an artifact. invent: probability of drawing one more region on
    an image, where nothing is wrong.
    """

    jitter: float = 0.02
    miss: float = 0.1
    invent: float = 0.1


TYPICAL = Imperfection()


def rate(
    truth: ImageRecord, rng: np.random.Generator, imperfection: Imperfection = TYPICAL
) -> tuple[Review, tuple[Artifact, ...]]:
    """What one rater answers about an image whose artifacts are known.

    Texts, category and subtype of the artifacts that the rater sees are the true ones; the outlines are
    jittered and stay inside the image. `rater_id` is empty: the account that submits the answer gives it.
    """
    seen = [artifact for artifact in truth.artifacts if rng.random() >= imperfection.miss]
    drawn = [_draw(artifact, truth, rng, imperfection.jitter) for artifact in seen]
    if rng.random() < imperfection.invent:
        drawn.append(_invent(truth, rng))
    review = Review(
        rater_id="",
        status="annotated" if drawn else "clean",
        content_type=truth.content_type,
        scene=truth.reviews[0].scene if truth.reviews else "",
    )
    return review, tuple(drawn)


def _draw(artifact: Artifact, truth: ImageRecord, rng: np.random.Generator, jitter: float) -> Artifact:
    sigma = min(2.0, jitter * geometry.area(artifact.polygons) ** 0.5)
    rings = tuple(_jitter(ring, truth.width, truth.height, sigma, rng) for ring in artifact.polygons)
    return msgspec.structs.replace(artifact, polygons=rings, rater_id="")


def _jitter(ring: Ring, width: int, height: int, sigma: float, rng: np.random.Generator) -> Ring:
    points = np.asarray(ring).reshape(-1, 2)
    # A few tries with ever steadier hands: a jittered outline must not cross itself.
    for attempt in range(8):
        moved = points + rng.normal(0, sigma / 2**attempt, points.shape)
        flat = tuple(float(value) for value in np.clip(moved, 0, (width, height)).flatten())
        if not list(geometry.ring_faults(flat, width, height)):
            return flat
    return ring


def _invent(truth: ImageRecord, rng: np.random.Generator) -> Artifact:
    """A region of about 40 x 40 pixels on something that is as it should be."""
    radius = rng.uniform(15, 25)
    x = rng.uniform(radius, truth.width - radius)
    y = rng.uniform(radius, truth.height - radius)
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    points = np.column_stack((x + radius * np.cos(angles), y + radius * np.sin(angles)))
    return Artifact(
        artifact_id=f"invented-{rng.integers(2**32):08x}",
        category="distortion",
        subtype="noise_blurring",
        polygons=(tuple(float(value) for value in points.flatten()),),
        phrase="the surface",
        explanation="It looks a little smeared here.",
    )
