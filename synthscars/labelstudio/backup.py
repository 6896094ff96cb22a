"""One file with everything of `platform/` that cannot be made again; `restoring` puts it back.

A `.tar.zst`: first `manifest.json`, then the members in the manifest's order, the database before all others.
So a restore knows every name, size and sha256 before it writes a byte. The database comes first because the
files are then at least as new as it is: an account that it knows has its password in `credentials.json`.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
import sqlite3
import stat
import tarfile
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, Literal

import msgspec

import synthscars
from synthscars.files import sync_folder
from synthscars.labelstudio import companion_file
from synthscars.labelstudio.database import SQLITE_NAME, postgres_of
from synthscars.labelstudio.environment import LABEL_STUDIO_VERSION
from synthscars.labelstudio.locking import workspace_lock
from synthscars.labelstudio.postgres_tools import DUMP_NAME, dump
from synthscars.problems import PlatformError, UsageError
from synthscars.workspace import Workspace

FORMAT = 1
MANIFEST_NAME = "manifest.json"
FOLDER_NAME = "backups"

# What is made again (pictures, links to images), belongs to a process, or tells only what happened.
_LEFT_OUT = frozenset({"cache", "served", "export", "test_data", "server.json", MANIFEST_NAME})
_ENDINGS = (".log", ".log.1", ".lock", ".sock", ".pid", "-journal", "-wal", "-shm")


class Member(msgspec.Struct, frozen=True):
    """A file of a backup. name: below `platform/`, with `/`. size: bytes."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds, and what made it."""

    format: int
    made: datetime
    synthscars: str
    label_studio: str
    database: Literal["sqlite", "postgresql"]
    members: list[Member]


class Backup(msgspec.Struct, frozen=True):
    """A backup that was written. size: of the file, in bytes."""

    file: str
    size: int
    members: int
    database: str
    label_studio: str


def backup(
    workspace: Workspace, target: Path | None = None, *, say: Callable[[str], None] = lambda line: None
) -> Backup:
    """Write a backup of the workspace's platform, whether its server runs or not.

    target: the file, which must not exist; by default one in `backups/` named by the time. It holds
    passwords, and only its owner can read it. Needs room for a second copy of the data while it runs.
    say: told for which other command it waits. Raises `UsageError` if the file exists, `PlatformError` if
    there is no database or it is damaged, or PostgreSQL's programs are missing; `WorkspaceError` if another
    command does not finish.
    """
    made = datetime.now(UTC).replace(microsecond=0)
    if target is None:
        folder = workspace.root / FOLDER_NAME
        folder.mkdir(mode=0o700, exist_ok=True)
        target = folder / f"platform-{made:%Y%m%dT%H%M%SZ}.tar.zst"
    if target.resolve().is_relative_to(workspace.platform_dir):
        raise UsageError(
            f"{target} would be in the next backup too", fix="name a file elsewhere with --output"
        )
    if target.exists():
        raise UsageError(f"{target} exists already", fix="name another file with --output")
    with workspace_lock(workspace, say), staging_folder(workspace) as staged:
        kind: Literal["sqlite", "postgresql"]
        postgres = postgres_of(workspace)
        if postgres is not None:
            kind, first = "postgresql", DUMP_NAME
            dump(postgres, staged / DUMP_NAME)
        else:
            kind, first = "sqlite", SQLITE_NAME
            _copy_database(workspace.platform_dir / SQLITE_NAME, staged / SQLITE_NAME)
        names = [first, *(name for name in _copy_files(workspace.platform_dir, staged) if name != first)]
        manifest = Manifest(
            format=FORMAT,
            made=made,
            synthscars=synthscars.__version__,
            label_studio=LABEL_STUDIO_VERSION,
            database=kind,
            members=[_member(staged, name) for name in names],
        )
        with _private_file(target) as file:
            _write_archive(file, manifest, staged)
    return Backup(str(target), target.stat().st_size, len(names), kind, LABEL_STUDIO_VERSION)


