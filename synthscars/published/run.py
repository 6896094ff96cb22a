"""Import the published folder: look at every picture once, report every defect, write records.

Into a workspace: the pictures are ingested and the records saved in `imports/`. Safe to kill at any moment;
running it again does what is left and gives the same records.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from glob import escape
from pathlib import Path

import msgspec

from synthscars.converters.pictures import Look, look_at
from synthscars.converters.synthscars_json import AnnotationFile, annotation_files, read_file
from synthscars.converters.synthscars_json_defects import mend
from synthscars.files import remove_temporary
from synthscars.images import SUFFIXES
from synthscars.ingest import IngestReport, ingest
from synthscars.jsonl import write_records
from synthscars.problems import Problems, UsageError
from synthscars.published.counts import SplitCounts, compare, count
from synthscars.published.merge import merge
from synthscars.published.pictures import Seen, find_alike, linked, look_at_all, named_files
from synthscars.records import ImageRecord
from synthscars.workspace import Workspace

IMPORTS = "imports"
"""Folder of a workspace for imported records. Not `records/`: a pull numbers those by its exports."""

Progress = Callable[[str, int], Callable[[int], None]]
"""Called with what begins and of how many items; gives what is called with the number of items done."""


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was imported. records: the file, `None` if nothing was written. images: records in it.

    ingest: what became of the image files, `None` without a workspace.
    """

    source: str
    records: str | None
    images: int
    artifacts: int
    reviews: int
    splits: dict[str, SplitCounts]
    ingest: IngestReport | None


def import_published(
    source: Path,
    problems: Problems,
    *,
    workspace: Workspace | None = None,
    target: Path | None = None,
    final: Iterable[str] = (),
    license: str = "",
    dry_run: bool = False,
    workers: int | None = None,
    progress: Progress = lambda _what, _total: lambda _done: None,
) -> ImportReport:
    """Import an official folder (or one of its splits or files) into a workspace, or as records to a file.

    target: where to write the records; with a workspace, `imports/NAME.jsonl.zst` if not given. final:
    annotations that overrule the others of their picture (`317`, `train/317`). license: of the images.
    dry_run: write nothing.

    `problems` gets every defect, see `synthscars_json_defects`, `merge` and `counts` in this package. Raises
    `FormatError` if an annotation file cannot be read, `UsageError` if `final` names no annotation.
    """
    files = list(annotation_files(source))
    known: dict[str, ImageRecord] = {}
    ingested = None
    if workspace:
        ingested = _ingest(workspace, source, files, problems, license, dry_run, workers, progress)
        known = {record.image_id: record for record in workspace.images()}
    paths = named_files(files)
    seen = look_at_all(paths, known, workers=workers, progress=progress("looking at pictures", len(paths)))
    alike = find_alike(seen.values(), workers=workers)
    annotations = list(_read(files, seen, problems, reported=ingested is not None))
    for file in files:
        _say_unannotated(file, paths, problems)
    same = linked((pair.first, pair.second) for pair in alike if pair.same)
    counts = compare(files, count(annotations, same), problems)
    min_iou = workspace.settings.consensus.min_iou if workspace else 0.5
    merged = merge(annotations, alike, problems, final=final, min_iou=min_iou)
    records = [_with_facts(record, known.get(record.image_id), license) for record in merged]
    path = target or (workspace and workspace.root / IMPORTS / _records_name(source))
    if path and not dry_run:
        with workspace.lock() if workspace else nullcontext():
            if workspace:
                remove_temporary(workspace.root / IMPORTS)
            write_records(path, records)
    return ImportReport(
        source=str(source),
        records=str(path) if path and not dry_run else None,
        images=len(records),
        artifacts=sum(len(record.artifacts) for record in records),
        reviews=sum(len(record.reviews) for record in records),
        splits=counts,
        ingest=ingested,
    )


def _ingest(
    workspace: Workspace,
    source: Path,
    files: list[AnnotationFile],
    problems: Problems,
    license: str,
    dry_run: bool,
    workers: int | None,
    progress: Progress,
) -> IngestReport:
    folders = list(dict.fromkeys(file.images for file in files if file.images.is_dir()))
    # As a pattern, so that images are named `SynthScars/train/images/a.png`, not `images/a.png`.
    whole = [folder for folder in folders if folder.parent.parent == source]
    named = [f"{escape(str(source))}/*/images"] if whole else []
    named += [str(folder) for folder in folders if folder not in whole]
    if not named:
        raise UsageError(
            f"{source}: there is no folder of images beside the annotations",
            fix="unpack the images as well, or give a file to write records without them: "
            "synthscars import SRC DST.jsonl.zst",
        )
    total = sum(1 for folder in folders for _ in folder.iterdir())
    found = Problems()
    report = ingest(
        workspace,
        named,
        found,
        workers=workers,
        dry_run=dry_run,
        license=license,
        progress=progress("ingesting", total),
    )
    # That files have the same bytes is said of their annotations, with more detail.
    problems.extend(problem for problem in found if problem.code != "ingest.duplicate")
    return report


def _read(
    files: Iterable[AnnotationFile], seen: dict[Path, Seen], problems: Problems, *, reported: bool
) -> Iterator[ImageRecord]:
    """One record per annotation. reported: ingest has said already which images are damaged."""

    def look(path: Path) -> Look:
        found = seen[path].look if path in seen else look_at(path)
        return Look(found.picture) if reported else found

    for file in files:
        for record in read_file(file, problems, look=look):
            yield mend(record, problems)


def _say_unannotated(file: AnnotationFile, named: Iterable[Path], problems: Problems) -> None:
    if not file.images.is_dir():
        return
    suffixes = {*SUFFIXES.values(), ".jpeg"}
    there = {path for path in file.images.iterdir() if path.suffix.lower() in suffixes}
    extra = sorted(there.difference(named))
    if extra:
        problems.add(
            "image.not_annotated",
            f"{'1 image has' if len(extra) == 1 else f'{len(extra)} images have'} no annotation; "
            f"for instance {extra[0].name}",
            severity="info",
            file=file.name,
            count=len(extra),
        )


def _with_facts(record: ImageRecord, known: ImageRecord | None, license: str) -> ImageRecord:
    """The record with what the workspace knows about its image."""
    if known is None:
        return msgspec.structs.replace(record, license=license or record.license)
    # Not the perceptual hash: look-alikes were told apart with more care than by equal hashes.
    facts = {key: value for key, value in known.extra.items() if key != "phash"}
    return msgspec.structs.replace(
        record,
        origin=known.origin,
        generation=known.generation,
        license=known.license,
        source=known.source,
        group_id=record.group_id or known.group_id,
        extra={**facts, **record.extra},
    )


def _records_name(source: Path) -> str:
    name = source.resolve().name.removesuffix(".json")
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name).strip('.') or 'import'}.jsonl.zst"
