"""Scripts and HTML in what people typed and generators wrote: shown as text, run nowhere in a browser."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from browser import needs_browser
from companion_client import companion_of
from guard_server import running_app

from synthscars.companion.app import create_app
from synthscars.companion.measures import Measures
from synthscars.companion.reconcile import Reconciler
from synthscars.jsonl import read_records
from synthscars.labelstudio.client import connect
from synthscars.labelstudio.credentials import load_credentials
from synthscars.labelstudio.interface import label_config
from synthscars.labelstudio.people import add_person, submit
from synthscars.labelstudio.project import Project, ensure_project, put_project
from synthscars.labelstudio.pull import pull
from synthscars.labelstudio.push import add_tasks, push
from synthscars.labelstudio.review import disputed, push_review
from synthscars.labelstudio.tasks import list_tasks
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Review
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.browser, pytest.mark.slow, needs_browser]

EVIL = (
    '<script>window.ran="script"</script><img src=x onerror="window.ran=\'image\'">'
    '<svg onload="window.ran=\'svg\'"></svg><iframe srcdoc="<script>parent.ran=1</script>"></iframe>'
    "<a href=\"javascript:window.ran='link'\">{{constructor.constructor('window.ran=1')()}}</a>"
)
BOX = (50.0, 50.0, 150.0, 50.0, 150.0, 150.0, 50.0, 150.0)
FAR = (250.0, 50.0, 350.0, 50.0, 350.0, 150.0, 250.0, 150.0)


def region(name: str, ring: tuple[float, ...]) -> Artifact:
    return Artifact(
        artifact_id=name,
        category="structure",
        subtype="deformed",
        polygons=(ring,),
        phrase=f"the hand {EVIL}",
        explanation=f"It has six fingers. {EVIL}",
    )


def opened(page: Any, address: str, selector: str) -> None:
    page.goto(address)
    page.wait_for_selector(selector, timeout=60_000)
    page.wait_for_timeout(2500)


def test_nothing_that_was_typed_or_generated_runs(
    served: tuple[Workspace, list[ImageRecord]], page: Any
) -> None:
    workspace, truth = served
    client = connect(workspace)
    project = ensure_project(client, workspace)
    push(client, project, workspace, Problems())
    record = truth[3]
    size = {"width": record.width, "height": record.height}
    task = next(task for task in list_tasks(client, project) if task.image_id == record.image_id)
    said = Review(rater_id="", status="annotated", content_type="human", scene=f"A person. {EVIL}")
    people = [add_person(workspace, client, f"{name}@scripts.example.org") for name in ("ida", "jon")]
    for person, artifacts in zip(people, ([region("a", BOX)], [region("b", FAR)]), strict=True):
        submit(person, task.id, said, artifacts, **size)
    pull(client, project, workspace, Problems())
    (whole,) = [one for one in read_records(workspace.latest_records()) if one.image_id == record.image_id]
    (found,) = disputed([whole], min_iou=0.5)
    reviewing = push_review(client, workspace, [found], Problems())
    review = Project(id=reviewing.project_id, title=reviewing.project)
    review_task = next(one for one in list_tasks(client, review) if one.image_id == record.image_id)
    # A generator's prompt, where the settings show it.
    platform = msgspec.structs.replace(workspace.settings.platform, show_prompt=True)
    shown = Workspace(workspace.root, msgspec.structs.replace(workspace.settings, platform=platform))
    config = label_config(load_taxonomy(), platform)
    prompts = put_project(client, shown, None, title=f"prompts {EVIL}"[:50], description="x", config=config)
    first = next(one for one in workspace.images() if one.image_id == record.image_id)
    assert first.generation is not None
    generation = msgspec.structs.replace(first.generation, prompt=f"a portrait {EVIL}", tool=EVIL)
    add_tasks(client, prompts, shown, [msgspec.structs.replace(first, generation=generation)], Problems())
    (prompt_task,) = list_tasks(client, prompts)

    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    pulls = Reconciler(workspace, 0, Measures())
    app = create_app(workspace, companion_of(), client.url, reconciler=pulls)
    owner = load_credentials(workspace.platform_dir).owner
    try:
        with running_app(app) as url:
            page.goto(f"{url}/user/login/")
            page.fill("input[name=email]", owner.email)
            page.fill("input[name=password]", owner.password)
            page.press("input[name=password]", "Enter")
            page.wait_for_load_state("networkidle")
            for address, selector in (
                ("/companion/dashboard", "#summary"),
                (f"/projects/{review.id}/data?task={review_task.id}", ".konvajs-content"),
                (f"/projects/{prompts.id}/data?task={prompt_task.id}", ".konvajs-content"),
                (f"/projects/{project.id}/data", "body"),
                ("/projects/", "body"),
            ):
                opened(page, f"{url}{address}", selector)
                if "task=" in address:
                    # It is there, as text.
                    assert page.get_by_text("window.ran=").count() >= 1, address
                    picture = page.locator(".konvajs-content").first.bounding_box()
                    place = (100 / record.width, 100 / record.height)
                    page.mouse.click(
                        picture["x"] + place[0] * picture["width"],
                        picture["y"] + place[1] * picture["height"],
                    )
                    page.wait_for_timeout(1000)
                assert page.evaluate("window.ran") is None, address
                assert page.locator("img[src=x], svg[onload], iframe[srcdoc]").count() == 0, address
                assert page.locator("a[href^='javascript:window']").count() == 0, address
        assert asked == []
    finally:
        for number in (review.id, prompts.id):
            client.delete(f"/api/projects/{number}/")
