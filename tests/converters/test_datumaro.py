"""Datumaro. `tests/data/datumaro/annotations/train.json` was exported by Datumaro 1.13.12 and indented."""

import copy
import json
import math
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from converting import changed, with_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from nonsense import with_nonsense
from pictures import picture

from synthscars.converters import formats
from synthscars.converters.datumaro import read, write
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.geometry import area, bbox, to_rle
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, ImageRecord, encode_record

GOLDEN = Path(__file__).parent.parent / "data" / "datumaro"
BOX = (1.0, 2.0, 11.5, 2.0, 11.5, 12.25, 1.0, 12.25)
LABELS = ("structure", "physics", "odd")


def reads(source: Path, **options: object) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(read(source, problems, **options)), problems


def spoiled(sound: dict) -> st.SearchStrategy[dict]:
    return st.builds(copy.deepcopy, st.just(sound)).flatmap(with_nonsense)


def codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


def shape(**changes: object) -> dict:
    sound = {"id": 0, "type": "polygon", "attributes": {}, "group": 0, "label_id": 0, "points": [*BOX]}
    return {**sound, "z_order": 0, **changes}


def item(*annotations: object, name: str = "a", **changes: object) -> dict:
    image = {"path": f"{name}.png", "size": [40, 60]}
    return {"id": name, "annotations": list(annotations), "attr": {}, "image": image, **changes}


def document(*items: object, **changes: object) -> dict:
    labels = [{"name": name, "parent": "", "attributes": []} for name in LABELS]
    categories = {"label": {"labels": labels, "label_groups": [], "attributes": []}}
    top = {"dm_format_version": "1.0", "media_type": 2, "infos": {}, "categories": categories}
    return {**top, "items": list(items), **changes}


def saved(folder: Path, *items: object, subset: str = "default", **changes: object) -> Path:
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    (folder / "annotations" / f"{subset}.json").write_text(json.dumps(document(*items, **changes)))
    return folder


def written(records: list[ImageRecord], folder: Path) -> dict:
    """The file that is written for records without a split."""
    write(records, folder, Problems())
    return json.loads((folder / "annotations" / "default.json").read_text())


# What Datumaro exported


def test_every_shape_with_an_area_is_read() -> None:
    (one, two), problems = reads(GOLDEN)
    hand, sign, ellipse, wheel, somewhere = one.artifacts
    assert (one.file_name, one.width, one.height, one.split) == ("street_001.png", 60, 40, "train")
    assert (one.status, one.caption, one.source) == ("annotated", "a street", "annotations/train.json")
    # Two polygons of one group are one artifact.
    assert (hand.category, hand.explanation) == ("structure", "six fingers")
    assert hand.polygons == (BOX, (20.0, 2.0, 30.0, 2.0, 30.0, 12.0))
    assert sign.polygons == ((5.0, 20.0, 15.0, 20.0, 15.0, 28.5, 5.0, 28.5),)
    assert (sign.category, sign.phrase) == ("physics", "the sign")
    assert bbox(ellipse.polygons) == pytest.approx((40, 10, 16, 20))
    assert area(ellipse.polygons) == pytest.approx(math.pi * 80, rel=0.002)
    assert (bbox(wheel.polygons), area(wheel.polygons)) == ((40, 30, 6, 4), 24)
    assert (wheel.category, wheel.extra["label"]) == (None, "car")
    assert (somewhere.category, somewhere.polygons) == ("physics", ())
    assert (two.status, two.file_name) == ("unlabelled", "002.png")
    assert codes(problems) == {"label.unknown": 1, "shape.no_area": 1}


def test_what_datumaro_exported_is_written_again_as_it_was(tmp_path: Path) -> None:
    write(reads(GOLDEN)[0], tmp_path / "again", Problems())
    exported = json.loads((GOLDEN / "annotations" / "train.json").read_text())
    again = json.loads((tmp_path / "again" / "annotations" / "train.json").read_text())
    for original, one in zip(exported["items"], again["items"], strict=True):
        assert {**one["attr"], **original.get("attr", {})} == one["attr"]
        assert {**original, "annotations": 0, "attr": 0} == {**one, "annotations": 0, "attr": 0}
        assert comparable(original, exported) == comparable(one, again)


