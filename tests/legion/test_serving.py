"""The service, asked as Label Studio asks it, and as nobody should."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from releasing import noise_png, sample_record
from saturated import EXPLANATION, PHRASE, SaturatedBlob

from synthscars.images import sha256
from synthscars.legion import task_images
from synthscars.legion.serving import MAX_TASKS, create_app
from synthscars.legion.task_images import from_workspace
from synthscars.predictions import Prediction
from synthscars.records import ImageRecord
from synthscars.services.sockets import listen
from synthscars.workspace import Workspace

testclient = pytest.importorskip("starlette.testclient")

SECRET = "s3cret-token-of-somebody"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "scars")


@pytest.fixture
def truth(workspace: Workspace) -> list[ImageRecord]:
    """Three images that are in the workspace."""
    pictures = [noise_png(seed, 96, 64) for seed in range(3)]
    for picture in pictures:
        workspace.add_image(picture, sha256(picture), ".png")
    records = [sample_record(seed, picture, 96, 64) for seed, picture in enumerate(pictures)]
    workspace.append_index(records)
    return records


@pytest.fixture
def model() -> SaturatedBlob:
    return SaturatedBlob()


@pytest.fixture
def client(workspace: Workspace, model: SaturatedBlob) -> Any:
    return testclient.TestClient(create_app(model, [from_workspace(workspace)], batch_size=2))


def task(image_id: object, number: int = 1, **data: object) -> dict[str, Any]:
    return {"id": number, "data": {"image_id": image_id, **data}, "project": 1}


def predict(client: Any, *tasks: object) -> list[Any]:
    answer = client.post("/predict", json={"tasks": list(tasks), "project": "1.17", "params": {}})
    assert answer.status_code == 200, answer.text
    results: list[Any] = answer.json()["results"]
    assert len(results) == len(tasks)
    return results


class TestTheProtocol:
    def test_health_and_setup_name_the_model(self, client: Any, model: SaturatedBlob) -> None:
        assert client.get("/health").json() == {"status": "UP", "model_version": model.name}
        assert client.get("/").json()["status"] == "UP"
        body = {"project": "1.17", "schema": "", "hostname": "http://x", "access_token": SECRET}
        assert client.post("/setup", json=body).json() == {"model_version": model.name}
        assert client.post("/webhook", json={"action": "ANNOTATION_CREATED"}).status_code == 200

    def test_a_task_gets_outline_category_and_texts_under_one_region_id(
        self, client: Any, truth: list[ImageRecord], model: SaturatedBlob
    ) -> None:
        (result,) = predict(client, task(truth[0].image_id))
        assert result["model_version"] == model.name
        assert 0 <= result["score"] <= 1
        region, *_ = result["result"]
        own = [item for item in result["result"] if item["id"] == region["id"]]
        texts = {item["from_name"]: item["value"].get("text") for item in own}
        assert texts["phrase"] == [PHRASE]
        assert texts["explanation"] == [EXPLANATION]
        assert region["value"]["polygonlabels"] == ["distortion"]
        assert (region["original_width"], region["original_height"]) == (truth[0].width, truth[0].height)

    def test_asked_twice_it_answers_the_same(self, client: Any, truth: list[ImageRecord]) -> None:
        assert predict(client, task(truth[1].image_id)) == predict(client, task(truth[1].image_id))

    def test_the_images_of_a_request_go_through_the_model_in_batches(
        self, client: Any, truth: list[ImageRecord], model: SaturatedBlob
    ) -> None:
        predict(client, *(task(record.image_id, number) for number, record in enumerate(truth)))
        assert model.calls == [2, 1]

    def test_no_tasks_get_no_results(self, client: Any) -> None:
        assert predict(client) == []

    def test_an_interface_without_our_controls_is_refused_when_it_is_connected(self, client: Any) -> None:
        ours = '<View><PolygonLabels name="category" toName="image"/></View>'
        assert client.post("/setup", json={"schema": ours}).status_code == 200
        other = client.post("/setup", json={"schema": '<View><Choices name="mood" toName="t"/></View>'})
        assert other.status_code == 400
        assert "category" in other.json()["error"]

    def test_it_can_be_mounted_into_another_application(
        self, workspace: Workspace, truth: list[ImageRecord], model: SaturatedBlob
    ) -> None:
        from starlette.applications import Starlette
        from starlette.routing import Mount

        app = create_app(model, [from_workspace(workspace)])
        outer = testclient.TestClient(Starlette(routes=[Mount("/legion", app)]))
        assert outer.get("/legion/health").status_code == 200
        answer = outer.post("/legion/predict", json={"tasks": [task(truth[0].image_id)]})
        assert len(answer.json()["results"]) == 1


class TestOneBadTask:
    """It gets no prediction, which is not the same as an empty one, and the others get theirs."""

    @pytest.mark.parametrize(
        "bad",
        [
            task("f" * 64),
            task("../../synthscars.toml"),
            task(None),
            task(["x"]),
            {"id": 3},
            {"id": 3, "data": None},
            "nonsense",
            None,
            task("", image="file:///etc/passwd"),
            task("", image="http://169.254.169.254/latest/meta-data"),
        ],
    )
    def test_has_no_result(self, client: Any, truth: list[ImageRecord], bad: object) -> None:
        before, failed, after = predict(client, task(truth[0].image_id), bad, task(truth[1].image_id))
        assert failed == []
        assert before["result"]
        assert after["result"]

    def test_nor_has_one_whose_image_is_damaged(
        self, client: Any, workspace: Workspace, truth: list[ImageRecord], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        path = workspace.find_image(truth[0].image_id)
        assert path is not None
        path.write_bytes(path.read_bytes()[:300])
        failed, fine = predict(client, task(truth[0].image_id, 41), task(truth[1].image_id, 42))
        assert failed == []
        assert fine["result"]
        (said,) = [json.loads(line) for line in caplog.messages if "task.failed" in line]
        assert said["task"] == 41
        assert "image.damaged" in said["why"]

    def test_nor_has_one_that_the_model_cannot_take(
        self,
        client: Any,
        truth: list[ImageRecord],
        model: SaturatedBlob,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        real = model._one

        def fails(image: Image.Image, image_id: str) -> Prediction:
            if image_id == truth[0].image_id:
                raise RuntimeError("no")
            return real(image, image_id)

        monkeypatch.setattr(model, "_one", fails)
        failed, fine = predict(client, task(truth[0].image_id), task(truth[1].image_id))
        assert failed == []
        assert fine["result"]

    def test_nor_has_one_whose_file_is_too_large(
        self, client: Any, truth: list[ImageRecord], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(task_images, "MAX_BYTES", 100)
        assert predict(client, task(truth[0].image_id)) == [[]]


class TestRequestsThatMakeNoSense:
    @pytest.mark.parametrize(
        ("content", "kind", "status"),
        [
            (b"{", "application/json", 400),
            (b"[]", "application/json", 400),
            (b"\xff", "application/json", 400),
            (b"[" * 100_000, "application/json", 400),
            (b"{}", "application/json", 400),
            (b'{"tasks": "all"}', "application/json", 400),
            (b'{"tasks": []}', "text/plain", 415),
            (b'{"tasks": []}', "", 415),
        ],
    )
    def test_are_refused_with_a_reason(self, client: Any, content: bytes, kind: str, status: int) -> None:
        answer = client.post("/predict", content=content, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert answer.json()["error"]

    def test_also_those_that_are_too_large(self, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        many = client.post("/predict", json={"tasks": [{}] * (MAX_TASKS + 1)})
        assert many.status_code == 413
        monkeypatch.setattr("synthscars.legion.serving.MAX_BODY", 100)
        large = client.post("/predict", json={"tasks": ["x" * 200]})
        assert large.status_code == 413

    def test_also_by_a_name_that_is_not_its_own(self, model: SaturatedBlob) -> None:
        app = create_app(model, [], hosts=("127.0.0.1", "localhost"))
        mine = testclient.TestClient(app, base_url="http://localhost:9090")
        assert mine.get("/health").status_code == 200
        rebound = testclient.TestClient(app, base_url="http://evil.example.org:9090")
        assert rebound.post("/predict", json={"tasks": []}).status_code == 400


class TestTheToken:
    @pytest.fixture
    def guarded(self, model: SaturatedBlob) -> Any:
        return testclient.TestClient(create_app(model, [], token="tökén"))

    def test_is_asked_for_everywhere_but_for_health(self, guarded: Any) -> None:
        for path in ("/predict", "/setup", "/webhook"):
            answer = guarded.post(path, json={"tasks": []})
            assert answer.status_code == 401
            assert "Basic" in answer.headers["www-authenticate"]
        assert guarded.get("/health").status_code == 200

    @pytest.mark.parametrize("user", ["", "anybody"])
    def test_is_a_bearer_token_or_the_password_of_anybody(self, guarded: Any, user: str) -> None:
        basic = base64.b64encode(f"{user}:tökén".encode()).decode()
        for given in ("Bearer tökén".encode(), f"Basic {basic}"):
            answer = guarded.post("/predict", json={"tasks": []}, headers={"Authorization": given})
            assert answer.status_code == 200, given

    @pytest.mark.parametrize("given", ["", "Bearer", "Bearer x", "Basic x", "Basic eDp5", "Token tökén", "ü"])
    def test_nothing_else_will_do(self, guarded: Any, given: str) -> None:
        headers = {"Authorization": given.encode()}
        assert guarded.post("/predict", json={"tasks": []}, headers=headers).status_code == 401


def test_what_label_studio_tells_in_confidence_is_in_no_log(
    workspace: Workspace, model: SaturatedBlob, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = testclient.TestClient(create_app(model, [from_workspace(workspace)], token=SECRET + "1"))
    headers = {"Authorization": f"Bearer {SECRET}1"}
    client.post("/setup", json={"access_token": SECRET, "schema": SECRET}, headers=headers)
    client.post("/setup", json={"access_token": SECRET, "schema": "<View/>"}, headers=headers)
    client.post("/predict", json={"tasks": [task(SECRET, image=SECRET)]}, headers=headers)
    client.post("/predict", json={"params": {"password": SECRET}}, headers={"Authorization": SECRET})
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("synthscars")]
    assert len(ours) >= 4
    assert SECRET not in "\n".join(ours)


class _Slow(SaturatedBlob):
    """Works until it is let go, and notices if it is used twice at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.at_work = threading.Semaphore(0)
        self.go = threading.Event()
        self.users = 0
        self.most = 0

    def predict(
        self, images: Sequence[Image.Image], image_ids: Sequence[str], *, batch_size: int = 8
    ) -> list[Prediction]:
        self.users += 1
        self.most = max(self.most, self.users)
        self.at_work.release()
        assert self.go.wait(30)
        self.users -= 1
        return super().predict(images, image_ids, batch_size=batch_size)


