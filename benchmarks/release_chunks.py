"""How many bytes of new files a store with content-defined chunks does not have yet.

The Hugging Face Hub cuts files where a rolling hash of the last bytes says so, 64 KB apart on average, and
takes only chunks that it does not know. The same is done here in another way, all places of a block at once,
to tell what an upload costs without an upload: same mean, least and greatest length of a chunk, other places.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

LEAST, GREATEST = 8 * 2**10, 128 * 2**10
_MEAN_BITS = 16
_WINDOW = 32
"""Bytes that decide about a place: as many as the hash has bits, since each shifts the ones before by one."""

_BLOCK = 2**20
_GEAR = np.random.default_rng(64).integers(0, 2**32, 256, dtype=np.uint32)


class Store:
    """The chunks that were uploaded so far."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._files: dict[bytes, list[tuple[bytes, int]]] = {}

    def add(self, paths: Iterable[Path]) -> int:
        """Upload files; returns how many bytes of them were new."""
        new = 0
        for path in paths:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            if digest not in self._files:
                self._files[digest] = list(_named(path))
                for name, size in self._files[digest]:
                    new += 0 if name in self._known else size
                    self._known.add(name)
        return new

    def copy(self) -> Store:
        """A store of its own with the same chunks."""
        other = Store()
        other._known, other._files = set(self._known), dict(self._files)
        return other


def _named(path: Path) -> Iterator[tuple[bytes, int]]:
    for chunk in chunks(path):
        yield hashlib.sha256(chunk).digest(), len(chunk)


def chunks(path: Path) -> Iterator[bytes]:
    """The content of a file, in chunks."""
    with path.open("rb") as file:
        before = b""
        rest = b""
        while block := file.read(_BLOCK):
            data = before + block
            # Where a chunk may end, counted from the start of `rest`.
            ends = cuts(data) - len(before) + len(rest)
            offset = len(rest)
            before = data[-(_WINDOW - 1) :]
            rest += block
            start = 0
            for end in ends[ends > offset]:
                while end - start > GREATEST:
                    yield rest[start : start + GREATEST]
                    start += GREATEST
                if end - start >= LEAST:
                    yield rest[start:end]
                    start = int(end)
            while len(rest) - start > GREATEST:
                yield rest[start : start + GREATEST]
                start += GREATEST
            rest = rest[start:]
        if rest:
            yield rest


def cuts(data: bytes) -> npt.NDArray[np.intp]:
    """The places behind which a chunk may end: where the hash of the last 32 bytes starts with 16 zeros."""
    hashes = _GEAR[np.frombuffer(data, dtype=np.uint8)]
    # The sum of the last n bytes' numbers, each shifted by its distance; then of 2 n.
    width = 1
    while width < _WINDOW:
        shifted = hashes[:-width] << np.uint32(width)
        hashes[width:] += shifted
        width *= 2
    return np.flatnonzero(hashes >> np.uint32(32 - _MEAN_BITS) == 0) + 1
