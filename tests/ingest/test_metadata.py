from __future__ import annotations

import base64
import io
import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import encoded, picture, png
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from synthscars.ingest.metadata import model_from_file_name, read_chunks, read_generation
from synthscars.ingest.metadata.chunks import MAX_CHUNK, MAX_CHUNKS, user_comment
from synthscars.problems import Problems
from synthscars.records import Generation

_TEXT = "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, Seed: 7"


def _chunks(data: bytes, problems: Problems | None = None) -> dict[str, str]:
    image = Image.open(io.BytesIO(data))
    image.load()
    return read_chunks(image, Problems() if problems is None else problems, "file.png")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _with_exif(format: str, comment: bytes) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    # As bytes: Pillow would leave out a block without main tags.
    return encoded(picture(), format, exif=exif.tobytes())


def _after_pixels(data: bytes, chunk: bytes) -> bytes:
    end = data.rindex(b"IEND") - 4
    return data[:end] + chunk + data[end:]


@pytest.mark.parametrize("kind", ["tEXt", "zTXt", "iTXt", "compressed iTXt"])
def test_every_kind_of_png_text_is_read(kind: str) -> None:
    info = PngInfo()
    if kind.endswith("iTXt"):
        info.add_itxt("parameters", _TEXT + " 猫", zip=kind != "iTXt")
    else:
        info.add_text("parameters", _TEXT, zip=kind == "zTXt")
    data = encoded(picture(), "PNG", pnginfo=info)
    assert _chunks(data) == {"parameters": _TEXT + (" 猫" if kind.endswith("iTXt") else "")}


def test_text_after_the_pixels_is_read() -> None:
    data = _after_pixels(png(), _chunk(b"tEXt", b"parameters\0" + _TEXT.encode()))
    generation = read_generation(_chunks(data))
    assert generation is not None
    assert (generation.prompt, generation.seed) == ("a cat", 7)


def test_utf8_in_a_latin1_chunk_is_read_as_what_it_is() -> None:
    chinese = _after_pixels(png(), _chunk(b"tEXt", b"parameters\0" + "一只猫".encode()))
    latin = _after_pixels(png(), _chunk(b"tEXt", b"parameters\0" + "für Élise".encode("latin-1")))
    assert _chunks(chinese) == {"parameters": "一只猫"}
    assert _chunks(latin) == {"parameters": "für Élise"}


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize(
    "comment",
    [
        b"UNICODE\0" + _TEXT.encode("utf-16-be"),
        b"UNICODE\0" + _TEXT.encode("utf-16-le"),
        b"UNICODE\0" + _TEXT.encode("utf-16"),
        b"ASCII\0\0\0" + _TEXT.encode(),
        b"JIS\0\0\0\0\0" + _TEXT.encode("iso2022_jp"),
        bytes(8) + _TEXT.encode(),
        _TEXT.encode(),
    ],
    ids=["utf-16-be", "utf-16-le", "utf-16 with mark", "ascii", "jis", "undefined", "no prefix"],
)
def test_the_exif_comment_is_read_in_every_encoding_and_format(format: str, comment: bytes) -> None:
    generation = read_generation(_chunks(_with_exif(format, comment)))
    assert generation is not None
    assert (generation.prompt, generation.negative_prompt, generation.seed) == ("a cat", "dog", 7)
    assert generation.raw == {"exif:UserComment": _TEXT}


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_comment_that_stands_where_it_does_not_belong_is_read(format: str) -> None:
    exif = Image.Exif()
    exif[0x9286], exif[0x927C] = _TEXT, "a1111"
    generation = read_generation(_chunks(encoded(picture(), format, exif=exif)))
    assert generation is not None
    assert (generation.prompt, generation.raw["exif:MakerNote"]) == ("a cat", "a1111")


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")),
    st.sampled_from(["utf-16-be", "utf-16-le"]),
)
def test_utf16_of_either_byte_order_is_told_by_the_settings_in_it(prompt: str, encoding: str) -> None:
    text = f"Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1\n{prompt}"
    assert user_comment(b"UNICODE\0" + text.encode(encoding)) == text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_utf8_comments_are_read_as_they_are(text: str) -> None:
    assert user_comment(b"ASCII\0\0\0" + text.encode()) == text


