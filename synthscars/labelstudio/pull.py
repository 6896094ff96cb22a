"""What annotators answered comes back: first the raw export, kept for ever, then records read from it.

One export holds the tasks of all projects of the workspace, each as the server sent it. Projects in which
nothing changed since the last pull are not fetched again, unless the server was started anew: their part is
taken from the export before. What was edited or deleted on the server in between is told, and stays as it was
in the older export.

Storing and reading are separate steps. If the second is interrupted, the next pull makes up for it.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec
import zstandard

from synthscars.converters import labelstudio as converter
from synthscars.files import atomic_file
from synthscars.jsonl import read_records, write_records
from synthscars.labelstudio.assignment import assigned_projects
from synthscars.labelstudio.changes import report_changes
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.fetching import Parts, download, fetch_parts, read_parts, write_parts
from synthscars.labelstudio.project import Project, list_projects
from synthscars.labelstudio.server import find
from synthscars.labelstudio.validation import reported
from synthscars.problems import FormatError, Problems
from synthscars.workspace import Workspace

EXPORT_SUFFIX = ".json.zst"
RECORDS_SUFFIX = ".jsonl.zst"
_CHUNK = 1 << 20

__all__ = ["EXPORT_SUFFIX", "RECORDS_SUFFIX", "PullResult", "download", "pull"]


class PullResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a pull found.

    is_new: the export differs from the one before. statuses: images by status. projects: of the workspace, of
    which `fetched` had something new. edited, deleted: earlier answers that are not on the server any more as
    they were.
    """

    export: str
    records: str
    is_new: bool
    images: int
    artifacts: int
    raters: int
    statuses: dict[str, int]
    projects: int = 1
    fetched: int = 1
    edited: int = 0
    deleted: int = 0


def pull(
    client: Client,
    project: Project | None,
    workspace: Workspace,
    problems: Problems,
    *,
    full: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> PullResult:
    """Fetch the answers of all projects, store them untouched, and read them into records.

    project: the common one, if there is one; those of the queues are known. full: fetch also what seems to be
    as it was. advance: called with the number of projects done. Call it with the workspace locked. Raises
    `PlatformError` if the server refuses.
    """
    exports = workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX)
    parts = read_parts(workspace)
    if not parts.reported and exports:
        parts = msgspec.structs.replace(parts, reported=exports[-1].name)
    projects = _present(client, project, workspace, parts, problems)
    with tempfile.TemporaryDirectory(prefix="synthscars-") as name:
        server = _instance(workspace)
        # One that was killed within an answer may have kept it and changed nothing by which that is seen.
        reusable = Parts() if full or parts.server != server else parts
        raw, found, fetched = fetch_parts(client, projects, workspace, reusable, Path(name), advance)
        export = workspace.exports_dir / parts.export if raw is None else store_export(workspace, raw)
    noted = Parts(export=export.name, reported=parts.reported, server=server, parts=found)
    write_parts(workspace, noted)
    for each in projects:
        clear_copies(workspace, each)
    # The latest export is always read again: problems in it are reported until they are mended. What is wrong
    # with an answer in an older one is mended or reported with the latest; a whole file that is bad is not.
    older = Problems()
    parse_missing(workspace, older, except_for=export)
    problems.extend(problem for problem in older if problem.code == "export.unreadable")
    records = parse_export(workspace, export, problems)
    edited, deleted = _tell_changes(workspace, parts.reported, export, problems)
    write_parts(workspace, msgspec.structs.replace(noted, reported=export.name))
    summary = _summary(export, records, is_new=export not in exports)
    return msgspec.structs.replace(
        summary, projects=len(projects), fetched=fetched, edited=edited, deleted=deleted
    )


def _present(
    client: Client, project: Project | None, workspace: Workspace, parts: Parts, problems: Problems
) -> list[Project]:
    """The workspace's projects that the server has, by number; those that have gone become problems."""
    known = {each.id: Project(id=each.id, title=each.title) for each in assigned_projects(workspace)}
    if project is not None:
        known[project.id] = project
    if len(known) == 1 and project is not None:
        return [project]
    there = {int(entry["id"]) for entry in list_projects(client, include="id")}
    had = {part.project for part in parts.parts}
    for gone in sorted(set(known) - there):
        if gone in had:
            problems.add(
                "project.gone",
                f"the project {known[gone].title} was deleted on the server",
                severity="warning",
                fix=f"what was answered in it stays in exports/{parts.export}; `assign` makes it anew",
            )
    return [known[each] for each in sorted(set(known) & there)]


