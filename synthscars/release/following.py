"""What a release that follows another one owes to it: a version that says what changed, and `CHANGES.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from synthscars.files import atomic_file
from synthscars.problems import FormatError, Problems, ReleaseError
from synthscars.release.diff import diff_releases
from synthscars.release.diff_model import ReleaseDiff
from synthscars.release.diff_text import CHANGES_NAME, to_markdown
from synthscars.release.manifest import MANIFEST_NAME, Manifest, encode_manifest, version_key

FIRST_VERSION = "0.1.0"


class Before(NamedTuple):
    """The release that another one follows."""

    folder: Path
    manifest: Manifest


class Place(NamedTuple):
    """Where an image is in the newest of the earlier releases that have it.

    shard: number of its file, `None` if the release before does not have the image, or does not keep images
    in their files yet. labelled: false if it is in the config `detection` alone.
    """

    split: str
    group: str
    shard: int | None
    labelled: bool


def places(earlier: Sequence[Manifest], scrubbed: Mapping[str, str] | None = None) -> dict[str, Place]:
    """Where images are in earlier releases, oldest first: one may have been left out of the newest.

    scrubbed: image from which metadata are taken out now → its id before. Such an image is there under both
    of its ids, whether it was released with its metadata, or without them, or both one after the other.
    """
    scrubbed_now = {original: image_id for image_id, original in (scrubbed or {}).items()}
    found: dict[str, Place] = {}
    for manifest in earlier:
        kept = manifest is earlier[-1] and all(shard.key for shard in manifest.files)
        for images, labelled in ((manifest.detection_images, False), (manifest.images, True)):
            for image_id, entry in images.items():
                at = Place(entry.split, entry.group, entry.shard if kept else None, labelled)
                original = manifest.scrubbed.get(image_id, image_id)
                found[image_id] = found[original] = at
                if now := scrubbed_now.get(original):
                    found[now] = at
    return found


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `manifest.json`."""
    with atomic_file(folder / MANIFEST_NAME) as file:
        file.write(encode_manifest(manifest))


def settle_version(
    folder: Path, manifest: Manifest, before: Before | None, version: str | None, problems: Problems
) -> str:
    """The version of the release in `folder`, which has its data and no manifest yet; writes what it needs.

    version: the one that was asked for; `None`: the lowest that honours what changed since `before`. Writes
    the manifest and, if there is a release before, `CHANGES.md`. A release before that cannot be compared
    with is reported; then any version is good.

    Raises `ReleaseError` if the version is too low, or if none was asked for and nothing changed, or nobody
    knows what did, because the release before cannot be read whole.
    """
    if before is None:
        chosen = version or FIRST_VERSION
        write_manifest(folder, msgspec.structs.replace(manifest, version=chosen))
        return chosen
    # Whatever changed, the next major version honours it.
    asked = version or f"{version_key(before.manifest.version)[0] + 1}.0.0"
    write_manifest(folder, msgspec.structs.replace(manifest, version=asked))
    diff = _compare(before, folder, version is not None, problems)
    if diff is None:
        return asked
    bump = diff.bump
    if version is None and diff.unread:
        raise ReleaseError(
            f"release {before.manifest.version} cannot be read whole, so nobody knows what changed since",
            fix=f"restore release {before.manifest.version}, or name a version",
        )
    if version is None and bump.needed == "none":
        raise ReleaseError(
            f"nothing changed since release {before.manifest.version}",
            fix="name a version to build it all the same",
        )
    chosen = version or bump.lowest
    if bump.honoured is False:
        raise ReleaseError(
            f"{chosen} is too low after {before.manifest.version}: what changed asks for {bump.lowest} or "
            f"higher ({'; '.join(bump.reasons[:3])})",
            fix=f"build {bump.lowest}, or name no version to get the lowest that fits",
        )
    if chosen != asked:
        write_manifest(folder, msgspec.structs.replace(manifest, version=chosen))
    after = msgspec.structs.replace(diff.after, name=chosen, version=chosen)
    with atomic_file(folder / CHANGES_NAME) as file:
        file.write(to_markdown(msgspec.structs.replace(diff, after=after)).encode())
    return chosen


def _compare(before: Before, folder: Path, version_known: bool, problems: Problems) -> ReleaseDiff | None:
    found = Problems()
    names = (before.manifest.version, "")
    try:
        diff = diff_releases(before.folder, folder, found, names=names)
    except FormatError as error:
        what = f"the release before cannot be compared with: {error.message}"
        if not version_known:
            fix = f"restore release {before.manifest.version}, or name a version"
            raise ReleaseError(what, fix=fix) from error
        problems.add(
            "changes.not_written",
            what,
            severity="warning",
            file=f"release {before.manifest.version}",
            fix=f"restore it and build again, to have a {CHANGES_NAME}",
        )
        return None
    for problem in found:
        # What is wrong with the older release keeps no image out of this one.
        if problem.code != "version.too_low":
            problems.extend([msgspec.structs.replace(problem, severity="warning")])
    return diff
