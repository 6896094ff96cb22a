"""Captions of records, for formats that want one: scene sentences, and texts that name every artifact."""

from __future__ import annotations

import re

from synthscars import caption as grammar
from synthscars.problems import FormatError
from synthscars.records import ImageRecord

# Special tokens of LLaVA and of what is built on it (LISA, GLaMM, LEGION): `train.py`, `constants.py`.
_MARKS = re.compile(r"\[SEG\]|</?p>|</?s>|<(?:unk|image|bbox|point|im_start|im_end|im_patch)>")


def scene_of(record: ImageRecord) -> str:
    """The scene sentence: of the record's caption, else of the first rater who wrote one, else `""`."""
    for phrases in ([artifact.phrase for artifact in record.artifacts], None):
        try:
            return grammar.parse(record.caption, phrases).scene
        except FormatError:
            continue
    return next((review.scene for review in record.reviews if review.scene), "")


def is_stale(record: ImageRecord) -> bool:
    """Whether the caption says something else than the artifacts do: they were edited since."""
    shown = [(each.phrase, each.explanation) for each in record.artifacts]
    return bool(record.caption) and grammar.contradicts(record.caption, shown)


def caption_of(record: ImageRecord) -> str:
    """The record's own caption, or one composed from its scene and its artifacts' texts if that is stale."""
    if record.caption and not is_stale(record):
        return record.caption
    items = [(each.phrase, each.explanation) for each in record.artifacts if each.phrase or each.explanation]
    return grammar.compose(scene_of(record), items)


def without_marks(text: str) -> str:
    """A text in which marks that mean something to a tokenizer are taken apart: `[ SEG ]`, `< p >`.

    A model that is trained on the text would else be asked for masks or images that are not there.
    """
    return _MARKS.sub(lambda found: f"{found[0][0]} {found[0][1:-1]} {found[0][-1]}", text)
