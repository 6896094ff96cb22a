"""The published SynthScars dataset with all its defects, into records that a release can be built from."""

from synthscars.published.counts import SplitCounts
from synthscars.published.run import ImportReport, import_published

__all__ = ["ImportReport", "SplitCounts", "import_published"]
