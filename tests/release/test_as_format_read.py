"""Records read from a release and from files like its, whole, spoilt and cut."""

import contextlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import folder_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from release_format import COUNT, MERGED, PICTURES, SQUARE, as_built, said, written
from releasing import changed, filled_workspace, noise_png, sample_record

from synthscars.converters import formats
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, encode_record
from synthscars.release import build_release, features, to_row
from synthscars.release import shards as shards_module
from synthscars.release.as_format import images_of, read
from synthscars.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = filled_workspace(tmp_path_factory.mktemp("release") / "w", COUNT)
    build_release(workspace, "1.0.0", Problems())
    return workspace


@pytest.fixture
def release(workspace: Workspace, tmp_path: Path) -> Path:
    """A release of 24 images, of which a test may spoil anything."""
    folder = tmp_path / "1.0.0"
    for name, content in folder_bytes(workspace.release_dir("1.0.0")).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_release_gives_back_the_records_it_was_built_from_split_by_split(release: Path) -> None:
    problems = Problems()
    assert list(read(release, problems)) == as_built(release)
    assert not len(problems)


def test_reading_records_touches_no_image(release: Path) -> None:
    expected = as_built(release)
    for path in (release / "data").iterdir():
        content = path.read_bytes()
        for picture in PICTURES.values():
            content = content.replace(picture, b"\0" * len(picture))
        path.write_bytes(content)
    problems = Problems()
    assert list(read(release, problems)) == expected
    assert not len(problems)
    find = images_of(release)
    assert [find(one.image_id) for one in expected] == [None] * COUNT


def test_the_files_are_read_without_a_manifest_in_one_folder_or_one_by_one(
    release: Path, tmp_path: Path
) -> None:
    expected = as_built(release)
    (release / "manifest.json").unlink()
    assert list(read(release, Problems())) == expected
    flat = tmp_path / "flat"
    (release / "data").rename(flat)
    (flat / ".tmp-0123456789ab-train.parquet").write_bytes(b"half written")
    assert formats.detect(flat).name == "release"
    assert list(read(flat, Problems())) == expected
    (train,) = flat.glob("train-*")
    assert formats.detect(train).name == "release"
    assert list(read(train, Problems())) == [one for one in expected if one.split == "train"]
    (flat / "mine.parquet").write_bytes(train.read_bytes())
    assert {one.split for one in read(flat / "mine.parquet", Problems())} == {""}


def test_what_datasets_or_pandas_wrote_again_is_read_the_same(tmp_path: Path) -> None:
    import datasets
    import pandas as pd

    # pandas cannot hold seeds of 64 bits beside nulls.
    written([changed(one, generation=None, split="train") for one in MERGED], tmp_path / "out")
    (path,) = (tmp_path / "out" / "data").iterdir()
    expected = list(read(path, Problems()))
    loaded = datasets.load_dataset("parquet", data_files=str(path), cache_dir=str(tmp_path / "cache"))
    loaded["train"].to_parquet(str(tmp_path / "train.parquet"))
    assert list(read(tmp_path / "train.parquet", Problems())) == expected
    pd.read_parquet(path).iloc[::-1].to_parquet(tmp_path / "train.parquet")
    problems = Problems()
    assert list(read(tmp_path / "train.parquet", problems)) == expected[::-1]
    assert not len(problems)


def test_columns_that_somebody_added_are_kept_or_said_to_be_unread(release: Path, tmp_path: Path) -> None:
    (path,) = (release / "data").glob("validation-*")
    table = pq.read_table(path)
    table = table.append_column("beauty", pa.array([0.5, None]))
    table = table.append_column("mask", pa.array([b"png", b"png"]))
    pq.write_table(table, path)
    problems = Problems()
    first, second = read(path, problems)
    assert first.extra == {**first.extra, "release": {"beauty": 0.5}}
    assert "release" not in second.extra
    (one,) = problems
    assert (one.code, one.severity, one.file) == ("column.not_read", "warning", str(path))
    assert "mask" in one.what
    written([first], tmp_path / "again")
    (again,) = read(tmp_path / "again", Problems())
    assert again.extra == first.extra


# Damage


def parquet(folder: Path, rows: list[dict], name: str = "train.parquet") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=features().arrow_schema), folder / name)
    return folder / name


