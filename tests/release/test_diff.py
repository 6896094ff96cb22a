"""What changed between two releases: planted changes come out exactly, and nothing else."""

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from releasing import add_records, changed, noise_png, sample_record, write_folder
from strategies import records as any_record
from strategies import texts

from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, ImageRecord
from synthscars.release import build_release
from synthscars.release.diff import compare_rows, diff_releases
from synthscars.release.diff_match import MAX_WORDS, match, word_diff
from synthscars.release.diff_model import (
    ArtifactChange,
    ArtifactNote,
    ClassesChange,
    ColumnChange,
    FieldChange,
    ImageChange,
    Move,
    Place,
    ReleaseDiff,
)
from synthscars.release.diff_text import to_markdown, verdict
from synthscars.release.diff_version import judge, lowest_version
from synthscars.release.features import to_row
from synthscars.workspace import Workspace

PICTURES = {sample_record(seed, data).image_id: data for seed in range(10) if (data := noise_png(seed))}
LEFT = (2.0, 2.0, 12.0, 2.0, 12.0, 12.0, 2.0, 12.0)
SHIFTED = (7.0, 2.0, 17.0, 2.0, 17.0, 12.0, 7.0, 12.0)
RIGHT = (30.0, 10.0, 44.0, 10.0, 44.0, 28.0, 30.0, 28.0)


def region(name: str, ring: tuple[float, ...], **fields: object) -> Artifact:
    artifact = Artifact(
        artifact_id=name,
        category="structure",
        subtype="deformed",
        polygons=(ring,),
        phrase=f"the {name} hand",
        explanation=f"The {name} hand has six fingers.",
        rater_id="r1",
    )
    return msgspec.structs.replace(artifact, **fields)


def record(seed: int, *artifacts: Artifact, split: str = "train", **fields: object) -> ImageRecord:
    sample = sample_record(seed, noise_png(seed))
    status = "annotated" if artifacts else "clean"
    return changed(sample, artifacts=artifacts, status=status, reviews=(), split=split, **fields)


def release(folder: Path, version: str, *records: ImageRecord) -> Path:
    write_folder(folder, version, records, PICTURES)
    return folder


def diff(before: Path, after: Path, *, codes: tuple[str, ...] = ()) -> ReleaseDiff:
    problems = Problems()
    found = diff_releases(before, after, problems)
    assert tuple(problem.code for problem in problems) == codes
    return found


def note(artifact: Artifact) -> ArtifactNote:
    return ArtifactNote(
        artifact.artifact_id, artifact.rater_id, artifact.category, artifact.subtype, artifact.phrase
    )


