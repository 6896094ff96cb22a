"""Exports as files: read in blocks and many tasks at a time, with the same result as one by one."""

import copy
import io
import json
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from labelstudio_tasks import answered_records, exported, spoil
from strategies import records

from synthscars.converters import json_list, labelstudio
from synthscars.converters.labelstudio_quick import decode_tasks, quick_records
from synthscars.problems import FormatError, Problem, Problems
from synthscars.records import ImageRecord

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from label_studio_export import simulated_tasks, write_export


def read_both(
    tasks: list[Any], known: dict[str, ImageRecord] | None = None, block: int = 1 << 20
) -> tuple[list[ImageRecord], list[Problem]]:
    """What a file gives, after making sure that the tasks one by one give the same."""
    quickly, carefully = Problems(), Problems()
    content = json.dumps(tasks).encode()
    found = list(labelstudio.read(io.BytesIO(content), quickly, known))
    # As read from a file: without what JSON from strangers may hold and records cannot.
    expected = list(labelstudio.read(json.loads(content), carefully, known))
    assert sorted(found, key=str) == sorted(expected, key=str)
    told = [msgspec.structs.replace(one, file=one.file.replace("export", "tasks")) for one in quickly]
    assert sorted(told, key=str) == sorted(carefully, key=str)
    return found, told


@settings(max_examples=25)
@given(st.lists(answered_records(), max_size=4), st.booleans())
def test_a_file_gives_what_its_tasks_give_one_by_one(drawn: list[ImageRecord], workspace: bool) -> None:
    tasks = [exported(record, number) for number, record in enumerate(drawn, start=1)]
    read_both(tasks, {record.image_id: record for record in drawn} if workspace else None)


@given(st.data(), st.integers(1, 3), st.booleans())
def test_whatever_is_unusual_is_read_with_the_same_care(
    data: st.DataObject, times: int, workspace: bool
) -> None:
    drawn = data.draw(st.lists(answered_records(), min_size=1, max_size=2))
    tasks = [exported(record, number) for number, record in enumerate(drawn, start=1)]
    for _ in range(times):
        spoil(data, data.draw(st.sampled_from(tasks)))
    read_both(tasks, {record.image_id: record for record in drawn} if workspace else None)


@pytest.mark.parametrize("spoiled", ["id", "completed_by", "lead_time"])
def test_numbers_that_no_record_can_hold_are_read_with_the_same_care(spoiled: str) -> None:
    (task,) = json.loads(msgspec.json.encode(list(simulated_tasks(1, 2, seed=1))))
    task["annotations"][0][spoiled] = 2**64
    read_both([task])


def test_a_number_that_no_record_can_hold_names_no_image_of_others() -> None:
    first, second = json.loads(msgspec.json.encode(list(simulated_tasks(2, 4, seed=1))))
    del first["data"]["image_id"]
    second["data"] |= {"image": first["data"]["image"], "image_id": 2**64}
    found, _ = read_both([first, second])
    assert len(found) == 2


def test_a_relation_is_no_answer_whatever_control_it_names() -> None:
    tasks = json.loads(msgspec.json.encode(list(simulated_tasks(9, 12, seed=1))))
    clean = next(task for task in tasks if len(task["annotations"][0]["result"]) < 4)
    for item in clean["annotations"][0]["result"]:
        item["type"] = "relation"
    found, problems = read_both([clean])
    assert found[0].status == "skipped"
    assert [problem.code for problem in problems] == ["annotation.empty"]


def test_a_usual_export_is_read_many_tasks_at_a_time() -> None:
    tasks = list(simulated_tasks(300, 650, seed=3))
    found = quick_records(decode_tasks(msgspec.json.encode(tasks)), None, frozenset())
    assert None not in found
    records, problems = read_both(json.loads(msgspec.json.encode(tasks)))
    assert records == found
    assert not problems
    assert sum(len(record.artifacts) for record in records) == 650
    assert {record.status for record in records} == {"annotated", "clean"}


