"""Exports of projects that synthscars did not make: other controls, images named by where their files are."""

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest
from pictures import picture

from synthscars.converters import labelstudio
from synthscars.converters.labelstudio_images import image_key, image_url, name_in
from synthscars.images import sha256
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Review, encode_record

GOLDEN = Path(__file__).parents[1] / "data" / "labelstudio" / "foreign.json"


def golden() -> list[dict[str, Any]]:
    tasks = json.loads(GOLDEN.read_bytes())
    assert isinstance(tasks, list)
    return tasks


def codes(problems: Problems) -> list[str]:
    return [problem.code for problem in problems]


def read(tasks: Any, images: Path | None = None) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(labelstudio.read(tasks, problems, images=images)), problems


def test_another_projects_export_is_read_as_far_as_it_says_the_same_things() -> None:
    (cat, dog), problems = read(GOLDEN)
    box, _, _, _, relation = golden()[0]["annotations"][0]["result"]
    assert (cat.file_name, cat.width, cat.height, cat.status) == ("cat one.jpg", 640, 480, "annotated")
    assert cat.artifacts == (
        Artifact(
            artifact_id="boxA",
            category="structure",
            subtype="deformed",
            polygons=((64.0, 96.0, 224.0, 96.0, 224.0, 336.0, 64.0, 336.0),),
            explanation="Six fingers.",
            rater_id="rater-2",
            extra={"shape": "rectangle", "item": box, "explained_in": "comment"},
        ),
        Artifact(
            artifact_id="polyB",
            category="structure",
            subtype="illogical",
            polygons=((320.0, 240.0, 480.0, 240.0, 480.0, 480.0),),
            rater_id="rater-2",
            extra={"label": "Weird hand"},
        ),
    )
    assert cat.reviews == (
        Review(
            rater_id="rater-2",
            status="annotated",
            seconds=12.5,
            extra={
                "annotation_id": 7,
                "ground_truth": True,
                "created_at": "2026-02-01T10:00:00.000000Z",
                "updated_at": "2026-02-01T10:00:00.000000Z",
                "updated_by": 2,
                "relations": [relation],
            },
        ),
    )
    assert cat.extra == {
        "label_studio": {"data": golden()[0]["data"], "meta": {"shelf": 4}},
        "label_studio_tasks": [41],
    }
    assert (dog.file_name, dog.width, dog.status) == ("dog.png", 0, "unlabelled")
    assert dog.extra["drafts"] == [{"id": 3, "result": [], "lead_time": 2.5}]
    assert codes(problems) == ["image.no_size", "draft.not_submitted"]
    assert not problems.failed


def test_no_name_or_address_of_an_annotator_gets_into_the_records() -> None:
    records, _ = read(GOLDEN)
    written = b"".join(map(encode_record, records))
    assert b"ada@" not in written
    assert b"Ada" not in written


def test_images_are_found_by_their_name_with_or_without_what_an_upload_put_before_it(tmp_path: Path) -> None:
    for name in ("cat one.jpg", "0a1b2c3d-cat one.jpg"):
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        picture(3, 640, 480).save(folder / name)
        picture(4, 30, 20).save(folder / "dog.png")
        (cat, dog), problems = read(GOLDEN, folder)
        assert (cat.image_id, cat.file_name) == (sha256((folder / name).read_bytes()), name)
        assert (dog.image_id, dog.width, dog.height) == (sha256((folder / "dog.png").read_bytes()), 30, 20)
        assert codes(problems) == ["draft.not_submitted"]


def test_an_image_that_is_not_there_has_a_stand_in_id_made_of_its_place(tmp_path: Path) -> None:
    (cat, dog), problems = read(GOLDEN, tmp_path)
    again = read(GOLDEN)[0]
    assert [cat.image_id, dog.image_id] == [record.image_id for record in again]
    assert len({cat.image_id, dog.image_id}) == 2
    assert codes(problems)[0] == "image.missing"


def test_two_tasks_about_one_file_are_one_image() -> None:
    tasks = golden()
    second = copy.deepcopy(tasks[0])
    second["annotations"][0]["completed_by"] = 5
    records, problems = read([*tasks, second])
    assert [record.raters for record in records] == [("rater-2", "rater-5"), ()]
    assert "task.repeated" in codes(problems)


def test_pull_never_guesses_which_image_a_task_shows() -> None:
    problems = Problems()
    assert list(labelstudio.read(GOLDEN, problems, {})) == []
    assert codes(problems) == ["task.no_image_id", "task.no_image_id"]


