"""What builds of releases are compared with: copying the images, pyarrow, and `datasets`.

Each function prepares one of them from the arguments of `release_build.py`, and returns the work that is
measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

SPLITS = ("train", "validation", "test")


# Floors


def copy(arguments: dict[str, Any], synced: bool = False) -> Callable[[], None]:
    """Each image file copied into a new folder. synced: each on disk before the next."""
    paths, target = _pictures(arguments), Path(arguments["target"])

    def work() -> None:
        target.mkdir()
        for path in paths:
            shutil.copyfile(path, target / path.name)
            if synced:
                with (target / path.name).open("rb") as file:
                    os.fsync(file.fileno())

    return work


def copy_synced(arguments: dict[str, Any]) -> Callable[[], None]:
    """`copy`, synced."""
    return copy(arguments, synced=True)


def pyarrow_peer(arguments: dict[str, Any]) -> Callable[[], None]:
    """Image bytes and ids alone, with the writer's defaults but for compression; not synced."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    paths, target = _pictures(arguments), Path(arguments["target"])
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({"image": image, "image_id": pa.string()})

    def work() -> None:
        target.mkdir()
        for number, shard in enumerate(_parts(paths, 1_350)):
            file = target / f"{number:05d}.parquet"
            with pq.ParquetWriter(file, schema, compression="none", use_dictionary=False) as writer:
                for group in _parts(shard, 100):
                    parts = [pa.array([path.read_bytes() for path in group], pa.binary())]
                    parts += [pa.array([path.name for path in group])]
                    images = pa.StructArray.from_arrays(parts, fields=list(image))
                    ids = pa.array([path.stem for path in group])
                    writer.write_table(pa.table([images, ids], schema=schema), 100)

    return work


def pyarrow_same(arguments: dict[str, Any], hashed: bool = False) -> Callable[[], None]:
    """What the release holds, all but the images ready in memory, with our writer's options, synced.

    hashed: compare each image with its sha256, and take that of each file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synthscars.release.features import features
    from synthscars.workspace import Workspace

    workspace, target = Workspace.open(Path(arguments["workspace"])), Path(arguments["target"])
    reference = Path(arguments["reference"])
    options = json.loads((reference / "options.json").read_text())
    whole = features().arrow_schema
    shards = {path.stem: pa.ipc.open_file(path).read_all() for path in sorted(reference.glob("*.arrow"))}

    def work() -> None:
        target.mkdir()
        for name, rows in shards.items():
            kept = [field for field in whole if field.name == "image" or field.name in rows.column_names]
            schema = pa.schema(kept, whole.metadata)
            with (target / f"{name}.parquet").open("wb") as file:
                with pq.ParquetWriter(file, schema, **options) as writer:
                    for start in range(0, len(rows), 100):
                        group = rows.slice(start, 100)
                        ids, names = (group[each].to_pylist() for each in ("image_id", "file_name"))
                        found = [workspace.image_path(each, ".jpg").read_bytes() for each in ids]
                        if hashed and [hashlib.sha256(each).hexdigest() for each in found] != ids:
                            raise SystemExit("an image is not the one that was ingested")
                        images = pa.StructArray.from_arrays(
                            [pa.array(found, pa.binary(), size=len(ids)), pa.array(names)],
                            fields=list(schema.field("image").type),
                        )
                        columns = [images, *(group[field.name] for field in schema if field.name != "image")]
                        order = ["image", *(field.name for field in schema if field.name != "image")]
                        writer.write_table(pa.table(columns, order).select(schema.names).cast(schema), 100)
                file.flush()
                os.fsync(file.fileno())
            if hashed:
                with (target / f"{name}.parquet").open("rb") as file:
                    hashlib.file_digest(file, "sha256")

    return work


def pyarrow_hashed(arguments: dict[str, Any]) -> Callable[[], None]:
    """`pyarrow_same`, hashed."""
    return pyarrow_same(arguments, hashed=True)


# Ways that start from records


def pyarrow_records(arguments: dict[str, Any]) -> Callable[[], None]:
    """What the release holds, made from merged records, with our writer's options, synced."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synthscars.release.features import features

    target, parts = Path(arguments["target"]), Path(arguments["splits"])
    options = json.loads((Path(arguments["reference"]) / "options.json").read_text())
    schema = features().arrow_schema

    def work() -> None:
        target.mkdir()
        for split in SPLITS:
            rows = _rows(str(parts / f"{split}.jsonl"), arguments["workspace"], embedded=True)
            with (target / f"{split}.parquet").open("wb") as file:
                with pq.ParquetWriter(file, schema, **options) as writer:
                    while group := list(islice(rows, 100)):
                        writer.write_table(pa.Table.from_pylist(group, schema=schema), 100)
                file.flush()
                os.fsync(file.fileno())

    return work


def _rows(records: str, workspace: str, embedded: bool) -> Iterator[dict[str, Any]]:
    from synthscars.jsonl import read_records
    from synthscars.release.features import to_row
    from synthscars.workspace import Workspace

    opened = Workspace.open(Path(workspace))
    for record in read_records(Path(records)):
        path = opened.image_path(record.image_id, ".jpg")
        row = to_row(record, path.read_bytes() if embedded else b"")
        yield row if embedded else row | {"image": str(path)}


def datasets_peer(arguments: dict[str, Any], push: bool = False) -> Callable[[], None]:
    """`Dataset.from_generator` and `to_parquet`, split by split.

    push: what `push_to_hub` does before it sends a shard, instead of `to_parquet`.
    """
    from datasets import Dataset, config
    from datasets.table import embed_table_storage

    from synthscars.release.features import features

    target, parts = Path(arguments["target"]), Path(arguments["splits"])

    def work() -> None:
        target.mkdir()
        for split in SPLITS:
            given = {
                "records": str(parts / f"{split}.jsonl"),
                "workspace": arguments["workspace"],
                "embedded": not push,
            }
            made = Dataset.from_generator(
                _rows, features=features(), gen_kwargs=given, cache_dir=str(target / "cache")
            )
            if not push:
                made.to_parquet(target / f"{split}.parquet")
                continue
            # As `Dataset.push_to_hub` of datasets 5 does it, shard by shard, up to the sending.
            size = made._estimate_nbytes()
            count = size // (500 * 10**6) + 1
            batch = config.PARQUET_ROW_GROUP_SIZE_FOR_IMAGE_DATASETS or max(
                1, len(made) * 100 * 10**6 // max(size, 1)
            )
            for index in range(count):
                shard = made.shard(count, index, contiguous=True).with_format("arrow")
                shard = shard.map(embed_table_storage, batched=True, batch_size=batch, keep_in_memory=True)
                shard.to_parquet(target / f"{split}-{index:05d}.parquet", batch_size=batch)

    return work


def datasets_push(arguments: dict[str, Any]) -> Callable[[], None]:
    """`datasets_peer`, as for the Hub."""
    return datasets_peer(arguments, push=True)


def _pictures(arguments: dict[str, Any]) -> list[Path]:
    return sorted(Path(arguments["pictures"]).glob("*.jpg"))[: arguments["count"]]


def _parts(items: Sequence[Path], most: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]
