"""Codes that need a special release, and proof that every code in the list is provoked by some test."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from planting import TEST, TRAIN, change_card, codes, other_image, problems_of, rows_of, write_rows
from releasing import noise_png, sample_record

from synthscars.jsonl import write_records
from synthscars.records import Generation, ImageRecord, Review
from synthscars.release.check import across, viewer
from synthscars.release.check.codes import CODES
from synthscars.release.check.drift import LARGE, Drift, Profile
from synthscars.release.check.items import Item
from synthscars.release.check.pictures import look


def test_every_code_is_provoked_by_a_test() -> None:
    here = Path(__file__)
    texts = [path.read_text() for path in here.parent.glob("test_*.py")]
    named = set(re.findall(r"\"([a-z]+\.[a-z_0-9]+)\"", "".join(texts)))
    assert set(CODES) - named - {f"drift.{name}" for name in DRIFTED} == set()


def test_no_image_at_all_is_said(tmp_path: Path) -> None:
    write_records(tmp_path / "none.jsonl", [])
    (found,) = problems_of(tmp_path / "none.jsonl", format="records")
    assert (found.code, found.severity) == ("source.empty", "warning")


def test_a_column_that_no_record_needs_may_be_missing(release: Path) -> None:
    (release / "manifest.json").unlink()
    (release / "README.md").unlink()
    pq.write_table(pq.read_table(release / TEST).drop_columns(["rater_list"]), release / TEST)
    (found,) = (each for each in problems_of(release) if each.code != "manifest.missing")
    assert (found.code, found.file) == ("schema.column_missing", TEST)
    assert "rater_list" in found.what


@pytest.mark.parametrize(
    ("limit", "code"), [("MOST_ROWS", "viewer.row_group_rows"), ("MOST_BYTES", "viewer.row_group_bytes")]
)
def test_row_groups_that_the_viewer_refuses(
    limit: str, code: str, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, limit, 5)
    found = [each for each in problems_of(release) if each.code == code]
    assert TRAIN in {each.file for each in found}
    assert all(each.fix for each in found)


def test_a_card_cannot_send_the_check_elsewhere_nor_make_it_endless(release: Path) -> None:
    outside = release.parent / "outside.parquet"
    outside.write_bytes(b"")
    change_card(release, lambda values: values["configs"][0].update(data_files="../*.parquet"))
    assert "viewer.data_files" in codes(release)
    bomb = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30))
    (release / "README.md").write_text(f"---\na0: &a0 [x]\n{bomb}\nconfigs: *a29\ndataset_info: *a29\n---\n")
    (found,) = problems_of(release)
    assert (found.code, found.severity) == ("viewer.card", "error")


def test_pictures_that_were_not_compared_are_counted(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(release)
    test = rows_of(release, TEST)
    data = test[0]["image"]["bytes"]
    # The same pixels, and one byte more behind the end of the file.
    other_image(rows[0], data + b"\0")
    rows[0]["width"], rows[0]["height"] = test[0]["width"], test[0]["height"]
    rows[0] |= {
        "artifacts": [],
        "caption": "",
        "status": 1,
        "reviews": [],
        "rater_list": [],
        "generation": None,
    }
    write_rows(release, rows)
    assert "leak.lookalike" in codes(release)
    monkeypatch.setattr(across, "MOST_COMPARED", 1)
    (found,) = (each for each in problems_of(release) if each.code.startswith("leak"))
    assert (found.code, found.count) == ("leak.not_compared", 1)


def test_a_picture_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    record = sample_record(1, noise_png(1))
    found = look(Item(record, "r.jsonl", lambda: tmp_path))  # a folder cannot be read
    assert "image.unreadable" in [each.code for each in found.problems]


# Drift: a change of each measure from half of the images on


def of(number: int, **fields: Any) -> ImageRecord:
    record = sample_record(7, b"")
    artifact = msgspec.structs.replace(
        record.artifacts[0],
        polygons=((0.0, 0.0, 9.0, 0.0, 9.0, 9.0),),
        explanation="why it is wrong",
        phrase="it",
    )
    whole = {key: fields.pop(key) for key in list(fields) if key in ImageRecord.__struct_fields__}
    artifact = msgspec.structs.replace(artifact, **{"agreement": 0.9, **fields})
    defaults = {
        "artifacts": (artifact,),
        "image_id": f"{number:064x}",
        "split": "train",
        "width": 64,
        "height": 48,
    }
    return msgspec.structs.replace(record, **{**defaults, **whole})


DRIFTED: dict[str, Callable[[int], ImageRecord]] = {
    "split": lambda n: of(n, split="test"),
    "status": lambda n: of(n, status="clean"),
    "content_type": lambda n: of(n, content_type="scene"),
    "origin": lambda n: of(n, origin="real"),
    "category": lambda n: of(n, category=None),
    "subtype": lambda n: of(n, subtype=None),
    "generator": lambda n: of(n, generation=Generation(tool="another")),
    "source": lambda n: of(n, source="another"),
    "rater": lambda n: of(n, reviews=(Review(rater_id="zed", status="annotated"),)),
    "artifacts_per_image": lambda n: of(n, artifacts=of(n).artifacts * 3),
    "area_share": lambda n: of(n, polygons=((0.0, 0.0, 50.0, 0.0, 50.0, 40.0),)),
    "vertices": lambda n: of(n, polygons=((0.0, 0.0, 9.0, 0.0, 9.0, 9.0, 8.9, 9.0),)),
    "phrase_length": lambda n: of(n, phrase="a much longer place"),
    "explanation_length": lambda n: of(n, explanation="why this is wrong is told at some length"),
    "agreement": lambda n: of(n, agreement=0.5),
}


@pytest.mark.parametrize("name", DRIFTED)
def test_a_drift_of_each_measure_is_told_by_its_name(name: str) -> None:
    before = [of(number) for number in range(100)]
    profile = Profile()
    for each in before:
        profile.add(each)
    drift = Drift(profile, frozenset(each.image_id[:32].encode() for each in before))
    for each in before:
        drift.add(each)
    for number in range(100, 200):
        drift.add(DRIFTED[name](number))
    measures, problems = drift.finish("1.0.0")
    told = {each.code: each for each in problems}
    assert told[f"drift.{name}"].severity == "warning"
    assert "1.0.0" in told[f"drift.{name}"].what
    others = {each.name for each in measures if each.distance >= LARGE} - {name}
    assert others <= {"area_share"} | ({"vertices"} if name == "area_share" else set())
