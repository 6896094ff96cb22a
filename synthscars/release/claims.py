"""The splits, and which of them goes first where several are claimed for images that belong together."""

from __future__ import annotations

from collections.abc import Iterable

SPLITS = ("train", "validation", "test")
"""All splits, least protected first: evaluation data must not leak into training, so a group that is claimed
by two splits goes to the later one."""


def most_protected(splits: Iterable[str]) -> str:
    """The latest of some splits in the order of `SPLITS`. Raises `ValueError` if there are none."""
    return max(splits, key=SPLITS.index)
