"""The image files of a workspace: looked at before anything is written, read when their rows are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from synthscars.engine import map_ordered
from synthscars.images import sha256
from synthscars.problems import FormatError, Problem, Problems, ReleaseError
from synthscars.release.shards import Load
from synthscars.release.waiting import Ready, Stamp
from synthscars.workspace import Workspace

_FIX = "ingest the original file again"


def find_images(
    images: Iterable[Ready],
    workspace: Workspace,
    problems: Problems,
    left_out: dict[str, str],
    *,
    workers: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> Iterator[Ready]:
    """Those whose original bytes are in the workspace and unaltered; the others are reported.

    `left_out` gets image → code of the problem for each of the others.
    """

    def look(image: Ready) -> tuple[Ready, Problem | None]:
        image_id = image.record.image_id
        try:
            path = workspace.find_image(image_id)
        except FormatError as error:
            return image, Problem(code="image.bad_id", what=error.message, image=image_id[:80])
        if path is None:
            what = "it is not in the workspace"
            return image, Problem(code="image.missing", what=what, image=image_id, fix=_FIX)
        with path.open("rb") as file:
            stamp = _stamp(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != image_id:
            return image, Problem(
                code="image.altered",
                what="its bytes are not the ones that were ingested (sha256 differs)",
                file=path.relative_to(workspace.root).as_posix(),
                image=image_id,
                fix="remove this file and ingest the original again",
            )
        return msgspec.structs.replace(image, bytes=stamp[0], stamp=stamp), None

    for image, problem in map_ordered(look, images, workers=workers):
        if problem is not None:
            problems.extend([problem])
            left_out[image.record.image_id] = problem.code
        else:
            yield image
        if advance is not None:
            advance(1)


def loader(workspace: Workspace) -> Load:
    """Gives the original bytes of an image that `find_images` found; see `Load`."""

    def load(image: Ready, content: memoryview) -> None:
        image_id = image.record.image_id
        path = workspace.find_image(image_id)
        stamp = _read(path, content) if path else None
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
        stamp = _stamp(file.fileno())
        count = 0
        while count < len(content) and (more := file.readinto(content[count:])):
            count += more
        return stamp if count == len(content) == stamp[0] else None


def _stamp(descriptor: int) -> Stamp:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
