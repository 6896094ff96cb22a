"""Where Label Studio keeps its data: SQLite in the workspace, or PostgreSQL by one setting."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from synthscars.problems import WorkspaceError
from synthscars.workspace import Workspace

SQLITE_NAME = "label_studio.sqlite3"
PASSWORD_VARIABLE = "SYNTHSCARS_DATABASE_PASSWORD"
PASSWORD_NAME = "database-password"


class Postgres(msgspec.Struct, frozen=True):
    """A database of a PostgreSQL server. host: a name, or the folder of a Unix socket."""

    user: str
    host: str
    port: int
    name: str
    password: str = ""

    def __repr__(self) -> str:
        return f"Postgres({self.user}@{self.host}:{self.port}/{self.name})"  # never the password

    def for_server(self) -> dict[str, str]:
        """The environment variables from which Label Studio takes it."""
        return {
            "DJANGO_DB": "default",
            "POSTGRE_USER": self.user,
            "POSTGRE_PASSWORD": self.password,
            "POSTGRE_HOST": self.host,
            "POSTGRE_PORT": str(self.port),
            "POSTGRE_NAME": self.name,
        }

    def for_tools(self) -> dict[str, str]:
        """Those of PostgreSQL's own programs."""
        known = {"PGUSER": self.user, "PGHOST": self.host, "PGPORT": str(self.port), "PGDATABASE": self.name}
        return known | ({"PGPASSWORD": self.password} if self.password else {})


def postgres_of(workspace: Workspace) -> Postgres | None:
    """The PostgreSQL database of the settings with its password, `None` if it is SQLite.

    The password stands in `SYNTHSCARS_DATABASE_PASSWORD`, or in `platform/database-password`, which must be
    readable for its owner alone; without one the server is asked without. Raises `WorkspaceError` if the
    setting has no user or no name, or the file is open to others.
    """
    address = workspace.settings.platform.database
    if not address:
        return None
    parts = urlsplit(address)
    name = unquote(parts.path.removeprefix("/"))
    try:
        port = parts.port or 5432
    except ValueError:
        port = 0
    if not parts.username or not name or "/" in name or not port:
        raise WorkspaceError(
            f"synthscars.toml: [platform] database: {address} names no user, no database or no port",
            fix="write it as postgresql://user@host/name",
        )
    socket = parse_qs(parts.query).get("host", [""])[0]
    return Postgres(
        user=unquote(parts.username),
        host=socket or parts.hostname or "localhost",
        port=port,
        name=name,
        password=_password(workspace),
    )


def _password(workspace: Workspace) -> str:
    if given := os.environ.get(PASSWORD_VARIABLE):
        return given
    path = workspace.platform_dir / PASSWORD_NAME
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"{path} cannot be read: {error}", fix="write the password into it") from error
    if os.name == "posix" and mode & 0o077:
        raise WorkspaceError(f"{path} can be read by others", fix=f"chmod 600 {path}")
    return text
