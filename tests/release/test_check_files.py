"""Faults of files, manifest, columns and rows: each is found, and none stops the check."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from planting import TEST, TRAIN, Row, codes, problems_of, rows_of, with_artifacts, write_rows

from synthscars.problems import FormatError, Problems
from synthscars.release.check import check
from synthscars.release.manifest import MANIFEST_NAME


def test_a_file_that_was_written_again_is_altered(release: Path) -> None:
    pq.write_table(pq.read_table(release / TRAIN), release / TRAIN, write_page_index=True)
    (found,) = problems_of(release)
    assert (found.code, found.file) == ("file.altered", TRAIN)


def test_a_file_that_is_gone_is_missing_and_one_more_is_unlisted(release: Path) -> None:
    (release / TEST).rename(release / "data/test-00001-of-00002.parquet")
    assert codes(release) == ["file.missing", "file.unlisted"]


def test_a_file_that_breaks_off_is_unreadable(release: Path) -> None:
    content = (release / TEST).read_bytes()
    (release / TEST).write_bytes(content[: len(content) // 2])
    assert codes(release) == ["file.altered", "file.unreadable"]


def test_images_that_the_manifest_does_not_fit_are_counted(release: Path) -> None:
    manifest = json.loads((release / MANIFEST_NAME).read_text())
    first, second, third = sorted(manifest["images"])[:3]
    manifest["images"]["0" * 64] = manifest["images"].pop(first)
    manifest["images"][second]["group"] = "other"
    manifest["images"][third]["split"] = "other"
    (release / MANIFEST_NAME).write_text(json.dumps(manifest))
    found = {each.code: each for each in problems_of(release)}
    assert set(found) == {"manifest.image_missing", "manifest.image_unlisted", "manifest.image_moved"}
    assert found["manifest.image_missing"].image == "0" * 64
    assert found["manifest.image_unlisted"].image == first
    assert found["manifest.image_moved"].count == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"artifacts": 7}, "manifest.artifacts"),
        ({"taxonomy_version": "0.0.1"}, "manifest.taxonomy"),
        ({"images": 7}, "manifest.unreadable"),
    ],
)
def test_what_else_is_wrong_with_a_manifest(change: Row, code: str, release: Path) -> None:
    manifest = json.loads((release / MANIFEST_NAME).read_text())
    (release / MANIFEST_NAME).write_text(json.dumps({**manifest, **change}))
    assert codes(release) == [code]


def test_columns_are_compared_with_those_of_a_release(release: Path) -> None:
    (release / MANIFEST_NAME).unlink()
    table = pq.read_table(release / TRAIN)
    wide = table.set_column(table.schema.get_field_index("width"), "width", table["width"].cast("int64"))
    more = wide.append_column("score", pa.array([0.5] * len(table)))
    pq.write_table(more, release / TRAIN, write_page_index=True)
    less = pq.read_table(release / TEST).drop_columns(["caption"])
    pq.write_table(less, release / TEST, write_page_index=True)
    found = codes(release)
    assert found[:4] == ["manifest.missing", "schema.column_added", "schema.type", "schema.wrong"]
    assert set(found[4:]) == {"viewer.features"}


def test_a_row_that_no_record_fits_costs_only_itself(release: Path) -> None:
    rows = rows_of(release)
    rows[0]["extra"] = "no JSON"
    rows[1]["image_id"] = rows[1]["image_id"].upper()
    artifact = with_artifacts(rows[2:])["artifacts"][0]
    artifact["category"] = 17
    write_rows(release, rows)
    problems = Problems()
    report = check(release, problems)
    assert sorted(each.code for each in problems) == ["image.bad_id", "label.unknown", "row.wrong"]
    assert report.images == 24 - 3


@pytest.mark.parametrize(
    "change",
    [
        {"artifacts": [None]},
        {"artifacts": None},
        {"reviews": [None]},
        {"extra": '{"a":' * 5000 + "1" + "}" * 5000},
        {"status": None},
        {"width": None},
    ],
    ids=str,
)
def test_nonsense_in_a_row_never_stops_the_check(change: Row, release: Path) -> None:
    rows = rows_of(release)
    rows[0].update(change)
    (release / MANIFEST_NAME).unlink()
    table = pa.Table.from_pylist(rows, schema=pq.read_schema(release / TRAIN))
    pq.write_table(table, release / TRAIN, write_page_index=True)
    problems = Problems()
    report = check(release, problems)
    assert report.codes == {"manifest.missing": 1, "row.wrong": 1}
    assert report.images == 23


@pytest.mark.parametrize("far", [1e300, -1e308, 3e9])
def test_coordinates_far_outside_are_told_without_a_crash(far: float, release: Path) -> None:
    rows = rows_of(release)
    with_artifacts(rows)["artifacts"][0]["polygons"] = [[1.0, 1.0, far, 1.0, 9.0, 9.0]]
    write_rows(release, rows)
    assert "polygon.outside" in codes(release) or "polygon.no_area" in codes(release)


def test_a_plain_folder_of_the_files_and_a_single_one_are_checked_as_well(sound: Path) -> None:
    assert codes(sound / "data") == ["manifest.missing"]
    assert codes(sound / TEST) == []


def test_a_release_that_has_lost_all_its_data_cannot_be_checked(release: Path) -> None:
    shutil.rmtree(release / "data")
    with pytest.raises(FormatError, match="no Parquet file"):
        problems_of(release)
