"""Files of COCO instances, and records for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synthscars.converters.coco import read, write
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord

DATA = Path(__file__).parents[1] / "data" / "coco"
BOX = (20.0, 10.0, 60.0, 10.0, 60.0, 50.0, 20.0, 50.0)
TRIANGLE = (100.0, 20.0, 120.0, 20.0, 120.0, 40.0)
CORNER = (0.5, 0.5, 10.5, 0.5, 10.5, 10.5)


def image(number: int = 1, **fields: Any) -> ImageRecord:
    given = {"file_name": f"{number}.png", "width": 200, "height": 160, **fields}
    return ImageRecord(image_id=f"{number:064x}", **given)


def drawn(*rings: tuple[float, ...], **fields: Any) -> Artifact:
    given = {"artifact_id": "r1", "category": "structure", "rater_id": "anna", **fields}
    return Artifact(polygons=rings or (BOX,), **given)


def annotated(number: int, *artifacts: Artifact, **fields: Any) -> ImageRecord:
    return image(number, status="annotated", artifacts=artifacts, **fields)


def written(folder: Path, found: list[ImageRecord], **options: Any) -> tuple[dict[str, Any], Problems]:
    """What is in the single file of those records, and what was reported."""
    problems = Problems()
    target = folder / "out.json"
    assert write(found, target, problems, **options) == len(found)
    return json.loads(target.read_bytes()), problems


def stored(folder: Path, content: Any, name: str = "in.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def looked(source: Path, **options: Any) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(read(source, problems, **options)), problems


def foreign(*annotations: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A file of another tool: one image of 64 x 48 pixels, two categories."""
    given = [
        {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, **each}
        for number, each in enumerate(annotations, start=1)
    ]
    categories = [{"id": 1, "name": "structure"}, {"id": 2, "name": "physics"}]
    images = [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}]
    return {"images": images, "annotations": given, "categories": categories, **fields}


SQUARE = [[10, 10, 30, 10, 30, 30, 10, 30]]


def only(problems: Problems, code: str) -> Any:
    (found,) = [one for one in problems if one.code == code]
    return found
