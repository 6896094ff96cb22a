"""What an annotator gets to see of Label Studio's answers: nothing that others made.

Only what lists things is rewritten, and by leaving out; the rest of an answer stays as it is.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from synthscars.companion.guard_access import read_query
from synthscars.companion.guard_identity import Who
from synthscars.companion.guard_routes import Narrow

_NO_PROJECT = "0"
# Of a task: who else worked on it, what they drew, and how many they are.
_OTHERS: dict[str, Any] = {
    "annotations_results": "",
    "annotations_ids": "",
    "updated_by": [],
    "comment_authors": [],
    "avg_lead_time": None,
}
_RIGHTS = ("projects.view", "tasks.view", "annotations.", "actions.perform", "labels.view", "views.view")


def narrowed_query(kind: Narrow, own: frozenset[int] | None, query: bytes) -> bytes:
    """The query of a request that lists projects, narrowed to one's own."""
    if kind != "projects" or own is None:
        return query
    asked = read_query(query)
    wanted = {part for part in asked.get("ids", "").split(",") if part}
    allowed = {str(one) for one in own}
    ids = sorted(wanted & allowed if wanted else allowed) or [_NO_PROJECT]
    return urlencode({**asked, "ids": ",".join(ids)}).encode()


def is_narrowed(kind: Narrow, who: Who) -> bool:
    """Whether an answer has to be read and rewritten for this person."""
    if who.role == "manager" or kind in ("", "projects"):
        return False
    return who.role == "annotator" or kind in ("backends", "me")


def narrow(kind: Narrow, who: Who, value: Any) -> Any:
    """The part of an answer (decoded JSON) that this person may see."""
    if kind == "backends":
        return []  # their addresses and passwords; predictions come with the tasks
    if kind == "me":
        return _with_rights(value)
    if kind == "users":
        return [one for one in value if isinstance(one, dict) and one.get("id") == who.id]
    if kind == "tasks":
        tasks = [_task(one, who) for one in value.get("tasks", [])] if isinstance(value, dict) else []
        total = value.get("total", 0) if isinstance(value, dict) else 0
        return {"tasks": tasks, "total": total, "total_annotations": 0, "total_predictions": 0}
    if kind == "task":
        return _task(value, who)
    if kind == "annotations":
        return _annotations(value, who)
    assert kind == "drafts", kind
    return _drafts(value, who)


def _task(task: Any, who: Who) -> Any:
    if not isinstance(task, dict):
        return task
    mine: dict[str, Any] = {key: _OTHERS.get(key, value) for key, value in task.items()}
    if "drafts" in mine:
        mine["drafts"] = _drafts(mine["drafts"], who)
    if "annotations" in mine:
        annotations = _annotations(mine["annotations"], who)
        mine["annotations"] = annotations
        cancelled = sum(bool(one.get("was_cancelled")) for one in annotations)
        mine |= {"total_annotations": len(annotations) - cancelled, "cancelled_annotations": cancelled}
    elif "annotators" in mine:
        # A list does not tell whose each answer is, only who answered.
        mine["annotators"] = [one for one in _list(mine["annotators"]) if _user(one) == who.id]
        if not mine["annotators"]:
            mine |= {"total_annotations": 0, "cancelled_annotations": 0}
    return mine


def _annotations(value: Any, who: Who) -> list[dict[str, Any]]:
    return [one for one in _dicts(value) if _author(one) == who.id]


def _drafts(value: Any, who: Who) -> list[dict[str, Any]]:
    return [one for one in _dicts(value) if str(one.get("user", "")).lower() == who.email]


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in _list(value) if isinstance(one, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _user(value: Any) -> object:
    return value.get("user_id", value.get("id")) if isinstance(value, dict) else value


def _author(annotation: dict[str, Any]) -> object:
    by = annotation.get("completed_by")
    return by.get("id") if isinstance(by, dict) else by


def _with_rights(value: Any) -> Any:
    # Label Studio's pages leave out the buttons for which these are missing.
    if not isinstance(value, dict) or not isinstance(value.get("permissions"), list):
        return value
    kept = [one for one in value["permissions"] if isinstance(one, str) and one.startswith(_RIGHTS)]
    return {**value, "permissions": kept}
