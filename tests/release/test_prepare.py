import math

import pytest
from releasing import changed, noise_png, sample_record

from synthscars.caption import compose
from synthscars.geometry import bbox
from synthscars.problems import Problems
from synthscars.records import Artifact, Generation, ImageRecord
from synthscars.release.prepare import fit_columns, usable

SQUARE = (1.0, 1.0, 9.0, 1.0, 9.0, 9.0, 1.0, 9.0)
NAN = (1.0, 1.0, math.nan, 1.0, 9.0, 9.0)
TWO_POINTS = (1.0, 1.0, 9.0, 1.0)
LINE = (1.0, 1.0, 2.0, 2.0, 3.0, 3.0)
ODD = (1.0, 1.0, 9.0, 1.0, 9.0)


def record(*rings_of: tuple[tuple[float, ...], ...], caption: str = "") -> ImageRecord:
    artifacts = tuple(
        Artifact(
            artifact_id=f"a{number}", polygons=rings, phrase=f"place {number}", explanation=f"why {number}"
        )
        for number, rings in enumerate(rings_of)
    )
    return changed(sample_record(0, noise_png(0)), status="annotated", artifacts=artifacts, caption=caption)


@pytest.mark.parametrize(
    ("ring", "code"),
    [
        (NAN, "polygon.not_finite"),
        (TWO_POINTS, "polygon.few_points"),
        (LINE, "polygon.no_area"),
        (ODD, "polygon.odd"),
    ],
)
def test_an_artifact_that_cannot_be_drawn_is_set_aside_and_the_others_stay(
    ring: tuple[float, ...], code: str
) -> None:
    problems = Problems()
    before = record((ring,), (SQUARE,))
    (after,) = usable([before], problems, {})
    assert [artifact.artifact_id for artifact in after.artifacts] == ["a1"]
    (problem,) = problems
    assert (problem.code, problem.severity) == (code, "error")
    assert (problem.image, problem.region) == (before.image_id, "artifact a0")


@pytest.mark.parametrize("polygons", [(NAN,), (TWO_POINTS, LINE), ()])
def test_an_image_that_loses_all_artifacts_is_set_aside_and_not_called_clean(
    polygons: tuple[tuple[float, ...], ...],
) -> None:
    problems, left_out = Problems(), dict[str, str]()
    before = record(polygons)
    assert list(usable([before], problems, left_out)) == []
    assert left_out == {before.image_id: "record.no_artifact_left"}
    assert "record.no_artifact_left" in [problem.code for problem in problems]


def test_a_ring_without_area_is_dropped_from_a_region_that_has_others() -> None:
    problems = Problems()
    (after,) = usable([record((LINE, SQUARE, TWO_POINTS))], problems, {})
    assert after.artifacts[0].polygons == (SQUARE,)
    assert [problem.severity for problem in problems] == ["warning", "warning"]


def test_a_region_with_an_unreadable_ring_is_not_mended() -> None:
    problems = Problems()
    assert list(usable([record((SQUARE, NAN))], problems, {})) == []


def test_the_caption_names_only_the_artifacts_that_are_left() -> None:
    items = [("place 0", "why 0"), ("place 1", "why 1"), ("place 2", "why 2")]
    before = record((SQUARE,), (NAN,), (SQUARE,), caption=compose("A field", items))
    (after,) = usable([before], Problems(), {})
    assert after.caption == compose("A field", [items[0], items[2]])


def test_a_caption_that_cannot_be_mended_is_kept_and_reported() -> None:
    problems = Problems()
    (after,) = usable([record((SQUARE,), (NAN,), caption="free text")], problems, {})
    assert after.caption == "free text"
    assert "caption.stale" in [problem.code for problem in problems]


def test_polygons_that_cross_themselves_are_kept_and_those_that_reach_out_are_cut_off() -> None:
    problems = Problems()
    bow = (0.0, 0.0, 9.0, 9.0, 9.0, 0.0, 0.0, 9.0)
    outside = (1.0, 1.0, 99.0, 1.0, 99.0, 9.0, 1.0, 9.0)
    (after,) = usable([record((bow,), (outside,))], problems, {})
    assert after.artifacts[0].polygons == (bow,)
    assert bbox(after.artifacts[1].polygons) == (1, 1, 47, 8)
    assert [(p.code, p.severity) for p in problems] == [
        ("polygon.crosses_itself", "warning"),
        ("polygon.outside", "warning"),
    ]


def test_a_second_record_of_an_image_is_reported() -> None:
    problems = Problems()
    first, second = record((SQUARE,)), record((SQUARE,), (SQUARE,))
    assert list(usable([first, second], problems, {})) == [first]
    assert [problem.code for problem in problems] == ["record.duplicate"]


def test_labels_that_the_taxonomy_does_not_know_are_kept_in_extra() -> None:
    problems = Problems()
    before = changed(
        record((SQUARE,)),
        content_type="robot",
        artifacts=(Artifact(artifact_id="a", category="magic", subtype="deformed", polygons=(SQUARE,)),),
        extra={"kept": 1},
    )
    after = fit_columns(before, problems)
    assert (after.content_type, after.extra) == (None, {"content_type": "robot", "kept": 1})
    (artifact,) = after.artifacts
    assert (artifact.category, artifact.subtype, artifact.extra) == (None, "deformed", {"category": "magic"})
    assert [problem.code for problem in problems] == ["label.unknown"] * 2


def test_numbers_that_no_column_holds_are_kept_as_parameters() -> None:
    problems = Problems()
    generation = Generation(seed=-1, steps=10**30, width=64, parameters={"kept": "1"})
    after = fit_columns(changed(record((SQUARE,)), generation=generation), problems)
    assert after.generation == Generation(
        width=64, parameters={"seed": "-1", "steps": str(10**30), "kept": "1"}
    )
    assert [problem.code for problem in problems] == ["generation.out_of_range"] * 2


def test_what_fits_is_not_touched() -> None:
    problems = Problems()
    before = sample_record(3, noise_png(3))
    assert fit_columns(before, problems) == before
    assert list(usable([before], problems, {})) == [before]
    assert not len(problems)


def test_votes_beyond_their_column_are_kept_in_extra_and_an_impossible_size_is_set_aside() -> None:
    before = record((SQUARE,))
    (artifact,) = before.artifacts
    problems = Problems()
    after = fit_columns(changed(before, artifacts=(changed(artifact, votes=2**31),)), problems)
    assert (after.artifacts[0].votes, after.artifacts[0].extra["votes"]) == (None, 2**31)
    assert [(problem.code, problem.severity) for problem in problems] == [
        ("artifact.out_of_range", "warning")
    ]
    for width, height in ((64, 2**31), (2**31, 64), (10_000_000, 640), (2**16, 2**16)):
        left_out: dict[str, str] = {}
        assert list(usable([changed(before, width=width, height=height)], problems, left_out)) == []
        assert left_out == {before.image_id: "image.too_large"}


def test_a_polygon_that_is_nowhere_on_the_image_is_set_aside() -> None:
    problems = Problems()
    (after,) = usable([record((SQUARE,), ((60.0, 60.0, 70.0, 60.0, 70.0, 70.0),))], problems, {})
    assert [artifact.artifact_id for artifact in after.artifacts] == ["a0"]
    assert problems.failed
