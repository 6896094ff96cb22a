import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelstudio_tasks import JSON_VALUES, answered_records, exported, spoil

from synthscars.converters import labelstudio
from synthscars.converters.labelstudio_tasks import annotation
from synthscars.labelstudio.validation import MAX_SHOWN, check_answer, message, reported
from synthscars.problems import Problem, Problems
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()
WIDTH, HEIGHT = 400, 200
SQUARE = (40.0, 40.0, 80.0, 40.0, 80.0, 80.0, 40.0, 80.0)
HAND = Artifact(
    artifact_id="r1",
    category="structure",
    subtype="deformed",
    polygons=(SQUARE,),
    phrase="the left hand",
    explanation="It has six fingers; people have five.",
)
SHADOW = msgspec.structs.replace(
    HAND, artifact_id="r2", category="physics", subtype=None, phrase="the shadow"
)
SEEN = Review(rater_id="rater-3", status="annotated", content_type="human", scene="A person.")


def answer(*artifacts: Artifact, review: Review = SEEN) -> dict[str, Any]:
    body = annotation(3, review, artifacts, WIDTH, HEIGHT)
    found: dict[str, Any] = json.loads(msgspec.json.encode(body))
    return found


def check(body: dict[str, Any]) -> list[Problem]:
    return check_answer(body, TAXONOMY)


def changed(**fields: Any) -> Artifact:
    return msgspec.structs.replace(HAND, **fields)


def test_good_answers_pass() -> None:
    assert check(answer(HAND, SHADOW)) == []
    assert check(answer(changed(subtype=None, extra={"confidence": "unsure"}))) == []
    assert check(answer(review=Review(rater_id="", status="clean", content_type="scene"))) == []
    assert check(answer(review=Review(rater_id="", status="skipped", extra={"skip_reason": "damaged"}))) == []


BOW_TIE = changed(polygons=((40.0, 40.0, 80.0, 80.0, 80.0, 40.0, 40.0, 90.0),))
TWO_POINTS = changed(polygons=((40.0, 40.0, 80.0, 40.0),))
LINE = changed(polygons=((0.0, 0.0, 9.0, 9.0, 90.0, 90.0),))
OUTSIDE = changed(polygons=((*SQUARE[:-2], -9.0, 80.0),))
SMALL = changed(polygons=((1.0, 1.0, 9.0, 1.0, 9.0, 9.0),))
UNKNOWN = changed(category="unheard_of", subtype=None)


@pytest.mark.parametrize(
    ("artifact", "code", "what", "fix"),
    [
        (TWO_POINTS, "region.bad_polygon", "2 points, a polygon needs 3", "draw it"),
        (LINE, "region.bad_polygon", "one line", "draw it"),
        (BOW_TIE, "polygon.crosses_itself", "crosses itself near x 62, y 62", "move its points"),
        (OUTSIDE, "polygon.outside", "9 pixels beyond", "back onto the picture"),
        (SMALL, "region.small", "32 square pixels, less than 100", "delete"),
        (changed(phrase=""), "region.no_phrase", "you gave no phrase", "the left hand"),
        (changed(phrase="todo"), "region.phrase_placeholder", "'todo' says nothing", "where it is"),
        (changed(phrase=" ."), "region.phrase_placeholder", "says nothing", "where it is"),
        (changed(explanation=""), "region.no_explanation", "no explanation", "impossible"),
        (changed(explanation="asdf"), "region.explanation_placeholder", "'asdf' says nothing", "impossible"),
        (
            changed(subtype="artistic_style"),
            "region.subtype_mismatch",
            "no subtype of structure",
            "its categ",
        ),
        (changed(category=None, subtype=None), "region.category", "you chose none", "key of one category"),
        (UNKNOWN, "label.unknown", "unheard_of", "key of one category"),
    ],
)
def test_a_fault_of_a_region_is_told_with_its_place_and_a_way_to_mend_it(
    artifact: Artifact, code: str, what: str, fix: str
) -> None:
    (problem,) = check(answer(SHADOW, msgspec.structs.replace(artifact, artifact_id="bad")))
    assert problem.code == code
    assert what in problem.what
    assert fix in problem.fix
    assert problem.severity == "error"
    assert problem.region.startswith("region 2")
    text = message([problem])
    assert problem.region in text
    assert "rater" not in text


def test_a_region_is_named_as_the_rater_knows_it() -> None:
    (problem,) = check(answer(SHADOW, changed(explanation="xxx")))
    assert problem.region == "region 2 (structure: the left hand)"


def test_an_answer_must_say_something_and_not_two_things() -> None:
    nothing = Review(rater_id="", status="annotated", content_type="human")
    clean = Review(rater_id="", status="clean", content_type="human")
    assert [one.code for one in check(answer(review=nothing))] == ["answer.empty"]
    both = answer(HAND)
    both["result"] += answer(review=clean)["result"]
    assert [one.code for one in check(both)] == ["answer.contradiction"]
    untold = answer(HAND, review=msgspec.structs.replace(SEEN, content_type=None))
    assert [one.code for one in check(untold)] == ["answer.no_content_type"]
    strange = answer(HAND, review=msgspec.structs.replace(SEEN, content_type="weather"))
    assert [one.code for one in check(strange)] == ["answer.no_content_type"]


