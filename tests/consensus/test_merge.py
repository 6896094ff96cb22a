"""Hand-worked cases: three raters, one image of 100 x 100 pixels."""

import itertools

import msgspec
import pytest

from synthscars.consensus import adjudicate
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Review


def square(rater, x, y, size=20, **fields):
    ring = (x, y, x + size, y, x + size, y + size, x, y + size)
    defaults = {"category": "structure", "phrase": f"{rater}'s phrase", "explanation": f"{rater}'s reason."}
    return Artifact(
        artifact_id=f"{rater}-{x}-{y}", rater_id=rater, polygons=(ring,), **{**defaults, **fields}
    )


def record(*artifacts, reviews=("a", "b", "c"), **fields):
    drawn = {artifact.rater_id for artifact in artifacts}
    made = [
        review
        if isinstance(review, Review)
        else Review(rater_id=review, status="annotated" if review in drawn else "clean", scene="A room")
        for review in reviews
    ]
    return ImageRecord(
        image_id="f" * 64,
        file_name="x.png",
        width=100,
        height=100,
        artifacts=artifacts,
        reviews=tuple(made),
        **fields,
    )


def merge(made, **options):
    problems = Problems()
    [merged] = adjudicate([made], problems, **options)
    return merged, [problem.code for problem in problems]


def test_a_region_drawn_by_most_raters_stands_with_the_outline_that_agrees_best():
    # IoU of squares of side 20 shifted by s: (20 - s) / (20 + s). b is between a and c, so b agrees best.
    merged, codes = merge(record(square("a", 10, 10), square("b", 12, 10), square("c", 14, 10)))
    [artifact] = merged.artifacts
    assert (artifact.rater_id, artifact.votes) == ("b", 3)
    assert artifact.agreement == pytest.approx(18 / 22)
    assert merged.status == "annotated"
    assert merged.caption.endswith("artifacts. b's phrase:b's reason.")
    assert codes == []


def test_a_size_that_no_image_has_is_reported_and_nothing_is_merged():
    made = record(square("a", 10, 10), square("b", 12, 10))
    for width, height in ((10_000_000, 640), (2**16, 2**16), (2**40, 2**40)):
        impossible = msgspec.structs.replace(made, width=width, height=height)
        assert merge(impossible) == (impossible, ["image.too_large"])


def test_a_region_that_only_one_of_three_drew_is_reported_and_left_out():
    merged, codes = merge(record(square("a", 10, 10), square("b", 11, 10), square("c", 70, 70)))
    assert [artifact.votes for artifact in merged.artifacts] == [2]
    assert codes == ["consensus.unconfirmed"]


def test_regions_of_different_categories_are_different_artifacts():
    merged, codes = merge(record(square("a", 10, 10), square("b", 10, 10, category="physics")))
    assert merged.artifacts == ()
    assert codes.count("consensus.unconfirmed") == 2


def test_a_rater_gives_one_region_to_an_artifact_and_the_best_pair_is_joined():
    near, far = square("a", 10, 10), square("a", 16, 10)
    merged, _ = merge(record(near, far, square("b", 11, 10), reviews=("a", "b")))
    [artifact] = merged.artifacts
    assert artifact.votes == 2
    assert artifact.agreement == pytest.approx(19 / 21)


def test_most_raters_saying_clean_makes_the_image_clean():
    merged, codes = merge(record(square("a", 10, 10)))
    assert (merged.status, merged.artifacts) == ("clean", ())
    assert (
        merged.caption == "Upon examining the image. I have found: A room. I have found no visible artifacts."
    )
    assert codes == ["consensus.unconfirmed"]


def test_raters_who_drew_different_things_leave_the_image_disputed_not_clean():
    merged, codes = merge(record(square("a", 10, 10), square("b", 40, 40), square("c", 70, 70)))
    assert merged.status == "skipped"
    assert merged.extra["skip_reason"] == "disputed"
    assert "consensus.disputed" in codes


def test_an_adjudicator_overrules_the_majority():
    final = Review(rater_id="z", status="annotated", scene="A hall", extra={"ground_truth": True})
    merged, _ = merge(record(square("a", 10, 10), square("z", 70, 70), reviews=("a", "b", "c", final)))
    [artifact] = merged.artifacts
    assert artifact.rater_id == "z"
    assert "A hall" in merged.caption


def test_a_skipping_rater_has_no_vote():
    skipping = Review(rater_id="c", status="skipped")
    merged, _ = merge(record(square("a", 10, 10), reviews=("a", skipping)))
    assert (merged.status, len(merged.artifacts)) == ("annotated", 1)


def test_an_image_that_everyone_skipped_is_skipped():
    merged, _ = merge(record(reviews=(Review(rater_id="c", status="skipped"),)))
    assert merged.status == "skipped"


def test_an_image_nobody_reviewed_passes_unchanged():
    made = record(reviews=(), status="unlabelled")
    assert merge(made) == (made, [])


def test_a_region_without_texts_does_not_speak_for_those_with():
    merged, _ = merge(record(square("a", 10, 10), square("b", 12, 10, explanation=""), square("c", 14, 10)))
    assert merged.artifacts[0].rater_id in "ac"
    assert merged.artifacts[0].votes == 3


def test_the_subtype_is_the_one_most_raters_chose():
    regions = [square("a", 10, 10, subtype="deformed"), square("b", 12, 10, subtype="illogical")]
    merged, _ = merge(record(*regions, square("c", 14, 10, subtype="deformed")))
    assert merged.artifacts[0].rater_id == "b"
    assert merged.artifacts[0].subtype == "deformed"


def test_the_order_of_the_raters_does_not_change_what_stands():
    regions = [
        square("a", 10, 10),
        square("b", 12, 10),
        square("c", 15, 10),
        square("a", 60, 60),
        square("b", 61, 60),
    ]
    standing = {
        frozenset((a.rater_id, a.votes) for a in merge(record(*order))[0].artifacts)
        for order in itertools.permutations(regions)
    }
    assert len(standing) == 1


def test_an_unusable_ring_does_not_stop_the_others():
    broken = square("a", 50, 50)
    broken = Artifact(
        artifact_id="two-points", rater_id="a", category="structure", polygons=((1.0, 1.0, 2.0, 2.0),)
    )
    merged, _ = merge(record(broken, square("b", 10, 10), square("c", 11, 10)))
    assert [artifact.votes for artifact in merged.artifacts] == [2]


def test_an_image_that_the_adjudicator_skipped_keeps_nobodys_regions():
    skipped = Review(rater_id="c", status="skipped", extra={"ground_truth": True})
    seen = [Review(rater_id=name, status="annotated") for name in "ab"]
    merged, _ = merge(record(square("a", 10, 10), square("b", 12, 10), reviews=(*seen, skipped)))
    assert (merged.status, merged.artifacts, merged.caption) == ("skipped", (), "")
    assert len(merged.reviews) == 3


def test_merging_twice_changes_nothing():
    disputed = record(square("a", 10, 10), square("b", 40, 40), square("c", 70, 70))
    clean = record(square("a", 10, 10))
    standing = record(square("a", 10, 10), square("b", 12, 10), square("c", 70, 70))
    for made in (disputed, clean, standing):
        once, _ = merge(made)
        again, _ = merge(once)
        assert again == once


def test_an_answer_that_could_not_be_read_weighs_against_clean():
    unreadable = Review(rater_id="b", status="annotated", extra={"unreadable": "no region could be read"})
    merged, codes = merge(record(reviews=("a", unreadable)))
    assert merged.status == "skipped"
    assert codes == ["consensus.disputed"]
