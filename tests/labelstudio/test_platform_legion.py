"""The served model, connected to a real Label Studio as its own page connects it, and seen in a browser."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import browser, needs_browser
from saturated import EXPLANATION, PHRASE, SaturatedBlob

from synthscars.converters.labelstudio import read, task_data
from synthscars.labelstudio.client import Client, connect
from synthscars.labelstudio.companion_file import HOOK_HOST
from synthscars.labelstudio.credentials import load_credentials
from synthscars.labelstudio.interface import label_config
from synthscars.labelstudio.project import Project, ensure_project
from synthscars.legion.serving import create_app
from synthscars.legion.task_images import FindImage, FromLabelStudio, from_workspace
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.services.sockets import listen
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace

TOKEN = "a-token-of-the-tests"

pytestmark = [
    pytest.mark.platform,
    pytest.mark.browser,
    pytest.mark.slow,
    needs_browser,
]


@contextmanager
def serving(images: list[FindImage]) -> Iterator[str]:
    """The service in a thread; gives its address."""
    uvicorn = pytest.importorskip("uvicorn")
    app = create_app(SaturatedBlob(), images, token=TOKEN)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    with listen(HOOK_HOST, 0) as at:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [at]})
        thread.start()
        try:
            yield f"http://{HOOK_HOST}:{at.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)


@contextmanager
def connected(client: Client, project: Project, url: str) -> Iterator[dict[str, Any]]:
    """The model connected to the project, as under Settings, Model."""
    body = {
        "project": project.id,
        "url": url,
        "title": "legion",
        "auth_method": "BASIC_AUTH",
        "basic_auth_user": "label-studio",
        "basic_auth_pass": TOKEN,
    }
    model = client.request("POST", "/api/ml/", json=body)
    try:
        yield model
    finally:
        client.request("DELETE", f"/api/ml/{model['id']}")


@pytest.fixture
def project(served: tuple[Workspace, list[ImageRecord]]) -> Iterator[tuple[Client, Project]]:
    """A project beside the other tests', with the same interface; the storage of theirs serves both."""
    workspace, _ = served
    client = connect(workspace)
    ensure_project(client, workspace)
    wanted = {"label_config": label_config(load_taxonomy()), "show_collab_predictions": True}
    made = client.request("POST", "/api/projects/", json={"title": "with a model", **wanted})
    try:
        yield client, Project(id=made["id"], title=made["title"])
    finally:
        client.request("DELETE", f"/api/projects/{made['id']}/")


def predictions(client: Client, task_id: int) -> list[dict[str, Any]]:
    """The predictions that a task has. Label Studio asks the model for those of a task that is opened."""
    found: list[dict[str, Any]] = client.request("GET", f"/api/predictions/?task={task_id}")
    return found


def test_experts_find_the_models_regions_with_texts_to_edit(
    served: tuple[Workspace, list[ImageRecord]], project: tuple[Client, Project]
) -> None:
    workspace, truth = served
    client, where = project
    # Of Label Studio itself, whatever stands before it.
    found = [workspace.find_image(record.image_id) for record in truth[:2]]
    urls = [
        f"/data/local-files/?d=images/{path.relative_to(workspace.images_dir).as_posix()}"
        for path in found
        if path is not None
    ]
    assert len(urls) == 2
    # Pushed by us; from elsewhere, without our id; and one that asks for what is no image of theirs.
    data = [task_data(truth[0], urls[0]), {"image": urls[1]}, {"image": "/api/current-user/whoami"}]
    body = [{"data": one} for one in data]
    client.request("POST", f"/api/projects/{where.id}/import", json=body)
    tasks = sorted(client.pages("/api/tasks/", project=where.id, page_size=10), key=lambda one: one["id"])
    pushed, foreign, bad = (one["id"] for one in tasks)
    owner = load_credentials(workspace.platform_dir).owner
    images = [from_workspace(workspace), FromLabelStudio(client.url, owner.token)]

    with serving(images) as url, connected(client, where, url) as model:
        assert (model["readable_state"], model["model_version"]) == ("Connected", SaturatedBlob.name)
        everything = {"selectedItems": {"all": True, "excluded": []}}
        action = {"id": "retrieve_tasks_predictions", "project": where.id}
        client.request("POST", "/api/dm/actions/", params=action, json=everything)
        for task_id in (pushed, foreign):
            (found,) = predictions(client, task_id)
            assert found["model_version"] == SaturatedBlob.name
            assert found["score"] == pytest.approx(found["result"][0]["score"])
        # None, which is not an empty one: the model has not said that there is nothing to see.
        assert predictions(client, bad) == []

        with browser() as running:
            page = running.new_page(viewport={"width": 1440, "height": 900})
            correct(page, client.url, owner.email, owner.password, where.id, pushed)

    task = client.request("GET", f"/api/tasks/{pushed}")
    (record,) = read([task], Problems())
    (artifact,) = record.artifacts
    assert (artifact.phrase, artifact.explanation) == (PHRASE, "Corrected: no cloth is as bright.")
    assert (artifact.category, artifact.subtype) == ("distortion", "color_texture")
    (review,) = record.reviews
    assert (review.scene, review.content_type) == ("A picture", "human")
    # That the outline is the model's and the rater let it stand can be told later.
    assert artifact.extra["origin"] == "prediction"


def correct(page: Any, url: str, email: str, password: str, project: int, task: int) -> None:
    """What an expert does: opens the task, finds the model's region, rewrites its explanation, submits."""
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_load_state("networkidle")
    page.goto(f"{url}/projects/{project}/data?task={task}")
    page.wait_for_selector(".konvajs-content")
    page.wait_for_timeout(1000)
    assert page.locator("[data-testid=textarea-region-input]").input_value() == PHRASE
    explanation = page.locator("[data-testid=textarea-region-textarea]")
    assert explanation.input_value() == EXPLANATION
    explanation.fill("Corrected: no cloth is as bright.")
    page.locator("[data-testid=textarea-region-input]").click()  # leaving the field ends the text
    page.keyboard.press("Escape")
    page.locator(".lsf-choice", has_text="Human").click()
    if "SYNTHSCARS_SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SYNTHSCARS_SCREENSHOTS"]) / "preannotated.png")
    with page.expect_response(
        lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
    ) as submitted:
        page.click("[data-testid=bottombar-submit-button]")
    assert submitted.value.status == 201
