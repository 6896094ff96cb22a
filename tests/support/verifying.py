"""Small releases that can be learned from, and answers of models about them that cost nothing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image
from releasing import write_folder

from synthscars.caption import compose
from synthscars.images import sha256
from synthscars.predictions import Prediction, to_prediction, write_predictions
from synthscars.records import Artifact, ImageRecord, Review

WIDTH, HEIGHT = 64, 48
COLOURS = ("red", "green", "blue", "grey", "pink", "brown", "white", "black")
PLACES = ("left", "right")


def toy(
    number: int, split: str, *, origin: str = "synthetic", clean: bool = False, group: str = ""
) -> tuple[ImageRecord, bytes]:
    """A picture of noise on a colour with a bright square somewhere, which is what is wrong with it."""
    rng = np.random.default_rng([number, 7])
    pixels = rng.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8) + rng.integers(
        20, 120, 3, dtype=np.uint8
    )
    x, y, side = (int(rng.integers(low, high)) for low, high in ((2, 44), (2, 28), (10, 18)))
    colour = COLOURS[int(rng.integers(len(COLOURS)))]
    artifacts: tuple[Artifact, ...] = ()
    if not clean and origin == "synthetic":
        pixels[y : y + side, x : x + side] = 255
        place = PLACES[int(x > WIDTH / 2 - side / 2)]
        artifacts = (
            Artifact(
                artifact_id="square",
                category="structure",
                subtype="deformed",
                polygons=((x, y, x + side, y, x + side, y + side, x, y + side),),
                phrase=f"the {colour} thing on the {place}",
                explanation=f"A {colour} square of {side} by {side} cannot hang in the air at {x} and {y}.",
                rater_id="ada",
            ),
        )
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data = buffer.getvalue()
    status = "annotated" if artifacts else "clean" if origin == "synthetic" else "unlabelled"
    scene = f"A {colour} wall"
    caption = compose(scene, [(each.phrase, each.explanation) for each in artifacts])
    record = ImageRecord(
        image_id=sha256(data),
        file_name=f"toy {number}.png",
        width=WIDTH,
        height=HEIGHT,
        origin=origin,  # type: ignore[arg-type]
        content_type=("object", "scene")[number % 2],
        status=status,  # type: ignore[arg-type]
        caption=caption if origin == "synthetic" else "",
        artifacts=artifacts,
        reviews=(Review(rater_id="ada", status=status, scene=scene),) if origin == "synthetic" else (),  # type: ignore[arg-type]
        group_id=group,
        split=split,
        source="toys",
        license="CC0-1.0",
    )
    return record, data


def toys(train: int = 60, test: int = 30, photographs: int = 0) -> list[tuple[ImageRecord, bytes]]:
    """So many pictures; every eighth is clean."""
    found = [toy(number, "train", clean=number % 8 == 7) for number in range(train)]
    found += [toy(1000 + number, "test", clean=number % 8 == 7) for number in range(test)]
    return found + [toy(2000 + number, "test", origin="real") for number in range(photographs)]


def toy_release(folder: Path, pairs: Iterable[tuple[ImageRecord, bytes]]) -> list[ImageRecord]:
    """Write a release of some pictures; gives its records."""
    listed = list(pairs)
    write_folder(folder, "1.0.0", [record for record, _ in listed], {r.image_id: d for r, d in listed})
    return [record for record, _ in listed]


def knows(record: ImageRecord) -> Prediction:
    """What a perfect model says."""
    return to_prediction(record)


def nearly(record: ImageRecord) -> Prediction:
    """What a good model says: outlines are off by a pixel."""
    moved = tuple(
        msgspec.structs.replace(each, polygons=tuple(tuple(v + 1 for v in ring) for ring in each.polygons))
        for each in record.artifacts
    )
    said = to_prediction(msgspec.structs.replace(record, artifacts=moved))
    return msgspec.structs.replace(said, synthetic=0.9 if record.origin == "synthetic" else 0.2)


def silent(record: ImageRecord) -> Prediction:
    """What a model says that sees nothing."""
    return Prediction(image_id=record.image_id, width=record.width, height=record.height, synthetic=0.5)


def blind(records: list[ImageRecord]) -> Callable[[ImageRecord], Prediction]:
    """A model that says of each image what is true of another one: what shuffled labels teach at best."""
    told = [record for record in records if record.artifacts]

    def say(record: ImageRecord) -> Prediction:
        other = to_prediction(told[int(record.image_id[:8], 16) % len(told)])
        return msgspec.structs.replace(
            other, image_id=record.image_id, width=record.width, height=record.height
        )

    return say


def answers(
    path: Path, records: Iterable[ImageRecord], say: Callable[[ImageRecord], Prediction], name: str = "toy"
) -> Path:
    """Write what a model says of some images."""
    write_predictions(path, (say(record) for record in records), {"model": name})
    return path
