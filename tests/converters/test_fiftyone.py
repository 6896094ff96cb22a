"""FiftyOne dataset folders. `tests/data/fiftyone/foreign` was made by FiftyOne itself (make_foreign.py)."""

import base64
import io
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from converting import assert_same, changed, narrowed, with_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from strategies import records

from synthscars.converters import fiftyone, formats
from synthscars.converters.fiftyone_labels import _decoded
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.geometry import area
from synthscars.images import sha256
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, Generation, ImageRecord, Review

FOREIGN = Path(__file__).parents[1] / "data" / "fiftyone" / "foreign"

HAND = Artifact(
    artifact_id="r1",
    category="structure",
    subtype="deformed",
    polygons=((6.0, 4.0, 30.0, 4.0, 30.0, 20.0),),
    phrase="the left hand",
    explanation="It has six fingers.",
    rater_id="rater-1",
    votes=2,
    agreement=0.75,
    extra={"tool": {"$date": "no date", "a.b": [1, None]}},
)
RECORD = ImageRecord(
    image_id="",
    file_name="",
    width=60,
    height=40,
    content_type="human",
    status="annotated",
    caption="Upon examining the image.",
    artifacts=(HAND,),
    reviews=(Review(rater_id="rater-1", status="annotated", seconds=2.5, extra={"_cls": "x"}),),
    generation=Generation(tool="ComfyUI", seed=2**64 - 1, raw={"a.b": "{}", "$x": ""}),
    split="train",
    extra={"_cls": "Evil", "\0": 1},
)


def read(folder: Path) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(fiftyone.read(folder, problems)), problems


def write(found: list[ImageRecord], target: Path, pictures: Path | None = None) -> Problems:
    problems = Problems()
    how = {"pictures": TargetPictures(by_hash([pictures]))} if pictures else {}
    assert fiftyone.write(found, target, problems, **how) == len(found)
    return problems


def samples(folder: Path) -> list[dict]:
    return json.loads((folder / "samples.json").read_text("utf-8"))["samples"]


def folder_with(folder: Path, *found: object, **metadata: object) -> Path:
    """A dataset folder with these samples, on images of 60 x 40 pixels that are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps({"name": "x", "version": "1.22.1", **metadata}))
    (folder / "samples.json").write_text(json.dumps({"samples": list(found)}))
    return folder


def sample(name: str, **fields: object) -> dict:
    return {
        "filepath": f"data/{name}",
        "metadata": {"_cls": "ImageMetadata", "width": 60, "height": 40},
        **fields,
    }


def polyline(points: object, **fields: object) -> dict:
    return {"_cls": "Polyline", "label": "structure", "points": points, "closed": True, **fields}


def polylines(*labels: object) -> dict:
    return {"_cls": "Polylines", "polylines": list(labels)}


def packed(array: np.ndarray) -> dict:
    """A mask as FiftyOne stores it."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    data = base64.b64encode(zlib.compress(file.getvalue())).decode()
    return {"$binary": {"base64": data, "subType": "00"}}


def codes(problems: Problems) -> list[tuple[str, str, str]]:
    return [(one.code, one.image, one.region) for one in problems]


TRIANGLE = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]
RING = (6.0, 4.0, 30.0, 4.0, 30.0, 20.0)


# A folder that FiftyOne wrote


def test_a_folder_of_fiftyone_is_read_with_all_its_kinds_of_regions() -> None:
    (hand, sky), problems = read(FOREIGN)
    assert hand.image_id == sha256((FOREIGN / "data" / "hand.png").read_bytes())
    assert (hand.width, hand.height, hand.split, hand.status) == (60, 40, "test", "annotated")
    assert hand.content_type == "human"
    structure, glitch, box, mask, class_1, class_7 = hand.artifacts
    assert structure == Artifact(
        artifact_id="6b059b075654b255ad7671ed",
        category="structure",
        polygons=((6.0, 4.0, 30.0, 4.0, 30.0, 20.0),),
        phrase="the left hand",
        explanation="six fingers",
        extra={"fiftyone": {"field": "ground_truth", "attributes": {"tags": ["hard"], "mood": "odd"}}},
    )
    # The second ring of a filled polyline is a hole to FiftyOne.
    assert area(glitch.polygons) == pytest.approx(24 * 16 - 12 * 8)
    assert glitch.extra["label"] == "glitch"
    assert box.polygons == ((30.0, 10.0, 45.0, 10.0, 45.0, 30.0, 30.0, 30.0),)
    assert box.extra["fiftyone"] == {"field": "predictions", "attributes": {"confidence": 0.75}}
    assert (mask.category, mask.subtype) == ("distortion", "noise_blurring")
    assert area(mask.polygons) == 20 * 10 - 2 * 4
    assert all(value == int(value) for ring in mask.polygons for value in ring)
    assert (class_1.category, area(class_1.polygons)) == ("distortion", 100)
    assert (class_7.extra["label"], area(class_7.polygons)) == ("sky", 25)
    assert sky.status == "unlabelled"
    assert codes(problems) == [
        ("label.unknown", "hand.png", "ground_truth[1]"),
        ("polyline.open", "hand.png", "ground_truth[2]"),
        ("label.unknown", "hand.png", "classes"),
        ("field.no_region", "", ""),
    ]
    assert all(one.file and one.fix for one in problems)


