import hashlib
import io
import struct
import zlib

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps, features

from synthscars.images import (
    MAX_PIXELS,
    SUFFIXES,
    difference_hash,
    inspect_image,
    open_image,
    orientation,
    sha256,
    upright,
)
from synthscars.problems import ImageError

ORIENTATION = 0x0112


def _picture(width: int = 96, height: int = 64) -> Image.Image:
    """A smooth picture without any symmetry, so that every turn of it looks different."""
    x = np.linspace(0, 1, width)[None, :]
    y = np.linspace(0, 1, height)[:, None]
    red = 255 * np.abs(np.sin(2.3 * x + 0.7 * y))
    green = 255 * np.abs(np.cos(1.1 * x * y + 1.9 * y))
    blue = 255 * (0.3 * x + 0.7 * y**2) * np.ones_like(red)
    return Image.fromarray(np.stack([red, green, blue], axis=2).astype(np.uint8))


def _bytes(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _turned(value: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return _bytes(_picture(), kind, exif=exif.tobytes())


def _code(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        inspect_image(data)
    assert caught.value.fix
    assert str(caught.value)
    return caught.value.code


@pytest.mark.parametrize("kind", SUFFIXES)
def test_every_format_is_described(kind: str) -> None:
    data = _bytes(_picture(), kind)
    info, image = inspect_image(data)
    assert (info.format, info.width, info.height, info.orientation) == (kind, 96, 64, 1)
    assert info.suffix == SUFFIXES[kind]
    assert info.bytes == len(data)
    assert info.image_id == hashlib.sha256(data).hexdigest()
    assert image.size == (96, 64)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("value", range(1, 9))
def test_each_orientation_gives_the_picture_that_pillow_transposes(value: int, kind: str) -> None:
    data = _turned(value, kind)
    info, stored = inspect_image(data)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert info.orientation == value
    assert (info.width, info.height) == expected.size == ((96, 64) if value <= 4 else (64, 96))
    assert stored.size == (96, 64)
    np.testing.assert_array_equal(np.asarray(upright(stored)), np.asarray(expected))


def test_the_hash_is_of_the_upright_picture() -> None:
    turned = {inspect_image(_turned(value, "PNG"))[0].phash for value in range(1, 9)}
    assert len(turned) == 8
    by_hand = _picture().transpose(Image.Transpose.ROTATE_270)
    assert inspect_image(_turned(6, "PNG"))[0].phash == inspect_image(_bytes(by_hand))[0].phash


@pytest.mark.parametrize("value", [0, 9, 255])
def test_an_orientation_that_does_not_exist_counts_as_upright(value: int) -> None:
    info, _ = inspect_image(_turned(value))
    assert (info.orientation, info.width, info.height) == (1, 96, 64)


@given(st.binary(min_size=1, max_size=80))
def test_damaged_exif_does_not_cost_the_image(garbage: bytes) -> None:
    info, image = inspect_image(_bytes(_picture(), "JPEG", exif=b"Exif\x00\x00" + garbage))
    assert info.orientation == orientation(image)
    assert {info.width, info.height} == {96, 64}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_exif_that_ends_in_the_middle_does_not_cost_the_image() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[0x010E] = "a long description " * 20
    for length in range(6, len(exif.tobytes()), 7):
        info, _ = inspect_image(_bytes(_picture(), "JPEG", exif=exif.tobytes()[:length]))
        assert info.width in (64, 96)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_short_is_refused(kind: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    data = _bytes(Image.fromarray(noise), kind)
    assert _code(data[: int(len(data) * kept)]) in {"image.damaged", "image.unknown_format"}


@pytest.mark.parametrize("kind", SUFFIXES)
def test_a_cut_that_is_not_noticed_costs_no_pixel(kind: str) -> None:
    # Pillow does not ask for the last checksum and end marker of a PNG, nor for the last byte of a GIF.
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    data = _bytes(Image.fromarray(noise), kind)
    whole = np.asarray(open_image(data).convert("RGB"))
    for length in range(len(data) - 40, len(data)):
        try:
            image = open_image(data[:length])
        except ImageError:
            continue
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), whole)


def test_bytes_changed_in_a_png_are_noticed() -> None:
    data = bytearray(_bytes(_picture()))
    data[len(data) // 2] ^= 0xFF
    assert _code(bytes(data)) == "image.damaged"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "image.empty"),
        (b"Steps: 20, Sampler: Euler a\n", "image.unknown_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image.unknown_format"),
        (b"\x89PNG\r\n\x1a\n", "image.unknown_format"),
        (b"\xff\xd8\xff\xe0", "image.unknown_format"),
        (_bytes(_picture(), "TIFF"), "image.unknown_format"),
    ],
)
def test_what_is_no_image_in_a_known_format_is_refused(data: bytes, code: str) -> None:
    assert _code(data) == code


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_refused(kind: str) -> None:
    frames = [_picture(), _picture().transpose(Image.Transpose.ROTATE_180)]
    data = _bytes(frames[0], kind, save_all=True, append_images=frames[1:])
    assert _code(data) == "image.animated"


