"""Where each artifact stands in the caption of a grounded conversation, so that no loader loses one.

What the loaders do with an entry (GLaMM, https://github.com/mbzuai-oryx/groundingLMM, and LEGION,
https://github.com/opendatalab/LEGION, both `dataset/gcg_datasets/GranDf_gcg_ds.py`): they strip quotation
marks and white space off the caption, put `<p> ` and ` </p> [SEG]` around the characters that
`token_positives` names, from the last to the first, and expect as many `[SEG]` as there are masks. Loaders
derived from them drop a grounding whose key does not stand in the caption. So here

- the caption is one that stripping does not change, and holds none of the marks that mean something to the
  tokenizer: a literal `[SEG]` would ask for a mask that is not there;
- spans are each artifact's own and do not overlap;
- keys stand in the caption word for word, and no two are equal: where a phrase occurs twice, the second key
  is the phrase with as many of the words after it as make it another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from synthscars.caption import Span, compose, ground
from synthscars.converters.captions import is_stale, scene_of, without_marks
from synthscars.records import ImageRecord

_WORD = re.compile(r"\S+")

Items = Sequence[tuple[str, str]]


class Place(NamedTuple):
    """The key of an artifact among the groundings, and the characters of the caption that stand for it."""

    key: str
    span: Span


class Grounding(NamedTuple):
    """A caption as loaders see it, and the place of each artifact in it; `None` for one that has none."""

    caption: str
    places: tuple[Place | None, ...]


def as_loaded(caption: str) -> str:
    """A caption as loaders see it: without the quotation marks and the white space around it."""
    return caption.strip('"').strip()


def settled(caption: str) -> str:
    """A caption that loaders leave as it is: stripped until there is nothing left to strip."""
    while (stripped := as_loaded(caption)) != caption:
        caption = stripped
    return caption


def grounding_of(record: ImageRecord) -> Grounding:
    """The record's own caption if every artifact finds a place of its own in it, else one that is composed.

    An artifact stands where its phrase is; one without a phrase, where its explanation is. One without
    either, or without an outline, has no place.
    """
    items = [(without_marks(each.phrase), without_marks(each.explanation)) for each in record.artifacts]
    drawn = [bool(artifact.polygons) for artifact in record.artifacts]
    wanted = [is_drawn and any(map(settled, item)) for is_drawn, item in zip(drawn, items, strict=True)]
    own = without_marks(record.caption)
    usable = not is_stale(record) and (own or not any(wanted))
    found = _in_caption(own, items, wanted) if usable else None
    if found is None:
        found = _in_caption(compose(without_marks(scene_of(record)), items), items, wanted)
    # In a composed caption everything has a place; there are more slices of it than artifacts.
    assert found is not None
    return found


def _in_caption(caption: str, items: Items, wanted: Sequence[bool]) -> Grounding | None:
    loaded = settled(caption)
    spans: list[Span | None]
    if items and caption.endswith("".join(f" {phrase}:{explanation}" for phrase, explanation in items)):
        spans = list(_own_spans(caption, caption.find(loaded), len(loaded), items))
    else:
        spans = ground(loaded, [item if settled(item[0]) else (item[1], "") for item in items])
    places: list[Place | None] = []
    taken: set[str] = set()
    for span, want in zip(spans, wanted, strict=True):
        if not want:
            places.append(None)
            continue
        key = next((key for key in _keys(loaded, span) if key not in taken), None) if span else None
        if span is None or key is None:
            return None
        taken.add(key)
        places.append(Place(key, span))
    return Grounding(loaded, tuple(places))


def _own_spans(caption: str, lead: int, length: int, items: Items) -> Iterator[Span | None]:
    """The spans in a caption that ends with its items, as places in the loaded caption."""
    position = len(caption) - sum(len(phrase) + len(explanation) + 2 for phrase, explanation in items)
    for phrase, explanation in items:
        start = position + 1 if settled(phrase) else position + len(phrase) + 2
        words = phrase if settled(phrase) else explanation
        span = Span(max(start - lead, 0), min(start + len(words) - lead, length))
        yield span if span.start < span.end else None
        position += len(phrase) + len(explanation) + 2


def _keys(caption: str, span: Span) -> Iterator[str]:
    """The words of the span, then with more and more of the words after it, then of what is before it."""
    yield caption[span.start : span.end]
    for word in _WORD.finditer(caption, span.end):
        yield caption[span.start : word.end()]
    for start in range(span.start - 1, -1, -1):
        yield caption[start : span.end]
