"""One record by itself: outlines, derived columns, caption, vocabulary, raters and status."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from synthscars import caption, geometry
from synthscars.images import too_large
from synthscars.problems import Problem, Severity
from synthscars.records import Artifact
from synthscars.release.check.items import Item, region_of
from synthscars.release.features import Row
from synthscars.taxonomy import load_taxonomy

_BUILD = "build the release again"
_REDRAW = "draw the region again, and build the next version"

DERIVED_TOLERANCE = 1e-6
"""Share of a box or an area by which another version of the geometry library may differ."""


def check_record(item: Item) -> Iterator[Problem]:
    """Everything that the record alone tells, without the image."""
    yield from _status(item)
    yield from _caption(item)
    yield from _raters(item)
    yield from _labels(item)
    record = item.record
    if problem := too_large(record):
        yield item.problem(problem.code, problem.what, problem.fix)
    ids = Counter((artifact.artifact_id, artifact.rater_id) for artifact in record.artifacts)
    for (artifact_id, rater), count in ids.items():
        if count > 1:
            what = f"{count} artifacts of {f'rater {rater!r}' if rater else 'the image'} have this id"
            yield item.problem("artifact.repeated_id", what, _BUILD, region=f"artifact {artifact_id}")
    stored = item.row["artifacts"] if item.row else [None] * len(record.artifacts)
    for artifact, row in zip(record.artifacts, stored, strict=True):
        with np.errstate(all="ignore"):  # of numbers so large that nothing can be calculated with them
            found = list(_outline(item, artifact, row))
        yield from found


def check_raters_regions(item: Item) -> Iterator[Problem]:
    """The outlines of raters' regions before they were merged: raters do err, so these are warnings."""
    width, height = item.record.width, item.record.height
    for artifact in item.regions:
        region = f"region {artifact.artifact_id} of a rater"
        with np.errstate(all="ignore"):
            found = [
                (code, f"ring {number}: {what}")
                for number, ring in enumerate(artifact.polygons)
                for code, what in geometry.ring_faults(ring, width, height)
            ]
        if not artifact.polygons:
            found = [("artifact.no_polygon", "it has no polygon")]
        for code, what in found:
            yield item.problem(code, what, _REDRAW, severity="warning", region=region)


# Outlines


def _outline(item: Item, artifact: Artifact, row: Row | None) -> Iterator[Problem]:
    region = region_of(artifact)
    if not artifact.polygons:
        yield item.problem("artifact.no_polygon", "it has no polygon", _REDRAW, region=region)
        return
    usable = True
    for number, ring in enumerate(artifact.polygons):
        for code, what in geometry.ring_faults(ring, item.record.width, item.record.height):
            unusable = code in geometry.UNUSABLE
            usable &= not unusable
            # `release build` cuts off what leaves the image, but keeps an outline that crosses itself.
            fatal = unusable or (code == "polygon.outside" and item.released)
            severity: Severity = "error" if fatal else "warning"
            yield item.problem(code, f"ring {number}: {what}", _REDRAW, severity=severity, region=region)
    if row is None or not usable:
        return
    box, size = geometry.bbox(artifact.polygons), geometry.area(artifact.polygons)
    if not _alike(row.get("bbox"), box):
        what = f"bbox is {row.get('bbox')}, the polygons give {_short(box)}"
        yield item.problem("artifact.bbox", what, _BUILD, region=region)
    if not _alike([row.get("area")], (size,)):
        what = f"area is {row.get('area')}, the polygons give {size:.6g}"
        yield item.problem("artifact.area", what, _BUILD, region=region)


def _alike(stored: Any, derived: tuple[float, ...]) -> bool:
    if not isinstance(stored, list) or len(stored) != len(derived) or None in stored:
        return False
    pairs = zip(stored, derived, strict=True)
    return all(math.isclose(a, b, rel_tol=DERIVED_TOLERANCE, abs_tol=DERIVED_TOLERANCE) for a, b in pairs)


def _short(numbers: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{number:.6g}" for number in numbers) + "]"


# Texts that belong together