def test_the_model_does_one_thing_at_a_time_and_health_answers_meanwhile(
    workspace: Workspace, truth: list[ImageRecord]
) -> None:
    model = _Slow()
    with testclient.TestClient(create_app(model, [from_workspace(workspace)])) as client:
        answers: list[list[Any]] = []
        threads = [
            threading.Thread(
                target=lambda record=record: answers.append(predict(client, task(record.image_id)))
            )
            for record in truth
        ]
        for thread in threads:
            thread.start()
        assert model.at_work.acquire(timeout=30)
        assert client.get("/health").status_code == 200
        assert not answers
        model.go.set()
        for thread in threads:
            thread.join(30)
    assert len(answers) == 3
    assert model.most == 1


def test_when_the_asker_gives_up_the_model_stops_and_what_is_done_is_not_done_again(
    workspace: Workspace, truth: list[ImageRecord]
) -> None:
    uvicorn = pytest.importorskip("uvicorn")
    model = _Slow()
    app = create_app(model, [from_workspace(workspace)], batch_size=1)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    body = {"tasks": [task(record.image_id) for record in truth]}
    with listen("127.0.0.1", 0) as at:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [at]})
        thread.start()
        try:
            url = f"http://127.0.0.1:{at.getsockname()[1]}"
            with httpx.Client(base_url=url, trust_env=False) as client:
                _until_healthy(client)
                with pytest.raises(httpx.ReadTimeout):
                    client.post("/predict", json=body, timeout=0.5)
                assert model.at_work.acquire(timeout=30)
                # When this is answered, the server has seen that the other connection was closed before.
                client.get("/health").raise_for_status()
                model.go.set()
                while not model.calls:
                    client.get("/health")
                client.get("/health").raise_for_status()
                assert model.calls == [1]
                again = client.post("/predict", json=body, timeout=30)
                assert [bool(one["result"]) for one in again.json()["results"]] == [True] * 3
                assert model.calls == [1, 1, 1]
        finally:
            model.go.set()
            server.should_exit = True
            thread.join(30)


