"""YOLO segmentation. `tests/data/yolo` is a dataset as docs.ultralytics.com describes it (COCO8-seg)."""

import math
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml
from converting import changed, with_picture
from hypothesis import given
from hypothesis import strategies as st
from pictures import picture
from PIL import Image

from synthscars.converters import formats
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.converters.yolo import read, write
from synthscars.images import sha256
from synthscars.problems import FormatError, Problems, WorkspaceError
from synthscars.records import Artifact, ImageRecord

GOLDEN = Path(__file__).parent.parent / "data" / "yolo"
BOX = (4.0, 2.0, 12.0, 2.0, 12.0, 10.0, 4.0, 10.0)
LINE = "1 0.25 0.125 0.75 0.125 0.75 0.625 0.25 0.625"


def reads(source: Path, **options: object) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(read(source, problems, **options)), problems


def writes(records: list[ImageRecord], target: Path, images: Path | None, how="copy") -> Problems:
    problems = Problems()
    find = by_hash([images] if images else [])
    write(records, target, problems, pictures=TargetPictures(find, how))
    return problems


def codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


def dataset(folder: Path, lines: str = LINE, names: str = "[physics, structure]") -> Path:
    """A dataset of two images of 16 x 16 pixels, `a` and `b`; `lines` are the labels of `a`."""
    for place, seed in (("a", 1), ("b", 2)):
        (folder / "images" / "train").mkdir(parents=True, exist_ok=True)
        picture(seed, 16, 16).save(folder / "images" / "train" / f"{place}.png")
        (folder / "labels" / "train").mkdir(parents=True, exist_ok=True)
        (folder / "labels" / "train" / f"{place}.txt").write_text(lines if place == "a" else LINE)
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {names}\n")
    (folder / "images" / "val").mkdir(exist_ok=True)
    return folder


def record_of(*artifacts: Artifact, folder: Path, name: str = "a.png", **fields: object) -> ImageRecord:
    status = "annotated" if artifacts else "clean"
    fields = {
        "file_name": name,
        "width": 16,
        "height": 16,
        "status": status,
        "artifacts": artifacts,
        **fields,
    }
    return with_picture(ImageRecord(image_id="", **fields), folder / "pictures", name, len(name))


def drawn(ring: tuple[float, ...] = BOX, **fields: object) -> Artifact:
    return Artifact(**{"artifact_id": "1", "category": "structure", "polygons": (ring,), **fields})


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


# What Ultralytics checks, restated from `verify_image_label` and `check_det_dataset` (ultralytics 8.4)


def accepted(root: Path) -> Counter[str]:
    """Images by what Ultralytics would make of them; raises where it would refuse a file."""
    config = yaml.safe_load((root / "data.yaml").read_text())
    assert {"train", "val", "names"} <= config.keys()
    names = dict(enumerate(config["names"])) if isinstance(config["names"], list) else config["names"]
    assert sorted(names) == list(range(len(names)))
    found: Counter[str] = Counter()
    for key in ("train", "val", "test"):
        folders = config.get(key) or []
        for folder in folders if isinstance(folders, list) else [folders]:
            assert (root / folder).is_dir()
            for image in (root / folder).rglob("*.*"):
                label = Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt")
                rows = [line.split() for line in label.read_text().strip().splitlines()]
                found["images"] += 1
                found["background"] += not rows
                for row in rows:
                    values = [float(word) for word in row]
                    assert len(values) > 6
                    assert len(values) % 2 == 1
                    assert max(values[1:]) <= 1.01
                    assert min(values) >= -0.01
                    assert int(row[0]) < len(names)
                    found["segments"] += 1
                assert len(set(map(tuple, rows))) == len(rows)
    return found


def test_what_is_written_passes_the_checks_of_ultralytics(tmp_path: Path) -> None:
    nearly = (-1e-7, 2.0, 16.0 + 1e-7, 2.0, 12.0, 10.0)
    outside = (8.0, 8.0, 40.0, 8.0, 40.0, 12.0, 8.0, 12.0)
    records = [
        record_of(drawn(), drawn(nearly, category=None), folder=tmp_path, split="train"),
        record_of(drawn(outside), folder=tmp_path, name="bb.png", split="validation"),
        record_of(folder=tmp_path, name="ccc.png", split="test"),
        record_of(folder=tmp_path, name="dddd.png", status="unlabelled", split="test"),
    ]
    problems = writes(records, tmp_path / "out", tmp_path / "pictures")
    assert accepted(tmp_path / "out") == {"images": 3, "background": 1, "segments": 3}
    (said,) = [one for one in problems if one.code == "polygon.outside"]
    assert (said.image, said.region) == (records[1].image_id, "artifact 1")
    found = next(one for one in reads(tmp_path / "out")[0] if one.file_name == "bb.png")
    xs, ys = found.artifacts[0].polygons[0][::2], found.artifacts[0].polygons[0][1::2]
    assert (min(xs), min(ys), max(xs), max(ys)) == (8, 8, 16, 12)


