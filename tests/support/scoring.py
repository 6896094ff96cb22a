"""Records and predictions with known and with random disagreements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from synthscars.caption import compose
from synthscars.predictions import PredictedRegion, Prediction, to_prediction
from synthscars.records import Artifact, ImageRecord, Ring
from synthscars.taxonomy import load_taxonomy

SIZE = 64


def box(left: float, top: float, right: float, bottom: float) -> Ring:
    """A rectangle."""
    return (left, top, right, top, right, bottom, left, bottom)


def artifact(ring: Ring, category: str | None = "structure", **more: Any) -> Artifact:
    """A region with texts."""
    found = {"artifact_id": str(ring), "phrase": "the hand", "explanation": "It has six fingers.", **more}
    return Artifact(category=category, polygons=(ring,), **found)


def region(ring: Ring, category: str | None = "structure", **more: Any) -> PredictedRegion:
    """A predicted region without texts."""
    return PredictedRegion(category=category, polygons=(ring,), **more)


def record(*artifacts: Artifact, image_id: str = "image", **more: Any) -> ImageRecord:
    """A record of `SIZE` x `SIZE` pixels; clean without artifacts, unless told otherwise."""
    fields: dict[str, Any] = {
        "file_name": f"{image_id}.png",
        "width": SIZE,
        "height": SIZE,
        "status": "annotated" if artifacts else "clean",
        "caption": compose("A scene", [(each.phrase, each.explanation) for each in artifacts]),
        "content_type": "human",
        **more,
    }
    return ImageRecord(image_id=image_id, artifacts=artifacts, **fields)


def prediction(of: ImageRecord, *regions: PredictedRegion, **more: Any) -> Prediction:
    """A prediction for a record's image."""
    return Prediction(image_id=of.image_id, width=of.width, height=of.height, regions=regions, **more)


def random_records(count: int, seed: int = 0) -> list[ImageRecord]:
    """Records of all kinds: none to four overlapping regions, clean and real images, groups of two."""
    rng = np.random.default_rng(seed)
    taxonomy = load_taxonomy()
    found = []
    for number in range(count):
        artifacts = []
        for _ in range(int(rng.integers(0, 5))):
            subtype = taxonomy.subtypes[int(rng.integers(len(taxonomy.subtypes)))]
            left, top = rng.uniform(0, SIZE - 20, 2).round(2).tolist()
            wide, high = rng.uniform(4, 20, 2).round(2).tolist()
            artifacts.append(
                artifact(
                    (left, top, left + wide, top + 1, left + wide / 2, top + high),
                    subtype.category,
                    subtype=subtype.id,
                    phrase=f"the {subtype.name.lower()}",
                    explanation=f"It shows what cannot be: {subtype.definition}",
                )
            )
        real = not artifacts and number % 2 == 0
        found.append(
            record(
                *artifacts,
                image_id=f"{number:04d}",
                group_id=f"group-{number // 2}" if number % 4 < 2 else "",
                origin="real" if real else "synthetic",
                content_type=taxonomy.content_type_ids[number % 4],
            )
        )
    return found


def shaken(records: Iterable[ImageRecord], seed: int = 0, by: float = 3.0) -> list[Prediction]:
    """What a middling model would say: regions moved, some lost, some invented, some mislabelled."""
    rng = np.random.default_rng(seed)
    return [_shaken(to_prediction(each), rng, by) for each in records]


def _shaken(perfect: Prediction, rng: np.random.Generator, by: float) -> Prediction:
    regions = [_moved(each, rng, by) for each in perfect.regions if rng.random() < 0.8]
    if rng.random() < 0.3:
        left, top = rng.uniform(0, SIZE - 10, 2).tolist()
        regions.append(region(box(left, top, left + 9, top + 7), score=float(rng.random())))
    truth = perfect.synthetic or 0.0
    # Two decimals, so that some probabilities are equal.
    said = round(float(np.clip(0.3 + 0.4 * truth + rng.normal(0, 0.25), 0, 1)), 2)
    return msgspec.structs.replace(
        perfect, regions=tuple(regions), synthetic=said, text=perfect.text.replace("the", "a")
    )


def _moved(found: PredictedRegion, rng: np.random.Generator, by: float) -> PredictedRegion:
    shift: Sequence[float] = rng.normal(0, by, 2).tolist()
    rings = tuple(
        tuple(value + shift[place % 2] for place, value in enumerate(ring)) for ring in found.polygons
    )
    return msgspec.structs.replace(
        found,
        polygons=rings,
        score=float(rng.random()),
        category=found.category if rng.random() < 0.8 else "physics",
        phrase=found.phrase.replace("the", "some"),
    )