@pytest.mark.parametrize("side", [13_000, 60_000])
def test_a_header_that_declares_a_huge_image_is_refused_without_decoding_it(side: int) -> None:
    assert side * side > MAX_PIXELS
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\x00" * 1000)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    assert _code(data) == "image.too_large"


CODES = {"image.empty", "image.unknown_format", "image.too_large", "image.animated", "image.damaged"}


def _open_or_refuse(data: bytes) -> None:
    code = None
    try:
        inspect_image(data)
    except ImageError as error:
        code = error.code
    assert code is None or code in CODES


@given(st.binary(max_size=200))
def test_any_bytes_are_an_image_or_refused_with_a_code(data: bytes) -> None:
    for prefix in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF\x00\x01\x00\x00WEBP"):
        _open_or_refuse(prefix + data)


@given(st.integers(0, 2**32 - 1), st.integers(0, 400), st.integers(0, 255))
def test_any_damage_to_an_image_is_an_image_or_refused_with_a_code(seed: int, place: int, value: int) -> None:
    kind = ["PNG", "JPEG", "WEBP", "BMP", "GIF"][seed % 5]
    data = bytearray(_bytes(_picture(24, 16), kind))
    data[place % len(data)] = value
    _open_or_refuse(bytes(data))


def test_copies_in_other_formats_and_sizes_look_alike() -> None:
    expected = difference_hash(_picture())
    for kind, options in (("PNG", {}), ("JPEG", {"quality": 95}), ("WEBP", {"quality": 95})):
        assert inspect_image(_bytes(_picture(), kind, **options))[0].phash == expected
    assert difference_hash(_picture().resize((192, 128))) == expected


def test_other_pictures_look_different() -> None:
    mirrored = ImageOps.mirror(_picture())
    first, second = int(difference_hash(_picture()), 16), int(difference_hash(mirrored), 16)
    assert (first ^ second).bit_count() > 16


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "CMYK"])
def test_every_kind_of_pixel_has_a_hash(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    source = (
        _picture().convert("L").convert("I").convert("I;16") if mode == "I;16" else _picture().convert(mode)
    )
    info, _ = inspect_image(_bytes(source, kind))
    assert len(info.phash) == 16
    int(info.phash, 16)


@given(st.binary())
def test_an_image_id_is_the_sha256_of_the_bytes(data: bytes) -> None:
    assert sha256(data) == hashlib.sha256(data).hexdigest()


def _png_with_exif(body: bytes) -> bytes:
    data = _bytes(_picture(), "PNG")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    return data[:33] + chunk + data[33:]


def _unwritable_exif() -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION], exif[0x011A] = 6, 1.5
    # XResolution as text instead of a fraction: it can be read and not be written again.
    return exif.tobytes()[6:].replace(
        b"\x01\x1a\x00\x05\x00\x00\x00\x01", b"\x01\x1a\x00\x02\x00\x00\x00\x08"
    )


@pytest.mark.parametrize("exif", [b"no TIFF header", b"MM\0\x01\0\0\0\x08", _unwritable_exif()])
def test_exif_on_which_datasets_fails_is_refused(exif: bytes) -> None:
    data = _png_with_exif(exif)
    with pytest.raises(Exception) as theirs:  # noqa: PT011 - whatever it is, a reader of the release would get it
        datasets.Image().decode_example({"bytes": data, "path": None})
    assert not isinstance(theirs.value, ImageError)
    with pytest.raises(ImageError, match="EXIF") as ours:
        inspect_image(data)
    assert ours.value.code == "image.damaged"


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_any_damage_to_an_avif_file_is_an_image_error() -> None:
    # Pillow reports it as RuntimeError.
    data = bytearray(_bytes(_picture(), "AVIF"))
    refused = 0
    for position in range(0, len(data), 3):
        broken = bytes(data[:position]) + b"\xff" + bytes(data[position + 1 :])
        try:
            inspect_image(broken)
        except ImageError:
            refused += 1
    assert refused > len(data) // 12


def test_a_jpeg_with_a_second_picture_behind_it_is_its_first_picture() -> None:
    data = _bytes(_picture(), "MPO", save_all=True, append_images=[_picture(32, 32)])
    info, _ = inspect_image(data)
    assert (info.format, info.suffix, info.width, info.height) == ("JPEG", ".jpg", 96, 64)
    assert datasets.Image().decode_example({"bytes": data, "path": None}).size == (96, 64)
