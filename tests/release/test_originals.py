import hashlib
import os
import time
from pathlib import Path
from typing import BinaryIO

import pytest
from releasing import changed, filled_workspace, noise_png, sample_record, without_figures

from synthscars.problems import Problems, ReleaseError
from synthscars.release import build_release, originals
from synthscars.release.originals import find_images, loader
from synthscars.release.waiting import Ready, Waiting

_TICK = 0.03
"""Seconds after which any clock of a file system has gone on."""


def test_missing_and_altered_images_are_set_aside(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 4)
    records = [sample_record(seed, noise_png(seed)) for seed in range(4)]
    missing = workspace.find_image(records[1].image_id)
    altered = workspace.find_image(records[2].image_id)
    assert missing
    assert altered
    missing.unlink()
    altered.write_bytes(altered.read_bytes()[:-1] + b"x")
    strange = changed(records[0], image_id="../../etc/passwd")
    images = [Ready(record=record) for record in [*records, strange]]
    problems, left_out = Problems(), dict[str, str]()
    ready = list(find_images(images, workspace, problems, left_out))
    assert [image.record for image in ready] == [records[0], records[3]]
    assert left_out == {
        records[1].image_id: "image.missing",
        records[2].image_id: "image.altered",
        "../../etc/passwd": "image.bad_id",
    }
    assert [problem.image for problem in problems] == list(left_out)
    assert all(problem.severity == "error" for problem in problems)


def test_an_image_is_hashed_again_only_if_something_happened_to_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = filled_workspace(tmp_path / "w", 2)
    images = [Ready(record=sample_record(seed, noise_png(seed))) for seed in range(2)]
    first, second = find_images(images, workspace, Problems(), {})
    hashed: list[bytes] = []
    original = originals.sha256

    def load(image: Ready) -> bytes:
        content = bytearray(image.bytes)
        loader(workspace, {})(image, memoryview(content))
        return bytes(content)

    def counting(data: memoryview) -> str:
        hashed.append(bytes(data))
        return original(data)

    monkeypatch.setattr("synthscars.release.originals.sha256", counting)
    assert load(first) == noise_png(0)
    assert hashed == []
    path = workspace.find_image(second.record.image_id)
    assert path
    os.utime(path, (0, 0))
    assert load(second) == noise_png(1)
    assert hashed == [noise_png(1)]
    path.write_bytes(noise_png(1)[:-1] + b"x")
    with pytest.raises(ReleaseError, match="changed while"):
        load(second)


@pytest.mark.parametrize("what", ["nothing", "a folder", "a link to itself", "no folder above"])
@pytest.mark.parametrize("scrub", [False, True])
def test_an_image_that_is_no_file_any_more_changed_meanwhile(tmp_path: Path, what: str, scrub: bool) -> None:
    workspace = filled_workspace(tmp_path / "w", 1)
    (image,) = find_images([Ready(record=sample_record(0, noise_png(0)))], workspace, Problems(), {})
    image_id = image.record.image_id
    path = workspace.find_image(image_id)
    assert path
    path.unlink()
    if what == "a folder":
        path.mkdir()
    elif what == "a link to itself":
        path.symlink_to(path.name)
    elif what == "no folder above":
        path.parent.rmdir()
        path.parent.write_bytes(b"")
    load = loader(workspace, {image_id: image_id} if scrub else {})
    with pytest.raises(ReleaseError, match="changed while"):
        load(image, memoryview(bytearray(image.bytes)))


def test_an_image_that_changes_while_it_is_being_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = filled_workspace(tmp_path / "w", 1)
    (image,) = find_images([Ready(record=sample_record(0, noise_png(0)))], workspace, Problems(), {})
    path = workspace.find_image(image.record.image_id)
    assert path
    opened = Path.open

    def open_and_change(*arguments: object, **options: object) -> object:
        file = opened(*arguments, **options)
        # After the file was opened, before it is read: the same number of bytes.
        path.write_bytes(noise_png(0)[:-1] + b"x")
        return file

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", open_and_change)
        patched.setattr(Path, "write_bytes", lambda each, data: opened(each, "wb").write(data))
        with pytest.raises(ReleaseError, match="changed while"):
            loader(workspace, {})(image, memoryview(bytearray(image.bytes)))


