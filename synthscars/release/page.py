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

REPORT = (
    COLOURS
    + """
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);margin:0 auto;padding:24px;
max-width:1100px}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 12px;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:36px 0 12px}h3{font-size:1rem;margin:0 0 8px;overflow-wrap:anywhere}
p{margin:0 0 8px}.soft{color:var(--soft)}
.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:16px 0}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px 16px;
min-width:110px}.tiles b{display:block;font-size:1.3rem}
.wide{overflow-x:auto}table{border-collapse:collapse;margin:0 0 12px}
th,td{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:400;color:var(--soft)}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
article{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:16px;margin:0 0 16px}
figure{margin:0}figure svg{display:block;width:100%;height:auto;border-radius:4px}
@media(max-width:640px){body{padding:14px}article{padding:12px}}
@media print{:root{color-scheme:light}body{max-width:none;padding:0}article,tr{break-inside:avoid}}
"""
)
"""CSS of pages that are read from top to bottom: headings, tiles of figures, tables, articles with a picture.

What a page has of its own comes after it."""


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
