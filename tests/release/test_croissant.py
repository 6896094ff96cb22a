"""croissant.json against mlcroissant, the reference reader: it validates and gives the rows of the files."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from releasing import filled_workspace

from synthscars.images import sha256
from synthscars.problems import Problems
from synthscars.release import build_release, read_manifest
from synthscars.release.card import CARD_NAME
from synthscars.release.configs import config_columns, detection_columns
from synthscars.release.croissant import CITATION, CROISSANT_NAME, describe, write_croissant
from synthscars.release.features import features
from synthscars.release.manifest import Manifest
from synthscars.release.totals import Totals
from synthscars.settings import ReleaseSettings
from synthscars.taxonomy import load_taxonomy

SETTINGS = ReleaseSettings(
    pretty_name='Noise "&" <b>',
    license="cc-by-4.0",
    authors=("Ada Example", "Ben Example"),
    homepage="https://example.org/noise",
    doi="10.1234/noise",
    images="Drawn by chance.",
    annotators="Two of us.",
    personal_data="Nobody is in them.",
)
GIVEN = {"published": "2026-01-31"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with a file of real photographs for the config `detection`, and its croissant.json."""
    workspace = filled_workspace(tmp_path_factory.mktemp("croissant") / "w", 24)
    build_release(workspace, "1.0.0", Problems())
    folder = workspace.release_dir("1.0.0")
    write_croissant(folder, with_detection(folder), SETTINGS, licences=["CC0-1.0", "my own"], **GIVEN)
    return folder


def with_detection(folder: Path) -> Manifest:
    """The manifest, with a file in `detection/` that repeats three columns of data as if they were others."""
    manifest = read_manifest(folder)
    first = next(file for file in manifest.files if file.split == "train")
    table = pq.read_table(folder / first.path, columns=detection_columns()).slice(0, 3)
    ids = [sha256(image_id.encode()) for image_id in table["image_id"].to_pylist()]
    table = table.set_column(table.column_names.index("image_id"), "image_id", pa.array(ids))
    path = folder / "detection/train-00000.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path)
    data = path.read_bytes()
    file = msgspec.structs.replace(
        first, path="detection/train-00000.parquet", rows=3, bytes=len(data), sha256=sha256(data)
    )
    files = [each for each in manifest.files if not each.path.startswith("detection/")]
    return msgspec.structs.replace(manifest, files=(*files, file))


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / CROISSANT_NAME).read_bytes())


def opened(folder: Path) -> Any:
    mlcroissant = pytest.importorskip("mlcroissant")
    return mlcroissant.Dataset(jsonld=folder / CROISSANT_NAME)


