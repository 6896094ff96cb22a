"""labelme. `tests/data/labelme/every_shape.json` was saved by labelme 6.3.1 itself."""

import base64
import copy
import json
import math
from collections import Counter
from pathlib import Path

import pytest
from converting import changed, with_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from nonsense import with_nonsense
from pictures import encoded, picture
from PIL import Image

from synthscars.converters import formats
from synthscars.converters.labelme import read, write
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.geometry import area, bbox
from synthscars.images import sha256
from synthscars.problems import FormatError, Problems, UsageError
from synthscars.records import Artifact, ImageRecord, encode_record

GOLDEN = Path(__file__).parent.parent / "data" / "labelme" / "every_shape.json"
BOX = (1.0, 2.0, 11.5, 2.0, 11.5, 12.25, 1.0, 12.25)
POINTS = [[1, 2], [11.5, 2], [11.5, 12.25], [1, 12.25]]


def reads(source: Path, **options: object) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(read(source, problems, **options)), problems


def spoiled(sound: dict) -> st.SearchStrategy[dict]:
    return st.builds(copy.deepcopy, st.just(sound)).flatmap(with_nonsense)


def codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


def shape(**changes: object) -> dict:
    sound = {"label": "structure", "points": POINTS, "group_id": None, "description": "", "flags": {}}
    return {**sound, "shape_type": "polygon", "mask": None, **changes}


def document(*shapes: object, **changes: object) -> dict:
    top = {"version": "6.3.1", "flags": {}, "shapes": list(shapes), "imagePath": "a.png", "imageData": None}
    return {**top, "imageHeight": 40, "imageWidth": 60, **changes}


def saved(folder: Path, *shapes: object, name: str = "a.json", **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(document(*shapes, **changes)))
    return folder / name


def first(source: Path, **options: object) -> tuple[ImageRecord, Problems]:
    (record, *_), problems = reads(source, **options)
    return record, problems


# What labelme saved


def test_every_shape_with_an_area_is_read() -> None:
    record, problems = first(GOLDEN)
    hand, sign, circle, turned, wheel = record.artifacts
    assert (record.file_name, record.width, record.height) == ("every_shape.png", 60, 40)
    assert record.status == "annotated"
    assert record.source == "every_shape.json"
    # Two polygons of one group are one artifact.
    assert hand == Artifact(
        artifact_id="shape-0",
        category="structure",
        phrase="the left hand",
        explanation="The hand has six fingers.",
        polygons=(BOX, (20.0, 2.0, 30.0, 2.0, 30.0, 12.0)),
    )
    # The corners of a rectangle may come in any order.
    assert sign.polygons == ((5.0, 20.0, 15.5, 20.0, 15.5, 28.5, 5.0, 28.5),)
    assert (sign.category, sign.explanation) == ("physics", "The sign casts no shadow.")
    assert bbox(circle.polygons) == pytest.approx((40, 12, 16, 16))
    assert area(circle.polygons) == pytest.approx(math.pi * 64, rel=0.002)
    assert turned.polygons == ((30.0, 20.0, 38.0, 24.0, 36.0, 28.0, 28.0, 24.0),)
    # A mask of 6 x 4 pixels with a hole of 4, and a label that is none of ours.
    assert bbox(wheel.polygons) == (40, 30, 6, 4)
    assert area(wheel.polygons) == 20
    assert (wheel.category, wheel.extra["label"]) == (None, "car")
    assert codes(problems) == {"image.missing": 1, "label.unknown": 1, "shape.no_area": 2}
    assert {problem.region for problem in problems if problem.code == "shape.no_area"} == {
        "shapes[6]",
        "shapes[7]",
    }


def test_what_labelme_saved_is_written_again_as_it_was(tmp_path: Path) -> None:
    write(reads(GOLDEN)[0], tmp_path / "again", Problems())
    again = json.loads((tmp_path / "again" / "every_shape.json").read_text())
    saved_by_labelme = json.loads(GOLDEN.read_text())
    for original, written in zip(saved_by_labelme.pop("shapes"), again.pop("shapes"), strict=True):
        assert set(written) - set(original) <= {"artifact_id"}
        assert {key: written[key] for key in original} == original
    assert {key: again[key] for key in saved_by_labelme} == saved_by_labelme
    assert set(again) - set(saved_by_labelme) == {"image_id", "status", "source"}


