"""Label Studio tells the companion when somebody answered: one webhook in each of the platform's projects.

It knows no webhook for all projects. Ours are known by the header that holds the secret; what others made is
left alone. Only that something happened is sent, not what: answers are fetched.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from synthscars.labelstudio.client import Client
from synthscars.labelstudio.companion_file import HOOK_HEADER, HOOK_HOST, HOOK_PATH, read_companion
from synthscars.workspace import Workspace

ACTIONS = ("ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "ANNOTATION_CREATED", "ANNOTATION_UPDATED")

Hook = dict[str, Any]


def put_webhooks(client: Client, workspace: Workspace, projects: Iterable[int]) -> int:
    """Let these projects have our webhook as it has to be now; returns how many requests that took.

    Where the companion does not run, or this machine has no second loopback address, ours are taken away.
    Raises `PlatformError` if the server refuses.
    """
    wanted = _wanted(workspace)
    ours: dict[int, list[Hook]] = {}
    for hook in client.request("GET", "/api/webhooks/"):
        if HOOK_HEADER in (hook.get("headers") or {}):
            ours.setdefault(int(hook["project"] or 0), []).append(hook)
    changes = 0
    for project in projects:
        there = ours.get(project, [])
        kept = there[:1] if wanted else []
        for hook in there[len(kept) :]:
            client.delete(f"/api/webhooks/{hook['id']}/")
            changes += 1
        if wanted and not kept:
            _make(client, {**wanted, "project": project})
            changes += 1
        elif wanted and any(_comparable(kept[0].get(key)) != value for key, value in wanted.items()):
            client.request("PATCH", f"/api/webhooks/{kept[0]['id']}/", json=wanted)
            changes += 1
    return changes


def make_webhook(client: Client, workspace: Workspace, project: int) -> None:
    """Give a new project our webhook, if the companion runs."""
    if wanted := _wanted(workspace):
        _make(client, {**wanted, "project": project})


def _wanted(workspace: Workspace) -> Hook | None:
    companion = read_companion(workspace.platform_dir)
    if companion is None or not companion.pid or not _has_address():
        return None
    return {
        "url": f"http://{HOOK_HOST}:{companion.port}{HOOK_PATH}",
        "headers": {HOOK_HEADER: companion.hook_secret},
        "send_payload": False,
        "send_for_all_actions": False,
        "is_active": True,
        "actions": list(ACTIONS),
    }


def _has_address() -> bool:
    # All of 127.0.0.0/8 is this machine on Linux; elsewhere 127.0.0.1 alone.
    with socket.socket() as probe:
        try:
            probe.bind((HOOK_HOST, 0))
        except OSError:
            return False
    return True


def _make(client: Client, hook: Hook) -> None:
    def attempt() -> None:
        client.http.post("/api/webhooks/", json=hook).raise_for_status()

    # A second one, made by a try that only seemed to fail, is taken away the next time.
    client.call(attempt)


def _comparable(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value
