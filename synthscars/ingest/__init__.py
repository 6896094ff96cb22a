"""Generator outputs into the workspace: scanning, metadata, duplicates, quarantine."""

from synthscars.ingest.run import BATCH, IngestReport, ingest

__all__ = ["BATCH", "IngestReport", "ingest"]
