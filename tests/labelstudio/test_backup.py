"""Backups without a server: what is in them, and what a restore refuses."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from click.testing import CliRunner
from folders import folder_bytes

from synthscars.cli import main
from synthscars.labelstudio import locking, postgres_tools, restoring
from synthscars.labelstudio.backup import backup
from synthscars.labelstudio.companion_file import new_companion, read_companion, save_companion
from synthscars.labelstudio.credentials import ensure_credentials
from synthscars.labelstudio.database import SQLITE_NAME
from synthscars.labelstudio.restoring import restore
from synthscars.problems import PlatformError, UsageError, WorkspaceError
from synthscars.workspace import Workspace

FILES = {
    ".env": b"SECRET_KEY=hush",
    "people.json": b"{}",
    "projects.json": b'{"projects": []}',
    "audit/2026-01-02.jsonl": b"{}\n",
    "media/upload/1/a file 👩🏽\u200d🎨.log": b"x" * 100_000,
    f"media/upload/1/{'long' * 50}.png": b"long",
    "media/empty": b"",
}
LEFT_OUT = (
    "server.log",
    "server.log.1",
    "server.json",
    ".server.lock",
    "cache/a.png",
    "export/a.json",
    ".tmp-a",
)


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    folder = workspace.platform_dir
    ensure_credentials(folder)
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for name in LEFT_OUT:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"not this")
    (folder / "served").mkdir()
    (folder / "served/images").symlink_to("../../images")
    (folder / "outside").symlink_to("/etc/hostname")
    save_companion(folder, msgspec.structs.replace(new_companion(), pid=4_000_000, port=8080, ready=True))
    with closing(sqlite3.connect(folder / SQLITE_NAME)) as database, database:
        database.execute("create table answer (text)")
        database.execute("insert into answer values ('six fingers')")
    return workspace


@pytest.fixture
def archive(filled: Workspace, tmp_path: Path) -> Path:
    backup(filled, tmp_path / "a.tar.zst")
    return tmp_path / "a.tar.zst"


def members(archive: Path) -> dict[str, bytes]:
    data = zstandard.ZstdDecompressor().stream_reader(archive.read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]


def write(archive: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for header, content in entries:
            tar.addfile(header, io.BytesIO(content))
    archive.write_bytes(zstandard.ZstdCompressor().compress(data.getvalue()))


def entry(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    header.size, header.type = len(content), kind
    return header, content


def described(content: dict[str, bytes], **changed: Any) -> tuple[tarfile.TarInfo, bytes]:
    listed = [
        {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in content.items()
    ]
    manifest = {
        "format": 1,
        "made": "2026-01-02T03:04:05Z",
        "synthscars": "1",
        "label_studio": "1.23.2",
        "database": "sqlite",
        "members": listed,
    }
    return entry("manifest.json", json.dumps({**manifest, **changed}).encode())


def test_a_backup_holds_what_cannot_be_made_again_and_nothing_else(filled: Workspace, archive: Path) -> None:
    found = members(archive)
    assert list(found)[:2] == ["manifest.json", SQLITE_NAME]
    assert found.keys() == {*FILES, "manifest.json", SQLITE_NAME, "credentials.json", "companion.json"}
    assert {name: found[name] for name in FILES} == FILES
    manifest = json.loads(found["manifest.json"])
    assert [one["name"] for one in manifest["members"]] == list(found)[1:]
    for one in manifest["members"]:
        assert one["sha256"] == hashlib.sha256(found[one["name"]]).hexdigest()
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert not list(filled.root.glob(".tmp-*"))


def test_it_comes_back_private_and_the_old_folder_is_kept(filled: Workspace, archive: Path) -> None:
    before = members(archive)
    (filled.platform_dir / "people.json").write_bytes(b"changed since")
    with pytest.raises(PlatformError, match="holds a platform already") as caught:
        restore(filled, archive)
    assert "--force" in caught.value.fix
    done = restore(filled, archive, force=True)
    assert done.replaced is not None
    assert (Path(done.replaced) / "people.json").read_bytes() == b"changed since"
    found = folder_bytes(filled.platform_dir)
    assert {name: found[name] for name in FILES} == FILES
    assert found.keys() == before.keys() - {"manifest.json"}
    for path in (filled.platform_dir, *filled.platform_dir.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    with closing(sqlite3.connect(filled.platform_dir / SQLITE_NAME)) as database:
        assert database.execute("select text from answer").fetchall() == [("six fingers",)]
    companion = read_companion(filled.platform_dir)
    assert companion is not None
    assert (companion.pid, companion.ready, companion.port) == (0, False, 8080)
    assert not list(filled.root.glob(".tmp-*"))


def test_an_empty_workspace_needs_no_force(archive: Path, tmp_path: Path) -> None:
    other = Workspace.create(tmp_path / "other")
    assert restore(other, archive).replaced is None
    assert [path.name for path in other.root.glob("platform*")] == ["platform"]


_WRITER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=60)
print("ready", flush=True)
while True:
    with database:
        database.execute("insert into pair values (1)")
        database.execute("insert into pair values (1)")
"""


