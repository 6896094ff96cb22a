"""What is wrong with annotations of the published layout although they can be read.

`synthscars_json.read` reports what it cannot use or what is plainly missing; this looks at what it made of
an annotation: phrases that repeat, captions that are not in the grammar, vertices outside by rounding.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import msgspec

from synthscars import caption as grammar
from synthscars.converters.reading import Where
from synthscars.converters.synthscars_json_entries import NAMESPACE, entry_extra
from synthscars.problems import FormatError, Problems
from synthscars.records import ImageRecord

# LEGION's own scripts break the line before the second sentence.
_LINE_BREAK = re.compile(r"\s*\n\s*(?=To elaborate, I have found the following artifacts\.)")

CAPTION_AS_FOUND = "caption_as_found"
"""Key of `extra` with a caption as it was before `mend`."""


def mend(record: ImageRecord, problems: Problems) -> ImageRecord:
    """The record of one annotation with what can be mended without inventing anything; reports the rest.

    A line break in the caption where the grammar has a space becomes one (`caption.line_break`); the caption
    as it was is kept in `extra`. Everything else is only reported: `caption.not_in_grammar`,
    `phrase.repeated`, `bbox.missing`, `polygon.rounding`.
    """
    where = Where(problems, record.source, entry_extra(record).id)
    _say_repeated_phrases(record, where)
    _say_missing_boxes(record, where)
    _say_rounding(record, where)
    return _mend_caption(record, where)


def _mend_caption(record: ImageRecord, where: Where) -> ImageRecord:
    if not record.caption or _in_grammar(record, record.caption):
        return record
    mended = _LINE_BREAK.sub(" ", record.caption)
    if mended != record.caption and _in_grammar(record, mended):
        what = "a line break stands before 'To elaborate', where the grammar has a space"
        where.add("caption.line_break", what, severity="info")
        extra = {**record.extra, CAPTION_AS_FOUND: record.caption}
        return msgspec.structs.replace(record, caption=mended, extra=extra)
    where.warn(
        "caption.not_in_grammar",
        f"the caption does not follow the grammar: {record.caption[:80]!r}",
        "it is kept as it is; its scene sentence is not known",
    )
    return record


def _in_grammar(record: ImageRecord, caption: str) -> bool:
    rejected = {each.position: each.ref for each in entry_extra(record).rejected_refs}
    kept = iter(record.artifacts)
    phrases: list[str] = []
    for position in range(len(record.artifacts) + len(rejected)):
        # The caption also names what could not be used.
        if position not in rejected:
            phrases.append(next(kept).phrase)
        elif isinstance(rejected[position], dict) and isinstance(rejected[position].get("sentence"), str):
            phrases.append(rejected[position]["sentence"])
    return any(_parses(caption, known) for known in _orders(phrases, caption))


def _orders(phrases: list[str], caption: str) -> Iterator[list[str] | None]:
    """Phrases as the caption may have them: in the order of the refs, or in another.

    `None`, any phrases at all: where some are missing, which is another defect, or repeat.
    """
    yield phrases
    if len(set(phrases)) == len(phrases) and all(phrase in caption for phrase in phrases):
        yield sorted(phrases, key=lambda phrase: caption.find(f" {phrase}:"))
    else:
        yield None


def _parses(caption: str, phrases: list[str] | None) -> bool:
    try:
        grammar.parse(caption, phrases)
    except FormatError:
        return False
    return True


def _say_repeated_phrases(record: ImageRecord, where: Where) -> None:
    counts = Counter(artifact.phrase for artifact in record.artifacts if artifact.phrase)
    for phrase, count in counts.items():
        if count > 1:
            where.warn(
                "phrase.repeated",
                f"{count} refs have the phrase {phrase[:80]!r}",
                "LEGION's loader sends all of them to its first place in the caption; "
                "synthscars.caption.ground gives each its own",
            )


def _say_missing_boxes(record: ImageRecord, where: Where) -> None:
    missing = 0
    for artifact in record.artifacts:
        kept = artifact.extra.get(NAMESPACE, {})
        keys, fields = kept.get("keys"), kept.get("fields", {})
        missing += ("bbox" in fields and fields["bbox"] is None) or (keys is not None and "bbox" not in keys)
    if missing:
        where.add(
            "bbox.missing",
            f"{missing} of {len(record.artifacts)} refs have no box; the polygons say where they are",
            severity="info",
        )


def _say_rounding(record: ImageRecord, where: Where) -> None:
    from synthscars.geometry import EDGE_TOLERANCE

    if not record.width:
        return
    worst, count = 0.0, 0
    for artifact in record.artifacts:
        for ring in artifact.polygons:
            for index, value in enumerate(ring):
                beyond = max(-value, value - (record.height if index % 2 else record.width))
                if 0 < beyond <= EDGE_TOLERANCE:
                    worst, count = max(worst, beyond), count + 1
    if count:
        where.add(
            "polygon.rounding",
            f"coordinates lie up to {worst:.1g} pixels outside the image ({count} of them): rounding",
            severity="info",
        )
