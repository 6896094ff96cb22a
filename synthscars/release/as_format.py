"""A release as one of the formats of `synthscars convert`: read it, take its images out, write one.

Read are the folder of a release, a folder of its Parquet files, or a single one. Written is what
`synthscars release build` writes, by the same code, from records of any other format: splits that the source
prescribes are kept, the other images are assigned; nothing is merged.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from synthscars.converters.fields import settle_status
from synthscars.converters.holds import everything_but, narrow_record
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import NO_PICTURES, Finder, TargetPictures
from synthscars.converters.reading import Json, Where, plain, usable_ring
from synthscars.engine import map_ordered
from synthscars.geometry import rings_faults
from synthscars.images import sha256
from synthscars.problems import FormatError, Problems, ReleaseError, UsageError
from synthscars.records import STATUSES, Artifact, ImageRecord
from synthscars.release.drawn import as_drawn
from synthscars.release.features import from_row
from synthscars.release.files import DataFile, EmbeddedImages, RawRow, data_files, detection_files, opened
from synthscars.release.manifest import MANIFEST_NAME, read_manifest
from synthscars.release.prepare import fit_columns, usable
from synthscars.release.splits import merge_groups
from synthscars.release.waiting import Ready, Waiting
from synthscars.release.write import Origin, write_release
from synthscars.settings import ReleaseSettings
from synthscars.workspace import check_version, is_version

NAMESPACE = "release"

HOLDS = everything_but(
    "group_id",
    statuses=frozenset({"clean"}),
    regionless=False,
    namespace=NAMESPACE,
    note="Images that share a group still do, but the group has the id of one of them. Images without a "
    "split get one, and none without its file is written. What leaves the image is cut off at its edge. "
    "Answers of several raters must have been merged (`synthscars consensus`); what each of them drew before "
    "is written only where one alone looked. With the option raters=true, what every rater drew is read "
    "in place of the merged regions.",
)

READ_OPTIONS = {"raters": ("false", "true")}

# Groups decide which images must not be torn apart, so they are needed until the splits are made.
_TAKEN = msgspec.structs.replace(HOLDS, image=HOLDS.image | {"group_id"})

_Item = TypeVar("_Item", ImageRecord, Artifact)
_UNLABELLED = STATUSES.index("unlabelled")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DEFAULTS = ReleaseSettings()
_FIRST_VERSION = "0.1.0"


# Reading


def read(
    source: Path, problems: Problems, *, images: Path | None = None, raters: bool = False
) -> Iterator[ImageRecord]:
    """Read a release, or Parquet files of one, split by split; no image is touched, `images` is not needed.

    `group_id` and `split` are those of the release. raters: the artifacts are every rater's, before they were
    merged (see `as_drawn`); images of which they are not known are left out, and counted for each file
    (`row.no_raters`). Last come the photographs that only the config `detection` has. A row that cannot be
    read, a second one of an image, and
    a region that cannot be used are reported with file, image and row or artifact, and left out; regions are
    kept in `extra["release"]`, as are columns that a release does not have. A file that cannot be read is
    reported. Raises `FormatError` if none can.
    """
    files = [*data_files(source), *detection_files(source)]
    _check_manifest(source, files, problems)
    seen: set[str] = set()
    failed: list[tuple[Path, FormatError]] = []
    for file in files:
        try:
            yield from _read_file(file, seen, raters, problems)
        except FormatError as error:
            failed.append((file.path, error))
    if len(failed) == len(files):
        raise failed[0][1]
    for path, damage in failed:
        what = damage.message.removeprefix(f"{path}: ")
        problems.add("file.unreadable", what, fix=damage.fix, file=str(path))


def images_of(source: Path) -> Finder:
    """Finds the images that are in a release."""
    return EmbeddedImages(source)


def _check_manifest(source: Path, files: list[DataFile], problems: Problems) -> None:
    """Report files that a release should have and has not; a copy without its manifest is read as it is."""
    if not (source / MANIFEST_NAME).is_file():
        return
    try:
        manifest = read_manifest(source)
    except ReleaseError as error:
        problems.add(
            "manifest.unreadable",
            f"{error.message}; the files beside it are read without it",
            severity="warning",
            file=str(source / MANIFEST_NAME),
            fix="restore it, to know whether the release is whole",
        )
        return
    present = {file.path for file in files}
    for shard in manifest.files:
        if source / shard.path not in present:
            problems.add(
                "file.missing",
                f"{shard.rows} images of the release are in it, and it is not there",
                file=str(source / shard.path),
                fix="restore it, or build the release again",
            )


def _read_file(file: DataFile, seen: set[str], raters: bool, problems: Problems) -> Iterator[ImageRecord]:
    where = Where(problems, str(file.path))
    with opened(file.path, raters=raters) as reader:
        if reader.unread:
            where.warn(
                "column.not_read",
                f"columns that a release does not have: {', '.join(reader.unread)[:300]}",
                "only texts and numbers are kept from such columns",
            )
        unknown: list[str] = []
        for row in reader.rows():
            if isinstance(row, FormatError):
                where.add("row.unreadable", row.message, "fetch or build the file again")
                continue
            if raters and _is_unknown(row):
                unknown.append(str(row.values.get("image_id"))[:80])
                continue
            record = _read_row(row, file.split, raters, where, seen)
            if record is not None:
                yield record
    if unknown:
        problems.add(
            "row.no_raters",
            f"{len(unknown)} images left out: what each rater drew is not known; first: {unknown[0]}",
            severity="warning",
            file=str(file.path),
            fix="read it without raters=true to get the merged regions",
            count=len(unknown),
        )


def _is_unknown(row: RawRow) -> bool:
    """Whether somebody looked at the image, and it is not known what each rater drew."""
    return row.values.get("rater_artifacts") is None and row.values.get("status") != _UNLABELLED


def _read_row(row: RawRow, split: str, raters: bool, where: Where, seen: set[str]) -> ImageRecord | None:
    where = where.at(image=str(row.values.get("image_id"))[:80], region=f"row {row.number}")
    try:
        record = from_row(row.values, split, raters=raters)
        if raters:
            record = as_drawn(record, record.artifacts)
    except FormatError as error:
        what = error.message.split(": ", 1)[-1]
        where.add("row.wrong", what, "mend the row, or take it out")
        return None
    if not _SHA256.fullmatch(record.image_id):
        where.add("image.bad_id", "image_id is no sha256 in lower-case hex", "mend the row, or take it out")
        return None
    if record.image_id in seen:
        where.add("record.duplicate", "another row has the same image; only the first is used", "keep one")
        return None
    seen.add(record.image_id)
    record, kept = _with_usable_rings(record, where)
    kept |= {name: plain(value) for name, value in row.more.items() if value is not None}
    return _keep(record, kept) if kept else record


def _with_usable_rings(record: ImageRecord, where: Where) -> tuple[ImageRecord, Json]:
    """The record without rings that nobody can rasterize, and what of it is to be kept in `extra`."""
    rings = [ring for artifact in record.artifacts for ring in artifact.polygons]
    size = (record.width, record.height)
    drawn = all(artifact.polygons for artifact in record.artifacts)
    if drawn and not any(rings_faults(rings, [size] * len(rings))):
        return record, {}
    good: list[Artifact] = []
    rejected: list[Json] = []
    for artifact in record.artifacts:
        place = where.at(region=f"artifact {artifact.artifact_id}")
        kept = tuple(ring for ring in artifact.polygons if usable_ring(ring, *size, place) is not None)
        if not artifact.polygons:
            place.add("artifact.no_polygon", "it has no polygon", "draw the region; it is kept in extra")
        if not kept:
            rejected.append(plain(msgspec.to_builtins(artifact)))
        elif len(kept) < len(artifact.polygons):
            bad = [plain(ring) for ring in artifact.polygons if ring not in kept]
            artifact = msgspec.structs.replace(artifact, polygons=kept)
            good.append(_keep(artifact, {"rejected_rings": bad}))
        else:
            good.append(artifact)
    status = settle_status(record.status, bool(good), bool(rejected), where)
    record = msgspec.structs.replace(record, artifacts=tuple(good), status=status)
    return record, {"rejected_artifacts": rejected} if rejected else {}


def _keep(item: _Item, kept: Json) -> _Item:
    before = item.extra.get(NAMESPACE)
    extra = {**item.extra, NAMESPACE: {**(before if isinstance(before, dict) else {}), **kept}}
    return msgspec.structs.replace(item, extra=extra)


# Writing


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
    version: str = "",
    name: str = "",
    settings: ReleaseSettings = _DEFAULTS,
    workers: int | None = None,
) -> int:
    """Write records and their images as the folder of a release; returns how many images it holds.

    version: that of the folder's name if it is one (`scars/1.2.0`), else 0.1.0. name: of the dataset; the
    folder's, or that of the folder around a version. settings: shares and seed of the splits, title and
    licence on the card. The order of the records changes no byte.

    Left out and counted are images that nobody judged (`loss.status`) and those whose file is not at hand
    (`loss.image`, an error); what cannot be rasterized is set aside and reported, as `release build` does.
    Raises `UsageError` if answers of several raters wait to be merged, or if images are not to be embedded;
    `WorkspaceError` if the folder exists.
    """
    _check_target(target, pictures)
    folder = target.resolve()
    version = check_version(version or (folder.name if is_version(folder.name) else _FIRST_VERSION))
    name = name or (folder.parent.name if is_version(folder.name) else folder.name) or NAMESPACE
    losses = Losses(str(target), problems)
    left_out: Counter[str] = Counter()
    set_aside: dict[str, str] = {}
    with Waiting(folder.parent) as waiting:
        chosen = _merged(_choose(records, losses, problems, left_out, set_aside))
        for image in _at_hand(chosen, pictures, losses, set_aside, workers):
            problem = waiting.add(image)
            if problem is not None:
                problems.extend([problem])
                set_aside[image.record.image_id] = problem.code
        left_out.update(set_aside.values())
        if not len(waiting):
            counts = ", ".join(f"{reason} {count}" for reason, count in sorted(left_out.items()))
            problems.add(
                "release.empty",
                f"no image is left ({counts or 'there was none'}), and load_dataset opens no release without "
                "any",
                severity="warning",
                file=str(target),
                fix="convert images that were annotated, with their files at hand",
            )
        _count_groups(waiting, losses)
        report = write_release(
            lambda _version: folder,
            waiting,
            partial(_load, pictures),
            problems,
            origin=Origin(name=plain(name), left_out=left_out, set_aside=set_aside),
            version=version,
            settings=settings,
            workers=workers,
        )
    losses.report()
    return report.images


def _check_target(target: Path, pictures: TargetPictures) -> None:
    if target.name.lower().endswith(".parquet"):
        raise UsageError(f"{target}: a release is a folder", fix="name a folder, without .parquet")
    if pictures.how in ("none", "link"):
        raise UsageError(
            "a release has the images in its files: they can be neither left alone nor linked",
            fix="leave --image-files away, or say embed",
        )


def _choose(
    records: Iterable[ImageRecord],
    losses: Losses,
    problems: Problems,
    left_out: Counter[str],
    set_aside: dict[str, str],
) -> Iterator[ImageRecord]:
    """What can be in a release of records that somebody judged; counts the others."""

    def judged() -> Iterator[ImageRecord]:
        for record in records:
            if record.artifacts and record.status in ("unlabelled", "skipped"):
                what = f"images left out with their artifacts, because they are {record.status}"
                losses.count("status", what, record, severity="warning")
                narrowed = None
            else:
                narrowed = narrow_record(record, _TAKEN, losses)
            if narrowed is not None:
                yield narrowed
            elif record.status == "skipped":
                left_out[str(record.extra.get("skip_reason") or "skipped")] += 1
            else:
                left_out["no outline" if record.status == "annotated" else record.status] += 1

    for record in usable(judged(), problems, set_aside):
        where = Where(problems, record.file_name, record.image_id)
        status = settle_status(record.status, bool(record.artifacts), False, where)
        yield fit_columns(msgspec.structs.replace(record, status=status), problems)


def _merged(records: Iterable[ImageRecord]) -> Iterator[Ready]:
    """The records, one by one. A release says one thing about an image: it is not for converting to choose
    among raters, so at the end `UsageError` is raised if there was anything to choose."""
    waiting: list[str] = []
    count = 0
    for record in records:
        count += 1
        if _waits_for_merging(record):
            waiting.append(record.file_name or record.image_id)
        elif not waiting:  # else the rest is only counted
            yield Ready(record=record, drawn=_drawn(record))
    if waiting:
        raise UsageError(
            f"{len(waiting)} of {count} images have answers of several raters that were not merged, for "
            f"instance {waiting[0]}",
            fix="merge them first: convert to records, `synthscars consensus --records … --output "
            "merged.jsonl.zst`, and convert that",
        )


def _drawn(record: ImageRecord) -> tuple[Artifact, ...] | None:
    """What each rater drew, where one alone looked; merging changed none of that."""
    if len(record.reviews) != 1 or any(each.votes not in (None, 1) for each in record.artifacts):
        return None
    return tuple(msgspec.structs.replace(each, votes=None, agreement=None) for each in record.artifacts)


def _waits_for_merging(record: ImageRecord) -> bool:
    judged = sum(review.status in ("annotated", "clean") for review in record.reviews)
    return judged > 1 and bool(record.artifacts) and all(each.votes is None for each in record.artifacts)


def _load(pictures: TargetPictures, image: Ready, content: memoryview) -> None:
    found = pictures.find(image.record)
    data = found.read_bytes() if isinstance(found, Path) else found or b""
    if len(data) == len(content):
        content[:] = data
    if sha256(content) != image.record.image_id:
        raise ReleaseError(
            f"image {image.record.image_id} changed while the release was being written",
            fix="leave the images alone and convert again",
        )


def _at_hand(
    images: Iterable[Ready],
    pictures: TargetPictures,
    losses: Losses,
    set_aside: dict[str, str],
    workers: int | None,
) -> Iterator[Ready]:
    """The images whose original bytes can be found; the others are counted as lost."""

    def look(found: tuple[Ready, Path | bytes | None]) -> tuple[Ready, int | None]:
        image, at = found
        try:
            data = at.read_bytes() if isinstance(at, Path) else at
        except OSError:
            data = None
        good = data is not None and sha256(data) == image.record.image_id
        return image, len(data) if data is not None and good else None

    pairs = ((image, pictures.find(image.record)) for image in images)
    for image, size in map_ordered(look, pairs, workers=workers):
        if size is not None:
            yield msgspec.structs.replace(image, bytes=size)
            continue
        record = image.record
        set_aside[record.image_id] = "image.missing"
        losses.count(
            "image",
            "images left out: a release has the original files in it, and theirs are not at hand",
            record,
            severity="error",
            fix="pass --images FOLDER with the folder where the original files are",
        )


def _count_groups(waiting: Waiting, losses: Losses) -> None:
    groups = merge_groups(map(waiting.outline, waiting))
    for image_id in waiting:
        if waiting.outline(image_id).group_id not in ("", groups[image_id]):
            what = "groups got another name; which images share one stays"
            losses.count("group_id", what, waiting.record(image_id))
