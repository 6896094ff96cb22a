"""Takes a big JSON list apart, item by item, without holding more of it than a block.

A file is cut between two items. A cut is cheap to find and to prove: a place where one item seems to end and
the next to begin is tried, and if what lies before it can be decoded as a list, it is between two items, for
inside of one some bracket or quotation mark would still be open. Where that fails (a text that looks like
JSON, NaN, unpaired surrogates, a list of something else than objects), brackets and quotation marks are
counted instead. Either way every byte is looked at a fixed number of times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec
import numpy as np

from synthscars.problems import FormatError

BLOCK = 1 << 20
"""Bytes that are read at a time; a block holds at least one item, so that of a long item is longer."""

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_FIX = "fetch or export the file again"

_STEPS = np.zeros(256, dtype=np.int64)
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1
_STRUCTURE = _STEPS != 0
_STRUCTURE[ord(",")] = True

_decode_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Item(NamedTuple):
    """One item. offset: bytes before it in the file. content: the item without white space around it."""

    offset: int
    content: bytes


class Block(NamedTuple):
    """Some whole items, one after another, as they stand in the file.

    offset: bytes before them in the file. content: the items with commas between them, without the brackets
    of the list. decoded: the items as the decoder that was handed in made them, `None` if it refused.
    """

    offset: int
    content: bytes
    decoded: Any


def read_blocks(
    file: IO[bytes], name: str, decode: Callable[[bytes], Any] = _decode_raw, *, size: int = BLOCK
) -> Iterator[Block]:
    """The list in a file as blocks of items; no block for an empty list.

    decode: gets each block as a JSON list, and raises `msgspec.DecodeError` if it is none or not to its
    liking. Raises `FormatError` with `name` if the file is no list, cut short, or goes on behind the list.
    Brackets must match, but whether each item is JSON shows only when it is decoded.
    """
    rest, offset = _opening(file, name, size)
    begun = False
    separator: re.Pattern[bytes] | None = None
    ended = False
    while not ended:
        more = file.read(size)
        if not more:
            break
        rest += more
        separator = separator or _separator(rest)
        end, start = _last_cut(separator, rest)
        found = _proven(rest[:end], offset, decode) if end else None
        if found is None:
            rest, end, ended = _count_on(rest, file, size)
            start = end + 1
            found = None if ended else _proven(rest[:end], offset, decode) or Block(offset, rest[:end], None)
        if found is not None:
            yield found
            begun = True
            rest, offset = rest[start:], offset + start
    yield from _last(rest, offset, name, decode, begun)


def read_items(file: IO[bytes], name: str, *, size: int = BLOCK) -> Iterator[Item]:
    """The items of the list in a file. Raises `FormatError` as `read_blocks` does."""
    for block in read_blocks(file, name, size=size):
        yield from split_block(block)


def split_block(block: Block) -> Iterator[Item]:
    """The items of a block."""
    content = block.content
    try:
        items = [bytes(raw) for raw in _decode_raw(b"[%b]" % content)]
    except msgspec.DecodeError:
        commas = _Brackets().feed(content)[0]
        starts, ends = [0, *(comma + 1 for comma in commas)], [*commas, len(content)]
        items = [content[start:end].strip(_SPACE) for start, end in zip(starts, ends, strict=True)]
    at = 0
    for item in items:
        at = content.index(item, at)
        yield Item(block.offset + at, item)
        at += len(item)


def open_plain(path: Path) -> IO[bytes]:
    """Open a file to read, unpacked into a temporary one first if its name ends in `.zst`.

    Raises `FormatError` naming it if it cannot be read, or is not whole.
    """
    try:
        return _unpacked(path) if path.suffix == ".zst" else path.open("rb")
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}", fix=_FIX) from error


def _unpacked(path: Path) -> IO[bytes]:
    import tempfile

    import zstandard

    plain = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        with path.open("rb") as file:
            frame = zstandard.ZstdDecompressor().decompressobj()
            while chunk := file.read(zstandard.DECOMPRESSION_RECOMMENDED_INPUT_SIZE):
                while chunk:
                    if frame.eof:
                        frame = zstandard.ZstdDecompressor().decompressobj()
                    plain.write(frame.decompress(chunk))
                    chunk = frame.unused_data
            # The decompressor takes the end of the file for the end of the data.
            if not frame.eof:
                raise FormatError(f"{path}: the compressed file is cut short", fix=_FIX)
    except zstandard.ZstdError as error:
        plain.close()
        raise FormatError(f"{path}: {error}", fix=_FIX) from error
    except BaseException:
        plain.close()
        raise
    plain.seek(0)
    return plain


def _opening(file: IO[bytes], name: str, size: int) -> tuple[bytes, int]:
    """What follows the bracket that opens the list, as far as it was read, and how many bytes came before."""
    head = file.read(max(size, len(_BOM)))
    before = len(_BOM) if head.startswith(_BOM) else 0
    head = head[before:]
    while not (found := head.lstrip(_SPACE)):
        before += len(head)
        head = file.read(size)
        if not head:
            raise FormatError(f"{name}: the file is empty", fix=_FIX)
    if not found.startswith(b"["):
        start = found[:20].decode("utf-8", "replace")
        raise FormatError(f"{name}: not a list, it starts with {start!r}", fix="export it as a JSON list")
    return found[1:], before + len(head) - len(found) + 1


def _separator(start: bytes) -> re.Pattern[bytes]:
    """What stands between two items if all start with the same keys as the first; group 1: the next item."""
    simple = rb'(?:[^",{}\[\]\s]+|"[^"\\]*")'
    first = re.match(rb'\s*\{\s*("[^"\\]*")\s*:(?:\s*%b\s*,\s*("[^"\\]*")\s*:)?' % simple, start)
    if not first:
        return re.compile(rb"(?!)")
    keys = rb"\{\s*%b\s*:" % re.escape(first[1])
    if first[2]:
        # One key is often the `id` that things inside of an item have as well.
        keys += rb"\s*%b\s*,\s*%b\s*:" % (simple, re.escape(first[2]))
    return re.compile(rb"\}\s*,\s*(%b)" % keys)


def _last_cut(separator: re.Pattern[bytes], content: bytes) -> tuple[int, int]:
    """Where the last item but one seems to end and the last one to start; zeros if nothing looks like it."""
    end, start = 0, 0
    for found in separator.finditer(content):
        end, start = found.start() + 1, found.start(1)
    return end, start


def _proven(content: bytes, offset: int, decode: Callable[[bytes], Any]) -> Block | None:
    """The block if it consists of whole items, else `None`."""
    whole = b"[%b]" % content
    try:
        return Block(offset, content, decode(whole))
    except msgspec.DecodeError:
        pass
    try:
        # The items may only be other than `decode` wants them.
        if decode is not _decode_raw:
            _decode_raw(whole)
            return Block(offset, content, None)
    except msgspec.DecodeError:
        pass
    return None


def _count_on(rest: bytes, file: IO[bytes], size: int) -> tuple[bytes, int, bool]:
    """Read on until some item has ended.

    Returns everything read, where the comma behind the last whole item stands, and whether instead the list
    or the file has ended: then it is everything up to the end of the file.
    """
    brackets = _Brackets()
    parts, length = [rest], 0
    while True:
        commas, end = brackets.feed(parts[-1])
        if end is not None:
            parts.extend(iter(lambda: file.read(size), b""))
            return b"".join(parts), 0, True
        if commas:
            return b"".join(parts), length + commas[-1], False
        length += len(parts[-1])
        more = file.read(size)
        if not more:
            return b"".join(parts), 0, True
        parts.append(more)


def _last(
    rest: bytes, offset: int, name: str, decode: Callable[[bytes], Any], begun: bool
) -> Iterator[Block]:
    """The last block, if any, from what follows the last comma until the end of the file."""
    body = rest.rstrip(_SPACE)
    content = body[:-1]
    found = None
    if body.endswith(b"]") and content.strip(_SPACE):
        found = _proven(content, offset, decode)
    if found is None:
        _, end = _Brackets().feed(body)
        if end != len(body) - 1:
            what = "it is cut short" if end is None else "something follows the end of the list"
            raise FormatError(f"{name}: {what}", fix=_FIX)
        if not content.strip(_SPACE) and not begun:
            return
        if not content.strip(_SPACE) or content.rstrip(_SPACE).endswith(b","):
            raise FormatError(f"{name}: a comma is followed by nothing", fix=_FIX)
        found = Block(offset, content, None)
    yield found


class _Brackets:
    """Counts brackets outside of texts in successive parts of a list's content."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_text = 0
        self._held = b""

    def feed(self, part: bytes) -> tuple[list[int], int | None]:
        """Where in this part the commas between items stand, and the bracket that ends the list, if any."""
        held, content = len(self._held), self._held + part
        # A backslash that ends a part belongs to what comes next; those before it pair up.
        loose = (len(content) - len(content.rstrip(b"\\"))) % 2
        self._held = content[len(content) - loose :]
        plain = content[: len(content) - loose].replace(b"\\\\", b"__").replace(b'\\"', b"__")
        codes = np.frombuffer(plain, dtype=np.uint8)
        places = np.flatnonzero(_STRUCTURE[codes])
        quotes = np.flatnonzero(codes == ord('"'))
        inside = (np.searchsorted(quotes, places) + self._in_text) % 2 == 1
        self._in_text = (self._in_text + len(quotes)) % 2
        places = places[~inside]
        steps = _STEPS[codes[places]]
        depths = self._depth + np.cumsum(steps)
        self._depth = int(depths[-1]) if len(depths) else self._depth
        ends = np.flatnonzero(depths < 0)
        if len(ends):
            places, steps, depths = places[: ends[0] + 1], steps[: ends[0] + 1], depths[: ends[0] + 1]
        commas = places[(depths == 0) & (steps == 0)] - held
        return commas.tolist(), int(places[-1]) - held if len(ends) else None
