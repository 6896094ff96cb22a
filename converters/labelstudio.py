"""Label Studio's JSON: tasks with annotations, as its raw export gives them and its import takes them.

A region of Label Studio is several result items that share an `id`: one with the shape and its category, and
one for each text or choice that belongs to it. The id is the only link between them. Coordinates are in
percent of the upright image. Shapes that are no polygons become rings and are kept in `extra` as they were.

Exports of other projects, which do not name images by our ids, are read as far as they say the same things:
see `docs/formats.md`.

An artifact of several rings is written as several regions, `ID`, `ID~2`, `ID~3`, …, with the same answers,
and read back as one artifact as long as the answers are still the same. What Label Studio has no place for is
kept in the `meta` of each task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import msgspec

from synthscars.converters.fields import own
from synthscars.converters.holds import EVERYTHING, narrow
from synthscars.converters.json_list import split_block
from synthscars.converters.labelstudio_answers import ImageReader, unsubmitted
from synthscars.converters.labelstudio_export import Export, open_export
from synthscars.converters.labelstudio_images import image_key
from synthscars.converters.labelstudio_kept import KEY, OTHERS, keep, restored
from synthscars.converters.labelstudio_quick import decode_task, decode_tasks, quick_records
from synthscars.converters.labelstudio_tasks import Json, annotation, results, task, task_data
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import NO_PICTURES, SourcePictures, TargetPictures
from synthscars.converters.reading import Where, decode_json, kind, plain, text
from synthscars.problems import FormatError, Problems
from synthscars.records import ImageRecord
from synthscars.taxonomy import load_taxonomy

HOLDS = msgspec.structs.replace(
    EVERYTHING,
    outlines="rounded",
    note="Raters without an account (rater-NUMBER) become predictions. Once somebody has answered in Label "
    "Studio, those are nobody's answer, and votes, agreement and captions no longer hold.",
)

__all__ = ["HOLDS", "annotation", "read", "results", "task", "task_data", "write"]


def read(
    source: Path | IO[bytes] | Sequence[Any],
    problems: Problems,
    known: Mapping[str, ImageRecord] | None = None,
    *,
    images: Path | None = None,
) -> Iterator[ImageRecord]:
    """Read an export: one record per image, in the order of its first task.

    source: a `.json` or `.json.zst` file, an open binary file, or the tasks themselves. A file is never held
    whole. known: what is known about each image, by image id. Its upright size is used, its fields are kept,
    and a task of any other image is set aside. Without it, the task's data say what is known, and tasks of
    other projects are read by the place of their image. images: the folder where such images are.

    `artifacts` holds the regions of all raters, `reviews` one answer per rater. Bad regions and tasks become
    problems; their raw items stay in `extra`. So do predictions, which are nobody's answer: one problem
    (`task.predictions`) counts those that no rater confirmed. Tasks that `write` made and nobody has answered
    since are the records they were made of. Raises `FormatError` if the file is no list of tasks, or not
    whole.
    """
    if isinstance(source, Sequence):
        reading = _Reading("tasks", problems, known, images)
        yield from reading.given(source)
    else:
        name = source.name if isinstance(source, Path) else str(getattr(source, "name", "export"))
        reading = _Reading(name, problems, known, images)
        with open_export(source, name, reading.key) as export:
            yield from reading.file(export)
    reading.report()


class _Reading:
    """One export that is being read."""

    def __init__(
        self,
        name: str,
        problems: Problems,
        known: Mapping[str, ImageRecord] | None,
        images: Path | None,
    ) -> None:
        self.name = name
        self.problems = problems
        self.known = known
        self.pictures = SourcePictures([images], "labelstudio")
        self.unconfirmed: list[int] = []
        self.numbers = 0
        self.tasks = 0

    def key(self, data: Any) -> str:
        """Which image a task's data name, `""` if none that could be used."""
        return image_key(data, foreign=self.known is None)

    def given(self, tasks: Sequence[Any]) -> Iterator[ImageRecord]:
        """Read tasks that are in memory."""
        by_image: dict[str, list[Any]] = {}
        for number, each in enumerate(map(plain, tasks)):
            key = self.key(each.get("data")) if isinstance(each, dict) else ""
            by_image.setdefault(key or f"nothing {number}", []).append(each)
        for found in by_image.values():
            yield from self.image(found)

    def file(self, export: Export) -> Iterator[ImageRecord]:
        """Read tasks from a file: those that are as they should be quickly, every other with care."""
        done: set[str] = set()
        for block in export.blocks(decode_tasks):
            items = None if block.decoded is not None else list(split_block(block))
            quick = block.decoded if items is None else [_quick(item.content) for item in items]
            for number, record in enumerate(quick_records(quick, self.known, export.repeated)):
                if record is not None:
                    self.tasks += 1
                    yield record
                    continue
                items = items or list(split_block(block))
                first = self._decoded(items[number].content)
                key = self.key(first.get("data")) if isinstance(first, dict) else ""
                if key not in done:
                    later = export.later_tasks(key) if key else []
                    done |= {key} if later else set()
                    yield from self.image([first, *map(self._decoded, later)])

    def _decoded(self, content: bytes) -> Any:
        try:
            return decode_json(content, self.name)
        except FormatError as error:
            return error

    def image(self, tasks: list[Any]) -> Iterator[ImageRecord]:
        """The record of the tasks of one image, none if that is to be set aside."""
        self.tasks += len(tasks)
        first = tasks[0]
        key = self.key(first.get("data")) if isinstance(first, dict) else ""
        if not key:
            self._set_aside(first)
            return
        about = self.known.get(key) if self.known is not None else None
        if self.known is not None and about is None:
            self.problems.add(
                "task.unknown_image",
                "the image is not in the workspace",
                file=self._where(first),
                image=key,
                fix="ingest the image into this workspace, or delete the task",
            )
            return
        # Before version 1.0, annotations were called completions.
        tasks = [
            {"annotations": each["completions"], **each} if "completions" in each else each for each in tasks
        ]
        untouched = self._restored(tasks) if about is None else []
        if untouched:
            yield from untouched
            return
        reader = ImageReader(self.name, tasks, about, self.problems, load_taxonomy(), self.pictures)
        yield reader.record()
        self.unconfirmed += [reader.unconfirmed] if reader.unconfirmed else []
        for each in tasks:
            listed = each.get("predictions")
            self.numbers += sum(type(one) is int for one in listed) if isinstance(listed, list) else 0

    def _restored(self, tasks: list[Json]) -> list[ImageRecord]:
        """What the tasks of an image were made of; nothing if one was answered since, or is not ours."""
        problems = Problems()
        found: list[ImageRecord] = []
        for each in tasks:
            where = Where(problems, self._where(each), text(each["data"].get("image_id")))
            record = restored(each, where)
            if record is None:
                self.problems.extend(one for one in problems if one.code == "task.damaged_meta")
                return []
            drafts = unsubmitted([each], where)
            extra = {**record.extra, "drafts": drafts} if drafts else record.extra
            found.append(msgspec.structs.replace(record, extra=extra))
        self.problems.extend(problems)
        return found

    def _where(self, entry: Any) -> str:
        number = entry.get("id", self.tasks) if isinstance(entry, dict) else self.tasks
        data = entry.get("data") if isinstance(entry, dict) else None
        name = text(data.get("file_name")) if isinstance(data, dict) else ""
        return f"{self.name}, task {number}{f', {name}' if name else ''}"

    def _set_aside(self, entry: Any) -> None:
        if isinstance(entry, FormatError):
            what = f"the task is not JSON ({entry.message.removeprefix(self.name + ': ')})"
            self.problems.add("task.not_json", what, file=self._where(entry), fix="export again")
            return
        if not isinstance(entry, dict):
            what = f"the task is {kind(entry)}, not an object"
            self.problems.add("task.not_an_object", what, file=self._where(entry), fix="export again")
            return
        self.problems.add(
            "task.no_image_id" if self.known is not None else "task.no_image",
            "the task's data name no image",
            file=self._where(entry),
            fix="push images with `synthscars platform push`; tasks made by hand cannot be matched"
            if self.known is not None
            else "tasks about anything else than images cannot be converted",
        )

    def report(self) -> None:
        """Tell what concerns the file as a whole."""
        if self.numbers:
            self.problems.add(
                "task.predictions_by_number",
                f"{self.numbers} predictions are in the export by number alone, as the server gives them; "
                "they are nobody's answer and are not read",
                severity="info",
                file=self.name,
                fix="let raters confirm them in Label Studio",
                count=self.numbers,
            )
        if self.unconfirmed:
            self.problems.add(
                "task.predictions",
                f"{sum(self.unconfirmed)} regions of {len(self.unconfirmed)} images are only predictions, "
                "which nobody confirmed; they are not read as artifacts",
                severity="warning",
                file=self.name,
                fix="let raters confirm them in Label Studio; if the file was converted, use its source",
            )