def test_a_shape_whose_outline_was_changed_is_written_as_a_polygon(tmp_path: Path) -> None:
    record, _ = first(GOLDEN)
    sign = changed(record.artifacts[1], polygons=((5.0, 20.0, 15.5, 20.0, 15.5, 28.5),))
    write([changed(record, artifacts=(sign,))], tmp_path / "again", Problems())
    (written, *_) = json.loads((tmp_path / "again" / "every_shape.json").read_text())["shapes"]
    assert written["shape_type"] == "polygon"
    assert written["points"] == [[5, 20], [15.5, 20], [15.5, 28.5]]
    assert written["flags"] == {"sure": True}


def test_what_labelme_7_would_refuse_is_written_as_a_polygon(tmp_path: Path) -> None:
    """It opens no file with a rectangle of four points, or with a mask in a shape that is none."""
    drawn = [
        shape(shape_type="rectangle"),
        shape(shape_type="rectangle", points=POINTS[::2], mask="iVBORw0KGgo"),
    ]
    record, _ = first(saved(tmp_path, *drawn))
    assert [each.polygons for each in record.artifacts] == [(BOX,), (BOX,)]
    write([record], tmp_path / "again", Problems())
    written = json.loads((tmp_path / "again" / "a.json").read_text())["shapes"]
    assert [(each["shape_type"], each["mask"]) for each in written] == [
        ("polygon", None),
        ("rectangle", None),
    ]


def test_a_shape_that_is_locked_stays_so(tmp_path: Path) -> None:
    """A key of labelme 7."""
    record, problems = first(saved(tmp_path, shape(locked=True)))
    assert codes(problems) == {"image.missing": 1}
    write([record], tmp_path / "again", Problems())
    (written,) = json.loads((tmp_path / "again" / "a.json").read_text())["shapes"]
    assert written["locked"] is True


def test_an_explanation_may_stand_in_a_key_of_that_name(tmp_path: Path) -> None:
    record, _ = first(
        saved(tmp_path, shape(explanation="It floats."), shape(description="It is bent.", explanation=7))
    )
    assert [each.explanation for each in record.artifacts] == ["It floats.", "It is bent."]
    write([record], tmp_path / "again", Problems())
    written = json.loads((tmp_path / "again" / "a.json").read_text())["shapes"]
    assert [each["description"] for each in written] == ["It floats.", "It is bent."]
    assert written[1]["explanation"] == 7


def test_labelme_reads_what_we_write(tmp_path: Path) -> None:
    pytest.importorskip("PyQt5")
    labelme = pytest.importorskip("labelme")
    artifact = Artifact(artifact_id="a0", category="physics", polygons=(BOX, BOX), explanation="It floats. 🖐")
    record = ImageRecord(image_id="", file_name="", width=60, height=40, artifacts=(artifact,))
    record = with_picture(record, tmp_path / "pictures", "a.png")
    for how in ("copy", "embed"):
        pictures = TargetPictures(by_hash([tmp_path / "pictures"]), how)
        write([record], tmp_path / how, Problems(), pictures=pictures)
        found = labelme.LabelFile(str(tmp_path / how / "a.json"))
        assert [each["description"] for each in found.shapes] == ["It floats. 🖐"] * 2
        assert [each["group_id"] for each in found.shapes] == [1, 1]
        assert found.shapes[0]["points"] == POINTS
        assert found.other_data["image_id"] == record.image_id


# Folders, splits, images


def test_subfolders_are_splits(tmp_path: Path) -> None:
    for folder in ("train", "val", "elsewhere"):
        saved(tmp_path / folder, shape(), imagePath=f"{folder}.png")
    records, _ = reads(tmp_path)
    assert {record.file_name: record.split for record in records} == {
        "elsewhere.png": "",
        "train.png": "train",
        "val.png": "validation",
    }
    assert formats.detect(tmp_path).name == "labelme"


