"""The Label Studio server of a workspace: start it, find it again, stop it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec

from synthscars.files import atomic_file
from synthscars.labelstudio import egress, processes
from synthscars.labelstudio.credentials import Account, ensure_credentials
from synthscars.labelstudio.database import postgres_of
from synthscars.labelstudio.environment import (
    LABEL_STUDIO_VERSION,
    Say,
    ensure_environment,
    executable,
    require_client_library,
)
from synthscars.labelstudio.locking import server_lock
from synthscars.problems import PlatformError
from synthscars.workspace import Workspace

HOST = "127.0.0.1"
START_SECONDS = 300.0
"""The first start makes the database: about 30 s on a quick machine, several times that on a busy one."""
STOP_SECONDS = 10.0
BUSY_SECONDS = 30.0
LOG_NAME = "server.log"
SERVED_NAME = "served"

_INFO_NAME = "server.json"
_LOG_LINES = 20
_ATTEMPTS = 3
# Label Studio takes settings under plain names as well (DJANGO_DB, STORAGE_TYPE, DEBUG), and the caller's
# secrets are none of its business: it inherits what a process needs to run, and nothing else.
_INHERITED = re.compile(
    "PATH|HOME|USER|LOGNAME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|TMP|TEMP|SYSTEMROOT|(DY)?LD_LIBRARY_PATH"
)
_ANNOUNCEMENT = re.compile(r"Starting development server at http://[^\s:]+:(\d+)")


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server process that belongs to a workspace. `ready`: it was seen to answer at its port.

    public_url: as it was started with, see `start`. instance: differs after every start.
    """

    pid: int
    port: int
    version: str = LABEL_STUDIO_VERSION
    ready: bool = False
    public_url: str | None = None
    instance: str = ""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"


def start(
    workspace: Workspace, say: Say, port: int | None = None, public_url: str | None = None
) -> tuple[Server, bool]:
    """Start the workspace's server, and say whether it had to be started.

    port: preferred, by default the workspace's setting; a free one is taken if it is busy, or 0. A server
    that runs keeps its own. public_url: the address of what stands before it; `""` if people reach that by
    several; by default people come to the server itself. One that runs for another address is started anew,
    because its pages would lead people past what stands before it.
    Raises `PlatformError` if Label Studio cannot be installed, dies or does not answer in time, or if
    label-studio-sdk, which everything afterwards needs, is missing.
    """
    require_client_library()
    folder = workspace.platform_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with server_lock(folder):
        found = noted_server(folder)
        if found is not None and found.version != LABEL_STUDIO_VERSION:
            say(
                f"Label Studio {found.version} runs here, this synthscars works with {LABEL_STUDIO_VERSION}: "
                "ending it to start that one; make a backup before an upgrade (`synthscars platform backup`)"
            )
        elif found is not None and public_url is not None and found.public_url != public_url:
            say("ending the running Label Studio: it was started for another address")
        elif found is not None and found.ready and _answers(found):
            if port and port != found.port:
                say(f"Label Studio already runs on port {found.port}: port {port} is ignored")
                say(f"to move it: `synthscars platform down`, then `synthscars platform up --port {port}`")
            return found, False
        else:
            if found is not None:
                say("ending a Label Studio that does not answer")
        if found is not None:
            _end(found.pid, folder)
        environment = ensure_environment(say)
        owner = ensure_credentials(folder).owner
        wanted = workspace.settings.platform.port if port is None else port
        for _ in range(_ATTEMPTS):
            free = free_port(wanted, say)
            say(f"starting Label Studio {LABEL_STUDIO_VERSION} on http://{HOST}:{free}")
            server = _launch_and_wait(environment, workspace, owner, free, public_url)
            if server is not None:
                return server, True
            say(f"meanwhile another program took port {free}")
            wanted = 0
        raise PlatformError("no port stays free long enough", fix="name a quiet one with --port")


def find(workspace: Workspace) -> Server | None:
    """The workspace's running server, `None` if there is none; notes of a dead one are not believed."""
    server = noted_server(workspace.platform_dir)
    return server if server is not None and server.ready else None


