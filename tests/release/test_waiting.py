"""Images that wait on disk come back as they were."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from releasing import changed, noise_png, sample_record
from strategies import records

from synthscars.problems import FormatError, WorkspaceError
from synthscars.records import ImageRecord
from synthscars.release.groups import Links
from synthscars.release.strata import strata_of
from synthscars.release.waiting import Ready, Waiting


def ready(seed: int, **fields: object) -> Ready:
    return Ready(record=changed(sample_record(seed, noise_png(seed)), **fields))


@given(records())
def test_a_record_comes_back_as_it_was_added(record: ImageRecord) -> None:
    with Waiting(Path(tempfile.gettempdir())) as waiting:
        image = Ready(record=record, drawn=record.artifacts[:1], bytes=7, stamp=(7, 2, 3), labelled=False)
        assert waiting.add(image) is None
        assert waiting.record(record.image_id) == record
        placed = waiting.get(record.image_id, group="g", split="test")
        assert placed.record == changed(record, group_id="g", split="test")
        assert (placed.drawn, placed.bytes, placed.stamp) == (record.artifacts[:1], 7, (7, 2, 3))
        assert not placed.labelled


@given(records(), st.integers(2**64, 2**80) | st.integers(-(2**80), -(2**63) - 1))
def test_numbers_of_more_than_64_bits_come_back(record: ImageRecord, number: int) -> None:
    record = changed(record, extra={"number": number, **record.extra})
    with Waiting(Path(tempfile.gettempdir())) as waiting:
        waiting.add(Ready(record=record, drawn=record.artifacts))
        assert waiting.record(record.image_id) == record
        assert waiting.get(record.image_id, group="g", split="test").drawn == record.artifacts
        assert strata_of(waiting.outline(record.image_id)) == strata_of(record)


def test_equal_images_have_equal_content_however_their_fields_are_ordered(tmp_path: Path) -> None:
    with Waiting(tmp_path) as waiting:
        waiting.add(ready(1, extra={"a": 1, "b": {"x": 1, "y": 2}}))
        first = waiting.content(ready(1).record.image_id)
    with Waiting(tmp_path) as waiting:
        waiting.add(ready(1, extra={"b": {"y": 2, "x": 1}, "a": 1}))
        assert waiting.content(ready(1).record.image_id) == first
        waiting.add(ready(1, extra={"a": 2}))
        assert waiting.content(ready(1).record.image_id) != first


def test_a_second_image_of_one_id_takes_the_place_of_the_first(tmp_path: Path) -> None:
    with Waiting(tmp_path) as waiting:
        for seed in (1, 2):
            waiting.add(ready(seed))
        waiting.add(ready(1, caption="another"))
        assert len(waiting) == 2
        assert waiting.record(ready(1).record.image_id).caption == "another"
        assert waiting.record(ready(2).record.image_id) == ready(2).record


def nested(depth: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize("extra", [{"a": "\ud800"}, {"\ud800": 1}, {"a": object()}, nested(100_000)])
def test_a_record_that_cannot_be_written_is_a_problem_and_nothing_of_it_waits(
    tmp_path: Path, extra: dict[str, object]
) -> None:
    with Waiting(tmp_path) as waiting:
        problem = waiting.add(ready(1, extra=extra))
        assert problem is not None
        assert (problem.code, problem.image) == ("record.unwritable", ready(1).record.image_id)
        assert waiting.add(ready(2)) is None
        assert list(waiting) == [ready(2).record.image_id]
        assert waiting.record(ready(2).record.image_id) == ready(2).record


def test_threads_may_read_at_the_same_time(tmp_path: Path) -> None:
    with Waiting(tmp_path) as waiting:
        expected = {}
        for seed in range(40):
            waiting.add(ready(seed))
            expected[ready(seed).record.image_id] = ready(seed).record
        wrong: list[str] = []

        def read(ids: list[str]) -> None:
            wrong.extend(each for each in ids * 20 if waiting.record(each) != expected[each])

        orders = [list(expected), list(reversed(expected)), sorted(expected), sorted(expected)[::-1]]
        threads = [threading.Thread(target=read, args=(order,)) for order in orders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


def test_the_file_has_no_name_and_ends_with_the_block(tmp_path: Path) -> None:
    with Waiting(tmp_path / "new") as waiting:
        waiting.add(ready(1))
        assert list((tmp_path / "new").iterdir()) == []
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="cuts the file short through /proc")
def test_a_file_that_was_cut_short_is_noticed(tmp_path: Path) -> None:
    with Waiting(tmp_path) as waiting:
        waiting.add(ready(1))
        waiting.content(ready(1).record.image_id)
        waiting._file.truncate(10)
        with pytest.raises(FormatError, match="cut short"):
            waiting.content(ready(1).record.image_id)


class FullDisk:
    """A file on a disk that has no room, as `tempfile` would give it."""

    def write(self, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_told_as_one_also_when_the_file_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_options: FullDisk())
    with pytest.raises(WorkspaceError, match="disk is full") as full, Waiting(tmp_path) as waiting:
        waiting.add(ready(1))
    assert full.value.exit_code == 3
    assert "free some space" in full.value.fix


def test_an_image_file_of_more_than_two_gigabytes_is_a_problem_and_does_not_wait(tmp_path: Path) -> None:
    with Waiting(tmp_path) as waiting:
        problem = waiting.add(msgspec.structs.replace(ready(1), bytes=2**31))
        assert problem
        assert (problem.code, problem.severity) == ("image.file_too_large", "error")
        assert "2,147,483,648 bytes" in problem.what
        assert waiting.add(msgspec.structs.replace(ready(1), bytes=2**31 - 1)) is None
        assert len(waiting) == 1


@given(records(), st.data())
def test_regions_with_an_outline_that_stands_come_back_as_others_do(
    record: ImageRecord, data: st.DataObject
) -> None:
    drawn = [changed(each, rater_id=rater) for each in record.artifacts for rater in ("r", "s")]
    drawn += [
        changed(each, polygons=(*each.polygons, (0.0, 0.0, 1.0, 0.0, 1.0, 1.0))) for each in record.artifacts
    ]
    drawn = data.draw(st.permutations(drawn)) if drawn else drawn
    with Waiting(Path(tempfile.gettempdir())) as waiting:
        waiting.add(Ready(record=record, drawn=tuple(drawn)))
        assert waiting.get(record.image_id, group="g", split="test").drawn == tuple(drawn)


def test_an_outline_that_stands_is_kept_once(tmp_path: Path) -> None:
    record = sample_record(3, noise_png(3))
    with Waiting(tmp_path) as waiting:
        waiting.add(Ready(record=record, drawn=record.artifacts))
        content = waiting.content(record.image_id)
        assert content.count(b"polygons") == len(record.artifacts) == 3
        assert waiting.add(Ready(record=record, drawn=())) is None
        assert waiting.get(record.image_id, group="", split="").drawn == ()


@given(records())
def test_an_outline_of_a_record_puts_its_image_into_the_same_place(record: ImageRecord) -> None:
    with Waiting(Path(tempfile.gettempdir())) as waiting:
        waiting.add(Ready(record=record))
        outline = waiting.outline(record.image_id)
    assert strata_of(outline) == strata_of(record)
    links, expected = Links([outline]), Links([record])
    assert vars(links) == vars(expected)
