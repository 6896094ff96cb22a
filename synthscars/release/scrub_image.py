"""Takes personal data out of the metadata of an image file, without touching a pixel.

Only what holds personal data is rewritten or left out; every other byte stays, and with it the orientation,
the colour profile and the settings of the generator. PNG, JPEG and WebP are chains of chunks that carry
their own length, so that chunks can be replaced without decoding the picture; no library does that for all
of them without encoding anew. In AVIF, whose parts are found by their offsets, blocks are overwritten in
place. What is hidden in the pixels themselves (some generators write into the lowest bits) stays there.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from PIL import Image

from synthscars.images import open_image, orientation
from synthscars.problems import ImageError
from synthscars.release.personal import XMP, Finding, binary_findings, scrub_chunk
from synthscars.release.scrub_avif import metadata_blocks
from synthscars.release.scrub_exif import minimal_exif, orientation_of, scrub_exif

_PNG = b"\x89PNG\r\n\x1a\n"
_XMP_PNG = "XML:com.adobe.xmp"
_RAW_PROFILE = "Raw profile type "
_MOST_TEXT = 64 * 2**20
_EXIF_HEAD = b"Exif\0\0"
_XMP_HEAD, _XMP_MORE = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_SOI, _EOI, _SOS, _COM, _APP1, _APP2 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE1, 0xE2
_NOT_TEXT = {0xE0, _APP2, 0xEB, 0xEE}  # JFIF, colour profile, C2PA, Adobe: they hold no free text
_MOST_SEGMENT = 65_533
_VP8X_EXIF, _VP8X_XMP = 0x08, 0x04


class ScrubbedImage(NamedTuple):
    """data: the file without personal metadata, the same object if there was nothing to do. found: what was
    there. left: what is still there, because it cannot be taken out of this kind of file."""

    data: bytes
    found: tuple[Finding, ...]
    left: tuple[Finding, ...] = ()


class _DamagedError(Exception):
    """The file does not have the structure of its format."""


def scrub_image(data: bytes) -> ScrubbedImage:
    """An image file without the personal data in its metadata; its pixels and its way up stay the same.

    The same bytes give the same bytes, and what comes back needs no second time. A file that cannot be
    decoded, or would look different afterwards, comes back as it is. Pictures behind the first one of a JPEG
    (MPO) go if anything has to.
    """
    scrub = _scrubber(data)
    if scrub is None:
        return ScrubbedImage(data, ())
    try:
        changed, found, left = scrub(data)
    except (_DamagedError, struct.error, IndexError, ValueError):
        return ScrubbedImage(data, ())
    unique = tuple(dict.fromkeys(found))
    if not unique or changed == data:
        return ScrubbedImage(data, unique, tuple(dict.fromkeys(left)))
    if not _looks_the_same(data, changed):
        return ScrubbedImage(data, unique, unique)
    return ScrubbedImage(changed, unique, tuple(dict.fromkeys(left)))


_Result = tuple[bytes, list[Finding], list[Finding]]


def _scrubber(data: bytes) -> Callable[[bytes], _Result] | None:
    if data.startswith(_PNG):
        return _png
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp
    if data[4:8] == b"ftyp" and b"avif" in data[8:64]:
        return _avif
    if data[:4] == b"GIF8":
        return _gif
    return None


def _looks_the_same(before: bytes, after: bytes) -> bool:
    try:
        one, other = open_image(before), open_image(after)
        same = orientation(one) == orientation(other) or orientation(one) == 1
    except ImageError:
        return False
    return (
        same
        and (one.mode, one.size) == (other.mode, other.size)
        and one.info.get("icc_profile") == other.info.get("icc_profile")
        and one.tobytes() == other.tobytes()
    )


# PNG


def _png(data: bytes) -> _Result:
    parts = [_PNG]
    found: list[Finding] = []
    more_exif: bytes | None = None
    has_exif = b"eXIf" in data
    position = len(_PNG)
    while position < len(data):
        (size,) = struct.unpack_from(">I", data, position)
        kind = data[position + 4 : position + 8]
        end = position + 12 + size
        if end > len(data) or len(kind) < 4:
            raise _DamagedError
        content = data[position + 8 : end - 4]
        kept: bytes | None = content
        seen: list[Finding] = []
        if kind == b"eXIf":
            kept, seen = scrub_exif(content, "image file, EXIF")
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            kept, seen, exif = _png_text(kind, content)
            more_exif = exif or more_exif
        found += seen
        if not seen:
            parts.append(data[position:end])
        elif kept is not None:
            parts.append(_png_chunk(kind, kept))
        position = end
        if kind == b"IEND":
            break
    behind = data[position:]
    seen = binary_findings(behind, "image file, behind its end")
    found += seen
    if more_exif is not None and not has_exif:
        parts.insert(2, _png_chunk(b"eXIf", more_exif))  # behind the header, which is the first chunk
    return b"".join([*parts, b"" if seen else behind]), found, []


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png_text(kind: bytes, content: bytes) -> tuple[bytes | None, list[Finding], bytes | None]:
    """The content of a text chunk, and an EXIF block that it held and that has to go elsewhere."""
    key, _, rest = content.partition(b"\0")
    name = key.decode("latin-1")
    head, packed = b"", False
    if kind == b"zTXt":
        head, rest, packed = rest[:1], rest[1:], True
    elif kind == b"iTXt":
        packed = rest[:1] == b"\1"
        language_end = rest.find(b"\0", 2)
        title_end = rest.find(b"\0", language_end + 1)
        if language_end < 0 or title_end < 0:
            return content, [], None
        head, rest = rest[: title_end + 1], rest[title_end + 1 :]
    if packed:
        try:
            rest = zlib.decompressobj().decompress(rest, _MOST_TEXT)
        except zlib.error:
            return content, [], None
    if name.startswith(_RAW_PROFILE):
        return _raw_profile(name, content, rest)
    code = "utf-8" if kind == b"iTXt" or _is_utf8(rest) else "latin-1"
    text = rest.decode(code, "replace")
    scrubbed, found = scrub_chunk(XMP if name == _XMP_PNG else name, text, f"image file, {name[:60]}")
    if scrubbed is None:
        return None, found, None
    value = scrubbed.encode(code, "replace")
    return key + b"\0" + head + (zlib.compress(value, 9) if packed else value), found, None


def _raw_profile(name: str, content: bytes, text: bytes) -> tuple[bytes | None, list[Finding], bytes | None]:
    # As ImageMagick writes profiles: a name and a length, each on its line, then hex.
    place = f"image file, {name}"
    try:
        profile = bytes.fromhex(text.split(b"\n", 3)[3].decode("ascii"))
    except (IndexError, ValueError):
        return content, [], None
    if profile.startswith(_EXIF_HEAD):
        exif, found = scrub_exif(profile.removeprefix(_EXIF_HEAD), place)
        return (None if found else content), found, exif if found else None
    found = binary_findings(profile, place)
    return (None if found else content), found, None


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeError:
        return False
    return True


# JPEG


def _jpeg(data: bytes) -> _Result:
    head: list[tuple[int, bytes]] = []
    found: list[Finding] = []
    position = 2
    changed = False
    while True:
        while data[position : position + 2] == b"\xff\xff":  # padding
            position += 1
        if data[position] != 0xFF:
            raise _DamagedError
        marker = data[position + 1]
        if marker in (_SOS, _EOI):
            break
        (size,) = struct.unpack_from(">H", data, position + 2)
        end = position + 2 + size
        if size < 2 or end > len(data):
            raise _DamagedError
        content = data[position + 4 : end]
        kept, seen = _segment(marker, content)
        found += seen
        changed |= bool(seen)
        whole = data[position:end]
        if not seen:
            head.append((marker, whole))
        elif kept is not None:
            head.append((marker, bytes([0xFF, marker]) + struct.pack(">H", len(kept) + 2) + kept))
        position = end
    end = _end_of_scans(data, position)
    behind = data[end:]
    place = "image file, behind its end"
    seen = list(scrub_image(behind).found) if behind[:2] == b"\xff\xd8" else binary_findings(behind, place)
    found += seen
    if not found:
        return data, [], []
    several = any(_is_index(marker, content[4:]) for marker, content in head)
    kept_head = [content for marker, content in head if not _is_index(marker, content[4:])]
    drop_rest = several or bool(seen)
    return b"\xff\xd8" + b"".join(kept_head) + data[position : end if drop_rest else len(data)], found, []


def _is_index(marker: int, content: bytes) -> bool:
    # Where the other pictures of an MPO file are: wrong as soon as anything moves.
    return marker == _APP2 and content.startswith(b"MPF\0")


def _segment(marker: int, content: bytes) -> tuple[bytes | None, list[Finding]]:
    if marker == _COM:
        return _as_text("comment", content)
    if marker not in range(0xE0, 0xF0) or marker in _NOT_TEXT:
        return content, []
    if marker == _APP1 and content.startswith(_EXIF_HEAD):
        tiff = content.removeprefix(_EXIF_HEAD)
        kept, found = scrub_exif(tiff, "image file, EXIF")
        if found and kept is not None and len(kept) + len(_EXIF_HEAD) > _MOST_SEGMENT:
            kept = minimal_exif(orientation_of(tiff))
        return (None if kept is None else _EXIF_HEAD + kept), found
    if marker == _APP1 and content.startswith(_XMP_HEAD):
        kept, found = _as_text(XMP, content.removeprefix(_XMP_HEAD))
        return (None if kept is None else _XMP_HEAD + kept), found
    found = binary_findings(content, f"image file, APP{marker - 0xE0}")
    return (None if found else content), found


def _as_text(name: str, content: bytes) -> tuple[bytes | None, list[Finding]]:
    code = "utf-8" if _is_utf8(content) else "latin-1"
    kept, found = scrub_chunk(name, content.decode(code), f"image file, {name}")
    encoded = None if kept is None else kept.encode(code, "replace")
    return (None if encoded is None or len(encoded) > _MOST_SEGMENT - 64 else encoded), found


def _end_of_scans(data: bytes, position: int) -> int:
    """Where the first picture of a JPEG ends; `position` is that of its first scan."""
    while position + 1 < len(data):
        position = data.find(b"\xff", position)
        if position < 0 or position + 1 >= len(data):
            break
        marker = data[position + 1]
        if marker == _EOI:
            return position + 2
        if marker == 0xFF:
            position += 1
        elif marker == 0 or 0xD0 <= marker <= 0xD8:
            position += 2
        else:
            if position + 4 > len(data):
                break
            position += 2 + max(2, struct.unpack_from(">H", data, position + 2)[0])
    return len(data)


# WebP


def _webp(data: bytes) -> _Result:
    parts: list[tuple[bytes, bytes]] = []
    found: list[Finding] = []
    for kind, content in _riff_chunks(data):
        kept: bytes | None = content
        seen: list[Finding] = []
        if kind == b"EXIF":
            head = _EXIF_HEAD if content.startswith(_EXIF_HEAD) else b""
            exif, seen = scrub_exif(content.removeprefix(head), "image file, EXIF")
            kept = None if exif is None else head + exif
        elif kind == b"XMP ":
            kept, seen = _as_text(XMP, content)
        found += seen
        if kept is not None:
            parts.append((kind, kept))
    if not found:
        return data, [], []
    kinds = {kind for kind, _ in parts}
    flags = (_VP8X_EXIF * (b"EXIF" not in kinds)) | (_VP8X_XMP * (b"XMP " not in kinds))
    body = b"WEBP"
    for kind, content in parts:
        if kind == b"VP8X" and content:
            content = bytes([content[0] & ~flags]) + content[1:]
        body += kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body, found, []


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    (size,) = struct.unpack_from("<I", data, 4)
    end = min(len(data), 8 + size)
    position = 12
    while position + 8 <= end:
        (length,) = struct.unpack_from("<I", data, position + 4)
        if position + 8 + length > end:
            raise _DamagedError
        yield data[position : position + 4], data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


# AVIF, GIF


def _avif(data: bytes) -> _Result:
    found: list[Finding] = []
    left: list[Finding] = []
    for kind, start, end in metadata_blocks(data):
        block = data[start:end]
        kept: bytes | None
        if kind == "exif":
            kept, seen = scrub_exif(block, "image file, EXIF")
            if kept is not None and len(kept) > len(block):
                kept = minimal_exif(orientation_of(block))
            kept, filler = kept or _EMPTY_EXIF, b"\0"
        else:
            kept, seen = _as_text(XMP, block)
            kept, filler = kept or b"", b" "
        found += seen
        if len(kept) > len(block):
            left += seen
        elif seen:
            data = data[:start] + kept.ljust(len(block), filler) + data[end:]
    return data, found, left


_EMPTY_EXIF = b"II*\0\x08\0\0\0\0\0\0\0\0\0"


def _gif(data: bytes) -> _Result:
    comment = _info(data).get("comment")
    found = _as_text("comment", comment)[1] if isinstance(comment, bytes) else []
    return data, found, found


def _info(data: bytes) -> dict[str | tuple[int, int], object]:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return dict(image.info)
    except Exception as error:  # of damaged files Pillow raises nearly anything
        raise _DamagedError from error
