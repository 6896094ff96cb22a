"""Every route that is tried on a real server, and the page that shows the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "platform-routes.md"
BEGIN, END = "<!-- tried: begin -->", "<!-- tried: end -->"

# Method, address, and the body's name in `bodies`. Names in braces are numbers of the test: `own…` is the
# annotator's who asks, `other…` another's, `none` of something that is not there (so that a manager, who may
# delete it, deletes nothing).
TRIES: tuple[tuple[str, str, str], ...] = (
    ("GET", "/user/login/", ""),
    ("GET", "/static/css/main.css", ""),
    ("GET", "/user/signup/", ""),
    ("GET", "/", ""),
    ("GET", "/projects/", ""),
    ("GET", "/projects/{own_project}/data", ""),
    ("GET", "/projects/{other_project}/data?task={other_task}", ""),
    ("GET", "/projects/{own_project}/settings/", ""),
    ("GET", "/user/account/", ""),
    ("GET", "/organization/", ""),
    ("GET", "/admin/", ""),
    ("GET", "/api/version", ""),
    ("GET", "/api/current-user/whoami", ""),
    ("GET", "/api/current-user/token", ""),
    ("POST", "/api/current-user/reset-token/", ""),
    ("GET", "/api/token/", ""),
    ("GET", "/api/users", ""),
    ("GET", "/api/users/{other_user}", ""),
    ("PATCH", "/api/users/{other_user}", "empty"),
    ("DELETE", "/api/users/{none}", ""),
    ("GET", "/api/invite", ""),
    ("GET", "/api/organizations", ""),
    ("GET", "/api/projects", ""),
    ("POST", "/api/projects", "empty"),
    ("GET", "/api/projects/{own_project}", ""),
    ("PATCH", "/api/projects/{own_project}", "empty"),
    ("DELETE", "/api/projects/{none}", ""),
    ("GET", "/api/projects/{other_project}", ""),
    ("PATCH", "/api/projects/{other_project}", "empty"),
    ("GET", "/api/projects/{own_project}/next", ""),
    ("GET", "/api/projects/{other_project}/next", ""),
    ("GET", "/api/projects/{own_project}/label-stream-history", ""),
    ("POST", "/api/projects/{own_project}/import", "list"),
    ("GET", "/api/projects/{own_project}/export", ""),
    ("GET", "/api/projects/{own_project}/exports/", ""),
    ("GET", "/api/projects/{own_project}/tasks/", ""),
    ("GET", "/api/dm/columns?project={own_project}", ""),
    ("GET", "/api/dm/columns?project={other_project}", ""),
    ("GET", "/api/dm/columns", ""),
    ("GET", "/api/dm/project?project={own_project}", ""),
    ("GET", "/api/dm/views?project={own_project}", ""),
    ("GET", "/api/dm/views?project={other_project}", ""),
    ("DELETE", "/api/dm/views/{none}", ""),
    ("POST", "/api/dm/actions?id=next_task&project={own_project}", "empty"),
    ("POST", "/api/dm/actions?id=next_task&project={other_project}", "empty"),
    ("POST", "/api/dm/actions?id=next_task&project={own_project}", "filter"),
    ("POST", "/api/dm/actions?id=delete_tasks_predictions&project={own_project}", "empty"),
    ("GET", "/api/tasks?project={own_project}", ""),
    ("GET", "/api/tasks?project={other_project}", ""),
    ("POST", "/api/tasks", "empty"),
    ("GET", "/api/tasks/{own_task}", ""),
    ("PATCH", "/api/tasks/{own_task}", "empty"),
    ("DELETE", "/api/tasks/{none}", ""),
    ("GET", "/api/tasks/{other_task}", ""),
    ("PATCH", "/api/tasks/{other_task}", "empty"),
    ("GET", "/api/tasks/{own_task}/annotations", ""),
    ("GET", "/api/tasks/{other_task}/annotations", ""),
    ("POST", "/api/tasks/{own_task}/annotations", "answer"),
    ("POST", "/api/tasks/{own_task}/annotations", "spoiled"),
    ("POST", "/api/tasks/{other_task}/annotations", "answer"),
    ("GET", "/api/tasks/{own_task}/drafts", ""),
    ("GET", "/api/tasks/{other_task}/drafts", ""),
    ("POST", "/api/tasks/{other_task}/drafts", "empty_result"),
    ("GET", "/api/annotations/{own_annotation}", ""),
    ("PATCH", "/api/annotations/{own_annotation}", "answer"),
    ("GET", "/api/annotations/{other_annotation}", ""),
    ("PATCH", "/api/annotations/{other_annotation}", "answer"),
    ("DELETE", "/api/annotations/{none}", ""),
    ("DELETE", "/api/annotations/{other_annotation}", ""),
    ("GET", "/api/drafts/{other_draft}", ""),
    ("PATCH", "/api/drafts/{other_draft}", "empty_result"),
    ("DELETE", "/api/drafts/{other_draft}", ""),
    ("GET", "/api/predictions", ""),
    ("POST", "/api/predictions", "empty"),
    ("GET", "/api/storages/", ""),
    ("POST", "/api/storages/localfiles", "empty"),
    ("GET", "/api/webhooks/", ""),
    ("POST", "/api/webhooks/", "empty"),
    ("GET", "/api/ml?project={own_project}", ""),
    ("POST", "/api/ml", "empty"),
    ("GET", "/data/local-files/?d={image}", ""),
    ("GET", "/tasks/{own_task}/resolve/", ""),
    ("GET", "/docs/api/schema/json/", ""),
    ("GET", "/metrics/", ""),
    ("GET", "/trigger500/", ""),
    ("GET", "/x/health/", ""),
)


def bodies(answer: Mapping[str, Any], spoiled: Mapping[str, Any]) -> dict[str, Any]:
    """The bodies by the names in `TRIES`."""
    found = {"conjunction": "and", "items": [{"filter": "filter:tasks:annotations_results"}]}
    return {
        "": None,
        "empty": {},
        "list": [],
        "answer": answer,
        "spoiled": spoiled,
        "filter": {"filters": found},
        "empty_result": {"result": []},
    }


def table(columns: Sequence[str], rows: Sequence[tuple[str, str, str, Sequence[int]]]) -> str:
    """The answers as a table of the page."""
    lines = [f"| request | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for method, address, body, statuses in rows:
        sent = {"": "", "empty": "", "list": ""}.get(body, f" ({body.replace('_', ' ')})")
        shown = " | ".join(str(status) for status in statuses)
        lines.append(f"| `{method} {address}`{sent} | {shown} |")
    return "\n".join(lines)


def written_table() -> str:
    """The table as it stands in the page."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write_table(text: str) -> None:
    """Put a table into the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
