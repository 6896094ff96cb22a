"""The releases of a workspace at a glance, from their small files: no data is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from synthscars.problems import Problems, ReleaseError
from synthscars.release.check import CHECKS_NAME
from synthscars.release.deprecate import DEPRECATIONS_NAME, Deprecation, Deprecations, read_deprecations
from synthscars.release.manifest import read_manifest, versions
from synthscars.release.verified import VERIFICATION_NAME, State, read_verified


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One release. bytes: of its data files, as its manifest says.

    on_disk: bytes of all its files that no older version has too: a shard that versions share as hard links
    is counted with the oldest of them. checks: severity → number of problems in its `checks.json`, `None` if
    it has none. verified: what its `verification.json` is worth, see `Verified`. deprecated: why it should
    not be used, `None` if it may.
    """

    version: str
    images: int
    artifacts: int
    splits: dict[str, int]
    bytes: int
    on_disk: int
    checks: dict[str, int] | None
    verified: State
    deprecated: Deprecation | None


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The releases, oldest first. on_disk: bytes of all of them. gone: deprecated versions without files."""

    releases: tuple[Listed, ...]
    on_disk: int
    gone: Deprecations

    @property
    def deprecations(self) -> Deprecations:
        """What is said against any version."""
        return self.gone | {each.version: each.deprecated for each in self.releases if each.deprecated}


class _Checks(msgspec.Struct):
    severities: dict[str, int]


def list_releases(releases: Path, problems: Problems) -> Listing:
    """The releases in a folder. One whose manifest cannot be read is reported (`release.damaged`) and left
    out, but its files count; unreadable checks and deprecations are reported and count as none."""
    try:
        deprecations = read_deprecations(releases)
    except ReleaseError as error:
        problems.add(
            "deprecations.unreadable", error.message, file=f"releases/{DEPRECATIONS_NAME}", fix=error.fix
        )
        deprecations = {}
    found: list[Listed] = []
    seen: set[tuple[int, int]] = set()
    total = 0
    names = list(versions(releases))
    for name in names:
        folder = releases / name
        on_disk = sum(_new_sizes(folder, seen))
        total += on_disk
        try:
            manifest = read_manifest(folder)
        except ReleaseError as error:
            problems.add("release.damaged", error.message, file=f"releases/{name}", fix=error.fix)
            continue
        found.append(
            Listed(
                version=name,
                images=len(manifest.images),
                artifacts=manifest.artifacts,
                splits=manifest.splits,
                bytes=sum(shard.bytes for shard in manifest.files),
                on_disk=on_disk,
                checks=_checks(folder, name, problems),
                verified=_verified(folder, name, problems),
                deprecated=deprecations.get(name),
            )
        )
    gone = {name: each for name, each in deprecations.items() if name not in names}
    return Listing(releases=tuple(found), on_disk=total, gone=gone)


def _new_sizes(folder: Path, seen: set[tuple[int, int]]) -> Iterator[int]:
    """The sizes of the files that were not seen under another name."""
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            facts = (Path(parent) / name).lstat()
            file = (facts.st_dev, facts.st_ino)
            if file not in seen:
                seen.add(file)
                yield facts.st_size


def _checks(folder: Path, name: str, problems: Problems) -> dict[str, int] | None:
    try:
        return msgspec.json.decode((folder / CHECKS_NAME).read_bytes(), type=_Checks).severities
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        problems.add(
            "checks.unreadable",
            f"{CHECKS_NAME} cannot be read: {error}",
            severity="warning",
            file=f"releases/{name}/{CHECKS_NAME}",
            fix=f"write it again: synthscars release check {name} --save",
        )
        return None


def _verified(folder: Path, name: str, problems: Problems) -> State:
    found = read_verified(folder)
    if found.state == "damaged":
        problems.add(
            "verification.damaged",
            found.why,
            severity="warning",
            file=f"releases/{name}/{VERIFICATION_NAME}",
            fix=f"write it again: synthscars verify {name}",
        )
    return found.state
