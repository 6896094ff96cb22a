"""Captions of records, for formats that want one: scene sentences, and texts that name every artifact."""

from __future__ import annotations

from synthscars import caption as grammar
from synthscars.problems import FormatError
from synthscars.records import ImageRecord


def scene_of(record: ImageRecord) -> str:
    """The scene sentence: of the record's caption, else of the first rater who wrote one, else `""`."""
    for phrases in (None, [artifact.phrase for artifact in record.artifacts]):
        try:
            return grammar.parse(record.caption, phrases).scene
        except FormatError:
            continue
    return next((review.scene for review in record.reviews if review.scene), "")


def caption_of(record: ImageRecord) -> str:
    """The record's own caption, or one composed from its scene and its artifacts' texts."""
    if record.caption:
        return record.caption
    items = [(each.phrase, each.explanation) for each in record.artifacts if each.phrase or each.explanation]
    return grammar.compose(scene_of(record), items)
