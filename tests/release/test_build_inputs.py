"""What of a workspace gets into a release, and into which split."""

from pathlib import Path

import pytest
from releasing import (
    add_records,
    changed,
    filled_workspace,
    noise_png,
    replace_records,
    sample_record,
)

from synthscars.ingest import ingest
from synthscars.problems import Problems, ReleaseError, WorkspaceError
from synthscars.records import Artifact, Review
from synthscars.release import build_release, read_manifest, versions
from synthscars.workspace import Workspace


def test_an_annotated_image_whose_regions_could_not_be_read_does_not_count_as_clean(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 4)
    records = [sample_record(seed, noise_png(seed)) for seed in range(4)]
    records[1] = changed(records[1], artifacts=(), reviews=())
    problems = Problems()
    report = build_release(workspace, "1.0.0", problems, records=replace_records(workspace, records))
    assert report.left_out == {"record.no_artifact": 1}
    assert [problem.image for problem in problems if problem.code == "record.no_artifact"] == [
        records[1].image_id
    ]


def test_what_nobody_looked_at_or_skipped_is_left_out_and_counted(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 12)
    records = [sample_record(seed, noise_png(seed)) for seed in range(12)]
    records[0] = changed(records[0], status="unlabelled", reviews=())
    records[1] = changed(records[1], artifacts=(), reviews=(Review(rater_id="rater-1", status="skipped"),))
    records[2] = changed(records[2], artifacts=(Artifact(artifact_id="a", polygons=((1, 1, 2, 2),)),))
    path = workspace.find_image(records[3].image_id)
    assert path
    path.unlink()
    problems = Problems()
    report = build_release(workspace, "1.0.0", problems, records=replace_records(workspace, records))
    assert report.images == 8
    assert report.left_out == {
        "image.missing": 1,
        "record.no_artifact_left": 1,
        "skipped": 1,
        "unlabelled": 1,
    }
    manifest = read_manifest(report.path)
    assert manifest.set_aside == {
        records[2].image_id: "record.no_artifact_left",
        records[3].image_id: "image.missing",
    }
    assert problems.failed
    assert not {record.image_id for record in records[:4]} & set(manifest.images)


def test_a_split_without_images_is_left_out_and_opens_all_the_same(tmp_path: Path) -> None:
    import datasets

    workspace = filled_workspace(tmp_path / "w", 2)
    problems = Problems()
    report = build_release(workspace, "1.0.0", problems)
    assert list(report.splits) == ["train"]
    assert [(problem.code, problem.severity) for problem in problems] == [("split.empty", "info")] * 2
    loaded = datasets.load_dataset(str(report.path), cache_dir=str(tmp_path / "cache"))
    assert list(loaded) == ["train"]
    assert loaded["train"].num_rows == 2


def test_a_release_without_any_image_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 3)
    records = [
        changed(sample_record(seed, noise_png(seed)), status="unlabelled", reviews=(), artifacts=())
        for seed in range(3)
    ]
    with pytest.raises(ReleaseError, match="unlabelled 3"):
        build_release(workspace, "1.0.0", Problems(), records=replace_records(workspace, records))
    assert not workspace.releases_dir.exists() or not list(workspace.releases_dir.iterdir())


def test_a_workspace_without_records_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="no records yet"):
        build_release(Workspace.create(tmp_path / "w"), "1.0.0", Problems())


def test_images_keep_their_split_from_version_to_version(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 20)
    build_release(workspace, "0.9.0", Problems())
    first = read_manifest(workspace.release_dir("0.9.0"))
    records = [sample_record(seed, noise_png(seed)) for seed in range(20)]
    added = add_records(workspace, range(20, 60))
    replace_records(workspace, [*added, *records])
    build_release(workspace, "0.10.0", Problems())
    second = read_manifest(workspace.release_dir("0.10.0"))
    assert {image: second.images[image].split for image in first.images} == {
        image: entry.split for image, entry in first.images.items()
    }
    assert second.splits == {"train": 48, "validation": 6, "test": 6}
    assert second.inputs["manifest 0.9.0"].name == "releases/0.9.0/manifest.json"
    assert list(versions(workspace.releases_dir)) == ["0.9.0", "0.10.0"]


