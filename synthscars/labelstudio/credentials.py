"""The accounts that synthscars made in a workspace's Label Studio, in a file that only its owner can read."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from synthscars.files import atomic_file
from synthscars.problems import PlatformError

FILE_NAME = "credentials.json"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One person's way into Label Studio. `token` is for the API; `id` is 0 until the server gave one."""

    email: str
    password: str
    token: str = ""
    id: int = 0

    def __repr__(self) -> str:
        return f"Account(email={self.email!r}, id={self.id})"  # never the secrets: reprs end up in logs


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """The account that runs the platform, and those made for annotators, by e-mail address."""

    owner: Account
    people: dict[str, Account] = msgspec.field(default_factory=dict)


def load_credentials(platform_dir: Path) -> Credentials:
    """Read the accounts. Raises `PlatformError` if there are none or the file is damaged."""
    path = platform_dir / FILE_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except FileNotFoundError as error:
        raise PlatformError(
            f"{path} is missing", fix="start the platform with `synthscars platform up`"
        ) from error
    except (msgspec.DecodeError, OSError) as error:
        raise PlatformError(f"{path} cannot be read: {error}", fix="restore it from a backup") from error


def ensure_credentials(platform_dir: Path) -> Credentials:
    """Read the accounts, or make the owner's with a random password and token on first use.

    Folder and file, which a copy or a backup may have opened to others, are closed to them again.
    Raises `PlatformError` if the file is gone but the server's database, which knows other secrets, is not.
    """
    path = platform_dir / FILE_NAME
    if path.exists():
        platform_dir.chmod(0o700)
        path.chmod(0o600)
        return load_credentials(platform_dir)
    if (platform_dir / "label_studio.sqlite3").exists():
        raise PlatformError(
            f"{path} is missing, but Label Studio already has a database with accounts in {platform_dir}",
            fix="restore the file from a backup, or move the whole folder away to start anew",
        )
    owner = Account(email="owner@synthscars.local", password=new_password(), token=secrets.token_hex(20))
    credentials = Credentials(owner=owner)
    save_credentials(platform_dir, credentials)
    return credentials


def save_credentials(platform_dir: Path, credentials: Credentials) -> None:
    """Replace the file; it is readable for its owner alone from the moment it exists."""
    platform_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with atomic_file(platform_dir / FILE_NAME, private=True) as file:
        file.write(msgspec.json.format(msgspec.json.encode(credentials), indent=2) + b"\n")


def new_password() -> str:
    """A random password that can be typed."""
    return secrets.token_urlsafe(15)
