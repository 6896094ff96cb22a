"""YOLO segmentation: what is malformed is reported, and costs nothing else."""

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pictures import picture
from PIL import Image
from yolo_datasets import LINE, codes, dataset, drawn, reads

from synthscars.problems import FormatError


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
