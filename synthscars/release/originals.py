"""The image files of a workspace: looked at before anything is written, read when their rows are."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path

import msgspec

from synthscars.engine import map_ordered
from synthscars.images import sha256
from synthscars.problems import FormatError, Problem, Problems, ReleaseError
from synthscars.release.scrub_image import scrub_image
from synthscars.release.shards import Load
from synthscars.release.waiting import Ready, Stamp
from synthscars.workspace import Times, Workspace

_FIX = "ingest the original file again"
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
_BATCH = 16
"""Images that a thread looks at in one go: for each, waking it up would take as long as opening the file."""

_BATCH_UNREAD = 64
"""The same where files are not read; not more, because several batches of records wait."""


def find_images(
    images: Iterable[Ready],
    workspace: Workspace,
    problems: Problems,
    left_out: dict[str, str],
    *,
    scrubbed: dict[str, str] | None = None,
    trusted: Mapping[str, Times] | None = None,
    workers: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> Iterator[Ready]:
    """Those whose original bytes are in the workspace and unaltered; the others are reported.

    trusted: image → when it was ingested (`Workspace.ingested`); a file to which nothing happened since, as
    far as its times tell, is not read. Without it every file is, and if there is something to scrub.
    scrubbed: personal metadata are to be taken out of the files (`scrub_image`); an image whose file changes
    by that gets the id of the new one, and is put here: new id → id before. Files that differ in such
    metadata alone become one: an annotated one is kept, else that with the lowest id. It may come after
    another, and is then to take its place.

    `left_out` gets image → code of the problem for each of the others.
    """
    # Id → what is kept of it: whether nobody annotated it, and the id before. The smaller one is kept.
    kept: dict[str, tuple[bool, str]] = {}

    def look(image: Ready) -> tuple[Ready, Problem | None]:
        image_id = image.record.image_id
        try:
            path = workspace.find_image(image_id)
        except FormatError as error:
            return image, Problem(code="image.bad_id", what=error.message, image=image_id[:80])
        if path is None:
            what = "it is not in the workspace"
            return image, Problem(code="image.missing", what=what, image=image_id, fix=_FIX)
        if trusted is not None and image_id in trusted and scrubbed is None:
            status = path.lstat()
            if _is_older(status, trusted[image_id]):
                return unaltered(image, path, _stamp(status))
        with path.open("rb") as file:
            stamp = _stamp(os.fstat(file.fileno()))
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != image_id:
            return image, Problem(
                code="image.altered",
                what="its bytes are not the ones that were ingested (sha256 differs)",
                file=path.relative_to(workspace.root).as_posix(),
                image=image_id,
                fix="remove this file and ingest the original again",
            )
        return unaltered(image, path, stamp)

    def unaltered(image: Ready, path: Path, stamp: Stamp) -> tuple[Ready, Problem | None]:
        image = msgspec.structs.replace(image, bytes=stamp[0], stamp=stamp, suffix=path.suffix)
        return (image, None) if scrubbed is None else _scrubbed(image, path)

    def look_at(batch: list[Ready]) -> list[tuple[Ready, Problem | None, str]]:
        return [(*look(image), image.record.image_id) for image in batch]

    size = _BATCH if trusted is None or scrubbed is not None else _BATCH_UNREAD
    looked_at = map_ordered(look_at, _batches(images, size), workers=workers)
    for image, problem, original in chain.from_iterable(looked_at):
        if problem is not None:
            problems.extend([problem])
        if problem is not None and problem.severity == "error":
            left_out[original] = problem.code
        elif scrubbed is None:
            yield image
        else:
            image_id = image.record.image_id
            this = (not image.labelled, original)
            other = kept.get(image_id, this)
            kept[image_id] = min(this, other)
            if other != this:
                lost = max(this, other)[1]
                problems.add(
                    "image.same_when_scrubbed",
                    "without personal metadata it is the same file as another image, and only that is used",
                    image=lost,
                    fix=f"leave out this one or {kept[image_id][1][:12]}, or merge what was said about them",
                )
                left_out[lost] = "image.same_when_scrubbed"
            if kept[image_id] == this:
                scrubbed.pop(image_id, None)
                if image_id != original:
                    scrubbed[image_id] = original
                yield image
        if advance is not None:
            advance(1)


def _batches(images: Iterable[Ready], size: int) -> Iterator[list[Ready]]:
    source = iter(images)
    while batch := list(islice(source, size)):
        yield batch


def _is_older(status: os.stat_result, ingested: Times) -> bool:
    """Whether this is a file, and neither its content nor its status changed since."""
    # Not a link: it may lead to a file that is older than itself. Not `<=`: some clocks tick slowly.
    _, content, changed = _stamp(status)
    return stat.S_ISREG(status.st_mode) and content < ingested.content and changed < ingested.status


def _scrubbed(image: Ready, path: Path) -> tuple[Ready, Problem | None]:
    """The image with the id of its file without personal metadata, and what cannot be taken out."""
    result = scrub_image(path.read_bytes())
    problem = None
    if result.left:
        kinds = ", ".join(sorted({finding.code for finding in result.left}))
        problem = Problem(
            code="personal.left",
            what=f"it holds personal data that cannot be taken out of this kind of file: {kinds}",
            severity="warning",
            image=image.record.image_id,
            file=image.record.file_name,
            fix="look at its metadata; save it as PNG, JPEG or WebP and ingest that instead",
        )
    new = sha256(result.data)
    if new == image.record.image_id:
        return image, problem
    record = msgspec.structs.replace(image.record, image_id=new)
    # No stamp: what is read is the file before, so the hash of what becomes of it is looked at again.
    return msgspec.structs.replace(image, record=record, bytes=len(result.data), stamp=None), problem


def loader(workspace: Workspace, scrubbed: Mapping[str, str]) -> Load:
    """Gives the original bytes of an image that `find_images` found; see `Load`. scrubbed: see there."""

    def load(image: Ready, content: memoryview) -> None:
        image_id = image.record.image_id
        path = workspace.image_path(scrubbed.get(image_id, image_id), image.suffix)
        stamp: Stamp | None = None
        try:
            if image_id in scrubbed:
                data = scrub_image(path.read_bytes()).data
                if len(data) == len(content):
                    content[:] = data
                stamp = len(data), 0, 0
            else:
                stamp = _read(path, content)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
        # The hash was taken a moment ago; again only if anything happened to the file since.
        if stamp is None or (stamp != image.stamp and sha256(content) != image_id):
            raise ReleaseError(
                f"image {image_id} changed while the release was being built",
                fix="leave the images alone and build again",
            )

    return load


def _read(path: Path, content: memoryview) -> Stamp | None:
    """Read a whole file; `None` if it has another size."""
    with path.open("rb", buffering=0) as file:
        count = 0
        while count < len(content) and (more := file.readinto(content[count:])):
            count += more
        # Taken last, so that a change while it was being read shows.
        stamp = _stamp(os.fstat(file.fileno()))
        return stamp if count == len(content) == stamp[0] else None


def _stamp(status: os.stat_result) -> Stamp:
    # Some file systems have times that are centuries away; what is left of them is kept in 64 bits.
    return status.st_size, status.st_mtime_ns % 2**63, status.st_ctime_ns % 2**63