def test_an_image_that_one_version_left_out_comes_back_into_its_split(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 30)
    records = [sample_record(seed, noise_png(seed)) for seed in range(30)]
    build_release(workspace, "1.0.0", Problems())
    first = read_manifest(workspace.release_dir("1.0.0")).images
    protected = {image_id for image_id, entry in first.items() if entry.split != "train"}
    assert len(protected) == 6
    replace_records(workspace, [record for record in records if record.image_id not in protected])
    build_release(workspace, "1.1.0", Problems())
    replace_records(workspace, records)
    build_release(workspace, "1.2.0", Problems())
    third = read_manifest(workspace.release_dir("1.2.0")).images
    assert {image_id: entry.split for image_id, entry in third.items()} == {
        image_id: entry.split for image_id, entry in first.items()
    }


def test_the_split_that_a_source_prescribes_is_kept_and_an_unknown_one_reported(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 6)
    records = [sample_record(seed, noise_png(seed)) for seed in range(6)]
    records[:3] = [changed(record, split="test") for record in records[:3]]
    records[3] = changed(records[3], split="holdout")
    problems = Problems()
    build_release(workspace, "1.0.0", problems, records=replace_records(workspace, records))
    manifest = read_manifest(workspace.release_dir("1.0.0"))
    assert {manifest.images[record.image_id].split for record in records[:3]} == {"test"}
    assert [problem.image for problem in problems if problem.code == "split.unknown"] == [records[3].image_id]


def test_near_duplicates_share_a_group_and_a_split(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 24)
    records = [sample_record(seed, noise_png(seed)) for seed in range(24)]
    twins = [changed(record, extra={"phash": "f0e1c3870f1e3c78"}) for record in records[:5]]
    build_release(workspace, "1.0.0", Problems(), records=replace_records(workspace, [*twins, *records[5:]]))
    images = read_manifest(workspace.release_dir("1.0.0")).images
    entries = {(images[twin.image_id].split, images[twin.image_id].group) for twin in twins}
    assert len(entries) == 1
    assert next(iter(entries))[1] == min(twin.image_id for twin in twins)


def test_a_licence_that_was_corrected_after_the_pull_is_the_one_released(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "w")
    images = tmp_path / "images"
    images.mkdir()
    for seed in range(4):
        (images / f"{seed}.png").write_bytes(noise_png(seed))
    ingest(workspace, [images], Problems())
    pulled = [
        changed(record, status="clean", reviews=(Review(rater_id="rater-1", status="clean"),))
        for record in workspace.images()
    ]
    replace_records(workspace, pulled)
    ingest(workspace, [images], Problems(), license="CC-BY-4.0", origin="real")
    build_release(workspace, "1.0.0", Problems())
    card = (workspace.release_dir("1.0.0") / "README.md").read_text(encoding="utf-8")
    assert "| images | CC-BY-4.0 | 4 |" in card
    assert "| images | unknown | 4 |" not in card


def test_nothing_to_release_says_whether_something_is_wrong_or_nothing_is_annotated(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 1)
    (record,) = [sample_record(0, noise_png(0))]
    replace_records(workspace, [changed(record, status="unlabelled", reviews=())])
    with pytest.raises(ReleaseError) as nothing:
        build_release(workspace, "1.0.0", Problems())
    assert nothing.value.fix == "annotate images and pull them"
    broken = Artifact(artifact_id="x", polygons=((1.0, 1.0, 2.0, 2.0),), rater_id="rater-1")
    replace_records(workspace, [changed(record, status="annotated", artifacts=(broken,))])
    with pytest.raises(ReleaseError) as wrong:
        build_release(workspace, "1.0.0", Problems())
    assert wrong.value.fix == "mend the problems that were reported"
