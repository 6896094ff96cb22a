"""Every text that a file carries beside its pixels, by the name of its chunk."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngImageFile, iTXt

from synthscars.problems import Problems

MAX_CHUNK = 4_000_000
"""Characters kept of one chunk. The largest ComfyUI workflows have about a tenth of this."""

MAX_CHUNKS = 256
"""Chunks kept of one file."""

BINARY = "base64:"
"""Starts a value that is no text in any encoding that its place allows."""

_XMP = "XML:com.adobe.xmp"
_EXIF_IFD = 0x8769
_MAIN_TAGS = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x0132: "DateTime",
    0x013B: "Artist",
    0x8298: "Copyright",
    0x9C9B: "XPTitle",
    0x9C9C: "XPComment",
    0x9C9D: "XPAuthor",
    0x9C9E: "XPKeywords",
    0x9C9F: "XPSubject",
}
_EXIF_TAGS = {0x9286: "UserComment", 0x927C: "MakerNote"}
_PREFIX_BYTES = 8


def read_chunks(image: Image.Image, problems: Problems, file: str = "") -> dict[str, str]:
    """All texts of a decoded image: PNG text by its keyword, `exif:<tag name>`, `xmp`, `comment`.

    Decoded, because PNG text may stand after the pixels. Bytes that are no text are kept as `base64:...`.
    What is too long is cut and damaged blocks are left out, each with a warning that names `file`; never
    raises.
    """
    chunks: dict[str, str] = {}
    for name, value in _found(image, problems, file):
        if len(chunks) == MAX_CHUNKS:
            problems.add(
                "metadata.cut",
                f"it has more than {MAX_CHUNKS} metadata chunks; the rest was left out",
                fix="the image's bytes still have them",
                severity="warning",
                file=file,
            )
            break
        if len(value) > MAX_CHUNK:
            problems.add(
                "metadata.cut",
                f"metadata chunk {name[:80]!r} has {len(value):,} characters; kept the first {MAX_CHUNK:,}",
                fix="the image's bytes still have all of it",
                severity="warning",
                file=file,
            )
        chunks[name] = value[:MAX_CHUNK]
    return chunks


def _found(image: Image.Image, problems: Problems, file: str) -> Iterator[tuple[str, str]]:
    if isinstance(image, PngImageFile):
        for name, text in image.text.items():
            yield ("xmp" if name == _XMP else name), _png_text(text)
    yield from _exif(image, problems, file)
    for name in ("xmp", "comment"):
        value = image.info.get(name)
        if isinstance(value, bytes) and not (name == "xmp" and _XMP in image.info):
            yield name, _plain(value)


def _png_text(text: str) -> str:
    # Pillow reads a tEXt chunk as Latin-1, as the standard says; many generators write UTF-8 there.
    if isinstance(text, iTXt):
        return str(text)
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _exif(image: Image.Image, problems: Problems, file: str) -> Iterator[tuple[str, str]]:
    try:
        exif = image.getexif()
        little = exif.endian == "<"
        values = [(name, exif.get(tag)) for tag, name in _MAIN_TAGS.items()]
        inner = exif.get_ifd(_EXIF_IFD)
        # Some writers, Fooocus among them, put these where they do not belong.
        values += [(name, inner.get(tag, exif.get(tag))) for tag, name in _EXIF_TAGS.items()]
    except Exception as error:  # a damaged block raises nearly anything; the pixels are good all the same
        problems.add(
            "metadata.damaged",
            f"its EXIF block cannot be read: {error or type(error).__name__}",
            fix="the image is used without it",
            severity="warning",
            file=file,
        )
        return
    for name, value in values:
        if value is not None:
            yield f"exif:{name}", _exif_text(name, value, little)


def _exif_text(name: str, value: Any, little: bool) -> str:
    if isinstance(value, tuple) and all(isinstance(item, int) and 0 <= item < 256 for item in value):
        value = bytes(value)
    if not isinstance(value, bytes):
        return str(value).rstrip("\0")
    if name == "UserComment":
        return user_comment(value, little_endian=little)
    if name.startswith("XP"):
        return value.decode("utf-16-le", "replace").rstrip("\0")
    return _plain(value)


def user_comment(value: bytes, *, little_endian: bool = False) -> str:
    """The text of an EXIF UserComment: 8 bytes name its encoding, which writers get wrong in every way.

    little_endian: the byte order of the EXIF block, which settles UTF-16 where the text itself does not.
    """
    prefix, rest = value[:_PREFIX_BYTES], value[_PREFIX_BYTES:]
    if prefix == b"UNICODE\0":
        return _utf16(rest, little_endian=little_endian)
    if prefix == b"JIS\0\0\0\0\0":
        try:
            return rest.decode("iso2022_jp").rstrip("\0")
        except UnicodeError:
            return _plain(rest)
    if prefix in {b"ASCII\0\0\0", bytes(_PREFIX_BYTES)}:
        return _plain(rest)
    return _plain(value)


def _utf16(data: bytes, *, little_endian: bool) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").rstrip("\0")
    if len(data) % 2 and b"\0" not in data:
        return _plain(data)  # it says UTF-16 and is UTF-8
    # A generator's text has ASCII in it, whatever the prompt's script: count it in either byte order.
    sample = data[: min(len(data) // 2 * 2, 65_536)]
    pairs = list(zip(sample[::2], sample[1::2], strict=True))
    big = sum(first == 0 and 0 < second < 128 for first, second in pairs)
    little = sum(second == 0 and 0 < first < 128 for first, second in pairs)
    reverse = little > big or (little == big and little_endian)
    return data.decode("utf-16-le" if reverse else "utf-16-be", "replace").rstrip("\0")


def _plain(data: bytes) -> str:
    stripped = data.rstrip(b"\0")
    if b"\0" in stripped and len(data) % 2 == 0 and stripped.count(b"\0") * 3 > len(stripped):
        return _utf16(data, little_endian=stripped[1:2] == b"\0")
    try:
        text = stripped.decode("utf-8")
    except UnicodeError:
        return BINARY + base64.b64encode(data).decode("ascii")
    return text if "\0" not in text else BINARY + base64.b64encode(data).decode("ascii")