def test_it_validates_without_errors_and_without_warnings(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        issues = opened(folder).metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    assert caplog.records == []


def test_it_says_that_it_is_croissant_1_1_with_the_extension_for_responsible_ai(folder: Path) -> None:
    metadata = opened(folder).metadata
    assert metadata.conforms_to == [
        "http://mlcommons.org/croissant/1.1",
        "http://mlcommons.org/croissant/RAI/1.0",
    ]
    assert metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"
    assert metadata.data_annotation_platform == ["Label Studio"]
    assert metadata.data_limitations
    assert metadata.personal_sensitive_information[0] == "Nobody is in them."
    assert metadata.annotator_demographics == ["Two of us."]
    assert metadata.data_collection.startswith("Drawn by chance. Generated images")


def test_names_licences_creators_and_the_day_are_those_given(folder: Path) -> None:
    metadata = opened(folder).metadata
    assert metadata.name == 'Noise "&" <b>'
    assert metadata.version == "1.0.0"
    assert metadata.license[:2] == [
        "https://spdx.org/licenses/CC-BY-4.0.html",
        "https://spdx.org/licenses/CC0-1.0.html",
    ]
    assert metadata.license[2].name == "my own"
    assert [each.name for each in metadata.creators] == ["Ada Example", "Ben Example"]
    assert metadata.date_published.isoformat()[:10] == "2026-01-31"
    assert metadata.url == "https://example.org/noise"


def test_a_licence_that_nobody_knows_has_its_name_and_its_page(folder: Path) -> None:
    settings = ReleaseSettings(license="other", license_name="Ours", license_link="https://example.org/l")
    assert describe(read_manifest(folder), settings, licences=["CC0-1.0", "Ours too"])["license"] == [
        {"@type": "sc:CreativeWork", "name": "Ours", "url": "https://example.org/l"},
        "https://spdx.org/licenses/CC0-1.0.html",
        {"@type": "sc:CreativeWork", "name": "Ours too"},
    ]


def test_what_is_not_given_is_left_out_and_the_only_thing_missed_is_the_day(folder: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    described = describe(read_manifest(folder), ReleaseSettings())
    assert not {"url", "creator", "datePublished"} & described.keys()
    issues = mlcroissant.Dataset(jsonld=json.loads(json.dumps(described))).metadata.ctx.issues
    assert issues.errors == set()
    (warning,) = issues.warnings
    assert "datePublished" in warning


def test_every_file_is_there_with_its_hash_its_size_and_the_one_name_of_parquet_that_is_read(
    folder: Path,
) -> None:
    objects = [each for each in read(folder)["distribution"] if each["@type"] == "cr:FileObject"]
    on_disk = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.parquet")}
    assert {each["contentUrl"] for each in objects} == set(on_disk)
    for each in objects:
        data = on_disk[each["contentUrl"]].read_bytes()
        assert (each["sha256"], each["contentSize"]) == (sha256(data), f"{len(data)} B")
    assert {each["encodingFormat"] for each in read(folder)["distribution"]} == {"application/x-parquet"}


def leaves(kind: pa.DataType, path: str) -> list[str]:
    """The columns below a type of Arrow, which knows nothing of `features()`."""
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if not pa.types.is_struct(kind):
        return [path]
    return [leaf for field in kind for leaf in leaves(field.type, f"{path}/{field.name}")]


def test_no_column_of_the_files_is_forgotten(folder: Path) -> None:
    fields = {
        part["@id"]
        for record_set in read(folder)["recordSet"]
        for field in record_set["field"]
        for part in [field, *field.get("subField", ())]
    }
    schema = pq.read_schema(next((folder / "data").glob("*.parquet")))
    for config, columns in config_columns().items():
        expected = [leaf for name in columns for leaf in leaves(schema.field(name).type, f"{config}/{name}")]
        # The image is one field; its two parts are the bytes and a name, which `file_name` has.
        expected = [f"{config}/image" if leaf.startswith(f"{config}/image/") else leaf for leaf in expected]
        assert expected
        assert set(expected) <= fields


def test_every_field_says_what_it_holds(folder: Path) -> None:
    for record_set in read(folder)["recordSet"]:
        assert record_set["description"]
        for field in record_set["field"]:
            assert all(part["description"] for part in [field, *field.get("subField", ())])


# Records


def as_mlcroissant_gives_it(feature: Any, value: Any, id: str) -> Any:
    """A value of Arrow as mlcroissant 1.1.1 gives it: texts as bytes, parts of structs under their ids, and
    for a list of structs that is null one struct of nulls."""
    from datasets import Image as ImageFeature
    from datasets import List

    if isinstance(feature, ImageFeature):
        return pixels(value["bytes"])
    if isinstance(feature, List):
        if value is None:
            return (
                [as_mlcroissant_gives_it(feature.feature, None, id)] if is_struct(feature.feature) else None
            )
        return [as_mlcroissant_gives_it(feature.feature, item, id) for item in value]
    if isinstance(feature, dict):
        return {
            f"{id}/{name}": as_mlcroissant_gives_it(
                part, None if value is None else value[name], f"{id}/{name}"
            )
            for name, part in feature.items()
        }
    return value.encode() if isinstance(value, str) else value


def is_struct(feature: Any) -> bool:
    return isinstance(feature, dict)


def pixels(data: Any) -> tuple[tuple[int, int], str, bytes]:
    image = data if isinstance(data, Image.Image) else Image.open(io.BytesIO(data))
    return image.size, image.mode, image.tobytes()


@pytest.mark.parametrize("config", ["default", "raters", "detection"])
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_records_are_the_rows_of_the_files(folder: Path, config: str, split: str) -> None:
    columns = config_columns()[config]
    folders = ("data", "detection") if config == "detection" else ("data",)
    files = [path for name in folders for path in sorted((folder / name).glob(f"{split}-*.parquet"))]
    rows = [row for path in files for row in pq.read_table(path, columns=columns).to_pylist()]
    records = list(opened(folder).records(config, filters={f"{config}/split": split}))
    assert len(records) == len(rows) > 0
    for record, row in zip(records, rows, strict=True):
        assert record.pop(f"{config}/split") == split.encode()
        record[f"{config}/image"] = pixels(record[f"{config}/image"])
        expected = {
            f"{config}/{name}": as_mlcroissant_gives_it(features()[name], row[name], f"{config}/{name}")
            for name in columns
        }
        if row["generation"] and row["generation"]["seed"] is not None:
            # pandas, which mlcroissant reads with, rounds whole numbers in structs if one of them is null.
            seed = record[f"{config}/generation"].pop(f"{config}/generation/seed")
            assert float(seed) == float(expected[f"{config}/generation"].pop(f"{config}/generation/seed"))
        assert record == expected


def test_a_split_is_read_without_the_files_of_the_others(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlcroissant")
    manifest = with_detection(folder)
    for file in manifest.files:
        path = tmp_path / file.path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((folder / file.path).read_bytes() if file.split == "test" else b"damaged")
    write_croissant(tmp_path, manifest, SETTINGS, **GIVEN)
    records = list(opened(tmp_path).records("default", filters={"default/split": "test"}))
    assert len(records) == manifest.splits["test"]


def test_all_splits_together_are_every_image_once(folder: Path) -> None:
    records = list(opened(folder).records("default"))
    assert {record["default/image_id"].decode() for record in records} == set(read_manifest(folder).images)
    assert len(records) == 24


def test_polygons_are_rings_of_numbers_in_the_way_of_the_specification(folder: Path) -> None:
    (default,) = [each for each in read(folder)["recordSet"] if each["@id"] == "default"]
    (artifacts,) = [each for each in default["field"] if each["name"] == "artifacts"]
    parts = {each["name"]: each for each in artifacts["subField"]}
    assert (artifacts["isArray"], artifacts["arrayShape"]) == (True, "-1")
    assert (parts["polygons"]["isArray"], parts["polygons"]["arrayShape"]) == (True, "-1,-1")
    assert parts["polygons"]["dataType"] == ["sc:Float", "cr:SegmentationMask", "sc:GeoShape"]
    assert (parts["bbox"]["arrayShape"], parts["bbox"]["dataType"]) == ("4", ["sc:Float", "cr:BoundingBox"])
    assert "isArray" not in parts["area"]


def as_text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def test_class_labels_refer_to_the_names_of_the_taxonomy(folder: Path) -> None:
    dataset = opened(folder)
    names = {
        id: [as_text(record[f"{id}/name"]) for record in dataset.records(id)]
        for id in ("categories", "subtypes", "content_types", "origins", "statuses")
    }
    taxonomy = load_taxonomy()
    assert names["categories"] == list(taxonomy.category_ids)
    assert names["subtypes"] == list(taxonomy.subtype_ids)
    assert names["content_types"] == list(taxonomy.content_type_ids)
    assert names["origins"] == ["synthetic", "real"]
    (default,) = [each for each in dataset.metadata.record_sets if each.uuid == "default"]
    (artifacts,) = [each for each in default.fields if each.name == "artifacts"]
    referred = {each.name: each.references.uuid for each in artifacts.sub_fields if each.references}
    assert referred == {"category": "categories/id", "subtype": "subtypes/id"}


def test_splits_are_those_of_the_vocabulary(folder: Path) -> None:
    (splits,) = [each for each in read(folder)["recordSet"] if each["@id"] == "splits"]
    assert splits["dataType"] == "cr:Split"
    assert {each["splits/name"]: each["splits/url"] for each in splits["data"]} == {
        "train": "cr:TrainingSplit",
        "validation": "cr:ValidationSplit",
        "test": "cr:TestSplit",
    }


# What else is in the file


def test_the_same_release_gives_the_same_bytes_without_time_or_place(folder: Path, tmp_path: Path) -> None:
    for _ in range(2):
        write_croissant(tmp_path, with_detection(folder), SETTINGS, licences=["CC0-1.0", "my own"], **GIVEN)
        data = (tmp_path / CROISSANT_NAME).read_bytes()
        assert data == (folder / CROISSANT_NAME).read_bytes()
    assert str(folder).encode() not in data


def test_totals_tell_how_many_raters_looked_and_how_well_they_agree(folder: Path) -> None:
    totals = Totals()
    totals.labels["raters"].update({("1", "train"): 4, ("3", "test"): 2})
    totals.spreads["agreement"].add(0.5)
    totals.spreads["agreement"].add(0.75)
    totals.simulated = 3
    described = describe(read_manifest(folder), SETTINGS, totals=totals)
    assert described["rai:annotationsPerItem"] == "4 images by 1 rater; 2 images by 3 raters"
    assert "0.625" in described["rai:dataAnnotationAnalysis"][0]
    assert "3 images were drawn by a simulation" in described["rai:dataLimitations"][0]


def test_the_card_and_croissant_cite_the_same_paper(folder: Path) -> None:
    assert CITATION in (folder / CARD_NAME).read_text(encoding="utf-8")
    assert read(folder)["citeAs"] == CITATION
