"""Scores as a table with one row per image, for people who look where a model is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from synthscars.converters.regions_table import guard
from synthscars.files import atomic_file
from synthscars.metrics.overlap import OVERLAPS
from synthscars.metrics.scores import ImageScore
from synthscars.metrics.statistics import label_hits, ordered
from synthscars.problems import UsageError

SUFFIXES = (".csv", ".jsonl", ".parquet")

COLUMNS: dict[str, type] = {
    **dict.fromkeys(("image_id", "file_name", "split", "origin", "content_type", "generator"), str),
    **dict.fromkeys(("judged", "answered"), bool),
    **dict.fromkeys(OVERLAPS, float),
    **dict.fromkeys(("true_area", "predicted_area", "regions", "predicted", "matched"), int),
    **dict.fromkeys(("matched_iou", "category_accuracy", "subtype_accuracy"), float),
    **dict.fromkeys(("rouge_l", "css", "synthetic"), float),
}
"""Column → type. Areas are in pixels. What has no value is empty."""


def row_of(score: ImageScore) -> dict[str, Any]:
    """One row. Of an image that nobody judged, only who it is and what was said of its origin."""
    row: dict[str, Any] = {
        "image_id": score.image_id,
        "file_name": score.file_name,
        "split": score.split,
        "origin": score.origin,
        "content_type": score.content_type,
        "generator": score.generator,
        "judged": score.judged,
        "answered": score.predicted,
        "rouge_l": score.rouge_l,
        "css": score.css,
        "synthetic": score.synthetic,
    }
    if score.judged:
        row |= score.pixels.overlap()
        row |= {"true_area": score.pixels.true, "predicted_area": score.pixels.predicted}
        row |= {"regions": len(score.truth), "predicted": len(score.found), "matched": len(score.matches)}
        row["matched_iou"] = _mean([each.iou for each in score.matches])
        for name in ("category", "subtype"):
            row[f"{name}_accuracy"] = _mean([hit for hit in label_hits(score, name) if hit is not None])
    return {name: row.get(name) for name in COLUMNS}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def check_target(path: Path) -> None:
    """Raise `UsageError` if the name does not say which kind of table it is to be."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: unknown kind of table", fix=f"name it {', '.join(SUFFIXES)}")


def write_table(path: Path, scores: Iterable[ImageScore]) -> None:
    """Write the rows in the order of the image ids, atomically, as CSV, JSON Lines or Parquet by the suffix.

    CSV is UTF-8 with a byte order mark, and texts that a spreadsheet would run as a formula are guarded, as
    in the format `regions` of `synthscars convert`. Equal scores give equal bytes.
    """
    check_target(path)
    rows = map(row_of, ordered(scores))
    with atomic_file(path) as file:
        match path.suffix.lower():
            case ".csv":
                file.writelines(_csv(rows))
            case ".jsonl":
                file.writelines(msgspec.json.encode(row) + b"\n" for row in rows)
            case _:
                _write_parquet(rows, file)


def _csv(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    import csv
    import io

    yield b"\xef\xbb\xbf"
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([guard(value) if isinstance(value, str) else value for value in row.values()])
        yield buffer.getvalue().encode("utf-8", "backslashreplace")
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


def _write_parquet(rows: Iterable[dict[str, Any]], file: IO[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {str: pa.string(), bool: pa.bool_(), float: pa.float64(), int: pa.int64()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file)