def is_kept(name: str) -> bool:
    """Whether a file of `platform/`, by its name there, belongs into a backup."""
    path = PurePosixPath(name)
    if path.parts[0] in _LEFT_OUT or any(part.startswith(".tmp-") for part in path.parts):
        return False
    # What people uploaded (media/) may have any name.
    return path.parts[0] == "media" or not path.name.endswith(_ENDINGS)


@contextmanager
def staging_folder(workspace: Workspace) -> Iterator[Path]:
    """A private folder in the workspace, gone afterwards; after a kill the next command removes it."""
    folder = Path(tempfile.mkdtemp(prefix=f".tmp-{secrets.token_hex(6)}-platform-", dir=workspace.root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database as it is at one moment, while others may write to it."""
    if not source.is_file():
        raise PlatformError(
            f"{source} is missing: there is nothing to back up", fix="`synthscars platform up`"
        )
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        # Not read-only: after a crash the journal has to be rolled back first.
        with (
            closing(sqlite3.connect(f"{source.as_uri()}?mode=rw", uri=True, timeout=60)) as live,
            closing(sqlite3.connect(target)) as copy,
        ):
            # In one step: copied in several, it would begin anew at every write of the server.
            live.backup(copy)
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
            raise PlatformError(
                f"there is no room for a copy of {source} in {target.parent.parent}: {error}",
                fix="make room on the disk, then run it again; the platform itself is as it was",
            ) from error
        raise PlatformError(
            f"{source} cannot be read: {error}",
            fix="restore an earlier backup (`synthscars platform restore`)",
        ) from error
    if found != "ok":
        raise PlatformError(
            f"{source} is damaged: {found}", fix="restore an earlier backup (`synthscars platform restore`)"
        )


def _copy_files(platform_dir: Path, staged: Path) -> list[str]:
    """Copy everything but the database; returns all names in the folder of copies, sorted."""
    for folder, folders, files in os.walk(platform_dir):
        inner = Path(folder).relative_to(platform_dir)
        folders[:] = [one for one in folders if inner.parts or one not in _LEFT_OUT]
        for one in files:
            path, name = Path(folder) / one, (inner / one).as_posix()
            if name == SQLITE_NAME or not is_kept(name) or not stat.S_ISREG(path.lstat().st_mode):
                continue
            check_name(name)
            target = staged / inner / one
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target, follow_symlinks=False)
            if name == companion_file.FILE_NAME:
                _forget_process(staged)
    return sorted(path.relative_to(staged).as_posix() for path in staged.rglob("*") if path.is_file())


def _forget_process(staged: Path) -> None:
    """The number of a process means another one, or none, where the backup is restored."""
    companion = companion_file.read_companion(staged)
    if companion is not None:
        companion_file.save_companion(
            staged, msgspec.structs.replace(companion, pid=0, instance="", ready=False)
        )


def check_name(name: str) -> None:
    """Raise `PlatformError` unless this is the plain relative name of a file that a backup may hold."""
    parts = name.split("/")
    # Control characters, and what was no UTF-8.
    odd = any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)
    plain = not odd and "\\" not in name and not set(parts) & {"", ".", ".."}
    if not plain or not is_kept(name):
        raise PlatformError(
            f"a backup cannot hold a file of the name {name!r}",
            fix="rename or remove it, or use another backup",
        )


def _member(folder: Path, name: str) -> Member:
    with (folder / name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Member(name, (folder / name).stat().st_size, digest)


def _write_archive(file: IO[bytes], manifest: Manifest, folder: Path) -> None:
    import zstandard

    compressed = zstandard.ZstdCompressor(level=6, write_checksum=True).stream_writer(file, closefd=False)
    # GNU's format, because its headers are the simplest in which a member may have more than 8 GiB.
    with compressed, tarfile.open(fileobj=compressed, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        described = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        tar.addfile(_header(MANIFEST_NAME, len(described), manifest), io.BytesIO(described))
        for member in manifest.members:
            with (folder / member.name).open("rb") as content:
                tar.addfile(_header(member.name, member.size, manifest), content)


def _header(name: str, size: int, manifest: Manifest) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode, header.mtime = size, 0o600, int(manifest.made.timestamp())
    return header


@contextmanager
def _private_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes its name when the block ends without an error, never readable for others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp-{secrets.token_hex(6)}-{path.name[:40]}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
