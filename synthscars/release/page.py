"""What HTML pages about releases share: their head, texts from outside, small pictures.

A page is one file that needs nothing from outside and runs no script. Whatever comes from data is escaped.
"""

from __future__ import annotations

import base64
import io
from html import escape

from PIL import Image

from synthscars.shown import visible

COLOURS = """
:root{color-scheme:light dark;--ink:#1c1e21;--soft:#5b616b;--page:#fff;--card:#f5f6f8;--line:#d5d9df;
--new:#0072b2}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e7e9ec;--soft:#a2a9b4;--page:#15171a;
--card:#1f2226;--line:#383d45;--new:#6cb8ec}}
*{box-sizing:border-box}
"""
"""Colours of a page on light and on dark, as CSS variables."""


def page_head(title: str, style: str, nonce: str = "") -> str:
    """The page up to its body. title: of the window, any text. style: CSS, of ours alone.

    nonce: of a page that a server makes anew each time: scripts that bring it run, and may ask that server.
    """
    scripts = f"script-src 'nonce-{nonce}'; connect-src 'self'; " if nonce else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"{scripts}style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{html_text(title)}</title>\n<style>{style}</style></head>\n"
    )


def html_text(text: str) -> str:
    """A text for HTML, also within quotes: no mark-up, no control characters, no change of direction."""
    return escape(visible(text))


def jpeg_uri(image: Image.Image, side: int, quality: int = 75) -> str:
    """The address of a small JPEG: `data:image/jpeg;base64,...`. side: pixels of the longer side, at most."""
    small = image.copy()
    small.thumbnail((side, side))
    if small.has_transparency_data:
        backdrop = Image.new("RGBA", small.size, "white")
        small = Image.alpha_composite(backdrop, small.convert("RGBA"))
    buffer = io.BytesIO()
    small.convert("RGB").save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