def test_files_with_times_that_are_centuries_away_are_no_obstacle(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 1)
    record = sample_record(0, noise_png(0))
    path = workspace.find_image(record.image_id)
    assert path
    for seconds in (-(10**9), 14 * 10**9):
        os.utime(path, (seconds, seconds))
        with Waiting(tmp_path) as waiting:
            (image,) = find_images([Ready(record=record)], workspace, Problems(), {})
            assert waiting.add(image) is None
            image = waiting.get(record.image_id, group="", split="")
            content = bytearray(image.bytes)
            loader(workspace, {})(image, memoryview(content))
            assert content == noise_png(0)


def test_without_checks_a_file_is_read_only_if_something_happened_to_it_since_it_was_ingested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = filled_workspace(tmp_path / "w", 4)
    records = [sample_record(seed, noise_png(seed)) for seed in range(4)]
    time.sleep(_TICK)
    workspace.append_index(records[:3])
    paths = [workspace.find_image(record.image_id) for record in records]
    times = paths[1].stat()
    paths[1].write_bytes(noise_png(1)[:-1] + b"x")
    os.utime(paths[1], ns=(times.st_atime_ns, times.st_mtime_ns))  # as if nobody had touched it
    os.utime(paths[2])
    opened: list[Path] = []
    original = Path.open

    def watched(path: Path, *arguments: object, **options: object) -> object:
        opened.append(path)
        return original(path, *arguments, **options)

    trusted, left_out = workspace.ingested(), dict[str, str]()
    monkeypatch.setattr(Path, "open", watched)
    images = [Ready(record=record) for record in records]
    found = list(find_images(images, workspace, Problems(), left_out, trusted=trusted))
    assert opened == paths[1:]  # the last one is not in the index
    assert left_out == {records[1].image_id: "image.altered"}
    assert [image.record for image in found] == [records[0], *records[2:]]
    assert [image.stamp for image in found] == [
        image.stamp for image in find_images([images[0], *images[2:]], workspace, Problems(), {})
    ]


@pytest.mark.parametrize("check", [False, True])
def test_only_a_build_without_checks_leaves_files_unread_that_nobody_touched(
    tmp_path: Path, check: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = without_figures(filled_workspace(tmp_path / "w", 8))
    records = [sample_record(seed, noise_png(seed)) for seed in range(8)]
    time.sleep(_TICK)
    workspace.append_index(records)
    altered = workspace.find_image(records[3].image_id)
    altered.write_bytes(noise_png(3)[:-1] + b"x")
    hashed: list[str] = []
    original = hashlib.file_digest

    def watched(file: BinaryIO, digest: str) -> object:
        hashed.append(Path(file.name).stem)
        return original(file, digest)

    monkeypatch.setattr("synthscars.release.originals.hashlib.file_digest", watched)
    report = build_release(workspace, "1.0.0", Problems(), check=check)
    assert report.left_out == {"image.altered": 1}
    looked_at = {record.image_id for record in records} if check else {records[3].image_id}
    assert looked_at == {name for name in hashed if len(name) == 64}


def test_an_index_whose_permissions_changed_is_not_taken_for_a_newer_one(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 1)
    record = sample_record(0, noise_png(0))
    batch = workspace.append_index([record])
    workspace.find_image(record.image_id).write_bytes(noise_png(1))
    time.sleep(_TICK)
    batch.chmod(0o600)
    images, left_out = [Ready(record=record)], dict[str, str]()
    assert not list(find_images(images, workspace, Problems(), left_out, trusted=workspace.ingested()))
    assert left_out == {record.image_id: "image.altered"}


def test_a_link_to_an_older_file_is_not_trusted(tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "w", 1)
    record = sample_record(0, noise_png(0))
    (tmp_path / "other.png").write_bytes(noise_png(1))
    time.sleep(_TICK)
    workspace.append_index([record])
    path = workspace.find_image(record.image_id)
    path.unlink()
    path.symlink_to(tmp_path / "other.png")
    left_out = dict[str, str]()
    images = [Ready(record=record)]
    assert not list(find_images(images, workspace, Problems(), left_out, trusted=workspace.ingested()))
    assert left_out == {record.image_id: "image.altered"}


def test_what_is_scrubbed_is_compared_with_its_hash_also_without_checks(tmp_path: Path) -> None:
    workspace = without_figures(filled_workspace(tmp_path / "w", 8))
    records = [sample_record(seed, noise_png(seed)) for seed in range(8)]
    workspace.find_image(records[3].image_id).write_bytes(noise_png(100))
    time.sleep(_TICK)
    workspace.append_index(records)  # so its times say that it is the one that was ingested
    report = build_release(workspace, "1.0.0", Problems(), check=False, scrub=True)
    assert report.left_out == {"image.altered": 1}
    assert report.scrubbed == 0
