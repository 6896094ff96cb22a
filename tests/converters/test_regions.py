"""Tables with one region a line, as spreadsheets and data frames have them."""

import csv
import io
import json
from pathlib import Path

import msgspec
import pytest
from converting import changed
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import records, texts

from synthscars.converters import regions
from synthscars.converters.regions_table import COLUMNS, guard, unguard
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, Generation, ImageRecord, Review

DATA = Path(__file__).parents[1] / "data" / "regions"

HAND = Artifact(
    artifact_id="r1",
    category="structure",
    subtype="deformed",
    polygons=((20.0, 10.0, 60.25, 10.0, 60.25, 50.5, 20.0, 50.5),),
    phrase="the left hand",
    explanation='It has six fingers,\nand one is "bent".',
    rater_id="rater-1",
    votes=2,
    agreement=0.8125,
)
PRICE = Artifact(
    artifact_id="r2",
    polygons=((70.0, 70.0, 90.0, 70.0, 80.0, 95.5), (100.0, 70.0, 110.0, 70.0, 105.0, 80.0)),
    phrase="=1+1",
    explanation="'-2' is no price",
    rater_id="rater-2",
    extra={"label": "glitch"},
)
RECORDS = [
    ImageRecord(
        image_id="a" * 64,
        file_name="hand.png",
        width=200,
        height=160,
        content_type="human",
        status="annotated",
        caption="Upon examining the image.",
        artifacts=(HAND, PRICE),
        reviews=(
            Review(
                rater_id="rater-1", status="annotated", content_type="human", scene="A hand", seconds=12.5
            ),
        ),
        generation=Generation(tool="AUTOMATIC1111", prompt="a hand", seed=2**62, cfg_scale=7.0),
        group_id="g1",
        split="train",
        source="batch-1/hand.png",
        license="cc-by-4.0",
        extra={"camera": {"x": [1, None]}},
    ),
    ImageRecord(
        image_id="b" * 64,
        file_name="sky é.png",
        width=64,
        height=48,
        origin="real",
        content_type="scene",
        status="clean",
        split="test",
    ),
    ImageRecord(image_id="c" * 64, file_name="new.png", width=32, height=32),
]

OTHERS = {one.image_id for one in RECORDS[1:]}


def read(path: Path) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(regions.read(path, problems)), problems


def write(found: list[ImageRecord], path: Path) -> Problems:
    problems = Problems()
    assert regions.write(found, path, problems) == len(found)
    return problems


def table(folder: Path, *rows: str, head: str = "file_name,width,height,polygons,phrase") -> Path:
    path = folder / "t.csv"
    path.write_text("\n".join([head, *rows, ""]), encoding="utf-8", newline="")
    return path


def codes(problems: Problems) -> list[tuple[str, str, str]]:
    return [(one.code, one.image, one.region) for one in problems]


TRIANGLE = '"[[10,10,50,10,30,40]]"'
RING = (10.0, 10.0, 50.0, 10.0, 30.0, 40.0)


# The golden files


@pytest.mark.parametrize("name", ["regions.csv", "scars.regions.jsonl"])
def test_the_golden_tables_are_read_as_the_records_they_were_made_of(name: str) -> None:
    found, problems = read(DATA / name)
    assert found == RECORDS
    assert codes(problems) == [("label.unknown", "hand.png", "row 3" if name.endswith("csv") else "row 2")]


@pytest.mark.parametrize("name", ["regions.csv", "scars.regions.jsonl"])
def test_the_golden_tables_are_written_again_byte_by_byte(name: str, tmp_path: Path) -> None:
    assert not len(write(RECORDS, tmp_path / name))
    assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()