def comparable(item: dict, document: dict) -> list[dict]:
    """Annotations in a fixed order, with names of labels, without the ids that we add."""
    names = [label["name"] for label in document["categories"]["label"]["labels"]]
    found = []
    for one in item["annotations"]:
        attributes = {key: value for key, value in one["attributes"].items() if key != "artifact_id"}
        label = names[one["label_id"]] if "label_id" in one else None
        found.append({**one, "attributes": attributes, "label_id": label})
    return sorted(found, key=str)


def test_datumaro_reads_what_we_write_and_we_read_what_it_exports(tmp_path: Path) -> None:
    components = pytest.importorskip("datumaro.components.dataset")
    artifacts = (
        Artifact(artifact_id="a", category="physics", polygons=(BOX, BOX), explanation="It floats.", votes=2),
        Artifact(artifact_id="b", category="distortion", phrase="everywhere", extra={"x": [1]}),
    )
    record = ImageRecord(
        image_id="", file_name="", width=60, height=40, status="annotated", artifacts=artifacts, split="train"
    )
    record = with_picture(record, tmp_path / "pictures", "a.png")
    pictures = TargetPictures(by_hash([tmp_path / "pictures"]))
    write([record], tmp_path / "out", Problems(), pictures=pictures)
    dataset = components.Dataset.import_from(str(tmp_path / "out"), "datumaro")
    (found,) = dataset
    polygons = [each for each in found.annotations if each.type.name == "polygon"]
    assert [each.attributes["explanation"] for each in polygons] == ["It floats."] * 2
    assert list(polygons[0].points) == pytest.approx(BOX)
    dataset.export(str(tmp_path / "again"), "datumaro", save_media=True)
    assert reads(tmp_path / "again")[0] == [record]


# Subsets and images


def test_every_split_is_a_subset_with_the_same_labels(tmp_path: Path) -> None:
    blank = ImageRecord(image_id="", file_name="", width=16, height=16, status="clean")
    artifact = Artifact(artifact_id="a", polygons=((1.0, 1.0, 5.0, 1.0, 5.0, 5.0),), extra={"label": "odd"})
    splits = ("train", "", "a/b", "test")
    records = [
        changed(with_picture(blank, tmp_path / "pictures", f"{number}.png", number), split=split)
        for number, split in enumerate(splits)
    ]
    records[3] = changed(records[3], artifacts=(artifact,), status="annotated")
    write(records, tmp_path / "out", Problems(), pictures=TargetPictures(by_hash([tmp_path / "pictures"])))
    files = sorted((tmp_path / "out" / "annotations").iterdir())
    assert [path.stem for path in files] == ["default", "test", "train"]
    categories = [json.loads(path.read_text())["categories"] for path in files]
    assert categories[0] == categories[1] == categories[2]
    assert (tmp_path / "out" / "images" / "default" / "2.png").is_file()
    found, problems = reads(tmp_path / "out")
    assert sorted(found, key=lambda record: record.file_name) == records
    assert codes(problems) == {"label.unknown": 1}


def test_more_splits_than_files_may_be_open_come_back(tmp_path: Path) -> None:
    records = [
        ImageRecord(
            image_id=f"{number:064x}", file_name=f"{number}.png", width=9, height=9, split=f"s{number}"
        )
        for number in range(100)
    ]
    write(records, tmp_path / "out", Problems())
    found, _ = reads(tmp_path / "out")
    assert sorted(found, key=lambda record: record.image_id) == records


def test_two_records_of_one_image_have_ids_of_their_own(tmp_path: Path) -> None:
    one = ImageRecord(image_id="ab" * 32, file_name="a.png", width=60, height=40, status="clean")
    items = written([one, changed(one, caption="again")], tmp_path / "out")["items"]
    assert [each["id"] for each in items] == ["a", "a~2"]
    assert [each["image"]["path"] for each in items] == ["a.png", "a.png"]


