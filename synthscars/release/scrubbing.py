"""Takes personal data out of everything that a release is built from, image by image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from synthscars.problems import Problems
from synthscars.release.personal import Finding
from synthscars.release.scrub import scrub_artifact, scrub_record
from synthscars.release.waiting import Ready


def scrubbed_records(images: Iterable[Ready], problems: Problems) -> Iterator[Ready]:
    """The images with records that hold nothing personal; at the end it is told how much was taken out."""
    count: Counter[str] = Counter()
    for image in images:
        record, found = scrub_record(image.record)
        more: list[Finding] = []
        drawn = image.drawn and tuple(scrub_artifact(artifact, more) for artifact in image.drawn)
        count.update({finding.code for finding in (*found, *more)})
        yield msgspec.structs.replace(image, record=record, drawn=drawn)
    for kind, images_with in sorted(count.items()):
        problems.add(
            "personal.scrubbed",
            f"{kind.removeprefix('personal.')} taken out of the records of {images_with:,} images",
            severity="info",
            count=images_with,
        )
