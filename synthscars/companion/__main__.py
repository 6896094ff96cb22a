"""`python -m synthscars.companion WORKSPACE`: the service as a process, which `platform up` starts.

Where it listens, and its secrets, stand in `platform/companion.json`; Label Studio's address in
`platform/server.json`. Both are written before it is started.
"""

from __future__ import annotations

import sys
from pathlib import Path

from synthscars.labelstudio.companion_file import HOOK_HOST, read_companion
from synthscars.labelstudio.server import require
from synthscars.problems import PlatformError, SynthScarsError
from synthscars.services.logs import log, log_to_stderr
from synthscars.services.sockets import listen
from synthscars.workspace import Workspace

_GRACE = 15
"""Seconds for requests that are being answered when it is told to end."""


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM; returns an exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m synthscars.companion WORKSPACE\n")
        return 2
    log_to_stderr()
    try:
        _serve(Workspace.open(Path(arguments[0])))
    except SynthScarsError as error:
        log("cannot_start", error=error.message, fix=error.fix)
        return 3
    return 0


def _serve(workspace: Workspace) -> None:
    import uvicorn

    from synthscars.companion.app import create_app

    companion = read_companion(workspace.platform_dir)
    if companion is None:
        raise PlatformError(
            "there is no platform/companion.json", fix="start it with `synthscars platform up`"
        )
    app = create_app(workspace, companion, companion.upstream or require(workspace).url)
    sockets = [listen(companion.host, companion.port)]
    try:
        sockets.append(listen(HOOK_HOST, companion.port))
    except PlatformError as error:
        # It listens everywhere already, or this machine has one loopback address: see `webhooks`.
        log("no_address_for_webhooks", error=error.message)
    log("starting", port=companion.port, version=companion.version)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        # What stands before it and ends TLS is on this machine, and says whether people came through TLS.
        proxy_headers=bool(companion.public_url),
        forwarded_allow_ips="127.0.0.1",
        timeout_graceful_shutdown=_GRACE,
    )
    uvicorn.Server(config).run(sockets=sockets)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
