"""Small images and folder trees for tests."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo


def picture(seed: int = 0, width: int = 24, height: int = 16) -> Image.Image:
    """A picture of noise; another seed, another picture."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def view(seed: int = 0, width: int = 240, height: int = 160) -> Image.Image:
    """A picture of soft patches, which looks the same at any size; another seed, another picture."""
    return picture(seed, 9, 6).resize((width, height), Image.Resampling.BICUBIC)


def png(seed: int = 0, width: int = 24, height: int = 16, **texts: str) -> bytes:
    """A PNG file with text chunks."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    return encoded(picture(seed, width, height), "PNG", pnginfo=info)


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def write(root: Path, files: dict[str, bytes]) -> Path:
    """Write files below a folder, and return it."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root
