"""Letters, right or scrambled, from the font that Pillow carries (no system fonts)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from PIL.Image import Transpose


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _glyph(letter: str, size: int) -> Image.Image:
    """One letter as an `L` image, as wide as its advance and as high as a capital; a little bolder."""
    font = _font(size)
    advance = max(1, round(font.getlength(letter)))
    image = Image.new("L", (advance + size // 8, round(size * 0.92)))
    ImageDraw.Draw(image).text(
        (size // 16, round(size * 0.82)),
        letter,
        fill=255,
        font=font,
        anchor="ls",
        stroke_width=max(1, size // 28),
    )
    return image


def _scrambled(glyph: Image.Image, other: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A letter that is none: mirrored, upside down, or half of it from `other`."""
    other = other.resize(glyph.size)
    kind = int(rng.integers(4))
    if kind == 0:
        glyph = glyph.transpose(Transpose.ROTATE_180)
        glyph.paste(other.crop((0, 0, glyph.width, glyph.height // 2)), (0, 0))
    elif kind == 1:
        glyph = glyph.transpose(Transpose.FLIP_LEFT_RIGHT)
        half = other.transpose(Transpose.FLIP_TOP_BOTTOM).crop(
            (glyph.width // 2, 0, glyph.width, glyph.height)
        )
        glyph.paste(half, (glyph.width // 2, 0))
    elif kind == 2:
        glyph = ImageOps.flip(glyph)
        lower = other.crop((0, glyph.height // 2, glyph.width, glyph.height))
        glyph.paste(lower.rotate(180), (0, glyph.height // 2))
    else:
        glyph = Image.fromarray(
            np.maximum(np.asarray(glyph.transpose(Transpose.FLIP_LEFT_RIGHT)), np.asarray(other))
        )
        glyph = glyph.rotate(float(rng.uniform(-25, 25)), Image.Resampling.BICUBIC)
    return glyph


def text_mask(text: str, width: float, height: float, scramble: int | None) -> Image.Image:
    """`text` as an `L` mask that fits into `width` by `height`; with a seed in `scramble`, of broken letters.

    The mask of a text has the same size with and without scrambling.
    """
    size = max(8, round(height))
    glyphs = [_glyph(letter, size) for letter in text]
    if scramble is not None:
        rng = np.random.default_rng(scramble)
        order = rng.permutation(len(glyphs))
        glyphs = [_scrambled(glyph, glyphs[order[i]], rng) for i, glyph in enumerate(glyphs)]
    mask = Image.new("L", (sum(glyph.width for glyph in glyphs), glyphs[0].height))
    at = 0
    for glyph in glyphs:
        mask.paste(glyph, (at, 0))
        at += glyph.width
    factor = min(width / mask.width, height / mask.height)
    return mask.resize(
        (max(1, round(mask.width * factor)), max(1, round(mask.height * factor))), Image.Resampling.LANCZOS
    )