def _caption(item: Item) -> Iterator[Problem]:
    record = item.record
    pairs = [(artifact.phrase, artifact.explanation) for artifact in record.artifacts]
    if not record.caption:
        return
    if caption.contradicts(record.caption, pairs):
        yield item.problem(
            "caption.stale",
            "the caption says something else than the artifacts",
            "write the caption again",
            severity="warning",
        )
        return
    for artifact, span in zip(record.artifacts, caption.ground(record.caption, pairs), strict=True):
        if artifact.phrase and span is None:
            yield item.problem(
                "phrase.not_in_caption",
                f"the caption has no place of its own for the phrase {artifact.phrase[:80]!r}",
                "write the caption again: LEGION's loader drops a region whose phrase is not in it",
                severity="warning",
                region=region_of(artifact),
            )


# Vocabulary


def _labels(item: Item) -> Iterator[Problem]:
    taxonomy = load_taxonomy()
    record = item.record
    vocabularies = {
        "category": taxonomy.category_ids,
        "subtype": taxonomy.subtype_ids,
        "content_type": taxonomy.content_type_ids,
    }
    said: list[tuple[str, str, str | None]] = [("", "content_type", record.content_type)]
    said += [(f"review of {each.rater_id}", "content_type", each.content_type) for each in record.reviews]
    for artifact in record.artifacts:
        said += [(region_of(artifact), name, getattr(artifact, name)) for name in ("category", "subtype")]
    for region, field, value in said:
        if value is not None and value not in vocabularies[field]:
            known = ", ".join(vocabularies[field])
            what = f"{field.replace('_', ' ')} {value[:80]!r} is not in the taxonomy"
            yield item.problem("label.unknown", what, f"known are {known}", region=region)
    for artifact in record.artifacts:
        if artifact.subtype not in taxonomy.subtype_ids or artifact.category not in taxonomy.category_ids:
            continue
        belongs = taxonomy.subtype(artifact.subtype).category
        if belongs != artifact.category:
            yield item.problem(
                "label.wrong_category",
                f"subtype {artifact.subtype} belongs to {belongs}, the category is {artifact.category}",
                "correct one of the two",
                region=region_of(artifact),
            )


# Raters


def _raters(item: Item) -> Iterator[Problem]:
    record = item.record
    strangers = sorted({each.rater_id for each in record.artifacts} - {"", *record.raters})
    if strangers:
        yield item.problem(
            "rater.no_review",
            f"{_names(strangers)} drew artifacts and {'has' if len(strangers) == 1 else 'have'} no review",
            "keep the review of everyone who drew something: agreement needs it",
            severity="warning",
        )
    twice = sorted(rater for rater, count in Counter(record.raters).items() if count > 1)
    if twice:
        what = f"{_names(twice)} reviewed it more than once"
        yield item.problem("rater.repeated", what, "keep the last review of each", severity="warning")
    listed = item.row.get("rater_list") if item.row else None
    if listed is not None and list(listed) != list(record.raters):
        what = f"rater_list has {len(listed)} names, which are not those of the {len(record.raters)} reviews"
        yield item.problem("rater.list", what, _BUILD)


def _names(raters: list[str]) -> str:
    # Nothing of the name but its first letter: it may be an address, and reports are passed on.
    shown = ", ".join(f"rater {rater[:1]}…" for rater in raters[:3])
    return shown + (f" and {len(raters) - 3} more" if len(raters) > 3 else "")


def _status(item: Item) -> Iterator[Problem]:
    record = item.record
    said = {review.status for review in record.reviews}
    if record.status != "annotated" and record.artifacts:
        what = f"it is {record.status}, and has {len(record.artifacts)} artifacts"
        yield item.problem("status.has_artifacts", what, "correct the status, or take the artifacts out")
    elif record.status == "annotated" and not record.artifacts:
        what = "it is annotated, and has no artifact"
        yield item.problem("status.no_artifact", what, "mend its regions, or leave it out")
    elif record.status in ("clean", "annotated") and said and record.status not in said:
        yield item.problem(
            "status.contradicts_reviews",
            f"it is {record.status}, and all reviews say {' or '.join(sorted(said))}",
            "merge the raters' answers again with `synthscars consensus`",
            severity="warning",
        )
    elif record.status in ("unlabelled", "skipped") and item.released and item.annotated:
        what = f"it is {record.status}: nobody said what is wrong with it"
        yield item.problem("status.not_judged", what, "leave it out of the release", severity="warning")