def test_only_so_many_answers_are_remembered(
    client: Any, truth: list[ImageRecord], model: SaturatedBlob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthscars.legion.serving.MAX_ANSWERS", 2)
    for record in truth:
        predict(client, task(record.image_id))
    predict(client, task(truth[2].image_id))
    assert model.calls == [1, 1, 1]
    predict(client, task(truth[0].image_id))
    assert model.calls == [1, 1, 1, 1]


def test_more_requests_than_it_can_keep_are_told_to_come_again(
    workspace: Workspace, truth: list[ImageRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthscars.legion.serving.MAX_REQUESTS", 1)
    model = _Slow()
    with testclient.TestClient(create_app(model, [from_workspace(workspace)])) as client:
        first = threading.Thread(target=predict, args=(client, task(truth[0].image_id)))
        first.start()
        assert model.at_work.acquire(timeout=30)
        second = client.post("/predict", json={"tasks": []})
        assert (second.status_code, second.headers["retry-after"]) == (503, "10")
        model.go.set()
        first.join(30)
        assert client.post("/predict", json={"tasks": []}).status_code == 200


SERVE = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from saturated import SaturatedBlob
import synthscars.cli.legion_model as cli

class Slow(SaturatedBlob):
    def predict(self, *arguments, **options):
        import time
        print("at work", file=sys.stderr, flush=True)
        time.sleep(1)
        return super().predict(*arguments, **options)

cli.load_predictor = lambda checkpoint, device: Slow()
from synthscars.cli import main
main(["legion", "serve", "model", "--port", "0", "--workspace", sys.argv[1]])
"""


def test_ended_by_sigterm_it_finishes_what_it_was_asked(
    workspace: Workspace, truth: list[ImageRecord]
) -> None:
    support = Path(__file__).parents[1] / "support"
    environment = {**os.environ, "SYNTHSCARS_SERVE_TOKEN": SECRET}
    command = [sys.executable, "-c", SERVE, str(support), str(workspace.root)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stderr is not None
        first = server.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", first)
        assert address, first + server.stderr.read()
        with httpx.Client(base_url=address[0], timeout=30, trust_env=False) as client:
            answers: list[httpx.Response] = []

            def ask() -> None:
                body = {"tasks": [task(truth[0].image_id)]}
                headers = {"Authorization": f"Bearer {SECRET}"}
                answers.append(client.post("/predict", json=body, headers=headers))

            _until_healthy(client)
            asking = threading.Thread(target=ask)
            asking.start()
            assert "at work" in server.stderr.readline()
            server.send_signal(signal.SIGTERM)
            asking.join(30)
        assert answers[0].status_code == 200
        assert answers[0].json()["results"][0]["result"]
        assert server.wait(30) == 128 + signal.SIGTERM
        said = server.stderr.read()
        assert json.loads(said.splitlines()[0])["event"] == "predict"
        assert SECRET not in said
        assert "Traceback" not in said
    finally:
        server.kill()
        server.wait()


def _until_healthy(client: httpx.Client) -> None:
    for _ in range(300):
        try:
            client.get("/health").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("it does not answer")
