"""Counts of the published files by split, beside what was published and what audits of those files found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from synthscars.converters.synthscars_json import AnnotationFile
from synthscars.converters.synthscars_json_entries import entry_extra
from synthscars.problems import Problems
from synthscars.records import ImageRecord


class Published(NamedTuple):
    """What is known of a published annotation file.

    sha256: how its hash starts. counts: of the file itself, by the names of `SplitCounts`. paper: instances
    that the paper counts (LEGION, arXiv 2503.15264, table 1).
    """

    sha256: str
    counts: Mapping[str, int]
    paper: int


PUBLISHED: dict[str, Published] = {
    "train": Published(
        "94100c0b",
        {"annotations": 11236, "file_names": 11182, "pictures": 11064, "refs": 23935},
        23913,
    ),
    "test": Published("3bb55380", {"annotations": 1000, "refs": 2674}, 2653),
}


class SplitCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What one split holds.

    annotations: that could be read. file_names: different ones among them. images: different files by their
    bytes. pictures: different ones to look at (twins are one). annotated_again: pictures with several
    annotations. refs: in the files, also those that cannot be used. artifacts: refs that can.
    published: whether these are the published bytes. paper: instances that the paper counts.
    """

    annotations: int
    file_names: int
    images: int
    pictures: int
    annotated_again: int
    refs: int
    artifacts: int
    published: bool = False
    paper: int | None = None


def count(records: Sequence[ImageRecord], same: Mapping[str, str]) -> dict[str, SplitCounts]:
    """Counts by split. records: one per annotation; same: image → the picture it shows, if not its own."""
    splits: dict[str, list[ImageRecord]] = {}
    for record in records:
        splits.setdefault(record.split, []).append(record)
    return {split: _count(some, same) for split, some in splits.items()}


def _count(records: Iterable[ImageRecord], same: Mapping[str, str]) -> SplitCounts:
    names, images, pictures = set(), set(), Counter[str]()
    annotations = refs = artifacts = 0
    for record in records:
        annotations += 1
        names.add(record.file_name)
        images.add(record.image_id)
        pictures[same.get(record.image_id, record.image_id)] += 1
        artifacts += len(record.artifacts)
        refs += len(record.artifacts) + len(entry_extra(record).rejected_refs)
    return SplitCounts(
        annotations=annotations,
        file_names=len(names),
        images=len(images),
        pictures=len(pictures),
        annotated_again=sum(times > 1 for times in pictures.values()),
        refs=refs,
        artifacts=artifacts,
    )


def compare(
    files: Iterable[AnnotationFile], counts: Mapping[str, SplitCounts], problems: Problems
) -> dict[str, SplitCounts]:
    """The counts, marked where the files are the published ones; differences are reported.

    `counts.differ`: the published bytes, but not their known counts (images are missing or were altered).
    `counts.paper`: refs in the files and instances in the paper. `counts.not_published`: other bytes.
    """
    found = dict(counts)
    for file in files:
        known, here = PUBLISHED.get(file.split), found.get(file.split)
        if known is None or here is None:
            continue
        digest = sha256(file.content).hexdigest()
        if not digest.startswith(known.sha256):
            problems.add(
                "counts.not_published",
                f"its sha256 starts with {digest[:8]}, that of the published file with {known.sha256}: "
                "another version, so its counts are not compared",
                severity="info",
                file=file.name,
            )
            continue
        found[file.split] = msgspec.structs.replace(here, published=True, paper=known.paper)
        for name, wanted in known.counts.items():
            if (has := getattr(here, name)) != wanted:
                problems.add(
                    "counts.differ",
                    f"{has:,} {name.replace('_', ' ')}, and {wanted:,} are known of this file",
                    fix="look whether all images are there and unaltered",
                    severity="warning",
                    file=file.name,
                )
        if here.refs != known.paper:
            problems.add(
                "counts.paper",
                f"{here.refs:,} refs in the file, {known.paper:,} in the paper",
                severity="info",
                file=file.name,
            )
    return found
