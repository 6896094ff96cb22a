import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from folders import folder_bytes
from PIL import Image
from releasing import (
    changed,
    filled_workspace,
    noise_png,
    replace_records,
    sample_record,
)

from synthscars.consensus import adjudicate
from synthscars.ingest import ingest
from synthscars.problems import Problems, ReleaseError, UsageError, WorkspaceError
from synthscars.records import Artifact, Generation, ImageRecord, Review
from synthscars.release import build_release, features, from_row, read_manifest, versions
from synthscars.release import filing as filing_module
from synthscars.release import shards as shards_module
from synthscars.release.splits import SPLITS
from synthscars.simulate import write_simulated
from synthscars.workspace import Workspace

SPLIT_SIZES = {"train": 19, "validation": 2, "test": 3}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = filled_workspace(tmp_path_factory.mktemp("release") / "w")
    problems = Problems()
    report = build_release(workspace, "1.0.0", problems)
    assert not len(problems)
    assert (report.images, report.splits) == (24, SPLIT_SIZES)
    return workspace


def expected_records() -> dict[str, ImageRecord]:
    """What went in, with the raters' answers merged."""
    records = [sample_record(seed, noise_png(seed)) for seed in range(24)]
    return {record.image_id: record for record in adjudicate(records, Problems(), min_iou=0.5)}


@pytest.mark.parametrize("streaming", [False, True])
def test_load_dataset_gives_back_what_went_in(workspace: Workspace, tmp_path: Path, streaming: bool) -> None:
    import datasets

    loaded = datasets.load_dataset(
        str(workspace.release_dir("1.0.0")), cache_dir=str(tmp_path), streaming=streaming
    )
    assert set(loaded) == set(SPLITS)
    manifest = read_manifest(workspace.release_dir("1.0.0"))
    expected = expected_records()
    pictures = {sample_record(seed, noise_png(seed)).image_id: noise_png(seed) for seed in range(24)}
    seen = []
    for split, dataset in loaded.items():
        assert dataset.features == features()
        raw = dataset.cast_column("image", datasets.Image(decode=False))
        for row, plain in zip(dataset, raw, strict=True):
            image_id = row["image_id"]
            record = changed(expected[image_id], group_id=image_id, split=split)
            assert from_row(row, split) == record
            assert manifest.images[image_id].split == split
            assert row["image"].size == (record.width, record.height)
            assert plain["image"] == {"bytes": pictures[image_id], "path": record.file_name}
            label = dataset.features["artifacts"].feature["category"]
            assert [label.int2str(artifact["category"]) for artifact in row["artifacts"]] == [
                artifact.category for artifact in record.artifacts
            ]
            seen.append(image_id)
    assert sorted(seen) == sorted(expected)


def test_rows_stand_in_the_order_of_their_ids_and_decode_to_the_same_pixels(
    workspace: Workspace, tmp_path: Path
) -> None:
    import datasets

    train = datasets.load_dataset(str(workspace.release_dir("1.0.0")), cache_dir=str(tmp_path), split="train")
    assert list(train["image_id"]) == sorted(train["image_id"])
    path = workspace.find_image(train[0]["image_id"])
    assert path
    with Image.open(path) as original:
        assert train[0]["image"].tobytes() == original.convert("RGB").tobytes()


def test_the_files_open_without_the_datasets_library(workspace: Workspace) -> None:
    import pandas as pd

    folder = workspace.release_dir("1.0.0")
    frame = pd.concat(pd.read_parquet(path) for path in sorted(folder.glob("data/*.parquet")))
    assert len(frame) == 24
    for image, image_id in zip(frame["image"], frame["image_id"], strict=True):
        assert hashlib.sha256(image["bytes"]).hexdigest() == image_id


def test_parquet_is_laid_out_for_readers_and_for_deduplication(workspace: Workspace) -> None:
    import pyarrow.parquet as pq

    (path,) = (workspace.release_dir("1.0.0") / "data").glob("train-*")
    assert path.name == "train-00000.parquet"
    group = pq.ParquetFile(path).metadata.row_group(0)
    columns = {group.column(index).path_in_schema: group.column(index) for index in range(group.num_columns)}
    assert columns["image.bytes"].compression == "UNCOMPRESSED"
    assert columns["artifacts.list.element.explanation"].compression == "ZSTD"
    assert all(column.has_offset_index for column in columns.values())
    content = path.read_bytes()
    assert all(noise_png(seed) in content for seed in range(24) if sample_in(path, seed))


def sample_in(path: Path, seed: int) -> bool:
    import pyarrow.parquet as pq

    ids = pq.read_table(path, columns=["image_id"])["image_id"].to_pylist()
    return sample_record(seed, noise_png(seed)).image_id in ids


