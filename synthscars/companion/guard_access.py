"""Which projects, tasks and answers are somebody's own. Label Studio is asked in the owner's name."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from synthscars.companion.guard_forwarding import Upstream
from synthscars.companion.guard_identity import Roles, Watched, Who
from synthscars.companion.guard_refusals import NOT_YOURS, RefusedError
from synthscars.companion.guard_routes import Match, Narrow
from synthscars.labelstudio.assignment import PROJECTS_NAME, assigned_projects
from synthscars.labelstudio.project import FILE_NAME as PROJECT_NAME
from synthscars.labelstudio.project import noted_project
from synthscars.workspace import Workspace

_MOST = 20_000
# The queries of the calls that list things. What else Label Studio knows (`query`, `fields`) would let one
# ask for tasks by what others answered.
_QUERIES = frozenset(
    {
        "project",
        "view",
        "tabID",
        "id",
        "taskID",
        "page",
        "page_size",
        "interaction",
        "include",
        "expand",
        "ids",
    }
)


class Thing(msgspec.Struct, frozen=True):
    """What is known of a task, annotation, draft or view.

    by, email: who made it, as far as Label Studio tells: annotations have a number, drafts an address.
    """

    project: int
    task: int = 0
    by: int = 0
    email: str = ""


class Access:
    """Answers whose something is. What cannot change (a task's project) is asked once."""

    def __init__(self, workspace: Workspace, upstream: Upstream, roles: Roles) -> None:
        self._upstream = upstream
        self._roles = roles
        self._known: OrderedDict[tuple[str, int], Thing] = OrderedDict()
        folder = workspace.platform_dir
        self._assigned = Watched(folder / PROJECTS_NAME, lambda: assigned_projects(workspace))
        self._common = Watched(folder / PROJECT_NAME, lambda: noted_project(workspace))

    def projects(self, who: Who) -> frozenset[int] | None:
        """Somebody's own projects; `None`: all there are.

        While nobody has a queue, the project that all share is everybody's.
        """
        if who.role != "annotator":
            return None
        assigned = self._assigned.get()
        if any(one.rater for one in assigned):
            return frozenset(one.id for one in assigned if (one.rater or "").lower() == who.email)
        # Not a review, whose tasks show what others answered.
        common = {one.id for one in assigned if one.kind == "common"}
        noted = self._common.get()
        return frozenset(common or ({noted.id} if noted else ()))

    def is_told(self, who: Who, found: Match) -> bool:
        """Whether the answer itself has to tell whose task it shows, because it is not known yet."""
        return found.need(who.role) == "shown" and ("task", found.ids["task"]) not in self._known

    async def check(self, who: Who, found: Match, query: bytes, *, later: bool = False) -> dict[str, int]:
        """Raise `RefusedError` unless what the table asks for holds; returns the ids found out.

        later: whose task it is will be checked when the answer has told it.
        """
        need = found.need(who.role)
        ids = dict(found.ids)
        own = self.projects(who)
        asked = read_query(query)
        if need == "no":
            raise RefusedError(403, NOT_YOURS)
        if own is not None:
            self._check_query(found, asked)
        if need == "self" and ids.get("user") != who.id:
            raise RefusedError(403, NOT_YOURS)
        if need == "asked":
            await self._check_asked(own, asked)
        for kind in ("project", "task", "annotation", "draft", "view"):
            if kind in ids and need not in ("any", "self") and not later:
                thing = await self._thing(kind, ids[kind])
                ids = {**ids, "project": thing.project} | ({"task": thing.task} if thing.task else {})
                if own is not None and thing.project not in own:
                    raise RefusedError(403, NOT_YOURS)
                if kind in ("annotation", "draft") and not _is_by(who, thing):
                    raise RefusedError(
                        403, "This answer is somebody else's: only they, or a manager, can change it."
                    )
                if found.ids.get("task", ids.get("task")) != ids.get("task"):
                    raise RefusedError(
                        403, NOT_YOURS
                    )  # another task's annotation under one's own task's address
        if "project" in asked and "project" not in ids:
            ids["project"] = _number(asked["project"])
        return ids

    async def located(self, ids: dict[str, int]) -> dict[str, int]:
        """The ids of a request, with project and task of the task or answer that it names, if it is there."""
        for kind in ("task", "annotation"):
            if kind in ids and (thing := await self._look(kind, ids[kind])):
                ids = {**ids, "project": thing.project, "task": thing.task}
        return ids

    def is_made_here(self, project: int) -> bool:
        """Whether a project is one of the platform's own, not one that a manager made by hand."""
        noted = self._common.get()
        return project in {one.id for one in self._assigned.get()} | ({noted.id} if noted else set())

    def learn(self, kind: Narrow, value: Any) -> None:
        """Remember the projects of the tasks in an answer, so that they need not be asked for."""
        if not isinstance(value, dict) or kind not in ("task", "tasks"):
            return
        for task in value.get("tasks", [value]):
            if isinstance(task, dict) and type(task.get("id")) is type(task.get("project")) is int:
                self._remember("task", task["id"], Thing(project=task["project"], task=task["id"]))

    async def own_draft(self, who: Who, draft: int) -> bool:
        """Whether a draft is somebody's."""
        thing = await self._look("draft", draft)
        return thing is not None and _is_by(who, thing)

    async def answers(self, task: int, *, skipped: bool) -> list[dict[str, Any]]:
        """Everybody's answers to a task, or their skips."""
        if not skipped:
            # Without skips, and twice as quick.
            found = await self._owner_asks(f"/api/tasks/{task}/annotations")
        else:
            whole = await self._owner_asks(_ADDRESSES["task"].format(task))
            found = whole.get("annotations") if isinstance(whole, dict) else None
        listed = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        return [one for one in listed if bool(one.get("was_cancelled")) is skipped]

    async def annotation(self, number: int) -> dict[str, Any]:
        """An annotation as it is now. Raises `RefusedError` if there is none."""
        found = await self._owner_asks(f"/api/annotations/{number}/")
        if not isinstance(found, dict):
            raise RefusedError(403, NOT_YOURS)
        return found

    async def is_by(self, who: Who, annotation: int) -> bool:
        """Whether an annotation is somebody's."""
        return _is_by(who, await self._thing("annotation", annotation))

    def _check_query(self, found: Match, asked: dict[str, str]) -> None:
        if not found.route.path.startswith("/api/"):
            return
        for name in asked:
            if name not in _QUERIES:
                raise RefusedError(403, f"The query {name!r} is not for annotators.")

    async def _check_asked(self, own: frozenset[int] | None, asked: dict[str, str]) -> None:
        # Without a project Label Studio takes the first one there is.
        project = _number(asked.get("project", ""))
        if not project or (own is not None and project not in own):
            raise RefusedError(403, NOT_YOURS)
        for name in ("view", "tabID"):
            view = _number(asked.get(name, "0"))
            if view and own is not None and (await self._thing("view", view)).project not in own:
                raise RefusedError(403, NOT_YOURS)

    async def _thing(self, kind: str, number: int) -> Thing:
        if kind == "project":
            return Thing(project=number)
        thing = await self._look(kind, number)
        if thing is None:
            raise RefusedError(403, NOT_YOURS)  # as if it were somebody else's: who asks learns nothing
        return thing

    async def _look(self, kind: str, number: int) -> Thing | None:
        known = self._known.get((kind, number))
        if known is not None:
            return known
        found = await self._owner_asks(_ADDRESSES[kind].format(number))
        if not isinstance(found, dict):
            return None
        if kind in ("task", "view"):
            thing = Thing(project=int(found["project"]), task=number if kind == "task" else 0)
        else:
            task = int(found["task"])
            project = (await self._thing("task", task)).project
            thing = Thing(project, task, author_of(found), str(found.get("user") or "").lower())
        self._remember(kind, number, thing)
        return thing

    def _remember(self, kind: str, number: int, thing: Thing) -> None:
        self._known[kind, number] = thing
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    async def _owner_asks(self, path: str) -> Any:
        return await self._upstream.ask(path, {"authorization": f"Token {self._roles.owner_token()}"})


_ADDRESSES = {
    # A task's project alone: all its answers can be long.
    "task": "/api/tasks/{}/",
    "annotation": "/api/annotations/{}/",
    "draft": "/api/drafts/{}/",
    "view": "/api/dm/views/{}/",
}


def read_query(query: bytes) -> dict[str, str]:
    """The fields of a query. Raises `RefusedError` if one stands there twice: which counts is not plain."""
    fields = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    found = dict(fields)
    if len(found) != len(fields):
        raise RefusedError(400, "A field stands twice in the address.")
    return found


def author_of(annotation: dict[str, Any]) -> int:
    """Whose an annotation is, 0 if that is not told."""
    by = annotation.get("completed_by")
    by = by.get("id") if isinstance(by, dict) else by
    return by if isinstance(by, int) else 0


def _is_by(who: Who, thing: Thing) -> bool:
    return who.email == thing.email if thing.email else who.id == thing.by


def _number(text: str) -> int:
    """A number as Label Studio reads it. Raises `RefusedError` if it is none."""
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise RefusedError(400, "A number in the address is not one.")
    return int(text)
