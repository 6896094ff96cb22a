"""Masks. `tests/data/masks/pal4vst` has the layout on which PAL4VST trains, `regions` is what is written."""

import json
import shutil
import struct
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from converting import changed, with_picture
from folders import folder_bytes
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, picture
from PIL import Image
from pycocotools import mask as coco
from strategies import records

from synthscars.converters import formats
from synthscars.converters.masks import read, write
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.geometry import to_mask, to_rle
from synthscars.images import sha256
from synthscars.problems import FormatError, Problems, UsageError, WorkspaceError
from synthscars.records import Artifact, ImageRecord

GOLDEN = Path(__file__).parent.parent / "data" / "masks"
SIZE = (16, 12)
BOX = (2.0, 3.0, 8.0, 3.0, 8.0, 9.0, 2.0, 9.0)


def reads(source: Path, **options: object) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(read(source, problems, **options)), problems


def writes(found: list[ImageRecord], target: Path, images: Path | None, **options: object) -> Problems:
    problems = Problems()
    write(found, target, problems, pictures=TargetPictures(by_hash([images] if images else [])), **options)
    return problems


def codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


def grid(*boxes: tuple[int, int, int, int, int], dtype: type = np.uint8) -> np.ndarray:
    """16 x 12 pixels; boxes: left, top, right, bottom, value."""
    pixels = np.zeros(SIZE[::-1], dtype)
    for left, top, right, bottom, value in boxes:
        pixels[top:bottom, left:right] = value
    return pixels


def folder_of(folder: Path, mask: np.ndarray | bytes | None, name: str = "a.png", **save: object) -> Path:
    """Images `a` and `b` of 16 x 12 pixels; `mask` is that of `a`, `b` has one of the box 2, 3 to 8, 9."""
    for place, seed in (("a", 1), ("b", 2)):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        picture(seed, *SIZE).save(folder / "images" / f"{place}.png")
    path = folder / "masks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(mask, bytes):
        path.write_bytes(mask)
    elif mask is not None:
        Image.fromarray(mask).save(path, **save)
    Image.fromarray(grid((2, 3, 8, 9, 255))).save(folder / "masks" / "b.png")
    return folder


def first(folder: Path, **options: object) -> tuple[ImageRecord, Problems]:
    """What is read of `a`; `b` is always read as well as ever."""
    (one, other), problems = reads(folder, **options)
    assert [
        (to_mask(each.polygons, *SIZE) == (grid((2, 3, 8, 9, 1)) > 0)).all() for each in other.artifacts
    ] == [True]
    assert not [each for each in problems if each.image == "images/b.png"]
    return one, problems


def pixels(artifact: Artifact) -> np.ndarray:
    return to_mask(artifact.polygons, *SIZE).astype(np.uint8)


def record_of(*artifacts: Artifact, folder: Path, name: str = "a.png", **fields: object) -> ImageRecord:
    status = "annotated" if artifacts else "clean"
    fields = {"status": status, "width": SIZE[0], "height": SIZE[1], **fields}
    record = ImageRecord(image_id="", file_name=name, artifacts=artifacts, **fields)
    return with_picture(record, folder / "pictures", name, len(name))


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


# Damaged masks


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


BOMB = (
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(bytes(1000)))
    + chunk(b"IEND", b"")
)
WHOLE = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 2, (64, 64), dtype=np.uint8)), "PNG")
FRAMES = [Image.fromarray(grid((frame, 0, 8, 8, 255))) for frame in range(3)]


@pytest.mark.parametrize(
    ("mask", "code"),
    [
        (b"", "mask.empty"),
        (b"not an image", "mask.unknown_format"),
        (WHOLE[:-60], "mask.damaged"),
        (BOMB, "mask.too_large"),
        (encoded(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), "mask.animated"),
    ],
)
def test_a_damaged_mask_is_reported_and_the_image_is_not_clean(
    mask: bytes, code: str, tmp_path: Path
) -> None:
    root = folder_of(tmp_path, mask)
    one, problems = first(root)
    assert (one.status, one.artifacts) == ("annotated", ())
    (said,) = problems
    assert (said.code, said.severity, said.image) == (code, "error", "images/a.png")
    assert said.file == str(root / "masks" / "a.png")
    assert said.fix