def test_two_builds_with_other_folders_workers_and_days_are_equal(
    workspace: Workspace, tmp_path: Path
) -> None:
    import os

    other = filled_workspace(tmp_path / "somewhere else" / "w")
    for path in other.images_dir.rglob("*.png"):
        os.utime(path, (0, 0))
    build_release(other, "1.0.0", Problems(), workers=7)
    assert folder_bytes(other.release_dir("1.0.0")) == folder_bytes(workspace.release_dir("1.0.0"))


def test_the_order_of_the_records_does_not_matter(workspace: Workspace, tmp_path: Path) -> None:
    other = filled_workspace(tmp_path / "w")
    records = [sample_record(seed, noise_png(seed)) for seed in reversed(range(24))]
    build_release(other, "1.0.0", Problems(), records=replace_records(other, records))
    ours = folder_bytes(workspace.release_dir("1.0.0"))
    theirs = folder_bytes(other.release_dir("1.0.0"))
    assert [name for name in ours if ours[name] != theirs[name]] == ["manifest.json"]


def test_the_manifest_says_what_is_there_and_what_it_was_made_from(workspace: Workspace) -> None:
    folder = workspace.release_dir("1.0.0")
    manifest = read_manifest(folder)
    for shard in manifest.files:
        content = (folder / shard.path).read_bytes()
        assert (shard.bytes, shard.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "README.md",
        "DATA_STATEMENT.md",
        "GUIDELINE.md",
        *(f"figures/{name}.png" for name in ("composition", "sizes", "places")),
        "figures/examples.jpg",
        "croissant.json",
        "checks.json",
        "splits.json",
        "manifest.json",
        *(shard.path for shard in manifest.files),
    }
    source = workspace.latest_records()
    assert manifest.inputs["records"].name == f"records/{source.name}"
    assert manifest.inputs["records"].sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert list(manifest.splits.items()) == list(SPLIT_SIZES.items())
    assert sorted(manifest.images) == sorted(expected_records())
    text = (folder / "manifest.json").read_text()
    assert str(workspace.root) not in text
    assert not re.search(r"20\d\d-\d\d-\d\d", text)


def test_the_card_tells_the_hub_what_load_dataset_needs(workspace: Workspace) -> None:
    from datasets import Features

    text = (workspace.release_dir("1.0.0") / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["configs"][0]["config_name"] == "default"
    assert [entry["split"] for entry in front["configs"][0]["data_files"]] == list(SPLITS)
    info = next(info for info in front["dataset_info"] if info["config_name"] == "default")
    assert {entry["name"]: entry["num_examples"] for entry in info["splits"]} == SPLIT_SIZES
    assert Features._from_yaml_list(info["features"]) == features()
    assert (front["license"], front["size_categories"]) == ("other", ["n<1K"])
    assert "| sources of noise | CC0-1.0 | 12 |" not in text
    assert "| sources \\| of noise | CC0-1.0 | 12 |" in text
    assert "imulat" not in text.split("# noise 1.0.0")[1].split("## Loading")[0]


def test_markup_in_texts_from_outside_is_only_text_in_the_card(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 0)
    data = noise_png(1)
    workspace.add_image(data, sample_record(1, data).image_id, ".png")
    artifact = Artifact(
        artifact_id="a",
        polygons=((1, 1, 9, 1, 9, 9),),
        phrase="```\n# heading",
        explanation="<script>alert(1)</script>",
        rater_id="rater-1",
    )
    record = changed(
        sample_record(1, data),
        artifacts=(artifact,),
        source="simulated <b>x</b>\n| [link](http://example.invalid) `code`",
    )
    build_release(workspace, "1.0.0", Problems(), records=replace_records(workspace, [record]))
    text = (workspace.release_dir("1.0.0") / "README.md").read_text()
    example = text.split("```json\n")[1].split("\n```")[0]
    assert json.loads(example)["artifacts"][0]["phrase"] == "```\n# heading"
    (line,) = [line for line in text.splitlines() if line.startswith("| simulated")]
    assert "<b>" not in line
    assert "[link]" not in line
    assert line.replace("\\|", "").count("|") == 4


def test_only_images_of_the_simulation_are_called_simulated(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 0)
    outputs = write_simulated(tmp_path / "simulations", 1).parent / "images"
    (outputs / "other.png").write_bytes(noise_png(1))
    ingest(workspace, [outputs], Problems())
    drawn, other = (
        changed(record, status="clean", reviews=(Review(rater_id="r", status="clean"),))
        for record in sorted(workspace.images(), key=lambda record: record.file_name, reverse=True)
    )
    other = changed(other, source="simulations/other.png", generation=Generation(model="simulator mix"))
    build_release(workspace, "1.0.0", Problems(), records=replace_records(workspace, [drawn]))
    assert "> **Simulated.** All images" in (workspace.release_dir("1.0.0") / "README.md").read_text()
    build_release(workspace, "1.1.0", Problems(), records=replace_records(workspace, [other]))
    assert "Simulated" not in (workspace.release_dir("1.1.0") / "README.md").read_text()


def test_huge_texts_do_not_make_a_huge_card(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 2)
    record = sample_record(1, noise_png(1))
    assert record.generation is not None
    huge = changed(
        record,
        artifacts=tuple(changed(record.artifacts[0], artifact_id=str(number)) for number in range(200)),
        generation=changed(record.generation, prompt="p" * 2_000_000, parameters={"x": "y" * 2_000_000}),
        extra={"z": "z" * 2_000_000},
    )
    build_release(workspace, "1.0.0", Problems(), records=replace_records(workspace, [huge]))
    text = (workspace.release_dir("1.0.0") / "README.md").read_text()
    assert len(text) < 50_000
    assert json.loads(text.split("```json\n")[1].split("\n```")[0])["generation"]["prompt"].endswith("p...")


def test_a_release_is_not_replaced_without_force(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 6)
    build_release(workspace, "1.0.0", Problems())
    before = folder_bytes(workspace.release_dir("1.0.0"))
    with pytest.raises(ReleaseError, match="exists already"):
        build_release(workspace, "1.0.0", Problems())
    (workspace.release_dir("1.0.0") / "README.md").write_text("changed by hand")
    build_release(workspace, "1.0.0", Problems(), force=True)
    assert folder_bytes(workspace.release_dir("1.0.0")) == before
    assert [path.name for path in workspace.releases_dir.iterdir()] == ["1.0.0"]


def test_a_failed_replacement_leaves_the_old_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = filled_workspace(tmp_path / "w", 6)
    build_release(workspace, "1.0.0", Problems())
    before = folder_bytes(workspace.release_dir("1.0.0"))

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("synthscars.release.write.write_card", fail)
    with pytest.raises(WorkspaceError, match="No space") as full:
        build_release(workspace, "1.0.0", Problems(), force=True)
    assert "what is finished is kept" in full.value.fix
    assert folder_bytes(workspace.release_dir("1.0.0")) == before
    assert list(versions(workspace.releases_dir)) == ["1.0.0"]


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "../1.0.0", "01.0.0"])
def test_what_is_not_a_version_is_refused(workspace: Workspace, version: str) -> None:
    with pytest.raises(UsageError):
        build_release(workspace, version, Problems())


