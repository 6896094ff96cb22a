"""The table that the guard goes by, line by line, and what is not in it."""

from __future__ import annotations

import pytest

from synthscars.companion.guard_routes import TABLE, encoded, match

PUBLIC = [
    ("GET", "/user/login/"),
    ("POST", "/user/login"),
    ("GET", "/logout"),
    ("POST", "/logout/"),
    ("GET", "/static/css/main.9be72da65a79.css"),
    ("GET", "/react-app/main.js"),
    ("HEAD", "/react-app/main.js"),
    ("GET", "/favicon.ico"),
]

# method, path, what has to hold for annotators, and for adjudicators
FOR_ROLES = [
    ("GET", "/", "any", "any"),
    ("GET", "/projects/", "any", "any"),
    ("GET", "/projects/7/", "project", "any"),
    ("GET", "/projects/7/data", "project", "any"),
    ("GET", "/api/version", "any", "any"),
    ("GET", "/api/current-user/whoami", "any", "any"),
    ("GET", "/api/current-user/hotkeys/", "any", "any"),
    ("PATCH", "/api/current-user/hotkeys/", "any", "any"),
    ("GET", "/api/projects", "any", "any"),
    ("GET", "/api/projects/7", "project", "any"),
    ("GET", "/api/projects/7/next/", "project", "any"),
    ("GET", "/api/projects/7/label-stream-history", "project", "any"),
    ("GET", "/api/projects/7/summary", "no", "any"),
    ("GET", "/api/projects/7/annotators", "no", "any"),
    ("GET", "/api/users", "any", "any"),
    ("GET", "/api/users/3/", "self", "any"),
    ("GET", "/api/ml", "asked", "asked"),
    ("GET", "/api/label_links", "asked", "asked"),
    ("GET", "/api/dm/columns", "asked", "asked"),
    ("GET", "/api/dm/project", "asked", "asked"),
    ("GET", "/api/dm/views", "asked", "asked"),
    ("POST", "/api/dm/views", "asked", "asked"),
    ("GET", "/api/dm/views/4/", "view", "any"),
    ("PATCH", "/api/dm/views/4", "view", "any"),
    ("PUT", "/api/dm/views/4", "view", "any"),
    ("GET", "/api/dm/actions", "asked", "asked"),
    ("POST", "/api/dm/actions", "asked", "asked"),
    ("GET", "/api/tasks", "asked", "asked"),
    ("GET", "/api/tasks/9/", "shown", "any"),
    ("HEAD", "/api/tasks/9/", "shown", "any"),
    ("GET", "/api/tasks/9/agreement/", "no", "any"),
    ("GET", "/api/tasks/9/annotations/", "task", "any"),
    ("POST", "/api/tasks/9/annotations", "task", "task"),
    ("GET", "/api/tasks/9/drafts", "task", "any"),
    ("POST", "/api/tasks/9/drafts", "task", "task"),
    ("GET", "/api/tasks/9/annotations/5/drafts", "annotation", "any"),
    ("POST", "/api/tasks/9/annotations/5/drafts", "annotation", "annotation"),
    ("GET", "/api/annotations/5/", "annotation", "any"),
    ("PATCH", "/api/annotations/5/", "annotation", "any"),
    ("DELETE", "/api/annotations/5/", "annotation", "no"),
    ("POST", "/api/annotations/5/convert-to-draft", "annotation", "annotation"),
    ("GET", "/api/drafts/2/", "draft", "any"),
    ("PATCH", "/api/drafts/2/", "draft", "draft"),
    ("DELETE", "/api/drafts/2/", "draft", "draft"),
    ("GET", "/api/predictions", "no", "any"),
    ("GET", "/data/local-files/", "any", "any"),
]

