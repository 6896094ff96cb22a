"""What is in a release: counts, distributions, plots."""

from synthscars.stats.summary import Distribution, Summary, encode_summary, summarize
from synthscars.stats.tables import Tables, read_tables

__all__ = ["Distribution", "Summary", "Tables", "encode_summary", "read_tables", "summarize"]