def test_what_records_have_no_place_for_is_written_again_as_fields_of_fiftyone(tmp_path: Path) -> None:
    found, _ = read(FOREIGN)
    assert not len(write(found, tmp_path / "out", FOREIGN / "data"))
    before, after = samples(FOREIGN)[0], samples(tmp_path / "out")[0]
    for name in ("reviewer", "score", "points"):
        assert after[name] == before[name]
    assert after["_id"] == before["_id"]
    assert sorted(after["tags"]) == sorted(before["tags"])
    assert [len(after[name]["polylines"]) for name in ("ground_truth", "predictions", "classes")] == [2, 2, 2]
    assert after["ground_truth"]["polylines"][0]["mood"] == "odd"
    again, problems = read(tmp_path / "out")
    assert_same(again, found, fiftyone.HOLDS)
    assert [one.extra for one in again] == [one.extra for one in found]
    assert [one.extra for image in again for one in image.artifacts] == [
        one.extra for image in found for one in image.artifacts
    ]
    assert not problems.failed


def test_a_folder_with_a_file_for_each_sample_is_read_alike(tmp_path: Path) -> None:
    folder = tmp_path / "dirs"
    (folder / "samples").mkdir(parents=True)
    (folder / "metadata.json").write_bytes((FOREIGN / "metadata.json").read_bytes())
    for number, each in enumerate(samples(FOREIGN)):
        (folder / "samples" / f"{number:06d}-x.json").write_text(json.dumps(each))
    assert formats.detect(folder).name == "fiftyone"
    found = [one.artifacts for one in read(folder)[0]]
    assert found == [one.artifacts for one in read(FOREIGN)[0]]


# What FiftyOne's importer wants (fiftyone/utils/data/importers.py, core/odm/dataset.py of 1.22)


KINDS = {
    "StringField": str,
    "BooleanField": bool,
    "IntField": int,
    "FloatField": (int, float),
    "ListField": list,
    "PolylinePointsField": list,
    "EmbeddedDocumentField": dict,
    "DictField": dict,
}
OF_A_FIELD = {
    "name",
    "ftype",
    "embedded_doc_type",
    "subfield",
    "fields",
    "db_field",
    "description",
    "info",
    "read_only",
}


def assert_fits(document: dict, declared: list[dict]) -> None:
    """Every key of a document is declared, and has a value of the declared type, or none."""
    by_key = {field["db_field"]: field for field in declared}
    for key, value in document.items():
        if key == "_cls":
            continue
        field = by_key[key]
        assert set(field) == OF_A_FIELD
        kind = field["ftype"].removeprefix("fiftyone.core.fields.")
        if value is None:
            continue
        if kind == "ObjectIdField":
            assert re.fullmatch("[0-9a-f]{24}", value["$oid"])
            continue
        assert isinstance(value, KINDS[kind]), (key, value)
        if kind == "IntField":
            assert -(2**63) <= value < 2**63
        inner = [value] if kind == "EmbeddedDocumentField" else value if field["embedded_doc_type"] else []
        if kind == "ListField" and field["subfield"] == "fiftyone.core.fields.StringField":
            assert all(isinstance(entry, str) for entry in value)
        for entry in inner:
            if entry:
                assert field["embedded_doc_type"].rpartition(".")[2] == entry["_cls"] or kind == "ListField"
                assert_fits(entry, field["fields"])