def test_polygons_are_exact_to_a_millionth_of_a_pixel() -> None:
    tasks = json.loads(msgspec.json.encode(list(simulated_tasks(50, 100, seed=4))))
    records, _ = read_both(tasks)
    for record, task in zip(records, tasks, strict=True):
        drawn = [
            [
                value * side / 100
                for point in one["value"]["points"]
                for value, side in zip(point, size, strict=True)
            ]
            for one in task["annotations"][0]["result"]
            if one["type"] == "polygonlabels"
            for size in [(one["original_width"], one["original_height"])]
        ]
        assert [list(ring) for each in record.artifacts for ring in each.polygons] == drawn


def test_tasks_of_one_image_become_one_record_wherever_in_the_file_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = json.loads(msgspec.json.encode(list(simulated_tasks(40, 80, seed=5))))
    for number in (3, 17, 39):
        second = copy.deepcopy(tasks[number - 3])
        second["id"] = 100 + number
        second["annotations"][0] |= {"id": 100 + number, "completed_by": 77}
        tasks.insert(number, second)
    path = tmp_path / "export.json"
    path.write_bytes(json.dumps(tasks, indent=2).encode())
    expected = list(labelstudio.read(tasks, Problems()))
    assert len(expected) == 40
    assert sum("rater-77" in record.raters for record in expected) == 3
    for size in (1000, 20_000, 1 << 20):
        monkeypatch.setattr(json_list.read_blocks, "__kwdefaults__", {"size": size})
        problems = Problems()
        assert list(labelstudio.read(path, problems)) == expected
        assert [one.code for one in problems] == ["task.repeated"] * 3


def test_a_truncated_download_is_refused_before_any_record_is_made(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    write_export(path, tasks=50, polygons=100)
    whole = path.read_bytes()
    for cut in (len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        records = labelstudio.read(path, Problems())
        with pytest.raises(FormatError, match=r"export\.json: it is cut short"):
            next(records)


def test_a_task_that_is_no_json_costs_only_itself(tmp_path: Path) -> None:
    tasks = [msgspec.json.encode(task) for task in simulated_tasks(3, 6, seed=1)]
    tasks[1] = tasks[1].replace(b'"id":2,', b'"id":2,,', 1)
    path = tmp_path / "export.json"
    path.write_bytes(b"[" + b", ".join(tasks) + b"]")
    problems = Problems()
    assert len(list(labelstudio.read(path, problems))) == 2
    (problem,) = problems
    assert (problem.code, problem.severity, problem.file) == ("task.not_json", "error", "export.json, task 2")


def test_a_compressed_indented_export_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    tasks = json.loads(msgspec.json.encode(list(simulated_tasks(20, 40, seed=2))))
    path = tmp_path / "export.json.zst"
    path.write_bytes(zstandard.compress(b"\xef\xbb\xbf" + json.dumps(tasks, indent=4).encode()))
    assert list(labelstudio.read(path, Problems())) == list(labelstudio.read(tasks, Problems()))


def test_memory_does_not_grow_with_the_export(tmp_path: Path) -> None:
    peaks: list[int] = []
    path = tmp_path / "export.json"
    list(labelstudio.read([], Problems()))
    for tasks in (600, 2400):
        write_export(path, tasks=tasks, polygons=2 * tasks)
        tracemalloc.start()
        assert sum(1 for _ in labelstudio.read(path, Problems())) == tasks
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # Ids of the images, to know which come again: far less than the file, which is 12 MB longer.
    assert peaks[1] < peaks[0] + 2_000_000


@settings(max_examples=25)
@given(st.lists(records(), max_size=3))
def test_what_write_made_is_read_alike_from_a_file_and_one_by_one(drawn: list[ImageRecord]) -> None:
    buffer = io.BytesIO()
    labelstudio.write(drawn, buffer, Problems())
    read_both(json.loads(buffer.getvalue()))
