"""The raw exports of all projects become one file: a list in which each project has its part.

`platform/pulled.json` notes where each part lies in the newest export, and by which mark it is seen that
nothing has changed in its project since.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import msgspec

from synthscars.converters.json_list import open_plain
from synthscars.converters.labelstudio_export import open_export
from synthscars.files import atomic_file
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.marks import mark_of_export, mark_on_server
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.retries import CutShortError
from synthscars.problems import FormatError
from synthscars.workspace import Workspace

PARTS_NAME = "pulled.json"
_CHUNK = 1 << 20


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One project in an export. mark: what is compared; offset, length: bytes in the unpacked file."""

    project: int
    mark: str
    offset: int
    length: int


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What lies where in an export. reported: up to which export it was told what people changed.

    server: the instance of the server that it was fetched from.
    """

    export: str = ""
    reported: str = ""
    server: str = ""
    parts: tuple[Part, ...] = ()


def read_parts(workspace: Workspace) -> Parts:
    """The notes of the last pull; empty ones if there are none, so that everything is fetched."""
    try:
        parts = msgspec.json.decode((workspace.platform_dir / PARTS_NAME).read_bytes(), type=Parts)
    except (FileNotFoundError, msgspec.DecodeError):
        return Parts()
    # Exports may have been moved away or restored from elsewhere.
    return parts if (workspace.exports_dir / parts.export).is_file() else Parts()


def write_parts(workspace: Workspace, parts: Parts) -> None:
    """Keep the notes of a pull."""
    with atomic_file(workspace.platform_dir / PARTS_NAME) as file:
        file.write(msgspec.json.encode(parts))


def fetch_parts(
    client: Client,
    projects: Sequence[Project],
    workspace: Workspace,
    before: Parts,
    folder: Path,
    advance: Callable[[int], None],
) -> tuple[Path | None, tuple[Part, ...], int]:
    """The merged export in `folder`, where the parts lie in it, and how many projects had to be fetched.

    `None` instead of a file if the export that `before` describes still is what the server has.
    """
    known = {part.project: part for part in before.parts}
    marks: dict[int, str] = {}
    fetched: dict[int, Path] = {}
    for project in projects:
        part = known.get(project.id)
        if part is None or not part.mark or part.mark != mark_on_server(client, project):
            fetched[project.id] = export = folder / f"{project.id}.json"
            download(client, project, export)
            marks[project.id] = mark_of_export(export)
        else:
            marks[project.id] = part.mark
        advance(1)
    newest = workspace.numbered(workspace.exports_dir, ".json.zst")[-1:]
    if not fetched and known.keys() == marks.keys() and [path.name for path in newest] == [before.export]:
        return None, before.parts, 0
    target = folder / "export.json"
    parts = []
    with target.open("wb") as file, ExitStack() as stack:
        old: IO[bytes] | None = None
        if fetched.keys() != marks.keys():
            old = stack.enter_context(open_plain(workspace.exports_dir / before.export))
        file.write(b"[")
        for number, mark in marks.items():
            if number in fetched or old is None:
                source: IO[bytes] = stack.enter_context(fetched[number].open("rb"))
                start, length = _inside(source)
            else:
                source, start, length = old, known[number].offset, known[number].length
            if length and file.tell() > 1:
                file.write(b",")
            parts.append(Part(project=number, mark=mark, offset=file.tell(), length=length))
            _copy(source, start, length, file)
        file.write(b"]")
    return target, tuple(parts), len(fetched)


def download(client: Client, project: Project, target: Path) -> None:
    """Fetch the raw export of all tasks, also those without answers, into a file as the server sends it.

    Raises `PlatformError` if the server refuses or sends anything but a whole list: exports are
    kept for ever.
    """
    path = f"/api/projects/{project.id}/export"
    query = {"exportType": "JSON", "download_all_tasks": "true"}

    def attempt() -> None:
        with client.http.stream("GET", path, params=query) as response:
            response.raise_for_status()
            with target.open("wb") as file:
                for chunk in response.iter_bytes(_CHUNK):
                    file.write(chunk)
        try:
            with open_export(target, "it", lambda data: ""):
                pass
        except FormatError as error:
            with target.open("rb") as file:
                is_page = file.read(_CHUNK).lstrip().startswith(b"<")
            raise CutShortError("an HTML page" if is_page else error.message) from error

    client.call(attempt)


def _inside(file: IO[bytes]) -> tuple[int, int]:
    """Where the items of a list begin, and how many bytes they are; the file is known to be a list."""
    start = _skip_space(file, 0, 1) + 1
    end = _skip_space(file, os.fstat(file.fileno()).st_size - 1, -1)
    first = _skip_space(file, start, 1)
    return (first, _skip_space(file, end - 1, -1) + 1 - first) if first < end else (start, 0)


def _skip_space(file: IO[bytes], place: int, step: int) -> int:
    while True:
        file.seek(place)
        if not file.read(1).isspace():
            return place
        place += step


def _copy(source: IO[bytes], offset: int, length: int, target: IO[bytes]) -> None:
    source.seek(offset)
    while length:
        chunk = source.read(min(length, _CHUNK))
        if not chunk:
            raise FormatError("the export before is shorter than noted", fix="pull with --full")
        target.write(chunk)
        length -= len(chunk)
