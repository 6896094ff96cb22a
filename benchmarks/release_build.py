"""Building a release: ours beside copying the images, pyarrow writing the same bytes, and `datasets`.

Each build runs in a process of its own, the peers in turn over the same pictures (see `release_pictures`).
Reported are medians of the wall-clock and CPU time without imports, the peak of resident memory, and what was
written to disk, temporary files included.

    copy             each image file copied into a new folder
    copy synced      and each on disk before the next
    pyarrow          floor: image bytes and ids alone, read from the image files, row groups of 100
    pyarrow same     floor: every column, all but the images ready in memory, with the writer's options of our
                     build and, as there, on disk at the end
    pyarrow hashed   and, as our build with checks does, the sha256 of each image looked at, and that of each
                     file taken
    pyarrow records  pyarrow that makes the columns first: it reads the records that `datasets` gets, and
                     writes them with the writer's options of our build
    ours             `build_release`, without checks: images that nobody touched since they were ingested are
                     not hashed
    ours checked     with them
    datasets         `Dataset.from_generator` and `to_parquet`, a split after the other
    datasets push    `Dataset.from_generator` and what `push_to_hub` does before it sends a shard

`datasets` and `pyarrow records` get records that are merged, split and sound already. The page cache is warm:
every picture is read just before each run; `--cold` drops the pictures from it instead.

    python benchmarks/release_build.py --folder CACHE
    python benchmarks/release_build.py --folder CACHE --count 2000 --runs 3 --peers pyarrow ours
    python benchmarks/release_build.py --folder CACHE --linear
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from release_measure import (
    Figures,
    Peer,
    answered_as_peer,
    as_json,
    compare,
    cool,
    folder_bytes,
    need_space,
    run_peer,
    table,
    warm,
)
from release_pictures import PAPER_IMAGES, make_pictures, make_workspace

VERSION = "1.0.0"
PICTURE_BYTES = 300_000
_SPLITS = ("train", "validation", "test")
_LINEAR = (3_000, 6_000, 12_000, 24_000)
_HEADS = {
    "seconds": "wall s|.2f",
    "cpu": "CPU s|.2f",
    "peak_mb": "peak MB|.0f",
    "bare_mb": "imports MB|.0f",
    "written_mb": "written MB|.0f",
    "result_mb": "result MB|.0f",
    "to_pyarrow": "x pyarrow|.2f",
    "to_same": "x same|.2f",
    "to_hashed": "x hashed|.2f",
    "to_records": "x records|.2f",
    "to_datasets": "x datasets|.2f",
}


# Ours


def build(workspace: Path, version: str, *, check: bool = False) -> None:
    """Build a release with the package as it is; the one place that knows how."""
    from synthscars.problems import Problems
    from synthscars.release.build import build_release
    from synthscars.workspace import Workspace

    opened = Workspace.open(workspace)
    problems = Problems()
    known = inspect.signature(build_release).parameters
    options: dict[str, Any] = {"check": check} if "check" in known else {}
    build_release(opened, version, problems, **options)
    if check and not options:
        from synthscars.release.check import check as look

        look(opened.release_dir(version), problems)


def _ours(arguments: dict[str, Any], check: bool = False) -> Callable[[], None]:
    import datasets  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import synthscars.release.build  # noqa: F401

    return lambda: build(Path(arguments["workspace"]), VERSION, check=check)


def _ours_checked(arguments: dict[str, Any]) -> Callable[[], None]:
    return _ours(arguments, check=True)


def _reference(arguments: dict[str, Any]) -> Callable[[], None]:
    """Ours, untimed: keeps the options of its Parquet writer and all columns but the images."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = Path(arguments["target"])
    target.mkdir()
    options: list[dict[str, Any]] = []
    writer = pq.ParquetWriter

    class Watched(writer):  # type: ignore[misc, valid-type]
        def __init__(self, where: Any, schema: pa.Schema, **given: Any) -> None:
            if "image_id" in schema.names and not isinstance(where, pa.BufferOutputStream):
                options.append(given)
            super().__init__(where, schema, **given)

    def work() -> None:
        pq.ParquetWriter = Watched
        build(Path(arguments["workspace"]), VERSION)
        release = Path(arguments["workspace"]) / "releases" / VERSION
        for path in sorted(release.glob("d*/*.parquet")):
            small = [name for name in pq.read_schema(path).names if name != "image"]
            rows = pq.read_table(path, columns=small)
            with pa.ipc.new_file(target / f"{path.stem}.arrow", rows.schema) as file:
                file.write_table(rows)
        (target / "options.json").write_text(json.dumps(options[-1], default=list))

    return work


# Floors


def _copy(arguments: dict[str, Any], synced: bool = False) -> Callable[[], None]:
    paths, target = _pictures(arguments), Path(arguments["target"])

    def work() -> None:
        target.mkdir()
        for path in paths:
            shutil.copyfile(path, target / path.name)
            if synced:
                with (target / path.name).open("rb") as file:
                    os.fsync(file.fileno())

    return work


def _copy_synced(arguments: dict[str, Any]) -> Callable[[], None]:
    return _copy(arguments, synced=True)


def _pyarrow(arguments: dict[str, Any]) -> Callable[[], None]:
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


def _pyarrow_same(arguments: dict[str, Any], hashed: bool = False) -> Callable[[], None]:
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


def _pyarrow_hashed(arguments: dict[str, Any]) -> Callable[[], None]:
    return _pyarrow_same(arguments, hashed=True)


# Ways that start from records