def pixel_iou(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """From Pillow's masks of whole pixels: an independent rasterizer, whose box has its last pixels too."""
    masks = []
    for ring in (first, second):
        mask = Image.new("1", (48, 32))
        x0, y0, x1, y1 = min(ring[::2]), min(ring[1::2]), max(ring[::2]), max(ring[1::2])
        ImageDraw.Draw(mask).rectangle((x0, y0, x1 - 1, y1 - 1), fill=1)
        masks.append(np.asarray(mask))
    return float((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


def test_planted_changes_come_out_and_nothing_else(tmp_path: Path) -> None:
    kept, redrawn = region("left", LEFT), region("right", RIGHT)
    before = [
        record(0, kept),
        record(1, kept, redrawn),
        record(2),
        record(3, split="test"),
        record(4, kept, caption="Six fingers on one hand."),
    ]
    words = "The left hand has seven fingers."
    corrected = region("left", SHIFTED, category="physics", subtype=None, explanation=words)
    after = [
        record(0, kept),
        record(1, corrected, region("new", RIGHT, phrase="the ear", explanation="It is green.")),
        record(3),
        record(4, kept, caption="Seven fingers on one hand."),
        record(5, split="test"),
    ]
    a, b = release(tmp_path / "a", "1.0.0", *before), release(tmp_path / "b", "1.1.0", *after)
    found = diff(a, b)
    assert (found.before.images, found.before.artifacts) == (5, 4)
    assert (found.after.images, found.after.artifacts) == (5, 4)
    assert found.added == (Place(after[4].image_id, "image 5.png", "test"),)
    assert found.removed == (Place(before[2].image_id, "image 2.png", "train"),)
    assert found.moved == (Move(before[3].image_id, "image 3.png", "test", "train"),)
    assert (found.columns, found.classes) == ((), ())
    (ours,) = [each for each in found.changed if each.image_id == before[1].image_id]
    (caption,) = [each for each in found.changed if each.image_id == before[4].image_id]
    assert len(found.changed) == 2
    assert caption == ImageChange(
        before[4].image_id,
        "image 4.png",
        (
            FieldChange(
                "caption",
                "Six fingers on one hand.",
                "Seven fingers on one hand.",
                (("-", "Six"), ("+", "Seven"), ("=", " fingers on one hand.")),
            ),
        ),
        (),
        (),
        (),
    )
    iou = pixel_iou(LEFT, SHIFTED)
    assert iou == pytest.approx(1 / 3)
    left, right = ours.artifacts_changed
    assert left == ArtifactChange(
        note(kept),
        note(corrected),
        True,
        round(iou, 6),
        (
            FieldChange("category", "structure", "physics"),
            FieldChange("subtype", "deformed", None),
            FieldChange(
                "explanation",
                kept.explanation,
                words,
                (("=", "The left hand has "), ("-", "six"), ("+", "seven"), ("=", " fingers.")),
            ),
        ),
    )
    # Another id and other texts, but the same outline: the same artifact.
    assert (right.before.artifact_id, right.after.artifact_id) == ("right", "new")
    assert (right.redrawn, right.iou) == (False, 1.0)
    assert [each.field for each in right.fields] == ["artifact_id", "phrase", "explanation"]
    counts = {(each.of, each.value): (each.before, each.after) for each in found.counts}
    assert counts["images by split", "train"] == (4, 4)
    assert counts["images by split", "test"] == (1, 1)
    assert counts["artifacts by category", "structure"] == (4, 3)
    assert counts["artifacts by category", "physics"] == (0, 1)
    assert counts["images by status", "clean"] == (2, 2)


def test_equal_releases_differ_in_nothing_and_need_no_new_version(tmp_path: Path) -> None:
    records = [record(0, region("left", LEFT)), record(1)]
    a, b = (release(tmp_path / name, "1.0.0", *records) for name in "ab")
    found = diff(a, b)
    assert found.empty
    assert (found.bump.needed, found.bump.honoured) == ("none", True)
    assert all(each.before == each.after for each in found.counts)


def test_regions_that_were_numbered_anew_are_told_apart_by_where_they_are() -> None:
    first = region("region-0", LEFT, phrase="the left hand", explanation="one")
    second = region("region-1", RIGHT, phrase="the right hand", explanation="two")
    left = record(0, first, second)
    right = record(0, msgspec.structs.replace(second, artifact_id="region-0"))
    found = compare_rows("i", to_row(left, b""), to_row(right, b""))
    assert [each.phrase for each in found.artifacts_removed] == [first.phrase]
    assert found.artifacts_added == ()
    assert [each.field for each in found.artifacts_changed[0].fields] == ["artifact_id"]


def test_a_region_with_the_same_id_and_phrase_is_the_same_wherever_it_is_now() -> None:
    old, new = record(0, region("left", LEFT)), record(0, region("left", RIGHT))
    (change,) = compare_rows("i", to_row(old, b""), to_row(new, b"")).artifacts_changed
    assert (change.redrawn, change.iou) == (True, 0.0)


def test_regions_of_two_raters_with_one_id_are_not_exchanged() -> None:
    one, two = region("a", LEFT), region("a", LEFT, rater_id="r2")
    rows = [to_row(record(0, *regions), b"")["artifacts"] for regions in ((one, two), (two, one))]
    assert match(rows[0], rows[1], 48, 32) == [(0, 1, 1.0), (1, 0, 1.0)]


def test_another_order_of_the_same_artifacts_is_told() -> None:
    one, two = region("a", LEFT), region("b", RIGHT)
    found = compare_rows("i", to_row(record(0, one, two), b""), to_row(record(0, two, one), b""))
    assert found.fields == (FieldChange("order of artifacts", ["a", "b"], ["b", "a"]),)


def test_fields_of_the_generation_are_named_one_by_one(tmp_path: Path) -> None:
    old = record(1)
    assert old.generation is not None
    new = changed(old, generation=msgspec.structs.replace(old.generation, steps=30), license="CC-BY-4.0")
    found = diff(release(tmp_path / "a", "1.0.0", old), release(tmp_path / "b", "1.0.1", new))
    assert found.changed[0].fields == (
        FieldChange("license", "CC0-1.0", "CC-BY-4.0"),
        FieldChange("generation.steps", 20, 30),
    )


# Schema and taxonomy


def rewrite(folder: Path, change) -> None:
    (path,) = (folder / "data").glob("*.parquet")
    pq.write_table(change(pq.read_table(path)), path)


def test_a_column_that_is_gone_asks_for_major_and_a_new_one_for_minor(tmp_path: Path) -> None:
    a, b = (release(tmp_path / name, "1.0.0", record(0), record(1)) for name in "ab")
    rewrite(b, lambda table: table.drop_columns(["license"]))
    gone = diff(a, b, codes=("version.too_low", "schema.not_deprecated"))
    assert gone.columns == (ColumnChange("license", "string", ""),)
    assert gone.changed == ()
    assert (gone.bump.needed, gone.bump.lowest) == ("major", "2.0.0")
    new = diff(b, a, codes=("version.too_low",))
    assert new.columns == (ColumnChange("license", "", "string"),)
    assert (new.bump.needed, new.bump.lowest) == ("minor", "1.1.0")


def test_other_classes_ask_for_major_and_are_read_by_their_own_names(tmp_path: Path) -> None:
    a, b = (release(tmp_path / name, "1.0.0", record(0, region("left", LEFT))) for name in "ab")

    def renamed(table):
        metadata = json.loads(table.schema.metadata[b"huggingface"])
        names = metadata["info"]["features"]["artifacts"]["feature"]["category"]["names"]
        names[names.index("structure")] = "shape"
        return table.replace_schema_metadata({"huggingface": json.dumps(metadata)})

    rewrite(b, renamed)
    found = diff(a, b, codes=("version.too_low", "schema.not_deprecated"))
    (classes,) = found.classes
    assert isinstance(classes, ClassesChange)
    assert classes.column == "artifacts.category"
    assert {*classes.before} ^ {*classes.after} == {"structure", "shape"}
    assert found.changed[0].artifacts_changed[0].fields == (FieldChange("category", "structure", "shape"),)
    assert found.bump.needed == "major"


def test_pandas_may_have_written_one_of_them_which_changes_types_but_no_value(tmp_path: Path) -> None:
    records = [record(0, region("left", LEFT)), record(3, content_type=None)]
    a, b = (release(tmp_path / name, "1.0.0", *records) for name in "ab")
    (path,) = (b / "data").glob("*.parquet")
    pq.read_table(path).to_pandas().to_parquet(path)
    found = diff(a, b, codes=("version.too_low",))
    assert ColumnChange("content_type", "int64", "double") in found.columns
    # All of it has another type, so the columns in it are not named as well.
    assert [each.column for each in found.columns if each.column.startswith("reviews")] == ["reviews"]
    assert found.changed == ()


# Versions


@pytest.mark.parametrize(
    ("version", "part", "expected"),
    [
        ("1.2.3", "none", "1.2.3"),
        ("1.2.3", "patch", "1.2.4"),
        ("1.2.3", "minor", "1.3.0"),
        ("1.2.3", "major", "2.0.0"),
        ("0.2.3", "major", "0.3.0"),
        ("0.2.3", "minor", "0.3.0"),
    ],
)
def test_the_lowest_version_raises_the_part_that_is_asked_for(version, part, expected) -> None:
    assert lowest_version(version, part) == expected


def test_removed_and_moved_images_ask_for_minor_corrections_for_patch(tmp_path: Path) -> None:
    base = [record(0), record(1), record(2)]
    a = release(tmp_path / "a", "1.0.0", *base)
    fewer = release(tmp_path / "b", "1.0.1", *base[:2])
    moved = release(tmp_path / "c", "1.0.1", *base[:2], record(2, split="test"))
    corrected = release(tmp_path / "d", "1.0.1", *base[:2], record(2, source="elsewhere"))
    assert diff(a, fewer, codes=("version.too_low",)).bump.needed == "minor"
    assert diff(a, moved, codes=("version.too_low",)).bump.needed == "minor"
    assert diff(a, corrected).bump.needed == "patch"


def test_no_version_is_judged_where_one_is_not_known(tmp_path: Path) -> None:
    a, b = release(tmp_path / "a", "1.0.0", record(0)), release(tmp_path / "b", "1.0.0", record(1))
    (b / "manifest.json").unlink()
    found = diff(a, b)
    assert (found.bump.needed, found.bump.honoured, found.after.name) == ("minor", None, "b")


def test_the_strongest_reason_decides() -> None:
    bump = judge("1.0.0", "1.1.0", {"minor": ["new"], "major": ["gone"], "patch": ["text"]})
    assert (bump.needed, bump.reasons, bump.honoured) == ("major", ("gone",), False)


# Damaged input


def test_a_file_or_row_that_cannot_be_read_is_reported_and_the_rest_compared(tmp_path: Path) -> None:
    a, b = (release(tmp_path / name, "1.0.0", record(0), record(3, split="test")) for name in "ab")
    path = b / "data" / "test-00000.parquet"
    path.write_bytes(path.read_bytes()[:100])
    found = diff(a, b, codes=("file.unreadable", "version.too_low"))
    assert [place.split for place in found.removed] == ["test"]
    assert found.unread == 1
    assert verdict(found).startswith(
        "1 file could not be read, so nobody knows what else changed. The changes"
    )
    other = a / "data" / "test-00000.parquet"
    other.write_bytes(path.read_bytes())  # as it is if both are one file
    found = diff(a, b, codes=("file.unreadable", "file.unreadable"))
    assert verdict(found) == "2 files could not be read, so nobody knows what else changed."
    assert verdict(found) in to_markdown(found)
    path = b / "data" / "train-00000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take([0, 0]), path)
    problems = Problems()
    diff_releases(a, b, problems)
    (twice,) = [problem for problem in problems if problem.code == "row.duplicate"]
    assert (twice.region, twice.image) == ("row 1", record(0).image_id)
    path.unlink()
    with pytest.raises(FormatError, match="cannot be read"):
        diff_releases(a, b, Problems())


# Whatever the releases hold


def mirror_words(words):
    swapped = [({"-": "+", "+": "-"}.get(kind, "="), text) for kind, text in words]
    return tuple(
        sorted(group, key=lambda piece: piece[0] == "+") if len(group) == 2 else group
        for group in _runs(swapped)
    )


def _runs(words) -> Iterator[list]:
    run: list = []
    for piece in words:
        if run and (piece[0] == "=") != (run[-1][0] == "="):
            yield run
            run = []
        run.append(piece)
    yield run


def mirrored_field(change: FieldChange) -> FieldChange:
    words = tuple(piece for run in mirror_words(change.words) for piece in run)
    return FieldChange(change.field, change.after, change.before, words)


def mirrored(change: ImageChange) -> ImageChange:
    names = [field.before for field in change.fields if field.field == "file_name"]
    return ImageChange(
        change.image_id,
        names[0] if names else change.file_name,
        tuple(map(mirrored_field, change.fields)),
        change.artifacts_removed,
        change.artifacts_added,
        tuple(
            ArtifactChange(
                each.after, each.before, each.redrawn, each.iou, tuple(map(mirrored_field, each.fields))
            )
            for each in change.artifacts_changed
        ),
    )


@st.composite
def two_rows(draw: st.DrawFn):
    """Two records of one image that have some artifacts in common."""
    one, two = draw(any_record()), draw(any_record())
    kept = draw(st.lists(st.sampled_from(one.artifacts), max_size=2)) if one.artifacts else []
    two = changed(two, width=one.width, height=one.height, artifacts=(*kept, *two.artifacts))
    return to_row(one, b""), to_row(two, b"")


@given(two_rows())
def test_a_row_differs_from_itself_in_nothing_and_mirrored_from_another(rows) -> None:
    one, two = rows
    for row in rows:
        assert compare_rows("i", row, row) == ImageChange("i", row["file_name"], (), (), (), ())
    there, back = compare_rows("i", one, two), compare_rows("i", two, one)
    expected = mirrored(there)
    assert sorted(map(repr, back.artifacts_changed)) == sorted(map(repr, expected.artifacts_changed))
    assert {repr(each) for each in back.fields} == {repr(each) for each in expected.fields}
    assert back.artifacts_added == expected.artifacts_added
    assert back.artifacts_removed == expected.artifacts_removed


@given(texts(), texts())
def test_the_words_joined_are_both_texts(old: str, new: str) -> None:
    words = word_diff(old, new)
    assert "".join(text for kind, text in words if kind != "+") == old
    assert "".join(text for kind, text in words if kind != "-") == new
    assert [piece for run in mirror_words(words) for piece in run] == list(word_diff(new, old))


def test_the_words_are_those_that_difflib_finds() -> None:
    old, new = "one two three four five", "one 2 three five six"
    expected = [piece for piece in difflib.ndiff(old.split(), new.split()) if piece[0] in "-+"]
    found = [f"{kind} {word}" for kind, text in word_diff(old, new) if kind != "=" for word in text.split()]
    assert sorted(found) == sorted(expected)


def test_a_text_without_end_is_compared_in_one_piece_and_at_once() -> None:
    old, new = (" ".join(f"{word}{n % 7}" for n in range(200_000)) for word in "ab")
    assert [kind for kind, _ in word_diff(f"same {old} end", f"same {new} end")] == ["=", "-", "+", "="]
    few = " ".join(str(n) for n in range(MAX_WORDS // 4))
    assert re.sub(r"\s+", " ", "".join(text for _, text in word_diff(few, few))) == few


def test_releases_mirror_each_other_and_equal_themselves(tmp_path: Path) -> None:
    one = Workspace.create(tmp_path / "one", "n")
    add_records(one, range(8))
    build_release(one, "1.0.0", Problems())
    two = Workspace.create(tmp_path / "two", "n")
    add_records(two, range(3, 10))
    build_release(two, "1.1.0", Problems())
    a, b = one.release_dir("1.0.0"), two.release_dir("1.1.0")
    assert diff(a, a).empty
    assert diff(b, b).empty
    there, back = diff(a, b), diff(b, a, codes=("version.too_low",))
    assert not there.empty
    assert (there.added, there.removed) == (back.removed, back.added)
    assert [(x.after, x.before) for x in there.moved] == [(x.before, x.after) for x in back.moved]
    assert tuple(map(mirrored, there.changed)) == back.changed
    assert [(x.of, x.value, x.after, x.before) for x in there.counts] == [
        (x.of, x.value, x.before, x.after) for x in back.counts
    ]


def test_a_text_that_was_written_anew_does_not_alternate_word_by_word() -> None:
    assert word_diff("The left hand has six fingers today", "A right foot shows seven toes today") == (
        ("-", "The left hand has six fingers"),
        ("+", "A right foot shows seven toes"),
        ("=", " today"),
    )
