"""Where a service listens."""

from __future__ import annotations

import socket

from synthscars.problems import PlatformError


def listen(host: str, port: int) -> socket.socket:
    """A socket at an address, which nobody else has. Raises `PlatformError` if that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise PlatformError(
            f"{host}, port {port}: {error.strerror or error}", fix="choose another one with --port or --host"
        ) from error
    return found