def require(workspace: Workspace) -> Server:
    """The workspace's running server. Raises `PlatformError` if there is none."""
    server = find(workspace)
    if server is None:
        raise PlatformError(
            f"Label Studio is not running for {workspace.root}", fix="start it with `synthscars platform up`"
        )
    return server


def stop(workspace: Workspace) -> bool:
    """End the workspace's server; `False` if it was not running."""
    folder = workspace.platform_dir
    if not folder.is_dir():
        return False
    with server_lock(folder):
        server = noted_server(folder)
        if server is not None:
            _end(server.pid, folder)
        (folder / _INFO_NAME).unlink(missing_ok=True)
        return server is not None


def is_healthy(server: Server) -> bool:
    """Whether the server answers."""
    # A proxy that the caller's environment names cannot reach our loopback address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{server.url}/health", timeout=5) as response:
            return bool(json.load(response).get("status") == "UP")
    except (OSError, ValueError, AttributeError, urllib.error.URLError):
        return False


def _answers(server: Server) -> bool:
    # It may be busy with a large import: do not call it dead at once.
    deadline = time.monotonic() + BUSY_SECONDS
    while not is_healthy(server):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def log_tail(folder: Path, lines: int | None = _LOG_LINES) -> str:
    """The last lines of the log of the server that runs or ran last; all of it if `lines` is `None`."""
    try:
        text = (folder / LOG_NAME).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "(there is no log)"
    return "\n".join(text.splitlines()[-lines if lines else 0 :])


def served_images(workspace: Workspace) -> Path:
    """The folder from which the server may hand out files, with nothing but the images in it.

    Any member of a project may connect any subfolder of the document root as storage and then read it. Were
    the workspace the root, that would be the database and the credentials too.
    """
    folder = workspace.platform_dir / SERVED_NAME
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    workspace.images_dir.mkdir(exist_ok=True)
    link = folder / "images"
    target = Path("..") / ".." / "images"  # relative, so that the workspace can be moved
    if not link.is_symlink() or link.readlink() != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target, target_is_directory=True)
    return link


def server_environment(
    workspace: Workspace, owner: Account, port: int, public_url: str | None = None
) -> dict[str, str]:
    """The environment variables of the server: the one way in which it gets settings and secrets.

    public_url: as in `start`. Raises `WorkspaceError` if the database of the settings cannot be used.
    """
    inherited = {key: value for key, value in os.environ.items() if _INHERITED.fullmatch(key)}
    database = postgres_of(workspace)
    return (
        inherited
        | (database.for_server() if database else {})
        | _behind(public_url)
        | egress.variables()
        | {
            "LABEL_STUDIO_BASE_DATA_DIR": str(workspace.platform_dir),
            # Its pages build every address with this; relative ones, if it is empty.
            "LABEL_STUDIO_HOST": f"http://{HOST}:{port}" if public_url is None else public_url,
            "LABEL_STUDIO_USERNAME": owner.email,
            "LABEL_STUDIO_PASSWORD": owner.password,
            "LABEL_STUDIO_USER_TOKEN": owner.token,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(served_images(workspace).parent),
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
            "COLLECT_ANALYTICS": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            "LATEST_VERSION_CHECK": "false",
            "fflag_feat_utc_210_prediction_validation_15082025": "true",
            "LOG_LEVEL": "WARNING",
            "PYTHONUNBUFFERED": "1",
        }
    )


def _behind(public_url: str | None) -> dict[str, str]:
    """What it must know where people come to another address, through TLS."""
    if not public_url or not public_url.startswith("https://"):
        return {}
    return {
        "CSRF_TRUSTED_ORIGINS": public_url,
        "SESSION_COOKIE_SECURE": "1",
        "CSRF_COOKIE_SECURE": "1",
        "CSRF_COOKIE_HTTPONLY": "0",  # its pages read that cookie
    }


