"""PostgreSQL's own programs: a database into a file, and back."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from synthscars.labelstudio.database import Postgres
from synthscars.problems import PlatformError

DUMP_NAME = "label_studio.pgdump"
_SAID = 500


def dump(database: Postgres, target: Path) -> None:
    """Write a database as it is at one moment into a new file. Raises `PlatformError` if that fails."""
    command = [program("pg_dump"), "--format=custom", "--no-owner", "--no-privileges", "--no-password"]
    # Made beforehand, because the program would make it readable for others.
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        _run(command, database, "cannot be backed up", stdout=file.fileno())


def load(database: Postgres, source: Path, *, replace: bool) -> None:
    """Read a dump into a database: all of it, or nothing if it fails.

    replace: tables of the same names make way. Raises `PlatformError` if it fails.
    """
    command = [program("pg_restore"), "--no-owner", "--no-privileges", "--no-password", "--exit-on-error"]
    command += ["--single-transaction", f"--dbname={database.name}"]
    command += ["--clean", "--if-exists"] if replace else []
    hint = "" if replace else "; if it holds tables already, use --force: they are written to a file first"
    _run([*command, str(source)], database, f"cannot be restored{hint}")


def program(name: str) -> str:
    """Where one of PostgreSQL's programs is. Raises `PlatformError` if it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise PlatformError(
            f"{name} is not installed, and the database of this workspace is PostgreSQL",
            fix="install PostgreSQL's client programs, at least as new as the server (postgresql-client)",
        )
    return found


def _run(command: list[str], database: Postgres, failed: str, stdout: int = subprocess.DEVNULL) -> None:
    # The password goes through the environment: a command line can be read by everybody.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    done = subprocess.run(
        command,
        env=inherited | database.for_tools(),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-_SAID:]
        raise PlatformError(
            f"{database} {failed}: {said}",
            fix="see that the database can be reached and the program is as new",
        )