def test_a_damaged_mask_of_one_region_leaves_the_others(tmp_path: Path) -> None:
    root = folder_of(tmp_path, grid((1, 1, 3, 3, 255)), "a/000.png")
    (root / "masks" / "a" / "001.png").write_bytes(b"no")
    Image.fromarray(grid()).save(root / "masks" / "a" / "002.png")
    one, problems = first(root)
    assert len(one.artifacts) == 1
    assert one.extra == {"masks": {"rejected": ["masks/a/001.png", "masks/a/002.png"]}}
    assert [(each.code, each.region) for each in problems] == [
        ("mask.unknown_format", "mask 001"),
        ("mask.empty", "mask 002"),
    ]


@pytest.mark.parametrize("content", ["", "[", "5", '{"structure": [1]}', '{"x": "y"}', "\x00", "[" * 100_000])
def test_a_classes_json_that_is_none_costs_the_names_only(content: str, tmp_path: Path) -> None:
    root = folder_of(tmp_path, grid((0, 0, 4, 4, 1), (6, 0, 9, 4, 2)))
    (root / "classes.json").write_text(content)
    one, problems = first(root)
    assert len(one.artifacts) == 2
    assert set(codes(problems)) == {"classes.wrong"}


def test_two_images_of_one_name_are_reported(tmp_path: Path) -> None:
    root = folder_of(tmp_path, grid((1, 1, 3, 3, 255)))
    picture(5, *SIZE).save(root / "images" / "a.jpg")
    found, problems = reads(root)
    assert [len(one.artifacts) for one in found] == [1, 1, 1]
    assert codes(problems) == {"image.same_mask": 1}


def test_a_folder_without_masks_and_images_cannot_be_read(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "none"):
        with pytest.raises(FormatError):
            reads(source)


@given(st.data())
def test_no_damage_whatever_raises(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(["1", "L", "P", "RGB", "RGBA", "LA", "I;16"]))
    image = Image.fromarray(grid((0, 0, 4, 4, 1), (6, 0, 9, 4, 255)))
    content = bytearray(encoded(image if mode == "I;16" else image.convert(mode), "PNG"))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    first(folder_of(tmp_path_factory.mktemp("noise"), bytes(content)))


