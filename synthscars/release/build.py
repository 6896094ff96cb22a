"""Builds the release of a workspace: records and images in, a folder that `load_dataset` opens out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from synthscars.engine import rare_collections
from synthscars.jsonl import read_records
from synthscars.problems import Problems, ReleaseError
from synthscars.records import Artifact, ImageRecord
from synthscars.records import Origin as ImageOrigin
from synthscars.release import staging
from synthscars.release.checked import check_built
from synthscars.release.deprecate import DEPRECATIONS_NAME, deprecations_text, read_deprecations
from synthscars.release.filing import Stages
from synthscars.release.following import Before, places
from synthscars.release.manifest import (
    MANIFEST_NAME,
    InputFile,
    Manifest,
    read_manifest,
    version_key,
    versions,
)
from synthscars.release.originals import find_images, loader
from synthscars.release.prepare import fit_columns, usable
from synthscars.release.scrubbing import scrubbed_records
from synthscars.release.waiting import Ready, Waiting
from synthscars.release.write import Origin, ReleaseReport, no_stages, write_release
from synthscars.workspace import Workspace


def build_release(
    workspace: Workspace,
    version: str | None,
    problems: Problems,
    *,
    records: Path | None = None,
    force: bool = False,
    scrub: bool | None = None,
    check: bool = True,
    compact: bool = False,
    workers: int | None = None,
    stages: Stages = no_stages,
) -> ReleaseReport:
    """Build `releases/<version>` from records and the original images, and report what it holds.

    version: `None` takes the lowest that honours what changed since the newest release. records: those of the
    newest pull if not given. Raters' answers are merged (`synthscars.consensus`); images that nobody looked
    at or that were skipped are left out and counted, but real photographs that nobody looked at are in the
    config `detection`. Images and artifacts that cannot be used are set aside and added to `problems`. Images
    that an earlier version of the dataset holds stay in their split and, unless `compact`, in their file.
    scrub: take personal data out of texts and image files; as the settings say if not given. check: look at
    the release as `synthscars release check` does; errors that it finds are added to `problems`, all that it
    finds is in `checks.json`. Without it, image files that nobody touched since they were ingested are not
    compared with their sha256 either. stages: see `Stages`.

    Holds the workspace's lock. What is finished when the work breaks off is used by the next build. Raises
    `UsageError` if `version` is not a version, `ReleaseError` if it exists (and `force` is false), is too low
    for what changed, or nothing is left to release, `WorkspaceError` if there are no records or the disk is
    full.
    """
    if version is not None and workspace.release_dir(version).exists() and not force:
        raise ReleaseError(
            f"release {version} exists already, and releases do not change",
            fix="choose a higher version, or replace it with --force",
        )
    source = workspace.latest_records() if records is None else records
    settings = workspace.settings.release
    scrub = settings.scrub if scrub is None else scrub
    with workspace.lock(), rare_collections(), Waiting(workspace.root) as waiting:
        earlier = _earlier(workspace, version)
        set_aside: dict[str, str] = {}
        left_out: Counter[str] = Counter()
        advance = stages("looking at images", None)
        scrubbed: dict[str, str] = {}
        chosen = _choose(workspace, source, problems, set_aside, left_out)
        if scrub:
            chosen = scrubbed_records(chosen, problems)
        found = find_images(
            chosen,
            workspace,
            problems,
            set_aside,
            scrubbed=scrubbed if scrub else None,
            trusted=None if check else workspace.ingested(),
            workers=workers,
            advance=advance,
        )
        for image in found:
            problem = waiting.add(image)
            if problem is not None:
                problems.extend([problem])
                set_aside[image.record.image_id] = problem.code
        left_out.update(set_aside.values())
        if not waiting.any_labelled:
            counts = ", ".join(f"{reason} {count}" for reason, count in sorted(left_out.items()))
            raise ReleaseError(
                f"{source.name} holds no image that can be released ({counts or 'no records'})",
                fix="mend the problems that were reported"
                if problems.failed
                else "annotate images and pull them",
            )
        newest = next(reversed(earlier), None)
        before = Before(workspace.release_dir(newest), earlier[newest]) if newest else None

        def finish(folder: Path, version: str) -> None:
            if check:
                check_built(
                    folder,
                    version,
                    len(waiting),
                    problems,
                    previous=before.folder if before else None,
                    language=settings.language[0] if len(settings.language) == 1 else "",
                    workers=workers,
                    stages=stages,
                )

        return write_release(
            lambda chosen: workspace.releases_dir / chosen,
            waiting,
            loader(workspace, scrubbed),
            problems,
            origin=Origin(
                name=workspace.name,
                min_iou=workspace.settings.consensus.min_iou,
                inputs=_inputs(workspace, source, list(earlier)),
                scrubbed=scrubbed if scrub else None,
                deprecations=deprecations_text(read_deprecations(workspace.releases_dir)),
                left_out=left_out,
                set_aside=set_aside,
            ),
            version=version,
            settings=settings,
            earlier=places(list(earlier.values()), scrubbed),
            before=before,
            replace=force,
            resume=True,
            compact=compact,
            workers=workers,
            stages=stages,
            finish=finish,
        )


def _choose(
    workspace: Workspace,
    source: Path,
    problems: Problems,
    set_aside: dict[str, str],
    left_out: Counter[str],
) -> Iterator[Ready]:
    """What may be in the release; the images that are not are counted in `left_out`."""
    from synthscars.consensus import adjudicate

    min_iou = workspace.settings.consensus.min_iou
    seen: set[str] = set()
    current = workspace.provenance()
    for drawn in usable(_with_provenance(current, read_records(source)), problems, set_aside):
        seen.add(drawn.image_id)
        (record,) = adjudicate([drawn], problems, min_iou=min_iou)
        if record.status == "unlabelled" and record.origin == "real":
            yield Ready(record=fit_columns(record, problems), labelled=False)
        elif record.status == "unlabelled":
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
            fitted = fit_columns(record, problems)
            yield Ready(record=fitted, drawn=_drawn(drawn, record, fitted))
    known = seen | set_aside.keys()
    if any(origin == "real" and image not in known for image, (origin, _) in current.items()):
        for record in workspace.images():
            if record.origin == "real" and record.image_id not in known:
                yield Ready(record=fit_columns(record, problems), labelled=False)


def _drawn(drawn: ImageRecord, merged: ImageRecord, fitted: ImageRecord) -> tuple[Artifact, ...] | None:
    """Every rater's regions as columns can hold them; `None` if the record was merged before it came here."""
    if merged is drawn and any(artifact.votes is not None for artifact in drawn.artifacts):
        return None
    # What does not fit was reported with the merged regions.
    return fit_columns(msgspec.structs.replace(drawn, generation=None), Problems()).artifacts


