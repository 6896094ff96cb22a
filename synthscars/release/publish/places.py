"""What is published in a folder, in a bucket or wherever else fsspec reaches.

::

    deprecated.json      what is said against versions
    releases.json        the newest version, and where the others are; made anew from what is there
    1.1.0/files.json     every file with size and sha256; written last: with it, the release is whole
    1.1.0/...            the release as it was built
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from synthscars.problems import ReleaseError, SynthScarsError, UsageError
from synthscars.release.manifest import version_key
from synthscars.release.publish.contents import (
    FILES_NAME,
    Listing,
    is_usable_version,
    parse_files,
)
from synthscars.release.publish.targets import Target

INDEX_NAME = "releases.json"
MOST_INDEX = 64 * 2**20
"""Bytes of the greatest index or list of files that is read."""


@contextmanager
def reaching(target: Target) -> Iterator[None]:
    """Turn whatever a file system raises in the block into a `ReleaseError`: each has errors of its own."""
    try:
        yield
    except SynthScarsError:
        raise
    except Exception as error:
        if target.kind == "folder" and isinstance(error, OSError):
            raise  # it says what is wrong with which file
        raise ReleaseError(
            f"{target.shown}: {target.redact(str(error)) or type(error).__name__}",
            fix="look at the address, its credentials and the room there; then run the same command again",
        ) from None  # its text may hold passwords and signed addresses


class IndexEntry(msgspec.Struct, frozen=True):
    """One version in `releases.json`. path: its folder; sha256: of its `files.json`."""

    path: str
    files: int
    bytes: int
    sha256: str


class Index(msgspec.Struct, frozen=True):
    """`releases.json`. latest: the highest version."""

    name: str
    latest: str
    versions: dict[str, IndexEntry]


class Place:
    """A folder that fsspec reaches; see `reaching` for what its file system may raise."""

    def __init__(self, target: Target) -> None:
        import fsspec  # type: ignore[import-untyped, unused-ignore]

        self.target = target
        if target.kind == "folder":
            # Not by its name: one with "::" would be taken for a chain of addresses.
            self.fs = fsspec.filesystem("file")
            self.root = Path(target.location).expanduser().resolve().as_posix()
            return
        try:
            self.fs, root = fsspec.core.url_to_fs(target.location)
        except ImportError as error:
            raise ReleaseError(f"{target.shown}: {error}", fix="install what it names") from error
        except ValueError as error:
            text = target.redact(str(error))
            raise UsageError(f"{target.shown}: {text}", fix="look at the start of the URL") from None
        self.root = str(root).rstrip("/")

    def at(self, path: str) -> str:
        """The path for the file system."""
        return f"{self.root}/{path}"

    def read(self, path: str, most: int) -> bytes | None:
        """A small file, `None` if there is none. Raises `ReleaseError` if it has more than `most` bytes."""
        try:
            with self.fs.open(self.at(path), "rb") as file:
                data: bytes = file.read(most + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if len(data) > most:
            raise ReleaseError(
                f"{self.target.shown}/{path} is larger than {most} bytes", fix="look at what it is"
            )
        return data

    def size(self, path: str) -> int | None:
        """The bytes of a file, `None` if there is none."""
        try:
            size = self.fs.info(self.at(path))["size"]
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if size is None else int(size)

    def version_names(self) -> list[str]:
        """Folders that are named as versions, oldest first; not all need be whole."""
        self.fs.invalidate_cache()
        try:
            names = [
                entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in self.fs.ls(self.root, detail=True)
            ]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(filter(is_usable_version, names), key=version_key)

    def listing(self, version: str) -> Listing | None:
        """What a whole version consists of, `None` if it is not there or not whole."""
        data = self.read(f"{version}/{FILES_NAME}", MOST_INDEX)
        return None if data is None else self._parsed(data, version)

    def _parsed(self, data: bytes, version: str) -> Listing:
        listing = parse_files(data, f"{self.target.shown}/{version}/{FILES_NAME}")
        if listing.version != version:
            raise ReleaseError(
                f"{self.target.shown}/{version} holds {listing.version}", fix="publish it again"
            )
        return listing

    def index(self) -> Index | None:
        """What `releases.json` says, `None` if there is none. Raises `ReleaseError` if it is none."""
        data = self.read(INDEX_NAME, MOST_INDEX)
        if data is None:
            return None
        try:
            index = msgspec.json.decode(data, type=Index)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ReleaseError(
                f"{self.target.shown}/{INDEX_NAME}: {error}", fix="publish there again"
            ) from error
        if not all(is_usable_version(version) for version in (*index.versions, index.latest)):
            raise ReleaseError(
                f"{self.target.shown}/{INDEX_NAME} names what is no version", fix="publish there again"
            )
        return index

    def new_index(self, name: str) -> bytes:
        """`releases.json` as it should be, from the versions that are whole."""
        entries = {}
        for version in self.version_names():
            data = self.read(f"{version}/{FILES_NAME}", MOST_INDEX)
            if data is not None:
                files = self._parsed(data, version).files
                digest = hashlib.sha256(data).hexdigest()
                entries[version] = IndexEntry(version, len(files), sum(file.bytes for file in files), digest)
        index = Index(name, next(reversed(entries), ""), entries)
        return msgspec.json.format(msgspec.json.encode(index), indent=2) + b"\n"
