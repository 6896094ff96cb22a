"""COCO instances: files and folders that others write are read, and ours come back."""

import json
from pathlib import Path

import numpy as np
import pytest
from coco_files import (
    BOX,
    CORNER,
    DATA,
    SQUARE,
    TRIANGLE,
    annotated,
    drawn,
    foreign,
    image,
    looked,
    only,
    stored,
    written,
)
from converting import with_picture
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pictures import encoded, picture
from pycocotools import mask as masks

from synthscars.converters import formats
from synthscars.converters.coco import write
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.geometry import area, to_mask
from synthscars.problems import Problems
from synthscars.records import Artifact, Generation, ImageRecord, Review

# Files as they are


def test_our_own_file_is_read_as_exactly_these_records_and_written_again_byte_for_byte(
    tmp_path: Path,
) -> None:
    found, problems = looked(DATA / "synthscars.json")
    assert [problem.code for problem in problems] == ["label.unknown"]
    hand, street, dog, fog = found
    assert hand == ImageRecord(
        image_id="a" * 64,
        file_name="hand.png",
        width=200,
        height=160,
        content_type="human",
        status="annotated",
        caption="Upon examining the image. I have found: A person waves. To elaborate, I have found the "
        "following artifacts. the left hand:It has six fingers.",
        artifacts=(
            Artifact(
                artifact_id="r1",
                category="structure",
                subtype="deformed",
                polygons=(BOX, TRIANGLE),
                phrase="the left hand",
                explanation="It has six fingers.",
                rater_id="anna",
                votes=2,
                agreement=0.75,
                extra={"origin": "manual"},
            ),
            Artifact(artifact_id="r2", category="physics", phrase="the shadow", rater_id="anna"),
            Artifact(artifact_id="r3", polygons=(CORNER,), rater_id="anna", extra={"label": "watermark"}),
            Artifact(artifact_id="r4", polygons=(CORNER,), rater_id="anna"),
        ),
        reviews=(
            Review(
                rater_id="anna",
                status="annotated",
                content_type="human",
                scene="A person waves",
                seconds=31.5,
            ),
            Review(rater_id="ben", status="clean"),
            Review(rater_id="carl", status="skipped"),
        ),
        generation=Generation(tool="automatic1111", prompt="a person waves", seed=7),
        group_id="g1",
        split="train",
        source="batch-1/hand.png",
        license="cc-by-4.0",
        extra={"note": "seen twice"},
    )
    assert (street.status, street.origin, street.reviews) == (
        "clean",
        "real",
        (Review(rater_id="anna", status="clean"),),
    )
    assert (dog.status, fog.status) == ("unlabelled", "skipped")
    write(found, tmp_path / "again.json", Problems())
    assert (tmp_path / "again.json").read_bytes() == (DATA / "synthscars.json").read_bytes()


def test_an_excerpt_as_coco_2017_has_it_is_read(tmp_path: Path) -> None:
    found, problems = looked(DATA / "coco2017.json")
    assert {problem.code for problem in problems} == {"label.unknown"}
    bottle, crowd, empty = found
    assert [record.file_name for record in found] == [
        "000000397133.jpg",
        "000000037777.jpg",
        "000000252219.jpg",
    ]
    # Annotations of one image stand together, whatever stood between them.
    assert [artifact.artifact_id for artifact in bottle.artifacts] == ["82445", "1218137"]
    assert bottle.artifacts[0].extra["label"] == "bottle"
    assert len(bottle.artifacts[0].polygons) == 2
    assert bottle.license == "Attribution License"
    assert crowd.artifacts[0].extra["coco"]["iscrowd"] == 1
    assert to_mask(crowd.artifacts[0].polygons, 6, 4).astype(int).tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    assert empty.status == "unlabelled"


@pytest.mark.parametrize("name", ["coco2017.json", "cvat.json"])
def test_all_that_another_tool_wrote_is_still_there_when_its_file_is_written_again(
    name: str, tmp_path: Path
) -> None:
    before = json.loads((DATA / name).read_bytes())
    found, _ = looked(DATA / name)
    after, problems = written(tmp_path, found)
    assert not list(problems)
    assert after["info"] == before["info"]
    assert after["licenses"] == before["licenses"]
    for entry in before["images"]:
        (again,) = [each for each in after["images"] if each["id"] == entry["id"]]
        assert entry.items() <= again.items()
    names = {entry["id"]: entry["name"] for entry in before["categories"]}
    names_after = {entry["id"]: entry["name"] for entry in after["categories"]}
    assert set(names.values()) <= set(names_after.values())
    for entry in before["annotations"]:
        (again,) = [each for each in after["annotations"] if each["id"] == entry["id"]]
        assert names_after[again["category_id"]] == names[entry["category_id"]]
        assert again["area"] == pytest.approx(entry["area"])
        # Masks come back as polygons that cover the same pixels, and numbers of categories are ours.
        for key in {"segmentation", "bbox"} if isinstance(entry["segmentation"], list) else set():
            assert again[key] == entry[key]
        for key in entry.keys() - {"segmentation", "bbox", "area", "category_id"}:
            assert again[key] == entry[key]