def test_large_splits_are_cut_into_shards_and_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets
    import pyarrow.parquet as pq

    monkeypatch.setattr("synthscars.release.plan.SHARD_BYTES", 40_000)
    monkeypatch.setattr(shards_module, "ROW_GROUP_ROWS", 3)
    workspace = filled_workspace(tmp_path / "w", 24)
    report = build_release(workspace, "1.0.0", Problems())
    files = sorted(path.name for path in (report.path / "data").glob("train-*"))
    assert len(files) > 1
    assert files == [f"train-{number:05d}.parquet" for number in range(len(files))]
    sizes = [pq.ParquetFile(report.path / "data" / name).metadata.row_group(0).num_rows for name in files]
    assert max(sizes) <= 3
    loaded = datasets.load_dataset(str(report.path), cache_dir=str(tmp_path / "cache"))
    assert {split: dataset.num_rows for split, dataset in loaded.items()} == report.splits
    ids = list(loaded["train"]["image_id"])
    assert ids == sorted(ids)


def test_an_image_that_changes_during_the_build_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = filled_workspace(tmp_path / "w", 3)
    original = filing_module.write_shard

    def meddle(*arguments: object, **options: object) -> int:
        for path in workspace.images_dir.glob("*/*.png"):
            path.write_bytes(b"something else")
        return original(*arguments, **options)

    monkeypatch.setattr(filing_module, "write_shard", meddle)
    with pytest.raises(ReleaseError, match="changed while"):
        build_release(workspace, "1.0.0", Problems())
    assert list(workspace.releases_dir.iterdir()) == []


def test_a_folder_that_is_no_release_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is not a release"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(ReleaseError, match=r"manifest\.json"):
        read_manifest(tmp_path)


def test_progress_counts_every_image(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 5)
    counted: dict[str, int] = {}
    totals: dict[str, int | None] = {}

    def stage(name: str, total: int | None) -> Callable[[int], None]:
        counted[name], totals[name] = 0, total

        def advance(count: int) -> None:
            counted[name] += count

        return advance

    build_release(workspace, "1.0.0", Problems(), stages=stage)
    assert counted == dict.fromkeys(["looking at images", "writing images", "checking"], 5)
    assert set(totals.values()) == {None, 5}
