"""COCO instances: what is written is valid for the COCO API and KaLOS; what others write is read."""

import contextlib
import copy
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from converting import changed, with_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from pictures import encoded, picture
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from strategies import records

from synthscars.converters import coco_read, formats
from synthscars.converters.coco import HOLDS, read, write
from synthscars.converters.coco_measures import measure
from synthscars.converters.holds import EVERYTHING
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.geometry import area, bbox, to_mask, to_rle
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, Generation, ImageRecord, Review, encode_record

DATA = Path(__file__).parents[1] / "data" / "coco"
BOX = (20.0, 10.0, 60.0, 10.0, 60.0, 50.0, 20.0, 50.0)
TRIANGLE = (100.0, 20.0, 120.0, 20.0, 120.0, 40.0)
CORNER = (0.5, 0.5, 10.5, 0.5, 10.5, 10.5)


def image(number: int = 1, **fields: Any) -> ImageRecord:
    given = {"file_name": f"{number}.png", "width": 200, "height": 160, **fields}
    return ImageRecord(image_id=f"{number:064x}", **given)


def drawn(*rings: tuple[float, ...], **fields: Any) -> Artifact:
    given = {"artifact_id": "r1", "category": "structure", "rater_id": "anna", **fields}
    return Artifact(polygons=rings or (BOX,), **given)


def annotated(number: int, *artifacts: Artifact, **fields: Any) -> ImageRecord:
    return image(number, status="annotated", artifacts=artifacts, **fields)


def written(folder: Path, found: list[ImageRecord], **options: Any) -> tuple[dict[str, Any], Problems]:
    """What is in the single file of those records, and what was reported."""
    problems = Problems()
    target = folder / "out.json"
    assert write(found, target, problems, **options) == len(found)
    return json.loads(target.read_bytes()), problems


