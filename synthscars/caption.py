"""The caption grammar of SynthScars: compose it, take it apart, find each phrase in it.

As published (LEGION, arXiv 2503.15264, and its annotation files)::

    Upon examining the image. I have found: <scene>. To elaborate, I have found the following artifacts.
    <phrase>:<explanation> <phrase>:<explanation> ...

on one line. The published images all have artifacts; for an image without any, the second sentence is
`I have found no visible artifacts.`

Phrases and explanations stand in the caption verbatim, because LEGION's loader drops a region whose phrase it
does not find there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from synthscars.problems import FormatError

_OPENING = "Upon examining the image. I have found: "
_ELABORATION = " To elaborate, I have found the following artifacts."
_NOTHING = " I have found no visible artifacts."

# Without knowing the phrases, one starts after the end of a sentence and holds no mark that ends one.
_ITEM_START = re.compile(r"(?:^|(?<=[.!?]) )(?P<phrase>[^.!?:]+):")


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of a caption."""

    start: int
    end: int


class Caption(NamedTuple):
    """A caption taken apart: the scene sentence without its full stop, and `(phrase, explanation)` pairs."""

    scene: str
    items: tuple[tuple[str, str], ...]


def compose(scene: str, items: Sequence[tuple[str, str]]) -> str:
    """Write a caption from a scene sentence and `(phrase, explanation)` pairs, both kept verbatim.

    A full stop is put after the scene unless it brings its own.
    """
    return _head(scene, bool(items)) + "".join(f" {phrase}:{explanation}" for phrase, explanation in items)


def _head(scene: str, has_items: bool) -> str:
    stop = "" if scene.endswith(".") else "."
    return f"{_OPENING}{scene}{stop}{_ELABORATION if has_items else _NOTHING}"


def parse(caption: str, phrases: Sequence[str] | None = None) -> Caption:
    """Take a caption apart.

    With the `phrases` of its regions, in the order of the caption, each is found even where explanations hold
    colons; without them, a phrase is what stands between the end of a sentence and a colon.
    `compose(*parse(caption))` gives the caption back. Raises `FormatError` if the caption does not follow the
    grammar or a phrase is not in it.
    """
    if not caption.startswith(_OPENING):
        raise FormatError(f"the caption does not start with {_OPENING!r}: {caption[:60]!r}")
    if caption.endswith("." + _NOTHING) and not phrases:
        return Caption(_scene(caption[len(_OPENING) : -len(_NOTHING)]), ())
    bridge = "." + _ELABORATION
    start = caption.find(bridge, len(_OPENING))
    if start < 0:
        raise FormatError(f"the caption has no {_ELABORATION.strip()!r}: {caption[:60]!r}")
    while True:
        rest = caption[start + len(bridge) :]
        try:
            items = _split_unknown(rest) if phrases is None else _split_known(rest, phrases)
            return Caption(_scene(caption[len(_OPENING) : start + 1]), items)
        except FormatError:
            # The scene sentence may hold the words of the bridge: try the next place.
            start = caption.find(bridge, start + 1)
            if start < 0:
                raise


def _scene(sentence: str) -> str:
    # Without its full stop, unless that would leave another one, which `compose` would take for the only one.
    return sentence if sentence.endswith("..") else sentence[:-1]


def _split_known(rest: str, phrases: Sequence[str]) -> tuple[tuple[str, str], ...]:
    if not rest or not phrases:
        raise FormatError(
            "the caption announces artifacts and names none" if not rest else "the caption names artifacts"
        )
    starts: list[int] = []
    position = 0
    for phrase in phrases:
        start = rest.find(f" {phrase}:", position)
        if start < 0:
            raise FormatError(f"the caption does not hold {phrase!r} in its place")
        starts.append(start)
        position = start + len(phrase) + 2
    if starts[0] != 0:
        raise FormatError(f"the caption holds text before its first phrase: {rest[: starts[0]]!r}")
    ends = [*starts[1:], len(rest)]
    return tuple(
        (phrase, rest[start + len(phrase) + 2 : end])
        for phrase, start, end in zip(phrases, starts, ends, strict=True)
    )


