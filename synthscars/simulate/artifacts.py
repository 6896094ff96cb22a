"""Artifacts that can lie on any surface: a blotch, a wrong texture, noise, a blur, a change of style, a melt.

The others (an extra finger, a wrong shadow, scrambled letters, ...) are drawn by the scenes themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from synthscars.simulate.canvas import Color, Pixels
from synthscars.simulate.shapes import Points, between, blob, pick
from synthscars.simulate.stage import Spot, Stage, polygon_of
from synthscars.simulate.styles import PATTERNS, comic, melted, pattern, pixel_art, sketch

OVERLAYS = ("melt", "blotch", "texture", "sketch", "pixels", "comic", "noise", "smear")
SMALLEST = 1300.0
"""The least area of an artifact in square pixels: 18 x 18 pixels if a square picture is scaled to 256."""
_LARGE = ("sketch", "pixels", "comic", "texture")
_VISIBLE = {
    "melt": 0.4,
    "smear": 0.4,
    "blotch": 0.8,
    "texture": 0.6,
    "sketch": 0.6,
    "pixels": 0.5,
    "comic": 0.7,
    "noise": 0.7,
}
"""The least share of a patch that must change by more than 14 of 255."""

_COLOURS: tuple[tuple[str, Color], ...] = (
    ("violet", (142, 66, 190)), ("green", (70, 176, 92)), ("turquoise", (40, 186, 190)),
    ("magenta", (214, 56, 142)), ("orange", (240, 138, 40)),
)  # fmt: skip
_AROUND = 40
"""Pixels around a patch that what is painted into it may depend on."""
_FINE = 4
"""Supersampling of the edge of a patch."""


def overlay(stage: Stage, pixels: Pixels, fault: str, rng: np.random.Generator, taken: list[Any]) -> Pixels:
    """Plant one overlay on a surface that the scene named, clear of the regions in `taken`.

    pixels: (height, width, 3), 0 to 255. Marks nothing if no place was found. Returns the new pixels.
    """
    for _ in range(6):
        found = _place(stage, fault, rng, taken)
        if found is None:
            return pixels
        spot, outline = found
        whole = _mask(outline, stage.width, stage.height)
        (x0, y0), (x1, y1) = (
            outline.min(axis=0).astype(int) - _AROUND,
            outline.max(axis=0).astype(int) + _AROUND,
        )
        part = np.s_[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        words = {"place": spot.place}
        before, mask = pixels[part], whole[part]
        new = _changed(fault, before, mask, rng, words)
        # What cannot be seen is not planted: a blur on a plain wall, a blotch of the colour below it.
        difference = np.abs(new - before).max(axis=2)[mask > 0.5]
        if difference.size and float((difference > 14).mean()) >= _VISIBLE[fault]:
            break
    else:
        return pixels
    stage.mark_placed(fault, outline, **words)
    if not stage.plant:
        return pixels
    mixed: Pixels = pixels.copy()
    mixed[part] += (new - before) * mask[:, :, None]
    return mixed


def _changed(
    fault: str,
    pixels: Pixels,
    mask: NDArray[np.float32],
    rng: np.random.Generator,
    words: dict[str, str],
) -> Pixels:
    """What the picture would be if all of it had the fault; adds to `words` what the texts need."""
    below = pixels[mask > 0.99].mean(axis=0)
    if fault == "blotch":
        far = sorted(_COLOURS, key=lambda entry: -float(np.abs(np.array(entry[1]) - below).sum()))
        words["colour"], color = pick(rng, far[:3])
        return _blotch(pixels, color, rng)
    if fault == "texture":
        words["pattern"] = pick(rng, PATTERNS)
        return pattern(pixels, rng, words["pattern"])
    if fault == "sketch":
        return sketch(pixels, rng)
    if fault == "pixels":
        return pixel_art(pixels, rng)
    if fault == "comic":
        return comic(pixels, rng, mask)
    if fault == "melt":
        return melted(pixels, rng, mask)
    return _noise(pixels, rng) if fault == "noise" else _smear(pixels, below)


def _place(
    stage: Stage, fault: str, rng: np.random.Generator, taken: list[Any]
) -> tuple[Spot, Points] | None:
    """A surface and an outline on it; drawn again until it is large enough and clear of `taken`."""
    if fault == "melt":
        return _feature(stage, rng, taken)
    spots = [spot for spot in stage.spots if (spot.detail or fault != "smear") and not spot.feature]
    for _ in range(40):
        if not spots:
            return None
        spot = pick(rng, spots)
        surface = stage.region(spot)
        if surface.is_empty or surface.area < 300:
            continue
        x0, y0, x1, y1 = surface.bounds
        x, y = between(rng, x0, x1), between(rng, y0, y1)
        radius = between(rng, 30, 62) * (1.25 if fault in _LARGE else 1.0)
        wave = rng.uniform(0.72, 1.22, size=9)
        stretch = between(rng, 0.8, 1.3)
        around = np.linspace(0, 2 * np.pi, 9, endpoint=False)
        xs = x + radius * stretch * wave * np.cos(around)
        ys = y + radius / stretch * wave * np.sin(around)
        whole = polygon_of(blob(*zip(xs.tolist(), ys.tolist(), strict=True)))
        shape = whole.intersection(surface)
        parts = [part for part in getattr(shape, "geoms", [shape]) if part.geom_type == "Polygon"]
        if not parts:
            continue
        part = max(parts, key=lambda each: each.area).simplify(0.2)
        enough = part.area >= max(SMALLEST, 0.5 * min(whole.area, surface.area)) and not part.interiors
        if enough and all(part.distance(other) > 6 for other in taken):
            return spot, np.asarray(part.exterior.coords, dtype=np.float64)[:-1]
    return None


def _feature(stage: Stage, rng: np.random.Generator, taken: list[Any]) -> tuple[Spot, Points] | None:
    """A whole feature, or the larger part of it, that is clear of `taken`."""
    spots = [spot for spot in stage.spots if spot.feature]
    for number in rng.permutation(len(spots)):
        surface = stage.region(spots[number])
        parts = [part for part in getattr(surface, "geoms", [surface]) if part.geom_type == "Polygon"]
        if not parts:
            continue
        part = max(parts, key=lambda each: each.area).simplify(0.3)
        if part.area >= SMALLEST and all(part.distance(other) > 6 for other in taken):
            return spots[number], np.asarray(part.exterior.coords, dtype=np.float64)[:-1]
    return None


def _mask(outline: Points, width: int, height: int) -> NDArray[np.float32]:
    """The share of each pixel that lies inside `outline`; (height, width), 0 to 1."""
    image = Image.new("L", (width * _FINE, height * _FINE))
    at = outline * _FINE - 0.5
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in at], fill=255)
    return np.asarray(image.reduce(_FINE), dtype=np.float32) / np.float32(255)


def _blotch(pixels: Pixels, color: Color, rng: np.random.Generator) -> Pixels:
    """`color` with a mottled texture, keeping a little of the light and shade below it."""
    height, width = pixels.shape[:2]
    noise = rng.standard_normal((height // 4 + 1, width // 4 + 1)).astype(np.float32)
    soft = Image.fromarray(np.clip(noise * 40 + 128, 0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(0.8)
    )
    cells = np.asarray(soft.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    brightness = pixels.mean(axis=2)
    light = 0.8 + 0.35 * brightness / 255 + 0.006 * (cells - 128)
    mottled: Pixels = np.clip(np.array(color, dtype=np.float32) * light[:, :, None], 0, 255)
    return mottled * np.float32(0.88) + pixels * np.float32(0.12)


def _noise(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Strong coloured noise in cells of 2 x 2 pixels."""
    height, width = pixels.shape[:2]
    cells = rng.standard_normal((height // 2 + 1, width // 2 + 1, 3)).astype(np.float32)
    noise = cells.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    noisy: Pixels = np.clip(0.7 * pixels + 0.3 * 128 + 72 * noise, 0, 255)
    return noisy


def _smear(pixels: Pixels, below: NDArray[np.float32]) -> Pixels:
    """Everything pulled aside, blurred beyond recognition and washed out; `below`: the mean colour there."""
    height, width = pixels.shape[:2]
    shift = np.rint(14 * np.sin(np.arange(height) / 9.0)).astype(int)
    columns = np.clip(np.arange(width)[None, :] + shift[:, None], 0, width - 1)
    pulled = pixels[np.arange(height)[:, None], columns]
    image = Image.fromarray(np.clip(pulled, 0, 255).astype(np.uint8))
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur((9, 6))), dtype=np.float32)
    haze = np.float32(255.0 if float(below.mean()) < 150 else 60.0)
    return blurred * np.float32(0.84) + haze * np.float32(0.16)