def test_images_of_one_name_in_two_splits_are_two_images(tmp_path: Path) -> None:
    record = ImageRecord(image_id="", file_name="", width=16, height=16, status="clean")
    one = changed(with_picture(record, tmp_path / "one", "a.png", 1), split="train")
    two = changed(with_picture(record, tmp_path / "two", "a.png", 2), split="test")
    same = changed(one, caption="another annotation of the same image")
    pictures = TargetPictures(by_hash([tmp_path / "one", tmp_path / "two"]), "link")
    assert write([one, two, same], tmp_path / "out", Problems(), pictures=pictures) == 3
    assert (tmp_path / "out" / "train" / "a.png").is_symlink()
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.json")) == [
        "a.json",
        "a.json",
        "a~2.json",
    ]
    found, problems = reads(tmp_path / "out")
    assert found == [two, one, same]
    assert not list(problems)


def test_an_image_turned_by_exif_has_its_upright_size(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture(1, 60, 40), "JPEG", exif=exif)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(data)
    record = ImageRecord(image_id=sha256(data), file_name="a.jpg", width=40, height=60, status="clean")
    for how in ("copy", "embed"):
        pictures = TargetPictures(by_hash([tmp_path / "pictures"]), how)
        write([record], tmp_path / how, Problems(), pictures=pictures)
        assert reads(tmp_path / how)[0] == [record]
    # labelme does not turn what is embedded.
    embedded = json.loads((tmp_path / "embed" / "a.json").read_text())["imageData"]
    (tmp_path / "copy.png").write_bytes(base64.b64decode(embedded))
    with Image.open(tmp_path / "copy.png") as copy:
        assert copy.size == (40, 60)
        assert copy.getexif().get(0x0112) is None


def test_an_image_that_is_only_embedded_is_found(tmp_path: Path) -> None:
    data = encoded(picture(1, 60, 40), "PNG")
    given = saved(tmp_path, shape(), imageData=base64.b64encode(data).decode())
    record, problems = first(given)
    assert (record.image_id, record.width, record.height) == (sha256(data), 60, 40)
    assert not list(problems)


def test_embedded_images_are_there_for_other_formats(tmp_path: Path) -> None:
    data = encoded(picture(1, 60, 40), "PNG")
    saved(tmp_path / "in", shape(), imageData=base64.b64encode(data).decode())
    (tmp_path / "in" / "broken.json").write_text("{")
    done = formats.convert(tmp_path / "in", tmp_path / "out", Problems(), to="labelme")
    assert done.written == 1
    assert (tmp_path / "out" / "a.png").read_bytes() == data
    record = reads(tmp_path / "out")[0][0]
    assert record.image_id == sha256(data)


@pytest.mark.parametrize("data", ["no base64 §", "aaaa", base64.b64encode(b"BM").decode()])
def test_an_embedded_image_that_is_damaged_is_reported(tmp_path: Path, data: str) -> None:
    record, problems = first(saved(tmp_path, shape(), imageData=data))
    assert codes(problems) == {"image.damaged": 1}
    assert (record.width, record.height, len(record.artifacts)) == (60, 40, 1)


def test_an_image_is_never_looked_for_outside_the_folders(tmp_path: Path) -> None:
    picture(1, 60, 40).save(tmp_path / "secret.png")
    record, problems = first(saved(tmp_path / "inside", shape(), imagePath="../secret.png"))
    assert codes(problems) == {"image.missing": 1}
    assert record.file_name == "secret.png"
    write([record], tmp_path / "again", Problems())
    again = json.loads((tmp_path / "again" / "secret.json").read_text())
    assert again["imagePath"] == "../secret.png"


