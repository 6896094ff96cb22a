"""YOLO segmentation. `tests/data/yolo` is a dataset as docs.ultralytics.com describes it (COCO8-seg)."""

import shutil
from pathlib import Path

import pytest
import yaml
from converting import changed
from pictures import picture
from yolo_datasets import BOX, GOLDEN, LINE, codes, dataset, drawn, reads, record_of, writes

from synthscars.converters import formats
from synthscars.converters.yolo import read
from synthscars.images import sha256
from synthscars.problems import Problems, WorkspaceError
from synthscars.records import ImageRecord

# The layout of Ultralytics


def test_the_golden_dataset_is_read() -> None:
    problems = Problems()
    expected = [
        ("clean.png", "clean", "train", ()),
        (
            "hand.jpg",
            "annotated",
            "train",
            (drawn(), drawn((8.0, 8.0, 14.0, 8.0, 11.0, 15.0), artifact_id="2", category="physics")),
        ),
        ("waiting.png", "unlabelled", "train", ()),
        (
            "sign.png",
            "annotated",
            "validation",
            (
                drawn((2.0, 4.0, 8.0, 4.0, 8.0, 12.0), subtype="text_distortion"),
                drawn(
                    (0.0, 0.0, 16.0, 0.0, 16.0, 16.0, 0.0, 16.0),
                    artifact_id="2",
                    category=None,
                    extra={"label": "cat"},
                ),
            ),
        ),
    ]
    found = list(read(GOLDEN, problems))
    for record, (name, status, split, artifacts) in zip(found, expected, strict=True):
        folder = "val" if split == "validation" else split
        path = GOLDEN / "images" / folder / name
        assert record == ImageRecord(
            image_id=sha256(path.read_bytes()),
            file_name=name,
            width=16,
            height=16,
            status=status,
            split=split,
            artifacts=artifacts,
            source=f"images/{folder}/{name}",
        )
    (said,) = problems
    assert (said.code, said.image, said.region) == ("label.unknown", "images/val/sign.png", "line 2")
    assert said.file.endswith("labels/val/sign.txt")


def test_the_golden_dataset_is_written_again_with_the_same_labels(tmp_path: Path) -> None:
    writes(reads(GOLDEN)[0], tmp_path / "out", GOLDEN / "images")
    texts = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_text().split()
        for path in (tmp_path / "out" / "labels").rglob("*.txt")
    }
    # Classes 0 to 2 are the taxonomy's; the subtype becomes its category, and `cat` follows them.
    assert texts == {
        "labels/train/clean.txt": [],
        "labels/train/hand.txt": (GOLDEN / "labels/train/hand.txt").read_text().split(),
        "labels/val/sign.txt": ("1 " + (GOLDEN / "labels/val/sign.txt").read_text()[2:]).split(),
    }
    config = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert config == {
        "train": "images/train",
        "val": "images/val",
        "names": {0: "physics", 1: "structure", 2: "distortion", 3: "cat"},
    }
    found, again = reads(GOLDEN)[0], reads(tmp_path / "out")[0]
    plain = {"source": "", "artifacts": ()}
    key = lambda one: one.image_id  # noqa: E731
    for one, other in zip(sorted(found, key=key), sorted(again, key=key), strict=True):
        assert changed(one, **plain) == changed(other, **plain)
        assert [a.polygons for a in one.artifacts] == [a.polygons for a in other.artifacts]
        assert [a.category or a.extra for a in one.artifacts] == [
            a.category or a.extra for a in other.artifacts
        ]


def test_it_is_recognised_with_and_without_data_yaml(tmp_path: Path) -> None:
    assert formats.detect(GOLDEN).name == "yolo"
    assert formats.detect(GOLDEN / "data.yaml").name == "yolo"
    shutil.copytree(GOLDEN / "labels", tmp_path / "labels")
    assert formats.detect(tmp_path).name == "yolo"


def test_images_without_a_split_are_trained_on_and_come_back_without_one(tmp_path: Path) -> None:
    records = [
        record_of(drawn(), folder=tmp_path, name="a.png", split="train"),
        record_of(drawn(), folder=tmp_path, name="bb.png"),
        record_of(drawn(), folder=tmp_path, name="ccc.png", split="fold 3"),
    ]
    problems = writes(records, tmp_path / "out", tmp_path / "pictures")
    config = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert config["train"] == ["images/train", "images/unsplit"]
    found, said = reads(tmp_path / "out")
    assert {one.file_name: one.split for one in found} == {"a.png": "train", "bb.png": "", "ccc.png": ""}
    assert codes(problems)["loss.split"] == 1
    assert not said


def test_unlabelled_images_are_kept_where_nobody_trains_on_them_as_if_they_were_clean(tmp_path) -> None:
    records = [
        record_of(folder=tmp_path, name="a.png", split="train"),
        record_of(folder=tmp_path, name="bb.png", split="validation", status="unlabelled"),
    ]
    writes(records, tmp_path / "out", tmp_path / "pictures")
    config = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    trained = {path.name for path in (tmp_path / "out").glob("images/*/*.png")}
    assert trained == {"a.png"}
    assert "unlabelled" not in str(config)
    found, _ = reads(tmp_path / "out")
    assert {(one.file_name, one.status, one.split) for one in found} == {
        ("a.png", "clean", "train"),
        ("bb.png", "unlabelled", "validation"),
    }


def test_an_unlabelled_image_without_its_file_is_left_out_and_counted(tmp_path: Path) -> None:
    problems = writes([record_of(folder=tmp_path, status="unlabelled")], tmp_path / "out", None, "none")
    assert reads(tmp_path / "out")[0] == []
    (said,) = [one for one in problems if one.code == "loss.status"]
    assert (said.severity, said.count) == ("warning", 1)