def test_a_database_that_is_written_to_is_copied_as_it_was_at_one_moment(
    filled: Workspace, tmp_path: Path
) -> None:
    path = filled.platform_dir / SQLITE_NAME
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table pair (x)")
    command = [sys.executable, "-c", _WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            for number in range(3):
                backup(filled, tmp_path / f"{number}.tar.zst")
        finally:
            writer.kill()
    for number in range(3):
        (tmp_path / "copy").write_bytes(members(tmp_path / f"{number}.tar.zst")[SQLITE_NAME])
        with closing(sqlite3.connect(tmp_path / "copy")) as database:
            assert database.execute("select count(*) % 2 from pair").fetchone() == (0,)


def test_a_damaged_database_is_not_backed_up(filled: Workspace, tmp_path: Path) -> None:
    path = filled.platform_dir / SQLITE_NAME
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 4096)
    with pytest.raises(PlatformError, match=r"label_studio\.sqlite3"):
        backup(filled, tmp_path / "a.tar.zst")
    assert not (tmp_path / "a.tar.zst").exists()


def test_a_backup_overwrites_nothing_and_does_not_lie_in_what_it_copies(
    filled: Workspace, archive: Path
) -> None:
    with pytest.raises(UsageError, match="exists already"):
        backup(filled, archive)
    with pytest.raises(UsageError, match="next backup"):
        backup(filled, filled.platform_dir / "a.tar.zst")


def test_without_a_platform_there_is_nothing_to_back_up(workspace: Workspace) -> None:
    with pytest.raises(PlatformError, match="nothing to back up"):
        backup(workspace)
    assert not list((workspace.root / "backups").iterdir())


def test_a_backup_waits_for_another_command_only_so_long(
    filled: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "PATIENCE", 0)
    with filled.lock(), pytest.raises(WorkspaceError, match="another synthscars command"):
        backup(filled, tmp_path / "a.tar.zst")


DATABASE = {SQLITE_NAME: b"database"}


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "/etc/evil", "media/../../evil", "a//b", "./a", "media\\evil", "a\nb", ""),
        *("served/images/x", "server.json", "manifest.json", ".tmp-x", "audit/../people.json"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(workspace: Workspace, tmp_path: Path, name: str) -> None:
    content = {**DATABASE, name: b"evil"}
    write(tmp_path / "b", described(content), *(entry(one, data) for one, data in content.items()))
    with pytest.raises(PlatformError, match="cannot hold a file"):
        restore(workspace, tmp_path / "b")
    assert_untouched(workspace)


def linked(kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    header, content = entry("people.json", kind=kind)
    header.linkname = "/etc/passwd"
    return header, content


@pytest.mark.parametrize(
    "kind",
    [
        *(tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE),
        *(
            tarfile.DIRTYPE,
            tarfile.GNUTYPE_SPARSE,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.GNUTYPE_LONGLINK,
        ),
    ],
)
def test_links_devices_and_other_headers_are_refused(
    workspace: Workspace, tmp_path: Path, kind: bytes
) -> None:
    manifest = described({**DATABASE, "people.json": b""})
    write(tmp_path / "b", manifest, entry(SQLITE_NAME, b"database"), linked(kind))
    with pytest.raises(PlatformError, match="no file"):
        restore(workspace, tmp_path / "b")
    assert_untouched(workspace)


HUGE = {"name": "media/huge", "size": 2**60, "sha256": ""}


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([entry("people.json", b"{}")], "does not begin with a manifest"),
        ([entry("manifest.json", b"{]")], "manifest of the backup is damaged"),
        ([entry("manifest.json", b"[" * 100_000)], "manifest of the backup is damaged"),
        ([described({}, members=[{"name": 1}])], "manifest of the backup is damaged"),
        ([described(DATABASE, format=2)], "has the format 2"),
        ([described(DATABASE, members=[HUGE])], "are free"),
        ([described(DATABASE, members=[{**HUGE, "size": -1}])], "are free"),
        ([described(DATABASE)], f"lacks {SQLITE_NAME}"),
        ([described(DATABASE), entry(SQLITE_NAME, b"databas")], "another size"),
        ([described(DATABASE), entry(SQLITE_NAME, b"databasf")], "another checksum"),
        ([described(DATABASE), entry("people.json", b"database")], f"lacks {SQLITE_NAME}"),
        ([described(DATABASE), entry(SQLITE_NAME, b"database"), entry("x", b"")], "more than its manifest"),
        ([described({"people.json": b""}), entry("people.json")], f"holds no {SQLITE_NAME}"),
        ([described({"a": b"", "a/b": b""}), entry("a"), entry("a/b")], "two files in one place"),
        ([described({}, members=[{**HUGE, "size": 0}] * 2)], "twice"),
        ([described(DATABASE, database="postgresql"), entry(SQLITE_NAME, b"database")], "uses sqlite"),
        ([described(DATABASE, label_studio="99.0"), entry(SQLITE_NAME, b"database")], "newer"),
    ],
)
def test_a_backup_that_is_not_as_its_manifest_says_changes_nothing(
    filled: Workspace, tmp_path: Path, entries: list[Any], said: str
) -> None:
    before = folder_bytes(filled.root)
    write(tmp_path / "b", *entries)
    with pytest.raises(PlatformError, match=said):
        restore(filled, tmp_path / "b", force=True)
    assert folder_bytes(filled.root).keys() - before.keys() <= {".lock"}
    assert {name: data for name, data in folder_bytes(filled.root).items() if name in before} == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[: len(data) * 9 // 10],
        lambda data: b"",
        lambda data: b"no archive",
        lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
    ],
)
def test_a_damaged_file_changes_nothing(
    archive: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    other = Workspace.create(tmp_path / "other")
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(PlatformError, match=r"backup"):
        restore(other, archive)
    assert_untouched(other)


def test_a_file_that_decompresses_without_end_is_left_at_its_first_bytes(
    workspace: Workspace, tmp_path: Path
) -> None:
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(2**28))
    (tmp_path / "b").write_bytes(bomb)
    with pytest.raises(PlatformError, match="manifest"):
        restore(workspace, tmp_path / "b")
    assert_untouched(workspace)


