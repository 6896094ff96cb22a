"""Takes personal data out of a record before it is released.

What is taken out is what `release check` would warn of: the rules are those of `personal`. Ids, numbers,
outlines and labels stay as they are; texts get a placeholder such as `[path]` where something stood.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from synthscars import caption
from synthscars.problems import FormatError
from synthscars.records import Artifact, Generation, ImageRecord, Review
from synthscars.release.personal import Finding, scrub_chunk, scrub_text, scrub_value

_TEXTS = ("source", "license")
_FREE = ("parameters", "raw", "loras")


def scrub_record(
    record: ImageRecord, *, raters: Mapping[str, str] | None = None
) -> tuple[ImageRecord, tuple[Finding, ...]]:
    """A record without what is personal in its texts, and what that was; the same one if there is nothing.

    Of the file's name the folders go. A caption that names phrases and explanations that change is changed
    with them. raters: new names of raters, for whoever wants to replace some; ids are no free text, so that
    nothing else happens to them.

    A second time changes nothing. The image file itself is for `scrub_image`.
    """
    found: list[Finding] = []
    fields: dict[str, Any] = {name: _text(getattr(record, name), name, found) for name in _TEXTS}
    fields["file_name"] = _text(_base_name(record.file_name), "file_name", found)
    fields["artifacts"] = tuple(scrub_artifact(each, found, raters) for each in record.artifacts)
    fields["reviews"] = tuple(
        _review(number, each, found, raters) for number, each in enumerate(record.reviews)
    )
    fields["caption"] = _caption(record, fields["artifacts"], found)
    fields["extra"] = _value(record.extra, "extra", found)
    if record.generation is not None:
        fields["generation"] = _generation(record.generation, found)
    changed = {name: value for name, value in fields.items() if value != getattr(record, name)}
    return (msgspec.structs.replace(record, **changed) if changed else record), tuple(dict.fromkeys(found))


def scrub_artifact(
    artifact: Artifact, found: list[Finding], raters: Mapping[str, str] | None = None
) -> Artifact:
    """An artifact without what is personal in its texts; what that was is added to `found`."""
    where = f"artifact {artifact.artifact_id}"
    return msgspec.structs.replace(
        artifact,
        phrase=_text(artifact.phrase, f"{where} phrase", found),
        explanation=_text(artifact.explanation, f"{where} explanation", found),
        rater_id=(raters or {}).get(artifact.rater_id, artifact.rater_id),
        extra=_value(artifact.extra, f"{where} extra", found),
    )


def _review(number: int, review: Review, found: list[Finding], raters: Mapping[str, str] | None) -> Review:
    return msgspec.structs.replace(
        review,
        scene=_text(review.scene, f"review {number} scene", found),
        rater_id=(raters or {}).get(review.rater_id, review.rater_id),
        extra=_value(review.extra, f"review {number} extra", found),
    )


def _generation(generation: Generation, found: list[Finding]) -> Generation:
    fields: dict[str, Any] = {}
    for name in Generation.__struct_fields__:
        value = getattr(generation, name)
        if isinstance(value, str) or name in _FREE:
            fields[name] = _value(value, f"generation.{name}", found)
    raw: dict[str, str] = {}
    for key, text in generation.raw.items():
        kept, seen = scrub_chunk(key, text, f"generation.raw.{key[:40]}")
        found += seen
        if kept is not None:
            raw[key] = kept
    fields["raw"] = _value(raw, "generation.raw", found)
    return msgspec.structs.replace(generation, **fields)


def _caption(record: ImageRecord, artifacts: tuple[Artifact, ...], found: list[Finding]) -> str:
    """The caption with the new phrases and explanations, and nothing personal in the rest of it."""
    before = [(each.phrase, each.explanation) for each in record.artifacts]
    after = [(each.phrase, each.explanation) for each in artifacts]
    text = record.caption
    if before != after:
        try:
            scene, items = caption.parse(text, [phrase for phrase, _ in before])
        except FormatError:
            scene, items = "", ()
        if list(items) == before:
            text = caption.compose(_text(scene, "caption", found), after)
        else:
            text = _replaced(text, before, after)
    return _text(text, "caption", found)


def _replaced(text: str, before: list[tuple[str, str]], after: list[tuple[str, str]]) -> str:
    """A caption that is in another order, or no caption of the grammar, with what changed replaced."""
    pairs = [
        (f"{old[0]}:{old[1]}", f"{new[0]}:{new[1]}")
        for old, new in zip(before, after, strict=True)
        if old != new
    ]
    pairs += [(old[0], new[0]) for old, new in zip(before, after, strict=True) if old[0] and old[0] != new[0]]
    for old_text, new_text in sorted(dict.fromkeys(pairs), key=lambda pair: -len(pair[0])):
        text = text.replace(old_text, new_text)
    return text


def _base_name(name: str) -> str:
    return re.split(r"[\\/]", name)[-1] or name


def _text(text: str, place: str, found: list[Finding]) -> str:
    scrubbed, seen = scrub_text(text, place)
    found += seen
    return scrubbed


def _value(value: Any, place: str, found: list[Finding]) -> Any:
    scrubbed, seen = scrub_value(value, place)
    found += seen
    return scrubbed