def row(number: int, **fields: object) -> dict:
    return {**to_row(MERGED[number], b""), **fields}


def artifact_row(number: int = 0, **fields: object) -> dict:
    artifact = Artifact(artifact_id=f"a{number}", polygons=(SQUARE,))
    record = changed(MERGED[0], artifacts=(artifact,))
    return {**to_row(record, b"")["artifacts"][0], **fields}


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        ({"content_type": 99}, "row.wrong"),
        ({"origin": -1}, "row.wrong"),
        ({"status": None}, "row.wrong"),
        ({"width": None}, "row.wrong"),
        ({"extra": "{"}, "row.wrong"),
        ({"extra": "[1]"}, "row.wrong"),
        ({"artifacts": [None]}, "row.wrong"),
        ({"artifacts": [artifact_row(polygons=[None])]}, "row.wrong"),
        ({"artifacts": [artifact_row(polygons=[[1.0, None]])]}, "row.wrong"),
        ({"image_id": "../../etc/passwd"}, "image.bad_id"),
        ({"image_id": MERGED[1].image_id}, "record.duplicate"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_costs_no_other(
    tmp_path: Path, broken: dict, code: str
) -> None:
    path = parquet(tmp_path, [row(1), row(2, **broken), row(3)])
    problems = Problems()
    found = list(read(path, problems))
    assert [one.image_id for one in found] == [MERGED[1].image_id, MERGED[3].image_id]
    (one,) = problems
    assert (one.code, one.severity, one.file, one.region) == (code, "error", str(path), "row 1")
    assert one.image == broken.get("image_id", MERGED[2].image_id)
    assert one.what
    assert one.fix


@pytest.mark.parametrize(
    ("ring", "code"),
    [
        ([float("nan"), 1.0, 9.0, 1.0, 9.0, 9.0], "polygon.not_finite"),
        ([1.0, 1.0, 9.0, 1.0], "polygon.few_points"),
        ([1.0, 1.0, 9.0, 1.0, 9.0], "polygon.odd"),
        ([1.0, 1.0, 5.0, 5.0, 9.0, 9.0], "polygon.no_area"),
    ],
)
def test_a_region_that_cannot_be_drawn_is_named_and_kept_in_extra(
    tmp_path: Path, ring: list[float], code: str
) -> None:
    clean = sample_record(0, noise_png(0))
    path = parquet(
        tmp_path,
        [
            {**to_row(clean, b""), "artifacts": [artifact_row(0, polygons=[ring])]},
            row(1, artifacts=[artifact_row(0, polygons=[list(SQUARE), ring]), artifact_row(1)]),
        ],
    )
    problems = Problems()
    lost, mended = read(path, problems)
    # Said to be clean, but somebody drew something.
    assert (lost.status, lost.artifacts) == ("annotated", ())
    (kept,) = lost.extra["release"]["rejected_artifacts"]
    assert kept["artifact_id"] == "a0"
    assert [artifact.polygons for artifact in mended.artifacts] == [(SQUARE,), (SQUARE,)]
    assert len(mended.artifacts[0].extra["release"]["rejected_rings"]) == 1
    assert [one.code for one in problems if one.severity == "error"] == [code, code]
    assert {(one.image, one.region) for one in problems} == {
        (lost.image_id, "artifact a0"),
        (mended.image_id, "artifact a0"),
    }


def test_a_vertex_outside_the_image_and_a_crossing_are_reported_and_kept(tmp_path: Path) -> None:
    outside, bow = [40.0, 1.0, 60.0, 1.0, 60.0, 9.0], [1.0, 1.0, 9.0, 9.0, 9.0, 1.0, 1.0, 12.0]
    path = parquet(tmp_path, [row(1, artifacts=[artifact_row(0, polygons=[outside, bow])])])
    problems = Problems()
    (record,) = read(path, problems)
    assert record.artifacts[0].polygons == (tuple(outside), tuple(bow))
    assert said(problems, "warning") == ["polygon.outside", "polygon.crosses_itself"]


@given(st.data())
@settings(max_examples=80)
def test_nonsense_in_any_cell_never_raises_and_never_touches_the_other_image(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    spoilt = data.draw(_spoilt(to_row(MERGED[3], b"")))
    try:
        path = parquet(tmp_path_factory.mktemp("nonsense"), [row(1), spoilt, row(2)])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return  # no cell of this column can hold it
    problems = Problems()
    found = list(read(path, problems))
    assert [MERGED[1].image_id, MERGED[2].image_id] == [
        one.image_id for one in found if one.image_id in (MERGED[1].image_id, MERGED[2].image_id)
    ]
    assert found[0] == changed(MERGED[1], split="train")
    assert len(found) == 3 or said(problems, "error")
    for one in found:
        encode_record(one)


@st.composite
def _spoilt(draw: st.DrawFn, value: object) -> object:
    """The same value with one cell of it replaced, anywhere."""
    if isinstance(value, dict) and value:
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: draw(_spoilt(value[key]))}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], draw(_spoilt(value[place])), *value[place + 1 :]]
    numbers = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-1, 0, 3, 10**6])
    return draw(
        st.none() | numbers | st.floats() | st.text(max_size=5) | st.sampled_from([[], [None], "[1]", "{}"])
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_named_and_the_others_are_read(release: Path, share: float) -> None:
    expected = [one for one in as_built(release) if one.split != "train"]
    (path,) = (release / "data").glob("train-*")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    problems = Problems()
    assert list(read(release, problems)) == expected
    (one,) = problems
    assert (one.code, one.severity, one.file) == ("file.unreadable", "error", str(path))
    assert one.fix
    with pytest.raises(FormatError, match="train-00000"):
        list(read(path, Problems()))


@given(st.lists(st.tuples(st.integers(1, 12_000), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=60)
def test_bytes_overwritten_anywhere_raise_nothing_but_a_format_error(
    tmp_path_factory: pytest.TempPathFactory, overwritten: list[tuple[int, int]]
) -> None:
    path = parquet(tmp_path_factory.mktemp("bytes"), [row(number) for number in range(4)])
    content = bytearray(path.read_bytes())
    for place, value in overwritten:  # from the end, where the file says what it holds
        content[-min(place, len(content))] = value
    path.write_bytes(content)
    with contextlib.suppress(FormatError):
        list(read(path, Problems()))
    assert images_of(path)(MERGED[0].image_id) is None


def test_a_damaged_row_group_costs_only_its_own_rows(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards_module, "ROW_GROUP_ROWS", 5)
    written([changed(one, split="train") for one in MERGED], tmp_path / "out")
    (path,) = (tmp_path / "out" / "data").iterdir()
    whole = list(read(path, Problems()))
    group = pq.ParquetFile(path).metadata.row_group(1)
    column = next(
        group.column(index)
        for index in range(group.num_columns)
        if group.column(index).path_in_schema == "caption"
    )
    start = min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset)
    content = bytearray(path.read_bytes())
    content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    problems = Problems()
    assert list(read(path, problems)) == [*whole[:5], *whole[10:]]
    (one,) = problems
    assert one.code == "row.unreadable"
    assert "rows 5 to 9" in one.what


def test_a_missing_file_is_missed_and_a_broken_manifest_is_no_obstacle(release: Path) -> None:
    expected = [one for one in as_built(release) if one.split != "test"]
    (path,) = (release / "data").glob("test-*")
    path.unlink()
    problems = Problems()
    assert list(read(release, problems)) == expected
    (one,) = problems
    assert (one.code, one.severity, one.file) == ("file.missing", "error", str(path))
    (release / "manifest.json").write_text("{")
    problems = Problems()
    assert list(read(release, problems)) == expected
    assert said(problems, "warning") == ["manifest.unreadable"]


def test_what_is_no_release_is_refused_with_a_reason(release: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no Parquet file"):
        list(read(tmp_path / "nothing", Problems()))
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "foreign.parquet")
    with pytest.raises(FormatError, match="no column image_id"):
        list(read(tmp_path / "foreign.parquet", Problems()))
    (path,) = (release / "data").glob("train-*")
    schema = pq.read_schema(path)
    metadata = {key: value.replace(b'"physics"', b'"magic"') for key, value in schema.metadata.items()}
    pq.write_table(pq.read_table(path).replace_schema_metadata(metadata), path)
    with pytest.raises(FormatError, match=r"classes of artifacts\.category are magic"):
        list(read(path, Problems()))
