"""Take images with their metadata into a workspace.

Safe to kill at any moment: images are stored before the index names them, and the index grows by whole
batches in the order of the sources. Running again does what is left, with the same batches as if nothing had
happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path, PurePosixPath

import msgspec

from synthscars.engine import map_ordered
from synthscars.images import ImageInfo, inspect_image, sha256
from synthscars.ingest.metadata import model_from_file_name, read_chunks, read_generation
from synthscars.ingest.quarantine import quarantine
from synthscars.ingest.scan import FIX_UNREADABLE, MAX_BYTES, Candidate, Scan, printable, reason
from synthscars.ingest.sources import candidates, is_missing
from synthscars.problems import ImageError, Problem, Problems, UsageError
from synthscars.records import Generation, ImageRecord, Origin
from synthscars.workspace import Workspace

BATCH = 256
"""Files in one index batch. Changing it changes which bytes an interrupted run ends with, nothing else."""

_MOST_CHUNKS = 8


class IngestReport(msgspec.Struct, kw_only=True):
    """What became of every file.

    files = added + duplicates + known + quarantined + refused.

    files: images by their suffix, in folders and archives. added: images that are new. duplicates: further
    names of an image, recorded. known: recorded before, nothing done. quarantined: cannot be used, a copy is
    kept with the reason. refused: could not be read, or must not be (also whole archives and folders).
    restored: images whose bytes were gone from the workspace, or were not whole, and are back. updated:
    images that were known and have another origin or licence now. The files of both are among the known ones
    and the duplicates.
    ignored: other files by suffix, left alone. tools: of the added images, by the generator that their
    metadata name (`""`: unknown).
    """

    files: int = 0
    added: int = 0
    duplicates: int = 0
    known: int = 0
    quarantined: int = 0
    refused: int = 0
    restored: int = 0
    updated: int = 0
    ignored: dict[str, int] = msgspec.field(default_factory=dict)
    tools: dict[str, int] = msgspec.field(default_factory=dict)


def ingest(
    workspace: Workspace,
    sources: Iterable[str | Path],
    problems: Problems,
    *,
    workers: int | None = None,
    dry_run: bool = False,
    origin: Origin | None = None,
    license: str = "",
    batch_size: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> IngestReport:
    """Store every image of the sources once, index every name it has, and set bad files aside.

    sources: folders (with all folders in them), patterns, zip archives, single images. problems: gets one
    error per file that could not be used, one `info` per duplicate, one for the files that were ignored, and
    one for the images whose metadata no reader knows. progress: called with the number of files just done.
    dry_run: write nothing. origin, license: of all these images, also of those that are known already; what
    is not given stays as it is, and is "synthetic" and "" for a new image.

    Raises `UsageError` if none of the sources exists, `WorkspaceError` if another process writes to the
    workspace, `OSError` if it cannot be written.
    """
    named = [str(source) for source in sources]
    if named and all(is_missing(source) for source in named):
        what = "does not exist" if len(named) == 1 else "do not exist"
        raise UsageError(f"{', '.join(map(printable, named))} {what}", fix="check the path")
    scan = Scan(problems)
    # What a dry run looks at must not be touched, not even by a lock file.
    with nullcontext() if dry_run else workspace.lock():
        ledger = _Ledger(workspace, problems, origin, license)
        target = None if dry_run else workspace
        run = _Run(
            workspace=workspace,
            dry_run=dry_run,
            known=frozenset(image_id for image_id, _ in ledger.named),
            settled=ledger.settled(),
            origin=origin or "synthetic",
            license=license,
        )

        def look(candidate: Candidate) -> _Outcome:
            return _look(candidate, run)

        found = candidates(named, scan, _own_folders(workspace))
        for outcome in map_ordered(look, found, workers=workers):
            ledger.take(outcome)
            if target and len(ledger.pending) == batch_size:
                target.append_index(ledger.pending)
                ledger.pending.clear()
            if progress:
                progress(1)
        if target and ledger.pending:
            target.append_index(ledger.pending)
    ledger.say_what_was_not_read()
    return _finished(ledger.report, scan, problems)


class _Outcome(msgspec.Struct, frozen=True):
    """What a worker found out about one candidate: its record, or why it is bad, or neither: it is known.

    restored: the bytes were not in the workspace, though the index knows the image.
    """

    record: ImageRecord | None = None
    restored: bool = False
    quarantined: Problem | None = None
    unreadable: Problem | None = None
    warnings: tuple[Problem, ...] = ()


class _Ledger:
    """Which names are recorded, and what this run adds. Used by one thread, in the order of the files."""

    def __init__(self, workspace: Workspace, problems: Problems, origin: Origin | None, license: str) -> None:
        self.named: set[tuple[str, str]] = set()
        self.pending: list[ImageRecord] = []
        self.report = IngestReport()
        self._first_source: dict[str, str] = {}
        self._problems = problems
        self._workspace = workspace
        self._origin, self._license = origin, license
        self._restored: set[str] = set()
        self._not_read_images = 0
        self._not_read: Counter[str] = Counter()
        for image_id, source in workspace.index_names():
            self.named.add((image_id, source))
            self._first_source.setdefault(image_id, source)

    @cached_property
    def _provenance(self) -> dict[str, tuple[Origin, str]]:
        # Read when it is needed: most runs give neither origin nor licence to an image that is known.
        return self._workspace.provenance()

    def settled(self) -> frozenset[tuple[str, str]]:
        """The recorded names of images whose origin and licence are those that were given, if any were."""
        if not self._origin and not self._license:
            return frozenset(self.named)
        return frozenset(name for name in self.named if self._wanted(name[0]) == self._provenance[name[0]])

    def _wanted(self, image_id: str) -> tuple[Origin, str]:
        """Origin and licence that an image has after this run, if it is known."""
        origin, license = self._provenance.get(image_id, ("synthetic", ""))
        return self._origin or origin, self._license or license

    def take(self, outcome: _Outcome) -> None:
        """Count one file; a new name, or a new origin or licence, joins the pending batch."""
        record = outcome.record
        if record and outcome.restored and record.image_id not in self._restored:
            # Once: whether a second name of it found the file in place is a matter of which worker was first.
            self._restored.add(record.image_id)
            self.report.restored += 1
        if outcome.quarantined:
            self.report.quarantined += 1
            self._problems.extend([outcome.quarantined])
        elif outcome.unreadable:
            self.report.refused += 1
            self._problems.extend([outcome.unreadable])
        elif record is None or (record.image_id, record.source) in self.named:
            self.report.known += 1
            if record and self._update(record.image_id):
                self._append(record, *self._wanted(record.image_id))
        else:
            self._problems.extend(outcome.warnings)
            self._add(record)

    def _update(self, image_id: str) -> bool:
        """Give an image that is known what was given for it; returns whether that changed anything."""
        if not self._origin and not self._license:
            return False
        after = self._wanted(image_id)
        if self._provenance.get(image_id, after) == after:
            return False
        self._provenance[image_id] = after
        self.report.updated += 1
        return True

    def _append(self, record: ImageRecord, origin: Origin, license: str) -> None:
        self.pending.append(msgspec.structs.replace(record, origin=origin, license=license))

    def _add(self, record: ImageRecord) -> None:
        self.named.add((record.image_id, record.source))
        first = self._first_source.setdefault(record.image_id, record.source)
        if first == record.source:
            self.pending.append(record)
            generation = record.generation
            tool = generation.tool if generation else ""
            self.report.added += 1
            self.report.tools[tool] = self.report.tools.get(tool, 0) + 1
            if generation and not tool:
                self._not_read.update(generation.raw.keys())
                self._not_read_images += 1
        else:
            # The newest row of an image says its origin and licence, so a further name must not forget them.
            self._update(record.image_id)
            self._append(record, *self._wanted(record.image_id))
            self.report.duplicates += 1
            self._problems.add(
                "ingest.duplicate",
                f"it has the same bytes as {first}; recorded as a second name of that image",
                severity="info",
                file=record.source,
                image=record.image_id,
            )

    def say_what_was_not_read(self) -> None:
        """Tell once of all new images whose metadata no reader knows, with the names of their chunks."""
        if not self._not_read_images:
            return
        names = [printable(name) for name, _ in self._not_read.most_common(_MOST_CHUNKS)]
        others = len(self._not_read) - len(names)
        if others:
            names.append(f"and {others} more")
        carry = f"{self._not_read_images:,} images carry" if self._not_read_images > 1 else "1 image carries"
        what = f"{carry} metadata that no reader understands yet (chunks: {', '.join(names)}): kept raw"
        self._problems.add("metadata.not_read", what, severity="info")


class _Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has to know: what was there before the run, and what was asked for.

    known: ids of images. settled: names (id and source) for which nothing is to be recorded.
    origin, license: of the images that are new.
    """

    workspace: Workspace
    dry_run: bool
    known: frozenset[str]
    settled: frozenset[tuple[str, str]]
    origin: Origin
    license: str