def _instance(workspace: Workspace) -> str:
    server = find(workspace)
    return server.instance if server is not None else ""


def _tell_changes(workspace: Workspace, before: str, export: Path, problems: Problems) -> tuple[int, int]:
    older = workspace.exports_dir / before
    if not before or before == export.name or not older.exists():
        return 0, 0
    changes = Problems()
    try:
        report_changes(older, export, changes)
    except FormatError as error:
        if any((problem.code, problem.file) == ("export.unreadable", before) for problem in problems):
            return 0, 0
        problems.add(
            "export.unreadable",
            f"what changed since then cannot be told: {error.message}",
            severity="warning",
            file=before,
            fix="restore it from a backup, or move it away",
        )
    problems.extend(changes)
    codes = [problem.code for problem in changes]
    return codes.count("answer.edited"), codes.count("answer.deleted")


def store_export(workspace: Workspace, raw: bytes | Path) -> Path:
    """Keep a raw export under the next number; returns the latest one instead if it holds the same bytes."""
    exports = workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX)
    opener = (lambda: io.BytesIO(raw)) if isinstance(raw, bytes) else (lambda: raw.open("rb"))
    if exports:
        with opener() as new, exports[-1].open("rb") as file:
            if _same(new, zstandard.ZstdDecompressor().stream_reader(file)):
                return exports[-1]
    path = workspace.next_numbered(workspace.exports_dir, EXPORT_SUFFIX)
    with opener() as new, atomic_file(path) as target:
        zstandard.ZstdCompressor(level=10, write_checksum=True).copy_stream(new, target)
    return path


def parse_export(workspace: Workspace, export: Path, problems: Problems) -> Path:
    """Read a stored export into the records file of the same number, and return that.

    Raises `FormatError` if the export cannot be read at all.
    """
    path = workspace.records_dir / f"{export.name.removesuffix(EXPORT_SUFFIX)}{RECORDS_SUFFIX}"
    images = {record.image_id: record for record in workspace.images()}
    found = converter.read(export, problems, images)
    write_records(path, reported(found, problems, min_area=workspace.settings.platform.min_area))
    return path


def parse_missing(workspace: Workspace, problems: Problems, except_for: Path | None = None) -> list[Path]:
    """Read every stored export that has no records, which a kill between the two steps leaves behind.

    One that cannot be read at all becomes a problem (`export.unreadable`), so that it stops no later pull.
    """
    parsed = {path.name[:6] for path in workspace.numbered(workspace.records_dir, RECORDS_SUFFIX)}
    made: list[Path] = []
    for export in workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX):
        if export.name[:6] in parsed or export == except_for:
            continue
        try:
            made.append(parse_export(workspace, export, problems))
        except FormatError as error:
            problems.add(
                "export.unreadable",
                error.message,
                severity="warning",
                file=export.name,
                fix="restore it from a backup, or move it away",
            )
    return made


def clear_copies(workspace: Workspace, project: Project) -> None:
    """Remove the copy that the server keeps of every export; ours is in `exports/`."""
    for copy in (workspace.platform_dir / "export").glob(f"project-{project.id}-at-*.json"):
        copy.unlink(missing_ok=True)


def _same(first: IO[bytes], second: zstandard.ZstdDecompressionReader) -> bool:
    # The decompressor may give less than was asked for, so both sides go through full chunks.
    try:
        for chunk in iter(lambda: first.read(_CHUNK), b""):
            if second.read(len(chunk)) != chunk:
                return False
        return not second.read(1)
    except zstandard.ZstdError:
        return False


def _summary(export: Path, records: Path, is_new: bool) -> PullResult:
    statuses: dict[str, int] = {}
    raters: set[str] = set()
    images = artifacts = 0
    for record in read_records(records):
        images += 1
        artifacts += len(record.artifacts)
        raters.update(record.raters)
        statuses[record.status] = statuses.get(record.status, 0) + 1
    return PullResult(
        export=export.name,
        records=records.name,
        is_new=is_new,
        images=images,
        artifacts=artifacts,
        raters=len(raters),
        statuses=dict(sorted(statuses.items())),
    )
