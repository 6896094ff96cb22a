"""The folder on disk: where everything of one dataset lives, and how files get there whole or not at all.

::

    synthscars.toml        name and settings (no secrets)
    images/ab/abcd….png    original bytes, named by their sha256
    index/000001.parquet   ingest batches, append-only: one row per file
    exports/000001.json.zst    raw Label Studio exports, never edited
    records/000001.jsonl.zst   the records parsed from the export of the same number
    quarantine/            what could not be used, each with a .json that says why
    releases/1.0.0/        built releases
    reports/               statistics and plots
    platform/              the Label Studio server's own data and credentials

Files are written under a name that starts with `.tmp-` and renamed when they are complete, so a kill leaves
either the old state or the new one, and at worst a `.tmp-` file that the next writer removes (see
`synthscars.files`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from synthscars.files import atomic_file, remove_temporary
from synthscars.problems import FormatError, UsageError, WorkspaceError
from synthscars.records import ImageRecord, decode_record, encode_lines, encode_record

if TYPE_CHECKING:
    import pyarrow as pa

CONFIG_NAME = "synthscars.toml"
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


class PlatformSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[platform]`: the port that Label Studio should use, and the project's title there."""

    port: int = 8080
    title: str = ""


class ConsensusSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[consensus]`: regions of two raters are one artifact from this mask IoU on."""

    min_iou: float = 0.5


class ReleaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[release]`: what the card says, and how images are split."""

    pretty_name: str = ""
    license: str = "other"
    seed: int = 0
    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything in `synthscars.toml`."""

    name: str
    workspace_version: int = 1
    platform: PlatformSettings = PlatformSettings()
    consensus: ConsensusSettings = ConsensusSettings()
    release: ReleaseSettings = ReleaseSettings()


_NEW_CONFIG = """\
# A synthscars workspace. Secrets do not belong here.
name = {name}
workspace_version = 1

[platform]
port = 8080            # the next free one is taken if this is busy

[consensus]
min_iou = 0.5          # mask IoU from which two raters' regions are one artifact

[release]
license = "other"      # licence of the dataset, as the Hugging Face Hub spells it
seed = 0               # of the splits
train = 0.8
validation = 0.1
test = 0.1
"""


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
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise WorkspaceError(f"{path} is not an empty folder", fix="choose a new or an empty folder")
        root.mkdir(parents=True, exist_ok=True)
        config = _NEW_CONFIG.format(name=_toml_string(name or root.name))
        with atomic_file(root / CONFIG_NAME) as file:
            file.write(config.encode())
        return cls.open(root)

    @classmethod
    def open(cls, path: Path) -> Workspace:
        """Open the workspace in this folder.

        Raises `WorkspaceError` if there is none, or its settings cannot be read.
        """
        config = path / CONFIG_NAME
        try:
            settings = msgspec.convert(tomllib.loads(config.read_text(encoding="utf-8")), Settings)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise WorkspaceError(
                f"{path} is not a workspace: it has no {CONFIG_NAME}",
                fix="make one with `synthscars init FOLDER`, or name one with --workspace",
            ) from error
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise WorkspaceError(f"{config}: {error}", fix="mend this line of the settings") from error
        if settings.workspace_version != 1:
            raise WorkspaceError(
                f"{config}: workspace_version {settings.workspace_version} is not known to this synthscars",
                fix="upgrade synthscars",
            )
        return cls(path.resolve(), settings)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for writing, and clear away what a killed writer left half done.

        Raises `WorkspaceError` at once if another process holds it. The lock ends with the process.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.root / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise WorkspaceError(
                f"another synthscars command is writing to {self.root}", fix="wait until it has finished"
            ) from error
        try:
            for folder in self._written_by_us():
                remove_temporary(folder)
            yield
        finally:
            lock.release()

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
        if not _IMAGE_ID.fullmatch(image_id) or not re.fullmatch(r"\.[a-z]+", suffix):
            raise FormatError(f"not an image id: {image_id[:80]!r}")
        return self.images_dir / image_id[:2] / f"{image_id}{suffix}"

    def find_image(self, image_id: str) -> Path | None:
        """The file with the original bytes of an image, `None` if it is not in the workspace."""
        from synthscars.images import SUFFIXES

        # Not a glob: it would read a folder with a 256th of all images for each image.
        paths = (self.image_path(image_id, suffix) for suffix in SUFFIXES.values())
        return next((path for path in paths if path.is_file()), None)

    def add_image(self, data: bytes, image_id: str, suffix: str) -> Path:
        """Keep the original bytes of an image; does nothing if they are there."""
        path = self.image_path(image_id, suffix)
        if not path.exists():
            with atomic_file(path) as file:
                file.write(data)
        return path

    # Index

    def index_batches(self) -> list[Path]:
        """The ingest batches, oldest first."""
        return self.numbered(self.index_dir, ".parquet")

    def append_index(self, records: Iterable[ImageRecord]) -> Path:
        """Add one ingest batch. A record whose `image_id` is known adds a second name for that image."""
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

    def images(self) -> Iterator[ImageRecord]:
        """Every image once, oldest first, unlabelled, under the name it was first ingested with."""
        seen: set[str] = set()
        for record in self.index_rows():
            if record.image_id not in seen:
                seen.add(record.image_id)
                yield record

    # Numbered files

    def numbered(self, folder: Path, suffix: str) -> list[Path]:
        """Files `000001<suffix>`, `000002<suffix>`, … of a folder, oldest first."""
        return sorted(path for path in folder.glob(f"*{suffix}") if re.fullmatch(r"\d{6}", path.name[:6]))

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
                fix="annotate some images and run `synthscars platform pull`",
            )
        return found[-1]

    def release_dir(self, version: str) -> Path:
        """Where a release is kept. Raises `UsageError` if `version` is not like 1.2.3."""
        return self.releases_dir / check_version(version)


