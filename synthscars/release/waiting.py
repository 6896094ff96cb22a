"""Images that can be released, kept on disk until it is known which file each goes into.

Splits depend on all images, so no row can be written before the last record was read. What waits takes a few
hundred bytes of memory for each image, whatever its record holds.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

import msgspec

from synthscars.problems import FormatError, Problem, WorkspaceError
from synthscars.records import Artifact, Extra, Generation, ImageRecord, Origin, Status
from synthscars.release.measures import Measures

Stamp = tuple[int, int, int]
"""Size in bytes, times of change of content and of file in nanoseconds: equal if nothing happened to it."""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """An image that can be released.

    drawn: every rater's regions before merging, `None` if they are not known. bytes: size of the image file.
    stamp: of that file when it was looked at, `None` if it is not one. suffix: of its name in the workspace;
    empty if it is not there. labelled: false for a real photograph that nobody annotated, which is in the
    config `detection` only. measured: boxes and areas of the record's artifacts and then of the drawn
    ones; `None`: nobody measured them.
    """

    record: ImageRecord
    drawn: tuple[Artifact, ...] | None = None
    bytes: int = 0
    stamp: Stamp | None = None
    suffix: str = ""
    labelled: bool = True
    measured: Measures | None = None


class _Content(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of it makes the row; nothing that differs between two computers.

    same: for each region of `drawn`, which of the record's artifacts has the same outline, from 1; it is left
    out of `drawn` then, since outlines are most of a record and most that were drawn stand. 0: none has.
    """

    record: ImageRecord
    drawn: tuple[Artifact, ...] | None = None
    same: tuple[int, ...] = ()


class _OutlineRegion(msgspec.Struct, frozen=True):
    category: str | None = None


class Outline(msgspec.Struct, frozen=True):
    """What of a record decides where its image belongs; the fields are those of `ImageRecord`.

    Records are read once for this alone, and to leave out their polygons and texts takes a third of the time.
    """

    image_id: str
    origin: Origin = "synthetic"
    content_type: str | None = None
    status: Status = "unlabelled"
    artifacts: tuple[_OutlineRegion, ...] = ()
    generation: Generation | None = None
    group_id: str = ""
    split: str = ""
    extra: Extra = msgspec.field(default_factory=dict)


class _OutlineContent(msgspec.Struct, frozen=True):
    record: Outline


MOST_BYTES = 2**31 - 1
"""Bytes of an image file; Arrow counts those of a column of a row group in 32 bits."""

# MessagePack: most of a record are coordinates, and to write and read them as text takes twice as long.
_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(_Content)
_outline_decoder = msgspec.msgpack.Decoder(_OutlineContent)
# It has no whole numbers of more than 64 bits, as metadata may have them: then it is JSON, which begins with
# a brace, and MessagePack of a struct never does.
_big_encoder = msgspec.json.Encoder(order="deterministic")
_big_decoder = msgspec.json.Decoder(_Content)
_big_outline_decoder = msgspec.json.Decoder(_OutlineContent)
_NO_STAMP = (-1, -1, -1)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise WorkspaceError(
            f"the disk is full: the records are kept on it until they are in their files ({error})",
            fix="free some space and run it again; older releases are as they were",
        ) from error


