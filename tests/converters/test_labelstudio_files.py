"""Files of tasks that are damaged, foreign or compressed."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from labelstudio_answers import (
    BASE,
    FULL,
    HAND,
    SEEN,
    annotated,
    codes,
    items_of,
    read_one,
    task_of,
    written_task,
)
from labelstudio_tasks import spoil

from synthscars.converters import labelstudio
from synthscars.problems import FormatError, Problems
from synthscars.records import encode_record


@settings(max_examples=300)
@given(st.data())
def test_nonsense_anywhere_in_a_task_never_ends_the_reading_nor_touches_other_images(
    data: st.DataObject,
) -> None:
    spoiled = annotated()
    spoil(data, spoiled)
    other = msgspec.structs.replace(BASE, image_id="cd" * 32, artifacts=(HAND,), reviews=(SEEN,))
    problems = Problems()
    images = {record.image_id: record for record in (BASE, other)}
    tasks = [spoiled, task_of(other)]
    found = {record.image_id: record for record in labelstudio.read(tasks, problems, images)}
    assert found[other.image_id].artifacts == (HAND,)
    for problem in problems:
        assert problem.fix, problem
        assert problem.region == "" or problem.region.startswith("region "), problem
    for record in found.values():
        encode_record(record)
    # Whatever became of the spoiled region, somebody is told, unless its answer is still whole.
    spoiled_record = found.get(BASE.image_id)
    if spoiled_record is None:
        assert problems.failed
    elif not spoiled_record.artifacts:
        assert len(problems) or spoiled_record.status in ("unlabelled", "skipped")


def test_tasks_that_name_no_image_or_an_unknown_one_are_set_aside_with_a_problem() -> None:
    problems = Problems()
    foreign = {**annotated(), "id": 8, "data": {"image_id": "../../etc/passwd"}}
    nameless = {"id": 9, "data": {"image": "x.png"}}
    found = list(labelstudio.read([annotated(), foreign, nameless, 5], problems, {BASE.image_id: BASE}))
    assert [record.image_id for record in found] == [BASE.image_id]
    assert codes(problems) == ["task.unknown_image", "task.no_image_id", "task.not_an_object"]


@pytest.mark.parametrize(
    "spoiled", [{}, {"artifacts": 5}, {"artifacts": [{}]}, {"image_id": 7}, {"status": "odd"}]
)
def test_a_damaged_meta_is_told_and_the_answers_are_read(spoiled: dict[str, Any]) -> None:
    task = written_task(FULL)
    record = task["meta"]["synthscars"]["record"]
    if spoiled:
        record |= spoiled
    else:
        record.clear()
    found, problems = read_one({"id": 5, **task})
    assert found.artifacts == (HAND,)
    assert "task.damaged_meta" in codes(problems)
    assert not problems.failed


@pytest.mark.parametrize("content", [b"", b"{", b'{"id": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_list_of_tasks_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "000001.json"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"000001\.json"):
        list(labelstudio.read(path, Problems()))


def test_a_compressed_export_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "000001.json.zst"
    whole = zstandard.compress(json.dumps([annotated()]).encode())
    path.write_bytes(whole)
    assert len(list(labelstudio.read(path, Problems()))) == 1
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError):
        list(labelstudio.read(path, Problems()))


def test_not_a_number_in_a_file_spoils_its_region_only(tmp_path: Path) -> None:
    task = annotated()
    items_of(task)[0]["value"]["points"][0][0] = float("nan")
    path = tmp_path / "export.json"
    path.write_text(json.dumps([task]), encoding="utf-8")
    assert "NaN" in path.read_text(encoding="utf-8")
    problems = Problems()
    (record,) = labelstudio.read(path, problems)
    assert codes(problems) == ["region.bad_polygon"]
    assert b'"nan"' in encode_record(record)


def test_a_written_file_can_be_read_back(tmp_path: Path) -> None:
    record = msgspec.structs.replace(BASE, artifacts=(HAND,), reviews=(SEEN,))
    path = tmp_path / "tasks.json"
    assert (
        labelstudio.write([record, msgspec.structs.replace(BASE, image_id="cd" * 32)], path, Problems()) == 2
    )
    first, second = labelstudio.read(path, Problems())
    assert (first.artifacts, second.status) == ((HAND,), "unlabelled")


def test_a_compressed_file_is_compressed_and_can_be_read_back(tmp_path: Path) -> None:
    target = tmp_path / "tasks.json.zst"
    record = msgspec.structs.replace(BASE, artifacts=(HAND,), reviews=(SEEN,))
    assert labelstudio.write([record], target, Problems()) == 1
    (found,) = labelstudio.read(target, Problems())
    assert found.artifacts == (HAND,)
    assert json.loads(zstandard.ZstdDecompressor().stream_reader(target.read_bytes()).read())
