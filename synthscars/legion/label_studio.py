"""Predictions as Label Studio shows them to an expert: outlines to correct, texts to edit.

The items are those of `synthscars.converters.labelstudio_tasks`, so that what an expert accepts is pulled
like what they drew. Nothing is ever answered for the expert about the whole image but the scene sentence:
that an image is clean is only for somebody to say who looked.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from statistics import fmean
from typing import Any, NamedTuple

import shapely

from synthscars import geometry
from synthscars.caption import parse
from synthscars.converters.labelstudio_tasks import results
from synthscars.predictions import PredictedRegion, Prediction
from synthscars.problems import FormatError
from synthscars.records import Artifact, Review, Ring
from synthscars.taxonomy import Taxonomy, load_taxonomy

FAITHFUL = 0.95
"""Intersection over union that an outline must at least have with the mask it was traced from."""

SPECK = 0.05
"""Parts of a region that are smaller than this share of its largest part are left out."""

_HOLES = 0.25
# Outlines have no holes; filling them may add this share of what there is, larger ones are cut open.

_COARSEST = 0.01
# Of the larger side of the image: how far an outline may be moved to need fewer points.

_TRIES = 7
_SHAPE = "polygonlabels"

Json = dict[str, Any]


class Answer(NamedTuple):
    """A prediction in Label Studio's words: its result items, and how sure the model is (`None`: unknown).

    left_out: how many of its regions have no outline that could be drawn.
    """

    result: list[Json]
    score: float | None
    left_out: int = 0


def to_answer(prediction: Prediction, taxonomy: Taxonomy | None = None) -> Answer:
    """The result items of a prediction and its score, the mean of its regions' scores.

    Shape, phrase, explanation and subtype of a region share one id, which depends on the image and the
    region's place alone. A category or subtype that the taxonomy does not have is left out, because Label
    Studio refuses every prediction of a request if it does not know a label of one. A region of which no
    outline is left is left out and counted. Raises `FormatError` as `outline` does.
    """
    known = taxonomy or load_taxonomy()
    width, height = prediction.width, prediction.height
    artifacts = []
    for number, region in enumerate(prediction.regions):
        rings = outline(region, width, height)
        if rings:
            artifacts.append(_artifact(prediction.image_id, number, region, rings, known))
    review = Review(rater_id="", status="annotated", scene=_scene(prediction))
    items = results(artifacts, review, width, height)
    for item in items:
        if item["type"] == _SHAPE:
            # A region without a category is one whose label is still to be chosen, not one without the field.
            item["value"].setdefault(_SHAPE, [])
    scores = [score for region in prediction.regions if (score := _score(region)) is not None]
    left_out = len(prediction.regions) - len(artifacts)
    return Answer(items, round(fmean(scores), 4) if scores else None, left_out)


def _artifact(
    image_id: str, number: int, region: PredictedRegion, rings: tuple[Ring, ...], taxonomy: Taxonomy
) -> Artifact:
    subtypes = {subtype.id: subtype.category for subtype in taxonomy.subtypes}
    category = region.category or subtypes.get(region.subtype or "")
    category = category if category in taxonomy.category_ids else None
    subtype = region.subtype if subtypes.get(region.subtype or "") == category else None
    return Artifact(
        artifact_id=hashlib.sha256(f"{image_id} {number}".encode()).hexdigest()[:10],
        category=category,
        subtype=subtype,
        polygons=rings,
        phrase=_line(region.phrase),
        explanation=_line(region.explanation),
        extra={} if (score := _score(region)) is None else {"score": score},
    )


def _scene(prediction: Prediction) -> str:
    phrases = [region.phrase for region in prediction.regions]
    for known in (phrases, None):
        try:
            return _line(parse(prediction.text, known).scene)
        except FormatError:
            continue
    return ""


def _line(text: str) -> str:
    """A text as a field of one line holds it."""
    return " ".join(text.split())


def _score(region: PredictedRegion) -> float | None:
    if region.score is None or not math.isfinite(region.score):
        return None
    return round(min(max(region.score, 0.0), 1.0), 4)


def outline(region: PredictedRegion, width: int, height: int) -> tuple[Ring, ...]:
    """The outline of a region as an expert wants to correct it: rings of few points, in pixels, on the image.

    Polygons stay as they are, but for what leaves the image or crosses itself. A mask (`rle`) is traced:
    specks go, small holes are filled, and points are dropped as long as the outline covers the same as the
    mask to `FAITHFUL`.
    Raises `FormatError` if the mask is not one of this image.
    """
    if region.rle is None:
        return tuple(piece for ring in region.polygons for piece in _sound(ring, width, height))
    if region.rle.size != (height, width):
        raise FormatError(
            f"a mask of {region.rle.size[1]} x {region.rle.size[0]} pixels on an image of {width} x {height}"
        )
    mask: geometry.Rle = {"size": [height, width], "counts": region.rle.counts.encode()}
    rings = _without_specks(geometry.from_rle(mask))
    return _simplified(rings, mask, width, height) if rings else ()


def _sound(ring: Ring, width: int, height: int) -> tuple[Ring, ...]:
    """The ring if nothing is wrong with it, else what of it can be drawn on the image."""
    faults = {code for code, _ in geometry.ring_faults(ring, width, height)}
    if not faults:
        return (ring,)
    return () if faults & geometry.UNUSABLE else geometry.clip(ring, width, height)


def _without_specks(rings: tuple[Ring, ...]) -> tuple[Ring, ...]:
    """The rings of the parts that are large enough, with their small holes filled; largest part first."""
    whole = shapely.get_parts(shapely.union_all([geometry.polygon(ring) for ring in rings]))
    parts = sorted(whole, key=lambda part: (-part.area, part.bounds))
    kept: list[Ring] = []
    for part in parts:
        if part.area < SPECK * parts[0].area:
            break
        filled = shapely.Polygon(part.exterior)
        if filled.area <= (1 + _HOLES) * part.area:
            # Rings along pixel edges: `simplify` by nothing drops points in the middle of straight lines.
            kept.append(geometry.simplify(shapely.get_coordinates(filled.exterior)[:-1].ravel().tolist(), 0))
        else:
            kept += [ring for ring in rings if part.contains(geometry.polygon(ring).representative_point())]
    return tuple(kept)


def _simplified(rings: tuple[Ring, ...], mask: geometry.Rle, width: int, height: int) -> tuple[Ring, ...]:
    """The rings with as few points as cover the same as the mask to `FAITHFUL`.

    Each try allows half of the one before, down to what smooths the steps of pixels and no more.
    """
    # What filling holes and leaving specks out costs already is not for fewer points to make up.
    least = FAITHFUL * float(geometry.rle_iou([geometry.to_rle(rings, width, height)], [mask])[0, 0])
    tolerance = max(_COARSEST * max(width, height), 1.0)
    for _ in range(_TRIES):
        tried = tuple(piece for ring in rings for piece in _clipped(ring, tolerance, width, height))
        if tried and geometry.rle_iou([geometry.to_rle(tried, width, height)], [mask])[0, 0] >= least:
            return tried
        tolerance /= 2
    return rings


def _clipped(ring: Ring, tolerance: float, width: int, height: int) -> Iterator[Ring]:
    simple = geometry.simplify(ring, tolerance)
    if len(simple) >= 6 and geometry.area([simple]) > 0:
        yield from geometry.clip(simple, width, height)
