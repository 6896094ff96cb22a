"""Reading a release with `load_dataset`, beside an ImageFolder of the same pictures and annotations.

The ImageFolder has a folder for each split, with the pictures and a `metadata.jsonl` that holds every other
column of the release. Each run reads the split `train` in a process of its own, the peers in turn, from a
warm page cache. Told are the time from the call of `load_dataset` to the first example and the examples a
second from then on, of a pass over at most `--most` examples:

    streaming            `streaming=True`, images decoded
    streaming, bytes     the same, images left as bytes (`decode=False`)
    map                  not streaming, images decoded; the first example waits until the cache is built
    loader               as `map`, through a `DataLoader` of torch with two workers; only if torch is there

    python benchmarks/release_streaming.py --folder CACHE --count 2000
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from release_build import PICTURE_BYTES, VERSION, build
from release_measure import Figures, Peer, answered_as_peer, as_json, compare, need_space, table, warm
from release_pictures import PAPER_IMAGES, link_or_copy, make_pictures, make_workspace

_KINDS = ("release", "ImageFolder")
_WAYS = ("streaming", "streaming, bytes", "map", "loader")
_HEADS = {
    "first": "first s|.2f",
    "rate": "examples/s|.0f",
    "examples": "examples|.0f",
    "seconds": "wall s|.2f",
    "cpu": "CPU s|.2f",
    "peak_mb": "peak MB|.0f",
}


def _read(kind: str, way: str, arguments: dict[str, Any]) -> Callable[[], Figures]:
    import datasets

    folder, cache = arguments[kind], arguments["cache"]
    if way == "loader":
        import torch.utils.data as loading

    def work() -> Figures:
        start = time.perf_counter()
        source = {"path": folder} if kind == "release" else {"path": "imagefolder", "data_dir": folder}
        streaming = way.startswith("streaming")
        rows = datasets.load_dataset(**source, split="train", streaming=streaming, cache_dir=cache)
        if way == "streaming, bytes":
            rows = rows.cast_column("image", datasets.Image(decode=False))
        if way == "loader":
            rows = loading.DataLoader(rows, batch_size=None, num_workers=2, multiprocessing_context="fork")
        first, count = _pass(rows, arguments["most"], start, decoded=way != "streaming, bytes")
        rest = time.perf_counter() - start - first
        # The first of them ends the wait and is not in the rate.
        return {"first": first, "examples": count, "rate": (count - 1) / rest if count > 1 else 0.0}

    return work


def _pass(rows: Iterable[dict[str, Any]], most: int, start: float, *, decoded: bool) -> tuple[float, int]:
    first, count = 0.0, 0
    for count, row in enumerate(rows, start=1):
        image = row["image"]
        # Pillow decodes when pixels are asked for; `datasets` has done it, else this does.
        size = image.load() if decoded else len(image["bytes"] or Path(image["path"]).read_bytes())
        assert size, row["image_id"]
        assert row["artifacts"] is not None, row["image_id"]
        if count == 1:
            first = time.perf_counter() - start
        if count == most:
            break
    return first, count


def _name(kind: str, way: str) -> str:
    return f"{kind}, {way}"


PEERS: dict[str, Peer] = {_name(kind, way): partial(_read, kind, way) for way in _WAYS for kind in _KINDS}


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Figures]:
    """Build a release and an ImageFolder in `folder`, which keeps the pictures alone, and read both."""
    need_space(folder, options.count * PICTURE_BYTES * 4)
    pictures = make_pictures(folder / "pictures", options.count, scale=options.scale)
    ways = [way for way in options.ways if way != "loader" or importlib.util.find_spec("torch")]
    if "loader" in options.ways and "loader" not in ways:
        print("torch is not installed: without its DataLoader", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        work = Path(scratch)
        workspace = make_workspace(work / "workspace", pictures)
        build(workspace.root, VERSION)
        release = workspace.release_dir(VERSION)
        _write_image_folder(release, pictures, work / "ImageFolder")
        read = [*release.rglob("*.parquet"), *(work / "ImageFolder").rglob("*")]
        paths = [path for path in read if path.is_file()]
        made = {"release": str(release), "ImageFolder": str(work / "ImageFolder"), "most": options.most}

        def after(name: str, number: int) -> Figures:
            shutil.rmtree(work / "cache", ignore_errors=True)
            return {}

        return compare(
            __file__,
            [_name(kind, way) for way in ways for kind in _KINDS],
            lambda name, number: made | {"cache": str(work / "cache")},
            runs=options.runs,
            before=lambda: warm(paths),
            after=after,
        )


def _write_image_folder(release: Path, pictures: Sequence[Path], folder: Path) -> None:
    """The rows of a release as an ImageFolder, in the same order."""
    import pyarrow.parquet as pq

    by_name = {path.name: path for path in pictures}
    for path in sorted((release / "data").glob("*.parquet")):
        split = folder / path.name.split("-")[0]
        split.mkdir(parents=True, exist_ok=True)
        small = [name for name in pq.read_schema(path).names if name != "image"]
        with (split / "metadata.jsonl").open("a") as file:
            for row in pq.read_table(path, columns=small).to_pylist():
                link_or_copy(by_name[row["file_name"]], split / row["file_name"])
                file.write(json.dumps(row) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, help="for pictures, which stay there, and all that is written")
    parser.add_argument("--count", type=int, default=PAPER_IMAGES, help="pictures")
    parser.add_argument("--most", type=int, default=2_000, help="examples that a run reads")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=list(_WAYS), default=list(_WAYS))
    parser.add_argument("--scale", type=float, default=1.0, help="of the pictures' sides; their folder's own")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as fallback:
        found = measure(options.folder or Path(fallback), options)
    table(f"{options.count:,} pictures, warm, median of {options.runs}", _HEADS, found)
    as_json({"count": options.count, "runs": options.runs, "figures": found})


if __name__ == "__main__" and not answered_as_peer(PEERS):
    main()
