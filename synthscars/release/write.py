"""Writes images that can be released as the folder of a release.

The folder appears whole or not at all, and the same inputs give the same bytes, whatever the machine's speed,
the number of workers or the day. Only files whose rows changed since the version before are written.
"""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import NamedTuple

import msgspec

from synthscars import __version__
from synthscars.engine import default_workers, map_ordered
from synthscars.files import atomic_file, atomic_folder, building_folder, take_name
from synthscars.problems import Problems, WorkspaceError
from synthscars.release import staging
from synthscars.release.card import write_card
from synthscars.release.configs import DETECTION
from synthscars.release.croissant import write_croissant
from synthscars.release.deprecate import deprecated_names
from synthscars.release.following import Before, Place, settle_version
from synthscars.release.leaks import LeakReport
from synthscars.release.manifest import ImageEntry, InputFile, Manifest
from synthscars.release.placing import Placed, place
from synthscars.release.plan import Planned
from synthscars.release.shards import Load, Shard, new_key, write_shard
from synthscars.release.splits import SPLITS
from synthscars.release.totals import Totals
from synthscars.release.waiting import Ready, Waiting
from synthscars.settings import ReleaseSettings
from synthscars.taxonomy import load_taxonomy

SPLITS_NAME = "splits.json"

MOST_FILES_AT_ONCE = 4
"""Files that are written at the same time, whatever the number of workers: each has row groups in memory."""

Advance = Callable[[int], None]
Stages = Callable[[str, int | None], Advance]
"""Called with the name of a stage and how many items it has, gives what is to be called for each."""


class ReleaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was built. path: the release folder. Counts are those of its manifest.

    detection: split → real photographs that only the config `detection` has. scrubbed: images from whose
    files personal metadata were taken out. written: bytes of the data that were written, and not taken over
    from the version before. leaks: what `splits.json` says.
    """

    path: Path
    version: str
    images: int
    artifacts: int
    splits: dict[str, int]
    detection: dict[str, int]
    left_out: dict[str, int]
    scrubbed: int
    bytes: int
    written: int
    leaks: LeakReport


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a release comes from, as its manifest says; see `Manifest`.

    min_iou: that the raters' answers were merged with; `None`: they came as they are. scrubbed: image
    from whose file personal metadata were taken out → its id before, `None`: nothing was. deprecations: what
    the card says about versions that should not be used, as Markdown.
    """

    name: str
    min_iou: float | None = None
    inputs: Mapping[str, InputFile] = {}
    scrubbed: Mapping[str, str] | None = None
    left_out: Mapping[str, int] = {}
    set_aside: Mapping[str, str] = {}
    deprecations: str = ""


def no_stages(_name: str, _total: int | None) -> Advance:
    """Shows nothing."""
    return lambda _count: None


def write_release(
    target: Callable[[str], Path],
    waiting: Waiting,
    load: Load,
    problems: Problems,
    *,
    origin: Origin,
    version: str | None,
    settings: ReleaseSettings,
    earlier: Mapping[str, Place] | None = None,
    before: Before | None = None,
    replace: bool = False,
    resume: bool = False,
    compact: bool = False,
    workers: int | None = None,
    stages: Stages = no_stages,
    finish: Callable[[Path, str], None] | None = None,
) -> ReleaseReport:
    """Write the images that wait, in whatever order they came, as the folder `target(version)`.

    load: see `Load`. version: `None` takes the lowest that honours what changed since
    `before`, the release that this one follows, whose files are taken over where they would be the same.
    earlier: where images are in earlier releases. replace: an older folder makes way. resume: what is
    finished when the work breaks off is kept beside the target, for the next call. compact: no file is taken
    over, so that small ones become large ones. finish: called with the folder and the version
    before the folder takes its name.

    Raises `WorkspaceError` if the target exists and `replace` is false, or if the disk is full;
    `ReleaseError` if an image changes meanwhile, or `version` is too low for what changed.
    """
    placed = place(waiting, settings, earlier or {}, not compact, problems)
    origin = msgspec.structs.replace(
        origin,
        set_aside={**origin.set_aside, **placed.held_back},
        left_out=Counter(origin.left_out) + Counter(placed.held_back.values()),
    )

    def fill(folder: Path) -> ReleaseReport:
        files = _Files(folder, waiting, placed, load, None if compact else before)
        shards, written, totals = _write_files(files, problems, workers, stages)
        manifest = _manifest(waiting, placed, shards, totals, origin, settings)
        chosen = settle_version(folder, manifest, before, version, problems)
        manifest = msgspec.structs.replace(manifest, version=chosen)
        _describe(folder, manifest, totals, settings, origin, files)
        staging.forget(folder)
        if finish is not None:
            finish(folder, chosen)
        return _report(target(chosen), manifest, written, placed.report)

    try:
        if not resume:
            with atomic_folder(target(version or ""), replace=replace) as folder:
                return fill(folder)
        folder = building_folder(target(version or "next").parent)
        try:
            report = fill(folder)
            take_name(folder, report.path, replace=replace)
        finally:
            staging.drop_unless_useful(folder)
        return report
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise WorkspaceError(
            f"the disk is full: {error}",
            fix="free some space and run it again"
            + ("; what is finished is kept, and older releases are as they were" if resume else ""),
        ) from error


