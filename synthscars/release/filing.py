"""The Parquet files of a release: taken over where they are there already, else written, several at a time.

While files are being written, the next one's images are read through for its key and for the totals.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from synthscars.engine import default_workers, map_ordered
from synthscars.problems import Problems, WorkspaceError
from synthscars.release import staging
from synthscars.release.following import Before
from synthscars.release.measures import measures
from synthscars.release.placing import Placed
from synthscars.release.plan import Planned
from synthscars.release.shards import Load, Shard, new_key, write_shard
from synthscars.release.totals import Totals
from synthscars.release.waiting import Ready, Waiting

MOST_FILES_AT_ONCE = 6
"""Files that are written at the same time, whatever the number of workers: each has row groups in memory."""

_TOGETHER = 100
_TOGETHER_BYTES = 2**20
"""Images that are measured at the same time, and bytes of their records as they wait on disk."""

_KEPT_BYTES = 2**23
"""Records that were read for the key of a file are kept until it is written: so many bytes of them, as they
wait on disk. In memory it is six to ten times as much, for each file at once and two more."""

Advance = Callable[[int], None]
Stages = Callable[[str, int | None], Advance]
"""Called with the name of a stage and how many items it has, gives what is to be called for each."""


class Images(NamedTuple):
    """The images of a release, and where each belongs."""

    waiting: Waiting
    placed: Placed
    load: Load

    def image(self, image_id: str, content: bytes = b"") -> Ready:
        """An image with the group and the split that it has in this release; content: as in `Waiting.get`."""
        group, split = self.placed.groups[image_id], self.placed.splits[image_id]
        return self.waiting.get(image_id, group=group, split=split, content=content)

    def measured(self, image_ids: Sequence[str]) -> Iterator[tuple[Ready, bytes]]:
        """Images with their regions measured, and what makes the row of each (`Waiting.content`)."""
        part: list[tuple[Ready, bytes]] = []
        size = 0
        for image_id in image_ids:
            content = self.waiting.content(image_id)
            part.append((self.image(image_id, content), content))
            size += len(content)
            if len(part) == _TOGETHER or size > _TOGETHER_BYTES:
                yield from _measured(part)
                part, size = [], 0
        yield from _measured(part)

    def picture(self, image_id: str) -> bytes | None:
        """The bytes of an image file, for the examples on the card."""
        if image_id not in self.placed.splits:
            return None
        image = self.image(image_id)
        content = bytearray(image.bytes)
        self.load(image, memoryview(content))
        return bytes(content)


def _measured(images: Sequence[tuple[Ready, bytes]]) -> Iterator[tuple[Ready, bytes]]:
    regions = [(*image.record.artifacts, *(image.drawn or ())) for image, _ in images]
    found = iter(measures(list(chain.from_iterable(regions))))
    for (image, content), some in zip(images, regions, strict=True):
        yield msgspec.structs.replace(image, measured=list(islice(found, len(some)))), content


class Filed(NamedTuple):
    """The files of a release, how many of their bytes were written now, and what they add up to."""

    shards: list[Shard]
    written: int
    totals: Totals


class _Keyed(NamedTuple):
    """A file that is to be there. images: the first of it, which were read for the key."""

    planned: Planned
    key: str
    images: list[Ready]


class _Done(NamedTuple):
    """One file that is there. written: its bytes are new; damaged: the file that was to be taken over."""

    shard: Shard
    written: bool
    damaged: str = ""


def file_images(
    folder: Path,
    images: Images,
    before: Before | None,
    problems: Problems,
    *,
    workers: int | None,
    stages: Stages,
    meanwhile: Callable[[Totals], None],
) -> Filed:
    """Have all files of a release in `folder`.

    before: the release whose files are taken over where they would be the same. meanwhile: called when the
    totals are complete, in this thread, while others still write the last files. Raises `WorkspaceError` if
    there is no room for one of them.
    """
    totals = Totals()
    size = images.waiting.size
    # The largest first: behind a large last one, the other threads would have nothing to do.
    files = sorted(images.placed.files, key=lambda planned: -sum(map(size, planned.images)))
    advance = stages("writing images", len(images.placed.splits))
    kept = _kept(folder, files)
    earlier = {shard.key: shard for shard in before.manifest.files if shard.key} if before else {}
    count = workers or default_workers()
    # More than there are workers: while one file waits for the disk or the interpreter, others go on.
    at_once = max(1, min(2 * count + 1 if count > 1 else 1, MOST_FILES_AT_ONCE, len(files)))

    def keyed() -> Iterator[_Keyed]:
        for planned in files:
            yield _key(images, planned, totals)
        meanwhile(totals)

    def have(file: _Keyed) -> _Done:
        planned, key = file.planned, file.key
        shard = kept.get(planned.path)
        damaged = ""
        if shard is not None and shard.key == key and staging.is_whole(folder / planned.path, shard):
            advance(len(planned.images))
            return _Done(shard, written=False)
        if before is not None and key in earlier:
            shard = earlier[key]
            if staging.is_whole(before.folder / shard.path, shard):
                staging.take_over(before.folder / shard.path, folder / planned.path)
                advance(len(planned.images))
                shard = msgspec.structs.replace(shard, path=planned.path, split=planned.split)
                return _Done(shard, written=False)
            damaged = shard.path
        _check_room(folder, images.waiting, planned)
        shard = _write(folder, images, file, advance, max(1, count // at_once))
        return _Done(shard, written=True, damaged=damaged)

    shards: dict[str, Shard] = {}
    written = 0
    for done in map_ordered(have, keyed(), workers=at_once, ahead=1):
        shards[done.shard.path] = done.shard
        written += done.shard.bytes if done.written else 0
        if done.damaged and before is not None:
            problems.add(
                "release.damaged",
                "it is not as it was when it was built; written again",
                severity="warning",
                file=f"{before.manifest.version}/{done.damaged}",
                fix=f"`synthscars release check {before.manifest.version}` says what else is wrong",
            )
    return Filed([shards[planned.path] for planned in images.placed.files], written, totals)


def _kept(folder: Path, files: Sequence[Planned]) -> dict[str, Shard]:
    """By their paths, files that an interrupted build had finished and that may be wanted; others go."""
    paths = {planned.path for planned in files}
    kept = {path: shard for path, shard in staging.finished(folder).items() if path in paths}
    staging.clear(folder, keep=kept.values())
    return kept


def _key(images: Images, planned: Planned, totals: Totals) -> _Keyed:
    """Hash of what makes the rows of a file; its images are added to `totals` on the way."""
    key = new_key()
    kept: list[Ready] = []
    room = _KEPT_BYTES
    for image, content in images.measured(planned.images):
        if image.labelled:
            totals.add(image.record, image.drawn, image.measured)
        else:
            totals.add_detection_only(image.record)
        for part in (image.record.group_id.encode(), content):
            key.update(len(part).to_bytes(8, "big"))
            key.update(part)
        room -= len(content)
        if room >= 0:
            kept.append(image)
    return _Keyed(planned, key.hexdigest(), kept)


def _check_room(folder: Path, waiting: Waiting, planned: Planned) -> None:
    need = sum(map(waiting.size, planned.images))
    free = shutil.disk_usage(folder).free
    if need > free:
        raise WorkspaceError(
            f"the disk is full: {planned.path} takes {need / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free",
            fix="free some space and run it again; files that are finished are kept",
        )


def _write(folder: Path, images: Images, file: _Keyed, advance: Advance, workers: int) -> Shard:
    planned = file.planned
    path = folder / planned.path

    def rows() -> Iterator[Ready]:
        others = (image for image, _ in images.measured(planned.images[len(file.images) :]))
        for image in chain(file.images, others):
            yield image
            advance(1)

    arrow_bytes = write_shard(path, rows(), images.load, workers=workers)
    shard = Shard(
        path=planned.path,
        split=planned.split,
        rows=len(planned.images),
        bytes=path.stat().st_size,
        arrow_bytes=arrow_bytes,
        sha256=staging.digest(path),
        key=file.key,
    )
    staging.note(folder, shard)
    return shard
