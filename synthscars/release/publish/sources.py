"""Where releases are fetched from: the Hugging Face Hub, a folder, a bucket."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from synthscars.problems import ReleaseError
from synthscars.release.deprecate import DEPRECATIONS_NAME, Deprecations
from synthscars.release.manifest import version_key
from synthscars.release.publish.contents import (
    FILES_NAME,
    FileOf,
)
from synthscars.release.publish.hub import MAIN, HubFile, HubRepository
from synthscars.release.publish.places import Place, reaching
from synthscars.release.publish.said import MOST_SAID, parse_said
from synthscars.release.publish.targets import Target
from synthscars.release.publish.whole import git_hash


class PublishedVersion(msgspec.Struct, frozen=True):
    """One version of a published place. revision: its commit on the Hub, else its folder. deprecated: why it
    should not be used, `""` if it may; use: what to use instead, `""` if there is nothing."""

    version: str
    revision: str
    deprecated: str = ""
    use: str = ""


class Expected(msgspec.Struct, frozen=True):
    """A file that is to be fetched. sha256: `""` if only git's hash is known."""

    path: str
    bytes: int
    sha256: str = ""
    git: str = ""

    def is_in(self, path: Path) -> bool:
        """Whether this file is that one."""
        try:
            if path.stat().st_size != self.bytes:
                return False
            if self.sha256:
                with path.open("rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
            return git_hash(path) == self.git
        except OSError:
            return False


class Source(Protocol):
    """Where a release is fetched from."""

    def versions(self) -> list[PublishedVersion]:
        """Every version that is whole, oldest first."""

    def said(self) -> Deprecations:
        """What is said against versions. Raises `ReleaseError` if that cannot be read."""

    def files(self, version: PublishedVersion) -> dict[str, Expected]:
        """Every file that may be fetched, by path."""

    def fetch(self, version: PublishedVersion, file: Expected, staging: Path) -> Path:
        """Fetch one file to somewhere below `staging`; at most `file.bytes` bytes."""


def open_source(target: Target, *, endpoint: str | None = None, token: str | None = None) -> Source:
    """The source that a target names."""
    if target.kind == "hub":
        return _HubSource(HubRepository(target.location, endpoint=endpoint, token=token))
    return _PlaceSource(Place(target))


class _HubSource:
    def __init__(self, hub: HubRepository) -> None:
        self._hub = hub

    def versions(self) -> list[PublishedVersion]:
        return [PublishedVersion(name, commit) for name, commit in self._hub.refs().versions.items()]

    def said(self) -> Deprecations:
        main = self._hub.refs().branches.get(MAIN, "")
        files = self._hub.files(main) if main else {}
        data = self._hub.read(files, DEPRECATIONS_NAME, main, MOST_SAID)
        return parse_said(data, f"{self._hub.url}: {DEPRECATIONS_NAME}")

    def files(self, version: PublishedVersion) -> dict[str, Expected]:
        found = self._hub.files(version.revision)
        return {path: _expected(file) for path, file in found.items()}

    def fetch(self, version: PublishedVersion, file: Expected, staging: Path) -> Path:
        return self._hub.download(file.path, version.revision, staging / "download", file.bytes)


def _expected(file: HubFile) -> Expected:
    return Expected(file.path, file.bytes, file.sha256, "" if file.sha256 else file.git)


class _PlaceSource:
    def __init__(self, place: Place) -> None:
        self._place = place

    def versions(self) -> list[PublishedVersion]:
        with reaching(self._place.target):
            index = self._place.index()
        if index is not None:
            return [PublishedVersion(name, name) for name in sorted(index.versions, key=version_key)]
        # Not every place can be listed, but one without an index was not finished either.
        return []

    def said(self) -> Deprecations:
        target = self._place.target
        with reaching(target):
            data = self._place.read(DEPRECATIONS_NAME, MOST_SAID)
        return parse_said(data, f"{target.shown}/{DEPRECATIONS_NAME}")

    def files(self, version: PublishedVersion) -> dict[str, Expected]:
        with reaching(self._place.target):
            listing = self._place.listing(version.revision)
        if listing is None:
            raise ReleaseError(
                f"{self._place.target.shown}/{version.revision} has no {FILES_NAME}", fix="publish it again"
            )
        return {file.path: _of(file) for file in listing.files}

    def fetch(self, version: PublishedVersion, file: Expected, staging: Path) -> Path:
        part = staging / "download" / file.path
        part.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as target:
            start = target.tell()
            if start > file.bytes:
                target.truncate(start := 0)
            with reaching(self._place.target):
                self._copy(self._place.at(f"{version.revision}/{file.path}"), start, file.bytes, target.write)
        return part

    def _copy(self, path: str, start: int, size: int, write: Callable[[bytes], object]) -> None:
        with self._place.fs.open(path, "rb") as source:
            source.seek(start)
            while start < size and (piece := source.read(min(2**20, size - start))):
                write(piece)
                start += len(piece)


def _of(file: FileOf) -> Expected:
    return Expected(file.path, file.bytes, file.sha256)
