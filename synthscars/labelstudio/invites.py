"""One-time links by which a person makes an account and chooses its password.

The link's token is a secret: only its hash is kept, so whoever reads the file cannot use it.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from synthscars.labelstudio.client import connect
from synthscars.labelstudio.people import add_person, forget_password, has_account
from synthscars.labelstudio.roles import Member, Role, checked_address, locked, set_role, write_private
from synthscars.problems import PlatformError, UsageError
from synthscars.workspace import Workspace

FILE_NAME = "invites.json"
PAGE = "/guard/invite"
"""Where the guard shows the form."""
HOURS = 72
"""How long a link holds unless told otherwise."""
MIN_PASSWORD, MAX_PASSWORD = 8, 128
"""Characters of a password. Label Studio asks for 8, and takes no more than 128."""


class Invite(msgspec.Struct, frozen=True, kw_only=True):
    """A link that was given out. `digest`: SHA-256 of its token. `expires`: in UTC."""

    digest: str
    email: str
    role: Role
    expires: datetime


class _Companion(msgspec.Struct, frozen=True):
    host: str = "127.0.0.1"
    port: int = 0
    public_url: str = ""


class _Invites(msgspec.Struct, frozen=True):
    invites: tuple[Invite, ...] = ()


def create_invite(
    workspace: Workspace, email: str, role: Role, *, hours: float = HOURS
) -> tuple[Invite, str]:
    """Make a link for somebody, and return it with its token, which is kept nowhere.

    An earlier link for the same address stops working. Raises `UsageError` if the address has an account.
    """
    email = checked_address(email)
    _require_new(workspace, email)
    token = secrets.token_urlsafe(32)
    expires = datetime.now(UTC) + timedelta(hours=hours)
    invite = Invite(digest=_digest(token), email=email, role=role, expires=expires)
    with locked(workspace.platform_dir, FILE_NAME):
        others = [one for one in _valid(workspace) if one.email != email]
        write_private(workspace.platform_dir / FILE_NAME, _Invites(invites=(*others, invite)))
    return invite, token


def find_invite(workspace: Workspace, token: str) -> Invite | None:
    """The invite that a token belongs to; `None` if it is unknown, used or too old."""
    digest = _digest(token)
    known = _valid(workspace)
    return next((one for one in known if secrets.compare_digest(one.digest, digest)), None)


def open_invites(workspace: Workspace) -> list[Invite]:
    """The invites that can still be used, by address."""
    return sorted(_valid(workspace), key=lambda one: one.email)


def invite_link(workspace: Workspace, token: str, url: str | None = None) -> str:
    """The address to send to the invited person. `url`: of the platform, by default the companion's.

    Raises `UsageError` if that is not known.
    """
    url = url or _companion_url(workspace.platform_dir / "companion.json")
    if not url or not url.startswith(("http://", "https://")):
        raise UsageError(
            "it is not known under which address people reach the platform",
            fix="start it with `synthscars platform up`, or name it: --url https://label.example.org",
        )
    # Behind the #: browsers send that part to nobody, so the secret gets into no log.
    return f"{url.rstrip('/')}{PAGE}#{token}"


def cancel_invites(workspace: Workspace, email: str) -> int:
    """Make the links of an address worthless; returns how many there were."""
    email = checked_address(email)
    with locked(workspace.platform_dir, FILE_NAME):
        known = _valid(workspace)
        others = tuple(one for one in known if one.email != email)
        if len(others) != len(known):
            write_private(workspace.platform_dir / FILE_NAME, _Invites(invites=others))
    return len(known) - len(others)


def redeem(workspace: Workspace, token: str, password: str) -> Member:
    """Make the account of an invite with the password that its person chose, which is not kept.

    Raises `UsageError` if the link or the password is no good, `PlatformError` if Label Studio refuses.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise UsageError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters", fix="choose another")
    # Locked to the end: of two requests with one link only the first makes an account.
    with locked(workspace.platform_dir, FILE_NAME):
        invite = find_invite(workspace, token)
        if invite is None:
            raise UsageError("this link was used before, or is too old", fix="ask for a new one")
        # Else an account that was made meanwhile would keep its password, and nobody would know.
        _require_new(workspace, invite.email)
        person = add_person(workspace, connect(workspace), invite.email, password)
        forget_password(workspace, invite.email)
        set_role(workspace, invite.email, invite.role, person.id)
        others = tuple(one for one in _valid(workspace) if one.digest != invite.digest)
        write_private(workspace.platform_dir / FILE_NAME, _Invites(invites=others))
    return Member(email=invite.email, role=invite.role, id=person.id)


def _require_new(workspace: Workspace, email: str) -> None:
    if has_account(workspace, email):
        raise UsageError(
            f"{email} has an account already",
            fix="give it a role with `synthscars platform users add`; the password stays as it is",
        )


def _companion_url(path: Path) -> str:
    try:
        noted = msgspec.json.decode(path.read_bytes(), type=_Companion)
    except (FileNotFoundError, msgspec.DecodeError):
        return ""
    if noted.public_url or not noted.port:
        return noted.public_url
    host = "127.0.0.1" if noted.host == "0.0.0.0" else noted.host
    return f"http://{host}:{noted.port}"


def _valid(workspace: Workspace) -> tuple[Invite, ...]:
    now = datetime.now(UTC)
    return tuple(one for one in _read(workspace.platform_dir / FILE_NAME) if one.expires > now)


def _read(path: Path) -> tuple[Invite, ...]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Invites).invites
    except FileNotFoundError:
        return ()
    except (msgspec.DecodeError, OSError) as error:
        raise PlatformError(f"{path} cannot be read: {error}", fix="restore it from a backup") from error


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
