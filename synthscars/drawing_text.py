"""Texts in pictures: fonts, lines that fit, and ink that can be read on a colour."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Color = tuple[int, int, int]

_LONGEST = 5000
"""Characters of a text that are looked at: more than there is room for."""


def load_font(path: str | Path | None, points: int, *, bold: bool = False) -> Font:
    """A font by its file, DejaVu Sans if none is named. Raises `OSError` if it cannot be read."""
    if path is not None:
        return ImageFont.truetype(path, points)
    found = _dejavu(bold)
    return ImageFont.truetype(found, points) if found else ImageFont.load_default(points)


@cache
def _dejavu(bold: bool) -> Path | None:
    """The font that matplotlib brings along; it has more scripts than Pillow's own."""
    package = find_spec("matplotlib")
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder) / "mpl-data/fonts/ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
        if path.is_file():
            return path
    return None


def clean(text: str) -> str:
    """The text on one line, without what cannot be printed."""
    return " ".join("".join(each if each.isprintable() else " " for each in text[:_LONGEST]).split())


def line_height(font: Font) -> int:
    """Pixels from one line to the next."""
    _, top, _, bottom = font.getbbox("Ägjpy")
    return round(1.2 * (bottom - top))


def wrap(text: str, font: Font, width: int, most: int) -> list[str]:
    """The text in at most `most` lines of at most `width` pixels; where it is cut, it ends in an ellipsis."""
    lines: list[str] = []
    rest = text
    while rest and len(lines) < most:
        fits = _fitting(rest, font, width)
        if fits < len(rest):
            if len(lines) == most - 1:
                lines.append(rest[: max(_fitting(rest, font, width - font.getlength("…")), 1)].rstrip() + "…")
                return lines
            space = rest.rfind(" ", 0, fits + 1)
            fits = space if space > 0 else fits
        lines.append(rest[:fits].rstrip())
        rest = rest[fits:].lstrip()
    return lines or [""]


def balanced(text: str, font: Font, width: int, most: int) -> list[str]:
    """As `wrap`, with lines of about the same length."""
    lines = wrap(text, font, width, most)
    whole = font.getlength(text)
    for narrower in range(round(whole / len(lines)), width, 4) if whole <= len(lines) * width else ():
        tried = wrap(text, font, narrower, most)
        if len(tried) == len(lines) and not tried[-1].endswith("…"):
            return tried
    return lines


def _fitting(text: str, font: Font, width: float) -> int:
    """How many of the first characters fit, at least one."""
    low, high = 1, min(len(text), max(int(width), 1))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle]) <= width else (low, middle - 1)
    return low


def ink(color: Color) -> str:
    """Black or white, whichever can be read better on this colour (WCAG 2, relative luminance)."""
    parts = [part / 255 for part in color]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"
