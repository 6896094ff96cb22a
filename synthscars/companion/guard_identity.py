"""Who sends a request, and with which role. Label Studio is asked; nothing is decoded here."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from synthscars.companion.guard_refusals import RefusedError
from synthscars.labelstudio import roles
from synthscars.labelstudio.credentials import FILE_NAME as CREDENTIALS_NAME
from synthscars.labelstudio.credentials import load_credentials
from synthscars.labelstudio.roles import Role
from synthscars.workspace import Workspace

if TYPE_CHECKING:
    from starlette.requests import Request

    from synthscars.companion.guard_forwarding import Upstream

SECONDS = 60.0
"""For which Label Studio's word about a cookie or token is believed. Roles are looked up each time."""

SESSION_COOKIE = "sessionid"
_PASSED_COOKIES = (SESSION_COOKIE, "csrftoken")
_MOST = 20_000
_AUTHORIZATION = re.compile(r"(Token|Bearer) [\x21-\x7e]{1,4000}")

_Value = TypeVar("_Value")


class Account(msgspec.Struct, frozen=True):
    """An account as Label Studio knows it."""

    id: int
    email: str


class Who(msgspec.Struct, frozen=True):
    """Somebody with a role."""

    id: int
    email: str
    role: Role


class Credential(msgspec.Struct, frozen=True):
    """What a request brings along to say who sends it; these headers alone are passed on for that.

    session: it is a cookie, which a browser sends by itself. digest: `""` if it brings nothing.
    """

    headers: dict[str, str]
    digest: str = ""
    session: bool = False

    def __repr__(self) -> str:
        return f"Credential(session={self.session})"  # never the secrets: reprs end up in logs


def read_credential(request: Request) -> Credential:
    """The credential of a request. Raises `RefusedError` if there are two, or it is of an unknown kind.

    Label Studio must see the very same one that it is asked about.
    """
    cookies = _cookies(request)
    named = [*request.headers.getlist("authorization")]
    named += [f"Token {key}" for key in request.headers.getlist("x-api-key")]
    if len(named) > 1:
        raise RefusedError(400, "The request brings more than one credential.")
    if named:
        if not _AUTHORIZATION.fullmatch(named[0]):
            raise RefusedError(
                401, "Only `Authorization: Token …` and `Authorization: Bearer …` are understood."
            )
        return Credential({"authorization": named[0]}, _digest(named[0]))
    if not cookies:
        return Credential({})
    header = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    session = cookies.get(SESSION_COOKIE)
    return Credential(header, _digest(session) if session else "", session=True)


def _cookies(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for header in request.headers.getlist("cookie"):
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            if name in _PASSED_COOKIES:
                if name in found:
                    raise RefusedError(400, f"The cookie {name} was sent twice; delete this site's cookies.")
                found[name] = value
    return found


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


class Identities:
    """Asks Label Studio who somebody is, and remembers the answer for some seconds."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._known: OrderedDict[str, tuple[float, Account]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Account | None]] = {}

    async def account(self, credential: Credential) -> Account | None:
        """Whose credential this is; `None`: nobody's. Raises `RefusedError` if none answers."""
        if not credential.digest:
            return None
        known = self._known.get(credential.digest)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        # A page sends many requests at once: one of them asks, and all get the answer.
        task = self._asking.get(credential.digest)
        if task is None:
            task = asyncio.create_task(self._ask(credential))
            self._asking[credential.digest] = task
            task.add_done_callback(lambda _task: self._asking.pop(credential.digest, None))
        return await asyncio.shield(task)

    def adopt(self, account: Account, cookie: str) -> None:
        """Believe a cookie that Label Studio has just put in the place of this account's."""
        self._remember(_digest(cookie), account)

    def forget(self, credential: Credential) -> None:
        """Ask anew the next time: somebody logged in or out."""
        self._known.pop(credential.digest, None)

    async def _ask(self, credential: Credential) -> Account | None:
        answer = await self._upstream.ask("/api/current-user/whoami", credential.headers)
        if answer is None:
            return None
        account = Account(int(answer["id"]), str(answer["email"]).lower())
        self._remember(credential.digest, account)
        return account

    def _remember(self, digest: str, account: Account) -> None:
        self._known[digest] = (time.monotonic() + SECONDS, account)
        self._known.move_to_end(digest)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)


class Watched(Generic[_Value]):
    """A small file's content, read again when the file was replaced."""

    def __init__(self, path: Path, read: Callable[[], _Value]) -> None:
        self._path = path
        self._read = read
        self._stamp: object = ()
        self._value: _Value | None = None

    def get(self) -> _Value:
        """What the file holds now; errors of reading it are passed on each time."""
        stamp = self._look()
        if self._value is None or stamp != self._stamp:
            self._value = self._read()
            self._stamp = stamp
        return self._value

    def _look(self) -> object:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


class Roles:
    """The roles as `people.json` has them at this moment."""

    def __init__(self, workspace: Workspace) -> None:
        folder = workspace.platform_dir
        self._members = Watched(
            folder / roles.FILE_NAME, lambda: {one.id: one for one in roles.people(workspace)}
        )
        self._owner = Watched(folder / CREDENTIALS_NAME, lambda: load_credentials(folder).owner)

    def who(self, account: Account) -> Who | None:
        """The account with its role, `None` if it has none: it was removed, or never added."""
        if account.email == self._owner.get().email.lower():
            return Who(account.id, account.email, "manager")
        member = self._members.get().get(account.id)
        # Both must fit: a copied file may come from another server, where the number is somebody else's.
        if member is None or member.email != account.email:
            return None
        return Who(account.id, account.email, member.role)

    def may_log_in(self, email: str) -> bool:
        """Whether an address has a role, so that its password is worth asking for."""
        email = email.lower()
        known = any(one.email == email for one in self._members.get().values())
        return known or email == self._owner.get().email.lower()

    def owner_token(self) -> str:
        """The API token of the account that owns the platform."""
        return self._owner.get().token
