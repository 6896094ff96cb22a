"""Makes sure that a release is whole and worth publishing before anything is sent."""

from __future__ import annotations

import fnmatch
import hashlib
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from synthscars.problems import Problems, ReleaseError
from synthscars.release.deprecate import Deprecations, read_deprecations
from synthscars.release.manifest import MANIFEST_NAME
from synthscars.release.publish.contents import (
    CARD_NAME,
    FileOf,
    Listing,
    is_sent,
    parse_manifest,
)
from synthscars.release.publish.said import add_problem
from synthscars.release.verified import VERIFICATION_NAME, read_verified
from synthscars.workspace import is_version

_AGAIN = "build the release again"


class Whole(NamedTuple):
    """A release whose files are those of its manifest. files: shards and companions, by path; said: against
    its own and other versions, in the folder that it is in."""

    folder: Path
    listing: Listing
    files: dict[str, FileOf]
    said: Deprecations

    @property
    def version(self) -> str:
        """The version that the manifest names."""
        return self.listing.version

    @property
    def shards(self) -> set[str]:
        """The paths of the Parquet files."""
        return {file.path for file in self.listing.files}


def read_whole(folder: Path, problems: Problems, *, progress: Callable[[int], None] | None = None) -> Whole:
    """Read and verify a release: every shard against the manifest, the card, what a check found.

    Everything that is wrong is added to `problems`; with an error among them the release should not be
    published. progress: called with the bytes of every file that was read. Raises `ReleaseError` if the
    folder is no release.
    """
    path = folder / MANIFEST_NAME
    try:
        manifest = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ReleaseError(
            f"{folder} is not a release: it has no {MANIFEST_NAME}",
            fix="`synthscars release list` says which there are",
        ) from error
    listing = parse_manifest(manifest, str(path))
    if is_version(folder.name) and folder.name != listing.version:
        problems.add(
            "release.version",
            f"it says that it is {listing.version}, and is named {folder.name}",
            file=MANIFEST_NAME,
            fix="give the folder its own name back, or build the release again",
        )
    files: dict[str, FileOf] = {}
    for expected in listing.files:
        found = _read(folder, expected.path, problems)
        if found is None:
            continue
        if progress is not None:
            progress(found.bytes)
        if found != expected:
            problems.add(
                "file.changed",
                f"it is not the file that {MANIFEST_NAME} names; its sha256 is {found.sha256[:12]}…",
                file=expected.path,
                fix=_AGAIN,
            )
        files[expected.path] = found
    for name in _others(folder, set(files)):
        if is_sent(name):
            if (found := _read(folder, name, problems)) is not None:
                files[name] = found
        elif name.endswith(".parquet"):
            problems.add(
                "file.unknown",
                f"{MANIFEST_NAME} does not name it, and load_dataset would read it",
                file=name,
                fix="remove it, or build the release again",
            )
        else:
            problems.add(
                "publish.left_out", "it is no part of a release and stays here", file=name, severity="info"
            )
    _look_at_card(folder, listing, problems)
    _look_at_checks(folder, problems)
    _look_at_verification(folder, problems)
    said = read_deprecations(folder.parent)
    add_problem(said, listing.version, problems, "--force publishes it as it is", error=True)
    return Whole(folder, listing, dict(sorted(files.items())), said)


def _read(folder: Path, name: str, problems: Problems) -> FileOf | None:
    path = folder / name
    # A link might lead to anything on this machine, and would be published under a harmless name.
    if any(part.is_symlink() for part in (path, *list(path.parents)[: name.count("/")])):
        problems.add("file.link", "it is a link", file=name, fix="put the file itself there")
        return None
    try:
        if not path.is_file() and path.exists():
            problems.add("file.odd", "it is no file", file=name, fix="put the file itself there")
            return None
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return FileOf(name, file.tell(), digest)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        problems.add("file.missing", f"{MANIFEST_NAME} names it, and it is not there", file=name, fix=_AGAIN)
        return None


def _others(folder: Path, known: set[str]) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name not in known and (path.is_file() or path.is_symlink()):
            yield name


def git_hash(path: Path) -> str:
    """What git, and so the Hub, calls a file that is no large one: the sha1 of its content with a header."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


# The card


def _look_at_card(folder: Path, listing: Listing, problems: Problems) -> None:
    try:
        text = (folder / CARD_NAME).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.add("card.missing", f"there is no card: {error}", file=CARD_NAME, fix=_AGAIN)
        return
    metadata = _front_matter(text)
    if metadata is None:
        problems.add("card.metadata", "its YAML cannot be read", file=CARD_NAME, fix=_AGAIN)
        return
    if not metadata.get("license"):
        problems.add(
            "card.license",
            "it names no licence",
            file=CARD_NAME,
            severity="warning",
            fix="set one in synthscars.toml",
        )
    patterns = list(_patterns(metadata))
    if not patterns:
        problems.add("card.configs", "it has no configs with data_files", file=CARD_NAME, fix=_AGAIN)
        return
    paths = [file.path for file in listing.files]
    for pattern in patterns:
        if not any(fnmatch.fnmatch(path, pattern) for path in paths):
            problems.add("card.configs", f"{pattern} matches no shard", file=CARD_NAME, fix=_AGAIN)
    for path in paths:
        if not any(fnmatch.fnmatch(path, pattern) for pattern in patterns):
            problems.add("card.configs", f"no config reads {path}", file=CARD_NAME, fix=_AGAIN)


def _front_matter(text: str) -> dict[str, Any] | None:
    import yaml  # type: ignore[import-untyped, unused-ignore]

    found = re.match(r"---\r?\n(.*?)\r?\n---\s", text, re.DOTALL)
    try:
        read = yaml.safe_load(found[1]) if found else None
    except yaml.YAMLError:
        return None
    return read if isinstance(read, dict) else None


def _patterns(metadata: dict[str, Any]) -> Iterator[str]:
    for config in _list(metadata.get("configs")):
        given = config.get("data_files") if isinstance(config, dict) else None
        for entry in _list(given):
            paths = entry.get("path") if isinstance(entry, dict) else entry
            yield from (path for path in _list(paths) if isinstance(path, str))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


# What `release check` found


class _Found(msgspec.Struct):
    code: str = ""
    severity: str = "error"


class _Checks(msgspec.Struct):
    problems: list[_Found]
    name: str = ""


def _look_at_checks(folder: Path, problems: Problems) -> None:
    name = "checks.json"
    try:
        found = msgspec.json.decode((folder / name).read_bytes(), type=_Checks)
    except FileNotFoundError:
        problems.add(
            "checks.missing",
            "nobody has checked this release",
            file=name,
            severity="warning",
            fix="`synthscars release check VERSION --save`",
        )
        return
    except (OSError, msgspec.DecodeError) as error:
        problems.add(
            "checks.damaged", f"it cannot be read: {error}", file=name, fix="check the release again"
        )
        return
    codes = sorted({problem.code for problem in found.problems if problem.severity == "error"})
    if codes:
        problems.add(
            "checks.errors",
            f"the check found {', '.join(codes[:5])}{' and more' if len(codes) > 5 else ''}",
            file=name,
            fix="mend it and build again; --force publishes it as it is",
        )


# What `verify` found


def _look_at_verification(folder: Path, problems: Problems) -> None:
    found = read_verified(folder)
    if found.state != "verified":
        problems.add(
            f"verification.{found.state}",
            found.why,
            file=VERIFICATION_NAME,
            fix=f"synthscars verify {shlex.quote(str(folder))}; --force-unverified publishes it as it is",
        )
