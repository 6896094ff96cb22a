"""Tasks of Label Studio: written and read again, with all that the server adds."""

import io

import msgspec
import pytest
from hypothesis import given
from labelstudio_answers import BASE, FULL, HAND, SEEN, codes, read_one, written_task
from labelstudio_tasks import answered_records

from synthscars.converters import labelstudio
from synthscars.converters.labelstudio_tasks import results
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Review


@given(answered_records())
def test_what_every_rater_answered_survives_writing_and_reading(record: ImageRecord) -> None:
    problems = Problems()
    buffer = io.BytesIO()
    labelstudio.write([record], buffer, problems)
    (found,) = labelstudio.read(io.BytesIO(buffer.getvalue()), problems, {record.image_id: record})
    assert not problems.failed
    assert [plain(one) for one in found.artifacts] == [plain(one) for one in record.artifacts]
    for before, after in zip(record.artifacts, found.artifacts, strict=True):
        for ring, again in zip(before.polygons, after.polygons, strict=True):
            assert again == pytest.approx(ring, rel=0, abs=1e-9)
    assert [bare(one) for one in found.reviews] == list(record.reviews)
    # Everything that Label Studio never saw comes from what is known about the image.
    assert (found.generation, found.group_id, found.split) == (
        record.generation,
        record.group_id,
        record.split,
    )


def plain(artifact: Artifact) -> Artifact:
    rings = tuple(tuple(0.0 for _ in ring) for ring in artifact.polygons)
    said = {key: value for key, value in artifact.extra.items() if key == "confidence"}
    return msgspec.structs.replace(artifact, polygons=rings, extra=said)


def bare(review: Review) -> Review:
    said = {key: value for key, value in review.extra.items() if key == "skip_reason"}
    return msgspec.structs.replace(review, extra=said)


def test_raters_without_an_account_become_predictions() -> None:
    drawn = [
        msgspec.structs.replace(HAND, rater_id=name) for name in ("legion", "", "rater-03", "synthscars")
    ]
    problems = Problems()
    task = labelstudio.task(msgspec.structs.replace(BASE, artifacts=tuple(drawn)), "/data/a.png", problems)
    assert task["annotations"] == []
    versions = [one["model_version"] for one in task["predictions"]]
    assert versions == ["legion", "synthscars", "rater-03", "synthscars-2"]
    assert not len(problems)


def test_what_label_studio_has_no_place_for_comes_back_from_the_tasks_meta() -> None:
    buffer, problems = io.BytesIO(), Problems()
    labelstudio.write([FULL], buffer, problems)
    (found,) = labelstudio.read(io.BytesIO(buffer.getvalue()), problems)
    assert found == FULL
    assert not len(problems)


def test_a_task_comes_back_whole_from_a_server_that_added_its_own_fields_and_listed_otherwise() -> None:
    task = written_task(msgspec.structs.replace(FULL, artifacts=(*FULL.artifacts, HAND_OF_A_MODEL)))
    task["predictions"].reverse()
    for number, answer in enumerate([*task["annotations"], *task["predictions"]], start=1):
        answer |= {"id": number, "created_at": "2026-01-01T00:00:00Z"}
    task["annotations"][0]["completed_by"] = {"id": 3, "email": "ada@example.org"}
    record, problems = read_one({"id": 5, **task, "drafts": []})
    assert record == msgspec.structs.replace(FULL, artifacts=(*FULL.artifacts, HAND_OF_A_MODEL))
    assert not len(problems)


HAND_OF_A_MODEL = msgspec.structs.replace(HAND, rater_id="legion", phrase="the right hand")


def test_once_somebody_has_answered_only_what_is_said_about_the_image_itself_still_holds() -> None:
    task = written_task(FULL)
    said = labelstudio.results([], Review(rater_id="x", status="clean"), 200, 100)
    task["annotations"].append({"id": 9, "completed_by": 5, "result": said})
    record, problems = read_one({"id": 5, **task})
    assert (record.status, record.raters) == ("annotated", ("rater-3", "rater-5"))
    assert record.artifacts == (HAND,)
    assert (record.caption, record.generation, record.split) == ("", FULL.generation, "train")
    assert record.extra["z"] == [1, None]
    assert codes(problems) == ["task.predictions"]
    (problem,) = problems
    assert problem.what.startswith("2 regions of 1 images are only predictions")


