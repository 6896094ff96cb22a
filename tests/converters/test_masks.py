"""Folders of masks: the layouts and the kinds of masks that others publish."""

import json
from pathlib import Path

import numpy as np
import pytest
from mask_folders import GOLDEN, SIZE, codes, first, folder_of, grid, pixels, reads
from pictures import encoded, picture
from PIL import Image

from synthscars.converters import formats
from synthscars.geometry import to_mask
from synthscars.images import sha256

# The layouts of the datasets


def test_the_layout_of_pal4vst_is_read() -> None:
    found, problems = reads(GOLDEN / "pal4vst")
    assert [(one.file_name, one.status, one.split) for one in found] == [
        ("seed0017.jpg", "annotated", "train"),
        ("seed0025.jpg", "clean", "train"),
        ("seed0041.jpg", "unlabelled", "train"),
        ("seed0157.jpg", "annotated", "validation"),
    ]
    for one in found:
        path = GOLDEN / "pal4vst" / one.source
        assert one.image_id == sha256(path.read_bytes())
        assert (one.width, one.height) == SIZE
    # A hole and two parts: one mask is one artifact, since nobody said that its parts are several.
    (artifact,) = found[0].artifacts
    label = np.asarray(Image.open(GOLDEN / "pal4vst" / "labels" / "train" / "seed0017.png"))
    assert (pixels(artifact) == label).all()
    assert (artifact.category, artifact.phrase, artifact.extra) == (None, "", {})
    # An empty mask says of every pixel that it is background; that this is taken for clean is said.
    (said,) = problems
    assert (said.code, said.severity, said.count) == ("mask.empty", "info", 1)
    assert [one.status for one in reads(GOLDEN / "pal4vst", empty="unlabelled")[0]][1] == "unlabelled"


def test_parts_become_artifacts_only_if_asked_for() -> None:
    found, _ = reads(GOLDEN / "pal4vst", split_components=True)
    assert [one.artifact_id for one in found[0].artifacts] == ["1", "2"]
    assert [int(pixels(one).sum()) for one in found[0].artifacts] == [9, 32]


def test_in_pal4inpaint_the_labels_are_the_artifacts_and_the_masks_are_not(tmp_path: Path) -> None:
    base = folder_of(tmp_path / "trainset", grid((0, 0, 16, 12, 1)))
    (base / "labels").mkdir()
    for name in ("a", "b"):
        Image.fromarray(grid((1, 1, 3, 3, 1))).save(base / "labels" / f"{name}.png")
    found, problems = reads(tmp_path)
    assert [(one.split, int(pixels(one.artifacts[0]).sum())) for one in found] == [("train", 4), ("train", 4)]
    assert codes(problems) == {"masks.several_folders": 1}
    assert formats.detect(tmp_path).name == "masks"


def test_it_is_recognised(tmp_path: Path) -> None:
    assert formats.detect(GOLDEN / "pal4vst").name == "masks"
    assert formats.detect(GOLDEN / "regions").name == "masks"
    assert formats.detect(folder_of(tmp_path, grid())).name == "masks"


def test_the_names_of_pascal_voc_and_mmsegmentation_are_known(tmp_path: Path) -> None:
    for number, (images, masks) in enumerate(
        [("JPEGImages", "SegmentationClass"), ("img_dir/train", "ann_dir/train"), ("image", "mask")]
    ):
        root = tmp_path / str(number)
        (root / images).mkdir(parents=True)
        (root / masks).mkdir(parents=True)
        picture(1, *SIZE).save(root / images / "a.jpg")
        Image.fromarray(grid((1, 1, 3, 3, 255))).save(root / masks / "a.png")
        (one,), problems = reads(root)
        assert (len(one.artifacts), one.split) == (1, "train" if "train" in images else "")
        assert not problems
        assert formats.detect(root).name == "masks"


# The kinds of masks


@pytest.mark.parametrize(
    "mask",
    [
        grid((2, 3, 8, 9, 255)),
        grid((2, 3, 8, 9, 1)),
        grid((2, 3, 8, 9, 1), dtype=bool),
        grid((2, 3, 8, 9, 65535), dtype=np.uint16),
        np.stack([grid((2, 3, 8, 9, 255))] * 3, axis=-1),
        np.stack([grid((2, 3, 8, 9, 255))] * 3 + [grid((0, 0, 16, 12, 255))], axis=-1),
        np.stack([grid((2, 3, 8, 9, 255)), grid((0, 0, 16, 12, 255))], axis=-1),
    ],
    ids=["0/255", "0/1", "1 bit", "16 bit", "RGB", "RGBA", "LA"],
)
def test_a_binary_mask_is_one_region(mask: np.ndarray, tmp_path: Path) -> None:
    one, problems = first(folder_of(tmp_path, mask))
    assert [(pixels(each) == grid((2, 3, 8, 9, 1))).all() for each in one.artifacts] == [True]
    assert not problems


