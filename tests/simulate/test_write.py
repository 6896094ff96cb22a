"""A series on disk: with any number of processes, after a kill, with photographs."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthscars.problems import UsageError
from synthscars.simulate import read_truth, write, write_simulated
from synthscars.simulate.write import JOURNAL_NAME


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_two_processes_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    write_simulated(tmp_path / "one", 3, 4, photographs=2)
    done: list[int] = []
    write_simulated(tmp_path / "two", 3, 4, photographs=2, workers=2, progress=done.append)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert done == [1, 2, 3, 4, 5]


def test_images_and_photographs_lie_apart_and_the_truth_has_both(tmp_path: Path) -> None:
    records = read_truth(write_simulated(tmp_path, 2, 4, photographs=2))
    assert [record.origin for record in records] == ["synthetic", "synthetic", "real", "real"]
    for record in records:
        folder = "images" if record.origin == "synthetic" else "photographs"
        assert (tmp_path / folder / record.file_name).is_file()


def test_a_run_that_was_killed_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_simulated(tmp_path / "a", 4, 4, progress=killed)
    journal = tmp_path / "a" / JOURNAL_NAME
    journal.write_bytes(journal.read_bytes() + b'{"image_id": "cut sh')
    drawn = []
    draw = write.simulate_image

    def counted(seed, index, background):
        drawn.append(index)
        return draw(seed, index, background)

    monkeypatch.setattr(write, "simulate_image", counted)
    done: list[int] = []
    write_simulated(tmp_path / "a", 4, 4, progress=done.append)
    assert drawn == [2, 3]
    assert done == [2, 3, 4]
    write_simulated(tmp_path / "b", 4, 4)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_picture_that_was_damaged_after_a_kill_is_drawn_again(tmp_path: Path) -> None:
    def killed(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_simulated(tmp_path / "a", 2, 4, progress=killed)
    first = sorted((tmp_path / "a/images").iterdir())[0]
    right = first.read_bytes()
    first.write_bytes(right[:100])
    write_simulated(tmp_path / "a", 2, 4)
    assert first.read_bytes() == right


def test_numbers_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="workers"):
        write_simulated(tmp_path, 1, workers=0)
    with pytest.raises(UsageError, match="negative"):
        write_simulated(tmp_path, 1, photographs=-1)
    assert not list(tmp_path.iterdir())