def test_a_table_that_a_german_excel_saved_after_sorting_and_editing_is_read() -> None:
    found, problems = read(DATA / "excel_german.csv")
    door, hand = found
    assert (door.image_id, door.file_name, door.status, door.origin) == ("b" * 64, "tür.png", "clean", "real")
    assert door.extra == {"regions": {"kommentar": "sauber"}}
    shadow, fingers, sky = hand.artifacts
    assert shadow == Artifact(
        artifact_id="r2",
        category="physics",
        polygons=((70.5, 70.0, 90.0, 70.0, 80.0, 95.5),),
        phrase="the shadow",
        explanation='falls "up"',
        rater_id="anna",
        votes=3,
        agreement=0.75,
    )
    assert (fingers.subtype, fingers.explanation) == ("deformed", "=six fingers")
    assert fingers.extra == {"regions": {"kommentar": "für später"}}
    # A row added by hand: only the name of the file, only a box, only the name of the subtype.
    assert sky == Artifact(
        artifact_id="row-5",
        category="distortion",
        subtype="noise_blurring",
        polygons=((1.5, 2.0, 11.5, 2.0, 11.5, 22.0, 1.5, 22.0),),
        phrase="the sky",
        explanation="blurred",
        rater_id="bert",
    )
    assert hand.extra["regions"]["rejected"] == [
        {
            "artifact_id": "r9",
            "rater_id": "bert",
            "category": "structure",
            "phrase": "the foot",
            "explanation": "two toes",
        }
    ]
    assert codes(problems) == [
        ("file.encoding", "", ""),
        ("region.box", "hand.png", "row 5"),
        ("region.no_outline", "hand.png", "row 6"),
        ("row.no_image", "", "row 7"),
    ]
    assert all(one.file and one.fix for one in problems if one.severity != "info")


# Formulas


@settings(max_examples=500)
@given(st.one_of(texts(), st.text("'=+-@\t\r\n＝a", max_size=5)))
def test_every_text_comes_out_of_its_cell_as_it_went_in_and_is_no_formula(text: str) -> None:
    assert unguard(guard(text)) == text
    # https://owasp.org/www-community/attacks/CSV_Injection
    assert not guard(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))


@pytest.mark.parametrize("text", ["'tis a hand", "''", "a = b", "", "[1]"])
def test_a_text_that_is_no_formula_is_written_as_it_is(text: str) -> None:
    assert guard(text) == text


def test_numbers_are_not_touched(tmp_path: Path) -> None:
    ring = (-1.5, 0.0, 20.0, 0.0, 20.0, 20.0)
    record = changed(RECORDS[0], artifacts=(changed(HAND, polygons=(ring,)),))
    write([record], tmp_path / "t.csv")
    (row,) = csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text("utf-8-sig")))
    assert row["bbox_x"] == "-1.5"


# Exactness