def _toml_string(text: str) -> str:
    # A JSON string is a TOML string, but for DEL. Bytes of a folder's name that are no text become `?`.
    printable = text.encode("utf-8", "replace").decode()
    return msgspec.json.encode(printable).decode().replace("\x7f", "\\u007f")


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


# Records at rest


def write_records(path: Path, records: Iterable[ImageRecord]) -> int:
    """Write records as JSON Lines compressed with zstandard, atomically; returns how many."""
    import zstandard

    count = 0
    # One thread and no checksum-free shortcuts: equal records give equal bytes.
    compressor = zstandard.ZstdCompressor(level=10, write_checksum=True)
    with atomic_file(path) as file, compressor.stream_writer(file, closefd=False) as stream:
        for line in encode_lines(records):
            stream.write(line)
            count += 1
    return count


def read_records(path: Path) -> Iterator[ImageRecord]:
    """Read JSON Lines of records, compressed (`.zst`) or not.

    Raises `FormatError` naming the file and the line if one is not a record, or the file is cut short.
    """
    import zstandard

    try:
        with path.open("rb") as file:
            lines = _decompressed_lines(file) if path.suffix == ".zst" else file
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield decode_record(line, f"{path}, line {number}")
    except (zstandard.ZstdError, EOFError) as error:
        raise FormatError(f"{path}: {error}", fix="pull again, or restore the file from a backup") from error


def _decompressed_lines(file: IO[bytes]) -> Iterator[bytes]:
    # Not `stream_reader`: it takes the end of the file for the end of the data, so a file that was cut short
    # after a whole line would just seem to hold fewer records.
    import zstandard

    frame = zstandard.ZstdDecompressor().decompressobj()
    rest = b""
    while chunk := file.read(zstandard.DECOMPRESSION_RECOMMENDED_INPUT_SIZE):
        if frame.eof:
            raise EOFError("something follows the end of the compressed data")
        *lines, rest = (rest + frame.decompress(chunk)).split(b"\n")
        yield from lines
    if not frame.eof or frame.unused_data:
        raise EOFError("the file is cut short" if not frame.eof else "something follows the compressed data")
    if rest:
        yield rest
