"""From several raters to one answer: matching and merging their regions."""

from synthscars.consensus.merge import adjudicate, clusters

__all__ = ["adjudicate", "clusters"]
