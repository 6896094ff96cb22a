"""The connection to Label Studio's API: label-studio-sdk and, where it lacks a call, plain requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from synthscars.labelstudio.credentials import (
    Account,
    Credentials,
    load_credentials,
    save_credentials,
)
from synthscars.labelstudio.environment import require_client_library
from synthscars.labelstudio.server import Server, require
from synthscars.problems import PlatformError
from synthscars.workspace import Workspace

if TYPE_CHECKING:
    import httpx
    from label_studio_sdk.client import LabelStudio

TIMEOUT = 600.0
"""Seconds for one request. Importing or exporting many tasks takes longer than the client's own 60 s."""


class Client:
    """One account's connection to one server. Its `sdk` is label-studio-sdk's client."""

    def __init__(self, url: str, token: str) -> None:
        import httpx
        from label_studio_sdk.client import LabelStudio

        self.url = url
        # A proxy that the caller's environment names cannot reach our loopback address.
        self.http: httpx.Client = httpx.Client(
            base_url=url, headers={"Authorization": f"Token {token}"}, timeout=TIMEOUT, trust_env=False
        )
        plain = httpx.Client(timeout=TIMEOUT, trust_env=False)
        self.sdk: LabelStudio = LabelStudio(  # type: ignore[no-untyped-call]
            base_url=url, api_key=token, timeout=TIMEOUT, httpx_client=plain
        )

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send one request and return the JSON of its answer; options as in `httpx.Client.request`.

        Raises `PlatformError` if the server cannot be reached, refuses, or does not answer with JSON.
        """
        with translated():
            response = self.http.request(method, path, **options)
            response.raise_for_status()
            return response.json() if response.content else None

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


@contextmanager
def translated() -> Iterator[None]:
    """Turn the errors of the SDK and of HTTP into `PlatformError`."""
    import httpx
    from label_studio_sdk.core.api_error import ApiError

    try:
        yield
    except ApiError as error:
        raise PlatformError(
            f"Label Studio refused a request ({error.status_code}): {_shorten(error.body)}",
            fix="see platform/server.log",
        ) from error
    except httpx.HTTPStatusError as error:
        # Only the path: the query may hold an invite's secret.
        request = f"{error.request.method} {error.request.url.path}"
        raise PlatformError(
            f"Label Studio refused {request} ({error.response.status_code}): {_text(error.response)}",
            fix="see platform/server.log",
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        # Without the text: an answer that was cut short may hold a token.
        raise PlatformError(
            "Label Studio answered with something that is not JSON",
            fix="see platform/server.log, and whether the server runs: `synthscars platform status`",
        ) from error
    except httpx.HTTPError as error:
        raise PlatformError(
            f"Label Studio cannot be reached: {type(error).__name__} {error}",
            fix="see whether it runs: `synthscars platform status`",
        ) from error


def connect(workspace: Workspace) -> Client:
    """Connect to the workspace's running server as its owner.

    Raises `PlatformError` if it does not run or does not know the owner, or if label-studio-sdk is missing.
    """
    require_client_library()
    server = require(workspace)
    credentials = load_credentials(workspace.platform_dir)
    client = Client(server.url, credentials.owner.token)
    with translated():
        response = client.http.get("/api/current-user/whoami")
    if response.status_code in (401, 403):
        # A first start that was killed leaves the account with a token of the server's own making.
        account = log_in(server, credentials.owner)
        save_credentials(workspace.platform_dir, _with_owner(credentials, account))
        return Client(server.url, account.token)
    return client


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


def _text(response: httpx.Response) -> str:
    import httpx

    try:
        return _shorten(response.json())
    except ValueError:
        return _shorten(response.text)
    except httpx.ResponseNotRead:
        return response.reason_phrase


def _shorten(body: object) -> str:
    text = " ".join(str(body).split())
    if text.startswith("<"):
        return "an HTML page"
    return text if len(text) <= 400 else f"{text[:400]}…"
