"""Label Studio's JSON: tasks with annotations, as its raw export gives them and its import takes them.

A region of Label Studio is several result items that share an `id`: one with the polygon and its category,
and one for each text or choice that belongs to it. The id is the only link between them. Polygons are in
percent of the upright image.

An artifact of several rings is written as several regions, `ID`, `ID~2`, `ID~3`, …, with the same answers,
and read back as one artifact as long as the answers are still the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import msgspec

from synthscars.converters.holds import everything_but
from synthscars.converters.labelstudio_answers import ImageReader
from synthscars.converters.labelstudio_tasks import Json, annotation, results, task, task_data
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import NO_PICTURES, TargetPictures
from synthscars.problems import FormatError, Problems
from synthscars.records import ImageRecord
from synthscars.taxonomy import Taxonomy, load_taxonomy

HOLDS = everything_but(
    "origin",
    "caption",
    "generation",
    "group_id",
    "split",
    "source",
    "license",
    "extra",
    "artifact.votes",
    "artifact.agreement",
    "artifact.extra",
    outlines="rounded",
    regionless=False,
    note="Raters without an account (rater-NUMBER) become predictions, which are nobody's answer when read.",
)

__all__ = ["HOLDS", "annotation", "read", "results", "task", "task_data", "write"]


def read(
    source: Path | IO[bytes] | Sequence[Any],
    problems: Problems,
    known: Mapping[str, ImageRecord] | None = None,
    taxonomy: Taxonomy | None = None,
    *,
    images: Path | None = None,
) -> Iterator[ImageRecord]:
    """Read an export: one record per image, in the order of its first task.

    source: a `.json` or `.json.zst` file, an open binary file, or the tasks themselves.
    known: what is known about each image, by image id. Its upright size is used, its fields are kept, and a
    task of any other image is set aside. Without it, the size in the task's data is used.

    `artifacts` holds the regions of all raters, `reviews` one answer per rater. Bad regions and tasks become
    problems; their raw items stay in `extra`. So do predictions, which are nobody's answer: one problem
    (`task.predictions`) counts those that no rater confirmed. Raises `FormatError` if the file is no list of
    tasks.
    """
    name, tasks = _load(source)
    by_image: dict[str, list[Json]] = {}
    for number, entry in enumerate(tasks, start=1):
        data = entry.get("data") if isinstance(entry, dict) else None
        image_id = data.get("image_id") if isinstance(data, dict) else None
        where = f"{name}, task {entry.get('id', number) if isinstance(entry, dict) else number}"
        if isinstance(data, dict) and isinstance(data.get("file_name"), str) and data["file_name"]:
            where += f", {data['file_name']}"
        if not isinstance(image_id, str) or not image_id:
            problems.add(
                "task.no_image_id",
                "the task's data name no image",
                file=where,
                fix="push images with `synthscars platform push`; tasks made by hand cannot be matched",
            )
        elif known is not None and image_id not in known:
            problems.add(
                "task.unknown_image",
                "the image is not in the workspace",
                file=where,
                image=image_id,
                fix="ingest the image into this workspace, or delete the task",
            )
        else:
            by_image.setdefault(image_id, []).append(entry)
    unconfirmed: list[int] = []
    for image_id, found in by_image.items():
        about = known[image_id] if known is not None else None
        reader = ImageReader(name, image_id, found, about, problems, taxonomy or load_taxonomy())
        yield reader.record()
        unconfirmed += [reader.unconfirmed] if reader.unconfirmed else []
    if unconfirmed:
        problems.add(
            "task.predictions",
            f"{sum(unconfirmed)} regions of {len(unconfirmed)} images are only predictions, which nobody "
            "confirmed; they are not read as artifacts",
            severity="warning",
            file=name,
            fix="let raters confirm them in Label Studio; if the file was converted, use its source",
        )


def write(
    records: Iterable[ImageRecord],
    target: Path | IO[bytes],
    problems: Problems,
    image_url: Callable[[ImageRecord], str] | None = None,
    *,
    pictures: TargetPictures = NO_PICTURES,
) -> int:
    """Write records as tasks that Label Studio can import; returns how many.

    target: a `.json` or `.json.zst` file (written atomically) or an open binary file. image_url: where the
    server finds the image; by default its file name under `/data/local-files/?d=images/`. What Label Studio
    cannot hold is reported once per kind, as `loss.*`.
    """
    count = 0
    losses = Losses(str(target) if isinstance(target, Path) else "tasks", problems)

    def lines(file: IO[bytes]) -> None:
        nonlocal count
        file.write(b"[")
        for record in records:
            url = image_url(record) if image_url else f"/data/local-files/?d=images/{quote(record.file_name)}"
            file.write(b",\n" if count else b"\n")
            file.write(msgspec.json.encode(task(record, url, problems, losses)))
            count += 1
        file.write(b"\n]\n")

    if isinstance(target, Path):
        from synthscars.files import atomic_file

        with atomic_file(target) as file:
            if target.suffix == ".zst":
                import zstandard

                compressor = zstandard.ZstdCompressor(level=10, write_checksum=True)
                with compressor.stream_writer(file, closefd=False) as stream:
                    lines(stream)
            else:
                lines(file)
    else:
        lines(target)
    losses.report()
    return count


def _load(source: Path | IO[bytes] | Sequence[Any]) -> tuple[str, list[Any]]:
    if isinstance(source, Path):
        name, content = source.name, _bytes(source)
    elif isinstance(source, Sequence):
        return "tasks", _plain(list(source))
    else:
        name, content = str(getattr(source, "name", "export")), source.read()
    try:
        tasks = _decode(content)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{name}: {error}", fix="pull again, or export as JSON from Label Studio"
        ) from error
    if not isinstance(tasks, list):
        raise FormatError(
            f"{name}: not a list of tasks", fix="export as JSON from Label Studio, not JSON-MIN"
        )
    return name, tasks


def _bytes(path: Path) -> bytes:
    if path.suffix != ".zst":
        return path.read_bytes()
    import zstandard

    try:
        with path.open("rb") as file:
            return zstandard.ZstdDecompressor().stream_reader(file).read()
    except zstandard.ZstdError as error:
        raise FormatError(f"{path}: {error}", fix="pull again, or restore the file from a backup") from error


def _decode(content: bytes) -> Any:
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        # The faster decoder refuses NaN and lone surrogates, which spoil one region, not the file.
        return _plain(json.loads(content))


def _plain(value: Any) -> Any:
    """The same JSON with what no record can hold (NaN, lone surrogates, huge integers) turned into text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(float("inf"))
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(entry) for key, entry in value.items()}
    return value if value is None or isinstance(value, bool) else str(value)
