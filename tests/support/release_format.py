"""Records and pictures of releases that are converted, and what came of it."""

from __future__ import annotations

from pathlib import Path

from releasing import changed, noise_png, sample_record

from synthscars.consensus import adjudicate
from synthscars.converters.pictures import TargetPictures
from synthscars.images import sha256
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.release import read_manifest
from synthscars.release.as_format import write
from synthscars.release.splits import SPLITS

COUNT = 24
MERGED = list(adjudicate([sample_record(n, noise_png(n)) for n in range(COUNT)], Problems()))
PICTURES = {sha256(noise_png(n)): noise_png(n) for n in range(COUNT)}
SQUARE = (1.0, 1.0, 9.0, 1.0, 9.0, 9.0, 1.0, 9.0)
AT_HAND = TargetPictures(PICTURES.get)

DESCRIBING = {"README.md", "DATA_STATEMENT.md", "croissant.json", "manifest.json"}
"""Files that tell where the data come from, and so are not those of a build."""


def as_built(folder: Path) -> list[ImageRecord]:
    """What the release was built from, with the split and the group that it got there."""
    images = read_manifest(folder).images
    found = [
        changed(one, split=images[one.image_id].split, group_id=images[one.image_id].group) for one in MERGED
    ]
    return sorted(found, key=lambda one: (SPLITS.index(one.split), one.image_id))


def written(records: list[ImageRecord], folder: Path, **options: object) -> Problems:
    problems = Problems()
    write(records, folder, problems, **{"pictures": AT_HAND, **options})  # type: ignore[arg-type]
    return problems


def said(problems: Problems, severity: str = "") -> list[str]:
    return [one.code for one in problems if severity in ("", one.severity)]
