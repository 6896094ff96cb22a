"""Reads the layout of the published SynthScars so that each of its defects is told where it is, and once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from synthscars import caption
from synthscars.converters import formats
from synthscars.converters.synthscars_json_defects import mend
from synthscars.converters.synthscars_json_entries import entry_extra, in_caption
from synthscars.problems import Problems
from synthscars.records import ImageRecord

FORMAT = "synthscars-json"

TELLS = frozenset({"caption.stale", "explanation.empty", "phrase.empty", "phrase.not_in_caption"})
"""Codes of which `read_published` tells everything there is to tell, by annotation and ref."""


def read_published(source: Path, problems: Problems, images: Path | None) -> Iterator[ImageRecord]:
    """One record per annotation; defects are told with file, annotation id and ref.

    A picture that has an annotation already is told (`picture.annotated_again`), unless the other one is in
    another split, which is a leak. A caption that names a ref which had to be set aside, or that lacks a
    phrase, is not told a second time as `caption.stale`.
    """
    first: dict[tuple[str, str], str] = {}
    # What is said of any format is said here with the annotation that it is about.
    everywhere = Problems()
    for found in formats.read(source, everywhere, FORMAT, images=images):
        record = mend(found, problems)
        annotation = entry_extra(record).id
        before = first.setdefault((record.split, record.image_id), annotation)
        if before != annotation:
            problems.add(
                "picture.annotated_again",
                f"annotation {before} is of the same picture ({record.file_name})",
                severity="warning",
                file=record.source,
                image=annotation,
                fix="`synthscars import` makes one record of both, and `--final` lets one count alone",
            )
        if _is_stale(record):
            problems.add(
                "caption.stale",
                "the caption says something else than the refs",
                severity="warning",
                file=record.source,
                image=annotation,
                fix="write the caption again",
            )
        yield record
    problems.extend(each for each in everywhere if each.code not in ("caption.stale", "image.repeated"))


def _is_stale(record: ImageRecord) -> bool:
    pairs = [(artifact.phrase, artifact.explanation) for artifact in record.artifacts]
    for rejected in entry_extra(record).rejected_refs:
        ref = rejected.ref if isinstance(rejected.ref, dict) else {}
        phrase, explanation = ref.get("sentence"), ref.get("explanation", "")
        if isinstance(phrase, str) and isinstance(explanation, str):
            pairs.append((phrase, explanation))
    if not all(in_caption(phrase, record.caption) for phrase, _ in pairs):
        return False
    return caption.contradicts(record.caption, pairs)
