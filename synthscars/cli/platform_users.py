"""`synthscars platform users`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from synthscars.cli.common import json_option, output, print_json, workspace_option

if TYPE_CHECKING:
    from synthscars.labelstudio.roles import Role
    from synthscars.workspace import Workspace

_ROLES = ("annotator", "adjudicator", "manager")

_role_option = click.option(
    "--role",
    type=click.Choice(_ROLES),
    default="annotator",
    show_default=True,
    help="What the person may do.",
)


@click.group()
def users() -> None:
    """Say who may come in, and as what.

    \b
    annotator    sees their own queue and their own answers, and changes nothing else
    adjudicator  reads everything, answers, marks answers as final
    manager      everything, like the account that `platform up` made

    \b
    Example:
      synthscars platform users invite ada@example.org
    """


@users.command()
@workspace_option
@click.argument("email")
@_role_option
@click.option("--password-stdin", is_flag=True, help="Read the password from the input's first line.")
@click.option("--show", is_flag=True, help="Print the password on the terminal.")
@json_option
def add(
    workspace: Workspace, email: str, role: Role, password_stdin: bool, show: bool, as_json: bool
) -> None:
    """Make an account for somebody, or give an account another role.

    The password is a random one unless it is given, and stands in platform/credentials.json, which only you
    can read. To let people choose their own, use `invite`.

    \b
    Examples:
      synthscars platform users add ada@example.org
      synthscars platform users add max@example.org --role adjudicator --show
    """
    from synthscars.labelstudio.client import connect
    from synthscars.labelstudio.credentials import FILE_NAME, load_credentials
    from synthscars.labelstudio.invites import cancel_invites
    from synthscars.labelstudio.people import add_person, has_account
    from synthscars.labelstudio.roles import checked_address, set_role
    from synthscars.problems import UsageError

    email = checked_address(email)
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else ""
    if password_stdin and not password:
        raise UsageError("the input has no password in its first line", fix="write it there, then a newline")
    if email == load_credentials(workspace.platform_dir).owner.email:
        raise UsageError(f"{email} owns the platform and is a manager always", fix="name somebody else")
    if password and has_account(workspace, email):
        raise UsageError(
            f"{email} has an account, whose password stays as it is", fix="leave --password-stdin out"
        )
    person = add_person(workspace, connect(workspace), email, password)
    before = set_role(workspace, email, role, person.id)
    cancel_invites(workspace, email)
    secrets = workspace.platform_dir / FILE_NAME
    if as_json:
        print_json({"email": email, "role": role, "id": person.id, "before": before.role if before else None})
        return
    screen = output()
    if before is None:
        screen.print(f"{email} is {role} now (rater-{person.id})", markup=False)
    else:
        screen.print(f"{email} is {role} now, was {before.role} (rater-{person.id})", markup=False)
    if not person.account.password:
        screen.print("  password  the one that was chosen on the invitation's page", markup=False)
    elif show:
        screen.print(f"  password  {person.account.password}", markup=False)
    else:
        screen.print(f"  password  in {secrets}; --show prints it", markup=False)


@users.command(name="list")
@workspace_option
@json_option
def list_(workspace: Workspace, as_json: bool) -> None:
    """Show who has a role, and who is invited.

    \b
    Example:
      synthscars platform users list
    """
    from rich.table import Table
    from rich.text import Text

    from synthscars.labelstudio.invites import open_invites
    from synthscars.labelstudio.roles import people

    known, invited = people(workspace), open_invites(workspace)
    if as_json:
        waiting = [{"email": one.email, "role": one.role, "expires": one.expires} for one in invited]
        print_json({"people": known, "invited": waiting})
        return
    screen = output()
    if not known and not invited:
        screen.print("nobody has a role yet; add somebody with `synthscars platform users add`", markup=False)
        return
    table = Table("address", "role", "rater", box=None, pad_edge=False)
    for one in known:
        table.add_row(Text(one.email), one.role, f"rater-{one.id}")
    for each in invited:
        table.add_row(Text(each.email), each.role, f"invited until {each.expires:%Y-%m-%d %H:%M} UTC")
    screen.print(table)


@users.command()
@workspace_option
@click.argument("email")
@json_option
def remove(workspace: Workspace, email: str, as_json: bool) -> None:
    """Let somebody in no more. Their answers stay, and so does the account, without a role.

    Whoever is logged in is stopped at their next request. `add` lets them in again.

    \b
    Example:
      synthscars platform users remove ada@example.org
    """
    from synthscars.labelstudio.invites import cancel_invites
    from synthscars.labelstudio.roles import people, remove_member

    cancelled = cancel_invites(workspace, email)
    known = any(one.email == email.lower() for one in people(workspace))
    member = remove_member(workspace, email) if known or not cancelled else None
    if as_json:
        print_json({"removed": member, "invites_cancelled": cancelled})
    elif member is None:
        output().print(f"the invitation of {email} is cancelled", markup=False)
    else:
        output().print(f"{member.email} ({member.role}) cannot come in any more; answers stay", markup=False)


@users.command(short_help="Make a link by which somebody makes their account.")
@workspace_option
@click.argument("email")
@_role_option
@click.option(
    "--hours",
    type=click.FloatRange(0.1, 24 * 30),
    default=72.0,
    show_default=True,
    help="How long the link holds.",
)
@click.option("--url", help="Address under which people reach the platform; the companion's if not given.")
@json_option
def invite(
    workspace: Workspace, email: str, role: Role, hours: float, url: str | None, as_json: bool
) -> None:
    """Make a link by which somebody makes their account and chooses a password.

    It works once, and not for long. Send it to that person alone: whoever has it can use it. Only its hash is
    kept here.

    \b
    Example:
      synthscars platform users invite ada@example.org --url https://label.example.org
    """
    from synthscars.labelstudio.invites import create_invite, invite_link

    made, token = create_invite(workspace, email, role, hours=hours)
    link = invite_link(workspace, token, url)
    if as_json:
        print_json({"email": made.email, "role": made.role, "expires": made.expires, "link": link})
        return
    screen = output()
    screen.print(f"{made.email} can become {made.role} until {made.expires:%Y-%m-%d %H:%M} UTC", markup=False)
    screen.print(f"  link  {link}", markup=False)
