"""Texts that nobody meant: empty, placeholders, one text on many images, another script than the rest."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from synthscars.placeholders import is_placeholder
from synthscars.problems import Problem, Severity
from synthscars.release.check.items import Item, region_of
from synthscars.shown import short

COPIED_IMAGES = 5
"""Images that must share one explanation before it is mentioned."""

COPIED_SHARE = 0.25
"""Share of the images with artifacts from which on one explanation is a warning: raters do repeat themselves,
but hardly on every fourth image."""

STRANGE_SHARE = 0.1
"""Share of the texts up to which another script is an exception; above it, the dataset has two languages."""

_LEAST_LETTERS = 4
_KEPT_PLACES = 20


class Text(NamedTuple):
    """A text that a rater wrote. region: where it is."""

    region: str
    field: str
    text: str


def texts_of(item: Item) -> list[Text]:
    """What raters wrote about an image: phrases and explanations, scenes, and the caption."""
    record = item.record
    found = [
        Text(region_of(artifact), field, text)
        for artifact in record.artifacts
        for field, text in (("phrase", artifact.phrase), ("explanation", artifact.explanation))
    ]
    found += [Text(f"review {number}", "scene", each.scene) for number, each in enumerate(record.reviews)]
    return [*found, Text("", "caption", record.caption)]


def check_texts(item: Item, texts: Iterable[Text]) -> Iterator[Problem]:
    """What the texts of one image tell by themselves."""
    for region, field, text in texts:
        if not text.strip():
            if field in ("phrase", "explanation"):
                what = f"the {field} is empty"
                fix = "write it, and build the next version"
                yield item.problem(f"{field}.empty", what, fix, severity="warning", region=region)
        elif is_placeholder(text):
            yield item.problem(
                "text.placeholder",
                f"the {field} {text.strip()[:60]!r} is a placeholder",
                "write what is seen there",
                severity="warning",
                region=region,
            )


# Over all images


class Corpus:
    """Collects the texts of all images; keeps digests and a few examples, not the texts."""

    def __init__(self) -> None:
        self._annotated = 0
        self._images: Counter[bytes] = Counter()
        self._examples: dict[bytes, tuple[str, str]] = {}
        self._scripts: Counter[str] = Counter()
        self._places: dict[str, list[Problem]] = defaultdict(list)

    def add(self, item: Item, texts: Iterable[Text]) -> None:
        """Take in one image."""
        self._annotated += bool(item.record.artifacts)
        here: dict[bytes, str] = {}
        for region, field, text in texts:
            if field == "explanation" and text.strip():
                plain = " ".join(text.casefold().split())
                here[blake2b(plain.encode("utf-8", "replace"), digest_size=16).digest()] = text
            script = script_of(text) if field in ("phrase", "explanation", "scene") else ""
            if script:
                self._scripts[script] += 1
                places = self._places[script]
                if len(places) < _KEPT_PLACES:
                    what = f"the {field} is in {script.title()} letters: {text.strip()[:40]!r}"
                    fix = "translate it, or say in the card which languages there are"
                    places.append(item.problem("text.script", what, fix, severity="warning", region=region))
        for digest, text in here.items():
            self._images[digest] += 1
            if self._images[digest] == 2:  # most texts are there once, and are not kept
                self._examples[digest] = (item.record.image_id, short(text.strip(), 80))

    def problems(self) -> Iterator[Problem]:
        """What is seen only when all texts are known."""
        yield from self._copied()
        yield from self._strange()

    def _copied(self) -> Iterator[Problem]:
        """One warning for each text that is on many images, one note for all others."""
        several = [(digest, count) for digest, count in self._images.most_common() if count >= COPIED_IMAGES]
        rest = [each for each in several if each[1] <= COPIED_SHARE * self._annotated]
        for digest, count in several[: len(several) - len(rest)]:
            yield self._copy(digest, count, "warning", "", count)
        if rest:
            others = len(rest) - 1
            more = f"; {others:,} more explanations are on {COPIED_IMAGES} images or more" if others else ""
            yield self._copy(*rest[0], "info", more, len(rest))

    def _copy(self, digest: bytes, images: int, severity: Severity, more: str, count: int) -> Problem:
        image, text = self._examples[digest]
        return Problem(
            code="text.copied",
            what=f"{images} of {self._annotated} images with artifacts have the explanation {text!r}{more}",
            fix="look whether somebody copied it instead of looking",
            severity=severity,
            image=image,
            count=count,
        )

    def _strange(self) -> Iterator[Problem]:
        total = sum(self._scripts.values())
        for number, (script, count) in enumerate(self._scripts.most_common()):
            if not number:
                continue
            if count > STRANGE_SHARE * total:
                yield Problem(
                    code="text.scripts",
                    what=f"{count} of {total} texts are in {script.title()} letters",
                    fix="say in the card which languages there are",
                    severity="info",
                    count=count,
                )
                continue
            yield from self._places[script]
            if count > _KEPT_PLACES:
                yield Problem(
                    code="text.script",
                    what=f"{count - _KEPT_PLACES} more texts are in {script.title()} letters",
                    fix="translate them, or say in the card which languages there are",
                    severity="warning",
                    count=count - _KEPT_PLACES,
                )


def script_of(text: str) -> str:
    """The script of most letters of a text (`latin`, `cyrillic`, `han`), `""` if it has too few letters.

    The script is the first word of a letter's name in Unicode; Chinese signs and the Japanese syllables that
    stand among them count as one.
    """
    letters = Counter(filter(None, map(_script, text[:2000])))
    if not letters or letters.total() < _LEAST_LETTERS:
        return ""
    script, count = letters.most_common(1)[0]
    return script if 2 * count > letters.total() else ""


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    if not letter.isalpha():
        return ""
    name = unicodedata.name(letter, "").split(" ")[0].lower()
    return "han" if name in ("cjk", "hiragana", "katakana") else name