def test_images_are_looked_for_in_the_folder_of_the_subset_and_nowhere_else(tmp_path: Path) -> None:
    picture(1, 60, 40).save(tmp_path / "secret.png")
    folder = saved(tmp_path / "in", item(), item(name="../secret"), item(name="/etc/passwd"), subset="val")
    (folder / "images" / "val").mkdir(parents=True)
    picture(2, 60, 40).save(folder / "images" / "val" / "a.png")
    records, problems = reads(folder)
    assert codes(problems) == {"image.missing": 2}
    assert [record.file_name for record in records] == ["a.png", "secret.png", "passwd.png"]
    assert {record.split for record in records} == {"validation"}


def test_a_single_file_is_a_dataset(tmp_path: Path) -> None:
    record = ImageRecord(image_id="ab" * 32, file_name="a.png", width=60, height=40, split="train")
    write([record], tmp_path / "some.json", Problems())
    assert reads(tmp_path / "some.json")[0] == [record]
    assert formats.detect(tmp_path / "some.json").name == "datumaro"
    assert formats.detect(GOLDEN).name == "datumaro"


# What people change


def test_regions_drawn_on_a_clean_image_make_it_annotated(tmp_path: Path) -> None:
    (record,), problems = reads(saved(tmp_path, item(shape(), attr={"status": "clean"})))
    assert record.status == "annotated"
    assert codes(problems)["status.contradiction"] == 1


def test_a_label_may_say_the_state(tmp_path: Path) -> None:
    label = {"id": 1, "type": "label", "attributes": {}, "group": 0, "label_id": 0}
    categories = {"label": {"labels": [{"name": "clean"}]}}
    (record,), _ = reads(saved(tmp_path, item(label), categories=categories))
    assert (record.status, record.artifacts) == ("clean", ())


def test_a_mask_comes_back_as_a_mask_unless_its_outline_was_changed(tmp_path: Path) -> None:
    rle = {"size": [40, 60], "counts": to_rle([BOX], 60, 40)["counts"].decode()}
    mask = shape(type="mask", rle=rle)
    del mask["points"]
    (record,), _ = reads(saved(tmp_path, item(mask)))
    (again,) = written([record], tmp_path / "same")["items"][0]["annotations"]
    assert again == {**mask, "attributes": {"artifact_id": "annotation-0"}, "label_id": again["label_id"]}
    moved = changed(record, artifacts=(changed(record.artifacts[0], polygons=(BOX,)),))
    (again,) = written([moved], tmp_path / "moved")["items"][0]["annotations"]
    assert (again["type"], again["points"]) == ("polygon", [*BOX])


def test_a_box_that_cvat_exported_turned_is_turned_and_comes_back_so(tmp_path: Path) -> None:
    box = shape(type="bbox", bbox=[10, 10, 20, 8], attributes={"rotation": 90.0, "size": "L"})
    ellipse = shape(type="ellipse", points=[10, 10, 30, 18], attributes={"rotation": 90.0})
    del box["points"]
    (record,), _ = reads(saved(tmp_path, item(box, ellipse)))
    # Around its centre: (20, 14).
    assert record.artifacts[0].polygons == ((24.0, 4.0, 24.0, 24.0, 16.0, 24.0, 16.0, 4.0),)
    assert bbox(record.artifacts[1].polygons) == pytest.approx((16, 4, 8, 20))
    again = written([record], tmp_path / "same")["items"][0]["annotations"]
    for number, (one, original) in enumerate(zip(again, (box, ellipse), strict=True)):
        ours = {"artifact_id": f"annotation-{number}", **original["attributes"]}
        assert one == {**original, "attributes": ours, "label_id": one["label_id"]}
    # What is a polygon now is not turned once more.
    moved = changed(record.artifacts[0], polygons=(BOX,))
    (one,) = written([changed(record, artifacts=(moved,))], tmp_path / "moved")["items"][0]["annotations"]
    assert (one["type"], one["attributes"]) == ("polygon", {"artifact_id": "annotation-0", "size": "L"})


# What is wrong

