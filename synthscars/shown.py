"""Texts from outside made fit to be shown: nothing in them moves a cursor, hides, or turns a line around."""

from __future__ import annotations

import re

LONGEST = 300
"""Characters of a value that are shown in a line."""

_PICTURES = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n"}
_PICTURES |= {0x7F: "␡", **dict.fromkeys(range(0x80, 0xA0), "�")}
# Direction marks could make a reader see the text after them in another order; halves of characters, as in
# names of files that are not UTF-8, cannot be written at all.
_PICTURES |= dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], "�")
_PICTURES |= dict.fromkeys(range(0xD800, 0xE000), "�")

_IN_JSON = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """A text without what moves a terminal's cursor or ends a page: control characters as their pictures."""
    return text.translate(_PICTURES)


def short(text: str, longest: int = LONGEST) -> str:
    """A text cut to what fits a line, with control characters made visible."""
    return visible(text if len(text) <= longest else f"{text[: longest - 1]}…")


def escape_json(text: str) -> str:
    """JSON that says the same, with an escape for every character that JSON allows and a terminal obeys."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
