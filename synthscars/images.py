"""Facts about one image file: is it whole, how large is it upright, what does it look like.

The full decode is the only honest check: Pillow's `verify()` accepts a truncated JPEG. A file with bytes
overwritten in the middle may still decode; its sha256 is what tells such a copy from the original.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings

import msgspec
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from synthscars.problems import ImageError, Problem
from synthscars.records import ImageRecord

SUFFIXES: dict[str, str] = {
    "PNG": ".png",
    "JPEG": ".jpg",
    "WEBP": ".webp",
    "AVIF": ".avif",
    "GIF": ".gif",
    "BMP": ".bmp",
}
"""Formats that browsers show and `datasets` decodes, with the suffix each is stored under."""

MAX_PIXELS = 150_000_000
"""Larger images are refused before they are decoded: a small file can declare any size."""

_ORIENTATION = 0x0112
# A JPEG with more pictures behind the first, as cameras write it (a gain map). Browsers and `datasets` show
# the first.
_MPO = "MPO"
# What Pillow raises on a damaged file; RuntimeError is AVIF's, struct.error that of writing EXIF again.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    RuntimeError,
    struct.error,
)


class ImageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a full decode found.

    width, height: pixels, upright. orientation: the EXIF value 1 to 8 (1: stored upright).
    phash: 64-bit difference hash of the upright image, 16 hex digits; equal for pictures that look alike.
    """

    image_id: str
    format: str
    width: int
    height: int
    orientation: int
    phash: str
    bytes: int

    @property
    def suffix(self) -> str:
        """File suffix for the format, with its dot."""
        return SUFFIXES[self.format]


def sha256(data: bytes | bytearray | memoryview) -> str:
    """Lower-case hex sha256: the id of an image."""
    return hashlib.sha256(data).hexdigest()


def open_image(data: bytes) -> Image.Image:
    """Decode an image completely, as stored (not turned upright).

    Raises `ImageError` with one of the codes `image.empty`, `image.unknown_format`, `image.too_large`,
    `image.animated`, `image.damaged`.
    """
    if not data:
        raise ImageError("the file is empty", code="image.empty", fix="generate or copy it again")
    try:
        with warnings.catch_warnings():
            # Pillow warns of a decompression bomb from its own limit on; ours is checked below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=list(SUFFIXES))
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(
                    f"it declares {image.width} x {image.height} pixels, more than {MAX_PIXELS:,}",
                    code="image.too_large",
                    fix="scale it down",
                )
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format != _MPO:
                raise ImageError(
                    f"it is animated ({frames} frames)",
                    code="image.animated",
                    fix="export the frames you want",
                )
            image.load()
    except UnidentifiedImageError as error:
        known = ", ".join(SUFFIXES)
        raise ImageError(
            "it is not an image in a known format", code="image.unknown_format", fix=f"known formats: {known}"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(str(error), code="image.too_large", fix="scale it down") from error
    except _DAMAGED as error:
        raise ImageError(
            f"it cannot be decoded: {error}", code="image.damaged", fix="generate or copy it again"
        ) from error
    return image


def too_large(record: ImageRecord) -> Problem | None:
    """What is wrong with a record whose size no image may have: masks of it could not be made."""
    width, height = record.width, record.height
    if max(width, height, width * height) <= MAX_PIXELS:
        return None
    return Problem(
        code="image.too_large",
        what=f"its record says {width} x {height} pixels, more than {MAX_PIXELS:,}",
        file=record.file_name,
        image=record.image_id,
        fix="mend the size in the record",
    )


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none.

    Raises `ImageError` (`image.damaged`) if Pillow cannot read the EXIF block: `datasets` reads it as well,
    so a release with such an image could not be iterated over.
    """
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGED as error:
        raise _damaged_exif(error) from error
    return value if value in range(1, 9) else 1


def upright(image: Image.Image) -> Image.Image:
    """The image as it is meant to be seen, and as `datasets` decodes it.

    Raises `ImageError` (`image.damaged`) if its EXIF block does not allow that.
    """
    if orientation(image) == 1:
        return image
    try:
        return ImageOps.exif_transpose(image)
    except _DAMAGED as error:
        raise _damaged_exif(error) from error


def _damaged_exif(error: Exception) -> ImageError:
    return ImageError(
        f"its EXIF block cannot be read, so that nobody knows which side is up: {error}",
        code="image.damaged",
        fix="save it again upright, without EXIF",
    )


def difference_hash(image: Image.Image) -> str:
    """64-bit difference hash (dHash) of an upright image as 16 hex digits.

    Each bit says whether a cell of an 8 x 8 grid is brighter than its neighbour to the right.
    """
    cells = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BILINEAR), dtype=np.int16)
    bits = (cells[:, :-1] > cells[:, 1:]).flatten()
    return np.packbits(bits).tobytes().hex()


def inspect_image(data: bytes) -> tuple[ImageInfo, Image.Image]:
    """Decode an image and describe it; also returns the decoded image as stored, for its metadata.

    Raises `ImageError` as `open_image` does.
    """
    image = open_image(data)
    turned = upright(image)
    info = ImageInfo(
        image_id=sha256(data),
        format="JPEG" if image.format == _MPO else str(image.format),
        width=turned.width,
        height=turned.height,
        orientation=orientation(image),
        phash=difference_hash(turned),
        bytes=len(data),
    )
    return info, image
