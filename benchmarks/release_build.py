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
import inspect
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import release_peers
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


# The peers

PEERS: dict[str, Peer] = {
    "copy": release_peers.copy,
    "copy synced": release_peers.copy_synced,
    "pyarrow": release_peers.pyarrow_peer,
    "pyarrow same": release_peers.pyarrow_same,
    "pyarrow hashed": release_peers.pyarrow_hashed,
    "pyarrow records": release_peers.pyarrow_records,
    "ours": _ours,
    "ours checked": _ours_checked,
    "datasets": release_peers.datasets_peer,
    "datasets push": release_peers.datasets_push,
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
    for split, part in zip(release_peers.SPLITS, parts, strict=True):
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