def stored(folder: Path, content: Any, name: str = "in.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def looked(source: Path, **options: Any) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(read(source, problems, **options)), problems


def foreign(*annotations: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A file of another tool: one image of 64 x 48 pixels, two categories."""
    given = [
        {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, **each}
        for number, each in enumerate(annotations, start=1)
    ]
    categories = [{"id": 1, "name": "structure"}, {"id": 2, "name": "physics"}]
    images = [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}]
    return {"images": images, "annotations": given, "categories": categories, **fields}


SQUARE = [[10, 10, 30, 10, 30, 30, 10, 30]]


def only(problems: Problems, code: str) -> Any:
    (found,) = [one for one in problems if one.code == code]
    return found


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


# Valid for the COCO API


def perfect(path: Path, kind: str, api: Any, evaluation: Any) -> float:
    """AP of a file against itself, as detections of score 1."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = api(str(path))
        detections = [{**copy.deepcopy(each), "score": 1.0} for each in truth.dataset["annotations"]]
        found = evaluation(truth, truth.loadRes(detections), kind)
        found.evaluate()
        found.accumulate()
        found.summarize()
    return float(found.stats[0])


def several(folder: Path) -> Path:
    """A file of two raters, several rings, unknown labels, artifacts without outline, images without any."""
    label = {"label": "watermark"}
    shadow = Artifact(artifact_id="r3", phrase="the shadow")
    write(
        [
            image(1, status="clean"),
            annotated(
                2, drawn(BOX, TRIANGLE), shadow, drawn(CORNER, artifact_id="r2", category=None, extra=label)
            ),
            annotated(3, drawn(TRIANGLE, rater_id="ben", category="physics"), drawn(BOX, category=None)),
        ],
        folder / "several.json",
        Problems(),
    )
    return folder / "several.json"


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_pycocotools_finds_a_file_of_ours_perfect_against_itself(kind: str, tmp_path: Path) -> None:
    assert perfect(several(tmp_path), kind, COCO, COCOeval) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_faster_coco_eval_finds_a_file_of_ours_perfect_against_itself(kind: str, tmp_path: Path) -> None:
    faster = pytest.importorskip("faster_coco_eval")
    assert perfect(several(tmp_path), kind, faster.COCO, faster.COCOeval_faster) == pytest.approx(1)


def test_masks_of_the_coco_api_are_ours_pixel_by_pixel(tmp_path: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO(str(several(tmp_path)))
    shapes = {1: (BOX, TRIANGLE), 2: (CORNER,), 3: (TRIANGLE,), 4: (BOX,)}
    for number, rings in shapes.items():
        assert np.array_equal(api.annToMask(api.anns[number]), to_mask(rings, 200, 160))


@settings(max_examples=25)
@given(st.lists(records(), min_size=1, max_size=3))
def test_any_records_make_a_file_that_the_coco_api_takes(tmp_path_factory, found: list[ImageRecord]) -> None:
    for options in ({}, {"segmentation": "rle"}):
        content, _ = written(tmp_path_factory.mktemp("coco"), found, **options)
        with contextlib.redirect_stdout(io.StringIO()):
            api = COCO()
            api.dataset = content
            api.createIndex()
            if content["annotations"]:
                api.loadRes([{**each, "score": 1.0} for each in content["annotations"]])
        rings = [artifact.polygons for record in found for artifact in record.artifacts]
        sizes = [(record.width, record.height) for record in found for _ in record.artifacts]
        assert len(rings) == len(api.anns)
        for annotation, outline, size in zip(content["annotations"], rings, sizes, strict=True):
            mask = api.annToMask(annotation)
            assert np.array_equal(mask, to_mask(outline, *size))
            if options:
                assert annotation["area"] == mask.sum()
                assert isinstance(annotation["segmentation"]["counts"], str)
            else:
                assert annotation["area"] == pytest.approx(area(outline))
                assert annotation["bbox"] == pytest.approx(bbox(outline), abs=1e-9)


def test_masks_are_what_pycocotools_makes_of_the_outlines_and_lose_them(tmp_path: Path) -> None:
    content, problems = written(tmp_path, [annotated(1, drawn(BOX, TRIANGLE))], segmentation="rle")
    (annotation,) = content["annotations"]
    expected = to_rle((BOX, TRIANGLE), 200, 160)
    assert annotation["segmentation"] == {"size": [160, 200], "counts": expected["counts"].decode()}
    assert annotation["area"] == float(masks.area(expected))
    assert annotation["bbox"] == masks.toBbox(expected).tolist()
    assert only(problems, "loss.artifact.outline").count == 1
    found, _ = looked(stored(tmp_path, content))
    assert to_rle(found[0].artifacts[0].polygons, 200, 160) == expected


def test_numbers_and_categories_are_what_tools_count_on(tmp_path: Path) -> None:
    found = [
        annotated(1, drawn(category=None, extra={"label": "watermark"}), drawn(TRIANGLE, artifact_id="r2")),
        annotated(2, drawn(category=None), drawn(category="distortion", artifact_id="r2"), license="CC0-1.0"),
    ]
    content, problems = written(tmp_path, found)
    assert not list(problems)
    assert [(entry["id"], entry["name"]) for entry in content["categories"]] == [
        (1, "physics"),
        (2, "structure"),
        (3, "distortion"),
        (4, "watermark"),
        (5, "artifact"),
    ]
    assert [entry["id"] for entry in content["images"]] == [1, 2]
    assert [entry["id"] for entry in content["annotations"]] == [1, 2, 3, 4]
    assert [entry["category_id"] for entry in content["annotations"]] == [4, 2, 5, 3]
    assert content["licenses"] == [{"id": 1, "name": "CC0-1.0", "url": ""}]
    assert [entry.get("license") for entry in content["images"]] == [None, 1]
    assert content["info"]["description"]


def test_kalos_is_told_who_looked_and_who_found_what(tmp_path: Path) -> None:
    """KaLOS wants `rater_list` on every image and `rater_id` on every annotation, and ignores all others."""
    reviews = (
        Review(rater_id="anna", status="annotated"),
        Review(rater_id="ben", status="clean"),
        Review(rater_id="carl", status="skipped"),
        Review(rater_id="dora", status="annotated", extra={"unreadable": "no region could be read"}),
    )
    found = [annotated(1, drawn(), reviews=reviews), annotated(2, drawn(rater_id="")), image(3)]
    content, _ = written(tmp_path, found)
    # Carl did not judge, and Dora drew something: neither found nothing.
    assert [entry["rater_list"] for entry in content["images"]] == [["anna", "ben"], [], []]
    assert [entry["rater_id"] for entry in content["annotations"]] == ["anna", ""]


def test_a_file_made_for_kalos_says_which_images_are_clean(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "a.png", "width": 64, "height": 48, "rater_list": [7, "ben"]},
        {"id": 2, "file_name": "b.png", "width": 64, "height": 48, "rater_list": [7, "ben"]},
        {"id": 3, "file_name": "c.png", "width": 64, "height": 48, "rater_list": []},
        {"id": 4, "file_name": "d.png", "width": 64, "height": 48, "rater_list": ["ben"]},
    ]
    bad = {"segmentation": [[1, 1, 2, 2]], "rater_id": "ben", "image_id": 4}
    content = foreign({"segmentation": SQUARE, "rater_id": 7}, bad, images=images)
    found, _ = looked(stored(tmp_path, content))
    assert [record.status for record in found] == ["annotated", "clean", "unlabelled", "annotated"]
    assert found[0].reviews == (
        Review(rater_id="7", status="annotated"),
        Review(rater_id="ben", status="clean"),
    )
    assert found[0].artifacts[0].rater_id == "7"
    assert found[3].reviews == (Review(rater_id="ben", status="annotated"),)


def test_equal_records_give_equal_bytes_and_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    found = list(looked(DATA / "synthscars.json")[0])
    for name in ("a.json", "b.json"):
        write(iter(found), tmp_path / name, Problems())
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_coordinates_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    found = [annotated(1, drawn((0.0, 0.0, math.nan, 1.0, 5.0, 5.0)), drawn(artifact_id="r2"))]
    content, problems = written(tmp_path, found)
    assert [entry["artifact_id"] for entry in content["annotations"]] == ["r2"]
    assert only(problems, "loss.artifact.outline").severity == "error"


def test_it_holds_everything() -> None:
    assert (HOLDS.image, HOLDS.artifact, HOLDS.statuses) == (
        EVERYTHING.image,
        EVERYTHING.artifact,
        EVERYTHING.statuses,
    )
    assert HOLDS.regionless


@pytest.mark.parametrize(
    "artifact",
    [
        drawn(category=None, extra={"label": "structure"}),
        drawn(category=None, extra={"label": "artifact"}),
        drawn(category=None, extra={"label": 7}),
        drawn(category="someone's own"),
        drawn(extra={"label": "watermark"}),
        drawn(extra={"coco": "no object"}),
        Artifact(artifact_id="r1", category="physics", explanation="The light is wrong everywhere."),
    ],
)
def test_unusual_artifacts_come_back_equal(artifact: Artifact, tmp_path: Path) -> None:
    found = [annotated(1, drawn(artifact_id="r0"), artifact, drawn(artifact_id="r9"))]
    content, _ = written(tmp_path, found)
    assert looked(stored(tmp_path, content))[0] == found


@pytest.mark.parametrize("name", ["", "a/b.png", "..", "../../etc/passwd", "A.png", "\x00", "1.png"])
def test_unusual_file_names_come_back_and_no_two_files_have_one_name(name: str, tmp_path: Path) -> None:
    found = [annotated(1, drawn()), annotated(2, drawn(), file_name=name)]
    content, problems = written(tmp_path, found)
    names = [entry["file_name"] for entry in content["images"]]
    assert all(names)
    assert len(set(names)) == 2
    assert looked(stored(tmp_path, content))[0] == found
    write(found, tmp_path / "folder", problems)
    assert looked(tmp_path / "folder")[0] == found
    assert not [problem for problem in problems if problem.severity != "info"]


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


# What may be wrong


BAD = {
    "2 points": ({"segmentation": [[1, 1, 2, 2]]}, "polygon.few_points"),
    "no partner": ({"segmentation": [[1, 1, 2, 2, 3, 3, 4]]}, "polygon.odd"),
    "no area": ({"segmentation": [[1, 1, 2, 2, 3, 3]]}, "polygon.no_area"),
    "texts": ({"segmentation": [["1", "1", "2", "2", "3", "9"]]}, "polygon.not_numbers"),
    "NaN": ({"segmentation": [[1, 1, math.nan, 2, 3, 9]]}, "polygon.not_numbers"),
    "a text": ({"segmentation": "polygon"}, "segmentation.wrong_type"),
    "nothing": ({}, "annotation.no_outline"),
    "an empty box": ({"bbox": [1, 1, 0, 5], "segmentation": []}, "annotation.no_outline"),
    "half a box": ({"bbox": [1, 1, 5]}, "annotation.no_outline"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_annotation_that_cannot_be_used_is_named_and_kept_and_the_others_are_read(
    case: str, tmp_path: Path
) -> None:
    annotation, code = BAD[case]
    content = foreign(annotation, {"segmentation": SQUARE})
    path = stored(tmp_path, content)
    (record,), problems = looked(path)
    (said,) = problems
    assert (said.code, said.severity) == (code, "error")
    assert (said.file, said.image, said.region) == (str(path), "a.png", "annotation 1")
    assert said.fix
    assert [artifact.artifact_id for artifact in record.artifacts] == ["2"]
    assert record.extra["coco"]["rejected_annotations"][0]["id"] == 1


def test_an_image_of_which_nothing_can_be_used_is_not_clean(tmp_path: Path) -> None:
    content = foreign({"segmentation": []})
    content["images"][0] |= {"status": "clean", "sha256": "a" * 64}
    (record,), _ = looked(stored(tmp_path, content))
    assert (record.status, record.artifacts) == ("annotated", ())
    # Nor does it become clean by being written and read again.
    again, _ = written(tmp_path, [record])
    (record,), _ = looked(stored(tmp_path, again))
    assert record.status == "annotated"
    assert record.extra["coco"]["rejected_annotations"] == content["annotations"]


ODD = {
    "crosses itself": ([[10, 10, 30, 30, 30, 10, 10, 35]], "polygon.crosses_itself"),
    "right of the image": ([[50, 10, 70, 10, 70, 30]], "polygon.outside"),
    "left of the image": ([[-5, 10, 30, 10, 30, 30]], "polygon.outside"),
    "not in a list": (SQUARE[0], "segmentation.flat"),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_outline_is_used_and_named(case: str, tmp_path: Path) -> None:
    segmentation, code = ODD[case]
    (record,), problems = looked(stored(tmp_path, foreign({"segmentation": segmentation})))
    (said,) = problems
    assert (said.code, said.severity) == (code, "warning")
    assert (said.image, said.region) == ("a.png", "annotation 1")
    assert len(record.artifacts) == 1


def test_the_good_polygons_of_an_annotation_are_used_and_the_bad_ones_kept(tmp_path: Path) -> None:
    content = foreign({"segmentation": [*SQUARE, [1, 1, 2, 2]]})
    (record,), problems = looked(stored(tmp_path, content))
    assert only(problems, "polygon.few_points").region == "annotation 1, polygon 1"
    assert len(record.artifacts[0].polygons) == 1
    assert record.artifacts[0].extra["coco"] == {"rejected_polygons": [[1, 1, 2, 2]]}


def test_points_in_pairs_are_read(tmp_path: Path) -> None:
    content = foreign({"segmentation": [[[10, 10], [30, 10], [30, 30]]]})
    (record,), problems = looked(stored(tmp_path, content))
    assert record.artifacts[0].polygons == ((10.0, 10.0, 30.0, 10.0, 30.0, 30.0),)
    assert not list(problems)


def test_ids_may_be_texts_and_sizes_fractions_and_annotations_may_come_first(tmp_path: Path) -> None:
    content = {
        "annotations": [{"id": "x1", "image_id": "7", "category_id": "1", "segmentation": SQUARE}],
        "categories": [{"id": 1, "name": "structure"}],
        "images": [{"id": 7.0, "file_name": "a.png", "width": "64", "height": 48.0}],
    }
    (record,), problems = looked(stored(tmp_path, content))
    assert not list(problems)
    assert (record.width, record.height) == (64, 48)
    assert [(each.artifact_id, each.category) for each in record.artifacts] == [("x1", "structure")]
    again, _ = written(tmp_path, [record])
    assert (again["images"][0]["id"], again["annotations"][0]["id"]) == (7, 1)


def test_annotations_of_no_image_are_told_once_with_their_number(tmp_path: Path) -> None:
    lost = [{"segmentation": SQUARE, "image_id": each} for each in (5, 6, None, "x", 7)]
    (record,), problems = looked(stored(tmp_path, foreign({"segmentation": SQUARE}, *lost)))
    (said,) = problems
    assert (said.code, said.severity, said.count, said.region) == (
        "annotation.no_image",
        "error",
        5,
        "annotation 2 (image 5)",
    )
    assert len(record.artifacts) == 1


def test_a_category_that_is_not_there_costs_the_category_alone(tmp_path: Path) -> None:
    (record,), problems = looked(stored(tmp_path, foreign({"segmentation": SQUARE, "category_id": 9})))
    said = only(problems, "category.missing")
    assert (said.severity, said.image, said.region) == ("warning", "a.png", "annotation 1")
    assert record.artifacts[0].category is None
    assert record.artifacts[0].extra["coco"] == {"category_id": 9}


def test_repeated_ids_of_annotations_cost_nothing(tmp_path: Path) -> None:
    twice = {"segmentation": SQUARE, "id": 7}
    (record,), problems = looked(stored(tmp_path, foreign(twice, twice)))
    assert only(problems, "annotation.repeated_id").severity == "warning"
    assert [artifact.artifact_id for artifact in record.artifacts] == ["7", "7-2"]
    again, _ = written(tmp_path, [record])
    assert len({entry["id"] for entry in again["annotations"]}) == 2


def test_a_repeated_id_of_an_image_is_an_error(tmp_path: Path) -> None:
    content = foreign({"segmentation": SQUARE})
    content["images"].append({**content["images"][0], "file_name": "b.png"})
    found, problems = looked(stored(tmp_path, content))
    assert [record.file_name for record in found] == ["a.png"]
    assert only(problems, "image.repeated_id").image == "b.png"


def test_an_unknown_label_is_told_once_and_comes_back(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "watermark", "supercategory": "text", "color": "#ff0000"}]
    content = foreign({"segmentation": SQUARE}, {"segmentation": SQUARE}, categories=categories)
    (record,), problems = looked(stored(tmp_path, content))
    assert only(problems, "label.unknown").region == "category 1"
    assert [artifact.extra["label"] for artifact in record.artifacts] == ["watermark"] * 2
    again, _ = written(tmp_path, [record])
    assert again["categories"][-1] == {**categories[0], "id": 4}


def test_fields_of_the_wrong_type_are_named_and_kept_where_they_were(tmp_path: Path) -> None:
    content = foreign({"segmentation": SQUARE, "votes": "many", "explanation": "Bent.", "score": 0.5})
    content["images"][0] |= {"caption": 5, "content_type": "human", "mood": "blue"}
    (record,), problems = looked(stored(tmp_path, content))
    assert [problem.code for problem in problems] == ["field.wrong_type"] * 2
    assert record.artifacts[0].explanation == "Bent."
    assert record.content_type == "human"
    again, _ = written(tmp_path, [record])
    assert (again["images"][0]["caption"], again["images"][0]["mood"]) == (5, "blue")
    assert (again["annotations"][0]["votes"], again["annotations"][0]["score"]) == ("many", 0.5)


def test_what_the_file_says_of_itself_comes_back(tmp_path: Path) -> None:
    content = foreign(
        {"segmentation": SQUARE}, info={"description": "mine", "year": 2025}, tool={"version": 3}
    )
    found, _ = looked(stored(tmp_path, content))
    again, _ = written(tmp_path, found)
    assert (again["info"], again["tool"]) == (content["info"], content["tool"])


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"images": 5}', '{"annotations": []}'])
def test_a_file_that_is_no_coco_file_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(text)
    with pytest.raises(FormatError, match=r"in\.json"):
        looked(tmp_path / "in.json")


def test_a_folder_without_any_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no COCO annotations"):
        looked(tmp_path)


def test_a_missing_image_is_named_where_a_folder_was_given(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    path = stored(tmp_path, foreign({"segmentation": SQUARE}))
    (record,), problems = looked(path, images=tmp_path / "pictures")
    assert only(problems, "image.missing").image == "a.png"
    assert (record.width, record.height) == (64, 48)


# Nonsense

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**25),
    st.floats(),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.lists(st.integers(-3, 3), max_size=5),
    st.just([[]]),
    st.just([{}]),
    st.just({"size": [2, 2], "counts": [4]}),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def full() -> dict[str, Any]:
    """A file with two images and everything in it."""
    content = json.loads((DATA / "synthscars.json").read_bytes())
    content["images"] = content["images"][:2]
    content["annotations"].append(
        {
            **copy.deepcopy(content["annotations"][1]),
            "id": 4,
            "image_id": 2,
            "artifact_id": "s1",
            "category_id": 1,
        }
    )
    content["annotations"].append(
        {"id": 5, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "extra": {}}
    )
    mask = {"size": [160, 200], "counts": [10, 20, 31970]}
    content["annotations"].append({"id": 6, "image_id": 1, "category_id": 2, "segmentation": mask})
    return content


@settings(max_examples=200)
@given(data=st.data())
def test_nonsense_anywhere_never_stops_the_reader_nor_touches_another_image(tmp_path_factory, data) -> None:
    content = full()
    place = data.draw(st.sampled_from(places(content)))
    junk = data.draw(JUNK)
    if place:
        inner = content
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = junk
    else:
        content = junk
    path = stored(tmp_path_factory.mktemp("nonsense"), content)
    found, problems = [], Problems()
    # A file that is none is refused as a whole; nothing else may be raised.
    with contextlib.suppress(FormatError):
        found, problems = looked(path)
    for record in found:
        encode_record(record)
    assert all(problem.file == str(path) and problem.what for problem in problems)
    in_first = place[:2] == ("images", 0) or (place[:1] == ("annotations",) and place[1:2] not in ((), (3,)))
    if in_first and len(place) > 2 and place[-1] not in ("image_id", "id", "license"):
        assert [record for record in found if record.file_name == "street.png"] == looked_full()[1:]
    if found:
        written(path.parent, found)


@given(data=st.data())
def test_polygons_are_read_alike_together_and_one_by_one(tmp_path_factory, data) -> None:
    content = full()
    others = [place for place in places(content) if len(place) > 1]
    for place in data.draw(st.lists(st.sampled_from(others), max_size=3)):
        inner = content
        with contextlib.suppress(LookupError, TypeError):
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = data.draw(JUNK)
    path = stored(tmp_path_factory.mktemp("alike"), content)

    def careful(annotations: Sequence[Any], _: Any) -> list[None]:
        return [None] * len(annotations)

    together = looked(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coco_read, "sound_rings_of", careful)
        one_by_one = looked(path)
    assert list(map(encode_record, together[0])) == list(map(encode_record, one_by_one[0]))
    assert list(together[1]) == list(one_by_one[1])


def test_of_two_images_with_one_id_the_size_of_the_first_counts(tmp_path: Path) -> None:
    content = foreign({"segmentation": [[10, 10, 90, 10, 90, 30]]})
    content["images"].append({"id": 1, "file_name": "b.png", "width": 640, "height": 480})
    _, problems = looked(stored(tmp_path, content))
    assert {problem.code for problem in problems} == {"image.repeated_id", "polygon.outside"}


def looked_full() -> list[ImageRecord]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return looked(stored(Path(folder), full()))[0]


# Measures


@given(
    st.lists(
        st.lists(
            st.lists(st.integers(0, 8).map(float), min_size=6, max_size=16).filter(
                lambda ring: not len(ring) % 2
            ),
            min_size=1,
            max_size=3,
        ),
        max_size=6,
    )
)
def test_measures_are_those_of_the_exact_union_whatever_crosses_itself(regions: list) -> None:
    areas, boxes = measure(regions)
    for rings, found, box in zip(regions, areas, boxes, strict=True):
        assert found == pytest.approx(area(rings), abs=1e-9)
        assert box == pytest.approx(bbox(rings))


def test_numbers_stay_what_they_were_and_new_ones_are_free(tmp_path: Path) -> None:
    def numbered(number: int, wanted: Any) -> ImageRecord:
        return changed(image(number), extra={"coco": {"id": wanted}} if wanted is not None else {})

    wanted = [5, None, 1, 5, None, 3, 2, "x"]
    content, _ = written(tmp_path, [numbered(index, each) for index, each in enumerate(wanted)])
    found = [entry["id"] for entry in content["images"]]
    assert found[:3] == [5, 2, 1]
    assert len(set(found)) == len(found)
    assert all(type(each) is int for each in found)
