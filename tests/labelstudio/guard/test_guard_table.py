"""Every route tried with every role on a real Label Studio, and compared with the page that tells it.

    SYNTHSCARS_WRITE_ROUTES=1 python -m pytest tests/labelstudio/guard/test_guard_table.py

writes the page anew.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing

import httpx
import pytest
from guard_server import log_in, running_guard
from guarded_people import drawn, team_at_work
from route_tries import TRIES, bodies, table, write_table, written_table

from synthscars.records import ImageRecord
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.slow]

# Who asks, as which of the team.
COLUMNS = {"nobody": "", "annotator": "nia", "adjudicator": "pia", "manager": "max"}


def test_every_route_answers_each_role_as_the_page_says(
    served: tuple[Workspace, list[ImageRecord]],
) -> None:
    workspace, images = served
    with ExitStack() as stack:
        team = stack.enter_context(team_at_work(workspace, images, "table.example.org"))
        url = stack.enter_context(running_guard(workspace, team.owner.url))
        visitor = httpx.Client(base_url=url, headers={"Origin": url}, trust_env=False, timeout=60)
        sessions = {"": stack.enter_context(closing(visitor))}
        for name in team.people:
            sessions[name] = stack.enter_context(closing(log_in(url, team.email(name), team.password(name))))
        oto, other = sessions["oto"], team.tasks["oto"][0]
        answer = oto.post(f"/api/tasks/{other}/annotations", json=drawn("the secret of oto")).json()
        draft = oto.post(f"/api/tasks/{other}/drafts", json={"result": drawn("secret too")["result"]}).json()
        own = team.tasks["nia"][0]
        mine = sessions["nia"].post(f"/api/tasks/{own}/annotations", json=drawn()).json()
        names = {
            "own_project": team.projects["nia"],
            "other_project": team.projects["oto"],
            "own_task": own,
            "other_task": other,
            "own_annotation": mine["id"],
            "other_annotation": answer["id"],
            "other_draft": draft["id"],
            "other_user": team.people["oto"].id,
            "none": 987654321,
            "image": team.owner.request("GET", f"/api/tasks/{own}/")["data"]["image"].partition("?d=")[2],
        }
        sent = bodies(drawn(), drawn(explanation=""))
        rows = []
        for method, address, body in TRIES:
            statuses = []
            for who in COLUMNS.values():
                got = sessions[who].request(method, address.format(**names), json=sent[body])
                statuses.append(got.status_code)
                if who in ("", "nia"):
                    assert "secret" not in got.text, (method, address, who)
                    assert got.status_code < 500, (method, address, who)
            rows.append((method, address, body, statuses))
        if os.environ.get("SYNTHSCARS_WRITE_ROUTES"):
            write_table(table(list(COLUMNS), rows))
        assert table(list(COLUMNS), rows) == written_table()