def test_a_skip_needs_a_reason_and_nothing_else() -> None:
    skipped = answer(changed(phrase=""))
    skipped["was_cancelled"] = True
    assert [one.code for one in check(skipped)] == ["answer.no_skip_reason"]
    reason = answer(review=Review(rater_id="", status="skipped", extra={"skip_reason": "unclear"}))
    skipped["result"] += reason["result"]
    assert check(skipped) == []
    # Submitted instead of skipped: the reason alone is a skip, beside an answer it contradicts it.
    assert check({**reason, "was_cancelled": False}) == []
    beside = answer(HAND)
    beside["result"] += reason["result"]
    assert [one.code for one in check(beside)] == ["answer.contradiction"]


def test_the_least_size_is_in_pixels_of_the_original_image() -> None:
    small = answer(SMALL)
    assert check_answer(small, TAXONOMY, min_area=32) == []
    for item in small["result"]:
        if "original_width" in item:
            item |= {"original_width": 10 * WIDTH, "original_height": 10 * HEIGHT}
    assert check(small) == []


def test_without_the_size_nothing_can_be_said_about_regions() -> None:
    body = answer(HAND)
    for item in body["result"]:
        item.pop("original_width", None)
    assert [one.code for one in check(body)] == ["answer.no_size"]


def test_other_shapes_are_checked_by_what_they_cover() -> None:
    box = {"x": 10, "y": 10, "width": 20, "height": 20, "rotation": 0}
    body = answer(HAND)
    for item in body["result"]:
        if item["id"] == "r1":
            value = {key: part for key, part in item["value"].items() if key not in ("points", "closed")}
            item["value"] = value | box
            if item["type"] == "polygonlabels":
                item["type"] = "rectanglelabels"
                item["value"] = {**box, "rectanglelabels": item["value"]["polygonlabels"]}
    assert check(body) == []
    body["result"][0]["value"]["width"] = 0.1
    assert [one.code for one in check(body)] == ["region.small"]


def test_a_text_whose_region_is_gone_is_told() -> None:
    body = answer(HAND)
    body["result"] = [item for item in body["result"] if item["type"] != "polygonlabels"]
    assert "result.not_read" in [one.code for one in check(body)]


def test_the_message_is_short_and_shows_what_a_stranger_wrote_as_text() -> None:
    assert message([]) == ""
    many = check(answer(*(changed(artifact_id=f"r{n}", explanation="") for n in range(20))))
    assert len(many) == 20
    lines = message(many).splitlines()
    assert len(lines) == MAX_SHOWN + 2
    assert lines[-1] == "… and 12 more."
    nasty = check(answer(changed(phrase="a\x1b[31m\n" + "b" * 500, explanation="")))
    assert len(message(nasty)) < 500
    assert "\x1b" not in message(nasty)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_garbage_is_refused_or_accepted_but_never_crashes(data: st.DataObject) -> None:
    task = exported(data.draw(answered_records()))
    for body in [*task["annotations"], answer(HAND)]:
        spoiled = {"annotations": [body]}
        spoil(data, spoiled)
        for one in spoiled["annotations"] if isinstance(spoiled.get("annotations"), list) else []:
            if isinstance(one, dict):
                for problem in check(one):
                    assert problem.fix
                    assert problem.what
                    msgspec.json.encode(problem)
                    assert message([problem])


@given(JSON_VALUES, st.sampled_from(["result", "was_cancelled", "other"]))
def test_no_result_is_no_answer(value: Any, key: str) -> None:
    assert check({key: value}) or (key == "was_cancelled" and value is not True)


@settings(deadline=None)
@given(answered_records())
def test_whatever_passes_is_read_without_complaint(record: Any) -> None:
    for body in exported(record)["annotations"]:
        if check(body):
            continue
        problems = Problems()
        data = {"image_id": "ab" * 32, "width": record.width, "height": record.height, "image": "/a.png"}
        (found,) = labelstudio.read([{"id": 1, "data": data, "annotations": [body]}], problems)
        assert list(problems) == []
        assert found.reviews[0].status != "unlabelled"


def test_a_pull_reports_what_reading_alone_does_not() -> None:
    doubtful = changed(rater_id="rater-3", phrase="xxx", polygons=SMALL.polygons)
    untold = Review(rater_id="rater-4", status="clean")
    record = ImageRecord(
        image_id="ab" * 32,
        file_name="a.png",
        width=WIDTH,
        height=HEIGHT,
        artifacts=(doubtful, msgspec.structs.replace(HAND, rater_id="rater-5")),
        reviews=(SEEN, untold, Review(rater_id="rater-6", status="skipped")),
    )
    problems = Problems()
    assert list(reported([record], problems, min_area=100)) == [record]
    assert {(one.code, one.severity) for one in problems} == {
        ("region.small", "warning"),
        ("region.phrase_placeholder", "warning"),
        ("review.no_content_type", "warning"),
        ("review.no_skip_reason", "info"),
    }
    assert {one.region for one in problems if one.code.startswith("region")} == {"region r1"}