@given(st.data())
def test_pixels_of_any_kind_never_raise(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    values = data.draw(st.lists(st.integers(0, np.iinfo(dtype).max), min_size=1, max_size=6))
    drawn = data.draw(st.lists(st.sampled_from(values), min_size=192, max_size=192))
    mask = np.array(drawn, dtype).reshape(SIZE[::-1])
    one, problems = first(folder_of(tmp_path_factory.mktemp("noise"), mask))
    covered = sum(pixels(each).astype(int) for each in one.artifacts)
    assert np.max(covered, initial=0) <= 1
    if not problems:
        assert (np.asarray(covered) == (mask > 0)).all()


# Written and read again


def test_the_golden_folder_is_read_with_everything_but_exact_outlines() -> None:
    found, problems = reads(GOLDEN / "regions")
    assert not problems
    assert [(one.file_name, one.status, one.split) for one in found] == [
        ("seed0017.jpg", "annotated", "train"),
        ("seed0025.jpg", "clean", "validation"),
        ("seed0041.jpg", "unlabelled", ""),
    ]
    hand, shadow, smooth = found[0].artifacts
    assert (hand.artifact_id, hand.subtype, hand.rater_id) == ("r1", "deformed", "anna")
    assert (hand.phrase, hand.explanation) == ("the left hand", "It has six fingers.")
    # Pixel by pixel what pycocotools draws of the outlines that were written.
    for artifact, polygons in (
        (hand, [[1.5, 2.5, 7.0, 2.5, 7.0, 9.0]]),
        (shadow, [[8.0, 1, 14, 1, 14, 6, 8, 6], [2.0, 8, 5, 8, 5, 11, 2, 11]]),
    ):
        drawn = coco.decode(coco.merge(coco.frPyObjects(polygons, 12, 16)))
        assert (pixels(artifact) == drawn).all()
    assert (smooth.polygons, smooth.explanation) == ((), "It is all too smooth.")
    assert found[0].reviews[0].seconds == 12.5


def test_the_golden_folder_is_written_again_byte_by_byte(tmp_path: Path) -> None:
    problems = writes(reads(GOLDEN / "regions")[0], tmp_path / "out", GOLDEN / "regions" / "images")
    assert codes(problems) == {"loss.artifact.outline": 1}
    assert folder_bytes(tmp_path / "out") == folder_bytes(GOLDEN / "regions")


@given(records())
def test_masks_are_equal_to_those_of_pycocotools(
    tmp_path_factory: pytest.TempPathFactory, record: ImageRecord
) -> None:
    target = tmp_path_factory.mktemp("masks") / "out"
    writes([record], target, None)
    line = json.loads((target / "masks.jsonl").read_bytes())
    for artifact, name in zip(record.artifacts, line["masks"], strict=True):
        drawn = np.asarray(Image.open(target / name))
        expected = coco.decode(to_rle(artifact.polygons, record.width, record.height))
        assert (drawn == expected * 255).all()


def test_other_tools_see_only_images_and_masks(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "regions", tmp_path / "out")
    (tmp_path / "out" / "masks.jsonl").unlink()
    found, problems = reads(tmp_path / "out")
    assert [(one.file_name, one.split, len(one.artifacts), one.status) for one in found] == [
        ("seed0041.jpg", "", 0, "unlabelled"),
        ("seed0017.jpg", "train", 2, "annotated"),
        ("seed0025.jpg", "validation", 0, "unlabelled"),  # only the list says that it is clean
    ]
    assert not problems


def test_an_indexed_mask_has_the_smaller_region_on_top_and_counts_what_is_hidden(tmp_path: Path) -> None:
    small = Artifact(
        artifact_id="r1", category="physics", polygons=((3.0, 4.0, 5.0, 4.0, 5.0, 6.0, 3.0, 6.0),)
    )
    large = Artifact(artifact_id="r2", category="structure", polygons=(BOX,), phrase="the hand")
    other = Artifact(artifact_id="r3", polygons=((12.0, 1.0, 15.0, 1.0, 15.0, 4.0, 12.0, 4.0),))
    record = record_of(small, large, other, folder=tmp_path, split="train", caption="A man.")
    problems = writes([record], tmp_path / "out", tmp_path / "pictures", kind="indexed")
    mask = Image.open(tmp_path / "out" / "masks" / "train" / "a.png")
    assert mask.mode == "P"
    assert (np.asarray(mask) == grid((2, 3, 8, 9, 2), (3, 4, 5, 6, 1), (12, 1, 15, 4, 4))).all()
    assert json.loads((tmp_path / "out" / "classes.json").read_bytes()) == {
        "background": 0, "physics": 1, "structure": 2, "distortion": 3, "artifact": 4,
    }  # fmt: skip
    hidden = [one for one in problems if one.code == "loss.artifact.outline" and one.severity == "warning"]
    assert [one.count for one in hidden] == [4]
    assert codes(problems)["loss.artifact.phrase"] == 1
    (found,), said = reads(tmp_path / "out")
    assert [one.category for one in found.artifacts] == ["physics", "structure", None]
    assert changed(found, artifacts=()) == changed(record, artifacts=())
    assert not said


def test_an_image_that_is_named_like_a_split_is_not_in_the_way_of_it(tmp_path: Path) -> None:
    artifact = Artifact(artifact_id="r1", polygons=(BOX,))
    named = record_of(artifact, folder=tmp_path, name="val.png")
    named = changed(named, file_name="val")
    other = record_of(artifact, folder=tmp_path, name="other.png", split="validation")
    for kind in ("regions", "binary"):
        writes([named, other], tmp_path / kind, tmp_path / "pictures", kind=kind)
        found, problems = reads(tmp_path / kind)
        assert [(one.file_name, one.split) for one in found] == [("val", ""), ("other.png", "validation")]
        assert not problems


def test_regions_of_one_category_become_one_and_are_counted(tmp_path: Path) -> None:
    one = Artifact(artifact_id="r1", category="structure", polygons=(BOX,))
    other = changed(one, artifact_id="r2", polygons=((12.0, 1.0, 15.0, 1.0, 15.0, 4.0, 12.0, 4.0),))
    record = record_of(one, other, folder=tmp_path)
    for kind in ("indexed", "binary"):
        problems = writes([record], tmp_path / kind, tmp_path / "pictures", kind=kind)
        assert [each.count for each in problems if "became one" in each.what] == [1]
        (found,), said = reads(tmp_path / kind)
        assert [int(pixels(each).sum()) for each in found.artifacts] == [45]
        assert not said


def test_a_binary_mask_is_the_union_of_all_regions(tmp_path: Path) -> None:
    one = Artifact(artifact_id="r1", category="structure", polygons=(BOX,))
    clean = record_of(folder=tmp_path, name="bb.png")
    waiting = record_of(folder=tmp_path, name="ccc.png", status="unlabelled")
    target = tmp_path / "out"
    problems = writes(
        [record_of(one, folder=tmp_path), clean, waiting], target, tmp_path / "pictures", kind="binary"
    )
    masks = {path.name: np.asarray(Image.open(path)) for path in (target / "masks").iterdir()}
    # Also without the list, clean and unlabelled are told apart: one has a mask, and the other has none.
    assert masks.keys() == {"a.png", "bb.png"}
    assert (masks["a.png"] == grid((2, 3, 8, 9, 255))).all()
    assert not masks["bb.png"].any()
    assert codes(problems)["loss.artifact.category"] == 1
    (target / "masks.jsonl").unlink()
    assert [one.status for one in reads(target)[0]] == ["annotated", "clean", "unlabelled"]


def test_images_may_stay_where_they_are(tmp_path: Path) -> None:
    record = record_of(Artifact(artifact_id="r1", polygons=(BOX,)), folder=tmp_path)
    problems = Problems()
    write([record], tmp_path / "out", problems)
    assert not (tmp_path / "out" / "images").exists()
    (found,), _ = reads(tmp_path / "out")
    assert found.image_id == record.image_id
    (found,), said = reads(tmp_path / "out", images=tmp_path / "pictures")
    assert found.image_id == record.image_id
    assert not said


def test_a_name_that_leads_out_of_the_folder_is_not_written(tmp_path: Path) -> None:
    record = record_of(Artifact(artifact_id="r1", polygons=(BOX,)), folder=tmp_path)
    for number, name in enumerate(["../../x.png", "...png", "..", "/etc/x.png", "a/../../y.png"]):
        target = tmp_path / "safe" / str(number) / "out"
        writes([changed(record, file_name=name)], target, tmp_path / "pictures")
        inside = set((tmp_path / "safe" / str(number)).rglob("*.png"))
        assert all(
            path.is_relative_to(target / "masks") or path.is_relative_to(target / "images") for path in inside
        )
        assert len(inside) == 2
        assert reads(target)[0][0].file_name == name  # the list keeps it


def test_an_unknown_kind_and_an_existing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no kind"):
        writes([], tmp_path / "out", None, kind="nice")
    with pytest.raises(WorkspaceError, match="exists already"):
        writes([], tmp_path, None)


# The list beside the masks


def listed(tmp_path: Path, edit: object) -> tuple[list[ImageRecord], Problems]:
    """The golden folder with the first line of its list edited."""
    root = tmp_path / "out"
    shutil.copytree(GOLDEN / "regions", root)
    lines = (root / "masks.jsonl").read_text().splitlines()
    edited = edit(json.loads(lines[0])) if callable(edit) else edit
    lines[0] = edited if isinstance(edited, str) else json.dumps(edited)
    (root / "masks.jsonl").write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    return reads(root)


@pytest.mark.parametrize(
    "edit",
    [
        "not JSON",
        "{}",
        "[]",
        '{"record": 5}',
        '{"record": {"image_id": 5}, "masks": []}',
        lambda line: {**line, "masks": [5]},
        lambda line: {**line, "record": {**line["record"], "width": "wide"}},
        "[" * 100_000,
    ],
)
def test_a_line_that_is_none_is_reported_and_its_image_read_by_its_masks(
    edit: object, tmp_path: Path
) -> None:
    found, problems = listed(tmp_path, edit)
    assert [one.file_name for one in found] == ["seed0025.jpg", "seed0041.jpg", "seed0017.jpg"]
    assert [len(one.artifacts) for one in found] == [0, 0, 2]
    assert [(one.code, one.image) for one in problems] == [("line.wrong", "line 1")]


@pytest.mark.parametrize("name", ["../../secret.png", "/etc/passwd", "masks/none.png", "", "\0", "x" * 5000])
def test_a_mask_that_is_not_in_the_folder_costs_the_outline_and_not_the_text(
    name: str, tmp_path: Path
) -> None:
    Image.fromarray(grid((0, 0, 9, 9, 255))).save(tmp_path.parent / "secret.png")
    found, problems = listed(tmp_path, lambda line: {**line, "masks": [name, *line["masks"][1:]]})
    assert found[0].artifacts[0].polygons == ()
    assert found[0].artifacts[0].phrase == "the left hand"
    assert len(found[0].artifacts[1].polygons) == 2
    said = next(one for one in problems if one.code == "mask.missing")
    assert (said.image, said.region, said.severity) == ("seed0017.jpg", "artifact r1", "error")
    # And the mask that nobody lists any more is reported as well.
    assert codes(problems)["mask.not_listed"] == 1


def test_fewer_masks_than_artifacts_are_reported(tmp_path: Path) -> None:
    found, problems = listed(tmp_path, lambda line: {**line, "masks": line["masks"][:1]})
    assert [bool(one.polygons) for one in found[0].artifacts] == [True, False, False]
    assert codes(problems)["line.wrong"] == 1


def test_an_image_that_was_exchanged_is_reported(tmp_path: Path) -> None:
    root = tmp_path / "out"
    shutil.copytree(GOLDEN / "regions", root)
    picture(9, *SIZE).save(root / "images" / "train" / "seed0017.jpg")
    _, problems = reads(root)
    assert codes(problems) == {"image.differs": 1}


@given(st.data())
def test_nonsense_in_the_list_never_touches_the_other_images(tmp_path_factory, data: st.DataObject) -> None:
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=4,
    )

    def edit(line: dict) -> dict:
        key = data.draw(st.sampled_from([*line, *line["record"]]))
        target = line if key in line else line["record"]
        target[key] = data.draw(values)
        return line

    found, _ = listed(tmp_path_factory.mktemp("noise"), edit)
    names = [one.file_name for one in found]
    assert {"seed0025.jpg", "seed0041.jpg"} <= set(names)
    assert [one.status for one in found if one.file_name == "seed0025.jpg"] == ["clean"]


