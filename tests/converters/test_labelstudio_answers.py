"""Whose answer counts, and what an answer makes of its image."""

import copy
from typing import Any

import msgspec
import pytest
from labelstudio_answers import (
    BASE,
    EMPTY,
    FULL,
    HAND,
    SEEN,
    annotated,
    codes,
    items_of,
    read_one,
    skipped_task,
    task_of,
    written_task,
)

from synthscars.converters import labelstudio
from synthscars.problems import Problems
from synthscars.records import Artifact, Review, encode_record


@pytest.mark.parametrize("submitted", [False, True])
def test_why_an_image_was_skipped_is_kept_whichever_button_was_pressed(submitted: bool) -> None:
    record, problems = read_one(skipped_task("damaged", submitted=submitted), images={BASE.image_id: BASE})
    assert record.status == record.reviews[0].status == "skipped"
    assert record.reviews[0].extra["skip_reason"] == record.extra["skip_reason"] == "damaged"
    assert codes(problems) == []
    again, _ = read_one(task_of(record), images={BASE.image_id: BASE})
    assert again.reviews[0].extra["skip_reason"] == "damaged"


def test_the_reason_that_most_raters_gave_is_the_images() -> None:
    task = skipped_task("damaged", "unclear", "", "unclear")
    assert read_one(task, images={BASE.image_id: BASE})[0].extra["skip_reason"] == "unclear"
    assert "skip_reason" not in read_one(skipped_task(""), images={BASE.image_id: BASE})[0].extra


def test_a_reason_to_skip_beside_a_region_is_a_contradiction_and_is_kept() -> None:
    task = annotated()
    reason = skipped_task("damaged")["annotations"][0]["result"]
    items_of(task).extend(reason)
    record, problems = read_one(task, images={BASE.image_id: BASE})
    assert (record.status, codes(problems)) == ("annotated", ["annotation.contradiction"])
    assert record.reviews[0].extra["other_results"] == reason
    assert "skip_reason" not in record.extra


def test_looked_at_and_clean_is_not_unlabelled() -> None:
    clean = Review(rater_id="rater-1", status="clean")
    assert read_one(task_of(msgspec.structs.replace(BASE, reviews=(clean,))))[0].status == "clean"
    assert read_one(task_of(BASE))[0].status == "unlabelled"


def test_an_answer_with_nothing_drawn_is_undecided_unless_the_rater_said_that_nothing_is_there() -> None:
    record, problems = read_one({**task_of(BASE), "annotations": [EMPTY]})
    (review,) = record.reviews
    assert (record.status, review.status) == ("skipped", "skipped")
    assert review.extra["skip_reason"] == "nothing drawn, and 'no visible artifact' not chosen"
    assert [(one.code, one.severity) for one in problems] == [("annotation.empty", "warning")]
    said = labelstudio.results([], Review(rater_id="x", status="clean"), 200, 100)
    record, problems = read_one({**task_of(BASE), "annotations": [{**EMPTY, "result": said}]})
    assert (record.status, record.reviews[0].extra.get("skip_reason")) == ("clean", None)
    assert not len(problems)


def test_what_an_undecided_rater_said_about_the_whole_image_survives_writing_and_reading() -> None:
    about = labelstudio.results([], SEEN, 200, 100)
    record, _ = read_one({**task_of(BASE), "annotations": [{**EMPTY, "result": about}]})
    again, problems = read_one(task_of(record))
    assert again.reviews == record.reviews
    assert (again.reviews[0].scene, again.reviews[0].content_type) == ("A person.", "human")
    assert codes(problems) == ["annotation.empty"]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["skipped"], "skipped"),
        (["skipped", "clean"], "clean"),
        (["clean", "skipped", "annotated"], "annotated"),
        ([], "unlabelled"),
    ],
)
def test_the_status_of_an_image_follows_from_all_its_raters(statuses: list[Any], expected: str) -> None:
    answers = [Review(rater_id=f"rater-{number}", status=status) for number, status in enumerate(statuses)]
    regions = [
        msgspec.structs.replace(HAND, rater_id=one.rater_id) for one in answers if one.status == "annotated"
    ]
    record, _ = read_one(
        task_of(msgspec.structs.replace(BASE, reviews=tuple(answers), artifacts=tuple(regions)))
    )
    assert record.status == expected
    assert [review.status for review in record.reviews] == statuses


