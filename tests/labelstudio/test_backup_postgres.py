"""Backups of a real PostgreSQL database, in a cluster made for the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthscars.labelstudio.backup import backup
from synthscars.labelstudio.credentials import ensure_credentials
from synthscars.labelstudio.restoring import restore
from synthscars.problems import PlatformError
from synthscars.workspace import Workspace

BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BIN is None or shutil.which("pg_dump") is None, reason="needs a PostgreSQL server"),
]


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    """The folder of the socket of a PostgreSQL that runs; it refuses to run as root."""
    assert BIN is not None
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    # A socket's path has to be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if as_user:
        shutil.chown(folder, "postgres")
    options = f"-c listen_addresses= -k {folder}"

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, cwd="/", stdout=subprocess.DEVNULL)

    control = str(BIN.with_name("pg_ctl"))
    run(str(BIN), "-D", f"{folder}/data", "-U", "ada", "-A", "trust")
    run(control, "-D", f"{folder}/data", "-o", options, "-l", f"{folder}/log", "-w", "start")
    try:
        yield folder
    finally:
        run(control, "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


def sql(socket: Path, database: str, statement: str) -> str:
    command = ["psql", "-h", str(socket), "-U", "ada", "-Atc", statement, database]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_database_comes_back_and_the_one_before_is_kept(
    workspace: Workspace, socket: Path, tmp_path: Path
) -> None:
    sql(socket, "postgres", "create database scars")
    sql(socket, "scars", "create table answer (text text)")
    sql(socket, "scars", "insert into answer values ('six fingers')")
    config = workspace.root / "synthscars.toml"
    setting = f'[platform]\ndatabase = "postgresql://ada@/scars?host={socket}"\n'
    config.write_text(config.read_text().replace("[platform]\n", setting))
    workspace = Workspace.open(workspace.root)
    ensure_credentials(workspace.platform_dir)
    archive = tmp_path / "a.tar.zst"
    assert backup(workspace, archive).database == "postgresql"
    sql(socket, "scars", "update answer set text = 'changed since'")

    with pytest.raises(PlatformError, match="holds a platform already"):
        restore(workspace, archive)
    # Its folder is gone, but its database is not: nothing is overwritten unasked.
    workspace.platform_dir.rename(tmp_path / "gone")
    with pytest.raises(PlatformError, match="--force"):
        restore(workspace, archive)
    assert sql(socket, "scars", "select text from answer") == "changed since"
    assert not any(workspace.platform_dir.glob("*.json"))

    done = restore(workspace, archive, force=True)
    assert sql(socket, "scars", "select text from answer") == "six fingers"
    assert sorted(path.name for path in workspace.platform_dir.iterdir()) == ["credentials.json"]
    kept = list(workspace.root.glob("platform.before-restore-*/before-*.pgdump"))
    assert len(kept) == 1
    assert done.replaced == str(kept[0].parent)
    sql(socket, "postgres", "create database before")
    subprocess.run(["pg_restore", "-h", str(socket), "-U", "ada", "-d", "before", str(kept[0])], check=True)
    assert sql(socket, "before", "select text from answer") == "changed since"