def test_the_golden_dataset_passes_them_as_well(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "golden")
    (tmp_path / "golden" / "images" / "train" / "waiting.png").unlink()
    assert accepted(tmp_path / "golden") == {"images": 3, "background": 1, "segments": 4}


def test_an_outline_that_cannot_be_drawn_leaves_no_clean_image_behind(tmp_path: Path) -> None:
    outside = (20.0, 20.0, 30.0, 20.0, 30.0, 30.0)
    for number, ring in enumerate([(1.0, 1.0, 2.0, 2.0), outside]):
        target = tmp_path / f"out{number}"
        problems = writes([record_of(drawn(ring), folder=tmp_path)], target, tmp_path / "pictures")
        assert codes(problems)["loss.artifact.outline"] == 1
        assert codes(problems)["loss.status"] == 1
        assert not list(target.rglob("*.txt"))


def test_what_yolo_does_not_hold_is_counted(tmp_path: Path) -> None:
    artifact = drawn(phrase="the hand", explanation="Six fingers.", rater_id="anna", subtype="deformed")
    two = changed(artifact, polygons=(BOX, (1.0, 1.0, 3.0, 1.0, 3.0, 3.0)))
    record = record_of(two, folder=tmp_path, caption="A man.", license="CC0-1.0", group_id="g")
    problems = writes([record], tmp_path / "out", tmp_path / "pictures")
    losses = {one.code for one in problems if one.code.startswith("loss.")}
    assert losses == {
        *("loss.caption", "loss.license", "loss.group_id", "loss.artifact.phrase", "loss.artifact.rings"),
        *(
            "loss.artifact.artifact_id",
            "loss.artifact.explanation",
            "loss.artifact.rater_id",
            "loss.artifact.subtype",
        ),
    }
    (found,) = reads(tmp_path / "out")[0]
    assert [one.polygons for one in found.artifacts] == [(ring,) for ring in two.polygons]


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


# Malformed datasets


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("1 0.25 0.125 0.75", "polygon.odd"),
        ("1 0.25 0.125 0.75 0.125 0.75 0.625 0.25", "polygon.odd"),
        ("1 0.25 0.125", "polygon.few_points"),
        ("1", "polygon.few_points"),
        ("1 0.5 0.5 0 0.5", "polygon.no_area"),
        ("1 0.1 0.1 0.2 0.2 0.3 0.3", "polygon.no_area"),
        ("1 nan 0.125 0.75 0.125 0.75 0.625", "polygon.not_numbers"),
        ("1 0.25 inf 0.75 0.125 0.75 0.625", "polygon.not_numbers"),
        ("1 0.25 x 0.75 0.125 0.75 0.625", "polygon.not_numbers"),
        ("1 a b c d", "polygon.not_numbers"),
        ("1 4 2 12 2 12 10", "polygon.not_normalised"),
        ("1.5 0.25 0.125 0.75 0.125 0.75 0.625", "class.wrong"),
        ("-1 0.25 0.125 0.75 0.125 0.75 0.625", "class.wrong"),
        ("nan 0.25 0.125 0.75 0.125 0.75 0.625", "class.wrong"),
        ("structure 0.25 0.125 0.75 0.125 0.75 0.625", "class.wrong"),
    ],
)
def test_a_line_that_cannot_be_used_is_reported_and_kept(line: str, code: str, tmp_path: Path) -> None:
    root = dataset(tmp_path, f"{LINE}\n\n{line}\n")
    found, problems = reads(root)
    assert [len(one.artifacts) for one in found] == [1, 1]
    assert found[0].extra == {"yolo": {"rejected": [line]}}
    (said,) = problems
    assert (said.code, said.severity) == (code, "error")
    assert said.file == str(root / "labels" / "train" / "a.txt")
    assert (said.image, said.region) == ("images/train/a.png", "line 3")
    assert said.fix


def test_an_image_whose_only_line_was_rejected_is_not_clean(tmp_path: Path) -> None:
    first, second = reads(dataset(tmp_path, "1 0.5\n"))[0]
    assert (first.status, first.artifacts) == ("annotated", ())
    assert (second.status, len(second.artifacts)) == ("annotated", 1)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("1 0.25 0.125 1.25 0.125 0.75 0.625", "polygon.outside"),
        ("1 -0.25 0.125 0.75 0.125 0.75 0.625", "polygon.outside"),
        ("1 0.25 0.25 0.75 0.75 0.75 0.25 0.25 0.8", "polygon.crosses_itself"),
        ("7 0.25 0.125 0.75 0.125 0.75 0.625", "label.unknown"),
    ],
)
def test_a_doubtful_line_is_used_and_reported(line: str, code: str, tmp_path: Path) -> None:
    found, problems = reads(dataset(tmp_path, line))
    assert [len(one.artifacts) for one in found] == [1, 1]
    (said,) = problems
    assert (said.code, said.severity, said.region) == (code, "warning", "line 1")


