"""What a folder that is being built knows about its files."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from folders import folder_bytes

from synthscars.release import staging
from synthscars.release.shards import Shard


def shard(folder: Path, path: str, content: bytes = b"rows") -> Shard:
    """A file of data with what is known of it."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)
    return Shard(
        path=path,
        split="train",
        rows=1,
        bytes=len(content),
        arrow_bytes=9,
        sha256=staging.digest(folder / path),
        key="k",
    )


def test_what_was_noted_is_found_again_by_its_path(tmp_path: Path) -> None:
    assert staging.finished(tmp_path) == {}
    shards = [shard(tmp_path, f"{name}/train-00000.parquet") for name in ("data", "detection")]
    for each in shards:
        staging.note(tmp_path, each)
    assert staging.finished(tmp_path) == {each.path: each for each in shards}
    staging.forget(tmp_path)
    assert sorted(folder_bytes(tmp_path)) == [each.path for each in shards]


@pytest.mark.parametrize(
    "damage",
    [b"", b"\xff\xfe\x00", b'{"path":"\xff"}', b'{"x":' * 100_000, b"[]", b"{}", b'{"path": 1}'],
    ids=["empty", "binary", "no-text", "deep", "list", "nothing", "wrong"],
)
def test_a_damaged_note_is_as_if_there_were_none(tmp_path: Path, damage: bytes) -> None:
    good, bad = (shard(tmp_path, f"data/train-0000{number}.parquet") for number in range(2))
    staging.note(tmp_path, good)
    staging.note(tmp_path, bad)
    (note,) = (tmp_path / ".state").glob("*00001*")
    note.write_bytes(damage)
    assert staging.finished(tmp_path) == {good.path: good}


def test_a_note_that_is_a_folder_is_as_if_there_were_none_and_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".state" / "x.json").mkdir(parents=True)
    assert staging.finished(tmp_path) == {}
    staging.clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_clearing_leaves_what_is_to_be_kept_with_its_note_and_nothing_else(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    folder = tmp_path / "folder"
    kept, gone = (shard(folder, f"data/train-0000{number}.parquet") for number in range(2))
    for each in (kept, gone):
        staging.note(folder, each)
    (folder / "figures" / "deep").mkdir(parents=True)
    (folder / "figures" / "deep" / "a.png").write_text("x")
    (folder / ".tmp-0123456789ab-README.md").write_text("half")
    (folder / "link").symlink_to(elsewhere, target_is_directory=True)
    (folder / "dangling").symlink_to(tmp_path / "nowhere")
    staging.clear(folder, keep=[kept])
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
        ".state",
        ".state/data-train-00000.parquet.json",
        "data",
        "data/train-00000.parquet",
    ]
    assert (elsewhere / "mine").read_text() == "mine"


def test_a_folder_without_anything_finished_goes(tmp_path: Path) -> None:
    for name in ("useless", "useful"):
        each = shard(tmp_path / name, "data/train-00000.parquet")
    staging.note(tmp_path / "useful", each)
    staging.drop_unless_useful(tmp_path / "useless")
    staging.drop_unless_useful(tmp_path / "useful")
    staging.drop_unless_useful(tmp_path / "nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["useful"]


@pytest.mark.parametrize("content", [b"rowz", b"row", b"rows more", None])
def test_a_file_is_whole_only_with_the_bytes_it_was_written_with(
    tmp_path: Path, content: bytes | None
) -> None:
    each = shard(tmp_path, "data/train-00000.parquet")
    path = tmp_path / each.path
    assert staging.is_whole(path, each)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert not staging.is_whole(path, each)


def test_a_file_that_cannot_be_read_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each = shard(tmp_path, "data/train-00000.parquet")
    (tmp_path / "folder").mkdir()
    assert not staging.is_whole(tmp_path / "folder", each)
    assert not staging.is_whole(tmp_path / each.path / "below a file", each)

    def broken(_path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(staging, "digest", broken)
    assert not staging.is_whole(tmp_path / each.path, each)


def test_taking_over_costs_no_room_where_files_may_have_two_names(tmp_path: Path) -> None:
    source, target = tmp_path / "old" / "a", tmp_path / "new" / "data" / "a"
    source.parent.mkdir()
    source.write_bytes(b"rows")
    staging.take_over(source, target)
    assert source.stat().st_ino == target.stat().st_ino
    target.unlink()
    target.write_bytes(b"left by another build")
    staging.take_over(source, target)
    assert target.read_bytes() == b"rows"


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_where_files_have_one_name_only_it_is_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", no_links)
    source, target = tmp_path / "a", tmp_path / "new" / "a"
    source.write_bytes(b"rows")
    staging.take_over(source, target)
    assert target.read_bytes() == b"rows"
    assert source.stat().st_ino != target.stat().st_ino
    assert [path.name for path in target.parent.iterdir()] == ["a"]


def test_a_symbolic_link_is_followed_so_that_the_new_folder_does_not_depend_on_where_it_points(
    tmp_path: Path,
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "a").write_bytes(b"rows")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").symlink_to(Path("..", "store", "a"))
    target = tmp_path / "far" / "away" / "new" / "a"
    staging.take_over(tmp_path / "old" / "a", target)
    assert not target.is_symlink()
    assert target.read_bytes() == b"rows"


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1000])
def test_a_digest_is_the_sha256_of_the_whole_file(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_READ_BYTES", 100)
    data = bytes(number % 251 for number in range(size))
    (tmp_path / "file").write_bytes(data)
    assert staging.digest(tmp_path / "file") == hashlib.sha256(data).hexdigest()