def test_a_file_is_no_place_for_many_images(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a file for each image"):
        write([], tmp_path / "a.json", Problems())


# What people change in labelme


def test_regions_drawn_on_a_clean_or_unlabelled_image_make_it_annotated(tmp_path: Path) -> None:
    record, problems = first(saved(tmp_path, shape(), status="clean"))
    assert record.status == "annotated"
    assert codes(problems)["status.contradiction"] == 1
    record, problems = first(saved(tmp_path, shape(), status="unlabelled"))
    assert record.status == "annotated"
    assert codes(problems) == {"image.missing": 1}


def test_an_image_without_shapes_is_unlabelled_unless_it_is_said_to_be_clean(tmp_path: Path) -> None:
    assert first(saved(tmp_path))[0].status == "unlabelled"
    assert first(saved(tmp_path, status="clean"))[0].status == "clean"


def test_a_label_may_be_a_subtype_or_the_name_of_a_category(tmp_path: Path) -> None:
    record, _ = first(saved(tmp_path, shape(label="deformed"), shape(label="Physics")))
    assert [(one.category, one.subtype) for one in record.artifacts] == [
        ("structure", "deformed"),
        ("physics", None),
    ]


def test_a_subtype_that_no_longer_fits_its_label_is_dropped(tmp_path: Path) -> None:
    record, problems = first(saved(tmp_path, shape(label="physics", subtype="deformed")))
    assert (record.artifacts[0].category, record.artifacts[0].subtype) == ("physics", None)
    assert codes(problems)["subtype.mismatch"] == 1


def test_shapes_of_one_group_with_other_texts_stay_apart(tmp_path: Path) -> None:
    shapes = [
        shape(group_id=4, description="one"),
        shape(group_id=4),
        shape(group_id=4, description="two"),
        shape(group_id=5, label="physics"),
    ]
    record, problems = first(saved(tmp_path, *shapes))
    assert [(each.explanation, len(each.polygons)) for each in record.artifacts] == [
        ("one", 2),
        ("two", 1),
        ("", 1),
    ]
    assert codes(problems)["group.differs"] == 1
    write([record], tmp_path / "again", Problems())
    shapes = json.loads((tmp_path / "again" / "a.json").read_text())["shapes"]
    assert [each["group_id"] for each in shapes] == [4, 4, 4, 5]


def test_artifacts_without_an_outline_keep_their_place(tmp_path: Path) -> None:
    artifacts = (
        Artifact(artifact_id="a", phrase="everywhere", category="distortion"),
        Artifact(artifact_id="b", polygons=(BOX,), category="physics"),
        Artifact(artifact_id="c", phrase="nowhere", extra={"label": "odd"}),
    )
    record = ImageRecord(
        *(),
        image_id="ab" * 32,
        file_name="a.png",
        width=60,
        height=40,
        status="annotated",
        artifacts=artifacts,
    )
    write([record], tmp_path / "out", Problems())
    assert reads(tmp_path / "out")[0] == [record]


@pytest.mark.parametrize(("index", "place"), [(2**63, 1), (-1e299, 0), ("first", 1)])
def test_an_artifact_without_an_outline_whose_place_is_nonsense_is_kept(
    tmp_path: Path, index: object, place: int
) -> None:
    nowhere = {"index": index, "label": "physics", "artifact_id": "nowhere"}
    record, _ = first(saved(tmp_path, shape(), artifacts_without_outline=[nowhere]))
    assert [each.artifact_id for each in record.artifacts].index("nowhere") == place


# What is wrong

BAD_SHAPES = {
    "two points": (shape(points=POINTS[:2]), "polygon.few_points"),
    "a point that is no pair": (shape(points=[[1, 2], [3], [4, 5]]), "polygon.not_numbers"),
    "a text for a coordinate": (shape(points=[[1, 2], ["3", 4], [4, 5]]), "polygon.not_numbers"),
    "no points at all": (shape(points=None), "polygon.not_numbers"),
    "NaN": (shape(points=[[1, 2], [float("nan"), 4], [4, 5]]), "polygon.not_numbers"),
    "points on a line": (shape(points=[[1, 1], [2, 2], [3, 3]]), "polygon.no_area"),
    "a circle of one point": (shape(shape_type="circle", points=[[1, 2]]), "polygon.not_numbers"),
    "a mask that is no PNG": (
        shape(shape_type="mask", points=[[1, 2], [3, 4]], mask="aaaa"),
        "polygon.not_numbers",
    ),
    "a mask of no pixel": (
        shape(
            shape_type="mask",
            points=[[1, 2], [3, 4]],
            mask=base64.b64encode(encoded(Image.new("L", (3, 3)), "PNG")).decode(),
        ),
        "polygon.not_numbers",
    ),
    "a type that nobody knows": (shape(shape_type="cuboid"), "polygon.not_numbers"),
    "a line": (shape(shape_type="line", points=[[1, 2], [3, 4]]), "shape.no_area"),
    "no shape": ("shape", "shape.not_an_object"),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_a_shape_that_cannot_be_used_is_reported_and_kept_and_the_rest_is_read(
    name: str, tmp_path: Path
) -> None:
    bad, code = BAD_SHAPES[name]
    path = saved(tmp_path, bad, shape(label="physics"))
    record, problems = first(path)
    assert [each.category for each in record.artifacts] == ["physics"]
    (said,) = [each for each in problems if each.code == code]
    assert (said.file, said.image, said.region) == (str(path), "a.png", "shapes[0]")
    assert said.severity == "error"
    assert said.fix
    kept = record.extra["labelme"]
    assert len([*kept.get("rejected", []), *kept.get("other_shapes", [])]) == 1
    # Alone it still says that something is wrong, also after a round trip.
    (only,) = reads(saved(tmp_path / "only", bad))[0]
    assert (only.status, only.artifacts) == ("annotated", ())
    write([only], tmp_path / "again", Problems())
    assert reads(tmp_path / "again")[0][0].status == "annotated"
    assert reads(tmp_path / "again")[0][0].extra == only.extra


@pytest.mark.parametrize(
    ("points", "code"),
    [
        ([[-5, 2], [11, 2], [11, 12]], "polygon.outside"),
        ([[1, 2], [61, 2], [11, 12]], "polygon.outside"),
        ([[1, 1], [9, 9], [9, 1], [1, 10]], "polygon.crosses_itself"),
    ],
)
def test_an_odd_polygon_is_kept_and_reported(points: list, code: str, tmp_path: Path) -> None:
    record, problems = first(saved(tmp_path, shape(points=points)))
    assert len(record.artifacts) == 1
    (said,) = [each for each in problems if each.code == code]
    assert (said.severity, said.region) == ("warning", "shapes[0]")


def test_repeated_ids_are_told_apart(tmp_path: Path) -> None:
    record, problems = first(saved(tmp_path, shape(artifact_id="a"), shape(artifact_id="a")))
    assert [each.artifact_id for each in record.artifacts] == ["a", "a-2"]
    assert codes(problems)["id.repeated"] == 1


@pytest.mark.parametrize("content", ["", "{", '{"shapes": [', "[]", '{"other": 1}', "\x00"])
def test_a_broken_file_does_not_stop_the_folder(content: str, tmp_path: Path) -> None:
    saved(tmp_path, shape())
    (tmp_path / "b.json").write_text(content)
    records, problems = reads(tmp_path)
    assert [record.file_name for record in records] == ["a.png"]
    (said,) = [each for each in problems if each.code == "file.unreadable"]
    assert said.file == str(tmp_path / "b.json")
    with pytest.raises(FormatError, match=r"b\.json"):
        reads(tmp_path / "b.json")


def test_a_folder_without_json_is_no_dataset(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.png")
    with pytest.raises(FormatError, match="no JSON file"):
        reads(tmp_path)


SOUND = document(
    shape(artifact_id="a", phrase="the hand", group_id=1, votes=2, agreement=0.5, extra={"x": 1}),
    shape(artifact_id="a", group_id=1, points=[[1, 2], [3, 4], [1, 4]], label="physics", flags={"a": True}),
    shape(shape_type="rectangle", points=[[1, 2], [3, 4]]),
    shape(shape_type="circle", points=[[1, 2], [3, 4]]),
    shape(
        shape_type="mask",
        points=[[1, 2], [2, 3]],
        mask=base64.b64encode(encoded(Image.new("1", (2, 2), 1), "PNG")).decode(),
    ),
    image_id="ab" * 32,
    status="annotated",
    reviews=[{"rater_id": "r", "status": "annotated", "seconds": 1.5}],
    generation={"tool": "t", "seed": 3},
    extra={"y": [1]},
    artifacts_without_outline=[{"index": 0, "label": "physics", "artifact_id": "w"}],
    rejected_shapes=[{"label": 1}],
)


@settings(max_examples=150)
@given(given=spoiled(SOUND))
def test_nonsense_anywhere_costs_no_other_image(
    given: dict, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("labelme")
    saved(folder, shape(), name="z.json", imagePath="z.png")
    (folder / "a.json").write_text(json.dumps(given))
    *spoiled_records, untouched = reads(folder)[0]
    assert (untouched.file_name, len(untouched.artifacts)) == ("z.png", 1)
    for record in spoiled_records:
        encode_record(record)
    write([*spoiled_records, untouched], folder / "again", Problems())
    assert len(reads(folder / "again")[0]) == len(spoiled_records) + 1
