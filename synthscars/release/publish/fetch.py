"""Gets a published release: every file is verified before the release takes its name.

What is published is untrusted: its manifest can name no path outside the release, and no file may be larger
than it says. What has arrived is kept in `.fetching-<version>` until all is there, so that the next run goes
on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from synthscars.files import take_name
from synthscars.problems import Problems, ReleaseError
from synthscars.release.deprecate import DEPRECATIONS_NAME, Deprecations, replacement
from synthscars.release.manifest import MANIFEST_NAME, versions
from synthscars.release.publish.contents import (
    MOST_COMPANION_BYTES,
    Listing,
    is_companion,
    parse_manifest,
)
from synthscars.release.publish.said import add_problem
from synthscars.release.publish.send import Moment, Progress
from synthscars.release.publish.sources import Expected, PublishedVersion, Source, open_source
from synthscars.release.publish.targets import Target
from synthscars.workspace import check_version

STAGING = ".fetching-"
_MOST_COMPANIONS = 1000
_TRIES = 2


class GetReport(msgspec.Struct, frozen=True):
    """What was fetched. fetched, linked: bytes that came over the line, and that other releases here had.
    unchanged: the release was there already."""

    version: str
    path: Path
    files: int
    fetched: int
    linked: int
    unchanged: bool = False


def published_versions(
    target: Target, *, endpoint: str | None = None, token: str | None = None
) -> list[PublishedVersion]:
    """The versions of a published place, oldest first. Raises `ReleaseError` if it cannot be reached."""
    source = open_source(target, endpoint=endpoint, token=token)
    found = source.versions()
    said = source.said() if found else {}
    return [
        msgspec.structs.replace(one, deprecated=said[one.version].reason, use=replacement(said, one.version))
        if one.version in said
        else one
        for one in found
    ]


def get_release(
    target: Target,
    parent: Path,
    problems: Problems,
    *,
    version: str | None = None,
    endpoint: str | None = None,
    token: str | None = None,
    progress: Progress | None = None,
) -> GetReport:
    """Fetch a version as `parent/<version>`; if not given, the newest that is not deprecated.

    Files that other releases in `parent` have are linked. Interrupted, the same call goes on. Raises
    `ReleaseError` if there is no such version, if another release has that name here, or if a file is not
    what the manifest says: each is then in `problems`.
    """
    source = open_source(target, endpoint=endpoint, token=token)
    known = source.versions()
    said = _said(source, problems) if known else {}
    chosen = _choose(known, version, target, said)
    add_problem(said, chosen.version, problems, "")
    staging = parent / f"{STAGING}{chosen.version}"
    parent.mkdir(parents=True, exist_ok=True)
    with _alone(parent / f"{STAGING}{chosen.version}.lock"):
        staging.mkdir(exist_ok=True)
        release = staging / "release"
        offered = source.files(chosen)
        manifest = _fetch_manifest(source, chosen, offered, staging, target)
        wanted = _wanted(
            parse_manifest(manifest.read_bytes(), f"{target.shown} {MANIFEST_NAME}"), offered, chosen
        )
        final = parent / chosen.version
        if final.exists():
            report = _there_already(final, manifest, wanted, chosen, target)
        else:
            _room(parent, wanted, staging)
            report = _fetch_all(source, chosen, wanted, staging, parent, problems, progress)
            take_name(release, final, replace=False)
        shutil.rmtree(staging)
    return report


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock, timeout=0):
            yield
            if os.name == "posix":  # elsewhere, a file that is open cannot go
                lock.unlink(missing_ok=True)
    except Timeout:
        raise ReleaseError(
            f"another process gets this version into {lock.parent}", fix="wait until it is done"
        ) from None


def _said(source: Source, problems: Problems) -> Deprecations:
    try:
        return source.said()
    except ReleaseError as error:
        # Who damaged it must not keep others from what was published.
        problems.add("deprecations.unreadable", error.message, file=DEPRECATIONS_NAME, severity="warning")
        return {}


def _choose(
    known: list[PublishedVersion], version: str | None, target: Target, said: Deprecations
) -> PublishedVersion:
    if version is not None:
        check_version(version)
    if not known:
        raise ReleaseError(f"{target.shown} has no published release", fix="look at the name")
    found = [one for one in known if version in (None, one.version)]
    if not found:
        raise ReleaseError(
            f"{target.shown} has no release {version}",
            fix=f"there are {', '.join(one.version for one in known)}",
        )
    return next((one for one in reversed(found) if one.version not in said), found[-1])


def _fetch_manifest(
    source: Source, chosen: PublishedVersion, offered: dict[str, Expected], staging: Path, target: Target
) -> Path:
    expected = offered.get(MANIFEST_NAME)
    if expected is None or expected.bytes > MOST_COMPANION_BYTES:
        raise ReleaseError(f"{target.shown} {chosen.version} has no {MANIFEST_NAME}", fix="it is no release")
    path = staging / "release" / MANIFEST_NAME
    if not expected.is_in(path):
        found = source.fetch(chosen, expected, staging)
        if not expected.is_in(found):
            found.unlink()
            raise ReleaseError(f"{MANIFEST_NAME} did not arrive whole", fix="run the same command again")
        path.parent.mkdir(exist_ok=True)
        _sync_file(found)
        found.replace(path)
    return path


def _wanted(listing: Listing, offered: dict[str, Expected], chosen: PublishedVersion) -> list[Expected]:
    """The shards, as the manifest has them, and what else belongs to a release."""
    if listing.version != chosen.version:
        raise ReleaseError(
            f"what is published as {chosen.version} says that it is {listing.version}",
            fix="tell who published it",
        )
    wanted = []
    for file in listing.files:
        there = offered.get(file.path)
        if there is None or there.bytes != file.bytes or there.sha256 not in ("", file.sha256):
            raise ReleaseError(
                f"{file.path} is {'missing' if there is None else 'another file'} where it is published",
                fix="tell who published it, or get another version",
            )
        wanted.append(Expected(file.path, file.bytes, file.sha256))
    companions = [file for path, file in sorted(offered.items()) if is_companion(path)]
    if len(companions) > _MOST_COMPANIONS or any(file.bytes > MOST_COMPANION_BYTES for file in companions):
        raise ReleaseError(
            "it has more beside its shards than a release has", fix="look at what was published"
        )
    return wanted + companions


def _there_already(
    final: Path, manifest: Path, wanted: list[Expected], chosen: PublishedVersion, target: Target
) -> GetReport:
    try:
        same = (final / MANIFEST_NAME).read_bytes() == manifest.read_bytes()
    except OSError:
        same = False
    if not same or not all(
        file.is_in(final / file.path) for file in wanted if file.path.endswith(".parquet")
    ):
        raise ReleaseError(
            f"{final} is there, and is not the {chosen.version} of {target.shown}",
            fix="get it into another folder with --to, or remove that one first",
        )
    return GetReport(chosen.version, final, len(wanted), 0, 0, unchanged=True)


def _room(parent: Path, wanted: list[Expected], staging: Path) -> None:
    """Raises `ReleaseError` if what must come over the line does not fit: all but what is here."""
    here = _here(parent)
    needed = sum(
        file.bytes
        for file in wanted
        if not (staging / "release" / file.path).exists() and (file.sha256, file.bytes) not in here
    )
    needed -= sum(path.stat().st_size for path in (staging / "download").rglob("*") if path.is_file())
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise ReleaseError(
            f"{needed / 1e9:,.1f} GB are to come, and {parent} has room for {free / 1e9:,.1f} GB",
            fix="make room, or get it into another folder with --to",
        )


def _fetch_all(
    source: Source,
    chosen: PublishedVersion,
    wanted: list[Expected],
    staging: Path,
    parent: Path,
    problems: Problems,
    progress: Progress | None,
) -> GetReport:
    release = staging / "release"
    here = _here(parent)
    total = sum(file.bytes for file in wanted)
    done = fetched = linked = 0
    before = len(problems)
    for number, file in enumerate(wanted):
        if progress is not None:
            progress(Moment("fetching", done, total, number, len(wanted)))
        path = release / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_in(path):
            if _linked(file, here, path):
                linked += file.bytes
            elif _fetched(source, chosen, file, staging, path):
                fetched += file.bytes
            else:
                problems.add(
                    "file.damaged",
                    "what arrives is not what the manifest says",
                    file=file.path,
                    fix="run the same command again; if it stays, tell who published it",
                )
        done += file.bytes
    if progress is not None:
        progress(Moment("fetching", done, total, len(wanted), len(wanted)))
    if found := len(problems) - before:
        raise ReleaseError(
            f"{found} file{'s' * (found != 1)} of {chosen.version} did not arrive as published",
            fix="run the same command again: what is right is kept",
        )
    _remove_others(release, {file.path for file in wanted})
    return GetReport(chosen.version, parent / chosen.version, len(wanted), fetched, linked)


def _fetched(source: Source, chosen: PublishedVersion, file: Expected, staging: Path, path: Path) -> bool:
    for _ in range(_TRIES):
        found = source.fetch(chosen, file, staging)
        if file.is_in(found):
            _sync_file(found)
            found.replace(path)
            return True
        found.unlink(missing_ok=True)  # or the next try would go on from it
    return False


def _here(parent: Path) -> dict[tuple[str, int], Path]:
    """Shards of the releases that are here, by what their manifests say."""
    found = {}
    for version in versions(parent):
        try:
            listing = parse_manifest((parent / version / MANIFEST_NAME).read_bytes(), version)
        except (OSError, ReleaseError):
            continue
        for file in listing.files:
            found[file.sha256, file.bytes] = parent / version / file.path
    return found


def _linked(file: Expected, here: dict[tuple[str, int], Path], path: Path) -> bool:
    same = here.get((file.sha256, file.bytes))
    if same is None or same.is_symlink() or not file.is_in(same):
        return False
    path.unlink(missing_ok=True)
    try:
        os.link(same, path)
    except OSError:
        shutil.copyfile(same, path)
        _sync_file(path)
        return file.is_in(path)
    return True


def _remove_others(release: Path, wanted: set[str]) -> None:
    """What an earlier attempt fetched before another release was published under this version."""
    for path in release.rglob("*"):
        if path.is_file() and path.relative_to(release).as_posix() not in wanted:
            path.unlink()


def _sync_file(path: Path) -> None:
    with path.open("rb+") as written:
        os.fsync(written.fileno())
