import errno
import os
from pathlib import Path

import pytest
from folders import folder_bytes
from killing import killed_at

from synthscars.files import atomic_file, atomic_folder, is_temporary, remove_temporary
from synthscars.problems import WorkspaceError


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with atomic_file(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert _names(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_keeps_the_old_file_and_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")

    def half_written():
        yield b"half of the new"
        raise error

    with pytest.raises(error), atomic_file(path) as file:
        file.writelines(half_written())
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["a.txt"]


def test_a_full_disk_names_the_file_that_did_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*a\.txt'"),
        atomic_file(tmp_path / "a.txt"),
    ):
        pass
    assert _names(tmp_path) == []


def test_an_error_on_a_new_file_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="oops"), atomic_file(tmp_path / "a.txt"):
        raise ValueError("oops")
    assert _names(tmp_path) == []


@pytest.mark.parametrize("name", ["n" * 250, "手" * 80])
def test_a_long_name_is_no_obstacle(tmp_path: Path, name: str) -> None:
    with atomic_file(tmp_path / name) as file:
        file.write(b"x")
    assert _names(tmp_path) == [name]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a") as first, atomic_file(tmp_path / "a") as second:
        first.write(b"1" * 100)
        second.write(b"2" * 50)
    assert (tmp_path / "a").read_bytes() == b"1" * 100


def test_a_folder_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "releases" / "1.0.0") as folder:
        (folder / "README.md").write_text("card")
        assert not (tmp_path / "releases" / "1.0.0").exists()
    assert _names(tmp_path / "releases") == ["1.0.0"]
    assert _names(tmp_path / "releases" / "1.0.0") == ["README.md"]


def test_a_folder_is_not_left_half_done(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "1.0.0") as folder:
        (folder / "README.md").write_text(str(1 // 0))
    assert _names(tmp_path) == []


def test_a_folder_that_exists_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "1.0.0").mkdir()
    (tmp_path / "1.0.0" / "mine").write_text("mine")
    with pytest.raises(WorkspaceError, match="exists already"), atomic_folder(tmp_path / "1.0.0") as folder:
        (folder / "README.md").write_text("card")
    assert _names(tmp_path) == ["1.0.0"]
    assert _names(tmp_path / "1.0.0") == ["mine"]


def test_only_temporary_files_are_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".tmp-a").write_text("x")
    (tmp_path / ".tmp-b").mkdir()
    (tmp_path / ".tmp-b" / "c").write_text("x")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "tmp-d").write_text("x")
    remove_temporary(tmp_path)
    remove_temporary(tmp_path / "nowhere")
    assert _names(tmp_path) == [".hidden", "tmp-d"]


_REPLACE = """
from synthscars.files import atomic_file, atomic_folder

target = Path(sys.argv[1])
with atomic_folder(target, replace=True) as folder:
    for name in ("a", "deep/b"):
        with atomic_file(folder / name) as file:
            file.write(b"new")
"""


def test_a_folder_can_be_replaced(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        with atomic_folder(tmp_path / "1.0.0", replace=True) as folder:
            (folder / "a").write_bytes(content)
    assert folder_bytes(tmp_path) == {"1.0.0/a": b"new"}


def test_killed_at_any_step_a_replacement_leaves_the_old_folder_or_the_new_one(tmp_path: Path) -> None:
    old, new = {"1.0.0/old": b"old"}, {"1.0.0/a": b"new", "1.0.0/deep/b": b"new"}
    found = []
    for step in range(1, 50):
        (tmp_path / str(step) / "1.0.0").mkdir(parents=True)
        (tmp_path / str(step) / "1.0.0" / "old").write_bytes(b"old")
        killed = killed_at(step, _REPLACE, tmp_path / str(step) / "1.0.0")
        # What the next writer does first.
        remove_temporary(tmp_path / str(step))
        found.append(folder_bytes(tmp_path / str(step)))
        if not killed:
            break
    changed = found.index(new)
    assert changed >= 8, "a replacement has more steps than that: the test shows nothing"
    assert found == [old] * changed + [new] * (len(found) - changed)
    assert len(found) > changed + 1, "it should also have been killed after the new folder had its name"


def test_a_replacement_that_fails_at_the_last_moment_leaves_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1.0.0").mkdir()
    (tmp_path / "1.0.0" / "a").write_bytes(b"old")
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name.startswith(".tmp-"):
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with (
        pytest.raises(OSError, match="Input/output"),
        atomic_folder(tmp_path / "1.0.0", replace=True) as folder,
    ):
        (folder / "a").write_bytes(b"new")
    assert folder_bytes(tmp_path) == {"1.0.0/a": b"old"}


def test_new_folders_are_on_disk_before_a_file_in_them_is_called_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, fsync = set(), os.fsync

    def noted(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with atomic_file(tmp_path / "images" / "ab" / "x.png") as file:
        file.write(b"x")
    for path in (tmp_path, *tmp_path.rglob("*")):
        assert path.stat().st_ino in synced, path


def test_what_a_killed_writer_leaves_is_told_from_files_of_others(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a.txt"), atomic_folder(tmp_path / "b"):
        names = list(tmp_path.iterdir())
    assert len(names) == 2
    assert all(is_temporary(path) for path in names)
    others = ("a.txt", ".tmp-a", ".tmp-0123456789ag-a", "x.tmp-0123456789ab-a", ".tmp-0123456789ab")
    assert not any(is_temporary(tmp_path / name) for name in others)
