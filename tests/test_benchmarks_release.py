"""The benchmarks of releases run, and compare what they say they compare. No time is looked at."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synthscars import geometry
from synthscars.consensus import adjudicate
from synthscars.problems import Problems
from synthscars.workspace import Workspace

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import release_chunks
import release_pictures
import release_version

BENCHMARKS = Path(release_pictures.__file__).parent
SMALL = ("--scale", "0.1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all benchmarks of this file keep their pictures."""
    return tmp_path_factory.mktemp("benchmark")


def figures_of(name: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a benchmark as a user does, and return what its last line says."""
    command = [sys.executable, str(BENCHMARKS / name), "--folder", str(folder), *SMALL, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["pictures"], "only the pictures stay"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["figures"]
    return found


def test_pictures_are_whole_and_all_different_and_the_same_in_every_run(tmp_path: Path) -> None:
    first = release_pictures.make_pictures(tmp_path / "one", 12, scale=0.2)
    (tmp_path / "one" / "000003.jpg").unlink()
    again = release_pictures.make_pictures(tmp_path / "one", 12, scale=0.2)
    other = release_pictures.make_pictures(tmp_path / "two", 6, scale=0.2)
    assert again == first
    assert [path.read_bytes() for path in other] == [path.read_bytes() for path in first[:6]]
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in first}) == 12
    for path in first:
        with Image.open(path) as image:
            image.load()
            assert image.format == "JPEG"


def test_pictures_are_about_a_megapixel_and_300_kilobytes() -> None:
    data = release_pictures.picture(0)
    width, height = release_pictures.size_of(0)
    assert 0.9e6 < width * height < 1.1e6
    assert 250_000 < len(data) < 350_000


def test_there_are_as_many_polygons_as_in_synthscars() -> None:
    records = [
        release_pictures.simulated_record(number, f"{number:064x}", (1024, 832))
        for number in range(release_pictures.PAPER_IMAGES)
    ]
    rings = [ring for each in records for artifact in each.artifacts for ring in artifact.polygons]
    assert len(rings) == release_pictures.PAPER_POLYGONS
    assert all(20 <= len(ring) // 2 <= 80 for ring in rings)
    assert not any(geometry.rings_faults(rings, [(1024, 832)] * len(rings)))
    assert 0.04 < sum(each.status == "clean" for each in records) / len(records) < 0.14


def test_raters_agree_on_what_is_wrong_in_a_picture() -> None:
    records = [
        release_pictures.simulated_record(number, f"{number:064x}", (1024, 832), raters=3)
        for number in range(20)
    ]
    problems = Problems()
    for record, merged in zip(records, adjudicate(records, problems), strict=True):
        assert len(record.raters) == 3
        assert len(merged.artifacts) * 3 == len(record.artifacts)
        assert all(artifact.votes == 3 for artifact in merged.artifacts)
    assert not list(problems)


@pytest.mark.slow
def test_all_peers_build_the_same_pictures(folder: Path) -> None:
    found = figures_of("release_build.py", folder, "--count", "30", "--runs", "1", "--raters", "3")
    assert list(found) == [
        *("copy", "copy synced", "pyarrow", "pyarrow same", "pyarrow hashed", "pyarrow records"),
        *("ours", "ours checked", "datasets", "datasets push"),
    ]
    pictures = sum(path.stat().st_size for path in sorted((folder / "pictures").iterdir())[:30]) / 1e6
    assert found["copy"]["result_mb"] == pytest.approx(pictures)
    for name, each in found.items():
        assert each["result_mb"] >= pictures, name
        assert each["peak_mb"] >= each["bare_mb"] > 0, name
    # The floor writes every column that ours does, but no card, no manifest.
    assert found["pyarrow"]["result_mb"] < found["pyarrow same"]["result_mb"] < found["ours"]["result_mb"]
    assert found["pyarrow hashed"]["result_mb"] == found["pyarrow same"]["result_mb"]


@pytest.mark.slow
def test_growing_counts_are_built_one_after_the_other(folder: Path) -> None:
    found = figures_of("release_build.py", folder, "--linear", "--counts", "10", "20", "--runs", "1")
    assert list(found) == [f"{peer}, {count}" for count in (10, 20) for peer in ("ours", "ours checked")]
    assert found["ours, 10"]["result_mb"] < found["ours, 20"]["result_mb"]


@pytest.mark.slow
def test_next_versions_are_compared_with_the_first(folder: Path) -> None:
    found = figures_of("release_version.py", folder, "--count", "40")
    assert list(found) == list(release_version.CHANGES)
    for each in found.values():
        assert set(release_version.VARIANTS) < set(each)
        assert 0 < each["new_files"] <= 1
        assert 0 < each["as built"] <= 1
        assert each["linked"] + each["new_files"] <= 1


@pytest.mark.slow
def test_release_and_image_folder_give_the_same_examples(folder: Path) -> None:
    found = figures_of("release_streaming.py", folder, "--count", "30", "--runs", "1")
    assert {name.split(", ", 1)[1] for name in found} >= {"streaming", "streaming, bytes", "map"}
    counts = {each["examples"] for each in found.values()}
    assert len(counts) == 1
    assert counts.pop() > 1


# What is measured


def test_an_edit_touches_the_caption_too_and_spares_most_records() -> None:
    records = [
        release_pictures.simulated_record(number, hashlib.sha256(b"%d" % number).hexdigest(), (1024, 832))
        for number in range(100)
    ]
    edited = release_version.CHANGES["1 % of texts edited"](records, records[:3])
    changed = [(old, new) for old, new in zip(records, edited, strict=True) if old != new]
    assert len(changed) == 3
    for old, new in changed:
        assert new.artifacts[0].explanation.startswith(old.artifacts[0].explanation)
        assert new.artifacts[0].explanation in new.caption
    assert len(release_version.CHANGES["1 % of pictures gone"](records, records[:3])) == 97


def test_a_workspace_holds_every_picture_once(tmp_path: Path) -> None:
    pictures = release_pictures.make_pictures(tmp_path / "pictures", 20, scale=0.1)
    workspace = release_pictures.make_workspace(tmp_path / "workspace", pictures[:15])
    release_pictures.add_pictures(workspace, pictures[15:])
    opened = Workspace.open(workspace.root)
    assert opened.missing_images() == 0
    stored = [opened.find_image(record.image_id) for record in opened.images()]
    assert [path.read_bytes() for path in stored if path] == [path.read_bytes() for path in pictures]


def test_chunks_are_the_file_and_no_longer_or_shorter_than_allowed(tmp_path: Path) -> None:
    path = random_file(tmp_path / "file", 3_000_000)
    found = list(release_chunks.chunks(path))
    assert b"".join(found) == path.read_bytes()
    assert all(release_chunks.LEAST <= len(chunk) <= release_chunks.GREATEST for chunk in found[:-1])
    assert 40_000 < 3_000_000 / len(found) < 90_000


def test_chunks_do_not_depend_on_the_blocks_in_which_a_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = random_file(tmp_path / "file", 1_500_000)
    expected = list(release_chunks.chunks(path))
    for block in (1000, 4096, 70_001):
        monkeypatch.setattr(release_chunks, "_BLOCK", block)
        assert list(release_chunks.chunks(path)) == expected


def test_places_to_cut_are_those_of_a_hash_that_is_rolled_byte_by_byte(tmp_path: Path) -> None:
    data = random_file(tmp_path / "file", 400_000).read_bytes()
    rolled, expected = 0, []
    for place, byte in enumerate(data, start=1):
        rolled = (rolled * 2 + int(release_chunks._GEAR[byte])) % 2**32
        if rolled < 2**16:
            expected.append(place)
    assert expected
    assert release_chunks.cuts(data).tolist() == expected


def test_only_what_is_new_in_a_file_is_uploaded(tmp_path: Path) -> None:
    old = random_file(tmp_path / "old", 2_000_000)
    new = tmp_path / "new"
    new.write_bytes(old.read_bytes()[:900_000] + b"inserted" + old.read_bytes()[900_000:])
    store = release_chunks.Store()
    assert store.add([old]) == 2_000_000
    assert store.copy().add([old]) == 0
    assert 0 < store.copy().add([new]) <= 2 * release_chunks.GREATEST
    assert store.copy().add([random_file(tmp_path / "other", 100_000, seed=2)]) == 100_000
    store.add([new])
    assert store.add([new]) == 0


def random_file(path: Path, size: int, seed: int = 1) -> Path:
    path.write_bytes(np.random.default_rng(seed).bytes(size))
    return path
