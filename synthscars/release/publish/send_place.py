"""Publishes to a folder, or to a bucket or whatever else fsspec reaches: what lies there says `places`.

A local folder gets the whole version by one rename. Elsewhere `1.1.0/uploading.json` says what is on its way
until `files.json` is written, so that the next run knows which files of the same release have arrived.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synthscars.files import atomic_file, atomic_folder, remove_temporary
from synthscars.problems import ReleaseError
from synthscars.release.deprecate import DEPRECATIONS_NAME
from synthscars.release.manifest import MANIFEST_NAME
from synthscars.release.publish.contents import (
    CARD_NAME,
    FILES_NAME,
    FileOf,
    Listing,
    encode_files,
)
from synthscars.release.publish.places import INDEX_NAME, MOST_INDEX, Place, reaching
from synthscars.release.publish.said import MOST_SAID, merged
from synthscars.release.publish.send import Change, Counter, Options, Plan, Progress, PublishReport
from synthscars.release.publish.targets import Target
from synthscars.release.publish.whole import Whole

UPLOADING_NAME = "uploading.json"
_TRIES = 4


def publish_to_place(
    whole: Whole, target: Target, options: Options, progress: Progress | None
) -> PublishReport:
    """See `publish_release`."""
    with reaching(target):
        return _publish(whole, target, options, progress)


def _publish(whole: Whole, target: Target, options: Options, progress: Progress | None) -> PublishReport:
    place = Place(target)
    listing = Listing(whole.listing.name, whole.version, tuple(whole.files.values()))
    encoded = encode_files(listing)
    url = f"{target.shown.rstrip('/')}/{whole.version}"
    there = place.read(f"{whole.version}/{FILES_NAME}", MOST_INDEX)
    if there is not None and there != encoded:
        raise ReleaseError(
            f"{url} is there with other content", fix="published versions do not change: build the next one"
        )
    if there is None:
        _refuse_foreign(place, whole, url)
    known = _known(place, whole)
    plan = _plan(place, whole, known, encoded, done=there is not None)
    index = place.read(INDEX_NAME, MOST_INDEX)
    if options.dry_run:
        return PublishReport(target.shown, whole.version, "planned", plan, url)
    # A run that was killed after the version was whole has not written the index.
    if there is not None and _said(place, whole) is None and index == place.new_index(listing.name):
        return PublishReport(target.shown, whole.version, "unchanged", plan, url)
    counter = Counter([whole.files[change.path] for change in (*plan.add, *plan.copy)], progress)
    if target.kind == "folder":
        _fill_folder(Path(place.root), place, whole, plan, encoded, counter)
    else:
        _fill_bucket(place, whole, plan, encoded, counter)
    return PublishReport(target.shown, whole.version, "published", plan, url)


def _known(place: Place, whole: Whole) -> dict[tuple[str, int], str]:
    """Where shards of other versions are, by sha256 and size."""
    found = {}
    for version in place.version_names():
        listing = place.listing(version) if version != whole.version else None
        for file in listing.files if listing is not None else ():
            if file.path.endswith(".parquet"):
                found[file.sha256, file.bytes] = f"{version}/{file.path}"
    return found


def _plan(
    place: Place, whole: Whole, known: dict[tuple[str, int], str], encoded: bytes, *, done: bool
) -> Plan:
    version = whole.version
    arriving = done or place.read(f"{version}/{UPLOADING_NAME}", MOST_INDEX) == encoded
    add, copy, keep = [], [], []
    for path in sorted(whole.files, key=_order):
        file = whole.files[path]
        if done or (arriving and place.size(f"{version}/{path}") == file.bytes):
            keep.append(Change(path, file.bytes))
        elif source := known.get((file.sha256, file.bytes)):
            copy.append(Change(path, file.bytes, source))
        else:
            add.append(Change(path, file.bytes))
    delete = [] if done else [Change(path, 0) for path in _strangers(place, whole, arriving=arriving)]
    return Plan(tuple(add), tuple(copy), tuple(keep), tuple(delete))


def _order(path: str) -> tuple[int, str]:
    """Data first: who opens a half release finds no card and no manifest that would make it look whole."""
    return ((CARD_NAME, MANIFEST_NAME).index(path) + 1 if path in (CARD_NAME, MANIFEST_NAME) else 0, path)


def _found(place: Place, version: str) -> list[str]:
    """What the folder of a version has, whole or not."""
    start = place.at(version) + "/"
    place.fs.invalidate_cache()
    try:
        found = place.fs.find(place.at(version))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [path.removeprefix(start) for path in sorted(found) if path.startswith(start)]


def _strangers(place: Place, whole: Whole, *, arriving: bool) -> Iterator[str]:
    """What another, unfinished release of this version has left: all that is there, unless it is ours."""
    for name in _found(place, whole.version):
        if name != UPLOADING_NAME and not (arriving and name in whole.files):
            yield name


def _refuse_foreign(place: Place, whole: Whole, url: str) -> None:
    """Whatever has the version's name and was not begun by us is not ours to replace."""
    found = _found(place, whole.version)
    if found and (place.target.kind == "folder" or UPLOADING_NAME not in found):
        raise ReleaseError(
            f"{url} has {found[0]}, which no release was published with",
            fix="move what is there away, or publish to another place",
        )


