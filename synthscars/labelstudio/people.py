"""Annotators' accounts, and answers given in their name through the API.

In the community edition every account may do everything; whose answer it is shows in `completed_by`.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

from synthscars.converters.labelstudio import annotation
from synthscars.labelstudio.client import Client, browser_session, log_in, post_form, read_account
from synthscars.labelstudio.credentials import (
    FILE_NAME,
    Account,
    load_credentials,
    new_password,
    save_credentials,
)
from synthscars.labelstudio.server import require
from synthscars.problems import PlatformError
from synthscars.records import Artifact, Review
from synthscars.workspace import Workspace


class Person(msgspec.Struct, frozen=True):
    """An annotator with a connection of their own. `id`: the server's, as in `rater-<id>`."""

    account: Account
    client: Client

    @property
    def id(self) -> int:
        """The account's number on the server."""
        return self.account.id

    @property
    def rater_id(self) -> str:
        """Who this is in the records."""
        return f"rater-{self.account.id}"


def add_person(workspace: Workspace, owner: Client, email: str, password: str = "") -> Person:
    """Make an account for an annotator, or find the one made before; kept in the credentials file.

    password: at least 8 characters, by default a random one.
    Raises `PlatformError` if the server does not run or refuses the address or password.
    """
    server = require(workspace)
    credentials = load_credentials(workspace.platform_dir)
    account = credentials.people.get(email)
    if account is None:
        # Written down first: a kill after the server made the account would otherwise lose its password.
        account = Account(email=email, password=password or new_password())
        _remember(workspace, account)
    if not account.token:
        known = {str(user["email"]).lower() for user in owner.request("GET", "/api/users/")}
        account = log_in(server, account) if email.lower() in known else _sign_up(workspace, owner, account)
        _remember(workspace, account)
    return Person(account, Client(server.url, account.token))


def submit(
    person: Person, task_id: int, review: Review, artifacts: Sequence[Artifact], *, width: int, height: int
) -> int:
    """Give a person's answer to a task, and return the annotation's id.

    width, height: the upright image's, in pixels. A review with the status `skipped` submits a skip.
    """
    body = annotation(person.id, review, artifacts, width, height)
    made = person.client.request("POST", f"/api/tasks/{task_id}/annotations/", json=body)
    return int(made["id"])


def _sign_up(workspace: Workspace, owner: Client, account: Account) -> Account:
    # POST /api/users/ ignores the password, so the account is made by the form behind the invite link.
    invite = urlsplit(owner.request("GET", "/api/invite")["invite_url"])
    fields = {
        "email": account.email,
        "password": account.password,
        "allow_newsletters": "false",
        "how_find_us": "",
        "elaborate": "",
    }
    try:
        with browser_session(require(workspace)) as session:
            response = post_form(session, f"{invite.path}?{invite.query}", fields)
            if response.status_code != 302:
                # Else the next try would go on with the password that was refused.
                _forget(workspace, account)
                raise PlatformError(
                    f"Label Studio does not make an account for {account.email}",
                    fix="use a valid e-mail address and a password of 8 characters or more",
                )
            return read_account(session, account)
    finally:
        # The link was in an address and so in the server's log: make it worthless.
        owner.request("POST", "/api/invite/reset-token")


def has_account(workspace: Workspace, email: str) -> bool:
    """Whether synthscars knows a finished account of this address, the platform's owner's included."""
    if not (workspace.platform_dir / FILE_NAME).exists():
        return False
    credentials = load_credentials(workspace.platform_dir)
    account = credentials.people.get(email)
    return email == credentials.owner.email or (account is not None and bool(account.token))


def forget_password(workspace: Workspace, email: str) -> None:
    """Keep the token of an account alone, where its person chose the password."""
    account = load_credentials(workspace.platform_dir).people.get(email)
    if account is not None and account.password and account.token:
        _remember(workspace, msgspec.structs.replace(account, password=""))


def _forget(workspace: Workspace, account: Account) -> None:
    credentials = load_credentials(workspace.platform_dir)
    people = {email: known for email, known in credentials.people.items() if email != account.email}
    save_credentials(workspace.platform_dir, msgspec.structs.replace(credentials, people=people))


def _remember(workspace: Workspace, account: Account) -> None:
    credentials = load_credentials(workspace.platform_dir)
    people = {**credentials.people, account.email: account}
    save_credentials(workspace.platform_dir, msgspec.structs.replace(credentials, people=people))
