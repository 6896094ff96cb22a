"""The bytes of an image that are handed out: upright, found by its id alone.

A file that is stored upright goes out byte for byte. One with another EXIF orientation is turned once and
kept in `platform/cache`, whose size is bounded: coordinates of annotations are those of the upright image,
and not every program turns it by itself.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from synthscars.files import atomic_file, is_temporary
from synthscars.images import SUFFIXES, open_image, orientation, upright
from synthscars.problems import FormatError
from synthscars.workspace import Workspace

CACHE_BYTES = 512 * 2**20
"""What the folder of turned images may take; those used longest ago go first."""

MOST_KNOWN = 100_000
_QUALITY = 95
_IMAGE_ID = re.compile("[0-9a-f]{64}")
_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
}


class Picture(NamedTuple):
    """A file to hand out. turned: it is not the original."""

    path: Path
    media_type: str
    turned: bool


class Pictures:
    """The images of one workspace. Methods read files: call them in a thread."""

    def __init__(self, workspace: Workspace, cache_bytes: int = CACHE_BYTES) -> None:
        self._workspace = workspace
        self.cache_dir = workspace.platform_dir / "cache"
        self._cache_bytes = cache_bytes
        self._orientations: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def find(self, image_id: str, variant: str = "upright") -> Picture | None:
        """The file of an image, `None` if there is none of this id.

        Raises `ImageError` if it has to be turned and cannot be decoded.
        """
        if not _IMAGE_ID.fullmatch(image_id):
            return None
        path = self._workspace.find_image(image_id)
        if path is None:
            return None
        if variant == "original" or self._orientation(image_id, path) == 1:
            return Picture(path, _TYPES[path.suffix], turned=False)
        return self._turned(image_id, path)

    def _orientation(self, image_id: str, path: Path) -> int:
        """From the file's header, remembered: an image never changes."""
        with self._lock:
            if (known := self._orientations.get(image_id)) is not None:
                self._orientations.move_to_end(image_id)
                return known
        found = read_orientation(path)
        with self._lock:
            self._orientations[image_id] = found
            while len(self._orientations) > MOST_KNOWN:
                self._orientations.popitem(last=False)
        return found

    def _turned(self, image_id: str, path: Path) -> Picture:
        for suffix in (".png", ".jpg"):
            cached = self.cache_dir / f"{image_id}{suffix}"
            if cached.is_file():
                cached.touch()
                return Picture(cached, _TYPES[suffix], turned=True)
        image = open_image(path.read_bytes())
        lossless = image.format not in ("JPEG", "MPO", "WEBP", "AVIF")
        # Pillow has no turning of JPEG without decoding, and as PNG a photograph takes five times as much.
        turned = upright(image)
        as_png = lossless or turned.has_transparency_data or turned.mode not in ("RGB", "L", "CMYK")
        target = self.cache_dir / f"{image_id}{'.png' if as_png else '.jpg'}"
        icc = image.info.get("icc_profile")
        with atomic_file(target) as file:
            if as_png:
                turned.save(file, "PNG", icc_profile=icc)
            else:
                turned.save(file, "JPEG", quality=_QUALITY, subsampling=0, icc_profile=icc, exif=b"")
        self.trim(keep=target)
        return Picture(target, _TYPES[target.suffix], turned=True)

    def trim(self, keep: Path | None = None) -> None:
        """Remove what was used longest ago until the folder is small enough. keep: never removed."""
        with self._lock:
            found = []
            for path in self.cache_dir.iterdir():
                if not is_temporary(path) and path.is_file():
                    found.append((path.stat().st_mtime, path.stat().st_size, path))
            total = sum(size for _, size, _ in found)
            for _, size, path in sorted(found):
                if total <= self._cache_bytes:
                    return
                if path != keep:
                    path.unlink(missing_ok=True)
                    total -= size


def read_orientation(path: Path) -> int:
    """The EXIF orientation of a file, 1 to 8, without decoding its pixels; 1 if it cannot be told."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=list(SUFFIXES)) as image:
            return orientation(image)
    except (
        OSError,
        SyntaxError,
        ValueError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
        FormatError,
    ):
        # Ingesting refuses such files. If one was damaged since, it is handed out as it is.
        return 1