class _Files(NamedTuple):
    """What is needed to write the files of a release."""

    folder: Path
    waiting: Waiting
    placed: Placed
    load: Load
    before: Before | None

    def image(self, image_id: str) -> Ready:
        """An image with the group and the split that it has in this release."""
        placed = self.placed
        return self.waiting.get(image_id, group=placed.groups[image_id], split=placed.splits[image_id])

    def picture(self, image_id: str) -> bytes | None:
        """The bytes of an image file, for the examples on the card."""
        if image_id not in self.placed.splits:
            return None
        image = self.image(image_id)
        content = bytearray(image.bytes)
        self.load(image, memoryview(content))
        return bytes(content)


def _write_files(
    files: _Files, problems: Problems, workers: int | None, stages: Stages
) -> tuple[list[Shard], int, Totals]:
    """The files of the release, how many of their bytes were written now, and what they add up to."""
    totals = Totals()
    advance = stages("reading records", len(files.placed.splits))
    keys = [_key(files, planned, totals, advance) for planned in files.placed.files]
    reused = _reuse(files, keys, problems)
    missing = [index for index in range(len(keys)) if index not in reused]
    size = files.waiting.size
    need = sum(size(image) for index in missing for image in files.placed.files[index].images)
    free = shutil.disk_usage(files.folder).free
    if need > free:
        raise WorkspaceError(
            f"the disk has {free / 1e6:,.0f} MB left, and the images that must be written have "
            f"{need / 1e6:,.0f} MB",
            fix="free some space and run it again; nothing was written",
        )
    advance = stages("writing images", sum(len(files.placed.files[index].images) for index in missing))
    count = workers or default_workers()
    at_once = max(1, min(count, MOST_FILES_AT_ONCE, len(missing)))

    def write(index: int) -> Shard:
        planned = files.placed.files[index]
        path = files.folder / planned.path

        def images() -> Iterator[Ready]:
            for image_id in planned.images:
                yield files.image(image_id)
                advance(1)

        arrow_bytes = write_shard(path, images(), files.load, workers=max(1, count // at_once))
        shard = Shard(
            path=planned.path,
            split=planned.split,
            rows=len(planned.images),
            bytes=path.stat().st_size,
            arrow_bytes=arrow_bytes,
            sha256=staging.digest(path),
            key=keys[index],
        )
        staging.note(files.folder, shard)
        return shard

    written = dict(zip(missing, map_ordered(write, missing, workers=at_once, ahead=0), strict=True))
    shards = [reused.get(index) or written[index] for index in range(len(keys))]
    return shards, sum(shard.bytes for shard in written.values()), totals


def _key(files: _Files, planned: Planned, totals: Totals, advance: Advance) -> str:
    """Hash of what makes the rows of a file; its images are added to `totals` on the way."""
    key = new_key()
    for image_id in planned.images:
        image = files.image(image_id)
        if image.labelled:
            totals.add(image.record, image.drawn)
        else:
            totals.add_detection_only(image.record)
        for part in (image.record.group_id.encode(), files.waiting.content(image_id)):
            key.update(len(part).to_bytes(8, "big"))
            key.update(part)
        advance(1)
    return key.hexdigest()


def _reuse(files: _Files, keys: list[str], problems: Problems) -> dict[int, Shard]:
    """Index → the file, of those that need not be written: an interrupted build or the version before did."""
    kept = staging.finished(files.folder)
    before = files.before
    earlier = {shard.key: shard for shard in before.manifest.files if shard.key} if before else {}
    found: dict[int, Shard] = {}
    for index, (planned, key) in enumerate(zip(files.placed.files, keys, strict=True)):
        path = files.folder / planned.path
        shard = kept.get(planned.path)
        if shard is not None and shard.key == key and staging.is_whole(path, shard):
            found[index] = shard
            continue
        shard = earlier.get(key)
        if before is None or shard is None:
            continue
        if staging.is_whole(before.folder / shard.path, shard):
            found[index] = msgspec.structs.replace(shard, path=planned.path)
        else:
            problems.add(
                "release.damaged",
                "it is not as it was when it was built; written again",
                severity="warning",
                file=f"{before.manifest.version}/{shard.path}",
                fix=f"`synthscars release check {before.manifest.version}` says what else is wrong",
            )
    staging.clear(files.folder, keep=[shard for shard in found.values() if kept.get(shard.path) == shard])
    for shard in found.values():
        if before is not None and kept.get(shard.path) != shard:
            staging.take_over(before.folder / earlier[shard.key].path, files.folder / shard.path)
    return found


def _manifest(
    waiting: Waiting,
    placed: Placed,
    shards: list[Shard],
    totals: Totals,
    origin: Origin,
    settings: ReleaseSettings,
) -> Manifest:
    """The manifest, but for the version."""
    entries: tuple[dict[str, ImageEntry], dict[str, ImageEntry]] = {}, {}
    counts: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    for planned in placed.files:
        only_detection = planned.path.startswith(f"{DETECTION}/")
        counts[only_detection][planned.split] += len(planned.images)
        for image_id in planned.images:
            entry = ImageEntry(planned.split, placed.groups[image_id], planned.number)
            entries[only_detection][image_id] = entry
    return Manifest(
        name=origin.name,
        version="",
        taxonomy_version=load_taxonomy().version,
        artifacts=totals.artifacts.total(),
        tools={
            "synthscars": __version__,
            **{package: installed_version(package) for package in ("pyarrow", "datasets")},
        },
        inputs=dict(origin.inputs),
        settings={
            **({} if origin.min_iou is None else {"min_iou": origin.min_iou}),
            "seed": settings.seed,
            **({} if origin.scrubbed is None else {"scrubbed": 1}),
            **{split: getattr(settings, split) for split in SPLITS},
        },
        splits=dict(counts[0]),
        detection=dict(counts[1]),
        left_out=dict(sorted(origin.left_out.items())),
        set_aside=dict(sorted(origin.set_aside.items())),
        files=tuple(shards),
        images=dict(sorted(entries[0].items())),
        detection_images=dict(sorted(entries[1].items())),
        scrubbed={new: old for new, old in sorted((origin.scrubbed or {}).items()) if new in placed.splits},
        deprecated=deprecated_names(),
    )


def _describe(
    folder: Path,
    manifest: Manifest,
    totals: Totals,
    settings: ReleaseSettings,
    origin: Origin,
    files: _Files,
) -> None:
    """Write what is there for people and for other tools."""
    with atomic_file(folder / SPLITS_NAME) as file:
        file.write(msgspec.json.format(msgspec.json.encode(files.placed.report), indent=2) + b"\n")
    write_card(folder, manifest, totals, settings, picture=files.picture, deprecations=origin.deprecations)
    write_croissant(folder, manifest, settings, totals=totals)


def _report(target: Path, manifest: Manifest, written: int, leaks: LeakReport) -> ReleaseReport:
    return ReleaseReport(
        path=target,
        version=manifest.version,
        images=len(manifest.images),
        artifacts=manifest.artifacts,
        splits=manifest.splits,
        detection=manifest.detection,
        left_out=manifest.left_out,
        scrubbed=len(manifest.scrubbed),
        bytes=sum(shard.bytes for shard in manifest.files),
        written=written,
        leaks=leaks,
    )