def _split_unknown(rest: str) -> tuple[tuple[str, str], ...]:
    if not rest:
        raise FormatError("the caption announces artifacts and names none")
    text = rest[1:]
    matches = list(_ITEM_START.finditer(text))
    if not rest.startswith(" ") or not matches or matches[0].start() != 0:
        raise FormatError(f"the caption's artifacts do not start with a phrase and a colon: {text[:60]!r}")
    ends = [match.start() for match in matches[1:]] + [len(text)]
    return tuple((match["phrase"], text[match.end() : end]) for match, end in zip(matches, ends, strict=True))


def ground(caption: str, items: Sequence[tuple[str, str]]) -> list[Span | None]:
    """Find each item's phrase in the caption; no two spans overlap, and `None` says that no place is left.

    items: `(phrase, explanation)` pairs. If they are the caption's own, in order, the spans are exact. In any
    other order, a phrase prefers the place where its own explanation follows it, then one that a colon
    follows, then any; longer phrases choose first, so that "the hand" does not take its place out of
    "the hand of the child".
    """
    composed = "".join(f" {phrase}:{explanation}" for phrase, explanation in items)
    if items and caption.endswith(_ELABORATION + composed):
        return list(_spans(len(caption) - len(composed), items))
    spans: list[Span | None] = [None] * len(items)
    body = max(caption.find(_ELABORATION), 0)
    for start, with_explanation, with_colon in ((body, True, True), (body, False, True), (0, False, False)):
        texts = [
            phrase + (":" if with_colon else "") + (explanation if with_explanation else "")
            for phrase, explanation in items
        ]
        waiting = [index for index, span in enumerate(spans) if span is None and items[index][0]]
        for index in sorted(waiting, key=lambda index: -len(texts[index])):
            taken = [span for span in spans if span is not None]
            spans[index] = _first_free(caption, start, texts[index], len(items[index][0]), taken)
    return spans


def contradicts(caption: str, items: Sequence[tuple[str, str]]) -> bool:
    """Whether a caption in the grammar says something else than these `(phrase, explanation)` pairs.

    The order of the pairs does not matter. A caption that does not follow the grammar contradicts nothing.
    """
    if not caption.startswith(_OPENING):
        return False
    if caption.rstrip().endswith("." + _NOTHING):
        return bool(items)
    bridge = "." + _ELABORATION
    start = caption.find(bridge, len(_OPENING))
    follows = False
    while start >= 0:
        rest = caption[start + len(bridge) :]
        if items and _tells(rest, items):
            return False
        follows = follows or _ITEM_START.match(rest[1:]) is not None
        # The scene sentence may hold the words of the bridge: try the next place.
        start = caption.find(bridge, start + 1)
    return follows


def _tells(rest: str, items: Sequence[tuple[str, str]]) -> bool:
    """Whether a text is these pairs, in any order, and nothing else."""
    # Longer ones first, so that none is taken out of another.
    for text in sorted((f" {phrase}:{explanation}".rstrip() for phrase, explanation in items), key=len)[::-1]:
        if text not in rest:
            return False
        rest = rest.replace(text, "", 1)
    return not rest.strip()


def _spans(position: int, items: Sequence[tuple[str, str]]) -> Iterator[Span | None]:
    for phrase, explanation in items:
        start = position + 1
        yield Span(start, start + len(phrase)) if phrase else None
        position = start + len(phrase) + 1 + len(explanation)


def _first_free(caption: str, position: int, text: str, length: int, taken: list[Span]) -> Span | None:
    start = caption.find(text, position)
    while start >= 0:
        span = Span(start, start + length)
        if all(span.end <= other.start or other.end <= span.start for other in taken):
            return span
        start = caption.find(text, start + 1)
    return None
