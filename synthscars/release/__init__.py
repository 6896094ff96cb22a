"""Versioned releases: Parquet, card, manifest, splits."""

from synthscars.release.build import build_release
from synthscars.release.features import features, from_row, to_row
from synthscars.release.manifest import Manifest, read_manifest, versions
from synthscars.release.splits import assign_splits, merge_groups
from synthscars.release.write import ReleaseReport

__all__ = [
    "Manifest",
    "ReleaseReport",
    "assign_splits",
    "build_release",
    "features",
    "from_row",
    "merge_groups",
    "read_manifest",
    "to_row",
    "versions",
]