def test_a_folder_of_roboflow_is_read_with_boxes_as_rectangles(tmp_path: Path) -> None:
    found, problems = looked(DATA / "roboflow")
    hand, street = found
    assert [record.split for record in found] == ["train", "train"]
    assert hand.artifacts[0].polygons == ((10.0, 12.0, 30.5, 12.0, 30.5, 20.0, 10.0, 20.0),)
    assert hand.artifacts[1].polygons == ((40.0, 20.0, 70.0, 20.0, 70.0, 50.0),)
    assert {(each.category, each.subtype) for each in hand.artifacts} == {("structure", "deformed")}
    assert hand.license == "CC BY 4.0"
    assert hand.extra["name"] == "hand.png"
    assert street.status == "unlabelled"
    said = only(problems, "annotation.box_only")
    assert (said.severity, said.count) == ("info", 1)
    content, _ = written(tmp_path, found)
    assert [entry["id"] for entry in content["images"]] == [0, 1]
    # COCOeval takes an annotation with the number 0 for one that nothing matches.
    assert [entry["id"] for entry in content["annotations"]] == [1, 2]
    assert content["annotations"][0]["box_only"] is True


# Folders


def test_a_folder_has_a_file_for_each_split_with_the_same_categories_and_its_images(tmp_path: Path) -> None:
    found = [
        with_picture(annotated(1, drawn(), split="train"), tmp_path / "pictures", "a.png", 1),
        with_picture(image(2, status="clean", split="test"), tmp_path / "pictures", "b.png", 2),
        with_picture(
            annotated(3, drawn(category=None, extra={"label": "watermark"})),
            tmp_path / "pictures",
            "c.png",
            3,
        ),
    ]
    pictures = TargetPictures(by_hash([tmp_path / "pictures"]))
    problems = Problems()
    assert write(found, tmp_path / "out", problems, pictures=pictures) == 3
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert files == [
        "annotations/instances_default.json",
        "annotations/instances_test.json",
        "annotations/instances_train.json",
        "images/default/c.png",
        "images/test/b.png",
        "images/train/a.png",
    ]
    contents = [json.loads((tmp_path / "out" / name).read_bytes()) for name in files[:3]]
    assert [content["categories"] == contents[0]["categories"] for content in contents] == [True] * 3
    assert len(contents[0]["categories"]) == 4
    again = list(formats.read(tmp_path / "out", problems))
    assert sorted(again, key=lambda record: record.file_name) == found
    assert [problem.code for problem in problems] == ["label.unknown"]


@pytest.mark.parametrize(
    ("annotations", "images", "split"),
    [
        ("annotations/instances_train2017.json", "train2017", "train"),
        ("annotations/instances_val.json", "images/val", "validation"),
        ("annotations/instances_default.json", "images", ""),
        ("annotations/instances_minival.json", "images/minival", "minival"),
        ("annotations/test_labels.json", "images", "test"),
        ("valid/_annotations.coco.json", "valid", "validation"),
        ("_annotations.coco.json", ".", ""),
        ("labels.json", "data", ""),
        ("result.json", "images", ""),
    ],
)
def test_the_usual_folders_are_recognised_and_their_images_found(
    annotations: str, images: str, split: str, tmp_path: Path
) -> None:
    root = tmp_path / "set"
    path = stored(root, foreign({"segmentation": SQUARE}), annotations)
    (root / images).mkdir(parents=True, exist_ok=True)
    picture(1, 64, 48).save(root / images / "a.png")
    assert formats.detect(root).name == "coco"
    for source in (root, path):
        (record,), problems = looked(source)
        assert not list(problems)
        assert record.split == split
        assert record.image_id == with_picture(record, tmp_path, "b.png", 1).image_id


def test_captions_beside_the_instances_are_not_read(tmp_path: Path) -> None:
    stored(tmp_path, foreign({"caption": "A dog."}), "annotations/captions_val2017.json")
    stored(tmp_path, foreign({"segmentation": SQUARE}), "annotations/instances_val2017.json")
    found, problems = looked(tmp_path)
    assert len(found) == 1
    assert not list(problems)


def test_one_damaged_file_of_a_folder_does_not_cost_the_others(tmp_path: Path) -> None:
    stored(tmp_path, foreign({"segmentation": SQUARE}), "annotations/instances_train.json")
    damaged = tmp_path / "annotations" / "instances_test.json"
    damaged.write_text('{"images": [')
    found, problems = looked(tmp_path)
    assert [record.split for record in found] == ["train"]
    said = only(problems, "file.unreadable")
    assert said.file == str(damaged)
    assert said.fix


