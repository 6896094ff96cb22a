"""What `convert` writes goes into a real Label Studio and comes out again; so do shapes of all kinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthscars.converters import labelstudio as converter
from synthscars.geometry import area, to_mask
from synthscars.labelstudio.client import Client, connect
from synthscars.labelstudio.interface import label_config
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.pull import download
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace

pytestmark = [pytest.mark.platform, pytest.mark.slow]

Served = tuple[Workspace, list[ImageRecord]]

SHAPES = """
<View>
  <Image name="photo" value="$photo"/>
  <BrushLabels name="brush" toName="photo"><Label value="Structure"/></BrushLabels>
  <RectangleLabels name="box" toName="photo"><Label value="Structure"/></RectangleLabels>
  <EllipseLabels name="oval" toName="photo"><Label value="Distortion"/></EllipseLabels>
  <TextArea name="why" toName="photo" perRegion="true"/>
</View>
"""


@pytest.fixture(scope="module")
def client(served: Served) -> Client:
    return connect(served[0])


def new_project(client: Client, title: str, config: str) -> Project:
    made = client.sdk.projects.create(title=title, label_config=config)
    return Project(id=int(made.id or 0), title=title)


def sent_through(client: Client, project: Project, tasks: list[Any], folder: Path) -> Path:
    client.request("POST", f"/api/projects/{project.id}/import", json=tasks)
    download(client, project, folder / "export.json")
    return folder / "export.json"


def test_converted_records_go_through_the_server_and_come_back(
    served: Served, client: Client, tmp_path: Path
) -> None:
    _, truth = served
    problems = Problems()
    converter.write(truth, tmp_path / "tasks.json", problems)
    project = new_project(client, "converted", label_config(load_taxonomy()))
    export = sent_through(client, project, json.loads((tmp_path / "tasks.json").read_bytes()), tmp_path)
    found = {record.image_id: record for record in converter.read(export, problems)}
    assert not len(problems)
    assert found.keys() == {record.image_id for record in truth}
    for record in truth:
        again = found[record.image_id]
        assert (again.status, again.caption, again.reviews) == (record.status, record.caption, record.reviews)
        assert again.generation == record.generation
        for artifact, other in zip(record.artifacts, again.artifacts, strict=True):
            assert (artifact.phrase, artifact.explanation) == (other.phrase, other.explanation)
            assert np.concatenate(other.polygons) == pytest.approx(
                np.concatenate(artifact.polygons), abs=1e-6
            )


def test_shapes_of_another_project_come_back_as_outlines(client: Client, tmp_path: Path) -> None:
    from label_studio_sdk.converter.brush import mask2rle

    mask = np.zeros((80, 100), dtype=np.uint8)
    mask[10:40, 20:70] = 255
    mask[20:30, 30:40] = 0
    size = {"original_width": 100, "original_height": 80, "image_rotation": 0, "to_name": "photo"}
    result = [
        {
            **size,
            "id": "brush",
            "from_name": "brush",
            "type": "brushlabels",
            "value": {"format": "rle", "rle": mask2rle(mask), "brushlabels": ["Structure"]},
        },
        {
            **size,
            "id": "box",
            "from_name": "box",
            "type": "rectanglelabels",
            "value": {
                **{"x": 10, "y": 10, "width": 20, "height": 25, "rotation": 90},
                "rectanglelabels": ["Structure"],
            },
        },
        {
            **size,
            "id": "box",
            "from_name": "why",
            "type": "textarea",
            "value": {"text": ["It hangs in the air."]},
        },
        {
            **size,
            "id": "oval",
            "from_name": "oval",
            "type": "ellipselabels",
            "value": {
                **{"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 0},
                "ellipselabels": ["Distortion"],
            },
        },
    ]
    task = {"data": {"photo": "/data/upload/7/ab12cd34-cat.png"}, "annotations": [{"result": result}]}
    project = new_project(client, "shapes", SHAPES)
    export = sent_through(client, project, [task], tmp_path)
    problems = Problems()
    (record,) = converter.read(export, problems)
    assert not problems.failed
    found = {artifact.artifact_id: artifact for artifact in record.artifacts}
    assert np.array_equal(to_mask(found["brush"].polygons, 100, 80), mask > 0)
    # Turned by a quarter about its upper left corner, at (10, 8): to the left and down.
    assert found["box"].explanation == "It hangs in the air."
    assert sorted(zip(found["box"].polygons[0][::2], found["box"].polygons[0][1::2], strict=True)) == [
        pytest.approx(point) for point in [(-10, 8), (-10, 28), (10, 8), (10, 28)]
    ]
    assert area(found["oval"].polygons) == pytest.approx(np.pi * 10 * 16, rel=0.01)
    assert {artifact.category for artifact in record.artifacts} == {"structure", "distortion"}