def test_skipped_images_are_left_out_since_they_would_count_as_clean(tmp_path: Path) -> None:
    problems = writes([record_of(folder=tmp_path, status="skipped")], tmp_path / "out", tmp_path / "pictures")
    assert codes(problems)["loss.status"] == 1
    assert not list((tmp_path / "out").rglob("*.png"))


def test_names_that_ultralytics_would_not_take_for_images_get_a_suffix(tmp_path: Path) -> None:
    record = record_of(drawn(), folder=tmp_path)
    records = [changed(record, file_name="photo.final"), record_of(drawn(), folder=tmp_path, name="bb.png")]
    problems = writes(records, tmp_path / "out", tmp_path / "pictures")
    assert {one.file_name for one in reads(tmp_path / "out")[0]} == {"photo.final.png", "bb.png"}
    assert codes(problems)["loss.file_name"] == 1


def test_two_images_of_one_stem_get_label_files_of_their_own(tmp_path: Path) -> None:
    one = record_of(drawn(), folder=tmp_path)
    other = record_of(folder=tmp_path, name="bb.png")
    writes([one, changed(other, file_name="A.jpg")], tmp_path / "out", tmp_path / "pictures")
    found = {each.image_id: len(each.artifacts) for each in reads(tmp_path / "out")[0]}
    assert found == {one.image_id: 1, other.image_id: 0}


def test_an_existing_folder_is_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="exists already"):
        writes([], tmp_path, None)


# Layouts of other tools


def test_the_layout_of_roboflow_is_read(tmp_path: Path) -> None:
    for split, seed in (("train", 1), ("valid", 2), ("test", 3)):
        (tmp_path / split / "images").mkdir(parents=True)
        (tmp_path / split / "labels").mkdir()
        picture(seed, 16, 16).save(tmp_path / split / "images" / "a.png")
        (tmp_path / split / "labels" / "a.txt").write_text(LINE)
    text = "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['physics', 'structure']\n"
    (tmp_path / "data.yaml").write_text(text)  # no `test`, which is read all the same
    found, problems = reads(tmp_path)
    assert [(one.split, one.artifacts[0].category) for one in found] == [
        ("test", "structure"),
        ("train", "structure"),
        ("validation", "structure"),
    ]
    assert not problems


def test_label_studios_layout_without_data_yaml_is_read(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    picture(1, 16, 16).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text(LINE)
    (tmp_path / "classes.txt").write_text("Physics\nStructure\n")
    (record,), problems = reads(tmp_path)
    assert (record.split, record.artifacts[0].category) == ("", "structure")
    assert not problems


def test_classes_txt_beside_labels_is_no_label(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    before, _ = reads(folder)
    for place in folder.glob("labels/*"):
        (place / "classes.txt").write_text("physics\nstructure\n")
    found, problems = reads(folder)
    assert found == before
    assert not problems


def test_the_labels_of_an_image_called_classes_are_not_lost(tmp_path: Path) -> None:
    record = record_of(drawn(), folder=tmp_path, name="classes.png")
    writes([record], tmp_path / "out", None)
    (label,) = (tmp_path / "out" / "labels").rglob("*.txt")
    assert label.stem == record.image_id
    label.rename(label.with_name("classes.txt"))  # as others write it
    (found,), _ = reads(tmp_path / "out", images=tmp_path / "pictures")
    assert len(found.artifacts) == 1


def test_lists_of_images_and_labels_beside_images_are_read(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    picture(1, 16, 16).save(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "a.txt").write_text(LINE)
    (tmp_path / "train.txt").write_text("./photos/a.png\n/home/somebody/scars/photos/b.png\n")
    (tmp_path / "data.yaml").write_text("train: train.txt\nval: photos\nnames: {1: structure}\n")
    (record,), problems = reads(tmp_path)
    assert (record.split, len(record.artifacts)) == ("", 1)
    assert codes(problems) == {"split.several": 1}


def test_a_dataset_is_read_by_its_data_yaml(tmp_path: Path) -> None:
    assert len(reads(dataset(tmp_path) / "data.yaml")[0]) == 2


def test_images_that_lie_elsewhere_are_found_by_their_place_or_name(tmp_path: Path) -> None:
    root = dataset(tmp_path / "data")
    (root / "images").rename(tmp_path / "photos")
    found, problems = reads(root, images=tmp_path / "photos")
    assert [(one.file_name, one.width, len(one.artifacts)) for one in found] == [
        ("a.png", 16, 1),
        ("b.png", 16, 1),
    ]
    assert codes(problems) == {"split.missing": 1}


def test_boxes_are_read_as_rectangles(tmp_path: Path) -> None:
    found, problems = reads(dataset(tmp_path, "1 0.5 0.375 0.5 0.5\n0 0.5 0.375 0.5 0.5 0.875\n"))
    assert [one.polygons for one in found[0].artifacts] == [(BOX,), (BOX,)]
    assert found[0].artifacts[1].extra == {"yolo": {"confidence": 0.875}}
    assert not problems


def test_a_box_among_outlines_is_reported_since_ultralytics_reads_it_as_two_points(tmp_path: Path) -> None:
    found, problems = reads(dataset(tmp_path, f"1 0.5 0.375 0.5 0.5\n{LINE}\n"))
    assert [one.polygons for one in found[0].artifacts] == [(BOX,), (BOX,)]
    assert codes(problems) == {"region.box": 1}
