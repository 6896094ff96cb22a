"""Personal data are taken out of image files of every kind; the pictures stay the same, pixel for pixel."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from synthscars.images import open_image, upright
from synthscars.ingest.metadata.chunks import read_chunks
from synthscars.problems import Problems
from synthscars.release.check.personal import image_findings
from synthscars.release.scrub_image import scrub_image

SECRET = "/home/annabelle/models/x.pt"
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description exif:GPSLatitude="48,1N" '
    f'dc:format="image"><dc:title>{SECRET}</dc:title></rdf:Description></x:xmpmeta>'
)


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 32, 3), dtype=np.uint8))


def personal_exif(*, comment: str = f"steps: 20, model: {SECRET}") -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x013B] = "Annabelle Example"
    exif[0x0131] = "a generator"
    exif[0x010E] = f"from {SECRET}"
    exif[0x9C9C] = f"from {SECRET}\0".encode("utf-16-le")
    exif[0x8769] = {
        0x9286: b"UNICODE\0" + comment.encode("utf-16-be"),
        0xA431: "annabelle-4711",
        0x927C: b"\0\1\2annabelle",
        0x829A: (1, 125),
    }
    exif[0x8825] = {0: b"\2\3\0\0", 1: "N", 2: (48.0, 8.0, 0.0)}
    return exif


def saved(format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture().save(buffer, format, **options)
    return buffer.getvalue()


def png_texts() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", f"a cat\nSteps: 20, Model: {SECRET}")
    info.add_text("prompt", '{"1": {"image": "C:\\\\Users\\\\annabelle\\\\x.png", "seed": 7}}', zip=True)
    info.add_itxt("workflow", '{"café": "annabelle@example.org"}', "en", "Ablauf", zip=True)
    info.add_itxt("XML:com.adobe.xmp", XMP)
    info.add_text("Author", "Annabelle Example")
    info.add_text("Title", "a cat")
    return saved("PNG", pnginfo=info, exif=personal_exif(), icc_profile=ICC, dpi=(72, 72))


def png_raw_profile() -> bytes:
    data = b"Exif\0\0" + personal_exif().tobytes()[6:]
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(data):8}\n{data.hex()}\n", zip=True)
    return saved("PNG", pnginfo=info)


def jpeg(**more: Any) -> bytes:
    options = {"exif": personal_exif(), "icc_profile": ICC, "comment": f"from {SECRET}", "xmp": XMP.encode()}
    return saved("JPEG", **options, **more)


def with_iptc() -> bytes:
    block = b"Photoshop 3.0\0" + b"8BIM\4\4\0\0" + f"annabelle@example.org {SECRET}".encode()
    data = jpeg()
    return data[:2] + b"\xff\xed" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]


def mpo() -> bytes:
    buffer = io.BytesIO()
    picture().save(buffer, "MPO", save_all=True, append_images=[picture()], exif=personal_exif())
    return buffer.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "PNG": png_texts,
    "PNG with a raw profile": png_raw_profile,
    "PNG with something behind its end": lambda: saved("PNG") + f"from {SECRET}".encode(),
    "JPEG": jpeg,
    "progressive JPEG": lambda: jpeg(progressive=True),
    "JPEG with IPTC": with_iptc,
    "JPEG with more pictures": mpo,
    "JPEG with another behind its end": lambda: saved("JPEG") + jpeg(),
    "lossy WebP": lambda: saved("WEBP", exif=personal_exif(), icc_profile=ICC, xmp=XMP.encode()),
    "lossless WebP": lambda: saved("WEBP", lossless=True, exif=personal_exif(), xmp=XMP.encode()),
    "AVIF": lambda: saved("AVIF", exif=personal_exif(), icc_profile=ICC, xmp=XMP.encode()),
}
HIDDEN = ("annabelle", "Annabelle", "GPSL")


def readable(data: bytes) -> bytes:
    """The bytes of a file and of whatever is compressed in it."""
    more = [data]
    for start in range(len(data)):
        if data[start : start + 1] == b"x" and data[start + 1 : start + 2] in (
            b"\x9c",
            b"\xda",
            b"\x01",
            b"\x5e",
        ):
            try:
                more.append(zlib.decompressobj().decompress(data[start:]))
            except zlib.error:
                continue
    return b"\n".join(more)


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_nothing_personal_is_left_and_the_picture_is_the_same(make: Callable[[], bytes]) -> None:
    before = make()
    data, found, left = scrub_image(before)
    assert found
    assert left == ()
    for name in HIDDEN:
        for code in ("utf-8", "utf-16-le", "utf-16-be"):
            assert name.encode(code) not in readable(data), name
        assert name not in str(found)
    old, new = open_image(before), open_image(data)
    assert list(image_findings(new)) == []
    assert (new.mode, new.size, new.tobytes()) == (old.mode, old.size, old.tobytes())
    assert upright(new).tobytes() == upright(old).tobytes()
    assert new.info.get("icc_profile") == old.info.get("icc_profile")
    assert scrub_image(data) == (data, (), ())
    assert scrub_image(before).data == data


def test_what_is_not_personal_stays_in_a_png() -> None:
    new = read_chunks(open_image(scrub_image(png_texts()).data), Problems())
    assert new["parameters"] == "a cat\nSteps: 20, Model: [path]/x.pt"
    assert new["prompt"] == '{"1": {"image": "[path]/x.png", "seed": 7}}'
    assert new["workflow"] == '{"café": "[e-mail]"}'
    assert new["Title"] == "a cat"
    assert 'dc:format="image"' in new["xmp"]
    assert new["exif:UserComment"] == "steps: 20, model: [path]/x.pt"
    assert new["exif:ImageDescription"] == "from [path]/x.pt"
    assert new["exif:XPComment"] == "from [path]/x.pt"
    assert new["exif:Software"] == "a generator"


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG", "AVIF"])
def test_entries_of_exif_that_are_not_personal_stay(format: str) -> None:
    exif = open_image(scrub_image(saved(format, exif=personal_exif())).data).getexif()
    assert (exif[0x0112], exif[0x0131]) == (6, "a generator")
    inner = exif.get_ifd(0x8769)
    assert {0x9286, 0x829A} <= set(inner)
    assert not {0xA431, 0x927C} & set(inner)
    assert float(inner[0x829A][0] if isinstance(inner[0x829A], tuple) else inner[0x829A]) in (1, 1 / 125)
    assert exif.get_ifd(0x8825) == {}


def test_a_block_with_nothing_but_personal_data_goes() -> None:
    exif = Image.Exif()
    exif[0x013B] = "Annabelle Example"
    for format in ("JPEG", "WEBP", "PNG"):
        plain = saved(format)
        data = scrub_image(saved(format, exif=exif)).data
        assert "exif" not in open_image(data).info
        if format != "WEBP":  # it keeps its extended header
            assert data == plain


def test_a_damaged_block_leaves_the_way_up() -> None:
    block = personal_exif().tobytes()
    broken = block[:14] + b"\xff\xff" + block[16:] + b"/home/annabelle/x"
    data = saved("JPEG", exif=broken)
    found = scrub_image(data)
    assert b"annabelle" not in found.data
    assert found.found


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP"])
def test_a_file_without_personal_data_is_the_same_object(format: str) -> None:
    options = {"exif": plain_exif()} if format in ("PNG", "JPEG", "WEBP", "AVIF") else {}
    data = saved(format, **options)
    assert scrub_image(data).data is data
    assert scrub_image(data)[1:] == ((), ())


def plain_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 3
    exif[0x0131] = "a generator"
    return exif


def test_what_cannot_be_taken_out_is_told() -> None:
    data = saved("GIF", comment=b"by annabelle@example.org")
    found = scrub_image(data)
    assert found.data is data
    assert [each.code for each in found.left] == ["personal.email"]


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_no_damage_stops_it_or_makes_a_whole_file_of_a_broken_one(make: Callable[[], bytes]) -> None:
    whole = make()
    rng = np.random.default_rng(3)
    for _ in range(60):
        data = bytearray(whole[: rng.integers(4, len(whole) + 1)])
        for position in rng.integers(0, len(data), rng.integers(0, 4)):
            data[position] = rng.integers(0, 256)
        scrub_image(bytes(data))


def test_real_generations_keep_their_settings_and_lose_their_paths(shared_data: Path) -> None:
    touched = 0
    for path in sorted(shared_data.rglob("*")):
        if path.suffix not in (".png", ".jpg"):
            continue
        before = path.read_bytes()
        data, found, left = scrub_image(before)
        assert left == ()
        if not found:
            assert data is before
            continue
        touched += 1
        old, new = open_image(before), open_image(data)
        assert new.tobytes() == old.tobytes()
        assert list(image_findings(new)) == []
        assert read_chunks(new, Problems()).keys() == read_chunks(old, Problems()).keys()
    assert touched == 6