# A local folder


def _fill_folder(
    root: Path, place: Place, whole: Whole, plan: Plan, encoded: bytes, counter: Counter
) -> None:
    from filelock import FileLock

    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".lock"):
        remove_temporary(root)
        if not _is_whole(place, whole, encoded):
            sources = {change.path: root / change.source for change in plan.copy}
            with atomic_folder(root / whole.version) as folder:
                for path, file in whole.files.items():
                    _put(whole.folder / path, folder / path, file, sources.get(path))
                    counter.sent([file])
                with atomic_file(folder / FILES_NAME) as written:
                    written.write(encoded)
        said = _said(place, whole)
        if said is not None:
            with atomic_file(root / DEPRECATIONS_NAME) as written:
                written.write(said)
        with atomic_file(root / INDEX_NAME) as written:
            written.write(place.new_index(whole.listing.name))


def _put(original: Path, target: Path, file: FileOf, same: Path | None) -> None:
    """Link a file of an older version if it is still what it was, else copy the original."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if same is not None and _sha256(same) == file.sha256:
        try:
            os.link(same, target)
            return
        except OSError:
            pass  # this file system has no links
    digest = hashlib.sha256()
    with original.open("rb") as source, atomic_file(target) as written:
        while piece := source.read(2**20):
            digest.update(piece)
            written.write(piece)
        if digest.hexdigest() != file.sha256:
            raise ReleaseError(
                f"{file.path} changed while it was copied", fix="leave it alone, and run it again"
            )
    shutil.copymode(original, target)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


# A bucket


def _fill_bucket(place: Place, whole: Whole, plan: Plan, encoded: bytes, counter: Counter) -> None:
    version = whole.version
    uploading = f"{version}/{UPLOADING_NAME}"
    if not _is_whole(place, whole, encoded):
        # What is there of another release goes before ours is announced, or it might be taken for ours.
        for change in plan.delete:
            place.fs.rm_file(place.at(f"{version}/{change.path}"))
        _write(place, uploading, encoded)
        sources = {change.path: change.source for change in plan.copy}
        for change in sorted((*plan.add, *plan.copy), key=lambda change: _order(change.path)):
            _upload(place, whole, change.path, sources.get(change.path, ""))
            counter.sent([whole.files[change.path]])
        place.fs.invalidate_cache()
        for path, file in whole.files.items():
            if place.size(f"{version}/{path}") != file.bytes:
                raise ReleaseError(
                    f"{place.target.shown}/{version}/{path} did not arrive whole",
                    fix="run the same command again",
                )
        if place.read(uploading, MOST_INDEX) != encoded:
            raise ReleaseError(
                f"somebody else publishes {place.target.shown}/{version} at the same time",
                fix="agree who does; then run the same command again",
            )
        _write(place, f"{version}/{FILES_NAME}", encoded)
    if place.size(uploading) is not None:
        place.fs.rm_file(place.at(uploading))
    said = _said(place, whole)
    if said is not None:
        _write(place, DEPRECATIONS_NAME, said)
    for _ in range(_TRIES):
        index = place.new_index(whole.listing.name)
        if place.read(INDEX_NAME, MOST_INDEX) == index:
            break  # also if somebody published another version while we wrote
        _write(place, INDEX_NAME, index)


def _said(place: Place, whole: Whole) -> bytes | None:
    """What is to be said against versions there from now on; `None` if that is what it says."""
    there = place.read(DEPRECATIONS_NAME, MOST_SAID)
    new = merged(there, whole.said, whole.version, f"{place.target.shown}/{DEPRECATIONS_NAME}")
    return None if new == there else new


def _is_whole(place: Place, whole: Whole, encoded: bytes) -> bool:
    """Whether the version is there by now. Raises `ReleaseError` if somebody published another one of that
    name since it was planned."""
    there = place.read(f"{whole.version}/{FILES_NAME}", MOST_INDEX)
    if there is not None and there != encoded:
        raise ReleaseError(
            f"{place.target.shown}/{whole.version} was published by somebody else in the meantime",
            fix="published versions do not change: build the next one",
        )
    return there is not None


def _upload(place: Place, whole: Whole, path: str, source: str) -> None:
    target = place.at(f"{whole.version}/{path}")
    if source:
        try:
            place.fs.cp_file(place.at(source), target)
            return
        except NotImplementedError:
            pass  # it cannot copy on its side
    original = whole.folder / path
    _with_folder(place, target, lambda: place.fs.put_file(str(original), target))
    if _sha256(original) != whole.files[path].sha256:
        place.fs.rm_file(target)  # or the next run would take it for what it should be
        raise ReleaseError(f"{path} changed while it was sent", fix="leave it alone, and run it again")


def _write(place: Place, path: str, data: bytes) -> None:
    target = place.at(path)
    _with_folder(place, target, lambda: place.fs.pipe_file(target, data))


_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss")


def _with_folder(place: Place, target: str, write: Any) -> None:
    try:
        write()
    except (FileNotFoundError, NotADirectoryError):
        # Buckets have no folders, other file systems do. Making one here might make a bucket for a name that
        # was mistyped.
        if place.target.location.partition("://")[0] in _STORES:
            raise
        place.fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        write()
