"""Reasoning segmentation as LISA has it (ReasonSeg, arXiv 2308.00692): one JSON beside each image. Both ways.

https://github.com/dvlab-research/LISA, `utils/reason_seg_dataset.py` and `utils/data_processing.py`::

    train/NAME.jpg   train/NAME.json   val/...   test/...   explanatory/train.json

    {"text": ["the part of the picture that ..."], "is_sentence": true,
     "shapes": [{"label": "target", "labels": ["target"], "shape_type": "polygon", "image_name": "NAME.jpg",
                 "points": [[x, y], ...], "group_id": null, "group_ids": [null], "flags": {}}, ...]}

The mask of an image is the union of its shapes, and each text is a question that has this mask as its answer:
so the text that is written is the caption, the only one that speaks of all artifacts of an image. Each shape
has the texts of its artifact, and all its other fields, as keys of its own, which LISA ignores; so has each
file those of the image. `explanatory/train.json`, a list of `{"image", "query", "outputs"}`, has the
explanations as the answer in words; LISA's loader wants the file to be there.

What the loader does to shapes: one whose label holds "ignore" becomes 255, left out of the evaluation; one
labelled "flag" is skipped; anything else is the target. The last two are no artifacts here. Vertices are cut
off to whole pixels. It looks for `*.jpg` only, so every image is named `.jpg`, whatever it is: OpenCV and
Pillow tell an image by its content. Text is read as UTF-8, else as cp1252.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO

from synthscars.converters.captions import caption_of, is_stale, without_marks
from synthscars.converters.fields import artifact_values, image_values, own
from synthscars.converters.holds import everything_but, narrow
from synthscars.converters.lisa_reading import (
    EXPLANATORY,
    NAMESPACE,
    TARGET,
    outputs_of,
    read_file,
    shape_frame,
    split_of,
)
from synthscars.converters.losses import Losses
from synthscars.converters.parts import apart, groups, whole_number
from synthscars.converters.pictures import NO_PICTURES, Names, SourcePictures, TargetPictures
from synthscars.converters.reading import UNLABELLED, Json, Where, label_of, load_json, shown_files, text
from synthscars.files import atomic_folder
from synthscars.problems import FormatError, Problems, UsageError
from synthscars.records import Artifact, ImageRecord

HOLDS = everything_but(
    statuses=frozenset({"clean"}),
    regionless=False,
    namespace=NAMESPACE,
    note="LISA takes an image without shapes for one where nothing is to be found, so only clean ones are "
    "written. It has one mask and one text an image: the union, and the caption.",
)

_FOLDER_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


# Reading


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read one file, the folder of a split, or a folder of such folders; records in the order of the names.

    images: where the images are, if not beside their files. The split is the name of the folder (`val` is
    `validation`), unless the file names one.

    A text that is in no field of ours speaks of the whole image: the first is the caption, all are kept in
    `extra`. Of an image with one shape, `outputs` of `explanatory/train.json` is the explanation. Every
    defect is reported with file, image and shape; what cannot be used is kept in `extra`. A file in a folder
    that cannot be read is reported and left out; raises `FormatError` if `source` itself is one.
    """
    if not source.is_dir():
        yield read_file(
            source,
            problems,
            SourcePictures([images, source.parent], NAMESPACE),
            _explanatory(source, problems),
        )
        return
    folder: Path | None = None
    for path in _files(source):
        if path.parent != folder:
            folder = path.parent
            pictures = SourcePictures([images, folder], NAMESPACE)
            explained = _explanatory(path, problems)
        try:
            yield read_file(path, problems, pictures, explained)
        except FormatError as error:
            what = error.message.removeprefix(f"{path}: ")
            problems.add("file.unreadable", what, fix=error.fix, file=str(path))


def _files(source: Path) -> list[Path]:
    found = [path for path in shown_files(source, "*.json", "*/*.json") if path.parent.name != EXPLANATORY]
    if not found and any(path.is_file() and path.parent.name != EXPLANATORY for path in source.rglob("*")):
        raise FormatError(f"{source}: no JSON file in it", fix="give a folder with train/NAME.json")
    return sorted(found, key=lambda path: (path.parent, path.name))


def _explanatory(path: Path, problems: Problems) -> dict[str, Json]:
    """What `explanatory/train.json` says about each image of the folder that a file is in, by its name."""
    found = path.parent.parent / EXPLANATORY / "train.json"
    if path.parent.name != "train" or not found.is_file():
        return {}
    try:
        entries = load_json(found)
    except FormatError as error:
        problems.add("file.unreadable", error.message, fix=error.fix, file=str(found), severity="warning")
        return {}
    usable = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return {text(entry.get("image")): entry for entry in usable}


