"""Plants faults in a small sound release, as a builder would have that made them itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from synthscars.images import sha256
from synthscars.problems import Problem, Problems
from synthscars.release.check import check
from synthscars.release.manifest import MANIFEST_NAME

Row = dict[str, Any]
TRAIN = "data/train-00000.parquet"
TEST = "data/test-00000.parquet"


def problems_of(source: Path, **options: Any) -> list[Problem]:
    problems = Problems()
    check(source, problems, **options)
    return list(problems)


def codes(source: Path, **options: Any) -> list[str]:
    return sorted(problem.code for problem in problems_of(source, **options))


def rows_of(release: Path, file: str = TRAIN) -> list[Row]:
    return list(pq.read_table(release / file).to_pylist())


def write_rows(release: Path, rows: list[Row], file: str = TRAIN) -> None:
    """Write rows as a builder would have that made the fault itself: the manifest fits."""
    path = release / file
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)), path, write_page_index=True)
    manifest = json.loads((release / MANIFEST_NAME).read_text())
    manifest["images"] = {
        row["image_id"]: {"split": each["split"], "group": row["group_id"]}
        for each in manifest["files"]
        for row in rows_of(release, each["path"])
    }
    for each in manifest["files"]:
        each["sha256"] = hashlib.sha256((release / each["path"]).read_bytes()).hexdigest()
    manifest["artifacts"] = sum(
        len(row["artifacts"]) for each in manifest["files"] for row in rows_of(release, each["path"])
    )
    (release / MANIFEST_NAME).write_text(json.dumps(manifest))
    change_card(release, lambda values: count_rows(values, path.name.split("-")[0], len(rows)))


def change_card(release: Path, change: Callable[[Row], object]) -> None:
    """Change the YAML of a card."""
    path = release / "README.md"
    _, text, rest = path.read_text().split("---\n", 2)
    values = yaml.safe_load(text)
    change(values)
    path.write_text(f"---\n{yaml.safe_dump(values, sort_keys=False)}---\n{rest}")


def count_rows(values: Row, split: str, count: int) -> None:
    infos = values["dataset_info"]
    for info in infos if isinstance(infos, list) else [infos]:
        for each in info["splits"]:
            if each["name"] == split:
                each["num_examples"] = count


def with_artifacts(rows: list[Row]) -> Row:
    return next(row for row in rows if len(row["artifacts"]) > 1)


def clean(rows: list[Row]) -> Row:
    return next(row for row in rows if not row["artifacts"])


def other_image(row: Row, data: bytes) -> None:
    """The row is of another image."""
    row["image"] = {"bytes": data, "path": row["file_name"]}
    row["image_id"] = row["group_id"] = sha256(data)


def says(row: Row, index: int, **texts: str) -> None:
    """An artifact says something else, and so does the caption."""
    artifact = row["artifacts"][index]
    before = f"{artifact['phrase']}:{artifact['explanation']}"
    artifact.update(texts)
    after = f"{artifact['phrase']}:{artifact['explanation']}"
    assert before in row["caption"]
    row["caption"] = row["caption"].replace(before, after)
