"""Whether a release was verified, as its `verification.json` says; `synthscars verify` writes it.

The file names the sha256 of the manifest, which names that of every data file: if one of them changes, the
release is not verified any more.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

from synthscars.problems import ReleaseError
from synthscars.release.manifest import MANIFEST_NAME

VERIFICATION_NAME = "verification.json"
VERIFICATION_FOLDER = "verification"
VERIFICATION_PAGE = "index.html"
LABEL_ERRORS = "label_errors.jsonl"
VERIFICATION_FILES = (VERIFICATION_PAGE, LABEL_ERRORS)
"""What the folder holds."""

FORMAT = "synthscars.verification"
VERSION = 1

State = Literal["verified", "failed", "outdated", "missing", "damaged"]

_LARGEST = 64 * 2**20


class Verified(msgspec.Struct, frozen=True):
    """state: `failed` was looked at and did not pass; `outdated` speaks of other data; `damaged` cannot be
    read. why: in words, `""` if it is verified."""

    state: State
    why: str = ""


class _Release(msgspec.Struct):
    manifest_sha256: str


class _Verification(msgspec.Struct):
    format: str
    version: int
    verified: bool
    release: _Release
    reasons: list[str] = []


def manifest_digest(folder: Path) -> str:
    """The sha256 of a release's manifest, which stands for all of its data.

    Raises `ReleaseError` if there is none.
    """
    try:
        return hashlib.sha256((folder / MANIFEST_NAME).read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ReleaseError(
            f"{folder} is not a release: it has no {MANIFEST_NAME}",
            fix="`synthscars release list` says which there are",
        ) from error


def read_verified(folder: Path) -> Verified:
    """What the release in `folder` says of itself. Raises `ReleaseError` if it has no manifest."""
    digest = manifest_digest(folder)
    path = folder / VERIFICATION_NAME
    try:
        with path.open("rb") as file:
            found = msgspec.json.decode(file.read(_LARGEST), type=_Verification)
    except FileNotFoundError:
        return Verified("missing", "nobody has verified this release")
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Verified("damaged", f"it cannot be read: {error}")
    if (found.format, found.version) != (FORMAT, VERSION):
        return Verified("damaged", f"it is {found.format!r:.40} {found.version}, not {FORMAT} {VERSION}")
    if found.release.manifest_sha256 != digest:
        return Verified("outdated", f"the release has changed since: {MANIFEST_NAME} is another one")
    if not found.verified:
        reasons = f"; this does not hold: {'; '.join(found.reasons[:3])}" if found.reasons else ""
        more = f"; and {len(found.reasons) - 3} more" if len(found.reasons) > 3 else ""
        return Verified("failed", f"the release did not pass{reasons}{more}")
    return Verified("verified")