@settings(max_examples=40)
@given(found=st.lists(records(), max_size=3))
def test_any_records_make_documents_that_the_importer_takes(found, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("f") / "out"
    write(found, folder)
    metadata = json.loads((folder / "metadata.json").read_text())
    # It goes up from older versions, and refuses newer ones.
    assert metadata["version"] == "1.0.0"
    assert metadata["media_type"] == "image"
    names = [field["name"] for field in metadata["sample_fields"]]
    assert len(names) == len(set(names))
    written = samples(folder)
    assert len({each["_id"]["$oid"] for each in written}) == len(found)
    for each in written:
        assert_fits(each, metadata["sample_fields"])
        assert each["filepath"].startswith("data/")
        assert each["_media_type"] == "image"
        assert isinstance(each["tags"], list)
        assert 0 <= each["_rand"] < 1


def test_a_sample_shows_everything_by_its_own_name(tmp_path: Path) -> None:
    record = with_picture(RECORD, tmp_path / "pics", "a.png")
    write([record], tmp_path / "out", tmp_path / "pics")
    (found,) = samples(tmp_path / "out")
    assert (tmp_path / "out" / found["filepath"]).read_bytes() == (tmp_path / "pics" / "a.png").read_bytes()
    assert found["tags"] == ["train"]
    assert found["metadata"] == {
        "_cls": "ImageMetadata",
        "size_bytes": (tmp_path / "pics" / "a.png").stat().st_size,
        "mime_type": "image/png",
        "width": 60,
        "height": 40,
        "num_channels": None,
    }
    assert {name: found[name] for name in ("status", "content_type", "origin", "split")} == {
        "status": "annotated",
        "content_type": "human",
        "origin": "synthetic",
        "split": "train",
    }
    (label,) = found["artifacts"]["polylines"]
    assert label["points"] == [[[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]]
    assert label["closed"] is label["filled"] is True
    expected = {
        "label": "structure",
        "subtype": "deformed",
        "phrase": "the left hand",
        "explanation": "It has six fingers.",
        "rater_id": "rater-1",
        "votes": 2,
        "agreement": 0.75,
    }
    assert {name: label[name] for name in expected} == expected
    assert_same(read(tmp_path / "out")[0], [record], fiftyone.HOLDS)


def test_clean_and_unlabelled_images_differ(tmp_path: Path) -> None:
    found = [
        changed(RECORD, artifacts=(), reviews=(), status=status, image_id=status, file_name=f"{status}.png")
        for status in ("clean", "unlabelled", "skipped")
    ]
    write(found, tmp_path / "out")
    clean, unlabelled, _ = samples(tmp_path / "out")
    assert clean["artifacts"] == {"_cls": "Polylines", "polylines": []}
    assert "artifacts" not in unlabelled
    assert [one.status for one in read(tmp_path / "out")[0]] == ["clean", "unlabelled", "skipped"]


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    record = with_picture(RECORD, tmp_path / "pics", "a.png")
    for name in ("1/out", "2/out"):
        write([record], tmp_path / name, tmp_path / "pics")
    for file in ("samples.json", "metadata.json"):
        assert (tmp_path / "1/out" / file).read_bytes() == (tmp_path / "2/out" / file).read_bytes()


def test_fiftyone_itself_opens_the_folder_and_exports_it_unchanged(tmp_path: Path) -> None:
    fo = pytest.importorskip("fiftyone")
    record = with_picture(RECORD, tmp_path / "pics", "a.png")
    write([record], tmp_path / "out", tmp_path / "pics")
    try:
        dataset = fo.Dataset.from_dir(
            dataset_dir=str(tmp_path / "out"), dataset_type=fo.types.FiftyOneDataset
        )
    except fo.core.config.FiftyOneConfigError as error:
        pytest.skip(f"FiftyOne has no MongoDB: {error}")
    assert dataset.count_values("artifacts.polylines.phrase") == {"the left hand": 1}
    assert dataset.first().artifacts.polylines[0].explanation == "It has six fingers."
    dataset.export(str(tmp_path / "again"), dataset_type=fo.types.FiftyOneDataset)
    assert_same(read(tmp_path / "again")[0], narrowed([record], fiftyone.HOLDS), fiftyone.HOLDS)


# People edit in FiftyOne


def edited(tmp_path: Path, record: ImageRecord, change) -> tuple[ImageRecord, Problems]:
    write([record], tmp_path / "out")
    (found,) = samples(tmp_path / "out")
    change(found)
    (read_again,), problems = read(folder_with(tmp_path / "edited", found))
    return read_again, problems


def test_a_region_that_was_added_to_a_clean_image_makes_it_annotated(tmp_path: Path) -> None:
    clean = changed(RECORD, status="clean", artifacts=(), image_id="c" * 64, file_name="a.png")
    found, problems = edited(
        tmp_path, clean, lambda each: each["artifacts"]["polylines"].append(polyline([TRIANGLE]))
    )
    assert found.status == "annotated"
    assert found.artifacts[0].polygons == (RING,)
    assert [one.code for one in problems] == ["status.contradiction"]


def test_a_label_that_was_changed_takes_its_old_subtype_away(tmp_path: Path) -> None:
    found, problems = edited(
        tmp_path,
        changed(RECORD, image_id="a" * 64, file_name="a.png"),
        lambda each: each["artifacts"]["polylines"][0].update(label="physics"),
    )
    assert (found.artifacts[0].category, found.artifacts[0].subtype) == ("physics", None)
    assert [one.code for one in problems] == ["subtype.mismatch"]


def test_tags_and_fields_that_were_added_are_kept(tmp_path: Path) -> None:
    found, _ = edited(
        tmp_path,
        changed(RECORD, image_id="a" * 64, file_name="a.png"),
        lambda each: each.update(tags=["train", "to check"], uniqueness=0.5),
    )
    assert found.split == "train"
    assert found.extra["fiftyone"] == {"tags": ["to check"], "fields": {"uniqueness": 0.5}}


# What is wrong


def test_bad_regions_are_reported_with_field_and_number_and_the_rest_is_converted(tmp_path: Path) -> None:
    good = polyline([TRIANGLE], artifact_id="good")
    bad = [
        polyline([TRIANGLE[:2]]),
        polyline([[[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]]),
        polyline([[[0.1, "x"], [0.2, 0.2], [0.3, 0.3]]]),
        polyline([[[0.1, 0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]]),
        polyline([[[{"$numberDouble": "NaN"}, 0.1], [0.2, 0.2], [0.3, 0.3]]]),
        polyline("everywhere"),
        polyline([]),
        polyline([TRIANGLE], closed=False),
        17,
        {"_cls": "Detection", "bounding_box": [0.1, 0.1, 0.5]},
        {"_cls": "Detection", "bounding_box": [0.1, 0.1, 0, 0.5]},
        {"_cls": "Detection", "bounding_box": [0, 0, 0.5, 0.5], "mask": packed(np.zeros((4, 4), bool))},
    ]
    folder = folder_with(
        tmp_path, sample("a.png", odd=polylines(*bad, good)), sample("b.png", status="clean")
    )
    (found, other), problems = read(folder)
    assert [one.artifact_id for one in found.artifacts] == ["good"]
    assert found.status == "annotated"
    assert len(found.extra["fiftyone"]["rejected"]) == len(bad)
    assert codes(problems) == [
        ("polygon.few_points", "a.png", "odd[0]"),
        ("polygon.no_area", "a.png", "odd[1]"),
        ("polygon.not_numbers", "a.png", "odd[2]"),
        ("polygon.not_numbers", "a.png", "odd[3]"),
        ("polygon.not_numbers", "a.png", "odd[4]"),
        ("polygon.not_numbers", "a.png", "odd[5]"),
        ("polygon.not_numbers", "a.png", "odd[6]"),
        ("polyline.open", "a.png", "odd[7]"),
        ("label.not_an_object", "a.png", "odd[8]"),
        ("region.bad_box", "a.png", "odd[9]"),
        ("region.bad_box", "a.png", "odd[10]"),
        ("region.empty_mask", "a.png", "odd[11]"),
    ]
    assert all(one.file == str(folder) and one.fix for one in problems)
    assert (other.status, other.artifacts) == ("clean", ())


def test_regions_that_reach_outside_or_cross_themselves_are_kept_with_a_warning(tmp_path: Path) -> None:
    labels = [
        polyline([[[-0.1, 0.1], [0.5, 0.1], [0.5, 1.5]]]),
        polyline([[[0.1, 0.1], [0.5, 0.5], [0.5, 0.1], [0.1, 0.6]]]),
    ]
    (found,), problems = read(folder_with(tmp_path, sample("a.png", artifacts=polylines(*labels))))
    assert len(found.artifacts) == 2
    assert [one.code for one in problems] == ["polygon.outside", "polygon.crosses_itself"]


@pytest.mark.parametrize(
    ("x", "code", "artifacts"),
    [(5, "polygon.outside", 1), (-0.5, "polygon.outside", 1), (1e299, "polygon", 0)],
)
def test_a_mask_that_lies_outside_the_image_is_told(
    x: float, code: str, artifacts: int, tmp_path: Path
) -> None:
    box = {"_cls": "Detection", "label": "structure", "bounding_box": [x, 0, 0.5, 0.5]}
    found = {"_cls": "Detections", "detections": [{**box, "mask": packed(np.ones((20, 30), bool))}]}
    (record,), problems = read(folder_with(tmp_path, sample("a.png", boxes=found)))
    assert (len(record.artifacts), record.status) == (artifacts, "annotated")
    (said,) = problems
    assert said.code.startswith(code)
    assert said.region == "boxes[0]"


def test_of_several_rings_the_good_ones_are_kept(tmp_path: Path) -> None:
    label = polyline([TRIANGLE, TRIANGLE[:1]])
    (found,), problems = read(folder_with(tmp_path, sample("a.png", artifacts=polylines(label))))
    assert found.artifacts[0].polygons == (RING,)
    assert found.artifacts[0].extra["fiftyone"] == {"rejected_points": [TRIANGLE[:1]]}
    assert [one.code for one in problems] == ["polygon.few_points"]


def test_without_a_size_regions_are_set_aside(tmp_path: Path) -> None:
    raw = sample("a.png", artifacts=polylines(polyline([TRIANGLE])), metadata=None)
    (found,), problems = read(folder_with(tmp_path, raw))
    assert (found.artifacts, found.status) == ((), "annotated")
    assert codes(problems) == [("image.no_size", "a.png", "artifacts[0]")]


def test_repeated_ids_are_told_apart(tmp_path: Path) -> None:
    label = polyline([TRIANGLE], _id={"$oid": "a" * 24})
    (found,), problems = read(folder_with(tmp_path, sample("a.png", artifacts=polylines(label, label))))
    assert [one.artifact_id for one in found.artifacts] == ["a" * 24, "a" * 24 + "-2"]
    assert [one.code for one in problems] == ["id.repeated"]


def test_videos_and_frames_are_reported_and_not_read(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, sample("a.mp4", _media_type="video"), sample("b.png", _media_type="image"))
    (folder / "frames.json").write_text('{"frames": []}')
    (found,), problems = read(folder)
    assert found.file_name == "b.png"
    assert [one.code for one in problems] == ["frames.ignored", "sample.not_an_image"]


def test_a_missing_image_keeps_the_size_that_the_sample_has(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, sample("a.png", artifacts=polylines(polyline([TRIANGLE]))))
    (folder / "data").mkdir()
    (found,), problems = read(folder)
    assert (found.width, found.height) == (60, 40)
    assert [one.code for one in problems] == ["image.missing"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.png", "data/../../secret.png", "~/x.png", "a\0b"])
def test_no_file_outside_the_folder_is_looked_at(name: str, tmp_path: Path) -> None:
    Image.new("L", (20, 20), 255).save(tmp_path / "secret.png")
    folder = tmp_path / "ds"
    mask = {"_cls": "Detection", "bounding_box": [0, 0, 0.5, 0.5], "mask_path": name}
    raw = sample("x.png", found={"_cls": "Detections", "detections": [mask]})
    folder_with(folder, {**raw, "filepath": name})
    (folder / "data").mkdir()
    (found,), problems = read(folder)
    assert found.image_id != sha256((tmp_path / "secret.png").read_bytes())
    assert [one.code for one in problems] == ["image.missing", "mask.unreadable"]
    assert found.artifacts[0].polygons == ((0.0, 0.0, 30.0, 0.0, 30.0, 20.0, 0.0, 20.0),)


def test_masks_in_files_are_read(tmp_path: Path) -> None:
    folder = folder_with(
        tmp_path,
        sample(
            "a.png",
            boxes={
                "_cls": "Detections",
                "detections": [
                    {
                        "_cls": "Detection",
                        "label": "physics",
                        "bounding_box": [0, 0, 0.5, 0.5],
                        "mask_path": "fields/m.png",
                    }
                ],
            },
        ),
    )
    (folder / "fields").mkdir()
    mask = np.zeros((10, 10), np.uint8)  # half as large as its box, which is scaled up
    mask[2:4, 5:9] = 255
    Image.fromarray(mask).save(folder / "fields" / "m.png")
    (found,), problems = read(folder)
    assert area(found.artifacts[0].polygons) == pytest.approx(2 * 2 * 4 * 3)
    assert not len(problems)


def test_no_mask_can_run_code_or_fill_the_memory() -> None:
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    boast = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        boast, {"descr": "|b1", "fortran_order": False, "shape": (10**6, 10**6)}
    )
    bomb = zlib.compress(b"\0" * 2**28 + b"\0" * 2**20, 9)
    for data, says in (
        (zlib.compress(pickled.getvalue()), "type object"),
        (zlib.compress(boast.getvalue()), "declares shape"),
        (bomb, "larger than 256 MiB"),
        (b"no zlib", "cannot be decoded"),
        (zlib.compress(b"no npy"), "cannot be decoded"),
        (zlib.compress(b"\x93NUMPY\x01\x00v\x00{'descr': __import__('os')}"), "cannot be decoded"),
    ):
        found = _decoded({"$binary": {"base64": base64.b64encode(data).decode(), "subType": "00"}})
        assert isinstance(found, str)
        assert says in found
    for junk in (None, 3, {}, {"$binary": {}}, "not base64!"):
        assert isinstance(_decoded(junk), str)


def test_a_damaged_file_is_refused_as_a_whole(tmp_path: Path) -> None:
    whole = (FOREIGN / "samples.json").read_bytes()
    folder_with(tmp_path)
    for content in (whole[:-100], b"", b"[]", b"{}", b'{"samples": 3}', b"\xff\xfe"):
        (tmp_path / "samples.json").write_bytes(content)
        with pytest.raises(FormatError, match=re.escape("samples.json")):
            read(tmp_path)


@pytest.mark.parametrize("depth", [700, 5000])
def test_a_sample_that_is_nested_too_deeply_costs_no_more_than_itself(depth: int, tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    deep = '{"filepath": "a.png", "x": ' + "[" * depth + "]" * depth + ', "y": NaN}'
    (folder / "samples.json").write_text('{"samples": [' + deep + ', {"filepath": "b.png"}]}')
    if depth == 5000:  # no parser takes the file
        with pytest.raises(FormatError, match="samples"):
            read(folder)
        return
    (found,), problems = read(folder)
    assert found.file_name == "b.png"
    assert codes(problems) == [("sample.unreadable", "samples[0]", "")]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(["_cls", "$oid", "$binary", "$numberInt"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


def paths(value: object, before: tuple = ()) -> list[tuple]:
    found = [before]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        found += paths(each, (*before, key))
    return found


ALL = samples(FOREIGN)
OWN = json.loads(
    json.dumps(
        sample(
            "own.png",
            status="annotated",
            generation={"_cls": "DynamicEmbeddedDocument", "seed": "7", "raw": "{}"},
            reviews=[{"_cls": "DynamicEmbeddedDocument", "rater_id": "a", "status": "clean"}],
            extra='{"fiftyone": {"rejected": []}}',
            artifacts=polylines(
                polyline([TRIANGLE], artifact_id="r1", votes=3, extra="{}", subtype="deformed")
            ),
        )
    )
)
PLACES = [(number, path) for number, each in enumerate((ALL[0], OWN)) for path in paths(each) if path]


@settings(max_examples=200)
@given(place=st.sampled_from(PLACES), junk=JUNK)
def test_nonsense_anywhere_never_raises_and_never_touches_the_other_image(
    place: tuple, junk: object, tmp_path_factory
) -> None:
    number, path = place
    raw = json.loads(json.dumps((ALL[0], OWN)[number]))
    target = raw
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = junk
    folder = folder_with(tmp_path_factory.mktemp("f"), raw, sample("b.png", status="clean"))
    found, _ = read(folder)
    assert (found[-1].file_name, found[-1].status, found[-1].artifacts) == ("b.png", "clean", ())
    # And whatever was read can be written again.
    write([one for one in found if one.width], folder / "out")