def _with_provenance(
    current: Mapping[str, tuple[ImageOrigin, str]], records: Iterable[ImageRecord]
) -> Iterator[ImageRecord]:
    """Records with the origin and licence that the workspace knows now: later ingests may correct them."""
    for record in records:
        origin, license = current.get(record.image_id, (record.origin, record.license))
        yield msgspec.structs.replace(record, origin=origin, license=license or record.license)


def _earlier(workspace: Workspace, version: str | None) -> dict[str, Manifest]:
    """The versions that are older than this one, or all, oldest first, with their manifests."""
    return {
        name: read_manifest(workspace.release_dir(name))
        for name in versions(workspace.releases_dir)
        if version is None or version_key(name) < version_key(version)
    }


def _inputs(workspace: Workspace, source: Path, earlier: list[str]) -> dict[str, InputFile]:
    files = {"records": source}
    export = workspace.exports_dir / source.name.replace(".jsonl.zst", ".json.zst")
    if source.parent.resolve() == workspace.records_dir and export.is_file():
        files["export"] = export
    if (deprecated := workspace.releases_dir / DEPRECATIONS_NAME).is_file():
        files["deprecated"] = deprecated
    for name in earlier:
        files[f"manifest {name}"] = workspace.release_dir(name) / MANIFEST_NAME
    return {role: InputFile(_name(workspace, path), staging.digest(path)) for role, path in files.items()}


def _name(workspace: Workspace, path: Path) -> str:
    resolved = path.resolve()
    inside = resolved.is_relative_to(workspace.root)
    return resolved.relative_to(workspace.root).as_posix() if inside else path.name