def _pyarrow_records(arguments: dict[str, Any]) -> Callable[[], None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synthscars.release.features import features

    target, parts = Path(arguments["target"]), Path(arguments["splits"])
    options = json.loads((Path(arguments["reference"]) / "options.json").read_text())
    schema = features().arrow_schema

    def work() -> None:
        target.mkdir()
        for split in _SPLITS:
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


def _datasets(arguments: dict[str, Any], push: bool = False) -> Callable[[], None]:
    from datasets import Dataset, config
    from datasets.table import embed_table_storage

    from synthscars.release.features import features

    target, parts = Path(arguments["target"]), Path(arguments["splits"])

    def work() -> None:
        target.mkdir()
        for split in _SPLITS:
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


def _datasets_push(arguments: dict[str, Any]) -> Callable[[], None]:
    return _datasets(arguments, push=True)


def _pictures(arguments: dict[str, Any]) -> list[Path]:
    return sorted(Path(arguments["pictures"]).glob("*.jpg"))[: arguments["count"]]


def _parts(items: Sequence[Path], most: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(items), most):
        yield items[start : start + most]


PEERS: dict[str, Peer] = {
    "copy": _copy,
    "copy synced": _copy_synced,
    "pyarrow": _pyarrow,
    "pyarrow same": _pyarrow_same,
    "pyarrow hashed": _pyarrow_hashed,
    "pyarrow records": _pyarrow_records,
    "ours": _ours,
    "ours checked": _ours_checked,
    "datasets": _datasets,
    "datasets push": _datasets_push,
}


# The comparison


def measure(folder: Path, options: argparse.Namespace, count: int, peers: list[str]) -> dict[str, Figures]:
    """Make pictures and a workspace in `folder`, run the peers; all but the pictures is removed again."""
    need_space(folder, count * PICTURE_BYTES * 3)
    pictures = make_pictures(
        folder / "pictures",
        count,
        scale=options.scale,
        progress=lambda done: print(f"{done:,} of {count:,} pictures", file=sys.stderr),
    )
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        work = Path(scratch)
        workspace = make_workspace(work / "workspace", pictures, raters=options.raters).root
        made: dict[str, Any] = {
            "pictures": str(folder / "pictures"),
            "workspace": str(workspace),
            "reference": str(work / "reference"),
            "splits": str(work / "splits"),
            "target": str(work / "target"),
            "count": count,
        }
        if {"pyarrow same", "pyarrow hashed", "pyarrow records"}.intersection(peers):
            run_peer(__file__, "reference", made | {"target": made["reference"]})
            _remove(workspace / "releases")
        _write_splits(workspace, work / "splits")

        def after(name: str, number: int) -> Figures:
            folder = workspace / "releases" if name.startswith("ours") else work / "target"
            _remove(folder / "cache")
            size = folder_bytes(folder) / 1e6
            _remove(folder)
            return {"result_mb": size}

        return compare(
            __file__,
            peers,
            lambda name, number: made,
            runs=options.runs,
            before=lambda: cool(pictures) if options.cold else warm(pictures),
            after=after,
        )


def _write_splits(workspace: Path, folder: Path) -> None:
    """What `datasets` gets: merged records, eight tenths for train and one for each of the others."""
    from synthscars.consensus import adjudicate
    from synthscars.jsonl import read_records, write_records
    from synthscars.problems import Problems
    from synthscars.workspace import Workspace

    records = list(adjudicate(read_records(Workspace.open(workspace).latest_records()), Problems()))
    cut, last = len(records) * 8 // 10, len(records) * 9 // 10
    parts = (records[:cut], records[cut:last], records[last:])
    folder.mkdir()
    for split, part in zip(_SPLITS, parts, strict=True):
        write_records(folder / f"{split}.jsonl", part)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _with_ratios(found: dict[str, Figures]) -> dict[str, Figures]:
    peers = {
        "to_pyarrow": "pyarrow",
        "to_same": "pyarrow same",
        "to_hashed": "pyarrow hashed",
        "to_records": "pyarrow records",
        "to_datasets": "datasets",
    }
    return {
        name: figures
        | {key: figures["seconds"] / found[peer]["seconds"] for key, peer in peers.items() if peer in found}
        for name, figures in found.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, help="for pictures, which stay there, and all that is written")
    parser.add_argument("--count", type=int, default=PAPER_IMAGES, help="pictures")
    parser.add_argument("--raters", type=int, default=1, help="who looked at each picture")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--cold", action="store_true", help="with the pictures out of the page cache")
    parser.add_argument(
        "--linear", action="store_true", help=f"growing counts, {_LINEAR} by themselves, ours alone"
    )
    parser.add_argument("--counts", type=int, nargs="+", default=list(_LINEAR), help="those of --linear")
    parser.add_argument("--scale", type=float, default=1.0, help="of the pictures' sides; their folder's own")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as fallback:
        folder = options.folder or Path(fallback)
        cache = "cold" if options.cold else "warm"
        if options.linear:
            peers = [name for name in options.peers if name.startswith("ours")]
            grown = {
                f"{name}, {count:,}": figures
                for count in options.counts
                for name, figures in measure(folder, options, count, peers).items()
            }
            table(f"growing counts of pictures, {cache}, median of {options.runs}", _HEADS, grown)
            as_json({"runs": options.runs, "cache": cache, "figures": grown})
            return
        found = _with_ratios(measure(folder, options, options.count, options.peers))
    title = f"{options.count:,} pictures, {options.raters} raters, {cache}, median of {options.runs}"
    table(
        title, {key: head for key, head in _HEADS.items() if any(key in row for row in found.values())}, found
    )
    as_json({"count": options.count, "runs": options.runs, "cache": cache, "figures": found})


if __name__ == "__main__" and not answered_as_peer(PEERS | {"reference": _reference}):
    main()