def test_regions_in_a_skipped_answer_are_not_used_but_kept() -> None:
    task = annotated()
    task["annotations"][0]["was_cancelled"] = True
    record, _ = read_one(task)
    assert (record.status, record.artifacts) == ("skipped", ())
    assert record.reviews[0].extra["result"] == items_of(task)


def test_who_answered_may_be_a_number_or_an_object_and_no_address_is_kept() -> None:
    task = annotated()
    task["annotations"][0]["completed_by"] = {"id": 3, "email": "ada@example.org"}
    earlier = copy.deepcopy(task["annotations"][0])
    earlier.update(id=1, updated_at="2001-01-01T00:00:00Z")
    task["annotations"][0].update(id=2, updated_at="2002-01-01T00:00:00Z")
    task["annotations"].append(earlier)
    record, _ = read_one(task)
    assert record.raters == ("rater-3",)
    assert b"ada@example.org" not in encode_record(record)


def test_of_several_answers_of_one_rater_the_latest_counts_and_the_earlier_are_kept() -> None:
    task = annotated()
    latest = task["annotations"][0]
    latest.update(id=9, updated_at="2026-02-02T00:00:00Z")
    earlier = {"id": 12, "completed_by": 3, "result": [], "updated_at": "2026-02-01T00:00:00Z"}
    task["annotations"].append(earlier)
    record, problems = read_one(task)
    assert record.artifacts == (HAND,)
    assert codes(problems) == ["annotation.repeated"]
    (review,) = record.reviews
    assert review.extra["annotation_id"] == 9
    assert [one["id"] for one in review.extra["earlier_annotations"]] == [12]


def test_what_an_adjudicator_marked_as_ground_truth_counts_more_than_the_latest_answer() -> None:
    task = annotated()
    task["annotations"][0].update(id=9, updated_at="2026-02-01T00:00:00Z", ground_truth=True)
    later = {"id": 12, "completed_by": 3, "result": [], "updated_at": "2026-02-02T00:00:00Z"}
    task["annotations"].append(later)
    record, problems = read_one(task)
    assert record.artifacts == (HAND,)
    assert record.reviews[0].extra["ground_truth"] is True
    assert [one["id"] for one in record.reviews[0].extra["earlier_annotations"]] == [12]
    assert codes(problems) == ["annotation.repeated"]


def test_answers_of_deleted_accounts_are_not_taken_for_one_raters() -> None:
    task = annotated()
    second = copy.deepcopy(task["annotations"][0])
    for number, annotation in enumerate((task["annotations"][0], second), start=1):
        annotation.update(id=number, completed_by=None)
    task["annotations"].append(second)
    record, problems = read_one(task)
    assert record.raters == ("rater-unknown-1", "rater-unknown-2")
    assert [one.rater_id for one in record.artifacts] == list(record.raters)
    assert codes(problems) == ["annotation.no_rater"] * 2


def test_drafts_that_nobody_submitted_are_mentioned_without_names() -> None:
    draft = {"id": 4, "user": "ada@example.org", "result": [{"id": "r1"}]}
    record, problems = read_one({**task_of(BASE), "drafts": [draft, 5]})
    assert record.status == "unlabelled"
    assert b"ada@example.org" not in encode_record(record)
    assert [(one.code, one.severity) for one in problems] == [("draft.not_submitted", "info")]


def test_two_tasks_of_one_image_are_read_as_one() -> None:
    other = task_of(msgspec.structs.replace(BASE, reviews=(Review(rater_id="rater-4", status="clean"),)))
    record, problems = read_one(annotated(), {**other, "id": 8})
    assert record.raters == ("rater-3", "rater-4")
    assert codes(problems) == ["task.repeated"]