def test_images_that_are_beside_the_masks_are_not_read_again_from_elsewhere(tmp_path: Path) -> None:
    record = record_of(Artifact(artifact_id="r1", polygons=(BOX,)), folder=tmp_path)
    clean = record_of(folder=tmp_path, name="clean.png")
    writes([record, clean], tmp_path / "out", tmp_path / "pictures")
    found, problems = reads(tmp_path / "out", images=tmp_path / "pictures")
    assert [one.file_name for one in found] == ["a.png", "clean.png"]
    folder = folder_of(tmp_path / "found", grid((2, 3, 8, 9, 255)))
    found, said = reads(folder, images=folder / "images")
    assert [one.file_name for one in found] == ["a.png", "b.png"]
    assert not problems
    assert not said


def test_a_listed_image_of_unknown_size_has_the_outlines_of_its_masks(tmp_path: Path) -> None:
    writes([record_of(Artifact(artifact_id="r1", polygons=(BOX,)), folder=tmp_path)], tmp_path / "out", None)
    path = tmp_path / "out" / "masks.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"width":16', b'"width":0'))
    (found,), problems = reads(tmp_path / "out")
    assert pixels(found.artifacts[0]).sum() == 36
    assert not problems


def test_a_mask_of_many_regions_does_not_take_memory_for_each_of_them(tmp_path: Path) -> None:
    values = np.repeat(np.arange(400, dtype=np.uint16).reshape(20, 20), 20, axis=0).repeat(20, axis=1)
    Image.fromarray(values).save(tmp_path / "a.png")
    tracemalloc.start()
    ((found,), _), (_, peak) = reads(tmp_path), tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.artifacts) == 399
    assert peak < 50 * values.size