# Writing


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
) -> int:
    """Write a new folder with a folder for each split, and in it one JSON an image; returns how many.

    pictures: the images are put beside their JSON files. Images without a prescribed split go to `train`.
    Marks of the tokenizer are taken apart in what LISA reads. Raises `WorkspaceError` if the folder exists,
    `UsageError` if `target` is named like a file.
    """
    if target.suffix.lower() == ".json":
        raise UsageError(f"{target}: LISA has a file for each image", fix="name a folder")
    losses = Losses(str(target), problems)
    count = 0
    with atomic_folder(target) as folder, ExitStack() as stack:
        (folder / EXPLANATORY).mkdir()
        explained = _List(stack.enter_context((folder / EXPLANATORY / "train.json").open("wb")))
        splits: dict[str, _Names] = {}
        for record in narrow(records, HOLDS, losses):
            split = _folder_of(record)
            stem = splits.setdefault(split, _Names()).give(record)
            where = Where(problems, str(target / split / f"{stem}.json"), f"{stem}.jpg")
            pictures.place(record, folder / split, f"{stem}.jpg", losses)
            content = write_image(record, f"{stem}.jpg", split, where)
            _write_json(folder / split / f"{stem}.json", content)
            answer = _explained(record, f"{stem}.jpg", content["text"][0])
            if split == "train" and answer:
                explained.add(answer)
            count += 1
        explained.finish()
    losses.report()
    return count


def _folder_of(record: ImageRecord) -> str:
    if record.split == "validation":
        return "val"
    usable = _FOLDER_NAME.fullmatch(record.split) and record.split.lower() != EXPLANATORY
    return record.split if usable else "train"


class _Names:
    """Gives every record of one folder a stem of its own, which LISA finds the JSON of an image by."""

    def __init__(self) -> None:
        self._names = Names(unique_stems=True)
        self._taken: set[str] = set()

    def give(self, record: ImageRecord) -> str:
        # The name that it came with is kept in the file: nothing is lost that would have to be counted.
        name = self._names.give(record, Losses("", Problems()))
        stem = PurePosixPath(name).stem
        # The loader replaces every ".jpg" in a path by ".json".
        stem = stem.replace(".jpg", "_jpg")
        unique, number = stem, 2
        while unique.casefold() in self._taken:
            unique, number = f"{stem}~{number}", number + 1
        self._taken.add(unique.casefold())
        return unique


def _write_json(path: Path, content: Json) -> None:
    path.parent.mkdir(exist_ok=True)
    # ASCII only: the loader opens the file in the encoding of its machine.
    path.write_bytes(json.dumps(content).encode())


class _List:
    """Writes a JSON list, entry by entry."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._empty = True

    def add(self, entry: Json) -> None:
        self._file.write((b"[\n" if self._empty else b",\n") + json.dumps(entry).encode())
        self._empty = False

    def finish(self) -> None:
        """Close the list."""
        self._file.write(b"[]\n" if self._empty else b"\n]\n")


def write_image(record: ImageRecord, name: str, split: str, where: Where) -> Json:
    """The file of one record. name: of the image; split: the folder."""
    kept = own(record.extra, NAMESPACE)
    texts = kept.get("text", [record.caption])
    is_sentence = kept.get("is_sentence", True)
    as_read = isinstance(texts, list) and all(map(text, texts)) and texts[:1] == [record.caption]
    if not as_read or is_stale(record):
        texts, is_sentence = [caption_of(record)], True
    said = [without_marks(each) for each in texts]
    if said != texts:
        what = "its text holds marks such as [SEG], which a tokenizer takes for masks; they are taken apart"
        where.warn("caption.marks", what, "write the text without them")
    values = image_values(record, NAMESPACE)
    if record.caption == said[0]:
        del values["caption"]
    else:
        values["caption"] = record.caption
    values.pop("split", None)
    if record.split != split_of(split):
        values["split"] = record.split
    return {
        "text": said,
        "is_sentence": is_sentence,
        "shapes": _shapes(record, name),
        **values,
        "width": record.width,
        "height": record.height,
        **own(kept, "fields"),
    }


def _shapes(record: ImageRecord, name: str) -> list[Json]:
    shapes: list[Json] = []
    parts = [apart(artifact, NAMESPACE, lambda _: None) for artifact in record.artifacts]
    numbers = groups(record.artifacts, [len(each) for each in parts], NAMESPACE)
    for artifact, drawn, group in zip(record.artifacts, parts, numbers, strict=True):
        values = _values(artifact)
        # What tells the artifact, for its second shape and further ones.
        same = {key: values[key] for key in ("artifact_id", "rater_id", "category") if key in values}
        for number, part in enumerate(drawn):
            points = [list(point) for point in zip(part.ring[::2], part.ring[1::2], strict=True)]
            shape = {**shape_frame(TARGET, name, group), "points": points}
            shapes.append(shape | (same if number else values) | part.rest)
    others = own(record.extra, NAMESPACE).get("others")
    for other in others if isinstance(others, list) else ():
        position = whole_number(other.get("position")) if isinstance(other, dict) else None
        if position is not None and isinstance(other.get("shape"), dict):
            shapes.insert(min(max(position, 0), len(shapes)), other["shape"])
    return shapes


def _values(artifact: Artifact) -> Json:
    values = artifact_values(artifact, NAMESPACE)
    label = label_of(artifact)
    return values if label == UNLABELLED else {"category": label, **values}


def _explained(record: ImageRecord, name: str, query: str) -> Json | None:
    """The answer in words: all explanations, else what the image came with; `None` if there is none."""
    kept = own(own(record.extra, NAMESPACE), EXPLANATORY)
    outputs = outputs_of(record.artifacts) or text(kept.get("outputs"))
    if not outputs:
        return None
    return {"image": name, "query": text(kept.get("query")) or query, "outputs": outputs}
