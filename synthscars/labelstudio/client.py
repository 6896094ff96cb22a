"""The connection to Label Studio's API: label-studio-sdk and, where it lacks a call, plain requests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from synthscars.labelstudio.credentials import (
    Account,
    Credentials,
    load_credentials,
    save_credentials,
)
from synthscars.labelstudio.environment import require_client_library
from synthscars.labelstudio.retries import Patience, UncertainError, patiently, translated
from synthscars.labelstudio.server import Server, require
from synthscars.problems import PlatformError
from synthscars.workspace import Workspace

if TYPE_CHECKING:
    import httpx
    from label_studio_sdk.client import LabelStudio

__all__ = ["Client", "UncertainError", "connect", "log_in", "translated"]

_Result = TypeVar("_Result")

TIMEOUT = 600.0
"""Seconds for one request. Importing or exporting many tasks takes longer than the client's own 60 s."""

_ROOM = 1 << 20
"""Bytes: with less room on the disk, a failure is put down to that."""

_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})


class Client:
    """One account's connection to one server. Its `sdk` is label-studio-sdk's client.

    token: a legacy token, or a personal access token. patience: with a server that is busy or stumbles.
    data: where the server keeps its data, so that it can be told when there is no room left.
    """

    def __init__(
        self, url: str, token: str, patience: Patience | None = None, data: Path | None = None
    ) -> None:
        import httpx
        from label_studio_sdk.client import LabelStudio

        from synthscars.labelstudio.tokens import auth_for

        self.url = url
        self._data = data
        self.patience = patience or Patience()
        auth = auth_for(url, token)
        timeout = httpx.Timeout(TIMEOUT, connect=10.0)
        # A proxy that the caller's environment names cannot reach our loopback address.
        self.http: httpx.Client = httpx.Client(base_url=url, auth=auth, timeout=timeout, trust_env=False)
        plain = httpx.Client(auth=auth, timeout=timeout, trust_env=False)
        # `auth` has the last word about who asks. Tried again is here alone: the SDK would also do so with
        # requests that must not be done twice.
        self.sdk: LabelStudio = LabelStudio(  # type: ignore[no-untyped-call]
            base_url=url, api_key="unused", timeout=TIMEOUT, httpx_client=plain, max_retries=0
        )

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send one request and return the JSON of its answer; options as in `httpx.Client.request`.

        A `POST` is never sent twice unless the server surely did not do it. Raises `UncertainError` if it may
        have been done, `PlatformError` if the server cannot be reached, refuses, or answers without JSON.
        """

        def attempt() -> Any:
            response = self.http.request(method, path, **options)
            response.raise_for_status()
            return response.json() if response.content else None

        return self.call(attempt, repeatable=method in _REPEATABLE)

    def delete(self, path: str) -> None:
        """Delete something; that it is gone already is no error, for an earlier try may have done it."""

        def attempt() -> None:
            response = self.http.delete(path)
            if response.status_code != 404:
                response.raise_for_status()

        self.call(attempt)

    def call(self, attempt: Callable[[], _Result], *, repeatable: bool = True) -> _Result:
        """Do something with the server, patiently; `repeatable` and errors as in `retries`."""
        with _room_looked_at(self._data), translated(repeatable=repeatable):
            return patiently(attempt, self.patience, repeatable=repeatable)

    def pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every entry of a list that the server gives in pages.

        The SDK's own pager asks for pages until one is missing, which fills the server's log with tracebacks.
        """
        page = 1
        while True:
            answer = self.request("GET", path, params={**query, "page": page})
            yield from answer["tasks"] if "tasks" in answer else answer["results"]
            total = answer["total"] if "total" in answer else answer["count"]
            if page * query["page_size"] >= total:
                return
            page += 1


def connect(workspace: Workspace) -> Client:
    """Connect to the workspace's running server as its owner.

    Raises `PlatformError` if it does not run or does not know the owner, or if label-studio-sdk is missing.
    """
    require_client_library()
    server = require(workspace)
    credentials = load_credentials(workspace.platform_dir)
    client = Client(server.url, credentials.owner.token, data=workspace.platform_dir)
    response = client.call(lambda: client.http.get("/api/current-user/whoami"))
    if response.status_code in (401, 403):
        # A first start that was killed leaves the account with a token of the server's own making.
        account = log_in(server, credentials.owner)
        save_credentials(workspace.platform_dir, _with_owner(credentials, account))
        return Client(server.url, account.token, data=workspace.platform_dir)
    return client


@contextmanager
def _room_looked_at(folder: Path | None) -> Iterator[None]:
    # Of a full disk Label Studio says no more than "Internal Server Error".
    try:
        yield
    except PlatformError as error:
        if folder is None or shutil.disk_usage(folder).free >= _ROOM:
            raise
        raise type(error)(
            f"the disk of {folder} is full: {error.message}",
            fix="make room, then run the command again: nothing is lost, it goes on where it stopped",
        ) from error


def log_in(server: Server, account: Account) -> Account:
    """Log in with the password, and return the account with its id and token.

    Raises `PlatformError` if the server does not know it.
    """
    with browser_session(server) as session:
        post_form(session, "/user/login/", {"email": account.email, "password": account.password})
        return read_account(session, account)


@contextmanager
def browser_session(server: Server) -> Iterator[httpx.Client]:
    """An HTTP session with cookies, for the pages that have no API."""
    import httpx

    with (
        translated(),
        httpx.Client(
            base_url=server.url, timeout=TIMEOUT, trust_env=False, follow_redirects=False
        ) as session,
    ):
        yield session


def post_form(session: httpx.Client, path: str, fields: dict[str, str]) -> httpx.Response:
    """Send one of the server's HTML forms, with the protection token that it asks for."""
    session.get(path).raise_for_status()
    fields = {**fields, "csrfmiddlewaretoken": session.cookies.get("csrftoken") or ""}
    response = session.post(path, data=fields, headers={"Referer": f"{session.base_url}"})
    if response.status_code >= 400:
        response.raise_for_status()
    return response


def read_account(session: httpx.Client, account: Account) -> Account:
    """The id and the token of whoever is logged in. Raises `PlatformError` if nobody is."""
    who = session.get("/api/current-user/whoami")
    token = session.get("/api/current-user/token")
    if who.status_code != 200 or token.status_code != 200:
        raise PlatformError(
            f"Label Studio does not let {account.email} in",
            fix="the password in platform/credentials.json may have been changed in the browser",
        )
    return Account(
        email=account.email,
        password=account.password,
        token=str(token.json()["token"]),
        id=int(who.json()["id"]),
    )


def _with_owner(credentials: Credentials, owner: Account) -> Credentials:
    return Credentials(owner=owner, people=credentials.people)
