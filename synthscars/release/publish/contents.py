"""What a release consists of: its shards, and the files that belong to them.

A manifest that was fetched is untrusted: `parse_manifest` refuses paths that leave the release's folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from synthscars.problems import ReleaseError
from synthscars.release.deprecate import DEPRECATIONS_NAME
from synthscars.release.manifest import MANIFEST_NAME
from synthscars.release.verified import VERIFICATION_FILES, VERIFICATION_FOLDER, VERIFICATION_NAME
from synthscars.workspace import is_version

CARD_NAME = "README.md"
FIGURES = "figures"
FILES_NAME = "files.json"
"""Lists every file of a release in a bucket or folder; written last, so that it says: all is there."""

MOST_COMPANION_BYTES = 256 * 2**20
MOST_FILES = 100_000

_OURS = (
    "CHANGES.md",
    "DATA_STATEMENT.md",
    "GUIDELINE.md",
    "checks.json",
    "croissant.json",
    "splits.json",
    VERIFICATION_NAME,
    MANIFEST_NAME,
)
_DATA_FOLDERS = ("data", "detection")
_LONGEST_VERSION = 40
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]*")
_LONGEST = 200


class FileOf(msgspec.Struct, frozen=True):
    """One file of a release. path: relative, with `/`. sha256: lower-case hex."""

    path: str
    bytes: int
    sha256: str


class Listing(msgspec.Struct, frozen=True):
    """What a manifest says of the release itself; it has more fields, which matter to nobody here."""

    name: str
    version: str
    files: tuple[FileOf, ...]


def parse_manifest(data: bytes, where: str) -> Listing:
    """Read a manifest from anywhere. Raises `ReleaseError` naming `where` if it is none or names files that
    no release has."""
    listing = _decoded(data, where)
    for file in listing.files:
        if not file.path.endswith(".parquet") or file.path.count("/") != 1:
            raise ReleaseError(f"{where}: {file.path!r:.80} is no name of a shard", fix=_UNTRUSTED)
    return listing


def parse_files(data: bytes, where: str) -> Listing:
    """Read a `files.json`. Raises `ReleaseError` as `parse_manifest` does."""
    listing = _decoded(data, where)
    for file in listing.files:
        if not (is_companion(file.path) or file.path.endswith(".parquet")):
            raise ReleaseError(f"{where}: {file.path!r:.80} is no file of a release", fix=_UNTRUSTED)
    return listing


_UNTRUSTED = "get the release from somebody you trust"


def _decoded(data: bytes, where: str) -> Listing:
    try:
        listing = msgspec.json.decode(data, type=Listing)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReleaseError(f"{where}: {error}", fix="build or fetch the release again") from error
    if not is_usable_version(listing.version):
        raise ReleaseError(f"{where}: {listing.version!r:.40} is not a version", fix=_UNTRUSTED)
    if len(listing.files) > MOST_FILES:
        raise ReleaseError(f"{where} names {len(listing.files)} files", fix=_UNTRUSTED)
    seen: set[str] = set()
    folders = {file.path.rpartition("/")[0].casefold() for file in listing.files}
    for file in listing.files:
        if not is_safe(file.path):
            raise ReleaseError(f"{where}: {file.path!r:.80} is not a path within a release", fix=_UNTRUSTED)
        if file.path.casefold() in seen or file.path.casefold() in folders:
            raise ReleaseError(f"{where} names {file.path} twice", fix=_UNTRUSTED)
        seen.add(file.path.casefold())
        if file.bytes < 0 or re.fullmatch("[0-9a-f]{64}", file.sha256) is None:
            raise ReleaseError(f"{where}: {file.path} has no usable size and sha256", fix=_UNTRUSTED)
    return listing


def encode_files(listing: Listing) -> bytes:
    """A `files.json`: the same files give the same bytes."""
    ordered = msgspec.structs.replace(listing, files=tuple(sorted(listing.files, key=lambda file: file.path)))
    return msgspec.json.format(msgspec.json.encode(ordered), indent=2) + b"\n"


def is_safe(path: str) -> bool:
    """Whether this is a relative path of plain names: none that is hidden, above, a drive or a device."""
    parts = path.split("/")
    return (
        len(path) <= _LONGEST
        and all(_NAME.fullmatch(part) and not part.endswith(".") for part in parts)
        and not any(part.split(".")[0].upper() in _DEVICES for part in parts)
    )


_DEVICES = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{kind}{number}" for kind in ("COM", "LPT") for number in range(10)),
}


def is_usable_version(version: str) -> bool:
    """Whether this is a version, and short enough to be a name: what others publish is not trusted."""
    return len(version) <= _LONGEST_VERSION and is_version(version)


def printable(text: str) -> str:
    """The text without what would move the cursor of a terminal, or colour it."""
    return "".join(c if c.isprintable() else " " for c in text)


def is_sent(path: str) -> bool:
    """Whether a file beside the shards is published. Stricter than `is_companion`: what `release build`
    makes, texts, a licence and a citation, but no other JSON file, which may be somebody's credentials."""
    folder, _, name = path.rpartition("/")
    if folder == FIGURES:
        return is_companion(path) and name.endswith(_PICTURES)
    return is_companion(path) and (not name.endswith(".json") or name in _OURS)


_PICTURES = (".jpg", ".png", ".svg", ".webp")


def is_companion(path: str) -> bool:
    """Whether a file that is no shard belongs to a release that somebody published."""
    if not is_safe(path) or path in (FILES_NAME, DEPRECATIONS_NAME):
        return False
    folder, _, name = path.rpartition("/")
    if folder == VERIFICATION_FOLDER:
        return name in VERIFICATION_FILES
    if folder:
        return folder == FIGURES and not name.endswith(".parquet")
    return name.endswith((".md", ".json")) or name.startswith(("LICENSE", "CITATION"))


def is_ours(path: str, shards: Iterable[str]) -> bool:
    """Whether a published file came from an earlier release, so that a newer one without it must remove it:
    what `load_dataset` would read, and what `release build` writes. Everything else was put there by people.

    shards: paths of the shards of both releases.
    """
    folder = path.split("/")[0]
    folders = {*_DATA_FOLDERS, *(shard.split("/")[0] for shard in shards)}
    return (
        path in _OURS
        or path in shards
        or (path.endswith(".parquet") and folder in folders)
        or (folder in (FIGURES, VERIFICATION_FOLDER) and is_companion(path))
    )
