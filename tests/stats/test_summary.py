import re
import shutil
import statistics
from collections import Counter
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
import shapely
from click.testing import CliRunner
from releasing import (
    changed,
    filled_workspace,
    noise_png,
    raters_workspace,
    replace_records,
    sample_record,
)

from synthscars.cli import main
from synthscars.problems import Problems, ReleaseError
from synthscars.records import Artifact
from synthscars.release import build_release, read_manifest
from synthscars.stats import Summary, encode_summary, read_tables, summarize
from synthscars.workspace import Workspace

COUNT = 40


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = filled_workspace(tmp_path_factory.mktemp("stats") / "w", COUNT)
    build_release(workspace, "1.0.0", Problems())
    return workspace


@pytest.fixture(scope="module")
def summary(workspace: Workspace) -> Summary:
    return summarize(workspace.release_dir("1.0.0"))


RECORDS = [sample_record(seed, noise_png(seed)) for seed in range(COUNT)]
ARTIFACTS = [(record, artifact) for record in RECORDS for artifact in record.artifacts]


def split_of(workspace: Workspace) -> dict[str, str]:
    images = read_manifest(workspace.release_dir("1.0.0")).images
    return {image_id: entry.split for image_id, entry in images.items()}


def shape(artifact: Artifact) -> shapely.Polygon:
    (ring,) = artifact.polygons
    return shapely.Polygon(list(zip(ring[::2], ring[1::2], strict=True)))


def test_images_and_artifacts_are_counted_by_split(workspace: Workspace, summary: Summary) -> None:
    split = split_of(workspace)
    assert summary.images == {**Counter(split.values()), "all": COUNT}
    artifacts = Counter(split[record.image_id] for record, _ in ARTIFACTS)
    assert summary.artifacts == {**artifacts, "all": len(ARTIFACTS)}


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("status", [(r, r.status) for r in RECORDS]),
        ("origin", [(r, r.origin) for r in RECORDS]),
        ("content_type", [(r, r.content_type) for r in RECORDS]),
        (
            "generator",
            [(r, f"automatic1111 {r.generation.model}" if r.generation else None) for r in RECORDS],
        ),
        ("source", [(r, r.source.partition("/")[0] or None) for r in RECORDS]),
        ("license", [(r, r.license) for r in RECORDS]),
        ("rater", [(r, "rater-1") for r in RECORDS]),
        ("artifacts_per_image", [(r, str(len(r.artifacts))) for r in RECORDS]),
        ("raters_per_image", [(r, "1") for r in RECORDS]),
        ("category", [(r, a.category) for r, a in ARTIFACTS]),
        ("subtype", [(r, a.subtype) for r, a in ARTIFACTS]),
        ("votes", [(r, "1") for r, _ in ARTIFACTS]),
    ],
)
def test_counts_are_those_of_plain_counting(
    workspace: Workspace, summary: Summary, name: str, labels: list
) -> None:
    split = split_of(workspace)
    expected = Counter((label or "unknown", split[record.image_id]) for record, label in labels)
    found = {
        (label, where): count
        for label, counts in summary.counts[name].items()
        for where, count in counts.items()
        if where != "all" and count
    }
    assert found == expected
    for label, counts in summary.counts[name].items():
        assert counts["all"] == sum(count for (other, _), count in expected.items() if other == label)


def test_every_class_is_listed_also_with_0(summary: Summary) -> None:
    assert list(summary.counts["category"]) == ["physics", "structure", "distortion"]
    assert list(summary.counts["content_type"]) == ["human", "object", "animal", "scene", "unknown"]
    assert summary.counts["content_type"]["scene"]["all"] == 0


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("area", [shape(a).area for _, a in ARTIFACTS]),
        ("area_share", [shape(a).area / (r.width * r.height) for r, a in ARTIFACTS]),
        ("vertices", [len(shape(a).exterior.coords) - 1 for _, a in ARTIFACTS]),
        ("rings", [1 for _ in ARTIFACTS]),
        ("phrase_words", [len(a.phrase.split()) for _, a in ARTIFACTS]),
        ("explanation_characters", [len(a.explanation) for _, a in ARTIFACTS]),
        (
            "coverage",
            [
                shapely.union_all([shape(a) for a in r.artifacts]).area / (r.width * r.height)
                for r in RECORDS
                if r.artifacts
            ],
        ),
    ],
)
def test_sizes_are_those_of_shapely_and_the_statistics_module(
    summary: Summary, name: str, values: list[float]
) -> None:
    found = summary.sizes[name]
    assert found.count == len(values)
    assert found.mean == pytest.approx(statistics.fmean(values))
    assert found.std == pytest.approx(statistics.stdev(values))
    assert found.median == pytest.approx(statistics.median(values))
    assert (found.min, found.max) == pytest.approx((min(values), max(values)))
    quartiles = statistics.quantiles(values, n=20, method="inclusive")
    assert (found.p5, found.p25, found.p75, found.p95) == pytest.approx(
        (quartiles[0], quartiles[4], quartiles[14], quartiles[18])
    )