@given(st.binary(max_size=200))
def test_no_comment_raises_or_makes_text_that_cannot_be_stored(comment: bytes) -> None:
    user_comment(comment).encode()


def test_bytes_that_are_no_text_are_kept_as_base64() -> None:
    comment = b"ASCII\0\0\0" + bytes(range(128, 256))
    assert user_comment(comment) == "base64:" + base64.b64encode(comment[8:]).decode()


def test_the_camera_and_its_software_are_kept() -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x010F], exif[0x0131] = "a holiday", "Canon", "GIMP"
    exif[0x9C9C] = "grüße".encode("utf-16-le") + b"\0\0"
    chunks = _chunks(encoded(picture(), "JPEG", exif=exif, comment="seen"))
    assert chunks == {
        "exif:ImageDescription": "a holiday",
        "exif:Make": "Canon",
        "exif:Software": "GIMP",
        "exif:XPComment": "grüße",
        "comment": "seen",
    }
    assert read_generation(chunks) == Generation(raw=chunks)


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_xmp_is_kept(format: str) -> None:
    packet = '<x:xmpmeta xmlns:x="adobe:ns:meta/">猫</x:xmpmeta>'
    assert _chunks(encoded(picture(), format, xmp=packet.encode())) == {"xmp": packet}


def test_xmp_in_a_png_is_kept_once() -> None:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    assert _chunks(encoded(picture(), "PNG", pnginfo=info)) == {"xmp": "<x:xmpmeta/>"}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "body", [b"MM\0*\xff\xff\xff\xff", b"", b"nonsense", b"II*\0\x08\0\0\0\xff\xff" + bytes(40)]
)
def test_a_damaged_exif_block_never_raises(body: bytes) -> None:
    data = png(parameters=_TEXT)
    start = data.index(b"IDAT") - 4
    damaged = data[:start] + _chunk(b"eXIf", body) + data[start:]
    assert _chunks(damaged)["parameters"] == _TEXT


def test_chunks_that_are_too_long_or_too_many_are_cut_and_named() -> None:
    problems = Problems()
    info = PngInfo()
    info.add_text("a", "x" * (MAX_CHUNK + 5))
    for index in range(MAX_CHUNKS + 2):
        info.add_text(f"k{index}", "v")
    chunks = _chunks(encoded(picture(), "PNG", pnginfo=info), problems)
    assert len(chunks) == MAX_CHUNKS
    assert len(chunks["a"]) == MAX_CHUNK
    assert [(problem.code, problem.severity, problem.file) for problem in problems] == [
        ("metadata.cut", "warning", "file.png")
    ] * 2


def test_a_file_without_texts_has_no_generation() -> None:
    assert read_generation(_chunks(png())) is None


def test_a_model_that_was_left_empty_is_taken_from_the_file_name_and_said_so() -> None:
    empty = Generation(tool="stable-diffusion.cpp", parameters={"Model": ""})
    found = model_from_file_name(empty, "flux1-dev-q2_k")
    assert (found.model, found.parameters["model_from"]) == ("flux1-dev-q2_k", "file name")
    for stem in ("output", "output_12", "00012-1234567", "image (3)", "", "IMG_2033"):
        assert model_from_file_name(empty, stem) == empty
    for stated in (Generation(tool="automatic1111"), Generation(model="m", parameters={"Model": ""})):
        assert model_from_file_name(stated, "flux1-dev-q2_k") == stated


def test_a_file_name_of_any_length_costs_little() -> None:
    # A name in a zip archive may have 65,535 bytes; the square of that took 20 seconds.
    empty = Generation(parameters={"Model": ""})
    started = time.process_time()
    assert model_from_file_name(empty, "1" * 65_000 + "a").model.endswith("1a")
    assert time.process_time() - started < 5
