"""The images of a release, of a workspace, or of files, one by one, for a model to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from synthscars.ingest.scan import Scan
from synthscars.ingest.sources import candidates
from synthscars.jsonl import read_records
from synthscars.legion.running import Item
from synthscars.problems import FormatError, Problems, ReleaseError, UsageError, WorkspaceError
from synthscars.release.files import DataFile, EmbeddedImages, data_files, detection_files, opened
from synthscars.workspace import Workspace


def is_release(path: Path) -> bool:
    """Whether this is the folder of a release, a folder of its Parquet files, or a single one."""
    if path.is_file():
        return path.suffix == ".parquet"
    return any(next(folder.glob("*.parquet"), None) for folder in (path / "data", path))


def release_files(source: Path, split: str | None = None) -> list[DataFile]:
    """The files of a release, also of photographs that nobody annotated; of one split if it is named.

    Raises `FormatError` if there is none, `UsageError` if the release has no such split.
    """
    files = [*data_files(source), *detection_files(source)]
    found = [file for file in files if split in (None, file.split)]
    if not found:
        names = ", ".join(sorted({file.split for file in files} - {""})) or "no named splits"
        raise UsageError(f"{source} has no split {split!r}", fix=f"it has {names}")
    return found


def count_rows(files: Iterable[DataFile]) -> int:
    """How many images some files of a release hold; those that cannot be read hold none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 0
    for file in files:
        try:
            count += pq.read_metadata(file.path).num_rows
        except (OSError, pa.ArrowException):
            continue  # `release_items` reports it
    return count


def release_items(source: Path, files: Iterable[DataFile], problems: Problems) -> Iterator[Item]:
    """The images of a release in the order of its rows; what cannot be read becomes problems.

    The bytes are read one row group at a time, when an image is wanted.
    """
    images = EmbeddedImages(source)
    for file in files:
        name = file.path.name
        try:
            with opened(file.path, ours=False) as reader:
                for row in reader.rows():
                    if isinstance(row, FormatError):
                        problems.add("row.unreadable", row.message, fix="fetch or build it again", file=name)
                        continue
                    image_id = str(row.values.get("image_id"))
                    shown = str(row.values.get("file_name") or f"{name}, row {row.number}")
                    yield Item(shown, partial(_embedded, images, image_id), image_id)
        except FormatError as error:
            problems.add("file.unreadable", error.message, fix=error.fix, file=name)


def _embedded(images: EmbeddedImages, image_id: str) -> bytes:
    data = images(image_id)
    if data is None:
        raise ReleaseError(
            "its bytes are not in the release, or are not those of its id", fix="fetch or build it again"
        )
    return data


def workspace_items(workspace: Workspace) -> list[Item]:
    """The images of a workspace that nobody has answered yet, by its newest records; oldest first."""
    try:
        records = workspace.latest_records()
    except WorkspaceError:
        answered: set[str] = set()
    else:
        answered = {each.image_id for each in read_records(records) if each.status != "unlabelled"}
    return [
        Item(record.file_name, partial(workspace_image, workspace, record.image_id), record.image_id)
        for record in workspace.images()
        if record.image_id not in answered
    ]


def workspace_image(workspace: Workspace, image_id: str) -> bytes:
    """The bytes of an image of a workspace. Raises `FormatError` if that is no image id, `WorkspaceError` if
    there is no such image."""
    path = workspace.find_image(image_id)
    if path is None:
        raise WorkspaceError("the file is not in the workspace any more", fix="ingest it again")
    return path.read_bytes()


def file_items(sources: Iterable[str], problems: Problems) -> list[Item]:
    """The images in folders, zip archives, patterns and single files, as `synthscars ingest` finds them.

    What cannot be used becomes problems. An image's id is the sha256 of its bytes, as in a workspace.
    """
    found = candidates(sources, Scan(problems))
    return [Item(candidate.source, candidate.load) for candidate in found]
