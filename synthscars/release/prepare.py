"""What of the records can go into a release, and why the rest cannot.

Nothing is dropped silently: whatever is set aside is reported as a problem that names the image and the
region.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import msgspec

from synthscars import caption, geometry
from synthscars.images import too_large
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, Generation, ImageRecord, Review, Ring
from synthscars.release.features import MAX_INT, MAX_SEED, MAX_SIDE
from synthscars.taxonomy import load_taxonomy

_Item = TypeVar("_Item", ImageRecord, Artifact, Review)
_Faults = list[tuple[str, str]]
_BATCH = 100
_EMPTY_RINGS = frozenset({"polygon.few_points", "polygon.no_area"})


def usable(
    records: Iterable[ImageRecord], problems: Problems, left_out: dict[str, str]
) -> Iterator[ImageRecord]:
    """Records whose artifacts can all be rasterized; the others are reported and mended or set aside.

    A ring without area adds nothing to its region and is dropped if the region has others; a ring that cannot
    be read, or an artifact without any other ring, sets the artifact aside. What leaves the image is cut off
    at its edge. An image that loses all artifacts is set aside as well, because it must not count as clean.
    `left_out` gets image → code of the problem for each image that is set aside.
    """
    seen: set[str] = set()
    for record, faults in _with_faults(records):
        if record.image_id in seen:
            problems.add(
                "record.duplicate",
                "the image has more than one record; only the first is used",
                file=record.file_name,
                image=record.image_id,
                fix="merge the records before the release",
            )
            continue
        seen.add(record.image_id)
        if problem := too_large(record):
            problems.extend([problem])
            left_out[record.image_id] = problem.code
            continue
        kept = tuple(
            artifact
            for artifact in (
                _usable_artifact(artifact, [next(faults) for _ in artifact.polygons], record, problems)
                for artifact in record.artifacts
            )
            if artifact is not None
        )
        if record.artifacts and not kept:
            problems.add(
                "record.no_artifact_left",
                "none of its artifacts can be used, and it must not count as clean",
                file=record.file_name,
                image=record.image_id,
                fix="draw the regions again",
            )
            left_out[record.image_id] = "record.no_artifact_left"
            continue
        record = record if kept == record.artifacts else _with(record, kept, problems)
        if caption.contradicts(record.caption, [(each.phrase, each.explanation) for each in kept]):
            _say_stale(record, problems, "the caption says something else than the artifacts")
        yield record


def _with_faults(records: Iterable[ImageRecord]) -> Iterator[tuple[ImageRecord, Iterator[_Faults]]]:
    """Records, each with the faults of its rings in their order; looked for together, which is faster."""
    source = iter(records)
    while batch := list(islice(source, _BATCH)):
        rings = [
            (ring, (record.width, record.height))
            for record in batch
            for artifact in record.artifacts
            for ring in artifact.polygons
        ]
        found = iter(geometry.rings_faults([ring for ring, _ in rings], [size for _, size in rings]))
        for record in batch:
            count = sum(len(artifact.polygons) for artifact in record.artifacts)
            yield record, iter(list(islice(found, count)))


def _with(record: ImageRecord, kept: tuple[Artifact, ...], problems: Problems) -> ImageRecord:
    """The record with fewer artifacts or rings, and a caption that names only what is left."""
    text = record.caption
    if text and len(kept) < len(record.artifacts):
        left = {artifact.artifact_id for artifact in kept}
        try:
            scene, items = caption.parse(text, [artifact.phrase for artifact in record.artifacts])
            pairs = zip(record.artifacts, items, strict=True)
            text = caption.compose(scene, [item for artifact, item in pairs if artifact.artifact_id in left])
        except (FormatError, ValueError):
            _say_stale(record, problems, "the caption still names an artifact that was set aside")
    return msgspec.structs.replace(record, artifacts=kept, caption=text)


def _say_stale(record: ImageRecord, problems: Problems, what: str) -> None:
    problems.add(
        "caption.stale",
        what,
        file=record.file_name,
        image=record.image_id,
        severity="warning",
        fix="write the caption again",
    )


def _usable_artifact(
    artifact: Artifact, faults: list[_Faults], record: ImageRecord, problems: Problems
) -> Artifact | None:
    kept: list[Ring] = []
    region = f"artifact {artifact.artifact_id}"
    if not artifact.polygons:
        problems.add(
            "artifact.no_polygon",
            "it has no polygon",
            file=record.file_name,
            image=record.image_id,
            region=region,
            fix="draw the region",
        )
        return None
    if not any(faults):
        return artifact
    broken = False
    for number, ring in enumerate(artifact.polygons):
        codes = dict(faults[number])
        unusable = codes.keys() & geometry.UNUSABLE
        lost = bool(unusable) and (len(artifact.polygons) == 1 or not unusable <= _EMPTY_RINGS)
        broken |= lost
        if "polygon.outside" in codes:
            kept.extend(geometry.clip(ring, record.width, record.height))
            codes["polygon.outside"] += ": cut off at the edge"
        elif not unusable:
            kept.append(ring)
        for code, what in codes.items():
            problems.add(
                code,
                f"ring {number}: {what}",
                file=record.file_name,
                image=record.image_id,
                region=region,
                severity="error" if lost else "warning",
                fix="draw the region again",
            )
    if broken:
        return None
    if not kept:
        problems.add(
            "artifact.no_polygon",
            "none of its rings has an area on the image",
            file=record.file_name,
            image=record.image_id,
            region=region,
            fix="draw the region again",
        )
        return None
    return msgspec.structs.replace(artifact, polygons=tuple(kept))


def fit_columns(record: ImageRecord, problems: Problems) -> ImageRecord:
    """The record with nothing in it that a column cannot hold; what does not fit is moved, not lost.

    Labels that the taxonomy does not know become unknown and are kept in `extra`, as are votes that are too
    many; numbers of the generation that are too large go to its `parameters`. All are reported as warnings.
    """
    taxonomy = load_taxonomy()
    content = (("content_type", taxonomy.content_type_ids),)
    kinds = (("category", taxonomy.category_ids), ("subtype", taxonomy.subtype_ids))
    image = record.image_id
    fitted = _fit_labels(record, content, image, "", problems)
    artifacts = []
    for artifact in record.artifacts:
        known = _fit_labels(artifact, kinds, image, f"artifact {artifact.artifact_id}", problems)
        artifacts.append(_fit_votes(known, image, problems))
    return msgspec.structs.replace(
        fitted,
        artifacts=tuple(artifacts),
        reviews=tuple(
            _fit_labels(item, content, image, f"review of {item.rater_id}", problems)
            for item in record.reviews
        ),
        generation=_fit_generation(record.generation, image, problems),
    )


def _fit_labels(
    item: _Item,
    vocabularies: tuple[tuple[str, tuple[str, ...]], ...],
    image: str,
    region: str,
    problems: Problems,
) -> _Item:
    strange: dict[str, str] = {}
    for field, names in vocabularies:
        value: str | None = getattr(item, field)
        if value is None or value in names:
            continue
        strange[field] = value
        problems.add(
            "label.unknown",
            f"{field.replace('_', ' ')} {value!r} is not in the taxonomy; kept in extra",
            image=image,
            region=region,
            severity="warning",
            fix=f"known are {', '.join(names)}",
        )
    if not strange:
        return item
    return msgspec.structs.replace(item, **dict.fromkeys(strange, None), extra={**strange, **item.extra})


def _fit_votes(artifact: Artifact, image: str, problems: Problems) -> Artifact:
    if artifact.votes is None or -MAX_SIDE <= artifact.votes <= MAX_SIDE:
        return artifact
    problems.add(
        "artifact.out_of_range",
        f"{artifact.votes} votes do not fit their column; kept in extra",
        image=image,
        region=f"artifact {artifact.artifact_id}",
        severity="warning",
    )
    extra = {"votes": artifact.votes, **artifact.extra}
    return msgspec.structs.replace(artifact, votes=None, extra=extra)


_LIMITS = (
    ("seed", 0, MAX_SEED),
    ("steps", -MAX_INT, MAX_INT),
    ("width", -MAX_INT, MAX_INT),
    ("height", -MAX_INT, MAX_INT),
)


def _fit_generation(generation: Generation | None, image: str, problems: Problems) -> Generation | None:
    if generation is None:
        return None
    moved = {
        field: str(value)
        for field, least, most in _LIMITS
        if (value := getattr(generation, field)) is not None and not least <= value <= most
    }
    if not moved:
        return generation
    for field, text in moved.items():
        problems.add(
            "generation.out_of_range",
            f"{field} {text} does not fit its column; kept in the parameters",
            image=image,
            severity="warning",
        )
    return msgspec.structs.replace(
        generation, **dict.fromkeys(moved, None), parameters={**moved, **generation.parameters}
    )
