from __future__ import annotations

import csv
import json
from pathlib import Path

import msgspec
import pandas as pd
import pytest
from scoring import random_records, shaken

from synthscars.metrics import score_images
from synthscars.metrics.per_image import COLUMNS, row_of, write_table
from synthscars.problems import UsageError

RECORDS = random_records(12)
SCORES = list(score_images(zip(shaken(RECORDS), RECORDS, strict=True)))
UNJUDGED = msgspec.structs.replace(SCORES[3], judged=False, image_id="zz")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_every_kind_of_table_holds_one_row_per_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"scores{suffix}"
    write_table(path, [UNJUDGED, *reversed(SCORES)])
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet}.get(suffix)
    frame = read(path) if read else pd.read_json(path, lines=True, dtype={"image_id": str})
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == 13
    judged = frame[frame.judged]
    assert judged.f1.tolist() == pytest.approx([score.pixels.overlap()["f1"] for score in SCORES], abs=1e-9)
    assert judged.true_area.tolist() == [score.pixels.true for score in SCORES]
    last = frame.iloc[-1]
    assert pd.isna(last.f1)
    assert last.synthetic == SCORES[3].synthetic


def test_equal_scores_give_equal_bytes_in_whatever_order(tmp_path: Path) -> None:
    for suffix in (".csv", ".jsonl", ".parquet"):
        first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
        write_table(first, SCORES)
        write_table(second, SCORES[::-1])
        assert first.read_bytes() == second.read_bytes()


def test_a_name_that_is_a_formula_is_guarded_for_spreadsheets(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    evil = msgspec.structs.replace(SCORES[0], file_name="=cmd|' /C calc'!A0", generator='two\n"lines"')
    write_table(path, [evil])
    with path.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["file_name"].startswith("'=")
    assert row["generator"] == 'two\n"lines"'
    write_table(path.with_suffix(".jsonl"), [evil])
    assert json.loads(path.with_suffix(".jsonl").read_text())["file_name"] == evil.file_name


def test_accuracies_are_of_the_matches_and_empty_without_any() -> None:
    for score in SCORES:
        row = row_of(score)
        assert row["matched"] == len(score.matches)
        assert (row["category_accuracy"] is None) == (not score.matches)


def test_another_kind_of_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown kind"):
        write_table(tmp_path / "scores.xlsx", SCORES)
