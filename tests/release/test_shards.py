import random
from itertools import pairwise
from pathlib import Path

import pytest
from releasing import sample_record

from synthscars.release import features, shards
from synthscars.release.shards import new_key, write_shard
from synthscars.release.waiting import Ready


def pictures(count: int, size: int) -> dict[str, bytes]:
    made = [random.Random(seed).randbytes(size + seed) for seed in range(count)]
    return {sample_record(seed, data).image_id: data for seed, data in enumerate(made)}


def write(path: Path, contents: dict[str, bytes], workers: int = 1) -> bytes:
    def load(image: Ready, memory: memoryview) -> None:
        memory[:] = contents[image.record.image_id]

    images = [
        Ready(record=sample_record(seed, data), bytes=len(data))
        for seed, data in enumerate(contents.values())
    ]
    write_shard(path, images, load, workers=workers)
    return path.read_bytes()


def test_each_picture_has_a_page_of_its_own(tmp_path: Path) -> None:
    contents = list(pictures(5, 40_000).values())
    file = write(tmp_path / "a.parquet", pictures(5, 40_000))
    for before, picture in pairwise(contents):
        # Values of one page stand one after another, with nothing but the length of the next between them.
        assert file.index(picture) - (file.index(before) + len(before)) > 4


def test_memory_that_is_used_again_leaves_nothing_of_other_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(shards, "ROW_GROUP_ROWS", 2)
    contents = pictures(21, 100)
    # Growing and shrinking row groups: some fit into the memory of an earlier one.
    contents = {name: data * (1 + number % 5) for number, (name, data) in enumerate(contents.items())}
    contents = {sample_record(seed, data).image_id: data for seed, data in enumerate(contents.values())}
    one = write(tmp_path / "one.parquet", contents, workers=1)
    assert write(tmp_path / "many.parquet", contents, workers=4) == one
    rows = pq.read_table(tmp_path / "one.parquet", columns=["image", "image_id"]).to_pylist()
    assert {row["image_id"]: row["image"]["bytes"] for row in rows} == contents


def test_the_key_of_a_file_tells_of_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_key().hexdigest()
    assert new_key().hexdigest() == before
    fewer = features().copy()
    del fewer["license"]
    monkeypatch.setattr(shards, "features", lambda: fewer)
    assert new_key().hexdigest() != before
