"""Texts in another language than the others.

Languages are told by py3langid, for texts in Latin letters that are long enough and only where it is sure:
of short English descriptions of artifacts it takes none for another language then. Letters of other scripts
are told by `texts`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from threading import Lock
from typing import Any, NamedTuple

from synthscars.problems import Problem
from synthscars.release.check.items import Item
from synthscars.release.check.texts import STRANGE_SHARE, Text, script_of
from synthscars.release.personal import scrub_text

LEAST_WORDS = 5
SURE = 0.8
"""Probability from which on a language is believed."""

_WORD = re.compile(r"[^\W\d_]{2,}")
_LONGEST = 2000
_KEPT_PLACES = 20
_lock = Lock()


class Told(NamedTuple):
    """A text whose language is told for sure."""

    language: str
    text: Text


def languages_of(texts: Iterable[Text]) -> list[Told]:
    """The texts whose language is certain; of the caption only if nothing else was written. Thread-safe."""
    written = [text for text in texts if text.text.strip()]
    own = [text for text in written if text.field != "caption"] or written
    found = ((language_of(text.text), text) for text in own)
    return [Told(language, text) for language, text in found if language]


def language_of(text: str) -> str:
    """The ISO 639 code of the language of a text in Latin letters, `""` if that is not certain."""
    short = text[:_LONGEST]
    if len(_WORD.findall(short)) < LEAST_WORDS or script_of(short) != "latin":
        return ""
    language, probability = _identifier().classify(short)
    return str(language) if probability >= SURE else ""


def _identifier() -> Any:
    with _lock:
        return _loaded()


@cache
def _loaded() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


class Languages:
    """Counts the languages of all texts, and keeps a few places of each.

    expected: the language that texts should be in; `""`: that of most of them.
    """

    def __init__(self, expected: str = "") -> None:
        self._expected = expected
        self._counts: Counter[str] = Counter()
        self._images: Counter[str] = Counter()
        self._places: dict[str, list[Problem]] = defaultdict(list)

    def add(self, item: Item, told: Iterable[Told]) -> None:
        """Take in one image."""
        here: dict[str, list[Text]] = defaultdict(list)
        for language, text in told:
            here[language].append(text)
        for language, texts in here.items():
            self._counts[language] += len(texts)
            self._images[language] += 1
            if len(self._places[language]) < _KEPT_PLACES:
                self._places[language].append(_problem(item, language, texts))

    def problems(self) -> Iterator[Problem]:
        """One problem for each image with texts in a rare other language; one note for each common one."""
        total = self._counts.total()
        expected = self._expected or next((name for name, _ in self._counts.most_common(1)), "")
        for language, count in sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0])):
            if language == expected:
                continue
            if count > STRANGE_SHARE * total and not self._expected:
                yield Problem(
                    code="text.languages",
                    what=f"{count} of {total} texts whose language is certain are in {language!r}, "
                    f"{self._counts[expected]} in {expected!r}",
                    fix="say in the card which languages there are",
                    severity="info",
                    count=count,
                )
                continue
            places = self._places[language]
            yield from places
            if self._images[language] > len(places):
                more = self._images[language] - len(places)
                yield Problem(
                    code="text.language",
                    what=f"{more} more images have texts in {language!r}",
                    fix="translate them, or say in the card which languages there are",
                    severity="warning",
                    count=more,
                )


def _problem(item: Item, language: str, texts: list[Text]) -> Problem:
    region, field, text = texts[0]
    more = f", and {len(texts) - 1} more texts" if len(texts) > 1 else ""
    return item.problem(
        "text.language",
        f"the {field} is in the language {language!r}: {scrub_text(text.strip())[0][:60]!r}{more}",
        "translate it, or say in the card which languages there are",
        severity="warning",
        region=region,
        count=len(texts),
    )