def test_a_palette_image_has_a_region_for_each_index(tmp_path: Path) -> None:
    mask = Image.fromarray(grid((0, 0, 4, 4, 1), (6, 0, 9, 4, 15), (4, 0, 6, 4, 255)))
    mask.putpalette([0, 0, 0, 128, 0, 0] + [0] * 12 + [200] * 750)
    one, problems = first(folder_of(tmp_path, encoded(mask, "PNG")))
    assert [(each.extra, int(pixels(each).sum())) for each in one.artifacts] == [
        ({"masks": {"value": "1"}}, 16),
        ({"masks": {"value": "15"}}, 12),
    ]
    # 255 is the border of Pascal VOC.
    assert codes(problems) == {"mask.ignored": 1, "mask.values": 1}


def test_a_palette_whose_black_is_not_its_first_colour_is_read_by_its_colours(tmp_path: Path) -> None:
    mask = Image.fromarray(1 - grid((2, 3, 8, 9, 1)))
    mask.putpalette([255, 255, 255, 0, 0, 0])  # as after reducing an RGB mask to few colours
    one, _ = first(folder_of(tmp_path, encoded(mask, "PNG")))
    assert [(pixels(each) == grid((2, 3, 8, 9, 1))).all() for each in one.artifacts] == [True]


@pytest.mark.parametrize(
    "classes",
    [
        {"background": 0, "structure": 1, "Optical display": 2, "void": 3},
        {"0": "background", "1": "structure", "2": "Optical display", "3": "void"},
        ["background", "structure", "Optical display", "void"],
    ],
)
def test_classes_json_names_the_values(classes: object, tmp_path: Path) -> None:
    root = folder_of(tmp_path, grid((0, 0, 4, 4, 1), (6, 0, 9, 4, 2), (10, 0, 12, 4, 3)))
    (root / "classes.json").write_text(json.dumps(classes))
    (one, other), problems = reads(root)
    assert [(each.category, each.subtype) for each in one.artifacts] == [
        ("structure", None),
        ("physics", "optical_display"),
    ]
    assert (len(other.artifacts), not problems) == (1, True)


def test_a_class_that_the_taxonomy_has_not_is_reported_with_its_region(tmp_path: Path) -> None:
    root = folder_of(tmp_path, grid((0, 0, 4, 4, 1), (6, 0, 9, 4, 2)))
    (root / "classes.json").write_text('{"structure": 1, "cat": 2}')
    one, problems = first(root)
    assert one.artifacts[1].extra == {"label": "cat"}
    (said,) = problems
    assert (said.code, said.image, said.region) == ("label.unknown", "images/a.png", "value 2")
    assert said.file.endswith("a.png")


def test_one_png_a_region_is_read_from_a_folder_or_by_numbers(tmp_path: Path) -> None:
    for number, pattern in enumerate(["a/{:03}.png", "a_{:03}.png", "a-{}.png"]):
        root = folder_of(tmp_path / str(number), None)
        for index in (0, 1, 10):
            path = root / "masks" / pattern.format(index)
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(grid((index, 0, index + 2, 3, 255))).save(path)
        one, problems = first(root)
        assert [np.flatnonzero(pixels(each)[0])[0] for each in one.artifacts] == [0, 1, 10]
        assert not problems
        assert one.artifacts[0].artifact_id == Path(pattern.format(0)).stem


def test_masks_named_after_the_mask_are_found(tmp_path: Path) -> None:
    for name in ("a_mask.png", "a_label.png", "a-gt.png", "a_pal.png"):
        one, problems = first(folder_of(tmp_path / name, grid((1, 1, 3, 3, 255)), name))
        assert (len(one.artifacts), not problems) == (1, True)


def test_colours_are_regions_of_their_own(tmp_path: Path) -> None:
    mask = np.stack([grid((0, 0, 4, 4, 255)), grid((6, 0, 9, 4, 128)), grid()], axis=-1)
    root = folder_of(tmp_path, mask)
    one, problems = first(root)
    assert [each.extra["masks"]["value"] for each in one.artifacts] == ["#008000", "#ff0000"]
    assert codes(problems) == {"mask.colours": 1}
    (root / "classes.json").write_text('{"#ff0000": "structure", "#008000": "physics"}')
    one, problems = first(root)
    assert [each.category for each in one.artifacts] == ["physics", "structure"]
    assert not problems