def _look(candidate: Candidate, run: _Run) -> _Outcome:
    """Read, decode and store one file; runs in a worker."""
    source, workspace = candidate.source, run.workspace
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
    restored = image_id in run.known and not workspace.has_image(image_id, len(data))
    if (image_id, source) in run.settled and not restored:
        return _Outcome()
    try:
        info, image = inspect_image(data)
    except ImageError as error:
        problem = Problem(code=error.code, what=error.message, fix=error.fix, file=source)
        if not run.dry_run:
            quarantine(workspace, data, problem)
        return _Outcome(quarantined=problem)
    warnings = Problems()
    chunks = read_chunks(image, warnings, source)
    generation = read_generation(chunks)
    if generation:
        generation = model_from_file_name(generation, PurePosixPath(candidate.file_name).stem)
    if not run.dry_run:
        # Before the index names it; a kill in between leaves bytes that the next run finds in place.
        workspace.add_image(data, info.image_id, info.suffix)
    record = _record(candidate, info, generation, run)
    return _Outcome(record=record, restored=restored, warnings=tuple(warnings))


def _record(candidate: Candidate, info: ImageInfo, generation: Generation | None, run: _Run) -> ImageRecord:
    return ImageRecord(
        image_id=info.image_id,
        file_name=candidate.file_name,
        width=info.width,
        height=info.height,
        origin=run.origin,
        generation=generation,
        group_id=info.image_id,
        source=candidate.source,
        license=run.license,
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
