"""Who may do what on the platform: annotator, adjudicator or manager.

Label Studio's community edition lets every account do everything. Roles are kept here and enforced by the
guard in front of it (`synthscars.companion.guard`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

import msgspec

from synthscars.files import atomic_file
from synthscars.problems import PlatformError, UsageError
from synthscars.workspace import Workspace

FILE_NAME = "people.json"

Role = Literal["annotator", "adjudicator", "manager"]
"""`annotator`: their own queue and answers. `adjudicator`: reads everything, answers, changes nothing else.
`manager`: everything."""

ROLES: tuple[Role, ...] = get_args(Role)

# As strict as what is needed to tell addresses apart in logs and tables; Label Studio checks again.
_ADDRESS = re.compile(r"[^\s@\x00-\x1f\x7f<>\"',;]{1,64}@[A-Za-z0-9.-]{1,190}\.?[A-Za-z0-9]")


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with a role. `id`: Label Studio's number of the account, as in `rater-<id>`."""

    email: str
    role: Role
    id: int


class _Members(msgspec.Struct, frozen=True):
    people: tuple[Member, ...] = ()


def people(workspace: Workspace) -> list[Member]:
    """Everybody with a role, by address; the account that owns the platform is not among them.

    Raises `PlatformError` if the file is damaged.
    """
    return list(_read(workspace.platform_dir / FILE_NAME))


def set_role(workspace: Workspace, email: str, role: Role, account_id: int) -> Member | None:
    """Give an account a role; returns what it was before, `None` if it had none.

    account_id: Label Studio's number of the account. Takes effect on the next request that passes the guard.
    """
    email = checked_address(email)

    def change(known: list[Member]) -> list[Member]:
        others = [one for one in known if one.email != email and one.id != account_id]
        return [*others, Member(email=email, role=role, id=account_id)]

    before = _change(workspace, change)
    return next((one for one in before if one.email == email), None)


def remove_member(workspace: Workspace, email: str) -> Member:
    """Take the role away: from the next request on the guard lets the account do nothing. Answers stay.

    Raises `UsageError` if the address has no role.
    """
    email = checked_address(email)
    before = _change(workspace, lambda known: [one for one in known if one.email != email])
    for one in before:
        if one.email == email:
            return one
    raise UsageError(f"{email} has no role here", fix="see who has one: `synthscars platform users list`")


def checked_address(email: str) -> str:
    """An e-mail address in lower case, as Label Studio keeps it. Raises `UsageError` if it is not one."""
    if not _ADDRESS.fullmatch(email):
        raise UsageError(f"{email!r} is not an e-mail address", fix="write it like ada@example.org")
    return email.lower()


def _read(path: Path) -> tuple[Member, ...]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Members).people
    except FileNotFoundError:
        return ()
    except (msgspec.DecodeError, OSError) as error:
        raise PlatformError(f"{path} cannot be read: {error}", fix="restore it from a backup") from error


def _change(workspace: Workspace, change: Callable[[list[Member]], list[Member]]) -> tuple[Member, ...]:
    folder = workspace.platform_dir
    with locked(folder, FILE_NAME):
        before = _read(folder / FILE_NAME)
        after = sorted(change(list(before)), key=lambda one: one.email)
        write_private(folder / FILE_NAME, _Members(people=tuple(after)))
    return before


@contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Let one process at a time read and rewrite a small file of the platform."""
    from filelock import FileLock

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(folder / f".{name}.lock", mode=0o600):
        yield


def write_private(path: Path, value: object) -> None:
    """Replace a small JSON file whole; only its owner can read it."""
    with atomic_file(path, private=True) as file:
        file.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
