"""A record is narrowed to what a format says that it holds, and everything else is counted."""

from pathlib import Path

import msgspec
import pytest
from converting import changed, narrowed, round_trip, with_picture
from hypothesis import given
from hypothesis import strategies as st
from strategies import records

from synthscars.converters.formats import FORMATS
from synthscars.converters.holds import (
    ARTIFACT_FIELDS,
    EVERYTHING,
    IMAGE_FIELDS,
    Holds,
    everything_but,
    narrow,
    narrow_record,
)
from synthscars.converters.losses import Losses
from synthscars.problems import Problems
from synthscars.records import STATUSES, Artifact, Generation, ImageRecord, Review

BOX = (20.0, 10.0, 60.0, 10.0, 60.0, 50.0, 20.0, 50.0)
OTHER = (100.0, 100.0, 150.0, 100.0, 150.0, 150.0, 100.0, 150.0)
ARTIFACT = Artifact(
    artifact_id="r1",
    category="structure",
    subtype="deformed",
    polygons=(BOX, OTHER),
    phrase="the left hand",
    explanation="six fingers",
    rater_id="anna",
    votes=2,
    agreement=0.5,
    extra={"mine": {"a": 1}, "other": 2},
)
RECORD = ImageRecord(
    image_id="a" * 64,
    file_name="a.png",
    width=200,
    height=160,
    origin="real",
    content_type="human",
    status="annotated",
    caption="A caption.",
    artifacts=(ARTIFACT,),
    reviews=(Review(rater_id="anna", status="annotated"), Review(rater_id="bert", status="clean")),
    generation=Generation(tool="ComfyUI"),
    group_id="g1",
    split="train",
    source="here",
    license="cc0-1.0",
    extra={"mine": {"a": 1}, "other": 2},
)
BARE = Holds(image=frozenset(), artifact=frozenset())
WRITTEN = [name for name, each in FORMATS.items() if each.writes]


def narrow_one(record: ImageRecord, holds: Holds) -> tuple[ImageRecord | None, dict[str, int]]:
    problems = Problems()
    losses = Losses("target", problems)
    found = narrow_record(record, holds, losses)
    losses.report()
    counts: dict[str, int] = {}
    for one in problems:
        name = one.code.removeprefix("loss.")
        counts[name] = counts.get(name, 0) + one.count
    return found, counts


def test_a_format_that_holds_everything_changes_nothing() -> None:
    assert narrow_one(RECORD, EVERYTHING) == (RECORD, {})


def test_every_field_of_the_data_model_has_a_name_under_which_it_can_be_lost() -> None:
    assert set(ImageRecord.__struct_fields__) - {"width", "height", "artifacts"} == set(IMAGE_FIELDS) - {
        "size"
    }
    assert set(Artifact.__struct_fields__) - {"polygons"} == set(ARTIFACT_FIELDS) - {"outline"}


def test_what_a_format_does_not_hold_is_taken_out_and_counted_by_field() -> None:
    found, counts = narrow_one(RECORD, BARE)
    kept = changed(ARTIFACT, **dict.fromkeys(["category", "subtype", "votes", "agreement"]))
    kept = changed(kept, phrase="", explanation="", rater_id="", extra={})
    assert found == ImageRecord(
        image_id="a" * 64, file_name="a.png", width=200, height=160, status="annotated", artifacts=(kept,)
    )
    fields = [name for name in IMAGE_FIELDS if name not in ("image_id", "file_name", "size", "status")]
    expected = dict.fromkeys(fields, 1) | {"reviews": 2}
    # An artifact keeps an id, as it must have one; the reader will give it another.
    names = (
        "artifact_id",
        "category",
        "subtype",
        "phrase",
        "explanation",
        "rater_id",
        "votes",
        "agreement",
        "extra",
    )
    assert counts == expected | {f"artifact.{name}": 1 for name in names}


@given(
    records(),
    st.sets(st.sampled_from(sorted(IMAGE_FIELDS))),
    st.sets(st.sampled_from(sorted(ARTIFACT_FIELDS))),
)
def test_narrowing_twice_changes_and_loses_nothing_more(record, image, artifact) -> None:
    holds = Holds(image=frozenset(image), artifact=frozenset(artifact), statuses=frozenset(STATUSES))
    once, counts = narrow_one(record, holds)
    assert once is not None
    again, more = narrow_one(once, holds)
    assert (again, set(more) - {"artifact.artifact_id"}) == (once, set())
    # And whatever changed was counted.
    assert bool(set(counts) - {"artifact.artifact_id"}) == (once != record)


def test_a_field_that_is_empty_is_no_loss() -> None:
    empty = ImageRecord(image_id="a" * 64, file_name="a.png", width=2, height=2, status="clean")
    assert narrow_one(empty, BARE) == (empty, {})


@pytest.mark.parametrize("status", ["unlabelled", "skipped", "annotated"])
def test_an_image_that_would_come_back_in_another_state_is_left_out_with_a_warning(status) -> None:
    problems = Problems()
    losses = Losses("target", problems)
    record = changed(RECORD, status=status, artifacts=())
    assert list(narrow([record, changed(record, status="clean")], BARE, losses)) == [
        narrow_one(changed(record, status="clean"), BARE)[0]
    ]
    losses.report()
    (said,) = [one for one in problems if one.code == "loss.status"]
    assert (said.severity, said.count, said.image) == ("warning", 1, "a" * 64)
    assert status in said.what


