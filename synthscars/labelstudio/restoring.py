"""A backup back into the workspace: checked as a whole before anything there is touched."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from synthscars.files import sync_folder
from synthscars.labelstudio import processes
from synthscars.labelstudio.backup import FORMAT, MANIFEST_NAME, Manifest, Member, check_name, staging_folder
from synthscars.labelstudio.companion_file import read_companion
from synthscars.labelstudio.database import SQLITE_NAME, postgres_of
from synthscars.labelstudio.environment import LABEL_STUDIO_VERSION
from synthscars.labelstudio.locking import server_lock
from synthscars.labelstudio.postgres_tools import DUMP_NAME, dump, load, program
from synthscars.labelstudio.server import noted_server
from synthscars.problems import PlatformError
from synthscars.workspace import Workspace

if TYPE_CHECKING:
    from synthscars.labelstudio.database import Postgres

MAX_MANIFEST = 64 * 2**20
MAX_WINDOW = 2**27
"""Memory that decompressing may take: a hostile file could ask for 2 GiB."""

_ROOM_LEFT = 64 * 2**20
_LONGEST_NAME = 4096
_CHUNK = 1 << 20
_LOCKS = (".lock",)
_FIX = "use another backup; nothing was changed"


class Restored(msgspec.Struct, frozen=True):
    """What was put back. made: when the backup was. replaced: where the old folder is now, if any."""

    members: int
    made: datetime
    database: str
    label_studio: str
    replaced: str | None


def restore(workspace: Workspace, source: Path, *, force: bool = False) -> Restored:
    """Put a backup in the place of the workspace's platform, which must not run.

    force: also where there is one already; its folder is moved aside, and a PostgreSQL database is written
    into it. Raises `PlatformError` if the backup is damaged or does not fit, if the platform runs, or if
    there is one and `force` is not set; nothing is changed then.
    """
    folder = workspace.platform_dir
    with workspace.lock(), staging_folder(workspace) as staged:
        folder.mkdir(mode=0o700, exist_ok=True)
        with server_lock(folder):  # nobody starts a server meanwhile
            _refuse_running(folder)
            occupied = any(not path.name.endswith(_LOCKS) for path in folder.iterdir())
            if occupied and not force:
                raise PlatformError(
                    f"{folder} holds a platform already",
                    fix="restore with --force: the old folder is kept aside",
                )
            manifest = extract(source, staged)
            postgres = _fitting(workspace, manifest)
            if postgres is not None:
                _restore_postgres(postgres, staged, folder, force=force)
                occupied = occupied or force  # the old database lies in the folder now
            replaced = _swap(staged, folder, keep=occupied)
    return Restored(
        len(manifest.members),
        manifest.made,
        manifest.database,
        manifest.label_studio,
        str(replaced) if replaced else None,
    )


def extract(source: Path, folder: Path) -> Manifest:
    """Write the members of a backup into an empty folder, each checked against the manifest.

    Raises `PlatformError` if anything is not as a backup of ours has it. The folder is then not to be used.
    """
    import zstandard

    if not source.is_file():
        raise PlatformError(f"there is no file {source}", fix="name a backup that exists")
    try:
        with source.open("rb") as file:
            stream = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(file)
            with tarfile.open(fileobj=stream, mode="r|", tarinfo=_PlainHeader) as tar:
                manifest = _read_manifest(tar, folder)
                for member in manifest.members:
                    _take(tar, member, folder)
                if tar.next() is not None:
                    raise PlatformError("the backup holds more than its manifest says", fix=_FIX)
    except (zstandard.ZstdError, tarfile.TarError, EOFError) as error:
        raise PlatformError(f"{source} is no backup, or is damaged: {error}", fix=_FIX) from error
    return manifest


class _PlainHeader(tarfile.TarInfo):
    """The header of a member that is a file; any other kind is refused before it is looked at.

    Links and devices have no place in a backup, and what some headers announce is read into memory whole.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _PlainHeader:
        header = super().frombuf(buf, encoding, errors)
        long_name = header.type == tarfile.GNUTYPE_LONGNAME and header.size <= _LONGEST_NAME
        if not long_name and header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise PlatformError(
                f"the backup holds something that is no file: {header.name[:100]!r}", fix=_FIX
            )
        return header


