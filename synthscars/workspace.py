"""The folder on disk: where everything of one dataset lives, and how files get there whole or not at all.

::

    synthscars.toml        name and settings (no secrets)
    images/ab/abcd….png    original bytes, named by their sha256
    index/000001.parquet   ingest batches, append-only: one row per file
    exports/000001.json.zst    raw Label Studio exports, never edited
    records/000001.jsonl.zst   the records parsed from the export of the same number, made again by a pull
    quarantine/            what could not be used, each with a .json that says why
    releases/1.0.0/        built releases
    reports/               statistics and plots
    platform/              the Label Studio server's own data and credentials

Files are written under a name that starts with `.tmp-` and renamed when they are complete, so a kill leaves
either the old state or the new one, and at worst a `.tmp-` file that the next writer removes (see
`synthscars.files`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from synthscars.files import atomic_file, is_temporary, remove_temporary
from synthscars.locks import lock_at_once
from synthscars.problems import FormatError, UsageError, WorkspaceError
from synthscars.records import ImageRecord, Origin, decode_record, encode_record
from synthscars.settings import CONFIG_NAME, Settings, new_settings, read_settings

if TYPE_CHECKING:
    import pyarrow as pa

LOCK_NAME = ".lock"
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


class Workspace:
    """One dataset's folder. Make it with `Workspace.create`, find it again with `Workspace.open`."""

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root = root
        self.settings = settings
        self.images_dir = root / "images"
        self.index_dir = root / "index"
        self.exports_dir = root / "exports"
        self.records_dir = root / "records"
        self.quarantine_dir = root / "quarantine"
        self.releases_dir = root / "releases"
        self.reports_dir = root / "reports"
        self.platform_dir = root / "platform"

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.settings.name

    @classmethod
    def create(cls, path: Path, name: str = "") -> Workspace:
        """Make a workspace in a new or empty folder; `name` defaults to the folder's.

        Raises `WorkspaceError` if the folder already is a workspace or holds anything else.
        """
        root = path.resolve()
        if (root / CONFIG_NAME).exists():
            raise WorkspaceError(
                f"{path} is a workspace already", fix="use it as it is, or choose another folder"
            )
        if root.exists() and (not root.is_dir() or any(not _is_leftover(path) for path in root.iterdir())):
            raise WorkspaceError(f"{path} is not an empty folder", fix="choose a new or an empty folder")
        root.mkdir(parents=True, exist_ok=True)
        with atomic_file(root / CONFIG_NAME) as file:
            file.write(new_settings(name or root.name).encode())
        return cls.open(root)

    @classmethod
    def open(cls, path: Path) -> Workspace:
        """Open the workspace in this folder.

        Raises `WorkspaceError` if there is none, or its settings cannot be read.
        """
        return cls(path.resolve(), read_settings(path))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for writing, and clear away what a killed writer left half done.

        Raises `WorkspaceError` at once if another process holds it. The lock ends with the process.
        """

        def busy(who: str) -> WorkspaceError:
            return WorkspaceError(
                f"another synthscars command is writing to {self.root}{who}",
                fix="wait until it has finished, then run this one again",
            )

        with lock_at_once(self.root / LOCK_NAME, busy):
            for folder in self._written_by_us():
                remove_temporary(folder)
            yield

    def _written_by_us(self) -> Iterator[Path]:
        # Not platform/: a running server keeps files of its own there. Not reports/: they are written without
        # the lock, so what is half done there may be somebody's work.
        yield self.root
        yield from (
            self.index_dir,
            self.exports_dir,
            self.records_dir,
            self.quarantine_dir,
            self.releases_dir,
        )
        if self.images_dir.is_dir():
            yield from sorted(path for path in self.images_dir.iterdir() if path.is_dir())

    # Images

    def image_path(self, image_id: str, suffix: str) -> Path:
        """Where the original bytes of an image are kept.

        Raises `FormatError` if `image_id` is not a sha256, so that no path outside the workspace can be made.
        """
        if not re.fullmatch(r"\.[a-z]+", suffix):
            raise FormatError(f"not an image id: {image_id[:80]!r} with the suffix {suffix[:20]!r}")
        return Path(self._image_stem(image_id) + suffix)

    def _image_stem(self, image_id: str) -> str:
        return f"{self.images_dir}/{_checked_id(image_id)[:2]}/{image_id}"

    def find_image(self, image_id: str) -> Path | None:
        """The file with the original bytes of an image, `None` if it is not in the workspace."""
        from synthscars.images import SUFFIXES

        # Not a glob: it would read a folder with a 256th of all images for each image. Nor a `Path` for each
        # suffix: asked for every image, they take as long as reading it.
        stem = self._image_stem(image_id)
        exists = os.path.isfile
        found = next((stem + suffix for suffix in SUFFIXES.values() if exists(stem + suffix)), None)
        return None if found is None else Path(found)

    def has_image(self, image_id: str, size: int) -> bool:
        """Whether there is a file with the original bytes of an image, as many as there must be."""
        path = self.find_image(image_id)
        return path is not None and path.stat().st_size == size

    def missing_images(self) -> int:
        """How many images of the index have no file."""
        from synthscars.images import SUFFIXES

        # Listing the folders once: asking for each image would take minutes where there are many.
        names = (path.name for path in self.images_dir.glob("??/*"))
        stored = {name[:64] for name in names if name[64:] in SUFFIXES.values()}
        return len({image_id for image_id, _ in self.index_names()} - stored)

    def add_image(self, data: bytes, image_id: str, suffix: str) -> Path:
        """Keep the original bytes of an image; does nothing if they are there."""
        path = self.image_path(image_id, suffix)
        if not path.is_file() or path.stat().st_size != len(data) or path.read_bytes() != data:
            with atomic_file(path) as file:
                file.write(data)
        return path

    # Index

    def index_batches(self) -> list[Path]:
        """The ingest batches, oldest first. Raises `WorkspaceError` if one of them is gone."""
        batches = self.numbered(self.index_dir, ".parquet")
        for number, batch in enumerate(batches, start=1):
            if int(batch.name[:6]) != number:
                raise WorkspaceError(
                    f"{self.index_dir / f'{number:06d}.parquet'} is missing, though {batch.name} is there",
                    fix="restore it from a backup; if it is lost, rename the later ones to close the gap and "
                    "ingest the originals again",
                )
        return batches

    def append_index(self, records: Iterable[ImageRecord]) -> Path:
        """Add one ingest batch.

        A record whose `image_id` is known adds a second name for that image, or repeats a name; either way
        its origin and licence are the image's from now on (see `provenance`).
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = list(records)
        table = pa.table(
            {
                "image_id": [row.image_id for row in rows],
                "file_name": [row.file_name for row in rows],
                "source": [row.source for row in rows],
                "record": [encode_record(row).decode() for row in rows],
            },
            schema=_index_schema(),
        )
        path = self.next_numbered(self.index_dir, ".parquet")
        with atomic_file(path) as file:
            pq.write_table(table, file, compression="zstd")
        return path

    def index_rows(self) -> Iterator[ImageRecord]:
        """Every ingested file, oldest first, also second names of an image that was known."""
        for batch, rows in self._index(["record"]):
            for line in rows.column("record").to_pylist():
                yield decode_record(line, str(batch))

    def index_names(self) -> Iterator[tuple[str, str]]:
        """`(image_id, source)` of every ingested file, oldest first, without decoding the records."""
        for _, rows in self._index(["image_id", "source"]):
            yield from zip(
                rows.column("image_id").to_pylist(), rows.column("source").to_pylist(), strict=True
            )

    def _index(self, columns: list[str]) -> Iterator[tuple[Path, pa.RecordBatch]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        for batch in self.index_batches():
            try:
                with pq.ParquetFile(batch) as file:
                    for rows in file.iter_batches(columns=columns):
                        yield batch, rows
            except (OSError, pa.ArrowInvalid) as error:
                raise WorkspaceError(
                    f"{batch} cannot be read: {error}", fix="restore it from a backup"
                ) from error

    def ingested(self) -> dict[str, Times]:
        """By its id, when the first batch that has an image was written.

        An image file with an earlier content and status is the one that was ingested, unless times were lost:
        copying a workspace without them (`cp -r`) hides what was altered before, and exchanging the folder of
        an image hides that it was.
        """
        found: dict[str, Times] = {}
        times: dict[Path, Times] = {}
        for batch, rows in self._index(["image_id"]):
            if batch not in times:
                status = batch.stat()
                times[batch] = Times(status.st_mtime_ns, status.st_ctime_ns)
            for image_id in rows.column("image_id").to_pylist():
                found.setdefault(image_id, times[batch])
        return found

    def images(self) -> Iterator[ImageRecord]:
        """Every image once, oldest first, unlabelled, under the name it was first ingested with.

        Origin and licence are those of `provenance`.
        """
        current = self.provenance()
        for record in self.index_rows():
            # Each is taken out once, so what is no longer there has been seen.
            if found := current.pop(record.image_id, None):
                yield msgspec.structs.replace(record, origin=found[0], license=found[1])

    def provenance(self) -> dict[str, tuple[Origin, str]]:
        """Origin and licence of every image, by its id.

        They are those of its newest row, which may correct older ones; a row without a licence leaves the
        one that was given before.
        """
        current: dict[str, tuple[Origin, str]] = {}
        for batch, rows in self._index(["image_id", "record"]):
            for image_id, line in zip(
                rows.column("image_id").to_pylist(), rows.column("record").to_pylist(), strict=True
            ):
                try:
                    row = _provenance_decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise FormatError(f"{batch}: {error}", fix="restore it from a backup") from error
                known = current.get(image_id)
                current[image_id] = (row.origin, row.license or (known[1] if known else ""))
        return current

    # Numbered files

    def numbered(self, folder: Path, suffix: str) -> list[Path]:
        """Files `000001<suffix>`, `000002<suffix>`, … of a folder, oldest first."""
        return sorted(
            path
            for path in folder.glob(f"*{suffix}")
            if re.fullmatch(r"[0-9]{6}", path.name.removesuffix(suffix))
        )

    def next_numbered(self, folder: Path, suffix: str) -> Path:
        """The path of the next numbered file of a folder; nothing is written."""
        last = max((int(path.name[:6]) for path in self.numbered(folder, suffix)), default=0)
        return folder / f"{last + 1:06d}{suffix}"

    def latest_records(self) -> Path:
        """The records of the newest pull. Raises `WorkspaceError` if nothing was pulled yet."""
        found = self.numbered(self.records_dir, ".jsonl.zst")
        if not found:
            raise WorkspaceError(
                f"{self.root} has no records yet",
                fix="annotate some images and run `synthscars platform pull`, or name others with --records "
                "(`synthscars import` puts them into imports/)",
            )
        return found[-1]

    def release_dir(self, version: str) -> Path:
        """Where a release is kept. Raises `UsageError` if `version` is not like 1.2.3."""
        return self.releases_dir / check_version(version)


class Times(NamedTuple):
    """Of a file: when its content and its status (name, permissions, links) changed last, in nanoseconds."""

    content: int
    status: int


class _Provenance(msgspec.Struct):
    # Of a row's JSON, of which there may be a megabyte, only this is decoded.
    origin: Origin = "synthetic"
    license: str = ""


_provenance_decoder = msgspec.json.Decoder(_Provenance)


def _checked_id(image_id: str) -> str:
    if not _IMAGE_ID.fullmatch(image_id):
        raise FormatError(f"not an image id: {image_id[:80]!r}")
    return image_id


def _is_leftover(path: Path) -> bool:
    # What a `create` that was killed leaves; the first to take the lock clears it away.
    return path.name == LOCK_NAME or (is_temporary(path) and path.name.endswith(f"-{CONFIG_NAME}"))


def is_version(version: str) -> bool:
    """Whether this is a semantic version, MAJOR.MINOR.PATCH."""
    return re.fullmatch(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}", version) is not None


def check_version(version: str) -> str:
    """Return a semantic version as it is; raise `UsageError` for anything but MAJOR.MINOR.PATCH."""
    if not is_version(version):
        raise UsageError(
            f"{version!r} is not a version", fix="write it as MAJOR.MINOR.PATCH, for instance 1.0.0"
        )
    return version


def _index_schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema({name: pa.string() for name in ("image_id", "file_name", "source", "record")})
