import json
import shutil
from collections import Counter
from pathlib import Path

import loki_rules
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nonsense import with_nonsense

from synthscars.converters import formats
from synthscars.converters.loki import read
from synthscars.geometry import to_mask
from synthscars.images import sha256
from synthscars.problems import FormatError, Problems, UsageError
from synthscars.records import Artifact, ImageRecord

GOLDEN = Path(__file__).parent.parent / "data" / "loki"
FILE = GOLDEN / "open_ended_vqa.json"


def codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


def test_the_published_layout_becomes_records() -> None:
    problems = Problems()
    house, tilted, boat = read(GOLDEN, problems)
    assert house.artifacts == (
        Artifact(
            artifact_id="region-0",
            polygons=((5.5, 6.25, 25.5, 6.25, 25.5, 16.75, 5.5, 16.75),),
            explanation="The roof has no edge – it melts into the sky.",
        ),
        Artifact(
            artifact_id="region-1",
            polygons=((30.0, 20.0, 60.0, 20.0, 60.0, 45.0, 30.0, 45.0),),
            explanation="窗户 without a frame.",
        ),
    )
    # What is wrong with the image as a whole.
    assert house.caption == "The light comes from two sides at once."
    for one in (house, tilted, boat):
        path = GOLDEN / one.extra["loki"]["image_path"]
        assert (one.image_id, one.file_name) == (sha256(path.read_bytes()), path.name)
        assert (one.width, one.height) == (64, 48)
        assert (one.status, one.origin, one.source) == ("annotated", "synthetic", "open_ended_vqa.json")
        assert one.extra["loki"]["fields"]["metric"] == "image-model-as-judge"
    # A description that a translator made up is none; it is kept.
    assert tilted.caption == ""
    assert tilted.extra["loki"]["problems"]["global"] == [
        {"desc": "You are trained on data up to October 2023."}
    ]
    # A box that would fit if it were two corners is no reason to guess.
    assert boat.artifacts[0].polygons == ((40.0, 10.0, 100.0, 10.0, 100.0, 40.0, 40.0, 40.0),)
    assert codes(problems) == {"desc.not_said": 1, "box.corners": 1, "polygon.outside": 1}
    assert {problem.severity for problem in problems} == {"warning"}
    assert {problem.region for problem in problems} == {"global", "regional[0]"}


def test_our_mask_is_the_mask_that_legion_is_measured_with() -> None:
    for one in read(FILE, Problems()):
        ours = np.zeros((one.height, one.width), dtype=bool)
        for artifact in one.artifacts:
            ours |= to_mask(artifact.polygons, one.width, one.height)
        theirs = loki_rules.mask(FILE, one.file_name, one.width, one.height)
        # Theirs has the pixels of both corners, and ours those whose middle is inside.
        assert not (ours & ~theirs).any()
        differing = (ours ^ theirs).sum()
        assert differing <= sum(2 * (64 + 48) for _ in one.artifacts) / 2


def test_it_is_recognised_by_its_content_and_cannot_be_written(tmp_path) -> None:
    assert formats.detect(GOLDEN).name == "loki"
    assert formats.detect(FILE).name == "loki"
    shutil.copy(FILE, tmp_path / "other.json")
    assert formats.detect(tmp_path / "other.json").name == "loki"
    with pytest.raises(UsageError, match="only be read"):
        formats.write([], tmp_path / "out", Problems(), "loki")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_any_encoding_is_read(tmp_path, encoding: str) -> None:
    shutil.copytree(GOLDEN / "media_data", tmp_path / "media_data")
    text = FILE.read_text(encoding="utf-16")
    (tmp_path / "open_ended_vqa.json").write_bytes(text.encode(encoding))
    assert list(read(tmp_path, Problems())) == list(read(GOLDEN, Problems()))


def test_the_repository_of_loki_is_read_from_its_root(tmp_path) -> None:
    shutil.copytree(GOLDEN / "media_data", tmp_path / "media_data")
    (tmp_path / "data_json" / "image").mkdir(parents=True)
    shutil.copy(FILE, tmp_path / "data_json" / "image")
    assert formats.detect(tmp_path).name == "loki"
    assert list(read(tmp_path, Problems())) == list(read(GOLDEN, Problems()))


def test_images_can_lie_elsewhere(tmp_path) -> None:
    shutil.copy(FILE, tmp_path)
    images = GOLDEN / "media_data" / "image"
    assert list(read(tmp_path, Problems(), images=images)) == list(read(GOLDEN, Problems()))


def test_without_images_it_is_read_all_the_same_and_said_once(tmp_path) -> None:
    shutil.copy(FILE, tmp_path)
    problems = Problems()
    found = list(read(tmp_path, problems))
    assert codes(problems)["image.no_folder"] == 1
    assert [(one.width, len(one.artifacts)) for one in found] == [(0, 2), (0, 1), (0, 1)]
    assert len({one.image_id for one in found}) == 3


# Items that are not as they should be

PATH = "media_data/image/bad.jpg"


def item(**changes: object) -> dict:
    problems = {
        "global": [{"desc": "Odd light."}],
        "regional": [{"region": [1, 2, 10, 12], "desc": "It tilts."}],
    }
    return {"image_path": PATH, "problems": problems, **changes}