@pytest.mark.parametrize("others", [[], ["clean"], ["clean", "clean"]])
def test_an_image_whose_every_region_is_bad_is_neither_clean_nor_annotated_nor_unlabelled(
    others: list[Any],
) -> None:
    answers = [Review(rater_id=f"rater-{number}", status=status) for number, status in enumerate(others, 10)]
    task = task_of(msgspec.structs.replace(BASE, artifacts=(HAND,), reviews=(SEEN, *answers)))
    items_of(task)[0]["value"]["points"] = []
    record, problems = read_one(task)
    assert record.status == "skipped"
    assert [one.status for one in record.reviews] == ["annotated", *others]
    assert record.reviews[0].extra["unreadable"] == "no region could be read"
    assert record.reviews[0].scene == "A person."
    assert codes(problems) == ["region.bad_polygon"]


@pytest.mark.parametrize("drawn", [[HAND], []])
def test_whoever_drew_and_chose_that_nothing_is_there_did_not_find_the_image_clean(
    drawn: list[Artifact],
) -> None:
    task = annotated()
    if not drawn:
        items_of(task)[0]["value"]["points"] = []
    items_of(task).extend(labelstudio.results([], Review(rater_id="x", status="clean"), 200, 100))
    record, problems = read_one(task)
    assert (list(record.artifacts), record.status) == (drawn, "annotated" if drawn else "skipped")
    assert "annotation.contradiction" in codes(problems)


def test_an_answer_about_the_whole_image_that_we_do_not_know_does_not_make_it_annotated() -> None:
    task = task_of(msgspec.structs.replace(BASE, reviews=(Review(rater_id="rater-3", status="clean"),)))
    items_of(task).append({"id": "q", "type": "rating", "from_name": "beauty", "value": {"rating": 3}})
    record, problems = read_one(task)
    assert record.status == "clean"
    assert codes(problems) == ["result.not_read"]
    assert not problems.failed


def test_no_answer_that_is_imported_becomes_ground_truth_by_itself() -> None:
    # The server's bulk import takes it for true unless it is said.
    said = msgspec.structs.replace(SEEN, extra={"ground_truth": True})
    for review, expected in ((SEEN, False), (said, True)):
        (answer,) = written_task(msgspec.structs.replace(BASE, artifacts=(HAND,), reviews=(review,)))[
            "annotations"
        ]
        assert answer["ground_truth"] is expected


def test_a_draft_is_no_answer_and_changes_nothing_but_what_is_kept() -> None:
    draft = {"id": 4, "user": "ada@example.org", "result": [{"id": "r1"}]}
    record, problems = read_one({"id": 5, **written_task(FULL), "drafts": [draft]})
    kept = {**FULL.extra, "drafts": [{"id": 4, "result": [{"id": "r1"}]}]}
    assert record == msgspec.structs.replace(FULL, extra=kept)
    assert codes(problems) == ["draft.not_submitted"]


def test_regions_that_nobody_confirmed_are_counted_once_when_they_are_read() -> None:
    made = [msgspec.structs.replace(HAND, rater_id="", artifact_id=name) for name in ("r1", "r2")]
    predicted = msgspec.structs.replace(BASE, artifacts=tuple(made))
    other = msgspec.structs.replace(predicted, image_id="cd" * 32)
    problems = Problems()
    found = list(labelstudio.read([task_of(predicted), task_of(other)], problems))
    assert [(one.status, one.artifacts) for one in found] == [("unlabelled", ())] * 2
    (problem,) = problems
    assert (problem.code, problem.severity) == ("task.predictions", "warning")
    assert problem.what.startswith("4 regions of 2 images are only predictions")


@pytest.mark.parametrize(("origin", "left"), [("prediction", 0), ("prediction-changed", 0), (None, 1)])
def test_a_prediction_that_a_rater_made_their_own_is_confirmed(origin: str | None, left: int) -> None:
    task = annotated()
    task["predictions"] = [{"id": 1, "result": copy.deepcopy(items_of(task))}]
    for item in items_of(task):
        if origin:
            item["origin"] = origin
    record, problems = read_one(task)
    assert record.status == "annotated"
    assert codes(problems) == ["task.predictions"] * left