def test_an_unknown_label_is_told_and_kept_and_written_again() -> None:
    tasks = golden()[:1]
    del tasks[0]["annotations"][0]["result"][3]
    (cat,), problems = read(tasks)
    outline = cat.artifacts[1]
    assert (outline.category, outline.extra) == (None, {"label": "Weird hand"})
    (problem,) = problems
    assert (problem.code, problem.severity, problem.region) == ("label.unknown", "warning", "region polyB")
    shapes = labelstudio.results([outline], None, 640, 480)
    assert shapes[0]["value"]["polygonlabels"] == ["Weird hand"]


def test_of_several_texts_of_a_region_none_is_taken_for_its_explanation() -> None:
    tasks = golden()[:1]
    result = tasks[0]["annotations"][0]["result"]
    note = {**result[1], "from_name": "note"}
    result.append(note)
    (cat,), problems = read(tasks)
    assert cat.artifacts[0].explanation == ""
    assert cat.reviews[0].extra["other_results"] == [result[1], note]
    assert codes(problems) == ["result.not_read", "result.not_read"]
    assert {problem.region for problem in problems} == {"region boxA"}


def test_a_choice_that_names_nothing_in_the_taxonomy_is_kept() -> None:
    tasks = golden()[:1]
    choice = tasks[0]["annotations"][0]["result"][3]
    choice["value"]["choices"] = ["Ugly"]
    (cat,), problems = read(tasks)
    assert cat.reviews[0].extra["other_results"] == [choice]
    assert codes(problems) == ["result.not_read", "label.unknown"]


def test_an_empty_answer_of_another_project_is_undecided_not_clean() -> None:
    tasks = golden()[:1]
    tasks[0]["annotations"][0]["result"] = []
    (cat,), problems = read(tasks)
    assert (cat.status, cat.reviews[0].status) == ("skipped", "skipped")
    assert "annotation.empty" in codes(problems)


def test_completions_of_old_versions_are_annotations() -> None:
    tasks = golden()[:1]
    tasks[0]["completions"] = tasks[0].pop("annotations")
    (cat,), _ = read(tasks)
    assert len(cat.artifacts) == 2


def test_what_another_project_says_about_a_task_is_written_again() -> None:
    records, _ = read(GOLDEN)
    buffer = io.BytesIO()
    labelstudio.write(records[:1], buffer, Problems())
    (task,) = json.loads(buffer.getvalue())
    assert task["data"]["photo"] == "/data/upload/9/0a1b2c3d-cat%20one.jpg"
    assert task["data"]["batch"] == "spring"
    assert task["meta"]["shelf"] == 4
    (again,) = labelstudio.read(io.BytesIO(buffer.getvalue()), Problems())
    assert again == records[0]


def test_a_task_about_something_else_than_an_image_is_set_aside() -> None:
    records, problems = read([{"id": 1, "data": {"text": "Once upon a time"}, "annotations": []}])
    assert not records
    (problem,) = problems
    assert (problem.code, problem.severity, problem.file) == ("task.no_image", "error", "tasks, task 1")


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("https://example.org/a/b%20c.png?width=3#x", "b c.png"),
        ("s3://bucket/folder/d.jpg", "d.jpg"),
        ("/data/local-files/?d=images/e%20f.png", "e f.png"),
        ("/data/local-files/?d=images/ab/abab.png", "abab.png"),
        ("/data/upload/3/12345678-g.webp", "12345678-g.webp"),
        ("folder/what is this? #1.png", "what is this? #1.png"),
        (r"C:\pictures\h.png", "h.png"),
        ("http://[broken/i.png", "i.png"),
        ("..", ""),
        ("", ""),
    ],
)
def test_the_name_of_a_file_is_the_last_part_of_its_place(place: str, name: str) -> None:
    assert name_in(place) == name


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"image": "x"}, "x"),
        ({"caption": "two cats", "url": "https://example.org/show?id=5", "picture": "cat.jpeg"}, "cat.jpeg"),
        ({"caption": "two cats", "url": "https://example.org/show?id=5"}, "https://example.org/show?id=5"),
        ({"page": "https://example.org/", "photo": "https://example.org/a.png"}, "https://example.org/a.png"),
        ({"text": "Look at this: a.png\nand that"}, ""),
        ({"images": ["a.png", "b.png"]}, ""),
        ({}, ""),
    ],
)
def test_the_image_of_a_task_is_the_field_that_looks_like_its_place(data: Any, place: str) -> None:
    assert image_url(data) == place
    assert bool(image_key(data, foreign=True)) == bool(place)
    assert image_key(data, foreign=False) == ""
