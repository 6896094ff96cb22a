"""Simulated raw exports of Label Studio, of any size: one task after another, as the server writes them.

Every region is a polygon of 8 to 40 points (as drawn by hand: few have many) with a category, a phrase, an
explanation and often a subtype, and each of these repeats the points, as the page stores them. One task in
ten was found clean. Equal arguments give equal bytes.

    python benchmarks/label_studio_export.py export.json
    python benchmarks/label_studio_export.py export.json --tasks 100000 --polygons 217000
"""

from __future__ import annotations

import argparse
import hashlib
import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from synthscars.taxonomy import load_taxonomy

TASKS, POLYGONS = 12_236, 26_566
_SIZES = ((1024, 1024), (768, 1024), (1024, 768), (512, 512), (1216, 832), (832, 1216))
_PLACES = (
    "the left hand",
    "the right hand",
    "the sign above the door",
    "the hind leg of the dog",
    "the mirror",
)
_REASONS = (
    "It has six fingers, and two of them grow out of the same knuckle.",
    "The letters are melted into each other, so that no word can be read.",
    "The shadow falls towards the lamp, which no light in the scene explains.",
    "The texture runs across the edge of the object as if both were one surface.",
    "It ends in mid-air: nothing connects it to the body it should belong to.",
)
_SCENES = ("A person sits at a table in a bright room", "A street in the evening with shops on both sides")


def write_export(path: Path, *, tasks: int = TASKS, polygons: int = POLYGONS, seed: int = 0) -> None:
    """Write an export of so many tasks with so many polygons altogether."""
    with path.open("wb") as file:
        file.write(b"[")
        for number, each in enumerate(simulated_tasks(tasks, polygons, seed)):
            file.write(b"," if number else b"")
            file.write(msgspec.json.encode(each))
        file.write(b"]")


def simulated_tasks(tasks: int, polygons: int, seed: int) -> Iterator[dict[str, Any]]:
    """The tasks of such an export, one by one."""
    rng = random.Random(seed)
    left = polygons
    for number in range(1, tasks + 1):
        waiting = tasks - number + 1
        # The polygons left are spread over the tasks left; a tenth gets none, the last takes the rest.
        mean = left / waiting / 0.9
        regions = min(left, 0 if rng.random() < 0.1 else 1 + int(rng.expovariate(1 / max(mean - 0.5, 0.1))))
        regions = left if number == tasks else regions
        left -= regions
        yield _task(number, regions, rng)


def _task(number: int, regions: int, rng: random.Random) -> dict[str, Any]:
    width, height = rng.choice(_SIZES)
    image_id = hashlib.sha256(f"simulated image {number}".encode()).hexdigest()
    result: list[dict[str, Any]] = []
    for _ in range(regions):
        result += _region(width, height, rng)
    if not regions:
        result.append(_whole(rng, "no_visible_artifact", "choices", {"choices": ["no_visible_artifact"]}))
    content_type = rng.choice(load_taxonomy().content_type_ids)
    result.append(_whole(rng, "content_type", "choices", {"choices": [content_type]}))
    result.append(_whole(rng, "scene", "textarea", {"text": [rng.choice(_SCENES)]}))
    rater = rng.randint(1, 12)
    when = f"2026-03-{1 + number % 28:02d}T{number % 24:02d}:{number % 60:02d}:07.{number % 10**6:06d}Z"
    answer = {
        "id": number,
        "completed_by": rater,
        "result": result,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": when,
        "updated_at": when,
        "draft_created_at": None,
        "lead_time": round(rng.uniform(15, 400), 3),
        "prediction": {},
        "result_count": regions,
        "unique_id": f"{rng.getrandbits(32):08x}-0000-4000-8000-{rng.getrandbits(48):012x}",
        "import_id": None,
        "last_action": None,
        "bulk_created": False,
        "task": number,
        "project": 1,
        "updated_by": rater,
        "parent_prediction": None,
        "parent_annotation": None,
        "last_created_by": None,
    }
    return {
        "id": number,
        "annotations": [answer],
        "file_upload": None,
        "drafts": [],
        "predictions": [],
        "data": {
            "image": f"/data/local-files/?d=images/{image_id[:2]}/{image_id}.png",
            "image_id": image_id,
            "width": width,
            "height": height,
        },
        "meta": {},
        "created_at": when,
        "updated_at": when,
        "allow_skip": True,
        "inner_id": number,
        "total_annotations": 1,
        "cancelled_annotations": 0,
        "total_predictions": 0,
        "comment_count": 0,
        "unresolved_comment_count": 0,
        "last_comment_updated_at": None,
        "project": 1,
        "updated_by": rater,
        "comment_authors": [],
    }


def _region(width: int, height: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    points = msgspec.Raw(msgspec.json.encode(_points(rng)))
    category = rng.choice(load_taxonomy().categories)
    region_id = f"{rng.getrandbits(60):010x}"[:10]
    answers: list[tuple[str, str, str, list[str]]] = [
        ("category", "polygonlabels", "polygonlabels", [category.id]),
        ("phrase", "textarea", "text", [rng.choice(_PLACES)]),
        ("explanation", "textarea", "text", [rng.choice(_REASONS)]),
    ]
    if rng.random() < 0.6:
        subtype = rng.choice(load_taxonomy().subtypes_of(category.id))
        answers.append((f"subtype_{category.id}", "choices", "choices", [subtype.id]))
    for control, kind, field, given in answers:
        yield {
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {"points": points, "closed": True, field: given},
            "id": region_id,
            "from_name": control,
            "to_name": "image",
            "type": kind,
            "origin": "manual",
        }


def _points(rng: random.Random) -> list[tuple[float, float]]:
    """A ring around a centre, in percent: its corners at rising angles, so that it never crosses itself."""
    count = min(8 + int(rng.expovariate(1 / 4)), 40)
    reach = rng.uniform(2, 16)
    x, y = rng.uniform(reach, 100 - reach), rng.uniform(reach, 100 - reach)
    points: list[tuple[float, float]] = []
    for corner in range(count):
        angle = 2 * math.pi * (corner + rng.uniform(0, 0.8)) / count
        length = reach * rng.uniform(0.4, 1)
        points.append((x + length * math.cos(angle), y + length * math.sin(angle)))
    return points


def _whole(rng: random.Random, control: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    region_id = f"{rng.getrandbits(60):010x}"[:10]
    return {
        "value": value,
        "id": region_id,
        "from_name": control,
        "to_name": "image",
        "type": kind,
        "origin": "manual",
    }


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--polygons", type=int, default=POLYGONS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_export(options.path, tasks=options.tasks, polygons=options.polygons, seed=options.seed)
    print(f"{options.path}: {options.path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