REFUSED = [
    ("POST", "/api/projects"),
    ("PATCH", "/api/projects/7"),
    ("PUT", "/api/projects/7"),
    ("DELETE", "/api/projects/7"),
    ("DELETE", "/api/projects/7/tasks"),
    ("GET", "/api/projects/7/tasks"),
    ("POST", "/api/projects/7/import"),
    ("GET", "/api/projects/7/export"),
    ("POST", "/api/projects/7/exports"),
    ("GET", "/api/projects/7/exports/1/download"),
    ("POST", "/api/projects/7/validate"),
    ("GET", "/projects/7/settings/"),
    ("GET", "/projects/7/data/import"),
    ("GET", "/projects/7/data/export"),
    ("POST", "/api/tasks"),
    ("PATCH", "/api/tasks/9"),
    ("PUT", "/api/tasks/9"),
    ("DELETE", "/api/tasks/9"),
    ("PUT", "/api/annotations/5"),
    ("POST", "/api/predictions"),
    ("DELETE", "/api/predictions/1"),
    ("DELETE", "/api/dm/views/4"),
    ("DELETE", "/api/dm/views/reset"),
    ("POST", "/api/dm/views/order"),
    ("POST", "/api/users"),
    ("PATCH", "/api/users/3"),
    ("DELETE", "/api/users/3"),
    ("GET", "/api/current-user/token"),
    ("POST", "/api/current-user/reset-token/"),
    ("GET", "/api/token/"),
    ("POST", "/api/token/refresh/"),
    ("GET", "/api/jwt/settings"),
    ("GET", "/api/invite"),
    ("POST", "/api/invite/reset-token"),
    ("GET", "/user/signup/"),
    ("POST", "/user/signup/"),
    ("GET", "/user/account/"),
    ("GET", "/api/organizations"),
    ("PATCH", "/api/organizations/1"),
    ("DELETE", "/api/organizations/1/memberships/3"),
    ("GET", "/organization/"),
    ("GET", "/people/"),
    ("GET", "/api/storages/"),
    ("POST", "/api/storages/localfiles"),
    ("GET", "/api/storages/export/s3"),
    ("GET", "/api/webhooks/"),
    ("POST", "/api/webhooks/"),
    ("POST", "/api/ml"),
    ("DELETE", "/api/ml/1"),
    ("POST", "/api/ml/1/train"),
    ("GET", "/tasks/9/resolve/"),
    ("GET", "/projects/7/presign/"),
    ("GET", "/data/upload/7/a.png"),
    ("GET", "/admin/"),
    ("GET", "/django-rq/"),
    ("GET", "/docs/api/schema/json/"),
    ("GET", "/metrics/"),
    ("GET", "/trigger500/"),
    ("GET", "/api-auth/login/"),
    ("POST", "/api/labels/bulk"),
    ("GET", "/api/fsm/entities/task/9/history"),
    ("GET", "/api/session-policy/"),
    ("GET", "/api/import/file-upload/1"),
    ("GET", "/nothing"),
    # Label Studio finds these anywhere in an address.
    ("GET", "/x/health/"),
    ("GET", "/x/data/local-files/"),
    ("GET", "/api/projects/7/export/version/"),
    # Ways to write an allowed address that might be read as another one.
    ("GET", "//api/tasks/9"),
    ("GET", "/api/tasks/9//"),
    ("GET", "/api/tasks/9/../10"),
    ("GET", "/api/tasks/9;x"),
    ("GET", "/api/tasks/9\n"),
    ("GET", "/api/tasks/٩"),
    ("GET", "/api/tasks/-9"),
    ("GET", "/api/tasks/99999999999"),
    ("GET", "/API/tasks/9"),
    ("GET", "/api/tasks/9\x00"),
    ("GET", "/static/../api/projects"),
    ("GET", "/static/.env"),
    ("GET", "/static/a/.git/config"),
    ("GET", "/static//etc/passwd"),
    ("GET", "/static/%2e%2e/x"),
    ("GET", "/static/"),
    ("TRACE", "/api/version"),
    ("OPTIONS", "/api/tasks/9"),
]


@pytest.mark.parametrize(("method", "path"), PUBLIC)
def test_what_pages_are_made_of_is_for_everybody(method: str, path: str) -> None:
    found = match(method, path)
    assert found is not None
    assert found.route.public


@pytest.mark.parametrize(("method", "path", "annotator", "adjudicator"), FOR_ROLES)
def test_each_line_says_what_has_to_hold(method: str, path: str, annotator: str, adjudicator: str) -> None:
    found = match(method, path)
    assert found is not None
    assert not found.route.public
    assert (found.need("annotator"), found.need("adjudicator")) == (annotator, adjudicator)
    assert found.need("manager") == "any"


def test_no_line_of_the_table_is_left_out_here() -> None:
    tried = [match(one[0], one[1]) for one in [*PUBLIC, *FOR_ROLES]]
    lines = {found.route for found in tried if found is not None}
    names = {"/label-studio-frontend/{file}", "/dm/{file}", "/sw.js", "/sw-fallback.js", "/heidi-tips"}
    assert {route.path for route in TABLE if route not in lines} == names


@pytest.mark.parametrize(("method", "path"), REFUSED)
def test_what_is_not_in_the_table_is_refused(method: str, path: str) -> None:
    assert match(method, path) is None


def test_numbers_in_a_path_are_told_apart() -> None:
    found = match("POST", "/api/tasks/12/annotations/5/drafts/")
    assert found is not None
    assert found.ids == {"task": 12, "annotation": 5}


def test_a_path_is_sent_on_as_it_was_read() -> None:
    assert encoded("/api/tasks/9/?project=1#x%2e") == "/api/tasks/9/%3Fproject%3D1%23x%252e".replace(
        "%3D", "="
    )


def test_public_lines_give_nothing_but_files_and_the_login_page() -> None:
    for route in TABLE:
        if route.public:
            assert not route.path.startswith(("/api", "/projects", "/data"))
