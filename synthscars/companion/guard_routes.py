"""Which request is whose business: the table that the guard goes by. What is not in it is refused.

A manager may do everything. For the other roles each line says what has to hold (`Need`), what is looked at
in the body (`Body`), and what of the answer others may not see (`Narrow`). The lines are the calls that Label
Studio 1.23.2's pages make; `docs/platform-routes.md` tells how that was found.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import quote

import msgspec

from synthscars.labelstudio.roles import Role

Need = Literal["no", "any", "project", "asked", "task", "shown", "annotation", "draft", "view", "self"]
"""What has to hold. `no`: refused. `any`: nothing more. `project`, `task`, `view`: the one in the path is in
one of one's own projects. `shown`: as `task`, but where it is not known whose the task is, the answer tells.
`asked`: so is every project and view that the query names, and it names a project. `annotation`, `draft`: it
is one's own, in one's own project. `self`: one's own account.

An adjudicator's own projects are all of them."""

Body = Literal["", "answer", "change", "draft", "next", "view", "login"]
Narrow = Literal["", "projects", "tasks", "task", "annotations", "drafts", "users", "backends", "me"]


class Route(msgspec.Struct, frozen=True):
    """One line of the table. `public`: also for people who are not logged in."""

    methods: str
    path: str
    annotator: Need
    adjudicator: Need
    body: Body = ""
    narrow: Narrow = ""
    public: bool = False


class Match(msgspec.Struct, frozen=True):
    """A line that fits a request, with the numbers in its path."""

    route: Route
    ids: dict[str, int]

    def need(self, role: Role) -> Need:
        """What has to hold for this role."""
        if role == "manager":
            return "any"
        return self.route.annotator if role == "annotator" else self.route.adjudicator


TABLE: tuple[Route, ...] = (
    # Without an account: the login page and what pages are made of.
    Route("GET", "/user/login", "any", "any", public=True),
    Route("POST", "/user/login", "any", "any", body="login", public=True),
    Route("GET POST", "/logout", "any", "any", public=True),
    Route("GET", "/static/{file}", "any", "any", public=True),
    Route("GET", "/react-app/{file}", "any", "any", public=True),
    Route("GET", "/label-studio-frontend/{file}", "any", "any", public=True),
    Route("GET", "/dm/{file}", "any", "any", public=True),
    Route("GET", "/favicon.ico", "any", "any", public=True),
    Route("GET", "/sw.js", "any", "any", public=True),
    Route("GET", "/sw-fallback.js", "any", "any", public=True),
    Route("GET", "/heidi-tips", "any", "any", public=True),
    # Pages.
    Route("GET", "/", "any", "any"),
    Route("GET", "/projects", "any", "any"),
    Route("GET", "/projects/{project}", "project", "any"),
    Route("GET", "/projects/{project}/data", "project", "any"),
    # What every page asks for.
    Route("GET", "/api/version", "any", "any"),
    Route("GET", "/api/current-user/whoami", "any", "any", narrow="me"),
    Route("GET PATCH", "/api/current-user/hotkeys", "any", "any"),
    Route("GET", "/api/projects", "any", "any", narrow="projects"),
    Route("GET", "/api/projects/{project}", "project", "any"),
    Route("GET", "/api/users", "any", "any", narrow="users"),
    Route("GET", "/api/users/{user}", "self", "any"),
    Route("GET", "/api/ml", "asked", "asked", narrow="backends"),
    Route("GET", "/api/label_links", "asked", "asked"),
    # The data manager around the editor, and the stream of tasks.
    Route("GET", "/api/dm/columns", "asked", "asked"),
    Route("GET", "/api/dm/project", "asked", "asked"),
    Route("GET", "/api/dm/views", "asked", "asked"),
    Route("POST", "/api/dm/views", "asked", "asked", body="view"),
    Route("GET", "/api/dm/views/{view}", "view", "any"),
    Route("PATCH PUT", "/api/dm/views/{view}", "view", "any", body="view"),
    Route("GET", "/api/dm/actions", "asked", "asked"),
    Route("POST", "/api/dm/actions", "asked", "asked", body="next", narrow="task"),
    Route("GET", "/api/projects/{project}/next", "project", "any", narrow="task"),
    Route("GET", "/api/projects/{project}/label-stream-history", "project", "any"),
    Route("GET", "/api/projects/{project}/summary", "no", "any"),
    Route("GET", "/api/projects/{project}/annotators", "no", "any"),
    # Tasks and answers.
    Route("GET", "/api/tasks", "asked", "asked", narrow="tasks"),
    Route("GET", "/api/tasks/{task}", "shown", "any", narrow="task"),
    Route("GET", "/api/tasks/{task}/agreement", "no", "any"),
    Route("GET", "/api/tasks/{task}/annotations", "task", "any", narrow="annotations"),
    Route("POST", "/api/tasks/{task}/annotations", "task", "task", body="answer"),
    Route("GET", "/api/tasks/{task}/drafts", "task", "any", narrow="drafts"),
    Route("POST", "/api/tasks/{task}/drafts", "task", "task", body="draft"),
    Route("GET", "/api/tasks/{task}/annotations/{annotation}/drafts", "annotation", "any", narrow="drafts"),
    Route("POST", "/api/tasks/{task}/annotations/{annotation}/drafts", "annotation", "annotation", "draft"),
    Route("GET", "/api/annotations/{annotation}", "annotation", "any"),
    Route("PATCH", "/api/annotations/{annotation}", "annotation", "any", body="change"),
    Route("DELETE", "/api/annotations/{annotation}", "annotation", "no"),
    Route("POST", "/api/annotations/{annotation}/convert-to-draft", "annotation", "annotation"),
    Route("GET", "/api/drafts/{draft}", "draft", "any"),
    Route("PATCH", "/api/drafts/{draft}", "draft", "draft", body="draft"),
    Route("DELETE", "/api/drafts/{draft}", "draft", "draft"),
    Route("GET", "/api/predictions", "no", "any"),
    # Images: named by the hash of their content, which nobody guesses.
    Route("GET", "/data/local-files", "any", "any"),
)

LOGGED_OUT = ("/logout", "/user/login")
"""After these the cookie that came is nobody's any more, or another person's."""

_NUMBER = r"(?P<{}>[0-9]{{1,10}})"
# No name starts with a dot, so that none is hidden or leads upwards.
_FILE = r"(?:[A-Za-z0-9_@+~-][A-Za-z0-9._@+~-]*/)*[A-Za-z0-9_@+~-][A-Za-z0-9._@+~-]*"


def encoded(path: str) -> str:
    """A decoded path as it is sent on, which is how the guard has read it."""
    return quote(path, safe="/@+~,=:-._")


def match(method: str, path: str) -> Match | None:
    """The line of the table for a request; `None`: refused to all but managers. HEAD counts as GET."""
    wanted = "GET" if method == "HEAD" else method
    for route, methods, pattern in _COMPILED:
        if wanted in methods and (found := pattern.fullmatch(path)):
            return Match(route, {name: int(value) for name, value in found.groupdict().items()})
    return None


def _compiled(route: Route) -> tuple[Route, frozenset[str], re.Pattern[str]]:
    pattern = ""
    for literal, name in re.findall(r"([^{]*)(?:\{(\w+)\})?", route.path):
        pattern += re.escape(literal)
        if name:
            pattern += _FILE if name == "file" else _NUMBER.format(name)
    # Label Studio takes each address with and without a slash at its end.
    return route, frozenset(route.methods.split()), re.compile(pattern.rstrip("/") + "/?")


_COMPILED = tuple(_compiled(route) for route in TABLE)