def noted_server(folder: Path) -> Server | None:
    """The process in our notes, ready or not, as long as it runs and is ours."""
    try:
        server = msgspec.json.decode((folder / _INFO_NAME).read_bytes(), type=Server)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return server if _is_ours(server.pid, folder) else None


def _note(folder: Path, server: Server) -> None:
    with atomic_file(folder / _INFO_NAME) as file:
        file.write(msgspec.json.encode(server))


def _launch_and_wait(
    environment: Path, workspace: Workspace, owner: Account, port: int, public_url: str | None
) -> Server | None:
    """Start a server and wait until it answers; `None`, and it is ended, if it could not have its port."""
    folder = workspace.platform_dir
    if (folder / LOG_NAME).exists():
        (folder / LOG_NAME).replace(folder / f"{LOG_NAME}.1")
    variables = server_environment(workspace, owner, port, public_url)
    process = _launch(environment, folder, port, variables)
    server = Server(pid=process.pid, port=port, public_url=public_url, instance=os.urandom(8).hex())
    try:
        # Noted before it answers: whoever comes after a kill must be able to end it.
        _note(folder, server)
        if _wait_for_port(server, folder, process):
            server = msgspec.structs.replace(server, ready=True)
            _note(folder, server)
            return server
    except BaseException:
        _give_up(server, folder)
        raise
    _give_up(server, folder)
    return None


def _give_up(server: Server, folder: Path) -> None:
    _end(server.pid, folder)
    (folder / _INFO_NAME).unlink(missing_ok=True)


def _launch(environment: Path, folder: Path, port: int, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [str(executable(environment)), "start", "--no-browser", "--enable-legacy-api-token"]
    command += ["--internal-host", HOST, "--port", str(port)]
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    log = os.open(folder / LOG_NAME, flags, 0o600)
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=variables,
            start_new_session=True,
        )
    except OSError as error:
        raise PlatformError(f"{command[0]} cannot be started: {error}") from error
    finally:
        os.close(log)


def _wait_for_port(server: Server, folder: Path, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server answers; `False` if another program was quicker to take its port.

    It takes the port half a minute after we chose it, and on finding it busy moves to another without a word.
    Only its log tells where it listens: at the old port another workspace's server may answer.
    """
    deadline = time.monotonic() + START_SECONDS
    while True:
        ended = process.poll() is not None
        log = log_tail(folder, lines=None)
        announced = _ANNOUNCEMENT.search(log)
        if announced and int(announced[1]) != server.port:
            return False
        if announced and not ended and is_healthy(server):
            return True
        # In Label Studio's words, or in those of the operating system.
        if ended and ("port is already in use" in log or "Address already in use" in log):
            return False
        if ended or time.monotonic() > deadline:
            what = "ended at once" if ended else f"does not answer after {START_SECONDS:.0f} s"
            raise PlatformError(
                f"Label Studio {what}; the end of {folder / LOG_NAME}:\n{log_tail(folder)}",
                fix="look at the log; run `synthscars platform down` and `up` again",
            )
        time.sleep(0.3)


def free_port(wanted: int, say: Say) -> int:
    """The wanted port of the loopback address, or any free one if it is busy or 0."""
    if wanted and _can_bind(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = int(probe.getsockname()[1])
    if wanted:
        say(f"port {wanted} is in use by another program; taking {port}")
    return port


def _can_bind(port: int) -> bool:
    # Label Studio itself would move on silently, and then nobody knows where it is.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def _is_ours(pid: int, folder: Path) -> bool:
    """Whether a process is the server of this folder, not one that got the number of a dead server."""
    if not processes.exists(pid):
        return False
    data_dir = processes.variable(pid, "LABEL_STUDIO_BASE_DATA_DIR")
    if data_dir is None:
        return "label-studio" in processes.command_line(pid)
    return data_dir == str(folder)


def _end(pid: int, folder: Path) -> None:
    if not _is_ours(pid, folder):
        return
    if processes.end_group(pid, STOP_SECONDS):
        return
    raise PlatformError(f"the Label Studio process {pid} does not end", fix=f"end it yourself: kill -9 {pid}")
