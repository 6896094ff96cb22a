"""Builds a release: records and images in, a folder that `datasets.load_dataset` opens out.

The folder appears whole or not at all, and the same inputs give the same bytes, whatever the machine's speed,
the number of workers or the day. At most one row group of images is in memory at a time; of the records, all
are.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path

import msgspec

from synthscars import __version__
from synthscars.files import atomic_file, atomic_folder
from synthscars.jsonl import read_records
from synthscars.problems import FormatError, Problems, ReleaseError
from synthscars.records import ImageRecord
from synthscars.release.card import write_card
from synthscars.release.diff import diff_releases
from synthscars.release.diff_text import CHANGES_NAME, to_markdown
from synthscars.release.manifest import (
    MANIFEST_NAME,
    ImageEntry,
    InputFile,
    Manifest,
    encode_manifest,
    read_manifest,
    version_key,
    versions,
)
from synthscars.release.prepare import Ready, find_images, fit_columns, usable
from synthscars.release.shards import Shard, write_split
from synthscars.release.splits import SPLITS, assign_splits, merge_groups
from synthscars.release.totals import Totals
from synthscars.settings import ReleaseSettings
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace

Progress = Callable[[int], None]


class ReleaseReport(msgspec.Struct, frozen=True):
    """What was built. path: the release folder. Counts are those of its manifest."""

    path: Path
    version: str
    images: int
    artifacts: int
    splits: dict[str, int]
    left_out: dict[str, int]
    bytes: int


def build_release(
    workspace: Workspace,
    version: str,
    problems: Problems,
    *,
    records: Path | None = None,
    force: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> ReleaseReport:
    """Build `releases/<version>` from records and the original images, and report what it holds.

    records: those of the newest pull if not given. Raters' answers are merged (`synthscars.consensus`);
    images that nobody looked at or that were skipped are left out and counted. Images and artifacts that
    cannot be used are set aside and added to `problems`. Images that an earlier version of the dataset holds
    stay in their split. progress: called with 1 for every image that was looked at.

    Holds the workspace's lock. Raises `UsageError` if `version` is not a version, `ReleaseError` if it exists
    (and `force` is false) or nothing is left to release, `WorkspaceError` if there are no records.
    """
    target = workspace.release_dir(version)
    source = workspace.latest_records() if records is None else records
    with workspace.lock():
        if target.exists() and not force:
            raise ReleaseError(
                f"release {version} exists already, and releases do not change",
                fix="choose a higher version, or replace it with --force",
            )
        set_aside: dict[str, str] = {}
        left_out: Counter[str] = Counter()
        chosen = _choose(workspace, source, problems, set_aside, left_out)
        ready = list(find_images(chosen, workspace, problems, set_aside, workers=workers, advance=progress))
        left_out.update(set_aside.values())
        if not ready:
            counts = ", ".join(f"{reason} {count}" for reason, count in sorted(left_out.items()))
            raise ReleaseError(
                f"{source.name} holds no image that can be released ({counts or 'no records'})",
                fix="mend the problems that were reported"
                if problems.failed
                else "annotate images and pull them",
            )
        earlier = _earlier(workspace, version)
        return write_release(
            target,
            ready,
            problems,
            name=workspace.name,
            version=version,
            settings=workspace.settings.release,
            min_iou=workspace.settings.consensus.min_iou,
            previous=_previous(workspace, earlier),
            before=workspace.release_dir(earlier[-1]) if earlier else None,
            inputs=_inputs(workspace, source, earlier),
            left_out=left_out,
            set_aside=set_aside,
            replace=force,
            workers=workers,
        )


def _choose(
    workspace: Workspace,
    source: Path,
    problems: Problems,
    set_aside: dict[str, str],
    left_out: Counter[str],
) -> Iterator[ImageRecord]:
    """Adjudicated records that somebody looked at; counts the others in `left_out`."""
    from synthscars.consensus import adjudicate

    sound = usable(_with_provenance(workspace, read_records(source)), problems, set_aside)
    for record in adjudicate(sound, problems, min_iou=workspace.settings.consensus.min_iou):
        if record.status == "unlabelled":
            left_out["unlabelled"] += 1
        elif record.status == "skipped":
            left_out[str(record.extra.get("skip_reason") or "skipped")] += 1
        elif record.status == "annotated" and not record.artifacts:
            problems.add(
                "record.no_artifact",
                "it is annotated, but none of its regions could be read, and it must not count as clean",
                file=record.file_name,
                image=record.image_id,
                fix="mend the regions where they come from",
            )
            set_aside[record.image_id] = "record.no_artifact"
        else:
            yield fit_columns(record, problems)


def _with_provenance(workspace: Workspace, records: Iterable[ImageRecord]) -> Iterator[ImageRecord]:
    """Records with the origin and licence that the workspace knows now: later ingests may correct them."""
    current = workspace.provenance()
    for record in records:
        origin, license = current.get(record.image_id, (record.origin, record.license))
        yield msgspec.structs.replace(record, origin=origin, license=license or record.license)


def _earlier(workspace: Workspace, version: str) -> list[str]:
    """The versions that are older than this one, oldest first."""
    return [name for name in versions(workspace.releases_dir) if version_key(name) < version_key(version)]


def _previous(workspace: Workspace, earlier: Iterable[str]) -> dict[str, str]:
    """The split of every image in earlier versions; of all of them, the newest last: an image may have been
    left out of the newest one."""
    return {
        image_id: entry.split
        for name in earlier
        for image_id, entry in read_manifest(workspace.release_dir(name)).images.items()
    }


def _inputs(workspace: Workspace, source: Path, earlier: list[str]) -> dict[str, InputFile]:
    files = {"records": source}
    export = workspace.exports_dir / source.name.replace(".jsonl.zst", ".json.zst")
    if source.parent.resolve() == workspace.records_dir and export.is_file():
        files["export"] = export
    for name in earlier:
        files[f"manifest {name}"] = workspace.release_dir(name) / MANIFEST_NAME
    return {role: InputFile(_name(workspace, path), _sha256(path)) for role, path in files.items()}


def _name(workspace: Workspace, path: Path) -> str:
    resolved = path.resolve()
    inside = resolved.is_relative_to(workspace.root)
    return resolved.relative_to(workspace.root).as_posix() if inside else path.name


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Writing, also what did not come from a workspace


def write_release(
    target: Path,
    ready: Sequence[Ready],
    problems: Problems,
    *,
    name: str,
    version: str,
    settings: ReleaseSettings,
    min_iou: float | None = None,
    previous: Mapping[str, str] | None = None,
    before: Path | None = None,
    inputs: Mapping[str, InputFile] | None = None,
    left_out: Mapping[str, int] | None = None,
    set_aside: Mapping[str, str] | None = None,
    replace: bool = False,
    workers: int | None = None,
) -> ReleaseReport:
    """Write images that can be released, in whatever order they are given, as the folder `target`.

    min_iou: that the raters' answers were merged with; `None`: they came as they are. previous: image → split
    in an earlier release. before: the release that `CHANGES.md` compares with, if there is one. inputs,
    left_out, set_aside: see `Manifest`. replace: an older folder makes way.

    Raises `WorkspaceError` if `target` exists and `replace` is false, `ReleaseError` if an image changes
    meanwhile.
    """
    by_split = _split(ready, settings, previous or {}, problems)
    images = [image for part in by_split.values() for image in part]
    with atomic_folder(target, replace=replace) as folder:
        shares = {split: getattr(settings, split) for split in SPLITS}
        manifest = Manifest(
            name=name,
            version=version,
            taxonomy_version=load_taxonomy().version,
            artifacts=sum(len(image.record.artifacts) for image in images),
            tools={
                "synthscars": __version__,
                **{package: installed_version(package) for package in ("pyarrow", "datasets")},
            },
            inputs=dict(inputs or {}),
            settings={
                **({} if min_iou is None else {"min_iou": min_iou}),
                "seed": settings.seed,
                **shares,
            },
            splits={split: len(part) for split, part in by_split.items()},
            left_out=dict(sorted((left_out or {}).items())),
            set_aside=dict(sorted((set_aside or {}).items())),
            files=tuple(_shards(folder, by_split, workers)),
            images={
                image.record.image_id: ImageEntry(image.record.split, image.record.group_id)
                for image in images
            },
        )
        with atomic_file(folder / MANIFEST_NAME) as file:
            file.write(encode_manifest(manifest))
        totals = Totals()
        for image in images:
            totals.add(image.record)
        write_card(folder, manifest, totals, settings)
        if before is not None:
            _write_changes(folder, before, problems)
    return ReleaseReport(
        path=target,
        version=version,
        images=len(manifest.images),
        artifacts=manifest.artifacts,
        splits=manifest.splits,
        left_out=manifest.left_out,
        bytes=sum(shard.bytes for shard in manifest.files),
    )


def _write_changes(folder: Path, before: Path, problems: Problems) -> None:
    """Write what changed since the release `before`, and warn if the version is too low for it."""
    found = Problems()
    try:
        text = to_markdown(diff_releases(before, folder, found))
    except FormatError as error:
        problems.add(
            "changes.not_written",
            f"the release before cannot be compared with: {error.message}",
            severity="warning",
            file=f"release {before.name}",
            fix=f"restore it and build again, to have a {CHANGES_NAME}",
        )
        return
    for problem in found:
        # What is wrong with the older release keeps no image out of this one.
        problems.extend([msgspec.structs.replace(problem, severity="warning")])
    with atomic_file(folder / CHANGES_NAME) as file:
        file.write(text.encode())


def _split(
    ready: Sequence[Ready], settings: ReleaseSettings, previous: Mapping[str, str], problems: Problems
) -> dict[str, list[Ready]]:
    """The images of every split that has any, in the order of `SPLITS`; `group_id` is the merged group.

    Without any image there is an empty `train`, so that there are columns.
    """
    if not ready:
        return {"train": []}
    records = [image.record for image in ready]
    groups = merge_groups(records)
    for record in records:
        if record.split and record.split not in SPLITS:
            problems.add(
                "split.unknown",
                f"its source puts it into the split {record.split!r}; assigned like the others",
                image=record.image_id,
                severity="warning",
                fix=f"name one of {', '.join(SPLITS)}",
            )
    splits = assign_splits(
        groups,
        {split: getattr(settings, split) for split in SPLITS},
        settings.seed,
        prescribed={record.image_id: record.split for record in records},
        previous=previous,
        problems=problems,
    )
    found: dict[str, list[Ready]] = defaultdict(list)
    # In the order of their ids, so that the order of the records changes no byte.
    for image in sorted(ready, key=lambda image: image.record.image_id):
        image_id = image.record.image_id
        record = msgspec.structs.replace(image.record, group_id=groups[image_id], split=splits[image_id])
        found[splits[image_id]].append(msgspec.structs.replace(image, record=record))
    for split in SPLITS:
        if split not in found:
            problems.add(
                "split.empty",
                f"no image is left for {split}, so the release does not have it",
                severity="info",
                fix="more images, or other shares in synthscars.toml",
            )
    return {split: found[split] for split in SPLITS if split in found}


def _shards(folder: Path, by_split: dict[str, list[Ready]], workers: int | None) -> Iterator[Shard]:
    for split, images in by_split.items():
        yield from write_split(folder, split, images, workers=workers)