def test_transparency_is_read_where_it_is_the_mask_and_reported(tmp_path: Path) -> None:
    black, white = grid(), grid((0, 0, 16, 12, 255))
    inside = grid((2, 3, 8, 9, 255))
    for number, layers in enumerate([[black] * 3 + [inside], [white] * 3 + [inside]]):
        one, problems = first(folder_of(tmp_path / str(number), np.stack(layers, axis=-1)))
        assert [(pixels(each) == inside // 255).all() for each in one.artifacts] == [True]
        assert codes(problems) == {"mask.alpha": 1}
    half = np.stack([grid((0, 0, 8, 12, 255))] * 3 + [inside], axis=-1)
    one, problems = first(folder_of(tmp_path / "half", half))
    assert [int(pixels(each).sum()) for each in one.artifacts] == [36]
    assert codes(problems) == {"mask.alpha": 1}


def test_a_jpeg_is_cut_at_the_middle_of_its_greys_and_reported(tmp_path: Path) -> None:
    big = np.kron(grid((2, 3, 8, 9, 255)), np.ones((10, 10), np.uint8))
    root = folder_of(tmp_path, encoded(Image.fromarray(big), "JPEG", quality=30), "a.jpg")
    picture(1, 160, 120).save(root / "images" / "a.png")
    (one, _), problems = reads(root)
    stored = np.asarray(Image.open(root / "masks" / "a.jpg"))
    assert len(np.unique(stored)) > 2
    assert (to_mask(one.artifacts[0].polygons, 160, 120) == (stored > 127)).all()
    (said,) = problems
    assert (said.code, said.severity) == ("mask.grey", "warning")
    assert "128" in said.what


def test_smooth_edges_are_cut_at_the_middle_as_well(tmp_path: Path) -> None:
    small = Image.fromarray(grid((2, 3, 8, 9, 255))).resize((8, 6), Image.Resampling.BILINEAR)
    smooth = np.asarray(small.resize(SIZE, Image.Resampling.BICUBIC))
    one, problems = first(folder_of(tmp_path, smooth))
    assert [(pixels(each) == (smooth > 127)).all() for each in one.artifacts] == [True]
    assert codes(problems) == {"mask.grey": 1}


def test_many_colours_are_no_mask(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
    one, problems = first(folder_of(tmp_path, noise))
    assert (one.status, one.artifacts) == ("annotated", ())
    assert one.extra == {"masks": {"rejected": ["masks/a.png"]}}
    assert codes(problems) == {"mask.not_a_mask": 1}


# Sizes


def test_a_mask_of_another_size_in_proportion_is_scaled_and_reported(tmp_path: Path) -> None:
    one, problems = first(folder_of(tmp_path, np.kron(grid((2, 3, 8, 9, 255)), np.ones((2, 2), np.uint8))))
    assert (pixels(one.artifacts[0]) == grid((2, 3, 8, 9, 1))).all()
    (said,) = problems
    assert (said.code, said.severity) == ("mask.scaled", "warning")
    assert "32 x 24" in said.what


@pytest.mark.parametrize(("size", "words"), [((12, 16), "on its side"), ((512, 512), "how they fit")])
def test_a_mask_out_of_proportion_is_set_aside(size: tuple[int, int], words: str, tmp_path: Path) -> None:
    one, problems = first(folder_of(tmp_path, np.ones(size[::-1], np.uint8)))
    assert (one.status, one.artifacts) == ("annotated", ())
    (said,) = problems
    assert (said.code, said.severity) == ("mask.size_differs", "error")
    assert words in said.what
    assert said.fix


def test_masks_without_images_have_a_size_but_stand_in_ids(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "data", grid((2, 3, 8, 9, 255)))
    (root / "images").rename(tmp_path / "photos")
    alone, problems = reads(root)
    assert [(one.file_name, one.width, one.height) for one in alone] == [("a", 16, 12), ("b", 16, 12)]
    assert len({one.image_id for one in alone}) == 2
    assert not problems
    found, problems = reads(root, images=tmp_path / "photos")
    assert [one.image_id for one in found] == [
        sha256((tmp_path / "photos" / name).read_bytes()) for name in ("a.png", "b.png")
    ]
    assert [one.artifacts for one in found] == [one.artifacts for one in alone]