@settings(max_examples=30)
@given(
    found=st.lists(records(), max_size=4, unique_by=lambda one: one.image_id),
    suffix=st.sampled_from(["csv", "jsonl"]),
)
def test_any_records_come_back_equal_and_in_order(found, suffix: str, tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("t") / f"t.{suffix}"
    write(found, path)
    assert read(path)[0] == found


def test_rows_of_one_image_come_back_together_however_the_table_was_sorted(tmp_path: Path) -> None:
    write(RECORDS, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    # By explanation, and the columns the other way round.
    rows.sort(key=lambda row: row[head.index("explanation")])
    with (tmp_path / "s.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(row[::-1] for row in [head, *rows])
    found, _ = read(tmp_path / "s.csv")
    by_id = {one.image_id: one for one in found}
    swapped = changed(RECORDS[0], artifacts=(PRICE, HAND))
    assert by_id == {one.image_id: one for one in [swapped, *RECORDS[1:]]}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_other_separators_and_encodings_are_recognised(separator: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["file_name", "width", "height", "polygons", "phrase"])
        writer.writerow(["é.png", 64, 48, "[[10,10,50,10,30,40]]", "the, left; hand"])
    found, problems = read(path)
    assert found[0].file_name == "é.png"
    assert found[0].artifacts[0].phrase == "the, left; hand"
    assert not len(problems)


def test_the_hint_that_excel_understands_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("sep=;\r\nfile_name;status\r\na.png;clean\r\n")
    assert [one.status for one in read(path)[0]] == ["clean"]


def test_cells_that_are_too_long_for_excel_are_said_and_come_back_whole(tmp_path: Path) -> None:
    record = changed(RECORDS[0], artifacts=(changed(HAND, explanation="x" * 200_000),))
    (said,) = write([record], tmp_path / "t.csv")
    assert (said.code, said.severity, said.count) == ("cell.too_long", "info", 1)
    assert read(tmp_path / "t.csv")[0] == [record]


def test_the_csv_limit_of_other_readers_is_left_alone(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    write(RECORDS, tmp_path / "t.csv")
    read(tmp_path / "t.csv")
    assert csv.field_size_limit() == limit


@settings(max_examples=20)
@given(found=st.lists(records(), min_size=1, max_size=3, unique_by=lambda one: one.image_id))
def test_pandas_reads_the_same_texts_and_polygons(found, tmp_path_factory) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path_factory.mktemp("t") / "t.csv"
    write(found, path)
    frame = pandas.read_csv(path, keep_default_na=False, dtype=str, engine="python")
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == sum(max(len(one.artifacts), 1) for one in found)
    regions_found = [(one, artifact) for one in found for artifact in one.artifacts]
    frame = frame[frame["polygons"] != ""]
    for (_, row), (record, artifact) in zip(frame.iterrows(), regions_found, strict=True):
        assert unguard(row["phrase"]) == artifact.phrase
        assert unguard(row["caption"]) == record.caption
        assert tuple(map(tuple, json.loads(row["polygons"]))) == artifact.polygons


def test_pandas_saves_a_table_that_reads_as_the_same_records(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    # With its defaults: empty cells become NaN, whole numbers in such columns floats.
    pandas.read_csv(DATA / "regions.csv").to_csv(tmp_path / "t.csv", index=False)
    assert read(tmp_path / "t.csv")[0] == RECORDS


def test_two_records_of_one_image_are_reported_because_they_come_back_as_one(tmp_path: Path) -> None:
    (said,) = write([RECORDS[0], changed(RECORDS[0], artifacts=(PRICE,))], tmp_path / "t.csv")
    assert (said.code, said.image) == ("image.repeated", "hand.png")
    (found,), _ = read(tmp_path / "t.csv")
    assert len(found.artifacts) == 3


# What is wrong


def test_a_bad_polygon_is_reported_with_its_row_and_the_rest_is_converted(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        f"a.png,64,48,{TRIANGLE},good",
        'a.png,64,48,"[[10,10,50,10]]",two points',
        'a.png,64,48,"[[10,10,20,20,30,30]]",a line',
        'a.png,64,48,"[[10,10,50,10,30]]",odd',
        'a.png,64,48,"[[10,10,NaN,10,30,40]]",not a number',
        'a.png,64,48,"[[10,10,""x"",10,30,40]]",a word',
        'a.png,64,48,"[[10,10,50,10,30,",cut off by Excel',
        "a.png,64,48,12,a number",
        "a.png,64,48,,nothing",
        'a.png,64,48,"[[-5,10,50,10,30,40]]",outside',
        'a.png,64,48,"[[0,0,40,40,40,0,0,30]]",crosses itself',
        'a.png,64,48,"[10,10,50,10,30,40]",one flat list',
        'a.png,64,48,"[[[10,10],[50,10],[30,40]]]",points',
    )
    (found,), problems = read(path)
    assert [one.phrase for one in found.artifacts] == [
        "good",
        "outside",
        "crosses itself",
        "one flat list",
        "points",
    ]
    assert (
        found.artifacts[0].polygons == found.artifacts[3].polygons == found.artifacts[4].polygons == (RING,)
    )
    assert [one["phrase"] for one in found.extra["regions"]["rejected"]] == [
        "two points", "a line", "odd", "not a number", "a word", "cut off by Excel", "a number", "nothing"
    ]  # fmt: skip
    assert codes(problems) == [
        ("polygon.few_points", "a.png", "row 3"),
        ("polygon.no_area", "a.png", "row 4"),
        ("polygon.odd", "a.png", "row 5"),
        ("polygon.not_numbers", "a.png", "row 6"),
        ("polygon.not_numbers", "a.png", "row 7"),
        ("polygon.not_numbers", "a.png", "row 8"),
        ("polygon.not_numbers", "a.png", "row 9"),
        ("region.no_outline", "a.png", "row 10"),
        ("polygon.outside", "a.png", "row 11"),
        ("polygon.crosses_itself", "a.png", "row 12"),
    ]
    assert all(one.file == str(path) and one.fix for one in problems)


def test_of_several_rings_the_good_ones_are_kept(tmp_path: Path) -> None:
    (found,), problems = read(table(tmp_path, 'a.png,64,48,"[[10,10,50,10,30,40],[1,1]]",x'))
    (artifact,) = found.artifacts
    assert artifact.polygons == (RING,)
    assert artifact.extra == {"regions": {"rejected_rings": [[1, 1]]}}
    assert [one.code for one in problems] == ["polygon.few_points"]


def test_an_image_whose_regions_were_rejected_is_not_clean(tmp_path: Path) -> None:
    head = "file_name,status,polygons"
    (found,), problems = read(table(tmp_path, 'a.png,clean,"[[1,2]]"', head=head))
    assert found.status == "annotated"
    assert found.artifacts == ()
    assert problems.failed


def test_a_clean_image_to_which_somebody_added_a_region_is_annotated(tmp_path: Path) -> None:
    (found,), problems = read(table(tmp_path, f"a.png,clean,{TRIANGLE}", head="file_name,status,polygons"))
    assert found.status == "annotated"
    assert [one.code for one in problems] == ["status.contradiction"]


def test_an_image_without_regions_and_without_a_status_is_unlabelled(tmp_path: Path) -> None:
    (found,), problems = read(table(tmp_path, "a.png,64,48,,"))
    assert found.status == "unlabelled"
    assert not len(problems)


def test_ids_of_ones_own_tell_images_apart(tmp_path: Path) -> None:
    head = "image_id,file_name,polygons"
    rows = [f"one,a.png,{TRIANGLE}", f"two,a.png,{TRIANGLE}", f"three,,{TRIANGLE}", f"four,,{TRIANGLE}"]
    found, problems = read(table(tmp_path, *rows, head=head))
    assert len({one.image_id for one in found}) == 4
    assert [one.extra["regions"]["image_id"] for one in found] == ["one", "two", "three", "four"]
    assert {one.code for one in problems} == {"field.wrong_type"}


def test_rows_that_contradict_each_other_about_their_image_are_reported_once_a_column(tmp_path: Path) -> None:
    rows = [
        f"a.png,{status},{license},{TRIANGLE}"
        for status, license in [("", "x"), ("skipped", "y"), ("annotated", "z")]
    ]
    (found,), problems = read(table(tmp_path, *rows, head="file_name,status,license,polygons"))
    assert (found.status, found.license) == ("skipped", "x")
    assert [(one.code, one.image) for one in problems] == [("image.contradiction", "a.png")] * 2
    assert sorted(one.what for one in problems) == [
        "license is 'x' in row 2, 'y' in 3",
        "status is 'skipped' in row 3, 'annotated' in 4",
    ]


def test_wrong_values_are_reported_and_kept(tmp_path: Path) -> None:
    head = "file_name,width,status,origin,votes,agreement,subtype,reviews,polygons"
    row = f"a.png,wide,finished,fake,many,good,teeth,[{{,{TRIANGLE}"
    (found,), problems = read(table(tmp_path, row, head=head))
    assert (found.width, found.status, found.origin) == (0, "annotated", "synthetic")
    assert found.extra["regions"] == {"status": "finished", "origin": "fake", "reviews": "[{"}
    (artifact,) = found.artifacts
    assert artifact.extra["regions"] == {"votes": "many", "agreement": "good"}
    assert [one.code for one in problems] == [*["field.wrong_type"] * 6, "label.unknown"]


def test_two_regions_of_one_rater_with_one_id_are_told_apart_and_reported(tmp_path: Path) -> None:
    rows = [f"a.png,{rater},r1,{TRIANGLE}" for rater in ("anna", "anna", "bert")]
    (found,), problems = read(table(tmp_path, *rows, head="file_name,rater_id,artifact_id,polygons"))
    assert [(one.rater_id, one.artifact_id) for one in found.artifacts] == [
        ("anna", "r1"),
        ("anna", "r1-2"),
        ("bert", "r1"),
    ]
    assert codes(problems) == [("id.repeated", "a.png", "row 3")]


def test_a_box_that_does_not_fit_its_polygons_is_reported_because_it_is_not_read(tmp_path: Path) -> None:
    head = "file_name,polygons,bbox_x,area"
    (found,), problems = read(
        table(tmp_path, f"a.png,{TRIANGLE},10.004,600", f"a.png,{TRIANGLE},12,600", head=head)
    )
    assert [one.polygons for one in found.artifacts] == [(RING,), (RING,)]
    assert codes(problems) == [("region.derived_differs", "a.png", "row 3")]


def test_a_lone_quote_costs_one_row(tmp_path: Path) -> None:
    path = table(tmp_path, f'a.png,64,48,{TRIANGLE},"he said "hi" to me"', f"b.png,64,48,{TRIANGLE},fine")
    found, problems = read(path)
    assert [one.file_name for one in found] == ["b.png"]
    assert codes(problems) == [("row.not_csv", "", "row 2")]


def test_a_table_that_was_cut_short_loses_no_row_silently(tmp_path: Path) -> None:
    whole = (DATA / "regions.csv").read_bytes()
    ends = {end for end in range(len(whole)) if whole[:end].endswith(b"\r\n")}
    for length in range(whole.index(b"\r\n") + 2, len(whole) - 2):
        (tmp_path / "t.csv").write_bytes(whole[:length])
        _, problems = read(tmp_path / "t.csv")
        # Nothing is seen of a cut between two rows, just before the end of a row, or at the start or within a
        # doubled quote of its last cell.
        unseen = {length, length + 1, length + 2} & ends or whole[:length].endswith((b'"', b'",'))
        assert problems.failed or unseen


def test_a_truncated_row_is_an_error(tmp_path: Path) -> None:
    whole = (DATA / "regions.csv").read_bytes()
    (tmp_path / "t.csv").write_bytes(whole[: whole.index(b"sky")])
    found, problems = read(tmp_path / "t.csv")
    assert found[0] == RECORDS[0]
    assert "file.cut_short" in [one.code for one in problems]


def test_json_lines_that_are_none_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "t.regions.jsonl"
    path.write_bytes(
        b'{"file_name": "a.png", "polygons": [[10,10,50,10,30,40]], "rater_id": 7}\n[1]\n\n{"file_name": "b'
    )
    (found,), problems = read(path)
    assert found.artifacts[0].polygons == (RING,)
    assert found.artifacts[0].rater_id == "7"
    assert codes(problems) == [("row.not_an_object", "", "row 2"), ("row.not_json", "", "row 4")]


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="neither image_id nor file_name"):
        read(table(tmp_path, "1,2", head="x,y"))
    with pytest.raises(FormatError):
        read(tmp_path / "missing.csv")
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(FormatError):
        read(tmp_path / "empty.csv")


def test_two_columns_of_one_name_are_reported(tmp_path: Path) -> None:
    _, problems = read(table(tmp_path, "a.png,b.png", head="file_name,File_Name"))
    assert [one.code for one in problems] == ["column.repeated"]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200)
@given(column=st.sampled_from(COLUMNS), junk=JUNK, row=st.sampled_from([0, 1]))
def test_nonsense_in_any_cell_never_raises_and_never_touches_the_other_image(
    column: str, junk: object, row: int, tmp_path_factory
) -> None:
    lines = [json.loads(line) for line in (DATA / "scars.regions.jsonl").read_text("utf-8").splitlines()]
    lines[row][column] = junk
    path = tmp_path_factory.mktemp("t") / "t.regions.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found, _ = read(path)
    assert [one for one in found if one.image_id in OTHERS] == RECORDS[1:]
    for one in found:
        msgspec.json.encode(one)


@settings(max_examples=200)
@given(column=st.sampled_from(COLUMNS), junk=st.one_of(texts(), JUNK.map(str)))
def test_nonsense_in_any_cell_of_a_csv_likewise(column: str, junk: str, tmp_path_factory) -> None:
    with (DATA / "regions.csv").open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    rows[0][head.index(column)] = junk
    path = tmp_path_factory.mktemp("t") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    found, _ = read(path)
    assert [one for one in found if one.image_id in OTHERS] == RECORDS[1:]
