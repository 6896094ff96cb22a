"""A version that follows another writes little, and the same bytes wherever and however it is built."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from folders import folder_bytes
from releasing import add_records, changed, filled_workspace, noise_png, replace_records, sample_record

from synthscars.problems import Problems, ReleaseError
from synthscars.records import ImageRecord
from synthscars.release import ReleaseReport, build_release, plan, read_manifest
from synthscars.release.manifest import Manifest
from synthscars.workspace import Workspace

SMALL = 20_000


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SHARD_BYTES", SMALL)


def build(
    workspace: Workspace, version: str | None, problems: Problems | None = None, **options: object
) -> ReleaseReport:
    found = Problems() if problems is None else problems
    return build_release(workspace, version, found, check=False, **options)  # type: ignore[arg-type]


def grown(root: Path, count: int = 40, more: int = 2) -> tuple[Workspace, list[ImageRecord]]:
    """A workspace with a release 1.0.0 of `count` images, and records of `more` that came since."""
    workspace = filled_workspace(root, count)
    build(workspace, "1.0.0")
    added = add_records(workspace, range(count, count + more))
    records = [sample_record(seed, noise_png(seed)) for seed in range(count)]
    replace_records(workspace, [*records, *added])
    return workspace, [*records, *added]


def inodes(folder: Path) -> dict[str, int]:
    return {f"{path.parent.name}/{path.name}": path.stat().st_ino for path in folder.glob("*/*.parquet")}


def test_one_percent_new_images_rewrite_at_most_three_percent_of_the_bytes(tmp_path: Path) -> None:
    workspace, _ = grown(tmp_path / "w", 200, 2)
    old = inodes(workspace.release_dir("1.0.0"))
    report = build(workspace, "1.1.0")
    assert report.images == 202
    assert 0 < report.written <= 0.03 * report.bytes
    new = inodes(report.path)
    shared = [path for path in new if new[path] == old.get(path)]
    assert len(shared) >= len(old) - 1


def test_linked_and_copied_files_give_the_same_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked, _ = grown(tmp_path / "linked")
    expected = folder_bytes(build(linked, "1.1.0").path)
    copied, _ = grown(tmp_path / "copied")

    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_links)
    report = build(copied, "1.1.0")
    assert folder_bytes(report.path) == expected
    assert not set(inodes(report.path).values()) & set(inodes(copied.release_dir("1.0.0")).values())


def test_the_files_of_a_version_are_the_same_whether_they_were_taken_over_or_written(tmp_path: Path) -> None:
    workspace, _ = grown(tmp_path / "w")
    expected = folder_bytes(build(workspace, "1.1.0").path)
    for path in workspace.release_dir("1.0.0").glob("data/*.parquet"):
        content = path.read_bytes()
        path.unlink()  # the other version has the same file
        path.write_bytes(content[:-8] + b"damaged!")
    problems = Problems()
    report = build(workspace, "1.1.0", problems, force=True)
    found = folder_bytes(report.path)
    data = [name for name in expected if name.endswith(".parquet") or name == "manifest.json"]
    assert {name: found[name] for name in data} == {name: expected[name] for name in data}
    assert report.written == report.bytes
    damaged = [problem.file for problem in problems if problem.code == "release.damaged"]
    assert damaged
    assert all(file.startswith("1.0.0/data/") for file in damaged)


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "folder"])
def test_a_damaged_file_of_the_version_before_is_never_taken_over(tmp_path: Path, damage: str) -> None:
    workspace, _ = grown(tmp_path / "w")
    path = sorted(workspace.release_dir("1.0.0").glob("data/train-*.parquet"))[0]
    content = path.read_bytes()
    path.unlink()
    if damage == "flipped":
        path.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "folder":
        path.mkdir()
    problems = Problems()
    report = build(workspace, "1.1.0", problems)
    assert (report.path / "data" / path.name).read_bytes() == content
    (found,) = [problem for problem in problems if problem.code == "release.damaged"]
    assert (found.severity, found.file) == ("warning", f"1.0.0/data/{path.name}")


def test_compact_makes_few_files_of_many_small_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SHARD_BYTES", 10**6)
    workspace = filled_workspace(tmp_path / "w", 20)
    records = [sample_record(seed, noise_png(seed)) for seed in range(20)]
    build(workspace, "1.0.0")
    for version in range(1, 5):
        records += add_records(workspace, range(20 * version, 20 * version + 2))
        replace_records(workspace, records)
        build(workspace, f"1.{version}.0")
    loose = read_manifest(workspace.release_dir("1.4.0"))
    report = build(workspace, "1.4.1", compact=True)
    tight = read_manifest(report.path)
    assert len(loose.files) > len(tight.files) == 3
    assert {image: entry.split for image, entry in tight.images.items()} == {
        image: entry.split for image, entry in loose.images.items()
    }
    assert report.written == report.bytes
    assert build(workspace, "1.4.2").written == 0


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_a_version_is_the_same_with_any_number_of_workers_and_in_any_order(
    tmp_path: Path, workers: int
) -> None:
    plain, records = grown(tmp_path / "plain")
    expected = folder_bytes(build(plain, "1.1.0").path)
    workspace, _ = grown(tmp_path / "w")
    source = replace_records(workspace, sorted(records, key=lambda each: each.image_id[::-1]))
    found = folder_bytes(build(workspace, "1.1.0", records=source, workers=workers).path)
    # The manifest names the file of records, which is another one.
    assert [name for name in expected if expected[name] != found.get(name)] == ["manifest.json"]
    assert set(found) == set(expected)


_ELSEWHERE = """
import os, sys
os.umask(int(sys.argv[4], 8))
from pathlib import Path
from synthscars.problems import Problems, ReleaseError
from synthscars.release import build_release, plan
from synthscars.workspace import Workspace