@pytest.mark.parametrize("status", ["unlabelled", "skipped", "clean"])
def test_an_image_with_artifacts_becomes_annotated_where_its_state_cannot_be_held(status) -> None:
    found, counts = narrow_one(changed(RECORD, status=status), everything_but("status"))
    assert found == RECORD
    assert counts == {"status": 1}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_disputed_image_with_artifacts_comes_back_as_its_format_says(name: str, tmp_path: Path) -> None:
    artifact = changed(ARTIFACT, polygons=(BOX,), extra={})
    record = ImageRecord(
        image_id="", file_name="", width=200, height=160, status="skipped", artifacts=(artifact,)
    )
    record = with_picture(record, tmp_path / "pictures", "a.png")
    found, _ = round_trip([record], name, tmp_path, tmp_path / "pictures")
    if name != "release":  # which takes annotated and clean images only, and says so
        assert [one.status for one in found] == [
            one.status for one in narrowed([record], FORMATS[name].holds)
        ]


def test_an_artifact_without_an_outline_is_left_out_with_a_warning() -> None:
    record = changed(RECORD, artifacts=(ARTIFACT, changed(ARTIFACT, artifact_id="r2", polygons=())))
    found, counts = narrow_one(record, everything_but(regionless=False))
    assert found == RECORD
    assert counts == {"artifact.outline": 1}


def test_an_image_of_which_no_artifact_is_left_does_not_become_clean() -> None:
    record = changed(RECORD, artifacts=(changed(ARTIFACT, polygons=()),))
    found, counts = narrow_one(record, everything_but(regionless=False, statuses=frozenset({"clean"})))
    assert found is None
    assert counts == {"artifact.outline": 1, "status": 1}


def test_an_image_that_says_clean_and_has_artifacts_does_not_become_clean_without_them() -> None:
    record = changed(RECORD, status="clean", artifacts=(changed(ARTIFACT, polygons=()),))
    holds = Holds(image=frozenset(), artifact=frozenset({"outline"}))
    assert narrow_record(record, holds, Losses("", Problems())) is None


def test_a_ring_with_a_coordinate_too_many_is_left_out_as_an_error() -> None:
    problems = Problems()
    losses = Losses("out", problems)
    record = changed(RECORD, artifacts=(changed(ARTIFACT, polygons=(BOX, BOX[:-1])),))
    (found,) = narrow([record], EVERYTHING, losses)
    assert found.artifacts[0].polygons == (BOX,)
    losses.report()
    assert [(one.code, one.severity) for one in problems] == [("loss.artifact.outline", "error")]


def test_artifacts_of_several_rings_become_one_a_ring_where_they_must() -> None:
    found, counts = narrow_one(RECORD, everything_but(several_rings=False))
    assert found is not None
    assert [(one.artifact_id, one.polygons) for one in found.artifacts] == [
        ("r1", (BOX,)),
        ("r1~2", (OTHER,)),
    ]
    assert all(one.phrase == "the left hand" for one in found.artifacts)
    assert counts == {"artifact.rings": 1}


@pytest.mark.parametrize("outlines", ["pixels", "boxes", "none"])
def test_outlines_that_become_coarser_are_counted_and_handed_on(outlines) -> None:
    found, counts = narrow_one(RECORD, everything_but(outlines=outlines))
    assert found == RECORD
    assert counts == {"artifact.outline": 1}


def test_of_the_extra_the_formats_own_part_is_kept() -> None:
    found, counts = narrow_one(RECORD, everything_but("extra", "artifact.extra", namespace="mine"))
    assert found is not None
    assert found.extra == found.artifacts[0].extra == {"mine": {"a": 1}}
    assert counts == {"extra": 1, "artifact.extra": 1}


def test_a_format_without_a_part_of_its_own_keeps_nothing_of_the_extra() -> None:
    record = changed(RECORD, extra={"": {"a": 1}}, artifacts=())
    found, counts = narrow_one(record, everything_but("extra"))
    assert found is not None
    assert found.extra == {}
    assert counts == {"extra": 1}


def test_texts_are_changed_wherever_they_stand_and_each_is_counted() -> None:
    record = changed(
        RECORD,
        caption="a\0",
        artifacts=(changed(ARTIFACT, phrase="\0", extra={"\0": ["x\0", 1, None]}),),
        generation=Generation(loras=("l\0",), raw={"k": "\0"}),
    )
    found, counts = narrow_one(record, everything_but(text=lambda text: text.replace("\0", "?")))
    assert found is not None
    assert (found.caption, found.artifacts[0].phrase) == ("a?", "?")
    assert found.artifacts[0].extra == {"?": ["x?", 1, None]}
    assert found.generation == Generation(loras=("l?",), raw={"k": "?"})
    assert counts == {"text": 6}
    assert "\\u0000" not in msgspec.json.encode(found).decode()


def test_a_declaration_of_fields_that_do_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        Holds(image=frozenset({"colour"}), artifact=frozenset())
    with pytest.raises(ValueError, match=r"artifact\.colour"):
        everything_but("artifact.colour")
