import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from releasing import changed, noise_png, sample_record
from strategies import records

from synthscars.problems import FormatError
from synthscars.records import Artifact, Generation, ImageRecord
from synthscars.release.features import DESCRIPTIONS, features, from_row, to_row
from synthscars.taxonomy import load_taxonomy


@given(records())
def test_any_record_survives_the_way_through_parquet(record: ImageRecord) -> None:
    table = pa.Table.from_pylist([to_row(record, b"bytes")], schema=features().arrow_schema)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    (row,) = pq.read_table(buffer).to_pylist()
    assert from_row(row, record.split) == record
    assert row["image"] == {"bytes": b"bytes", "path": record.file_name}
    assert row["rater_list"] == list(record.raters)


@given(records())
def test_box_and_area_are_those_of_the_polygons(record: ImageRecord) -> None:
    for artifact, row in zip(record.artifacts, to_row(record, b"")["artifacts"], strict=True):
        shapes = [
            shapely.Polygon(list(zip(ring[::2], ring[1::2], strict=True))) for ring in artifact.polygons
        ]
        union = shapely.union_all(shapes)
        left, top, right, bottom = union.bounds
        assert row["area"] == pytest.approx(union.area)
        assert row["bbox"] == pytest.approx([left, top, right - left, bottom - top])


def test_the_largest_seed_of_a_generator_is_kept() -> None:
    record = changed(sample_record(1, b""), generation=Generation(seed=2**64 - 1))
    table = pa.Table.from_pylist([to_row(record, b"")], schema=features().arrow_schema)
    generation = from_row(table.to_pylist()[0]).generation
    assert generation is not None
    assert generation.seed == 2**64 - 1


def test_class_labels_have_the_order_of_the_taxonomy() -> None:
    taxonomy = load_taxonomy()
    found = features()
    artifact = found["artifacts"].feature
    assert tuple(artifact["category"].names) == taxonomy.category_ids
    assert tuple(artifact["subtype"].names) == taxonomy.subtype_ids
    assert tuple(found["content_type"].names) == taxonomy.content_type_ids


def test_every_column_is_described() -> None:
    described = set(DESCRIPTIONS)
    found = features()
    assert set(found) - described == {"artifacts"}
    assert {f"artifacts.{name}" for name in found["artifacts"].feature} <= described
    assert described <= set(found) | {f"artifacts.{name}" for name in found["artifacts"].feature}


@pytest.mark.parametrize(
    "broken",
    [
        {"content_type": "robot"},
        {"artifacts": (Artifact(artifact_id="x", category="magic"),)},
        {"generation": Generation(seed=-1)},
        {"generation": Generation(steps=2**63)},
        {"width": 2**31},
    ],
)
def test_what_does_not_fit_a_column_is_an_error_that_names_the_image(broken: dict[str, object]) -> None:
    record = changed(sample_record(0, noise_png(0)), **broken)
    with pytest.raises(FormatError, match=record.image_id):
        to_row(record, b"")


def test_a_row_of_another_shape_is_an_error_that_names_the_image() -> None:
    row = to_row(sample_record(1, b""), b"")
    broken = [("origin", 7), ("origin", -1), ("extra", "not json"), ("extra", "[1]"), ("artifacts", None)]
    broken += [("caption", 5), ("width", "48"), ("reviews", [{}])]
    for name, value in broken:
        with pytest.raises(FormatError, match=row["image_id"]):
            from_row({**row, name: value})
