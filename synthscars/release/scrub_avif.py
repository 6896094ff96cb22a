"""Where the EXIF and XMP blocks of an AVIF file are, so that they can be overwritten in place.

The file is a tree of boxes (ISO 14496-12); its `meta` box lists items, and where the bytes of each lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Block(NamedTuple):
    """One block. kind: `exif` (from its TIFF header on) or `xmp`; its bytes are `data[start:end]`."""

    kind: str
    start: int
    end: int


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


def metadata_blocks(data: bytes) -> list[Block]:
    """The metadata blocks of an AVIF file that lie in one piece. Raises `IndexError` or `ValueError` if its
    boxes are damaged."""
    found: list[Block] = []
    meta = next((box for box in _boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    if meta is None:
        return []
    inside = {box.kind: box for box in _boxes(data, meta.start + 4, meta.end)}
    if b"iinf" not in inside or b"iloc" not in inside:
        return []
    kinds = dict(_kinds(data, inside[b"iinf"]))
    for item, start, end in _places(data, inside[b"iloc"], inside.get(b"idat")):
        kind = kinds.get(item)
        if kind is None or end > len(data):
            continue
        # In front of the block is how far it is to its TIFF header.
        start += 4 + _number(data, start, 4) if kind == "exif" else 0
        if start < end:
            found.append(Block(kind, start, end))
    return found


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise IndexError("beyond the end")
    return int.from_bytes(data[at : at + size], "big")


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    while start + 8 <= end:
        size, kind, head = _number(data, start, 4), data[start + 4 : start + 8], 8
        if size == 1:
            size, head = _number(data, start + 8, 8), 16
        elif size == 0:
            size = end - start
        if size < head or start + size > end:
            raise ValueError("a box that is not in its parent")
        yield _Box(kind, start + head, start + size)
        start += size


def _kinds(data: bytes, box: _Box) -> Iterator[tuple[int, str]]:
    """The items that hold metadata, with their kind."""
    wide = data[box.start] > 0
    for entry in _boxes(data, box.start + (8 if wide else 6), box.end):
        version = data[entry.start]
        if entry.kind != b"infe" or version < 2:
            continue
        size = 4 if version > 2 else 2
        item = _number(data, entry.start + 4, size)
        rest = data[entry.start + 6 + size : entry.end]
        if rest[:4] == b"Exif":
            yield item, "exif"
        elif rest[:4] == b"mime" and b"application/rdf+xml" in rest:
            yield item, "xmp"


def _places(data: bytes, box: _Box, idat: _Box | None) -> Iterator[tuple[int, int, int]]:
    """Every item that lies in one piece: its number, where it starts and ends."""
    version = data[box.start]
    sizes = _number(data, box.start + 4, 2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 4 if version == 2 else 2
    count = _number(data, box.start + 6, wide)
    at = box.start + 6 + wide
    for _ in range(count):
        item = _number(data, at, wide)
        at += wide
        method = _number(data, at, 2) & 15 if version else 0
        at += 4 if version else 2
        base = _number(data, at, base_size)
        extents = _number(data, at + base_size, 2)
        at += base_size + 2
        if not version:
            index_size = 0
        if extents == 1 and (method == 0 or (method == 1 and idat is not None)):
            start = base + _number(data, at + index_size, offset_size)
            start += idat.start if method and idat is not None else 0
            yield item, start, start + _number(data, at + index_size + offset_size, length_size)
        at += extents * (index_size + offset_size + length_size)
