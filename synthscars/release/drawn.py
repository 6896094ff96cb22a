"""What raters drew before their regions were merged, as a record of its own."""

from __future__ import annotations

import msgspec

from synthscars import caption
from synthscars.records import Artifact, ImageRecord


def as_drawn(record: ImageRecord, drawn: tuple[Artifact, ...]) -> ImageRecord:
    """The record with every rater's regions in place of the merged ones.

    Beside regions it is not `clean`, whatever most raters say. A caption that tells of the merged regions is
    left out.
    """
    told = [(artifact.phrase, artifact.explanation) for artifact in drawn]
    return msgspec.structs.replace(
        record,
        artifacts=drawn,
        status="annotated" if drawn and record.status == "clean" else record.status,
        caption="" if caption.contradicts(record.caption, told) else record.caption,
    )
