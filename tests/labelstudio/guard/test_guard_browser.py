"""What an annotator sees who submits something unfinished through the guard, in a real browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from browser import needs_browser
from guard_server import running_guard
from guarded_people import Team

from synthscars.labelstudio.invites import create_invite, invite_link

CORNERS = ((0.2, 0.2), (0.6, 0.25), (0.55, 0.7), (0.25, 0.6))

pytestmark = [
    pytest.mark.platform,
    pytest.mark.browser,
    pytest.mark.slow,
    needs_browser,
]


def log_in(page: Any, url: str, email: str, password: str) -> None:
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_load_state("networkidle")


def submit(page: Any) -> Any:
    with page.expect_response(
        lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
    ) as submitted:
        page.click("[data-testid=bottombar-submit-button]")
    return submitted.value


def picture_taken(page: Any, name: str) -> None:
    if "SYNTHSCARS_SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SYNTHSCARS_SCREENSHOTS"]) / f"{name}.png")


def test_what_only_managers_may_do_is_offered_to_them_alone(team: Team, page: Any) -> None:
    with running_guard(team.workspace, team.owner.url) as url:
        for name, offered in (("oto", False), ("max", True)):
            page.context.clear_cookies()
            log_in(page, url, team.email(name), team.password(name))
            page.goto(f"{url}/projects/{team.projects['oto']}/data")
            page.get_by_text("Label All Tasks").first.wait_for()
            page.wait_for_timeout(1500)
            for text in ("Settings", "Import", "Export"):
                assert page.get_by_text(text, exact=True).first.is_visible() is offered, (name, text)


def test_an_unfinished_answer_is_refused_with_a_message_mended_and_submitted(team: Team, page: Any) -> None:
    failed: list[str] = []
    page.on(
        "response", lambda got: failed.append(f"{got.status} {got.url}") if got.status in (403, 500) else None
    )
    with running_guard(team.workspace, team.owner.url) as url:
        log_in(page, url, team.email("nia"), team.password("nia"))
        page.goto(f"{url}/projects/{team.projects['nia']}/data?labeling=1")
        page.wait_for_selector(".konvajs-content")
        page.wait_for_timeout(3000)
        page.keyboard.press("Escape")  # the instructions, where they are shown
        page.wait_for_timeout(1000)
        picture = page.locator(".konvajs-content").first.bounding_box()

        def place(x: float, y: float) -> tuple[float, float]:
            return picture["x"] + x * picture["width"], picture["y"] + y * picture["height"]

        page.keyboard.press("2")
        for corner in (*CORNERS, CORNERS[0]):
            page.mouse.click(*place(*corner))
            page.wait_for_timeout(300)
        inputs = page.locator("[data-testid=textarea-region-input]")
        for number, text in enumerate(("the left hand", "asdf")):
            inputs.nth(number).click()
            page.keyboard.insert_text(text)
            page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        page.mouse.click(*place(0.4, 0.45))
        page.wait_for_timeout(500)
        page.keyboard.press("d")
        # What the editor itself warns of is closed with the keyboard as well.
        page.keyboard.press("Control+Enter")
        warning = page.locator(".ant-modal-confirm")
        warning.get_by_text("Say what the picture is about").wait_for()
        page.wait_for_timeout(500)
        page.keyboard.press("Enter")
        warning.wait_for(state="detached")
        page.keyboard.press("7")
        page.wait_for_timeout(500)

        assert submit(page).status == 400
        message = page.locator("#synthscars-refused")
        message.wait_for()
        assert "region 1 (structure: the left hand)" in message.inner_text()
        assert "asdf" in message.inner_text()
        assert "says nothing" in message.inner_text()
        picture_taken(page, "refused")
        task = page.evaluate("new URL(location).searchParams.get('task')") or None
        drafts = [
            draft
            for number in team.tasks["nia"]
            for draft in team.owner.request("GET", f"/api/tasks/{number}/drafts")
        ]
        assert [draft["user"] for draft in drafts] == [team.email("nia")], task
        page.keyboard.press("Enter")
        message.wait_for(state="detached")

        page.mouse.click(*place(0.4, 0.45))
        page.wait_for_timeout(500)
        page.get_by_text("asdf", exact=True).last.dblclick()
        page.keyboard.press("End")
        page.keyboard.insert_text(": it has six fingers")
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        page.wait_for_timeout(500)
        made = submit(page)
        assert made.status == 201
        page.wait_for_timeout(1500)
        assert not page.locator("#synthscars-refused").count()
        texts = [one["value"]["text"] for one in made.json()["result"] if one["from_name"] == "explanation"]
        assert texts == [["asdf: it has six fingers"]]
        assert team.owner.request("GET", f"/api/tasks/{made.json()['task']}/drafts") == []

        # Another's task by its address: a page that says so.
        other = f"{url}/projects/{team.projects['oto']}/data?task={team.tasks['oto'][0]}"
        assert failed == []
        assert page.goto(other).status == 403
        assert "not in your queue" in page.inner_text("body")
        picture_taken(page, "not-yours")


def test_an_invited_person_makes_an_account_and_draws(team: Team, page: Any) -> None:
    with running_guard(team.workspace, team.owner.url) as url:
        _, token = create_invite(team.workspace, "uma@guard.example.org", "annotator")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(invite_link(team.workspace, token, url))
        assert not page.locator("#code").is_visible()
        picture_taken(page, "invite")
        page.fill("#password", "not the same")
        page.fill("#again", "as this one")
        page.click("button")
        assert "not the same" in page.inner_text("[role=alert]")
        page.fill("#password", "a long password")
        page.fill("#again", "a long password")
        page.click("button")
        assert "uma@guard.example.org" in page.inner_text("body")
        page.click("text=Log in")
        log_in(page, url, "uma@guard.example.org", "a long password")
        page.goto(f"{url}/projects/")
        page.wait_for_load_state("networkidle")
        picture_taken(page, "no-projects")
        assert page.url.endswith("/projects/")
        assert not [address for address in asked if token in address.partition("#")[0]]