plan.SHARD_BYTES = int(sys.argv[3])
build_release(Workspace.open(Path(sys.argv[1])), sys.argv[2], Problems())
"""


@pytest.mark.slow
def test_two_machines_build_the_same(tmp_path: Path) -> None:
    found = []
    for name, umask, hash_seed, zone, language in (
        ("a", "022", "1", "UTC", "C"),
        ("b c/ü", "077", "4242", "Pacific/Kiritimati", "tr_TR.UTF-8"),
    ):
        workspace = filled_workspace(tmp_path / name / "w", 40)
        environment = {
            **os.environ,
            "PYTHONHASHSEED": hash_seed,
            "TZ": zone,
            "LANG": language,
            "LC_ALL": language,
            "HF_HUB_OFFLINE": "1",
            "TMPDIR": str(tmp_path / name),
            "HOME": str(tmp_path / name),
        }
        for version in ("1.0.0", "1.1.0"):
            subprocess.run(
                [sys.executable, "-c", _ELSEWHERE, str(workspace.root), version, str(SMALL), umask],
                check=True,
                env=environment,
                cwd=tmp_path / name,
            )
            records = [sample_record(seed, noise_png(seed)) for seed in range(40)]
            replace_records(workspace, [*records, *add_records(workspace, range(40, 43))])
            # The images of the second file of records alone are no version of their own.
            sorted(workspace.records_dir.iterdir())[-2].unlink()
        found.append({name: folder_bytes(workspace.release_dir(name)) for name in ("1.0.0", "1.1.0")})
    one, other = found
    for version in one:
        assert set(one[version]) == set(other[version])
        assert [name for name in one[version] if one[version][name] != other[version][name]] == []


def as_of_old(folder: Path) -> Manifest:
    """Make the manifest of a release one from before files had keys and images knew their file."""
    manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
    for file in manifest["files"]:
        del file["key"]
    for entry in manifest["images"].values():
        entry.pop("shard", None)
    for name in ("detection", "detection_images", "scrubbed", "deprecated"):
        manifest.pop(name, None)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return read_manifest(folder)


def test_after_a_release_from_before_keys_all_is_written_once_and_splits_stay(tmp_path: Path) -> None:
    workspace, _ = grown(tmp_path / "w")
    old = as_of_old(workspace.release_dir("1.0.0"))
    report = build(workspace, None)
    assert report.version == "1.1.0"
    assert report.written == report.bytes
    new = read_manifest(report.path)
    assert {image: new.images[image].split for image in old.images} == {
        image: entry.split for image, entry in old.images.items()
    }
    assert (report.path / "CHANGES.md").is_file()
    assert build(workspace, "1.1.1").written == 0


def test_a_file_whose_images_move_to_another_split_is_told_of_under_the_new_one(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 24)
    records = [sample_record(seed, noise_png(seed)) for seed in range(24)]
    build(workspace, "1.0.0")
    first = read_manifest(workspace.release_dir("1.0.0"))
    moved = {image for image, entry in first.images.items() if entry.split == "validation"}
    assert moved
    replace_records(
        workspace, [changed(each, split="test") if each.image_id in moved else each for each in records]
    )
    report = build(workspace, "1.1.0")
    manifest = read_manifest(report.path)
    assert {manifest.images[image].split for image in moved} == {"test"}
    for file in manifest.files:
        assert file.path.startswith(f"data/{file.split}-")
    rows = dict.fromkeys(manifest.splits, 0)
    for file in manifest.files:
        rows[file.split] += file.rows
    assert rows == manifest.splits


def test_a_file_that_is_taken_over_into_another_split_is_told_of_under_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SHARD_BYTES", 1)  # every image has a file of its own
    workspace = filled_workspace(tmp_path / "w", 24)
    records = [
        changed(sample_record(seed, noise_png(seed)), extra={"phash": f"{7**20 * (seed + 1) % 2**64:016x}"})
        for seed in range(24)
    ]
    build(workspace, "1.0.0", records=replace_records(workspace, records))
    first = read_manifest(workspace.release_dir("1.0.0"))
    of_split = {
        split: sorted(image for image, entry in first.images.items() if entry.split == split)
        for split in first.splits
    }
    moving, staying = of_split["validation"][0], of_split["test"][-1]
    assert moving < staying, "the group of both must be called like the one that moves"
    # Only the other one's record changes, so that the file of this one stays as it is, but for its place.
    look = {record.image_id: record.extra for record in records}[moving]
    records = [changed(each, extra=look) if each.image_id == staying else each for each in records]
    build(workspace, "1.1.0", records=replace_records(workspace, records))
    manifest = read_manifest(workspace.release_dir("1.1.0"))
    entry = manifest.images[moving]
    assert (entry.split, entry.group) == ("test", moving)
    (file,) = [each for each in manifest.files if each.path == f"data/test-{entry.shard:05d}.parquet"]
    assert file.key in {each.key for each in first.files}, "it was written anew: the test shows nothing"
    assert file.split == "test"


@pytest.mark.parametrize("damage", [b"", b'{"name": "\xff"}', b'{"x":' * 100_000, b'{"name": 1}'])
def test_a_damaged_manifest_of_an_older_version_is_named(tmp_path: Path, damage: bytes) -> None:
    workspace, _ = grown(tmp_path / "w", 6)
    (workspace.release_dir("1.0.0") / "manifest.json").write_bytes(damage)
    with pytest.raises(ReleaseError, match=r"1\.0\.0.manifest\.json"):
        build(workspace, "1.1.0")
    assert [path.name for path in workspace.releases_dir.iterdir()] == ["1.0.0"]
