"""What annotators answered comes back: first the raw export, kept for ever, then records read from it.

Storing and reading are separate steps. If the second is interrupted, the next pull makes up for it.
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import IO

import msgspec
import zstandard

from synthscars.converters import labelstudio as converter
from synthscars.files import atomic_file
from synthscars.jsonl import read_records, write_records
from synthscars.labelstudio.client import Client, translated
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.validation import reported
from synthscars.problems import FormatError, PlatformError, Problems
from synthscars.workspace import Workspace

EXPORT_SUFFIX = ".json.zst"
RECORDS_SUFFIX = ".jsonl.zst"
_CHUNK = 1 << 20


class PullResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a pull found. `is_new`: the export differs from the one before. `statuses`: images by status."""

    export: str
    records: str
    is_new: bool
    images: int
    artifacts: int
    raters: int
    statuses: dict[str, int]


def pull(client: Client, project: Project, workspace: Workspace, problems: Problems) -> PullResult:
    """Fetch the project's answers, store them untouched, and read them into records.

    Call it with the workspace locked. Raises `PlatformError` if the server refuses.
    """
    before = workspace.numbered(workspace.exports_dir, EXPORT_SUFFIX)
    with tempfile.TemporaryDirectory(prefix="synthscars-") as folder:
        raw = Path(folder) / "export.json"
        download(client, project, raw)
        export = store_export(workspace, raw)
    clear_copies(workspace, project)
    # The latest export is always read again: problems in it are reported until they are mended. What is wrong
    # with an answer in an older one is mended or reported with the latest; a whole file that is bad is not.
    older = Problems()
    parse_missing(workspace, older, except_for=export)
    problems.extend(problem for problem in older if problem.code == "export.unreadable")
    records = parse_export(workspace, export, problems)
    return _summary(export, records, is_new=export not in before)


def download(client: Client, project: Project, target: Path) -> None:
    """Fetch the raw export of all tasks, also those without answers, into a file as the server sends it.

    Raises `PlatformError` if the server refuses or sends anything but a list: exports are kept for ever.
    """
    path = f"/api/projects/{project.id}/export"
    query = {"exportType": "JSON", "download_all_tasks": "true"}
    with translated(), client.http.stream("GET", path, params=query) as response:
        response.raise_for_status()
        with target.open("wb") as file:
            for chunk in response.iter_bytes(_CHUNK):
                file.write(chunk)
    if not _is_list(target):
        raise PlatformError(
            "Label Studio sent something else than a whole export", fix="pull again; see platform/server.log"
        )


def _is_list(path: Path) -> bool:
    """Whether a file starts and ends as a JSON list does: no error page, not cut short."""
    with path.open("rb") as file:
        start = file.read(_CHUNK)
        file.seek(max(path.stat().st_size - _CHUNK, 0))
        return start.lstrip().startswith(b"[") and file.read().rstrip().endswith(b"]")


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
