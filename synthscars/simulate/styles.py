"""How a patch of the picture changes: what `synthscars.simulate.artifacts` pastes into an outline.

Every function takes all pixels, float32 of shape (height, width, 3), 0 to 255, and returns new ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from synthscars.simulate.canvas import Color, Pixels
from synthscars.simulate.shapes import pick

PATTERNS = ("black and white stripes", "checkered squares", "fish scales", "leopard spots")


def _gray(pixels: Pixels) -> Pixels:
    return (pixels @ np.array([0.3, 0.59, 0.11], dtype=np.float32)).astype(np.float32)


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def sketch(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Pencil on white paper: contours, and hatching where it is dark."""
    height, width = pixels.shape[:2]
    gray = _gray(pixels)
    soft = np.asarray(_image(gray).filter(ImageFilter.GaussianBlur(3)), dtype=np.float32)
    contour = np.clip((soft - gray) * 5 - 14, 0, 190)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    lean = np.float32(rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.2))
    lines = np.sin((x * lean + y) * np.float32(2 * np.pi / 9))
    across = np.sin((x * lean - y) * np.float32(2 * np.pi / 9))
    ink = np.where(lines > 0.45, 150, 0) + np.where((across > 0.55) & (soft < 140), 110, 0)
    paper = 247 - contour - ink
    return np.repeat(np.clip(paper, 40, 250)[:, :, None], 3, axis=2).astype(np.float32)


def pixel_art(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Square blocks in few, strong colours."""
    block = int(rng.integers(15, 20))
    height, width = pixels.shape[:2]
    small = _image(pixels).resize((width // block + 1, height // block + 1), Image.Resampling.BOX)
    few = np.asarray(small, dtype=np.float32)
    few += rng.uniform(-46, 46, few.shape[:2])[:, :, None].astype(np.float32)
    few = np.clip(np.round((few - 128) * 1.5 / 64) * 64 + 128, 0, 255)
    large = few.repeat(block, axis=0).repeat(block, axis=1)[:height, :width]
    large[::block] *= 0.8
    large[:, ::block] *= 0.8
    return large.astype(np.float32)


def comic(pixels: Pixels, rng: np.random.Generator, mask: NDArray[np.float32]) -> Pixels:
    """Flat colour with printed dots inside a thick black outline; `mask`: the patch, 0 to 1."""
    height, width = pixels.shape[:2]
    gray = _gray(pixels)
    base = np.array(
        pick(rng, ((250, 222, 80), (240, 120, 110), (120, 196, 236), (160, 214, 120))), dtype=np.float32
    )
    flat = base * (0.7 + 0.4 * np.round(gray / 85)[:, :, None] / 3)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    step = np.float32(13)
    row = np.floor(y / step)
    dx = (x + np.where(row % 2 == 1, step / 2, 0)) % step - step / 2
    dots = dx**2 + (y % step - step / 2) ** 2 < 15
    flat = np.where(dots[:, :, None], np.array([206, 52, 60], dtype=np.float32), flat)
    inner = np.asarray(_image(mask * 255).filter(ImageFilter.MinFilter(9)), dtype=np.float32)
    edge = (inner < 128)[:, :, None]
    return np.where(edge, np.float32(18), np.clip(flat, 0, 255)).astype(np.float32)


def melted(pixels: Pixels, rng: np.random.Generator, mask: NDArray[np.float32]) -> Pixels:
    """Everything pulled in waves, most in the middle of the patch."""
    height, width = pixels.shape[:2]
    soft = np.asarray(_image(mask * 255).filter(ImageFilter.GaussianBlur(6)), dtype=np.float32) / 255
    weight = np.clip(2 * soft - 0.9, 0, 1)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    extent = float(np.sqrt(mask.sum()))
    wave = max(24.0, extent / 2.2)
    swing = np.clip(extent / 8, 9, 20) * weight
    phase = rng.uniform(0, 6.3, 3)
    dx = swing * (np.sin(y / wave * 6.3 + phase[0]) + 0.5 * np.sin(x / wave * 4.1 + phase[2]))
    dy = swing * 0.8 * np.sin(x / wave * 6.3 + phase[1])
    columns = np.clip(np.rint(x + dx), 0, width - 1).astype(int)
    rows = np.clip(np.rint(y + dy), 0, height - 1).astype(int)
    moved: Pixels = pixels[rows, columns]
    return np.asarray(_image(moved).filter(ImageFilter.GaussianBlur(0.7)), dtype=np.float32)


def pattern(pixels: Pixels, rng: np.random.Generator, kind: str) -> Pixels:
    """A texture that covers the surface, lit as the surface was; `kind`: one of `PATTERNS`."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    turn = float(rng.uniform(0, np.pi))
    u = x * np.cos(turn) + y * np.sin(turn)
    v = y * np.cos(turn) - x * np.sin(turn)
    dark: Color
    light: Color
    if kind == PATTERNS[0]:
        on, dark, light = np.sin(u * 2 * np.pi / 18 + 0.8 * np.sin(v / 14)) > 0, (30, 28, 34), (240, 238, 232)
    elif kind == PATTERNS[1]:
        on = (np.floor(u / 12) + np.floor(v / 12)) % 2 > 0
        dark, light = (170, 40, 48), (238, 226, 206)
    elif kind == PATTERNS[2]:
        row = np.floor(v / 11)
        du = (u + np.where(row % 2 == 1, 9, 0)) % 18 - 9
        on = np.abs(np.hypot(du, v % 11) - 9) < 2.2
        dark, light = (24, 66, 74), (96, 176, 168)
    else:
        cells = rng.standard_normal((height // 7 + 2, width // 7 + 2)).astype(np.float32)
        noise = _image(cells * 50 + 128).resize((width, height), Image.Resampling.BICUBIC)
        on = np.abs(np.asarray(noise, dtype=np.float32) - 138) < 20
        dark, light = (62, 40, 26), (226, 172, 92)
    colors = np.where(on[:, :, None], np.array(dark, dtype=np.float32), np.array(light, dtype=np.float32))
    shade = 0.72 + 0.4 * _gray(pixels)[:, :, None] / 255
    return np.clip(colors * shade, 0, 255).astype(np.float32)
