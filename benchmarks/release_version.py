"""The next version of a release: how much of it is written anew, and how much an upload of it would send.

A release is built, and from it three next versions: with 1 % more pictures, with one text of 1 % of the
pictures edited, and without 1 % of the pictures. Of each is told

    new files      bytes of Parquet files whose content the first release does not have, as a share of all
    linked         bytes of files that are the same file on disk as in the first release
    upload         bytes that a store with content-defined chunks, such as the Hugging Face Hub, does not
                   have after the first release (see `release_chunks`), as a share of all

and the upload as built (every picture in a page of its own, no content-defined chunking), and for the same
rows in other files:

    CDC on, CDC off    written again by pyarrow with content-defined chunking, its own lengths, and without
    CDC small          with chunks of 8 to 64 KB, so that a picture has a page of its own
    snappy             without content-defined chunking, the images compressed by snappy
    packed anew        as `CDC small`, into files of 400 MB in the order of their ids: no stable files

    python benchmarks/release_version.py --folder CACHE --count 2000
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from release_build import PICTURE_BYTES, build
from release_chunks import Store
from release_measure import Figures, as_json, need_space, table
from release_pictures import PAPER_IMAGES, add_pictures, add_records, make_pictures, make_workspace

from synthscars import caption
from synthscars.jsonl import read_records
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace

FIRST, NEXT = "1.0.0", "2.0.0"
_SHARE = 0.01
_PACKED_BYTES = 400 * 10**6
_HEADS = {
    "total_mb": "MB|.0f",
    "new_files": "new files|.1%",
    "linked": "linked|.1%",
    "as built": "as built|.2%",
    "CDC on": "CDC on|.2%",
    "CDC small": "CDC small|.2%",
    "CDC off": "CDC off|.2%",
    "snappy": "snappy|.2%",
    "packed anew": "packed anew|.2%",
}

_Change = Callable[[list[ImageRecord], list[ImageRecord]], list[ImageRecord]]


def _more(records: list[ImageRecord], fresh: list[ImageRecord]) -> list[ImageRecord]:
    return records + fresh


def _edited(records: list[ImageRecord], fresh: list[ImageRecord]) -> list[ImageRecord]:
    chosen = _some([record for record in records if record.artifacts], len(fresh))
    return [_edit(record) if record.image_id in chosen else record for record in records]


def _fewer(records: list[ImageRecord], fresh: list[ImageRecord]) -> list[ImageRecord]:
    chosen = _some(records, len(fresh))
    return [record for record in records if record.image_id not in chosen]


CHANGES: dict[str, _Change] = {
    "1 % more pictures": _more,
    "1 % of texts edited": _edited,
    "1 % of pictures gone": _fewer,
}


def _some(records: list[ImageRecord], count: int) -> set[str]:
    # Spread over all of them, and the same in every run.
    return set(sorted((each.image_id for each in records), key=lambda each: each[::-1])[:count])


def _edit(record: ImageRecord) -> ImageRecord:
    first, *others = record.artifacts
    text = first.explanation + " This was looked at again."
    artifacts = (msgspec.structs.replace(first, explanation=text), *others)
    pairs = [(each.phrase, each.explanation) for each in artifacts]
    return msgspec.structs.replace(
        record, artifacts=artifacts, caption=caption.compose(record.reviews[0].scene, pairs)
    )


# Other ways to write the same rows


_Chunking = bool | dict[str, int]
_SMALL = {"min_chunk_size": 8 * 2**10, "max_chunk_size": 64 * 2**10, "norm_level": 0}


def _again(release: Path, target: Path, images: str, chunking: _Chunking) -> None:
    import pyarrow.parquet as pq

    for path in _files(release):
        kept = target / path.relative_to(release)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with (
            pq.ParquetFile(path) as file,
            pq.ParquetWriter(kept, file.schema_arrow, **_options(path, images, chunking)) as writer,
        ):
            for number in range(file.num_row_groups):
                rows = file.read_row_group(number)
                writer.write_table(rows, len(rows))


def _packed(release: Path, target: Path) -> None:
    """All rows in the order of their ids, split by split, in files that are full one after the other."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    workspace = Workspace.open(release.parents[1])
    target.mkdir(parents=True)
    for split in sorted({path.name.split("-")[0] for path in _files(release)}):
        paths = [path for path in _files(release) if path.name.split("-")[0] == split]
        schema = pq.read_schema(paths[0])
        small = [name for name in schema.names if name != "image"]
        rows = pa.concat_tables([pq.read_table(path, columns=small) for path in paths]).sort_by("image_id")
        options = _options(paths[0], "none", _SMALL)
        # Of pictures that are alike in size, as many to a file as fill it.
        images = [workspace.image_path(each, ".jpg") for each in rows["image_id"].to_pylist()]
        mean = sum(path.stat().st_size for path in images) / max(len(images), 1)
        most = max(100, int(_PACKED_BYTES / max(mean, 1)) // 100 * 100)
        for number, first in enumerate(range(0, len(rows), most)):
            with pq.ParquetWriter(target / f"{split}-{number:05d}.parquet", schema, **options) as writer:
                for start in range(first, min(first + most, len(rows)), 100):
                    group = rows.slice(start, min(100, first + most - start))
                    found = [path.read_bytes() for path in images[start : start + len(group)]]
                    parts = [pa.array(found, pa.binary()), group["file_name"].combine_chunks()]
                    image = pa.StructArray.from_arrays(parts, fields=list(schema.field("image").type))
                    columns = [image if name == "image" else group[name] for name in schema.names]
                    writer.write_table(pa.table(columns, schema=schema), 100)


def _options(path: Path, images: str, chunking: _Chunking) -> dict[str, Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        leaves = [file.schema.column(index).path for index in range(len(file.schema.names))]
    return {
        "compression": {leaf: images if leaf == "image.bytes" else "zstd" for leaf in leaves},
        "use_dictionary": [leaf for leaf in leaves if leaf != "image.bytes"],
        "write_page_index": True,
        "use_content_defined_chunking": chunking,
    }


VARIANTS: dict[str, Callable[[Path, Path], None]] = {
    "CDC on": lambda release, target: _again(release, target, "none", True),
    "CDC small": lambda release, target: _again(release, target, "none", _SMALL),
    "CDC off": lambda release, target: _again(release, target, "none", False),
    "snappy": lambda release, target: _again(release, target, "snappy", False),
    "packed anew": _packed,
}


# The comparison


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Figures]:
    """Build the first release and the next ones in `folder`, which keeps the pictures alone."""
    count = options.count
    fresh = max(1, round(count * _SHARE))
    need_space(folder, count * PICTURE_BYTES * 5)
    pictures = make_pictures(folder / "pictures", count + fresh, scale=options.scale)
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        work = Path(scratch)
        workspace = make_workspace(work / "workspace", pictures[:count])
        records = list(read_records(workspace.latest_records()))
        _say(f"build {FIRST}")
        build(workspace.root, FIRST)
        added = add_pictures(workspace, pictures[count:])
        old = workspace.release_dir(FIRST)
        stores = {"as built": _stored(old)}
        for variant in options.variants:
            _say(f"{FIRST}, {variant}")
            with _written(old, work, variant) as other:
                stores[variant] = _stored(other)
        for name, change in CHANGES.items():
            _say(f"build {NEXT}: {name}")
            add_records(workspace, change(records, added))
            build(workspace.root, NEXT)
            new = workspace.release_dir(NEXT)
            total, found[name] = _kept(old, new)
            found[name]["as built"] = stores["as built"].copy().add(_files(new)) / total
            for variant in options.variants:
                _say(f"{name}, {variant}")
                with _written(new, work, variant) as other:
                    sizes = sum(path.stat().st_size for path in _files(other))
                    found[name][variant] = stores[variant].copy().add(_files(other)) / sizes
            shutil.rmtree(new)
    return found


@contextmanager
def _written(release: Path, work: Path, variant: str) -> Iterator[Path]:
    """A release as a variant writes it, as long as the block lasts."""
    target = work / "variant"
    VARIANTS[variant](release, target)
    yield target
    shutil.rmtree(target)


def _stored(release: Path) -> Store:
    store = Store()
    store.add(_files(release))
    return store


def _kept(old: Path, new: Path) -> tuple[int, Figures]:
    digests, inodes = set(), set()
    for path in _files(old):
        digests.add(_digest(path))
        inodes.add(path.stat().st_ino)
    total = written = linked = 0
    for path in _files(new):
        size = path.stat().st_size
        total += size
        written += 0 if _digest(path) in digests else size
        linked += size if path.stat().st_ino in inodes else 0
    return total, {"total_mb": total / 1e6, "new_files": written / total, "linked": linked / total}


def _files(release: Path) -> list[Path]:
    return sorted(release.rglob("*.parquet"))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _say(what: str) -> None:
    print(what, file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, help="for pictures, which stay there, and all that is written")
    parser.add_argument("--count", type=int, default=PAPER_IMAGES, help="pictures of the first release")
    parser.add_argument("--variants", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--scale", type=float, default=1.0, help="of the pictures' sides; their folder's own")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as fallback:
        found = measure(options.folder or Path(fallback), options)
    heads = {key: head for key, head in _HEADS.items() if any(key in row for row in found.values())}
    table(f"{options.count:,} pictures; bytes as a share of the new version's", heads, found)
    as_json({"count": options.count, "figures": found})


if __name__ == "__main__":
    main()