class Waiting:
    """Images on disk, by their ids. Use it as `with Waiting(folder) as waiting`; may be read by threads.

    folder: where the file is that holds them; it has no name there, and ends with the process.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=2**20)  # noqa: SIM115 - closed by __exit__
        self._lock = Lock()
        self._end = 0
        self._places: dict[str, int] = {}
        self._offsets, self._sizes = array("Q"), array("Q")
        self._stamps = array("q")
        self._suffixes: list[str] = []
        self._labelled = bytearray()

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        # Nobody needs what could not be written any more; an error here would hide the one that matters.
        with suppress(OSError):
            self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    @property
    def any_labelled(self) -> bool:
        """Whether there is an image that is not in the config `detection` alone."""
        return any(self._labelled)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def add(self, image: Ready) -> Problem | None:
        """Keep an image, in place of an earlier one of its id; a problem if its row cannot be written.

        Raises `WorkspaceError` if the disk is full.
        """
        if image.bytes > MOST_BYTES:
            return Problem(
                code="image.file_too_large",
                what=f"its file has {image.bytes:,} bytes, and a Parquet column takes {MOST_BYTES:,} at most",
                file=image.record.file_name,
                image=image.record.image_id[:80],
                fix="save it in a smaller file and ingest that instead",
            )
        try:
            content = _encode(_content(image.record, image.drawn))
        except (UnicodeEncodeError, TypeError, RecursionError) as error:
            return Problem(
                code="record.unwritable",
                what=f"its record cannot be written: {error}",
                image=image.record.image_id[:80],
                fix="mend the text in the record",
            )
        with _room():
            self._file.write(content)
        self._places[image.record.image_id] = len(self._offsets)
        self._offsets.append(self._end)
        self._end += len(content)
        self._sizes.append(image.bytes)
        self._stamps.extend(image.stamp or _NO_STAMP)
        # There are a handful of them, each of which need be there once.
        self._suffixes.append(sys.intern(image.suffix))
        self._labelled.append(image.labelled)
        return None

    def size(self, image_id: str) -> int:
        """Bytes of the image file."""
        return self._sizes[self._places[image_id]]

    def labelled(self, image_id: str) -> bool:
        """Whether the image is in all configs, not in `detection` alone."""
        return bool(self._labelled[self._places[image_id]])

    def content(self, image_id: str) -> bytes:
        """What of the image makes its row, as bytes: equal for equal rows, but for group and split."""
        place = self._places[image_id]
        start = self._offsets[place]
        end = self._offsets[place + 1] if place + 1 < len(self._offsets) else self._end
        content = self._read(start, end - start)
        if len(content) != end - start:
            raise FormatError(f"image {image_id}: its record was cut short on disk", fix="build again")
        return content

    def _read(self, start: int, size: int) -> bytes:
        with self._lock, _room():
            self._file.flush()
            if not hasattr(os, "pread"):
                self._file.seek(start)
                return bytes(self._file.read(size))
        # Not through the buffer, which would be filled anew, a megabyte, for each record.
        return os.pread(self._file.fileno(), size, start)

    def record(self, image_id: str) -> ImageRecord:
        """The record as it was added."""
        return _decode(self.content(image_id)).record

    def outline(self, image_id: str) -> Outline:
        """Of the record as it was added."""
        content = self.content(image_id)
        decoder = _big_outline_decoder if content.startswith(b"{") else _outline_decoder
        return decoder.decode(content).record

    def get(self, image_id: str, *, group: str, split: str, content: bytes = b"") -> Ready:
        """The image, with the group and the split that it has in the release.

        content: what `content` gives, if it is at hand.
        """
        place = self._places[image_id]
        found = _decode(content or self.content(image_id))
        first, second, third = self._stamps[3 * place : 3 * place + 3]
        return Ready(
            record=msgspec.structs.replace(found.record, group_id=group, split=split),
            drawn=_drawn(found),
            bytes=self._sizes[place],
            stamp=None if first < 0 else (first, second, third),
            suffix=self._suffixes[place],
            labelled=bool(self._labelled[place]),
        )


def _encode(content: _Content) -> bytes:
    try:
        return _encoder.encode(content)
    except OverflowError:
        return _big_encoder.encode(content)


def _decode(content: bytes) -> _Content:
    return (_big_decoder if content.startswith(b"{") else _decoder).decode(content)


def _content(record: ImageRecord, drawn: tuple[Artifact, ...] | None) -> _Content:
    places = {_start(artifact): number for number, artifact in enumerate(record.artifacts, start=1)}
    same = []
    for artifact in drawn or ():
        number = places.get(_start(artifact), 0)
        equal = number and artifact.polygons == record.artifacts[number - 1].polygons
        same.append(number if equal else 0)
    if drawn is None or not any(same):
        return _Content(record, drawn)
    bare = (
        msgspec.structs.replace(artifact, polygons=()) if number else artifact
        for artifact, number in zip(drawn, same, strict=True)
    )
    return _Content(record, tuple(bare), tuple(same))


def _start(artifact: Artifact) -> tuple[float, ...]:
    """Something of an outline that is hardly ever that of another one too, and quickly looked up."""
    return artifact.polygons[0][:2] if artifact.polygons else ()


def _drawn(content: _Content) -> tuple[Artifact, ...] | None:
    if content.drawn is None or not content.same:
        return content.drawn
    standing = content.record.artifacts
    return tuple(
        msgspec.structs.replace(artifact, polygons=standing[number - 1].polygons) if number else artifact
        for artifact, number in zip(content.drawn, content.same, strict=True)
    )