def _quick(content: bytes) -> Any:
    try:
        return decode_task(content)
    except msgspec.DecodeError:
        return None


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
    server finds the image; by default where it was in the project that it came from, else its file name under
    `/data/local-files/?d=images/`. The whole record is kept in the tasks' `meta`: to have images annotated
    without anything that biases the answers, push them instead.
    """
    count = 0
    losses = Losses(str(target) if isinstance(target, Path) else "tasks", problems)

    def lines(file: IO[bytes]) -> None:
        nonlocal count
        file.write(b"[")
        for record in narrow(records, HOLDS, losses):
            file.write(b",\n" if count else b"\n")
            file.write(msgspec.json.encode(_whole_task(record, image_url)))
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


def _whole_task(record: ImageRecord, image_url: Callable[[ImageRecord], str] | None) -> Json:
    others = own(record.extra, OTHERS)
    data, meta = own(others, "data"), own(others, "meta")
    before = text(data.get("image"))
    url = (
        image_url(record) if image_url else before or f"/data/local-files/?d=images/{quote(record.file_name)}"
    )
    written = task(record, url)
    for answer in written["annotations"]:
        # An import takes every answer for ground truth that does not say otherwise.
        answer.setdefault("ground_truth", False)
    written["data"] = {**data, **written["data"]}
    written["meta"] = {**meta, KEY: keep(record, written)}
    return written
