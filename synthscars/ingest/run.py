"""Take images with their metadata into a workspace.

Safe to kill at any moment: images are stored before the index names them, and the index grows by whole
batches in the order of the sources. Running again does what is left, with the same batches as if nothing had
happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path, PurePosixPath

import msgspec

from synthscars.engine import map_ordered
from synthscars.images import ImageInfo, inspect_image, sha256
from synthscars.ingest.metadata import model_from_file_name, read_chunks, read_generation
from synthscars.ingest.quarantine import quarantine
from synthscars.ingest.scan import FIX_UNREADABLE, MAX_BYTES, Candidate, Scan, reason
from synthscars.ingest.sources import candidates
from synthscars.problems import ImageError, Problem, Problems
from synthscars.records import Generation, ImageRecord, Origin
from synthscars.workspace import Workspace

BATCH = 256
"""Files in one index batch. Changing it changes which bytes an interrupted run ends with, nothing else."""


class IngestReport(msgspec.Struct, kw_only=True):
    """What became of every file.

    files = added + duplicates + known + quarantined + refused.

    files: images by their suffix, in folders and archives. added: images that are new. duplicates: further
    names of an image, recorded. known: recorded before, nothing done. quarantined: cannot be used, a copy is
    kept with the reason. refused: could not be read, or must not be (also whole archives and folders).
    ignored: other files by suffix, left alone. tools: of the added images, by the generator that their
    metadata name (`""`: unknown).
    """

    files: int = 0
    added: int = 0
    duplicates: int = 0
    known: int = 0
    quarantined: int = 0
    refused: int = 0
    ignored: dict[str, int] = msgspec.field(default_factory=dict)
    tools: dict[str, int] = msgspec.field(default_factory=dict)


def ingest(
    workspace: Workspace,
    sources: Iterable[str | Path],
    problems: Problems,
    *,
    workers: int | None = None,
    dry_run: bool = False,
    origin: Origin = "synthetic",
    license: str = "",
    batch_size: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> IngestReport:
    """Store every image of the sources once, index every name it has, and set bad files aside.

    sources: folders (with all folders in them), patterns, zip archives, single images. problems: gets one
    error per file that could not be used, one `info` per duplicate, and one for the files that were ignored.
    progress: called with the number of files just done. dry_run: write nothing.

    Raises `WorkspaceError` if another process writes to the workspace, `OSError` if it cannot be written.
    """
    scan = Scan(problems)
    # What a dry run looks at must not be touched, not even by a lock file.
    with nullcontext() if dry_run else workspace.lock():
        ledger = _Ledger(workspace, problems)
        before = frozenset(ledger.named)
        target = None if dry_run else workspace

        def look(candidate: Candidate) -> _Outcome:
            return _look(candidate, before, target, origin, license)

        found = candidates((str(source) for source in sources), scan, _own_folders(workspace))
        for outcome in map_ordered(look, found, workers=workers):
            ledger.take(outcome)
            if target and len(ledger.pending) == batch_size:
                target.append_index(ledger.pending)
                ledger.pending.clear()
            if progress:
                progress(1)
        if target and ledger.pending:
            target.append_index(ledger.pending)
    return _finished(ledger.report, scan, problems)


class _Outcome(msgspec.Struct, frozen=True):
    """What a worker found out about one candidate: its record, or why it is bad, or neither: it is known."""

    record: ImageRecord | None = None
    quarantined: Problem | None = None
    unreadable: Problem | None = None
    warnings: tuple[Problem, ...] = ()


class _Ledger:
    """Which names are recorded, and what this run adds. Used by one thread, in the order of the files."""

    def __init__(self, workspace: Workspace, problems: Problems) -> None:
        self.named: set[tuple[str, str]] = set()
        self.pending: list[ImageRecord] = []
        self.report = IngestReport()
        self._first_source: dict[str, str] = {}
        self._problems = problems
        for image_id, source in workspace.index_names():
            self.named.add((image_id, source))
            self._first_source.setdefault(image_id, source)

    def take(self, outcome: _Outcome) -> None:
        """Count one file; a new name joins the pending batch."""
        self._problems.extend(outcome.warnings)
        record = outcome.record
        if outcome.quarantined:
            self.report.quarantined += 1
            self._problems.extend([outcome.quarantined])
        elif outcome.unreadable:
            self.report.refused += 1
            self._problems.extend([outcome.unreadable])
        elif record is None or (record.image_id, record.source) in self.named:
            self.report.known += 1
        else:
            self._add(record)

    def _add(self, record: ImageRecord) -> None:
        self.named.add((record.image_id, record.source))
        self.pending.append(record)
        first = self._first_source.setdefault(record.image_id, record.source)
        if first == record.source:
            tool = record.generation.tool if record.generation else ""
            self.report.added += 1
            self.report.tools[tool] = self.report.tools.get(tool, 0) + 1
        else:
            self.report.duplicates += 1
            self._problems.add(
                "ingest.duplicate",
                f"it has the same bytes as {first}; recorded as a second name of that image",
                severity="info",
                file=record.source,
                image=record.image_id,
            )


def _look(
    candidate: Candidate,
    before: frozenset[tuple[str, str]],
    workspace: Workspace | None,
    origin: Origin,
    license: str,
) -> _Outcome:
    """Read, decode and store one file; runs in a worker. `workspace`: `None` to store nothing."""
    source = candidate.source
    try:
        data = candidate.load()
    except OSError as error:
        what = f"it cannot be read: {reason(error)}"
        return _Outcome(
            unreadable=Problem(code="ingest.unreadable", what=what, fix=FIX_UNREADABLE, file=source)
        )
    if len(data) > MAX_BYTES:  # it has grown since it was found
        what = f"it has more than {MAX_BYTES:,} bytes"
        fix = "store it as PNG or JPEG"
        return _Outcome(unreadable=Problem(code="ingest.too_large", what=what, fix=fix, file=source))
    image_id = sha256(data)
    # An image that somebody removed from the workspace is stored again, though its name is known.
    if (image_id, source) in before and (workspace is None or workspace.find_image(image_id)):
        return _Outcome()
    try:
        info, image = inspect_image(data)
    except ImageError as error:
        problem = Problem(code=error.code, what=error.message, fix=error.fix, file=source)
        if workspace:
            quarantine(workspace, data, problem)
        return _Outcome(quarantined=problem)
    warnings = Problems()
    chunks = read_chunks(image, warnings, source)
    generation = read_generation(chunks)
    if generation:
        generation = model_from_file_name(generation, PurePosixPath(candidate.file_name).stem)
    if workspace:
        # Before the index names it; a kill in between leaves bytes that the next run finds in place.
        workspace.add_image(data, info.image_id, info.suffix)
    record = _record(candidate, info, generation, origin, license)
    return _Outcome(record=record, warnings=tuple(warnings))


def _record(
    candidate: Candidate, info: ImageInfo, generation: Generation | None, origin: Origin, license: str
) -> ImageRecord:
    return ImageRecord(
        image_id=info.image_id,
        file_name=candidate.file_name,
        width=info.width,
        height=info.height,
        origin=origin,
        generation=generation,
        group_id=info.image_id,
        source=candidate.source,
        license=license,
        extra={
            "phash": info.phash,
            "format": info.format,
            "bytes": info.bytes,
            "orientation": info.orientation,
        },
    )


def _own_folders(workspace: Workspace) -> list[Path]:
    # Anything else in the workspace's folder is the user's, and may be a source.
    return [
        workspace.images_dir,
        workspace.index_dir,
        workspace.exports_dir,
        workspace.records_dir,
        workspace.quarantine_dir,
        workspace.releases_dir,
        workspace.reports_dir,
        workspace.platform_dir,
    ]


def _finished(report: IngestReport, scan: Scan, problems: Problems) -> IngestReport:
    report.refused += scan.refused
    report.files = report.added + report.duplicates + report.known + report.quarantined + report.refused
    report.ignored = dict(sorted(scan.ignored.items()))
    report.tools = dict(sorted(report.tools.items(), key=lambda item: (-item[1], item[0])))
    if report.ignored:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in report.ignored.items())
        what = (
            f"{sum(report.ignored.values())} files are not images by their names and were left alone: {kinds}"
        )
        problems.add("ingest.ignored", what, severity="info")
    return report