def test_the_workspace_counts_more_than_what_a_task_brings() -> None:
    record, problems = read_one({"id": 5, **written_task(FULL)}, images={BASE.image_id: BASE})
    assert record.artifacts == (HAND,)
    assert record.generation is None
    assert codes(problems) == ["task.predictions"]


def test_predictions_come_back_from_an_export_that_has_only_their_numbers() -> None:
    record = msgspec.structs.replace(
        BASE,
        status="annotated",
        artifacts=(msgspec.structs.replace(HAND, rater_id="legion"),),
        reviews=(msgspec.structs.replace(SEEN, rater_id="legion"),),
    )
    task = written_task(record)
    assert read_one({**task, "predictions": [41]})[0] == record
    # One more, or none left: not what was written.
    for predictions in ([41, 42], []):
        found, problems = read_one({**task, "predictions": predictions})
        assert (found.status, found.artifacts) == ("unlabelled", ())
        assert codes(problems) == ["task.predictions_by_number"] * bool(predictions)


def test_what_label_studio_holds_is_no_loss() -> None:
    record = msgspec.structs.replace(
        BASE, content_type="human", status="annotated", artifacts=(HAND,), reviews=(SEEN,)
    )
    problems = Problems()
    labelstudio.write([record, BASE], io.BytesIO(), problems)
    assert not len(problems)


def test_a_task_that_push_made_is_read_without_the_workspace_under_its_name_there() -> None:
    url = f"/data/local-files/?d=images/ab/{BASE.image_id}.png"
    record, _ = read_one({"id": 7, "data": labelstudio.task_data(BASE, url), "annotations": []})
    assert record.file_name == f"{BASE.image_id}.png"
    record, _ = read_one({"id": 7, "data": labelstudio.task_data(BASE, url)}, images={BASE.image_id: BASE})
    assert record.file_name == "a.png"


def test_task_data_hold_nothing_that_would_bias_the_annotator() -> None:
    assert set(labelstudio.task_data(BASE, "/data/a.png")) == {
        "image",
        "image_id",
        "width",
        "height",
    }


def test_result_items_are_what_label_studio_itself_would_store() -> None:
    shape, phrase, explanation, subtype, *whole = results([HAND], SEEN, 200, 100)
    value = {"points": [[10.0, 10.0], [30.0, 10.0], [30.0, 50.0]], "closed": True}
    common = {
        "id": "r1",
        "to_name": "image",
        "original_width": 200,
        "original_height": 100,
        "image_rotation": 0,
    }
    assert shape == {
        **common,
        "from_name": "category",
        "type": "polygonlabels",
        "value": {**value, "polygonlabels": ["structure"]},
    }
    assert phrase["value"] == {**value, "text": ["the left hand"]}
    assert explanation["value"] == {**value, "text": ["It has six fingers."]}
    assert (subtype["from_name"], subtype["value"]["choices"]) == ("subtype_structure", ["deformed"])
    assert [item["from_name"] for item in whole] == ["content_type", "scene"]


def test_what_would_not_come_back_is_reported_when_it_is_written() -> None:
    bare = msgspec.structs.replace(HAND, polygons=())
    problems = Problems()
    for record in (
        msgspec.structs.replace(BASE, artifacts=(bare,), reviews=(SEEN,)),
        msgspec.structs.replace(BASE, status="clean"),
        msgspec.structs.replace(BASE, artifacts=(HAND,), reviews=(SEEN,)),
    ):
        labelstudio.task(record, "/data/a.png", problems)
    assert codes(problems) == ["artifact.no_polygon", "review.no_region", "status.no_rater"]
    assert [problem.where for problem in problems] == [
        f"a.png, image {BASE.image_id}, region r1",
        f"a.png, image {BASE.image_id}",
        f"a.png, image {BASE.image_id}",
    ]