def _read_manifest(tar: tarfile.TarFile, folder: Path) -> Manifest:
    header = tar.next()
    if header is None or header.name != MANIFEST_NAME or header.size > MAX_MANIFEST:
        raise PlatformError("the backup does not begin with a manifest", fix=_FIX)
    data = _content(tar, header).read()
    try:
        found: Any = msgspec.json.decode(data)
        if isinstance(found, dict) and found.get("format") != FORMAT:
            raise PlatformError(
                f"the backup has the format {found.get('format')!r}, this synthscars reads {FORMAT}",
                fix="use the synthscars that made it, or a newer one",
            )
        manifest = msgspec.convert(found, Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PlatformError(f"the manifest of the backup is damaged: {error}", fix=_FIX) from error
    names = [member.name for member in manifest.members]
    for name in names:
        check_name(name)
    if len(set(names)) != len(names):
        raise PlatformError("the manifest of the backup names a file twice", fix=_FIX)
    needed, free = sum(member.size for member in manifest.members), shutil.disk_usage(folder).free
    if any(member.size < 0 for member in manifest.members) or needed > free - _ROOM_LEFT:
        raise PlatformError(
            f"the backup needs {needed:,} bytes, and {free:,} are free in {folder.parent}",
            fix="make room first",
        )
    return manifest


def _content(tar: tarfile.TarFile, header: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(header)
    if content is None:
        raise PlatformError(f"the backup has no content for {header.name[:100]!r}", fix=_FIX)
    return content


def _take(tar: tarfile.TarFile, member: Member, folder: Path) -> None:
    header = tar.next()
    if header is None or header.name != member.name or header.size != member.size:
        raise PlatformError(f"the backup lacks {member.name}, or has it in another size", fix=_FIX)
    target = folder / member.name
    digest = hashlib.sha256()
    content = _content(tar, header)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except (FileExistsError, NotADirectoryError) as error:
        raise PlatformError(f"the backup has two files in one place: {member.name}", fix=_FIX) from error
    with os.fdopen(descriptor, "wb") as file:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != member.sha256:
        raise PlatformError(f"the backup is damaged: {member.name} has another checksum", fix=_FIX)


def _refuse_running(folder: Path) -> None:
    try:
        companion = read_companion(folder)
    except PlatformError:
        companion = None  # its file is damaged, which may be why a backup is restored
    beside = (
        companion is not None
        and companion.pid > 0
        and processes.exists(companion.pid)
        and "synthscars" in processes.command_line(companion.pid)
    )
    if beside or noted_server(folder) is not None:
        raise PlatformError(
            "the platform of this workspace runs", fix="stop it with `synthscars platform down` first"
        )


def _fitting(workspace: Workspace, manifest: Manifest) -> Postgres | None:
    """The database to restore into. Raises `PlatformError` if the backup is not for this workspace."""
    postgres = postgres_of(workspace)
    here = "sqlite" if postgres is None else "postgresql"
    if manifest.database != here:
        raise PlatformError(
            f"the backup is of a {manifest.database} database, this workspace uses {here}",
            fix="change [platform] database in synthscars.toml, or use another backup",
        )
    wanted = SQLITE_NAME if postgres is None else DUMP_NAME
    if all(member.name != wanted for member in manifest.members):
        raise PlatformError(f"the backup holds no {wanted}", fix=_FIX)
    if _version(manifest.label_studio) > _version(LABEL_STUDIO_VERSION):
        raise PlatformError(
            f"the backup is of Label Studio {manifest.label_studio}, which is newer than the "
            f"{LABEL_STUDIO_VERSION} of this synthscars",
            fix="update synthscars first",
        )
    return postgres


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall("[0-9]{1,9}", text))


def _restore_postgres(postgres: Postgres, staged: Path, folder: Path, *, force: bool) -> None:
    program("pg_restore")
    if force:
        # It goes aside with the folder.
        before = folder / f"before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.pgdump"
        dump(postgres, before)
    load(postgres, staged / DUMP_NAME, replace=force)
    (staged / DUMP_NAME).unlink()


def _swap(staged: Path, folder: Path, *, keep: bool) -> Path | None:
    """Let the restored folder take the place of the old one; returns where that is, if it is kept."""
    for inner, _, _ in os.walk(staged, topdown=False):
        Path(inner).chmod(0o700)
        sync_folder(Path(inner))
    aside = _free_name(folder)
    folder.rename(aside)
    try:
        staged.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    sync_folder(folder.parent)
    if keep:
        return aside
    shutil.rmtree(aside)
    return None


def _free_name(folder: Path) -> Path:
    stamp = f"{folder.name}.before-restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = (folder.with_name(f"{stamp}{'' if not number else f'-{number}'}") for number in range(1000))
    return next(name for name in names if not name.exists())
