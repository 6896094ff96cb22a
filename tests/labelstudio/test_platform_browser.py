"""What a person does: log in, draw, type, submit, in a real browser on a real server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from browser import needs_browser

from synthscars.converters.labelstudio_shapes import brush_mask
from synthscars.geometry import to_mask
from synthscars.jsonl import read_records
from synthscars.labelstudio.client import connect
from synthscars.labelstudio.interface import label_config
from synthscars.labelstudio.people import add_person
from synthscars.labelstudio.project import ensure_project, put_project
from synthscars.labelstudio.pull import pull
from synthscars.labelstudio.push import add_tasks, push
from synthscars.labelstudio.tasks import list_tasks
from synthscars.labelstudio.validation import check_answer
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.settings import PlatformSettings
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace

CORNERS = ((0.2, 0.2), (0.6, 0.25), (0.55, 0.7), (0.25, 0.6))

pytestmark = [
    pytest.mark.platform,
    pytest.mark.browser,
    pytest.mark.slow,
    needs_browser,
]


def test_what_a_person_draws_and_types_in_the_browser_is_pulled(
    served: tuple[Workspace, list[ImageRecord]], page: Any
) -> None:
    workspace, truth = served
    record = truth[4]
    client = connect(workspace)
    project = ensure_project(client, workspace)
    push(client, project, workspace, Problems())
    task = next(task for task in list_tasks(client, project) if task.image_id == record.image_id)
    person = add_person(workspace, client, "cleo@example.org")

    page.goto(f"{client.url}/user/login/")
    page.fill("input[name=email]", person.account.email)
    page.fill("input[name=password]", person.account.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_load_state("networkidle")
    page.goto(f"{client.url}/projects/{project.id}/data?task={task.id}")
    page.wait_for_selector(".konvajs-content")
    page.wait_for_timeout(1000)
    picture = page.locator(".konvajs-content").first.bounding_box()
    page.keyboard.press("2")
    for x, y in (*CORNERS, CORNERS[0]):
        page.mouse.click(picture["x"] + x * picture["width"], picture["y"] + y * picture["height"])
        page.wait_for_timeout(200)
    inputs = page.locator("[data-testid=textarea-region-input]")
    inputs.nth(0).click()
    page.keyboard.insert_text("the left “hand” 🖐")
    page.keyboard.press("Enter")
    inputs.nth(1).click()
    page.keyboard.insert_text("It has six fingers; اليد.")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    # Choosing the subtype needs the region selected: the list does not do that.
    page.mouse.click(picture["x"] + 0.4 * picture["width"], picture["y"] + 0.45 * picture["height"])
    page.wait_for_timeout(500)
    assert page.get_by_text("Incomplete or redundant").is_visible()
    assert not page.get_by_text("Artistic style").is_visible()  # belongs to another category
    page.keyboard.press("d")
    page.keyboard.press("7")
    page.wait_for_timeout(300)
    if "SYNTHSCARS_SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SYNTHSCARS_SCREENSHOTS"]) / "labeling.png")
    with page.expect_response(
        lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
    ) as submitted:
        page.click("[data-testid=bottombar-submit-button]")
    assert submitted.value.status == 201

    problems = Problems()
    pull(client, project, workspace, problems)
    (found,) = [one for one in read_records(workspace.latest_records()) if one.image_id == record.image_id]
    (artifact,) = [one for one in found.artifacts if one.rater_id == person.rater_id]
    assert (artifact.phrase, artifact.explanation) == ("the left “hand” 🖐", "It has six fingers; اليد.")
    assert (artifact.category, artifact.subtype) == ("structure", "incomplete_redundant")
    (review,) = [one for one in found.reviews if one.rater_id == person.rater_id]
    assert (review.status, review.content_type) == ("annotated", "human")
    expected = [
        side * part
        for corner in CORNERS
        for side, part in zip((found.width, found.height), corner, strict=True)
    ]
    # A click hits whole pixels of the screen.
    assert artifact.polygons[0] == pytest.approx(expected, abs=2 * found.width / picture["width"])
    # Other tests on this server take their answers to the image away.
    others = ("answer.deleted", "answer.edited")
    assert not [each for each in problems if each.image == record.image_id and each.code not in others]


def test_what_brush_and_magic_wand_cover_becomes_outlines(
    served: tuple[Workspace, list[ImageRecord]], page: Any
) -> None:
    workspace, truth = served
    record = truth[3]
    client = connect(workspace)
    settings = PlatformSettings(shapes=("polygon", "brush", "magicwand"))
    config = label_config(load_taxonomy(), settings)
    project = put_project(client, workspace, None, title="shapes", description="shapes", config=config)
    add_tasks(client, project, workspace, [record], Problems())
    (task,) = list_tasks(client, project)
    person = add_person(workspace, client, "edda@example.org")

    page.goto(f"{client.url}/user/login/")
    page.fill("input[name=email]", person.account.email)
    page.fill("input[name=password]", person.account.password)
    page.press("input[name=password]", "Enter")
    page.wait_for_load_state("networkidle")
    page.goto(f"{client.url}/projects/{project.id}/data?task={task.id}")
    page.wait_for_selector(".konvajs-content")
    page.wait_for_timeout(1000)
    picture = page.locator(".konvajs-content").first.bounding_box()

    def drag(*places: tuple[float, float]) -> None:
        at = [(picture["x"] + x * picture["width"], picture["y"] + y * picture["height"]) for x, y in places]
        page.mouse.move(*at[0])
        page.mouse.down()
        for each in at[1:]:
            page.mouse.move(*each, steps=8)
        page.mouse.up()
        page.wait_for_timeout(1000)

    for key, tool, places in (
        ("2", "brush-tool", ((0.2, 0.3), (0.4, 0.3), (0.4, 0.5))),
        ("3", "magicwand", ((0.7, 0.3), (0.74, 0.34))),
    ):
        page.keyboard.press(key)
        page.click(f"[aria-label={tool}]")
        drag(*places)
        for field, text in (("Where", f"the {tool}"), ("Why it is impossible", "It has six fingers.")):
            page.get_by_placeholder(field).first.click()
            page.keyboard.insert_text(text)
            page.keyboard.press("Enter")
            page.wait_for_timeout(200)
        page.keyboard.press("Escape")
        page.wait_for_timeout(300)
    page.keyboard.press("7")
    page.wait_for_timeout(300)
    with page.expect_response(
        lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
    ) as submitted:
        page.click("[data-testid=bottombar-submit-button]")
    assert submitted.value.status == 201
    assert check_answer(submitted.value.request.post_data_json, load_taxonomy()) == []

    problems = Problems()
    pull(client, project, workspace, problems)
    (found,) = [one for one in read_records(workspace.latest_records()) if one.image_id == record.image_id]
    brush, wand = [one for one in found.artifacts if one.rater_id == person.rater_id]
    assert (brush.category, brush.phrase) == ("structure", "the brush-tool")
    assert (wand.category, wand.phrase) == ("distortion", "the magicwand")
    for artifact in (brush, wand):
        drawn = brush_mask(artifact.extra["item"]["value"], found.width, found.height)
        assert not isinstance(drawn, str)
        outlined = to_mask(artifact.polygons, found.width, found.height)
        assert (drawn & outlined).sum() / (drawn | outlined).sum() > 0.99
    # Where the brush went is covered, and what it went around is not; where the wand was put is covered.
    for artifact, inside, outside in (
        (brush, ((0.21, 0.3), (0.39, 0.3), (0.4, 0.49)), ((0.25, 0.45),)),
        (wand, ((0.7, 0.3),), ()),
    ):
        mask = to_mask(artifact.polygons, found.width, found.height)
        for places, covered in ((inside, True), (outside, False)):
            for x, y in places:
                assert bool(mask[int(y * found.height), int(x * found.width)]) is covered
    assert not [each for each in problems if each.image == record.image_id and each.region]
