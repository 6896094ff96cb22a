"""LEGION's answer: a caption whose phrases carry `<p> phrase </p> [SEG]`, and back again.

The markers are GLaMM's (arXiv 2311.03356), which the published model and `synthscars.converters.gcg` use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from synthscars.caption import compose

PHRASE_START, PHRASE_END, SEG = "<p>", "</p>", "[SEG]"
MARKERS = (PHRASE_START, PHRASE_END, SEG)

_MARKED = re.compile(r"<p>(?P<phrase>(?:(?!<p>).)*?)</p>\s*\[SEG\]\s*(?::\s*)?", re.DOTALL)
_MARKER = re.compile(r"\s*(?:<p>|</p>|\[SEG\])")


class Item(NamedTuple):
    """A phrase of an answer, what is said about it, and which `[SEG]` of the answer, from 0, is its own."""

    phrase: str
    explanation: str
    seg: int


def answer_text(scene: str, items: Sequence[tuple[str, str]]) -> str:
    """What LEGION is to answer: the caption of `(phrase, explanation)` pairs with every phrase marked.

    Markers that stand in the texts themselves are taken out of them, because each `[SEG]` asks for a mask.
    """
    marked = [
        (f"{PHRASE_START} {_plain(phrase)} {PHRASE_END} {SEG}", _plain(explanation))
        for phrase, explanation in items
    ]
    return compose(_plain(scene), marked)


def _plain(text: str) -> str:
    return _MARKER.sub("", text).strip() if _MARKER.search(text) else text


def take_apart(text: str) -> tuple[str, list[Item]]:
    """The caption without markers, and its marked phrases in order.

    An answer that was cut off, or that marks a phrase badly, gives the phrases that are whole; its text is
    kept as it is, but for the markers.
    """
    starts = list(_MARKED.finditer(text))
    ends = [*(match.start() for match in starts[1:]), *([len(text)] if starts else [])]
    items = [
        Item(
            match["phrase"].strip(),
            _MARKER.sub("", text[match.end() : end]).strip(),
            text.count(SEG, 0, match.end()) - 1,
        )
        for match, end in zip(starts, ends, strict=True)
    ]
    return _unmarked(text), items


def _unmarked(text: str) -> str:
    whole = re.sub(r"<p> ?(.*?) ?</p> ?\[SEG\]", r"\1", text, flags=re.DOTALL)
    return _MARKER.sub("", whole).strip()
