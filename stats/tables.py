"""A release as two pandas tables, one row per image and one per artifact, read without the images.

Only the columns that are counted are read from the Parquet files, so this takes seconds and little memory for
a release of any size. Class labels become their names, which stand in the files themselves. Counted is the
config `default`: merged artifacts, not once more what every rater drew (`rater_artifacts`). Photographs that
nobody annotated, which only the config `detection` has, are a number by split and in no table.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from synthscars.geometry import area
from synthscars.problems import ReleaseError
from synthscars.records import source_name

if TYPE_CHECKING:
    import pandas as pd

_SPLITS = ("train", "validation", "test")
_READ = (
    "image_id",
    "width",
    "height",
    "origin",
    "content_type",
    "status",
    "caption",
    "artifacts",
    "rater_list",
    "generation.tool",
    "generation.model",
    "source",
    "license",
)
_IMAGE_COLUMNS = (
    "image_id",
    "split",
    "origin",
    "content_type",
    "status",
    "generator",
    "source",
    "license",
    "raters",
    "artifacts",
    "coverage",
    "caption_characters",
    "caption_words",
)
_ARTIFACT_COLUMNS = (
    "image_id",
    "artifact_id",
    "split",
    "category",
    "subtype",
    "votes",
    "agreement",
    "area",
    "area_share",
    "rings",
    "vertices",
    "phrase_characters",
    "phrase_words",
    "explanation_characters",
    "explanation_words",
)


class Labels(msgspec.Struct, frozen=True):
    """Names of the classes, in class order, as the files of a release have them."""

    origin: tuple[str, ...]
    content_type: tuple[str, ...]
    status: tuple[str, ...]
    category: tuple[str, ...]
    subtype: tuple[str, ...]


class Tables(msgspec.Struct, frozen=True):
    """A release as tables; what is unknown is `None`.

    images: one row per image. `generator` is tool and model; `raters` the list of their ids; `artifacts`
    their number; `coverage` the share of the image that they cover together, in [0, 1].

    artifacts: one row per artifact. `area` in square pixels; `area_share` of the image, in [0, 1]; `rings`
    and `vertices` of its polygons; lengths of `phrase` and `explanation` in characters and words.

    photographs: split → how many images only the config `detection` has.
    """

    name: str
    version: str
    splits: tuple[str, ...]
    labels: Labels
    images: pd.DataFrame
    artifacts: pd.DataFrame
    photographs: dict[str, int] = {}


def read_tables(folder: Path) -> Tables:
    """Read the release in a folder. Raises `ReleaseError` naming the folder or file that is not one."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(folder.glob("data/*.parquet"), key=lambda path: (_order(_split(path)), path.name))
    if not files:
        raise ReleaseError(
            f"{folder} is not a release: it has no data/*.parquet",
            fix="`synthscars release list` says which there are",
        )
    images: list[tuple[Any, ...]] = []
    artifacts: list[tuple[Any, ...]] = []
    for path in files:
        try:
            with pq.ParquetFile(path) as file:
                labels = _labels(file.schema_arrow.metadata or {})
                for batch in file.iter_batches(batch_size=1000, columns=list(_READ)):
                    for row in batch.to_pylist():
                        images.append(_image(row, _split(path), labels))
                        artifacts.extend(_artifacts(row, _split(path), labels))
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise ReleaseError(
                f"{path} is not a file of a release: {error!r}", fix="build the release again"
            ) from error
    photographs: Counter[str] = Counter()
    for path in sorted(folder.glob("detection/*.parquet")):
        photographs[_split(path)] += _rows(path)
    name, version = _identity(folder)
    return Tables(
        name=name,
        version=version,
        splits=tuple(dict.fromkeys(_split(path) for path in files)),
        labels=labels,
        images=pd.DataFrame(images, columns=list(_IMAGE_COLUMNS)),
        artifacts=pd.DataFrame(artifacts, columns=list(_ARTIFACT_COLUMNS)),
        photographs={split: photographs[split] for split in sorted(photographs, key=_order)},
    )


def _rows(path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise ReleaseError(
            f"{path} is not a file of a release: {error!r}", fix="build the release again"
        ) from error


def _split(path: Path) -> str:
    return path.name.split("-", 1)[0]


def _order(split: str) -> int:
    return _SPLITS.index(split) if split in _SPLITS else len(_SPLITS)


def _labels(metadata: dict[bytes, bytes]) -> Labels:
    features = json.loads(metadata[b"huggingface"])["info"]["features"]
    artifact = features["artifacts"]["feature"]
    found = {
        "origin": features["origin"],
        "content_type": features["content_type"],
        "status": features["status"],
        "category": artifact["category"],
        "subtype": artifact["subtype"],
    }
    return Labels(**{field: tuple(feature["names"]) for field, feature in found.items()})


def _identity(folder: Path) -> tuple[str, str]:
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        return str(manifest["name"]), str(manifest["version"])
    except (OSError, ValueError, KeyError, TypeError):
        # A copy without its manifest can be counted all the same.
        return folder.name, ""


def _image(row: dict[str, Any], split: str, labels: Labels) -> tuple[Any, ...]:
    rings = [ring for artifact in row["artifacts"] for ring in artifact["polygons"]]
    generation = row["generation"] or {}
    generator = " ".join(part for part in (generation.get("tool"), generation.get("model")) if part)
    return (
        row["image_id"],
        split,
        _name(row["origin"], labels.origin),
        _name(row["content_type"], labels.content_type),
        _name(row["status"], labels.status),
        generator or None,
        source_name(row["source"]) or None,
        row["license"] or None,
        row["rater_list"],
        len(row["artifacts"]),
        area(rings) / (row["width"] * row["height"]),
        len(row["caption"]),
        len(row["caption"].split()),
    )


def _artifacts(row: dict[str, Any], split: str, labels: Labels) -> Iterator[tuple[Any, ...]]:
    for artifact in row["artifacts"]:
        yield (
            row["image_id"],
            artifact["artifact_id"],
            split,
            _name(artifact["category"], labels.category),
            _name(artifact["subtype"], labels.subtype),
            artifact["votes"],
            artifact["agreement"],
            artifact["area"],
            artifact["area"] / (row["width"] * row["height"]),
            len(artifact["polygons"]),
            sum(len(ring) // 2 for ring in artifact["polygons"]),
            len(artifact["phrase"]),
            len(artifact["phrase"].split()),
            len(artifact["explanation"]),
            len(artifact["explanation"].split()),
        )


def _name(label: int | None, names: tuple[str, ...]) -> str | None:
    return None if label is None else names[label]
