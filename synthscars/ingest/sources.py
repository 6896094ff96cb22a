"""Find the images in what the user named: folders, patterns, single files, zip archives.

Every file gets a `source`: its path within what was named, in front of it the folder's or archive's own name
(`outputs/day1/a.png`, `batch.zip/b.png`; the same for the pattern `outputs/**/*.png`). It never tells where
on this machine the file lay.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path

from synthscars.ingest.archives import ZIP_SUFFIX, members
from synthscars.ingest.scan import (
    FIX_UNREADABLE,
    IMAGE_SUFFIXES,
    MAX_BYTES,
    Candidate,
    Scan,
    printable,
    reason,
)

_ANY_DEPTH = "**"


def candidates(sources: Iterable[str], scan: Scan, avoid: Iterable[Path] = ()) -> Iterator[Candidate]:
    """All candidates: sources in the given order, within a source sorted by path.

    avoid: folders that are never entered. A source with nothing in it adds the problem
    `ingest.nothing_found`, one that is not there `ingest.not_found`.
    """
    avoided = frozenset(os.path.realpath(path) for path in avoid)
    for source in sources:
        noted, count = scan.noted, 0
        for candidate in _source(source, scan, avoided):
            count += 1
            yield candidate
        if not count and scan.noted == noted:
            scan.note(
                "ingest.nothing_found",
                printable(source),
                "there are no images here",
                "name a folder, a zip archive, an image, or a pattern in quotes such as 'out/**/*.png'",
                "error",
            )


def is_missing(source: str) -> bool:
    """Whether a source is a path, not a pattern, and nothing is there."""
    return not os.path.lexists(source) and not has_magic(source)


def _source(source: str, scan: Scan, avoided: frozenset[str]) -> Iterator[Candidate]:
    if os.path.lexists(source) or not has_magic(source):
        real = os.path.realpath(source)
        if any(real == folder or real.startswith(folder + os.sep) for folder in avoided):
            what = "it belongs to the workspace itself"
            scan.refuse("ingest.own_folder", printable(source), what, "name the generator's own folder")
        elif os.path.lexists(source):
            yield from _path(Path(source), _own_name(source), scan, avoided, named=True)
        else:
            scan.refuse("ingest.not_found", printable(source), "it does not exist", "check the path")
        return
    parts = source.split("/")
    fixed = next(index for index, part in enumerate(parts) if has_magic(part))
    folder = "/".join(parts[:fixed]) or ("/" if source.startswith("/") else ".")
    if Path(folder).is_dir():
        yield from _matches(Path(folder), _own_name(folder), parts[fixed:], frozenset({0}), scan, avoided)


def _matches(
    folder: Path, source: str, pattern: list[str], states: frozenset[int], scan: Scan, avoided: frozenset[str]
) -> Iterator[Candidate]:
    """Files below `folder` that match; `states`: the parts of the pattern that may come next."""
    if len(pattern) in _skip_any_depth(pattern, states):
        yield from _folder(folder, source, scan, avoided)
        return
    for name in _names(folder, source, scan):
        following = _after(pattern, states, name)
        if not following:
            continue
        path, label = folder / name, _join(source, name)
        if len(pattern) in following:
            # A folder that matches comes with all that is in it.
            yield from _path(path, label, scan, avoided)
        elif path.is_dir() and not path.is_symlink() and os.path.realpath(path) not in avoided:
            yield from _matches(path, label, pattern, following, scan, avoided)


def _skip_any_depth(pattern: list[str], states: frozenset[int]) -> frozenset[int]:
    # `**` also stands for no folder at all.
    reached = set(states)
    for state in sorted(states):
        while state < len(pattern) and pattern[state] == _ANY_DEPTH:
            state += 1
            reached.add(state)
    return frozenset(reached)


def _after(pattern: list[str], states: frozenset[int], name: str) -> frozenset[int]:
    following: set[int] = set()
    for state in _skip_any_depth(pattern, states):
        if state == len(pattern) or (name.startswith(".") and not pattern[state].startswith(".")):
            continue
        if pattern[state] == _ANY_DEPTH:
            following.add(state)
        elif fnmatchcase(name, pattern[state]):
            following.add(state + 1)
    return frozenset(following)


def _path(
    path: Path, source: str, scan: Scan, avoided: frozenset[str], *, named: bool = False
) -> Iterator[Candidate]:
    """One file, archive or folder. `named`: by the user, so a link is followed and a hidden name taken."""
    name = source.rpartition("/")[2]
    label = printable(source)
    if name.startswith(".") and not named:
        scan.ignored["hidden"] += 1
        return
    try:
        status = path.stat()
    except OSError as error:
        scan.refuse("ingest.unreadable", label, f"it cannot be read: {reason(error)}", FIX_UNREADABLE)
        return
    if stat.S_ISDIR(status.st_mode):
        if os.path.realpath(path) in avoided:
            what = "it belongs to the workspace itself, and was passed over"
            scan.note("ingest.own_folder", label, what, "", "info")
        elif path.is_symlink() and not named:
            what = "it is a link to a folder, which is not followed"
            scan.note("ingest.linked_folder", label, what, "name the folder itself as a source", "warning")
        else:
            yield from _folder(path, source, scan, avoided)
        return
    suffix = Path(name).suffix.lower()
    if suffix not in IMAGE_SUFFIXES and suffix != ZIP_SUFFIX:
        scan.ignored[suffix or "no suffix"] += 1
    elif not stat.S_ISREG(status.st_mode):
        scan.refuse("ingest.not_a_file", label, "it is a device or a pipe, not a file", "leave it out")
    elif suffix == ZIP_SUFFIX:
        yield from members(path, source, scan)
    elif status.st_size > MAX_BYTES:
        what = f"it has {status.st_size:,} bytes, more than {MAX_BYTES:,}"
        scan.refuse("ingest.too_large", label, what, "store it as PNG or JPEG")
    else:
        yield Candidate(label, _reader(path))


def _folder(path: Path, source: str, scan: Scan, avoided: frozenset[str]) -> Iterator[Candidate]:
    for name in _names(path, source, scan):
        yield from _path(path / name, _join(source, name), scan, avoided)


def _names(folder: Path, source: str, scan: Scan) -> list[str]:
    try:
        return sorted(child.name for child in folder.iterdir())
    except OSError as error:
        what = f"the folder cannot be read: {reason(error)}"
        scan.refuse("ingest.unreadable", printable(source or str(folder)), what, FIX_UNREADABLE)
        return []


def _reader(path: Path) -> Callable[[], bytes]:
    def load() -> bytes:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)

    return load


def _own_name(path: str) -> str:
    name = Path(path).name
    return name if name not in {"", ".."} else Path(path).resolve().name


def _join(source: str, name: str) -> str:
    return f"{source}/{name}" if source else name
