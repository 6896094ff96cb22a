"""What FiftyOne's importer wants (fiftyone/utils/data/importers.py, core/odm/dataset.py of 1.22)."""

import json
import re
from pathlib import Path

import pytest
from converting import assert_same, changed, narrowed, with_picture
from fiftyone_folders import RECORD, read, samples, write
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import records

from synthscars.converters import fiftyone

KINDS = {
    "StringField": str,
    "BooleanField": bool,
    "IntField": int,
    "FloatField": (int, float),
    "ListField": list,
    "PolylinePointsField": list,
    "EmbeddedDocumentField": dict,
    "DictField": dict,
}
OF_A_FIELD = {
    "name",
    "ftype",
    "embedded_doc_type",
    "subfield",
    "fields",
    "db_field",
    "description",
    "info",
    "read_only",
}


def assert_fits(document: dict, declared: list[dict]) -> None:
    """Every key of a document is declared, and has a value of the declared type, or none."""
    by_key = {field["db_field"]: field for field in declared}
    for key, value in document.items():
        if key == "_cls":
            continue
        field = by_key[key]
        assert set(field) == OF_A_FIELD
        kind = field["ftype"].removeprefix("fiftyone.core.fields.")
        if value is None:
            continue
        if kind == "ObjectIdField":
            assert re.fullmatch("[0-9a-f]{24}", value["$oid"])
            continue
        assert isinstance(value, KINDS[kind]), (key, value)
        if kind == "IntField":
            assert -(2**63) <= value < 2**63
        inner = [value] if kind == "EmbeddedDocumentField" else value if field["embedded_doc_type"] else []
        if kind == "ListField" and field["subfield"] == "fiftyone.core.fields.StringField":
            assert all(isinstance(entry, str) for entry in value)
        for entry in inner:
            if entry:
                assert field["embedded_doc_type"].rpartition(".")[2] == entry["_cls"] or kind == "ListField"
                assert_fits(entry, field["fields"])


@settings(max_examples=40)
@given(found=st.lists(records(), max_size=3))
def test_any_records_make_documents_that_the_importer_takes(found, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("f") / "out"
    write(found, folder)
    metadata = json.loads((folder / "metadata.json").read_text())
    # It goes up from older versions, and refuses newer ones.
    assert metadata["version"] == "1.0.0"
    assert metadata["media_type"] == "image"
    names = [field["name"] for field in metadata["sample_fields"]]
    assert len(names) == len(set(names))
    written = samples(folder)
    assert len({each["_id"]["$oid"] for each in written}) == len(found)
    for each in written:
        assert_fits(each, metadata["sample_fields"])
        assert each["filepath"].startswith("data/")
        assert each["_media_type"] == "image"
        assert isinstance(each["tags"], list)
        assert 0 <= each["_rand"] < 1


def test_a_sample_shows_everything_by_its_own_name(tmp_path: Path) -> None:
    record = with_picture(RECORD, tmp_path / "pics", "a.png")
    write([record], tmp_path / "out", tmp_path / "pics")
    (found,) = samples(tmp_path / "out")
    assert (tmp_path / "out" / found["filepath"]).read_bytes() == (tmp_path / "pics" / "a.png").read_bytes()
    assert found["tags"] == ["train"]
    assert found["metadata"] == {
        "_cls": "ImageMetadata",
        "size_bytes": (tmp_path / "pics" / "a.png").stat().st_size,
        "mime_type": "image/png",
        "width": 60,
        "height": 40,
        "num_channels": None,
    }
    assert {name: found[name] for name in ("status", "content_type", "origin", "split")} == {
        "status": "annotated",
        "content_type": "human",
        "origin": "synthetic",
        "split": "train",
    }
    (label,) = found["artifacts"]["polylines"]
    assert label["points"] == [[[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]]
    assert label["closed"] is label["filled"] is True
    expected = {
        "label": "structure",
        "subtype": "deformed",
        "phrase": "the left hand",
        "explanation": "It has six fingers.",
        "rater_id": "rater-1",
        "votes": 2,
        "agreement": 0.75,
    }
    assert {name: label[name] for name in expected} == expected
    assert_same(read(tmp_path / "out")[0], [record], fiftyone.HOLDS)


def test_clean_and_unlabelled_images_differ(tmp_path: Path) -> None:
    found = [
        changed(RECORD, artifacts=(), reviews=(), status=status, image_id=status, file_name=f"{status}.png")
        for status in ("clean", "unlabelled", "skipped")
    ]
    write(found, tmp_path / "out")
    clean, unlabelled, _ = samples(tmp_path / "out")
    assert clean["artifacts"] == {"_cls": "Polylines", "polylines": []}
    assert "artifacts" not in unlabelled
    assert [one.status for one in read(tmp_path / "out")[0]] == ["clean", "unlabelled", "skipped"]


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    record = with_picture(RECORD, tmp_path / "pics", "a.png")
    for name in ("1/out", "2/out"):
        write([record], tmp_path / name, tmp_path / "pics")
    for file in ("samples.json", "metadata.json"):
        assert (tmp_path / "1/out" / file).read_bytes() == (tmp_path / "2/out" / file).read_bytes()


def test_fiftyone_itself_opens_the_folder_and_exports_it_unchanged(tmp_path: Path) -> None:
    fo = pytest.importorskip("fiftyone")
    record = with_picture(RECORD, tmp_path / "pics", "a.png")
    write([record], tmp_path / "out", tmp_path / "pics")
    try:
        dataset = fo.Dataset.from_dir(
            dataset_dir=str(tmp_path / "out"), dataset_type=fo.types.FiftyOneDataset
        )
    except fo.core.config.FiftyOneConfigError as error:
        pytest.skip(f"FiftyOne has no MongoDB: {error}")
    assert dataset.count_values("artifacts.polylines.phrase") == {"the left hand": 1}
    assert dataset.first().artifacts.polylines[0].explanation == "It has six fingers."
    dataset.export(str(tmp_path / "again"), dataset_type=fo.types.FiftyOneDataset)
    assert_same(read(tmp_path / "again")[0], narrowed([record], fiftyone.HOLDS), fiftyone.HOLDS)