def test_a_picture_that_is_stored_turned_is_measured_upright(tmp_path: Path) -> None:
    turned = picture(1, 48, 64)
    exif = turned.getexif()
    exif[0x0112] = 6
    (tmp_path / "a.png").write_bytes(encoded(turned, "PNG", exif=exif))
    content = foreign({"segmentation": SQUARE})
    content["images"][0] |= {"width": 48, "height": 64}
    (record,), problems = looked(stored(tmp_path, content), images=tmp_path)
    assert (record.width, record.height) == (64, 48)
    assert only(problems, "image.size_swapped").image == "a.png"


def test_a_file_name_with_folders_is_found_kept_and_written_again(tmp_path: Path) -> None:
    content = foreign({"segmentation": SQUARE})
    content["images"][0]["file_name"] = "sub/folder/a.png"
    (tmp_path / "sub" / "folder").mkdir(parents=True)
    picture(1, 64, 48).save(tmp_path / "sub" / "folder" / "a.png")
    (record,), problems = looked(stored(tmp_path, content))
    assert not list(problems)
    assert record.file_name == "a.png"
    again, _ = written(tmp_path, [record])
    assert again["images"][0]["file_name"] == "sub/folder/a.png"


def test_no_image_is_looked_for_outside_its_folder(tmp_path: Path) -> None:
    picture(1, 64, 48).save(tmp_path / "a.png")
    content = foreign({"segmentation": SQUARE})
    content["images"][0]["file_name"] = "../a.png"
    (record,), problems = looked(stored(tmp_path, content, "in/in.json"), images=tmp_path / "in")
    assert only(problems, "image.missing").fix
    assert record.file_name == "a.png"


# Masks


@given(npst.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1)))
def test_any_mask_is_read_as_rings_that_cover_just_its_pixels(tmp_path_factory, mask: np.ndarray) -> None:
    height, width = mask.shape
    encoded_mask = masks.encode(np.asfortranarray(mask))
    flat = mask.flatten(order="F").tolist()
    runs, current = [0], 0
    for value in flat:
        if value != current:
            runs.append(0)
            current = value
        runs[-1] += 1
    compressed = {"size": [height, width], "counts": encoded_mask["counts"].decode()}
    content = foreign(
        {"segmentation": compressed}, {"segmentation": {"size": [height, width], "counts": runs}}
    )
    content["images"][0] |= {"width": width, "height": height}
    (record,), problems = looked(stored(tmp_path_factory.mktemp("mask"), content))
    if not mask.any():
        assert [problem.code for problem in problems] == ["mask.empty", "mask.empty"]
        assert (record.status, record.artifacts) == ("annotated", ())
        return
    assert not list(problems)
    for artifact in record.artifacts:
        assert np.array_equal(to_mask(artifact.polygons, width, height), mask)
        assert area(artifact.polygons) == mask.sum()


@pytest.mark.parametrize(
    "mask",
    [
        {"size": [48, 64], "counts": ""},
        {"size": [48, 64], "counts": [10, 5]},
        {"size": [48, 64], "counts": "\x7f\x7f"},
        {"size": [48, 64], "counts": "é"},
        {"size": [48, 64], "counts": [3073]},
        {"size": [48, 64], "counts": [-1, 3073]},
        {"size": [10**6, 10**6], "counts": [10**12]},
        {"size": [64, 48], "counts": [1, 3071]},
        {"size": [24, 128], "counts": [1, 3071]},
        {"size": "48", "counts": [3072]},
        {"counts": [3072]},
        {},
    ],
)
def test_a_damaged_mask_is_reported_and_never_decoded(mask: dict, tmp_path: Path) -> None:
    content = foreign({"segmentation": mask}, {"segmentation": SQUARE})
    (record,), problems = looked(stored(tmp_path, content))
    (said,) = problems
    assert (said.severity, said.image, said.region) == ("error", "a.png", "annotation 1")
    assert said.fix
    assert [artifact.artifact_id for artifact in record.artifacts] == ["2"]
    assert record.extra["coco"]["rejected_annotations"] == [content["annotations"][0]]


def test_a_crowd_stays_a_crowd(tmp_path: Path) -> None:
    content = foreign({"segmentation": SQUARE, "iscrowd": 1}, {"segmentation": SQUARE})
    (record,), _ = looked(stored(tmp_path, content))
    assert record.artifacts[0].extra == {"coco": {"iscrowd": 1}}
    assert record.artifacts[1].extra == {}
    again, _ = written(tmp_path, [record])
    assert [entry["iscrowd"] for entry in again["annotations"]] == [1, 0]
