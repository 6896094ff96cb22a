"""From several raters to one answer: matching and merging their regions."""

from synthscars.consensus.merge import adjudicate, best_of, clusters

__all__ = ["adjudicate", "best_of", "clusters"]