def test_region_sizes_are_told_apart_by_category(summary: Summary) -> None:
    for category, found in summary.area_share_by_category.items():
        values = [shape(a).area / (r.width * r.height) for r, a in ARTIFACTS if a.category == category]
        assert (found.count, found.median) == (len(values), pytest.approx(statistics.median(values)))


def test_the_json_can_be_read_back(summary: Summary) -> None:
    assert msgspec.json.decode(encode_summary(summary), type=Summary) == summary


def test_a_release_with_nothing_in_it_but_a_clean_image_is_counted(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 1)
    build_release(workspace, "1.0.0", Problems())
    found = summarize(workspace.release_dir("1.0.0"))
    assert (found.images, found.artifacts) == ({"train": 1, "all": 1}, {"train": 0, "all": 0})
    assert "area" not in found.sizes
    assert found.area_share_by_category == {}


def test_what_is_not_a_release_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is not a release"):
        summarize(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train-00000-of-00001.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ReleaseError, match="train-00000-of-00001"):
        summarize(tmp_path)


def test_images_are_not_read(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    asked: list[list[str]] = []
    original = pq.ParquetFile.iter_batches

    def record_columns(self: object, *arguments: object, **options: object) -> object:
        asked.append(options["columns"])  # type: ignore[arg-type]
        return original(self, *arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", record_columns)
    read_tables(workspace.release_dir("1.0.0"))
    assert asked
    assert not any(
        column.startswith("image.") or column == "image" for columns in asked for column in columns
    )


def test_unknown_categories_are_counted_as_unknown(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 8)
    records = [
        changed(record, artifacts=tuple(changed(a, category=None, subtype=None) for a in record.artifacts))
        for record in RECORDS[:8]
    ]
    build_release(workspace, "1.0.0", Problems(), records=replace_records(workspace, records))
    found = summarize(workspace.release_dir("1.0.0"))
    assert found.counts["category"]["unknown"]["all"] == found.artifacts["all"] == 12
    assert found.counts["category"]["physics"]["all"] == 0


def test_what_raters_drew_and_photographs_that_nobody_annotated_are_counted_once_and_apart(
    tmp_path: Path,
) -> None:
    workspace = raters_workspace(tmp_path / "w", 12, merged=0, photographs=5)
    build_release(workspace, "1.0.0", Problems())
    folder = workspace.release_dir("1.0.0")
    summary = summarize(folder)
    manifest = read_manifest(folder)
    assert summary.images == {
        **Counter(each.split for each in manifest.images.values()),
        "all": len(manifest.images),
    }
    assert summary.counts["origin"] == {"synthetic": summary.images}
    (plain, drawn) = (
        sum(len(row[column] or ()) for path in (folder / "data").iterdir() for row in rows(path, column))
        for column in ("artifacts", "rater_artifacts")
    )
    assert summary.artifacts["all"] == plain < drawn
    assert {name: each["all"] for name, each in summary.counts["rater"].items()} == dict.fromkeys(
        ("anna", "ben", "carla"), len(manifest.images)
    )
    apart = Counter(each.split for each in manifest.detection_images.values())
    assert summary.photographs == {**apart, "all": 5}
    shown = CliRunner().invoke(main, ["stats", str(folder), "--output", str(tmp_path / "out")]).stdout
    (line,) = [line for line in shown.splitlines() if "photographs nobody annotated" in line]
    assert re.findall(r"\d+", line) == [*(str(apart[split]) for split in list(summary.images)[:-1]), "5"]


def test_shards_of_any_version_are_counted(workspace: Workspace, tmp_path: Path) -> None:
    before = summarize(workspace.release_dir("1.0.0"))
    folder = tmp_path / "r"
    shutil.copytree(workspace.release_dir("1.0.0"), folder)
    (path,) = (folder / "data").glob("train-*.parquet")
    table = pq.read_table(path)
    path.unlink()
    for number, part in enumerate((table.slice(0, 7), table.slice(7))):
        pq.write_table(part, folder / f"data/train-{number:05d}-of-00002.parquet")
    assert summarize(folder).counts == before.counts


def test_a_damaged_file_of_photographs_is_named(workspace: Workspace, tmp_path: Path) -> None:
    shutil.copytree(workspace.release_dir("1.0.0"), tmp_path / "r")
    (tmp_path / "r/detection").mkdir()
    (tmp_path / "r/detection/train-00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(ReleaseError, match=r"detection/train-00000\.parquet is not a file of a release"):
        summarize(tmp_path / "r")


def rows(path: Path, column: str) -> list[dict[str, list[object] | None]]:
    return pq.read_table(path, columns=[column]).to_pylist()
