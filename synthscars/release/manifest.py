"""`manifest.json`: what a release holds and what it was made from.

Everything that a rebuild needs to be compared with is in it, and nothing that would differ between two builds
from the same inputs: no times, no paths outside the workspace.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from synthscars.problems import ReleaseError
from synthscars.release.shards import Shard
from synthscars.workspace import is_version

MANIFEST_NAME = "manifest.json"


class InputFile(msgspec.Struct, frozen=True):
    """One file that the release was made from. name: relative to the workspace, or the bare file name."""

    name: str
    sha256: str


class ImageEntry(msgspec.Struct, frozen=True):
    """Where an image is in the release. shard: number of its file, `data/<split>-<number>.parquet`."""

    split: str
    group: str
    shard: int = 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in `manifest.json`.

    tools: name → version. inputs: by role (`records`, `export`, and `manifest 1.0.0` of every earlier
    version, whose splits are kept; none where records of another format were converted). settings: of splits
    and, if raters' answers were merged on the way, of consensus. splits: split → number of images.
    left_out: reason → number of images that have a record and are not in the release. set_aside: image →
    code of the problem that kept it out. images: by image id. detection, detection_images: the same of real
    photographs that nobody annotated, which are in the config `detection` alone. scrubbed: image from whose
    file personal metadata were taken out → sha256 of the file before. deprecated: columns and
    classes that the next major version may leave out, with what to use instead; none in older manifests.
    """

    name: str
    version: str
    taxonomy_version: str
    artifacts: int
    tools: dict[str, str]
    inputs: dict[str, InputFile]
    settings: dict[str, float]
    splits: dict[str, int]
    left_out: dict[str, int]
    set_aside: dict[str, str]
    files: tuple[Shard, ...]
    images: dict[str, ImageEntry]
    detection: dict[str, int] = {}
    detection_images: dict[str, ImageEntry] = {}
    scrubbed: dict[str, str] = {}
    deprecated: dict[str, str] = {}


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as indented JSON, fields and dictionaries in their own order."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a release folder. Raises `ReleaseError` if there is none, or it cannot be read."""
    path = folder / MANIFEST_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ReleaseError(
            f"{folder} is not a release: it has no {MANIFEST_NAME}",
            fix="`synthscars release list` says which there are",
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReleaseError(f"{path}: {error}", fix="build the release again") from error


def versions(releases: Path) -> Iterator[str]:
    """The versions in a folder of releases, oldest first."""
    names = [path.name for path in releases.iterdir() if path.is_dir()] if releases.is_dir() else []
    yield from sorted(filter(is_version, names), key=version_key)


def version_key(version: str) -> tuple[int, ...]:
    """Sorts versions by age: 0.9.0 before 0.10.0."""
    return tuple(int(part) for part in version.split("."))