def read_items(folder: Path, *items: object) -> tuple[list[ImageRecord], Problems]:
    shutil.copytree(GOLDEN / "media_data", folder / "media_data", dirs_exist_ok=True)
    name = next((GOLDEN / "media_data" / "image").iterdir())
    for each in ("bad.jpg", "good.jpg"):
        shutil.copy(name, folder / "media_data" / "image" / each)
    good = item(image_path="media_data/image/good.jpg")
    (folder / "open_ended_vqa.json").write_bytes(json.dumps([*items, good]).encode("utf-16"))
    problems = Problems()
    return list(read(folder, problems)), problems


@pytest.mark.parametrize(
    ("region", "code"),
    [
        (7, "box.wrong_type"),
        ({"desc": "no box"}, "box.wrong_type"),
        ({"region": [1, 2, 3]}, "box.wrong_type"),
        ({"region": [1, 2, 3, "4"]}, "box.wrong_type"),
        ({"region": [1, 2, 3, True]}, "box.wrong_type"),
        ({"region": [1, 2, 3, float("nan")]}, "box.wrong_type"),
        ({"region": [1, 2, 0, 4]}, "box.no_area"),
        ({"region": [1, 2, 5, -4]}, "box.no_area"),
    ],
)
def test_a_box_that_cannot_be_used_is_reported_and_the_rest_read(tmp_path, region: object, code: str) -> None:
    sound = {"region": [1, 2, 10, 12], "desc": "It tilts."}
    found, problems = read_items(tmp_path, item(problems={"global": [], "regional": [sound, region]}))
    bad, good = found
    assert codes(problems) == {code: 1}
    (problem,) = problems
    assert (problem.severity, problem.image, problem.region) == ("error", "bad.jpg", "regional[1]")
    assert problem.file.endswith("open_ended_vqa.json")
    assert problem.fix
    assert (len(bad.artifacts), bad.status) == (1, "annotated")
    assert bad.extra["loki"]["rejected"]
    assert len(good.artifacts) == 1
    # Alone, it still says that something is wrong.
    ((alone, _), _) = read_items(tmp_path, item(problems={"regional": [region]}))
    assert (alone.artifacts, alone.status) == ((), "annotated")


@pytest.mark.parametrize(
    ("problems_of_item", "code"),
    [
        (7, "problems.wrong_type"),
        ({"regional": 7}, "regional.wrong_type"),
        ({"regional": [], "global": 7}, "global.wrong_type"),
        ({"regional": [{"region": [-3, 2, 10, 12]}]}, "polygon.outside"),
        ({"regional": [{"region": [1, 2, 10, 12], "desc": 7}]}, "desc.wrong_type"),
    ],
)
def test_anything_else_that_is_wrong_is_reported(tmp_path, problems_of_item: object, code: str) -> None:
    found, problems = read_items(tmp_path, item(problems=problems_of_item))
    assert codes(problems) == {code: 1}
    assert next(iter(problems)).image == "bad.jpg"
    assert [one.file_name for one in found] == ["bad.jpg", "good.jpg"]
    assert len(found[1].artifacts) == 1


@pytest.mark.parametrize("bad", [7, None, [], {}, item(image_path=""), item(image_path=["a.jpg", "b.jpg"])])
def test_an_item_that_is_about_no_image_is_set_aside(tmp_path, bad: object) -> None:
    found, problems = read_items(tmp_path, bad)
    assert [one.file_name for one in found] == ["good.jpg"]
    assert [problem.region for problem in problems] == ["item 0"]


def test_an_item_without_problems_says_nothing_about_artifacts(tmp_path) -> None:
    question = {"image_path": PATH, "question_type": "image_tf_image_real_ask_fake_doc", "answer": "No"}
    found, problems = read_items(tmp_path, question, {**question, "answer": "Yes"})
    assert list(problems) == []
    # Two questions about one image are one record.
    assert [(one.file_name, one.status, one.origin) for one in found] == [
        ("bad.jpg", "unlabelled", "real"),
        ("good.jpg", "annotated", "synthetic"),
    ]
    fake = {**question, "question_type": "image_tf_image_fake_ask_real_doc"}
    assert read_items(tmp_path, fake)[0][0].origin == "synthetic"


def test_two_items_about_one_image_are_reported(tmp_path) -> None:
    found, problems = read_items(tmp_path, item(), item())
    assert codes(problems) == {"image.repeated": 1}
    assert len(found) == 3


def test_a_missing_image_is_reported(tmp_path) -> None:
    found, problems = read_items(tmp_path, item(image_path="media_data/image/gone.jpg"))
    assert codes(problems) == {"image.missing": 1}
    assert len(found) == 2


@pytest.mark.parametrize("content", [b"[{", b'{"a": 1}', b"\xff\xfe\x00", b"\xff\xfe7\x00", b""])
def test_a_file_that_is_no_list_of_items_cannot_be_read(tmp_path, content: bytes) -> None:
    (tmp_path / "open_ended_vqa.json").write_bytes(content)
    with pytest.raises(FormatError, match="open_ended_vqa"):
        list(read(tmp_path, Problems()))


def test_a_folder_without_the_file_cannot_be_read(tmp_path) -> None:
    with pytest.raises(FormatError, match="there is no open_ended_vqa"):
        list(read(tmp_path, Problems()))


@given(data=st.data())
def test_nonsense_anywhere_never_stops_the_reader_nor_touches_another_image(tmp_path_factory, data) -> None:
    bad = json.loads(json.dumps(item(question_type="image_open_ended", id="x")))
    data.draw(with_nonsense(bad))
    found, _ = read_items(tmp_path_factory.mktemp("nonsense"), bad)
    assert found[-1].file_name == "good.jpg"
    assert len(found[-1].artifacts) == 1
