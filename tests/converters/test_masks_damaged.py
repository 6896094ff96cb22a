"""Folders of masks: what is damaged is reported, and costs nothing else."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mask_folders import SIZE, codes, first, folder_of, grid, pixels, reads
from pictures import encoded, picture
from PIL import Image

from synthscars.problems import FormatError


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