BAD_SHAPES = {
    "two points": (shape(points=[1, 2, 3, 4]), "polygon.few_points"),
    "an odd number of numbers": (shape(points=[1, 2, 3, 4, 5]), "polygon.odd"),
    "no points": (shape(points=None), "polygon.not_numbers"),
    "a text for a number": (shape(points=[1, 2, "3", 4, 5, 6]), "polygon.not_numbers"),
    "NaN": (shape(points=[1, 2, float("nan"), 4, 5, 6]), "polygon.not_numbers"),
    "points on a line": (shape(points=[1, 1, 2, 2, 3, 3]), "polygon.no_area"),
    "a box of three numbers": (shape(type="bbox", bbox=[1, 2, 3]), "polygon.not_numbers"),
    "a box of no width": (shape(type="bbox", bbox=[1, 2, 0, 3]), "polygon.not_numbers"),
    "a mask that is too short": (
        shape(type="mask", rle={"size": [40, 60], "counts": "11"}),
        "polygon.not_numbers",
    ),
    "a mask without counts": (shape(type="mask", rle={"size": [40, 60]}), "polygon.not_numbers"),
    "a mask that is huge": (
        shape(type="mask", rle={"size": [10**6, 10**6], "counts": [0, 10**12]}),
        "polygon.not_numbers",
    ),
    "a polyline": (shape(type="polyline"), "shape.no_area"),
    "no annotation": (7, "annotation.not_an_object"),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_a_shape_that_cannot_be_used_is_reported_and_kept_and_the_rest_is_read(
    name: str, tmp_path: Path
) -> None:
    bad, code = BAD_SHAPES[name]
    folder = saved(tmp_path, item(bad, shape(label_id=1)), item(shape(), name="z"))
    (record, other), problems = reads(folder)
    assert [each.category for each in record.artifacts] == ["physics"]
    assert len(other.artifacts) == 1
    (said,) = [each for each in problems if each.code == code]
    assert said.file == str(folder / "annotations" / "default.json")
    assert (said.image, said.region, said.severity) == ("a.png", "annotation number 0", "error")
    assert said.fix
    # Alone it still says that something is wrong, also after a round trip.
    only = reads(saved(tmp_path / "only", item(bad)))[0][0]
    assert (only.status, only.artifacts) == ("annotated", ())
    write([only], tmp_path / "again", Problems())
    (again,), _ = reads(tmp_path / "again")
    assert again.status == "annotated"
    assert without_numbers(again.extra) == without_numbers(only.extra)


def without_numbers(extra: dict) -> str:
    """Labels are numbered anew when they are written."""
    return str({**extra, "datumaro": {**extra["datumaro"], "other": labels_of(extra["datumaro"])}})


def labels_of(kept: dict) -> list:
    return [{**each, "label_id": 0} for each in kept.get("other", [])]


@pytest.mark.parametrize(
    ("points", "code"),
    [([-5, 2, 11, 2, 11, 12], "polygon.outside"), ([1, 1, 9, 9, 9, 1, 1, 10], "polygon.crosses_itself")],
)
def test_an_odd_polygon_is_kept_and_reported(points: list, code: str, tmp_path: Path) -> None:
    (record,), problems = reads(saved(tmp_path, item(shape(points=points, id=17))))
    assert len(record.artifacts) == 1
    (said,) = [each for each in problems if each.code == code]
    assert (said.severity, said.region) == ("warning", "annotation 17")


def test_what_is_kept_has_the_same_label_among_other_labels(tmp_path: Path) -> None:
    """The labels of the file that is written are others, in another order."""
    kept = [shape(type="rotated_bbox", label_id=2), shape(type="rotated_bbox", label_id=3)]
    (record,), _ = reads(saved(tmp_path / "in", item(shape(label_id=2), *kept)))
    again = written([record], tmp_path / "out")
    labels = [label["name"] for label in again["categories"]["label"]["labels"]]
    _, odd, none = again["items"][0]["annotations"]
    assert labels[odd["label_id"]] == "odd"
    assert "label_id" not in none
    assert none["no_such_label"] == 3
    assert reads(tmp_path / "out")[0][0].extra == record.extra


def test_a_label_that_there_is_not_costs_the_category_only(tmp_path: Path) -> None:
    (record,), problems = reads(saved(tmp_path, item(shape(label_id=9), shape(label_id=2))))
    assert [each.category for each in record.artifacts] == [None, None]
    assert codes(problems) == {"label.no_such_id": 1, "label.unknown": 1}


def test_repeated_ids_are_told_apart(tmp_path: Path) -> None:
    twice = shape(attributes={"artifact_id": "a"})
    (record,), problems = reads(saved(tmp_path, item(twice, twice)))
    assert [each.artifact_id for each in record.artifacts] == ["a", "a-2"]
    assert codes(problems) == {"id.repeated": 1}


@pytest.mark.parametrize("bad", [None, 7, {}, {"id": "a", "point_cloud": {"path": "a.pcd"}}])
def test_an_item_that_is_no_image_costs_no_other(bad: object, tmp_path: Path) -> None:
    records, problems = reads(saved(tmp_path, bad, item(shape())))
    assert [record.file_name for record in records] == ["a.png"]
    (said,) = problems
    assert said.severity == "error"
    assert said.fix


@pytest.mark.parametrize("bad", [b'{"\xff": 1}', b'"\xff"'], ids=["key", "text"])
def test_an_item_that_cannot_be_decoded_costs_no_other(bad: bytes, tmp_path: Path) -> None:
    folder = saved(tmp_path, item(name="a"), item(name="b", attr={"x": "BAD"}), item(name="c"))
    path = folder / "annotations" / "default.json"
    path.write_bytes(path.read_bytes().replace(b'"BAD"', bad))
    records, problems = reads(folder)
    assert [record.file_name for record in records] == ["a.png", "c.png"]
    (said,) = problems
    assert (said.code, said.region) == ("item.unreadable", "items[1]")
    assert said.fix


@pytest.mark.parametrize("content", ["", "{", '{"items": [{}', "[]", '{"items": 3}', "{}", "\x00"])
def test_a_file_that_is_none_of_datumaro_is_refused(content: str, tmp_path: Path) -> None:
    folder = saved(tmp_path)
    (folder / "annotations" / "default.json").write_text(content)
    with pytest.raises(FormatError, match=r"default\.json") as error:
        reads(folder)
    assert error.value.fix


SOUND = item(
    shape(group=1, attributes={"artifact_id": "a", "votes": 2, "extra": {"x": 1}, "other": True}),
    shape(group=1, points=[1, 2, 3, 4, 1, 4], attributes={"artifact_id": "a"}),
    shape(type="bbox", bbox=[1, 2, 3, 4]),
    shape(type="ellipse", points=[1, 2, 5, 6]),
    shape(type="mask", rle={"size": [2, 2], "counts": [1, 3]}),
    shape(type="polyline"),
    {"id": 0, "type": "label", "attributes": {}, "group": 0, "label_id": 1},
    {"id": 0, "type": "caption", "attributes": {}, "group": 0, "caption": "a street"},
    attr={"image_id": "ab" * 32, "status": "annotated", "reviews": [{"rater_id": "r", "status": "clean"}]},
)


@settings(max_examples=150)
@given(given=spoiled(SOUND))
def test_nonsense_anywhere_costs_no_other_image(given: dict) -> None:
    with tempfile.TemporaryDirectory() as name:
        records, _ = reads(saved(Path(name), given, item(shape(), name="z")))
        for record in records:
            encode_record(record)
        assert (records[-1].file_name, len(records[-1].artifacts)) == ("z.png", 1)
        write(records, Path(name) / "again.json", Problems())
        assert len(reads(Path(name) / "again.json")[0]) == len(records)


@settings(max_examples=50)
@given(given=spoiled(document(item(shape()))))
def test_nonsense_in_the_categories_is_a_problem_or_an_error_that_names_the_file(given: dict) -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "a.json").write_text(json.dumps(given))
        said = ""
        try:
            for record in reads(Path(name) / "a.json")[0]:
                encode_record(record)
        except FormatError as error:
            said = str(error)
        assert not said or "a.json" in said
