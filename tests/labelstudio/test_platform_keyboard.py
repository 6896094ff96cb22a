"""The way through pictures with the keyboard, as docs/how-to/annotate.md tells it, on a real server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from browser import needs_browser

from synthscars.jsonl import read_records
from synthscars.labelstudio.client import Client, connect
from synthscars.labelstudio.people import Person, add_person
from synthscars.labelstudio.project import Project, ensure_project
from synthscars.labelstudio.pull import pull
from synthscars.labelstudio.push import push
from synthscars.labelstudio.validation import check_answer
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace

# Key of the category, of the subtype, of the confidence; corners in parts of the picture; texts.
REGIONS = (
    ("1", "q", "4", ((0.1, 0.1), (0.3, 0.1), (0.25, 0.3)), "the shadow", "It points towards the light."),
    ("2", "d", "5", ((0.5, 0.5), (0.7, 0.5), (0.7, 0.7), (0.5, 0.75)), "the hand", "It has six fingers."),
    ("3", "z", "6", ((0.1, 0.6), (0.3, 0.65), (0.2, 0.9)), "the wall", "A patch of it is purple."),
)

pytestmark = [
    pytest.mark.platform,
    pytest.mark.browser,
    pytest.mark.slow,
    needs_browser,
]


def log_in(page: Any, client: Client, person: Person) -> None:
    page.goto(f"{client.url}/user/login/")
    page.fill("input[name=email]", person.account.email)
    page.fill("input[name=password]", person.account.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_load_state("networkidle")


def open_stream(page: Any, client: Client, project: Project) -> None:
    """Label All Tasks: the guideline is shown first."""
    page.goto(f"{client.url}/projects/{project.id}/data?labeling=1")
    page.wait_for_selector(".konvajs-content")
    page.wait_for_selector(".pic-1-good")
    picture = page.locator(".pic-1-good").evaluate("each => getComputedStyle(each).backgroundImage")
    assert picture.startswith('url("data:image/webp;base64,')
    page.keyboard.press("Escape")
    page.wait_for_timeout(700)


def draw(page: Any, key: str, corners: tuple[tuple[float, float], ...]) -> None:
    picture = page.locator(".konvajs-content").first.bounding_box()
    page.keyboard.press(key)
    for x, y in (*corners, corners[0]):
        page.mouse.click(picture["x"] + x * picture["width"], picture["y"] + y * picture["height"])
        page.wait_for_timeout(150)


def describe(page: Any, subtype: str, confidence: str, phrase: str, explanation: str) -> None:
    """Keys alone, for the region that was drawn last."""
    page.keyboard.press("Alt+.")
    page.wait_for_timeout(300)
    page.keyboard.press(subtype)
    page.keyboard.press(confidence)
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    page.keyboard.insert_text(phrase)
    page.keyboard.press("Tab")
    page.wait_for_timeout(200)
    page.keyboard.insert_text(explanation)
    page.keyboard.press("Tab")
    page.wait_for_timeout(200)
    page.keyboard.press("Escape")
    page.wait_for_timeout(200)


def answered(page: Any, keys: str) -> dict[str, Any]:
    """Press keys that send the answer; the body that the page sent."""
    with page.expect_response(
        lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
    ) as submitted:
        page.keyboard.press(keys)
    assert submitted.value.status == 201
    body = submitted.value.request.post_data_json
    assert isinstance(body, dict)
    return body


def test_a_picture_is_answered_with_the_keyboard_and_another_skipped_with_a_reason(
    served: tuple[Workspace, list[ImageRecord]], page: Any
) -> None:
    workspace, _ = served
    client = connect(workspace)
    project = ensure_project(client, workspace)
    push(client, project, workspace, Problems())
    person = add_person(workspace, client, "dora@example.org")
    log_in(page, client, person)
    open_stream(page, client, project)
    for category, subtype, confidence, corners, phrase, explanation in REGIONS:
        draw(page, category, corners)
        # The newest region is the last one that is cycled to.
        for _ in range(REGIONS.index((category, subtype, confidence, corners, phrase, explanation))):
            page.keyboard.press("Alt+.")
        describe(page, subtype, confidence, phrase, explanation)
    page.keyboard.press("7")
    page.wait_for_timeout(200)
    page.keyboard.press("Alt+.")
    page.wait_for_timeout(300)
    if "SYNTHSCARS_SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SYNTHSCARS_SCREENSHOTS"]) / "keyboard.png")
    body = answered(page, "Control+Enter")
    assert check_answer(body, load_taxonomy()) == []

    page.wait_for_selector(".konvajs-content")
    page.wait_for_timeout(1500)
    page.keyboard.press("y")
    page.wait_for_timeout(300)
    if "SYNTHSCARS_SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SYNTHSCARS_SCREENSHOTS"]) / "skip.png")
    skipped = answered(page, "Control+Space")
    assert skipped["was_cancelled"] is True
    assert check_answer(skipped, load_taxonomy()) == []

    problems = Problems()
    pull(client, project, workspace, problems)
    mine = {
        review.status: (record, review)
        for record in read_records(workspace.latest_records())
        for review in record.reviews
        if review.rater_id == person.rater_id
    }
    record, review = mine["annotated"]
    assert review.content_type == "human"
    drawn = [one for one in record.artifacts if one.rater_id == person.rater_id]
    said = [
        (one.category, one.subtype, one.extra.get("confidence"), one.phrase, one.explanation) for one in drawn
    ]
    assert said == [
        ("physics", "optical_display", "certain", "the shadow", "It points towards the light."),
        ("structure", "incomplete_redundant", "likely", "the hand", "It has six fingers."),
        ("distortion", "color_texture", "unsure", "the wall", "A patch of it is purple."),
    ]
    _, skip = mine["skipped"]
    assert skip.extra["skip_reason"] == "damaged"
