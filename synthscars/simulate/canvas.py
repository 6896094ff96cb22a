"""A surface to paint outlines on: soft shading from one light, gradients, textures, blurred shadows.

Everything is drawn at twice the size and scaled down once, so that edges are smooth.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from synthscars.simulate.shapes import Points

Color = tuple[int, int, int]
Texture = Literal["fine", "soft", "wood", "fur", "cloth"]
Pixels = NDArray[np.float32]

SCALE = 2
_TILES = 4
"""So many different tiles there are of each texture; a picture begins anywhere in one."""
_TEXTURES: dict[Texture, tuple[float, float]] = {  # blur along x and y, in pixels of the large canvas
    "fine": (0.8, 0.8),
    "soft": (14.0, 14.0),
    "wood": (60.0, 1.6),
    "fur": (1.2, 9.0),
    "cloth": (2.0, 2.0),
}


def mix(a: Color, b: Color, t: float) -> Color:
    """The colour between `a` (t = 0) and `b` (t = 1)."""
    return tuple(int(min(255, max(0, round(p + (q - p) * t)))) for p, q in zip(a, b, strict=True))  # type: ignore[return-value]


def lighter(color: Color, t: float = 0.25) -> Color:
    """`color` moved towards a warm white."""
    return mix(color, (255, 250, 240), t)


def darker(color: Color, t: float = 0.25) -> Color:
    """`color` moved towards a cool black."""
    return mix(color, (24, 18, 40), t)


@lru_cache(maxsize=256)
def _faded(alpha: float) -> list[int]:
    return [round(value * alpha) for value in range(256)]


@lru_cache(maxsize=24)
def _tile(seed: int, kind: Texture) -> Pixels:
    """Texture of shape (1152, 1664), mirrored, so that no seam shows; mean 0, standard deviation 1."""
    rng = np.random.default_rng([seed, list(_TEXTURES).index(kind)])
    noise = rng.standard_normal((576, 832), dtype=np.float32)
    tile = Image.fromarray(np.clip(noise * 40 + 128, 0, 255).astype(np.uint8))
    values = np.asarray(tile.filter(ImageFilter.GaussianBlur(_TEXTURES[kind])), dtype=np.float32)
    values = np.clip((values - values.mean()) / max(float(values.std()), 1e-6), -2.5, 2.5)
    values = np.concatenate([values, values[:, ::-1]], axis=1)
    return np.concatenate([values, values[::-1]], axis=0).astype(np.float32)


def _blurred(mask: Image.Image, radius: float) -> Image.Image:
    """A mask after a Gaussian blur; a wide one is made at a fraction of the size, where nobody sees it."""
    step = 4 if radius > 14 else 2 if radius > 7 else 1
    if step == 1:
        return mask.filter(ImageFilter.GaussianBlur(radius))
    small = mask.reduce(step).filter(ImageFilter.GaussianBlur(radius / step))
    extent = (0, 0, mask.width / step, mask.height / step)
    return small.resize(mask.size, Image.Resampling.BILINEAR, box=extent)


class Canvas:
    """The picture while it is drawn.

    light: direction towards the light on the screen, of length 1. `opaque` keeps every outline that was
    painted so that it hides what lies below, in the order of painting.
    """

    def __init__(self, width: int, height: int, light: tuple[float, float], texture_seed: int) -> None:
        self.width, self.height, self.light = width, height, light
        self.image = Image.new("RGB", (width * SCALE, height * SCALE))
        self.opaque: list[Points] = []
        self._zoom = (1.0, 0.0, 0.0)  # factor, then shift along x and y
        self._texture_seed = texture_seed

    @contextmanager
    def zoomed(self, x: float, y: float, factor: float) -> Iterator[None]:
        """Draw everything `factor` times as large around (x, y) for the length of a `with` block.

        Blocks may lie in one another; (x, y) is meant as the surrounding block draws it.
        """
        before = self._zoom
        outer, shift_x, shift_y = before
        shift = (outer * (1 - factor) * x + shift_x, outer * (1 - factor) * y + shift_y)
        self._zoom = (outer * factor, *shift)
        yield
        self._zoom = before

    def place(self, outline: Points) -> Points:
        """Where `outline` comes to lie under the zoom in force."""
        factor, x, y = self._zoom
        return outline * factor + (x, y)

    @property
    def factor(self) -> float:
        """The zoom in force."""
        return self._zoom[0]

    def fill(
        self,
        outline: Points,
        color: Color,
        *,
        to: Color | None = None,
        shade: float = 0.0,
        depth: float | None = None,
        alpha: float = 1.0,
        blur: float = 0.0,
        texture: Texture | None = None,
        amount: float = 0.06,
    ) -> None:
        """Paint the inside of `outline`.

        to: colour at the lower end (a vertical gradient). shade: how strongly edges towards the light are
        lit and the others darkened, over `depth` pixels. blur: softness of the edge in pixels. amount:
        contrast of the texture as a fraction.
        """
        outline, blur = self.place(outline), blur * self.factor
        depth = depth * self.factor if depth is not None else None
        if alpha >= 0.999 and blur <= 1.5:
            self.opaque.append(outline)
        extent = outline.max(axis=0) - outline.min(axis=0)
        reach = (float(min(extent)) / 4 if depth is None else depth) if shade else 0.0
        margin = int((3 * blur + 2 * reach) * SCALE) + 2
        low = np.floor(outline.min(axis=0) * SCALE).astype(int) - margin
        high = np.ceil(outline.max(axis=0) * SCALE).astype(int) + margin
        if not shade:  # only what is on the canvas; shading needs the whole shape or borders would be lit
            low = np.maximum(low, -margin)
            high = np.minimum(high, (self.width * SCALE + margin, self.height * SCALE + margin))
        x0, y0 = int(low[0]), int(low[1])
        width, height = int(high[0]) - x0, int(high[1]) - y0
        if width <= 0 or height <= 0:
            return
        mask = Image.new("L", (width, height))
        at = outline * SCALE - (x0 + 0.5, y0 + 0.5)
        ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in at], fill=255)
        plain = mask
        if blur:
            mask = _blurred(mask, blur * SCALE)
        if alpha < 0.999:
            mask = mask.point(_faded(round(alpha, 4)))
        if to is None and not shade and texture is None:
            self.image.paste(color, (x0, y0, x0 + width, y0 + height), mask)
            return
        pixels: Pixels = np.array(color, dtype=np.float32).reshape(1, 1, 3)
        if to is not None:
            top, bottom = float(outline[:, 1].min()) * SCALE - y0, float(outline[:, 1].max()) * SCALE - y0
            t = np.clip((np.arange(height, dtype=np.float32) - top) / max(bottom - top, 1.0), 0.0, 1.0)
            pixels = (pixels + t[:, None, None] * (np.array(to) - pixels)).astype(np.float32)
        factor = np.ones((height, width), dtype=np.float32)
        if shade:
            factor += np.float32(shade) * self._lit(plain, reach)
        if texture is not None:
            factor *= 1 + np.float32(amount) * self._texture(texture, x0, y0, width, height)
        painted = np.empty((height, width, 3), dtype=np.uint8)
        for channel in range(3):
            value = factor * pixels[:, :, channel]
            painted[:, :, channel] = np.minimum(np.maximum(value, 0, out=value), 255, out=value)
        layer = Image.fromarray(painted)
        self.image.paste(layer, (x0, y0), mask)

    def _lit(self, mask: Image.Image, reach: float) -> Pixels:
        """Values in [-1, 1], shape of the mask: positive on the side of the light, zero far from any edge."""
        soft = np.asarray(_blurred(mask, reach * SCALE * 0.7), dtype=np.float32) / np.float32(255)
        dx, dy = round(self.light[0] * reach * SCALE * 0.8), round(self.light[1] * reach * SCALE * 0.8)
        inner = np.roll(soft, (dy, dx), axis=(0, 1))
        outer = np.roll(soft, (-dy, -dx), axis=(0, 1))
        return (inner - outer).astype(np.float32)

    def _texture(self, kind: Texture, x0: int, y0: int, width: int, height: int) -> Pixels:
        tile_values = _tile(self._texture_seed % _TILES, kind)
        tile_height, tile_width = tile_values.shape
        top, left = (y0 + 64) % tile_height, (x0 + 64) % tile_width
        if top + height <= tile_height and left + width <= tile_width:
            return tile_values[top : top + height, left : left + width]
        rows = np.arange(top, top + height) % tile_height
        columns = np.arange(left, left + width) % tile_width
        found: Pixels = tile_values[rows[:, None], columns[None, :]]
        return found

    def gradient(self, top: Color, bottom: Color) -> None:
        """Cover everything with a vertical gradient."""
        ends = np.array([top, bottom], dtype=np.float32)
        t = np.linspace(0, 1, self.height * SCALE, dtype=np.float32)[:, None]
        column = (ends[0] + t * (ends[1] - ends[0])).astype(np.uint8)
        self.image.paste(Image.fromarray(column[:, None, :]).resize(self.image.size))

    def stamp(self, mask: Image.Image, x: float, y: float, color: Color, alpha: float = 1.0) -> None:
        """Paint `color` through `mask` (`L`, at the large scale), its top left corner at (x, y)."""
        if alpha < 0.999:
            mask = mask.point(_faded(round(alpha, 4)))
        left, top = round(x * SCALE), round(y * SCALE)
        self.image.paste(color, (left, top, left + mask.width, top + mask.height), mask)

    def blur(self, radius: float) -> None:
        """Blur everything painted so far, as a lens does that is focused on what is nearer."""
        small = self.image.reduce(SCALE).filter(ImageFilter.GaussianBlur(radius))
        self.image = small.resize(self.image.size, Image.Resampling.BILINEAR)

    def finish(self) -> Pixels:
        """The picture at its final size, float32 of shape (height, width, 3), values 0 to 255."""
        return np.asarray(self.image.reduce(SCALE), dtype=np.float32)