def test_a_class_without_a_name_keeps_its_number(tmp_path: Path) -> None:
    first, _ = reads(dataset(tmp_path, LINE.replace("1 ", "7.0 ", 1)))[0]
    assert first.artifacts[0].extra == {"label": "7"}


def test_a_missing_image_has_no_size_so_its_lines_are_kept(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    (root / "images" / "train" / "a.png").unlink()
    found, problems = reads(root)
    by_name = {one.file_name: one for one in found}
    assert (by_name["a"].status, by_name["a"].width, by_name["a"].artifacts) == ("annotated", 0, ())
    assert by_name["a"].extra == {"yolo": {"rejected": [LINE]}}
    assert len(by_name["b.png"].artifacts) == 1
    (said,) = problems
    assert (said.code, said.severity, said.image) == ("image.missing", "error", "images/train/a")


def test_a_damaged_image_has_no_size_either(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    (root / "images" / "train" / "a.png").write_bytes(b"\x89PNG no more")
    found, problems = reads(root)
    assert [len(one.artifacts) for one in found] == [0, 1]
    assert codes(problems) == {"image.unknown_format": 1, "image.no_size": 1}


def test_an_image_on_its_side_is_measured_upright(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(3, 32, 16).save(root / "images" / "train" / "a.jpg", exif=exif)
    (root / "images" / "train" / "a.png").unlink()
    first, _ = reads(root)[0]
    assert (first.width, first.height) == (16, 32)
    assert first.artifacts[0].polygons[0][:4] == (4.0, 4.0, 12.0, 4.0)


def test_two_images_that_share_a_label_file_are_reported(tmp_path: Path) -> None:
    root = dataset(tmp_path)
    picture(3, 16, 16).save(root / "images" / "train" / "a.jpg")
    found, problems = reads(root)
    assert [len(one.artifacts) for one in found] == [1, 1, 1]
    assert codes(problems) == {"image.same_label": 2}


@pytest.mark.parametrize(
    "config",
    [
        "names: [unclosed",
        "- a list",
        "just text",
        "names: 5\ntrain: 7",
        "names: {x: y, 0: [nested]}",
        "train: ../../../../etc\nval: /etc\nnames: [a]",
        "names: !!python/object/apply:os.system ['true']",
        f"names: {{0: 0x{'F' * 6000}, {'1' * 6000}: a}}",
        "\x00",
        "[" * 100_000,
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        )
        + "names: *i",
    ],
)
def test_a_data_yaml_that_is_none_costs_the_names_and_not_the_regions(config: str, tmp_path: Path) -> None:
    root = dataset(tmp_path)
    (root / "data.yaml").write_text(config)
    found, problems = reads(root)
    assert [len(one.artifacts) for one in found] == [1, 1]
    assert all(one.file.startswith(str(root)) for one in problems)
    assert {"config.damaged", "config.wrong_type", "label.unknown", "split.missing"} >= codes(problems).keys()


def test_nothing_outside_the_dataset_is_read(tmp_path: Path) -> None:
    dataset(tmp_path / "other")
    root = dataset(tmp_path / "data")
    (root / "data.yaml").write_text("train: ../other/images/train\nval: images/val\nnames: [a]\n")
    found, _ = reads(root)
    assert len(found) == 2
    assert {one.source for one in found} == {"images/train/a.png", "images/train/b.png"}


def test_a_folder_with_nothing_of_a_dataset_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"no data\.yaml"):
        reads(tmp_path)
    with pytest.raises(FormatError, match="no such folder"):
        reads(tmp_path / "none")


@given(st.binary(max_size=60), st.text(max_size=60), st.integers(0, len(LINE)))
def test_nonsense_in_a_label_file_never_touches_the_other_image(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, words: str, place: int
) -> None:
    root = dataset(tmp_path_factory.mktemp("noise"))
    content = LINE[:place].encode() + noise + words.encode() + LINE[place:].encode()
    (root / "labels" / "train" / "a.txt").write_bytes(content)
    found, problems = reads(root)
    assert found[1].artifacts == (drawn(),)
    assert found[0].status in ("annotated", "clean")
    assert all(one.image == "images/train/a.png" for one in problems)
    for artifact in found[0].artifacts:
        assert all(math.isfinite(value) for ring in artifact.polygons for value in ring)


@given(
    st.dictionaries(
        st.sampled_from(["path", "train", "val", "test", "names", "nc", "unsplit"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.integers(-1, 3) | st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    )
)
def test_nonsense_in_data_yaml_never_costs_a_region(tmp_path_factory, values: dict) -> None:
    root = dataset(tmp_path_factory.mktemp("noise"))
    (root / "data.yaml").write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    assert [len(one.artifacts) for one in reads(root)[0]] == [1, 1]
