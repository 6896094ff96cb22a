"""`platform/companion.json`: where a workspace's companion service listens, and its secrets.

The companion is the address that people use: it stands before Label Studio. Whether a workspace has one
decides under which address its images are handed out.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from synthscars.files import atomic_file
from synthscars.problems import PlatformError

FILE_NAME = "companion.json"
IMAGES_PATH = "/companion/images/"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HOOK_HOST = "127.83.83.83"
"""The loopback address at which the companion takes webhooks and nothing else, at its own port. It is the one
address of this machine that Label Studio may be told to send something to."""
HOOK_PATH = "/companion/webhook"
HOOK_HEADER = "x-synthscars-secret"
"""Of a webhook: holds the companion's `hook_secret`."""


class Companion(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a companion. It stays when the process has ended, so that secrets live on.

    host, port: where it listens. public_url: under which people reach it from elsewhere, `""` if they do not.
    upstream: the address of the Label Studio behind it. key: signs addresses of images. hook_secret: what
    webhooks and ML requests must bring. pid: 0 if it does not run. instance: tells it from another service at
    its port. version: of synthscars.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str = ""
    upstream: str = ""
    key: str
    hook_secret: str
    pid: int = 0
    instance: str = ""
    version: str = ""
    ready: bool = False

    def __repr__(self) -> str:
        return f"Companion(url={self.url!r}, pid={self.pid})"  # never the secrets: reprs end up in logs

    @property
    def local_url(self) -> str:
        """Where it is reached from this machine."""
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address for people."""
        return self.public_url or self.local_url


def read_companion(platform_dir: Path) -> Companion | None:
    """The notes about the companion, `None` if the workspace never had one.

    Raises `PlatformError` if the file is damaged.
    """
    path = platform_dir / FILE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Companion)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as error:
        raise PlatformError(
            f"{path} cannot be read: {error}",
            fix="restore it from a backup, or remove it: signed addresses of images become invalid",
        ) from error


def new_companion() -> Companion:
    """One that does not run yet, with fresh secrets."""
    return Companion(key=secrets.token_hex(32), hook_secret=secrets.token_urlsafe(32))


def save_companion(platform_dir: Path, companion: Companion) -> None:
    """Replace the file; it is readable for its owner alone from the moment it exists."""
    platform_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with atomic_file(platform_dir / FILE_NAME, private=True) as file:
        file.write(msgspec.json.format(msgspec.json.encode(companion), indent=2))
