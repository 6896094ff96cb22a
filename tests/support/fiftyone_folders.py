"""Folders of FiftyOne, and what is read from them."""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path

import numpy as np

from synthscars.converters import fiftyone
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.problems import Problems
from synthscars.records import Artifact, Generation, ImageRecord, Review

FOREIGN = Path(__file__).parents[1] / "data" / "fiftyone" / "foreign"
HAND = Artifact(
    artifact_id="r1",
    category="structure",
    subtype="deformed",
    polygons=((6.0, 4.0, 30.0, 4.0, 30.0, 20.0),),
    phrase="the left hand",
    explanation="It has six fingers.",
    rater_id="rater-1",
    votes=2,
    agreement=0.75,
    extra={"tool": {"$date": "no date", "a.b": [1, None]}},
)
RECORD = ImageRecord(
    image_id="",
    file_name="",
    width=60,
    height=40,
    content_type="human",
    status="annotated",
    caption="Upon examining the image.",
    artifacts=(HAND,),
    reviews=(Review(rater_id="rater-1", status="annotated", seconds=2.5, extra={"_cls": "x"}),),
    generation=Generation(tool="ComfyUI", seed=2**64 - 1, raw={"a.b": "{}", "$x": ""}),
    split="train",
    extra={"_cls": "Evil", "\0": 1},
)


def read(folder: Path) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(fiftyone.read(folder, problems)), problems


def write(found: list[ImageRecord], target: Path, pictures: Path | None = None) -> Problems:
    problems = Problems()
    how = {"pictures": TargetPictures(by_hash([pictures]))} if pictures else {}
    assert fiftyone.write(found, target, problems, **how) == len(found)
    return problems


def samples(folder: Path) -> list[dict]:
    return json.loads((folder / "samples.json").read_text("utf-8"))["samples"]


def folder_with(folder: Path, *found: object, **metadata: object) -> Path:
    """A dataset folder with these samples, on images of 60 x 40 pixels that are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps({"name": "x", "version": "1.22.1", **metadata}))
    (folder / "samples.json").write_text(json.dumps({"samples": list(found)}))
    return folder


def sample(name: str, **fields: object) -> dict:
    return {
        "filepath": f"data/{name}",
        "metadata": {"_cls": "ImageMetadata", "width": 60, "height": 40},
        **fields,
    }


def polyline(points: object, **fields: object) -> dict:
    return {"_cls": "Polyline", "label": "structure", "points": points, "closed": True, **fields}


def polylines(*labels: object) -> dict:
    return {"_cls": "Polylines", "polylines": list(labels)}


def packed(array: np.ndarray) -> dict:
    """A mask as FiftyOne stores it."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    data = base64.b64encode(zlib.compress(file.getvalue())).decode()
    return {"$binary": {"base64": data, "subType": "00"}}


def codes(problems: Problems) -> list[tuple[str, str, str]]:
    return [(one.code, one.image, one.region) for one in problems]


TRIANGLE = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]
RING = (6.0, 4.0, 30.0, 4.0, 30.0, 20.0)
