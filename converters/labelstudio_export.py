"""Goes through an export block by block, without ever holding it whole.

A first pass only looks which image each task shows, so that several tasks of one image can become one record;
it also finds out whether the file is whole, before anything is made of it. The second pass reads the blocks
again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from synthscars.converters.json_list import Block, open_plain, read_blocks, split_block
from synthscars.converters.reading import decode_json, plain
from synthscars.problems import FormatError


class _Head(msgspec.Struct):
    data: Any = None


_decode_heads = msgspec.json.Decoder(list[_Head]).decode


class Export:
    """An open export; see `open_export`.

    key: which image a task's data name, `""` if none. repeated: the images that several tasks show.
    """

    def __init__(self, file: IO[bytes], name: str, key: Callable[[Any], str]) -> None:
        self._file = file
        self._blocks: list[tuple[int, int]] = []
        self._later: dict[str, list[tuple[int, int]]] = {}
        seen: set[str] = set()
        for block in read_blocks(file, name, _decode_heads):
            self._blocks.append((block.offset, len(block.content)))
            keys = [key(data) for data in _data_of(block)]
            if any(shown in seen for shown in keys) or len({*keys}) < len(keys):
                for shown, item in zip(keys, split_block(block), strict=True):
                    if shown in seen:
                        self._later.setdefault(shown, []).append((item.offset, len(item.content)))
                    elif shown:
                        seen.add(shown)
            seen.update(filter(None, keys))

    @property
    def repeated(self) -> frozenset[str]:
        """Images that several tasks show."""
        return frozenset(self._later)

    def blocks(self, decode: Callable[[bytes], Any]) -> Iterator[Block]:
        """All tasks in order; decoded: what `decode` makes of a block as a list, `None` if it refuses."""
        for offset, length in self._blocks:
            content = self._read(offset, length)
            try:
                decoded = decode(b"[%b]" % content)
            except msgspec.DecodeError:
                decoded = None
            yield Block(offset, content, decoded)

    def later_tasks(self, key: str) -> list[bytes]:
        """The tasks of an image but the first."""
        return [self._read(offset, length) for offset, length in self._later.get(key, ())]

    def _read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length)


@contextmanager
def open_export(source: Path | IO[bytes], name: str, key: Callable[[Any], str]) -> Iterator[Export]:
    """Open an export and look through it once.

    Raises `FormatError` with `name` if it is no list, or not whole.
    """
    try:
        if isinstance(source, Path):
            with open_plain(source) as file:
                yield Export(file, name, key)
        else:
            with tempfile.TemporaryFile() as file:
                shutil.copyfileobj(source, file)
                file.seek(0)
                yield Export(file, name, key)
    except OSError as error:
        raise FormatError(
            f"{name}: {error.strerror or error}", fix="fetch or export the file again"
        ) from error


def _data_of(block: Block) -> list[Any]:
    """What each task of a block has under `data`."""
    if block.decoded is not None:
        return [plain(head.data) for head in block.decoded]
    found: list[Any] = []
    for item in split_block(block):
        try:
            task = decode_json(item.content, "task")
        except FormatError:
            task = None
        found.append(task.get("data") if isinstance(task, dict) else None)
    return found
