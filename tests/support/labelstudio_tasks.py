"""Tasks of Label Studio as its server exports them, sound and spoiled."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import strategies as st
from strategies import artifacts, records, reviews

from synthscars.converters import labelstudio
from synthscars.records import Artifact, ImageRecord, Review

CONFIDENCES = st.sampled_from([{}, {"confidence": "certain"}, {"confidence": "unsure"}])


@st.composite
def answered_records(draw: st.DrawFn) -> ImageRecord:
    """Records as annotators make them: accounts as raters, regions only of raters who drew some."""
    base = draw(records(max_artifacts=0))
    numbers = draw(st.lists(st.integers(0, 10**6), max_size=3, unique=True))
    answers: list[Review] = []
    regions: list[Artifact] = []
    for number in numbers:
        review = msgspec.structs.replace(draw(reviews(f"rater-{number}")), extra={})
        if review.status == "skipped":
            why = draw(st.sampled_from([{}, {"skip_reason": "damaged"}]))
            review = Review(rater_id=review.rater_id, status="skipped", seconds=review.seconds, extra=why)
        elif review.status == "annotated":
            count = draw(st.integers(1, 3))
            # The same ids for every rater: they are unique per rater only.
            found = [draw(artifacts(base.width, base.height, f"r{index}")) for index in range(count)]
            regions += [
                msgspec.structs.replace(
                    one, rater_id=review.rater_id, votes=None, agreement=None, extra=draw(CONFIDENCES)
                )
                for one in found
            ]
        answers.append(review)
    return msgspec.structs.replace(base, artifacts=tuple(regions), reviews=tuple(answers), extra={})


def exported(record: ImageRecord, number: int = 1) -> dict[str, Any]:
    """A record as a task with what the server adds to it."""
    task: dict[str, Any] = json.loads(msgspec.json.encode(labelstudio.task(record, "/data/a.png")))
    for index, answer in enumerate(task["annotations"], start=100 * number):
        answer |= {
            "id": index,
            "created_at": f"2026-01-0{number}T00:00:00Z",
            "prediction": {},
            "task": number,
        }
        answer |= {"ground_truth": False, "unique_id": f"{index:032x}", "import_id": None}
    return {"id": number, **task, "drafts": [], "meta": {}, "file_upload": None}


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["polygonlabels", "textarea", "relation", "\ud800", 10**400, 2**64, -1, {"id": None}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def spoil(data: st.DataObject, task: dict[str, Any]) -> None:
    """Put nonsense somewhere into a task, or take something away."""
    holder: Any = task
    key: Any = data.draw(st.sampled_from(sorted(holder)))
    while isinstance(holder[key], (dict, list)) and holder[key] and data.draw(st.integers(0, 5)):
        holder = holder[key]
        options = sorted(holder) if isinstance(holder, dict) else range(len(holder))
        key = data.draw(st.sampled_from(options))
    if data.draw(st.integers(0, 4)):
        holder[key] = data.draw(JSON_VALUES)
    else:
        del holder[key]
