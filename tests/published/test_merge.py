from collections import Counter

import pytest

from synthscars.consensus import adjudicate
from synthscars.problems import Problems, UsageError
from synthscars.published.merge import SKIP_REASON, merge
from synthscars.published.pictures import Alike, linked
from synthscars.records import Artifact, ImageRecord

BOX = (10.0, 10.0, 40.0, 10.0, 40.0, 40.0, 10.0, 40.0)


def annotation(id: str, image: str, split: str = "train", ring: tuple[float, ...] = BOX) -> ImageRecord:
    return ImageRecord(
        image_id=image * 64,
        file_name=f"{image}.png",
        width=100,
        height=80,
        status="annotated",
        artifacts=(Artifact(artifact_id=f"{id}-0", polygons=(ring,), phrase="the hand", explanation="Six."),),
        split=split,
        extra={"synthscars_json": {"id": id}},
    )


def alike(first: str, second: str, *, same: bool = True) -> Alike:
    return Alike(first * 64, second * 64, same, 1.5)


def released(records: list[ImageRecord]) -> dict[str, str]:
    """What consensus makes of each image: its status, or why it is left out."""
    return {
        record.file_name[0]: str(record.extra.get("skip_reason"))
        if record.status == "skipped"
        else record.status
        for record in adjudicate(records, Problems())
    }


def codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


def test_a_single_annotation_stays_as_it_is_without_a_rater() -> None:
    records = [annotation("0", "a"), annotation("1", "b")]
    problems = Problems()
    assert merge(records, [], problems) == records
    assert not list(problems)


def test_twins_keep_their_records_in_one_group() -> None:
    records = [annotation("0", "a"), annotation("1", "b"), annotation("2", "c"), annotation("3", "d")]
    problems = Problems()
    merged = merge(records, [alike("a", "b"), alike("b", "c")], problems)
    assert [record.group_id for record in merged] == ["a" * 64] * 3 + [""]
    assert codes(problems) == {"picture.twin": 2}
    assert set(released(merged).values()) == {"annotated"}


def test_pictures_of_one_split_that_only_look_alike_are_no_twins() -> None:
    problems = Problems()
    merged = merge([annotation("0", "a"), annotation("1", "b")], [alike("a", "b", same=False)], problems)
    assert [record.group_id for record in merged] == ["", ""]
    assert not list(problems)


@pytest.mark.parametrize("same", [True, False])
def test_a_train_picture_that_looks_like_one_of_test_is_left_out_with_its_twins(same: bool) -> None:
    records = [annotation("0", "a"), annotation("1", "b"), annotation("0", "t", "test"), annotation("3", "d")]
    problems = Problems()
    merged = merge(records, [alike("a", "b"), alike("b", "t", same=same)], problems)
    assert codes(problems) == {"picture.twin": 1, "picture.train_test": 1}
    assert released(merged) == {"a": SKIP_REASON, "b": SKIP_REASON, "t": "annotated", "d": "annotated"}
    # Nothing of them is lost, and they say what they were.
    assert [record.artifacts for record in merged] == [record.artifacts for record in records]
    assert [record.split for record in merged] == ["train", "train", "test", "train"]
    assert len({record.group_id for record in merged[:3]}) == 1


def test_annotations_of_a_left_out_picture_do_not_bring_it_back() -> None:
    records = [annotation("0", "a"), annotation("1", "a"), annotation("0", "t", "test")]
    merged = merge(records, [alike("a", "t")], Problems(), final=["train/1"])
    assert released(merged) == {"a": SKIP_REASON, "t": "annotated"}
    assert merged[0].raters == ("annotation-0", "annotation-1", "import")


def test_one_file_in_both_splits_goes_to_test_where_the_test_annotation_counts() -> None:
    elsewhere = (60.0, 10.0, 90.0, 10.0, 90.0, 40.0)
    problems = Problems()
    (record,) = merge([annotation("7", "a"), annotation("8", "a", "test", elsewhere)], [], problems)
    assert codes(problems) == {"picture.train_test": 1}
    assert record.split == "test"
    (agreed,) = adjudicate([record], Problems())
    assert [artifact.polygons for artifact in agreed.artifacts] == [(elsewhere,)]
    assert len(record.artifacts) == 2


def test_what_several_annotations_come_to_is_said_beforehand() -> None:
    elsewhere = (60.0, 10.0, 90.0, 10.0, 90.0, 40.0)
    agreeing = [annotation("0", "a"), annotation("1", "a")]
    disjoint = [annotation("2", "b"), annotation("3", "b", ring=elsewhere)]
    problems = Problems()
    merge(agreeing + disjoint, [], problems)
    first, second = problems
    assert "train/0, train/1: 2 annotations of a.png" in first.what
    assert "2 of 2 outlines agree, and a release keeps 1 artifact" in first.what
    assert "disputed" in second.what
    assert second.fix == "to let one count alone: --final train/2"


def test_a_final_annotation_counts_alone() -> None:
    elsewhere = (60.0, 10.0, 90.0, 10.0, 90.0, 40.0)
    problems = Problems()
    (record,) = merge([annotation("2", "b"), annotation("3", "b", ring=elsewhere)], [], problems, final=["3"])
    (problem,) = problems
    assert "counts alone" in problem.what
    (agreed,) = adjudicate([record], Problems())
    assert [artifact.polygons for artifact in agreed.artifacts] == [(elsewhere,)]


@pytest.mark.parametrize("final", ["9", "test/0", "../0", ""])
def test_a_final_annotation_that_is_none_is_refused(final: str) -> None:
    with pytest.raises(UsageError, match="there is no annotation"):
        merge([annotation("0", "a")], [], Problems(), final=[final])


def test_a_final_annotation_of_two_splits_must_be_told_apart() -> None:
    records = [annotation("0", "a"), annotation("0", "b", "test")]
    with pytest.raises(UsageError, match="two splits") as caught:
        merge(records, [], Problems(), final=["0"])
    assert "train/0 and test/0" in caught.value.fix
    merge(records, [], Problems(), final=["test/0"])


def test_several_annotations_of_an_image_of_unknown_size_are_kept() -> None:
    unknown = [
        ImageRecord(
            **{**{name: getattr(each, name) for name in each.__struct_fields__}, "width": 0, "height": 0}
        )
        for each in (annotation("0", "a"), annotation("1", "a"))
    ]
    problems = Problems()
    (record,) = merge(unknown, [], problems)
    assert len(record.reviews) == 2
    assert "its size is not known" in next(iter(problems)).what


def test_links_are_transitive_and_named_after_the_smallest() -> None:
    assert linked([("d", "c"), ("b", "c"), ("x", "y")]) == {"b": "b", "c": "b", "d": "b", "x": "x", "y": "x"}
