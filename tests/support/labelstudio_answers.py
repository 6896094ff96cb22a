"""One image as tasks of Label Studio, and what is read from them."""

from __future__ import annotations

import io
import json
from typing import Any

import msgspec

from synthscars.converters import labelstudio
from synthscars.problems import Problems
from synthscars.records import Artifact, Generation, ImageRecord, Review

BASE = ImageRecord(image_id="ab" * 32, file_name="a.png", width=200, height=100)
BOX = (20.0, 10.0, 60.0, 10.0, 60.0, 50.0)
HAND = Artifact(
    artifact_id="r1",
    category="structure",
    subtype="deformed",
    polygons=(BOX,),
    phrase="the left hand",
    explanation="It has six fingers.",
    rater_id="rater-3",
)
SEEN = Review(rater_id="rater-3", status="annotated", content_type="human", scene="A person.")


def task_of(record: ImageRecord) -> dict[str, Any]:
    task = labelstudio.task(record, "/data/a.png", Problems())
    return {"id": 7, **json.loads(msgspec.json.encode(task))}


def annotated() -> dict[str, Any]:
    """A task with one region of one rater, as the server exports it."""
    return task_of(msgspec.structs.replace(BASE, artifacts=(HAND,), reviews=(SEEN,)))


def read_one(*tasks: Any, images: dict[str, ImageRecord] | None = None) -> tuple[ImageRecord, Problems]:
    problems = Problems()
    (record,) = labelstudio.read(list(tasks), problems, images)
    return record, problems


def codes(problems: Problems) -> list[str]:
    return [problem.code for problem in problems]


def items_of(task: dict[str, Any]) -> list[dict[str, Any]]:
    items = task["annotations"][0]["result"]
    assert isinstance(items, list)
    return items


def skipped_task(*reasons: str, submitted: bool = False) -> dict[str, Any]:
    reviews = tuple(
        Review(rater_id=f"rater-{n}", status="skipped", extra={"skip_reason": reason} if reason else {})
        for n, reason in enumerate(reasons, start=1)
    )
    task = task_of(msgspec.structs.replace(BASE, reviews=reviews))
    for answer in task["annotations"]:
        answer["was_cancelled"] = not submitted
    return task


EMPTY = {"id": 1, "completed_by": 1, "result": [], "was_cancelled": False}
FULL = msgspec.structs.replace(
    BASE,
    origin="real",
    content_type="human",
    status="annotated",
    caption="A caption.",
    artifacts=(
        msgspec.structs.replace(HAND, rater_id="", votes=2, agreement=0.9, extra={"x": 1}),
        msgspec.structs.replace(HAND, rater_id="", artifact_id="r2", polygons=(BOX, BOX), category=None),
        msgspec.structs.replace(HAND, polygons=()),
        HAND,
    ),
    reviews=(msgspec.structs.replace(SEEN, extra={"y": 2}), Review(rater_id="ada", status="clean")),
    generation=Generation(tool="a1111", prompt="a hand"),
    group_id="g",
    split="train",
    source="b.zip",
    license="cc0",
    extra={"z": [1, None]},
)


def written_task(record: ImageRecord) -> dict[str, Any]:
    buffer = io.BytesIO()
    labelstudio.write([record], buffer, Problems())
    (task,) = json.loads(buffer.getvalue())
    assert isinstance(task, dict)
    return task
