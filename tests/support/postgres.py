"""A real PostgreSQL server, made for the tests and thrown away."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INITDB = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), None)
USER = "ada"


def missing() -> str:
    """Why there can be none here, or nothing."""
    if INITDB is None or shutil.which("pg_dump") is None:
        return "needs a PostgreSQL server (apt-get install postgresql)"
    return ""


@contextmanager
def running_postgres() -> Iterator[Path]:
    """The folder of the socket of a server that runs, whose only user needs no password."""
    assert INITDB is not None
    # It refuses to run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    # A socket's path has to be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if as_user:
        shutil.chown(folder, "postgres")
    options = f"-c listen_addresses= -k {folder}"

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, cwd="/", stdout=subprocess.DEVNULL)

    control = str(INITDB.with_name("pg_ctl"))
    run(str(INITDB), "-D", f"{folder}/data", "-U", USER, "-A", "trust")
    run(control, "-D", f"{folder}/data", "-o", options, "-l", f"{folder}/log", "-w", "start")
    try:
        yield folder
    finally:
        run(control, "-D", f"{folder}/data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


def sql(folder: Path, database: str, statement: str) -> str:
    """What a statement answers, a line a row."""
    command = ["psql", "-h", str(folder), "-U", USER, "-Atc", statement, database]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
