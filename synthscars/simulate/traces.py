"""What a generator and what a camera leave in every pixel of a picture.

Neither changes size, format or content: a detector has to look at texture, noise and light.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from synthscars.simulate.canvas import Pixels

_GRID = 8
"""Pixels per cell of the latent picture of common generators; upsampling leaves a pattern of this width."""


def generator_traces(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A little too smooth and too colourful, with the faint pattern of upsampling.

    pixels: float32 (height, width, 3), 0 to 255; the result has the same shape and may leave the range.
    """
    height, width = pixels.shape[:2]
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(1.5)), dtype=np.float32)
    detail = np.abs(pixels - soft).max(axis=2, keepdims=True)
    keep = np.clip(detail / 26, 0.25, 1)  # edges stay, faint texture goes
    smooth = soft + (pixels - soft) * keep
    gray = smooth.mean(axis=2, keepdims=True)
    colourful = gray + (smooth - gray) * np.float32(rng.uniform(1.0, 1.18))
    strength = np.float32(rng.uniform(1.2, 2.4))
    phase = rng.uniform(0, 2 * np.pi, 2)
    x = np.cos(np.arange(width) * 2 * np.pi / _GRID + phase[0]).astype(np.float32)
    y = np.cos(np.arange(height) * 2 * np.pi / _GRID + phase[1]).astype(np.float32)
    patterned: Pixels = colourful + (strength * (x[None, :] + y[:, None]) / 2)[:, :, None]
    grain = rng.standard_normal((height, width, 1), dtype=np.float32)
    patterned += np.float32(0.7) * grain
    return np.asarray(patterned * _corners(height, width, float(rng.uniform(0, 0.12))), dtype=np.float32)


def _corners(height: int, width: int, strength: float) -> Pixels:
    """A factor of shape (height, width, 1): 1 in the middle, 1 - `strength` in the corners."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return np.asarray(1 - np.float32(strength) * (x * x + y * y) / 2, dtype=np.float32)[:, :, None]


def camera_traces(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Lens and sensor: slight blur, colour fringes, dark corners, white balance, noise that follows light.

    pixels: float32 (height, width, 3), 0 to 255; the result has the same shape and may leave the range.
    """
    height, width = pixels.shape[:2]
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    channels = []
    fringe = float(rng.uniform(0.0008, 0.0024)) * rng.choice([-1, 1])
    for channel, grow in zip(image.split(), (fringe, 0.0, -fringe), strict=True):
        # Red and blue are magnified a little differently from green around the middle of the picture.
        scale = 1 + grow - abs(fringe)  # never beyond the edge
        shift = (width / 2 * (1 - scale), height / 2 * (1 - scale))
        channels.append(
            channel.transform(
                image.size,
                Image.Transform.AFFINE,
                (scale, 0, shift[0], 0, scale, shift[1]),
                Image.Resampling.BILINEAR,
            )
        )
    lens = Image.merge("RGB", channels).filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 0.8))))
    light = (np.asarray(lens, dtype=np.float32) / 255) ** np.float32(2.2)
    light *= _corners(height, width, float(rng.uniform(0.1, 0.3)))
    light *= rng.uniform(0.93, 1.07, 3).astype(np.float32) * np.float32(rng.uniform(0.92, 1.16))
    gain = float(rng.uniform(0.0006, 0.0022))
    # Photon noise grows with the root of the light, read noise does not; neighbours share it (demosaicing).
    sigma = np.sqrt(gain * np.clip(light, 0, 1) + gain * gain * 8)
    noise = rng.standard_normal((height, width, 3), dtype=np.float32)
    shared = (noise + np.roll(noise, 1, axis=0) + np.roll(noise, 1, axis=1)) / np.float32(1.35)
    light = np.clip(light + sigma * shared, 0, 1)
    developed: Pixels = light ** np.float32(1 / 2.2) * 255
    return developed