def assert_untouched(workspace: Workspace) -> None:
    assert not list(workspace.root.glob(".tmp-*"))
    assert [path.name for path in workspace.platform_dir.iterdir() if path.name != ".server.lock"] == []


def test_it_is_not_restored_below_a_running_server(
    filled: Workspace, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthscars.labelstudio.server import Server

    monkeypatch.setattr(restoring, "noted_server", lambda folder: Server(pid=1, port=1))
    with pytest.raises(PlatformError, match="runs") as caught:
        restore(filled, archive, force=True)
    assert "platform down" in caught.value.fix


def test_it_is_not_restored_below_a_running_companion(filled: Workspace, archive: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)", "synthscars"]
    with subprocess.Popen(command) as process:
        try:
            companion = read_companion(filled.platform_dir)
            assert companion is not None
            save_companion(filled.platform_dir, msgspec.structs.replace(companion, pid=process.pid))
            with pytest.raises(PlatformError, match="runs"):
                restore(filled, archive, force=True)
        finally:
            process.kill()
    restore(filled, archive, force=True)


def test_a_damaged_file_of_the_companion_does_not_keep_it_from_being_restored(
    filled: Workspace, archive: Path
) -> None:
    (filled.platform_dir / "companion.json").write_bytes(b"{")
    restore(filled, archive, force=True)
    assert read_companion(filled.platform_dir) is not None


def test_postgresql_without_its_programs_says_what_to_install(
    filled: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = filled.root / "synthscars.toml"
    setting = '[platform]\ndatabase = "postgresql://ada@localhost/scars"\n'
    config.write_text(config.read_text().replace("[platform]\n", setting))
    monkeypatch.setattr(postgres_tools.shutil, "which", lambda name: None)
    with pytest.raises(PlatformError, match="pg_dump is not installed") as caught:
        backup(Workspace.open(filled.root), tmp_path / "a")
    assert "postgresql-client" in caught.value.fix
    assert not (tmp_path / "a").exists()


def test_the_commands_say_what_they_did(filled: Workspace) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["platform", *arguments, "-w", str(filled.root)])

    made = json.loads(run("backup", "--json").stdout)
    assert made["members"] == len(FILES) + 3
    assert Path(made["file"]).parent == filled.root / "backups"
    assert stat.S_IMODE(Path(made["file"]).parent.stat().st_mode) == 0o700
    refused = run("restore", made["file"])
    assert (refused.exit_code, "--force" in refused.output) == (3, True)
    done = json.loads(run("restore", made["file"], "--force", "--json").stdout)
    assert done["members"] == made["members"]
    assert Path(done["replaced"]).is_dir()
    missing = run("restore", "nothing.tar.zst", "--force")
    assert (missing.exit_code, "there is no file" in missing.output) == (3, True)
