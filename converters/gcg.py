"""Grounded conversation generation (GCG): captions whose phrases have masks, for GLaMM and LEGION. Both ways.

The layout of GranD-f and OpenPSG-GCG (GLaMM, arXiv 2311.03356; read by `GCGBaseDataset` in
`dataset/gcg_datasets/GranDf_gcg_ds.py` of https://github.com/mbzuai-oryx/groundingLMM and of
https://github.com/opendatalab/LEGION): a list of ::

    {"file_name": "a.jpg", "image_id": ..., "caption": "...",
     "groundings": {"the left hand": {"token_positives": [100, 113],
                                      "rle_masks": [{"size": [height, width], "counts": "..."}]}}}

`token_positives` are the characters of the caption that get `<p> ... </p> [SEG]` around them; the masks of
one phrase are added up. (The other layout of those loaders, with `refs`, is `synthscars-json`.)

A folder has one file a split, `train/annotations/train.json`, beside `train/images`. Loaders ignore keys that
they do not know: the fields of records stand under their own names, where they are not what a reader would
assume anyway. Keys of this converter: `polygons` (rings in pixels, where the mask does not tell them),
`ungrounded` (artifacts that no loader can show, with their position), `original_caption` and
`original_file_name` (where the loaders need another one), `sha256` (where `image_id` is somebody else's).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from PIL import Image

from synthscars.converters.captions import without_marks
from synthscars.converters.fields import artifact_values, image_values, own
from synthscars.converters.gcg_grounding import grounding_of
from synthscars.converters.gcg_reading import NAMESPACE, read_entry
from synthscars.converters.holds import everything_but, narrow
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import NO_PICTURES, Names, SourcePictures, TargetPictures
from synthscars.converters.reading import UNLABELLED, Json, Where, kind, label_of, load_json, shown_files
from synthscars.converters.rle import write_rle
from synthscars.files import atomic_file, atomic_folder
from synthscars.geometry import from_rle, rle_area, to_rle
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, ImageRecord, Ring

HOLDS = everything_but(
    namespace=NAMESPACE,
    note="Loaders show an artifact only if it has an outline, and a phrase or an explanation; the others are "
    "kept beside the groundings and reported one by one. Clean images have no groundings: loaders skip them.",
)

_FOLDER_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}


# Reading


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read one annotation file, or a folder with `SPLIT/annotations/*.json`; records in their order.

    images: where the images are, if not in the `images` folder beside the annotations. The split is the
    folder's or what the file's name ends in (`OpenPsgGCG_train.json`), unless an entry names one.

    Every defect is reported with file, image and grounding; a grounding that cannot be used is kept in
    `extra`. Raises `FormatError` if there is no annotation file or one is not a list of entries.
    """
    for split, path in _annotation_files(source):
        entries = load_json(path)
        if not isinstance(entries, list):
            raise FormatError(
                f"{path}: it is {kind(entries)}, not a list of entries", fix="give the annotations"
            )
        beside = (
            path.parent.parent / "images" if path.parent.name == "annotations" else path.parent / "images"
        )
        pictures = SourcePictures([images or beside], NAMESPACE)
        for number, entry in enumerate(entries):
            record = read_entry(entry, f"entry {number}", Where(problems, str(path)), split, pictures)
            if record is not None:
                yield record


def _annotation_files(source: Path) -> list[tuple[str, Path]]:
    if not source.is_dir():
        if source.parent.name == "annotations":
            return [(source.resolve().parent.parent.name, source)]
        return [(_SPLITS.get(source.stem.rpartition("_")[2], ""), source)]
    found = [
        (path.resolve().parent.parent.name, path)
        for path in shown_files(source, "annotations/*.json", "*/annotations/*.json")
    ]
    if not found and any(source.iterdir()):
        fix = "give a .json file, or a folder with train/annotations/train.json"
        raise FormatError(f"{source}: no annotation file", fix=fix)
    return sorted(found, key=lambda each: (each[0] != "train", each[0] == "test", str(each[1])))


# Writing


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
) -> int:
    """Write records to one `.json` file, or to a new folder with one file a split; returns how many.

    pictures: the images are put into the folder (not beside a single file). Images without a prescribed split
    go to `train`.

    A caption is kept if every artifact finds a place of its own in it, else composed; phrases are told from
    each other, masks are binary and one an artifact (see `gcg_grounding`). An artifact that no loader can
    show is reported as `loss.artifact.grounding`, and an image file that is stored on its side as
    `image.not_upright`: the loaders take its width for its height. Raises `WorkspaceError` if the folder
    exists.
    """
    losses = Losses(str(target), problems)
    count = 0
    with ExitStack() as stack:
        files: dict[str, _File] = {}
        single = target.suffix == ".json"
        if single:
            opened = stack.enter_context(atomic_file(target))
            split = _annotation_files(target)[0][0]
            files[""] = _File(opened, None, split, str(target), NO_PICTURES)
        else:
            folder = stack.enter_context(atomic_folder(target))
        for record in narrow(records, HOLDS, losses):
            split = "" if single else record.split if _FOLDER_NAME.fullmatch(record.split) else "train"
            if split not in files:
                path = folder / split / "annotations" / f"{split}.json"
                path.parent.mkdir(parents=True)
                opened = stack.enter_context(path.open("wb"))
                file = str(target / path.relative_to(folder))
                files[split] = _File(opened, folder / split / "images", split, file, pictures)
            files[split].add(record, losses, problems)
            count += 1
        for each in files.values():
            each.finish()
    losses.report()
    return count


class _File:
    """Writes one annotation file, entry by entry."""

    def __init__(
        self, file: IO[bytes], folder: Path | None, split: str, name: str, pictures: TargetPictures
    ) -> None:
        self._file = file
        self._folder = folder
        self._split = split
        self._name = name
        self._pictures = pictures
        self._names = Names()
        self._empty = True

    def add(self, record: ImageRecord, losses: Losses, problems: Problems) -> None:
        # The name that it came with is kept beside this one: nothing is lost that would have to be counted.
        name = self._names.give(record, Losses("", Problems()), self._pictures.suffix(record))
        where = Where(problems, self._name, name)
        if self._folder is not None and self._pictures.place(record, self._folder, name, losses):
            _check_upright(self._folder / name, record, where)
        # ASCII only: the loaders open the file in the encoding of their machine.
        text = json.dumps(write_entry(record, name, self._split, where))
        self._file.write(b"[\n" if self._empty else b",\n")
        self._file.write(text.encode())
        self._empty = False

    def finish(self) -> None:
        """Close the list."""
        self._file.write(b"[]\n" if self._empty else b"\n]\n")


def _check_upright(path: Path, record: ImageRecord, where: Where) -> None:
    with Image.open(path) as image:
        stored = image.size
    if stored != (record.width, record.height):
        where.warn(
            "image.not_upright",
            f"it is stored on its side, as {stored[0]} x {stored[1]} pixels, and shown as {record.width} x "
            f"{record.height}; the loaders do not turn it, and its masks do not fit",
            "store it upright before you train",
        )


def write_entry(record: ImageRecord, name: str, split: str, where: Where) -> Json:
    """The entry of one record under a file name. split: what a reader assumes if the entry names none."""
    kept = own(record.extra, NAMESPACE)
    caption, places = grounding_of(record)
    groundings: Json = {}
    ungrounded: list[Json] = []
    for position, (artifact, place) in enumerate(zip(record.artifacts, places, strict=True)):
        values = _values(artifact)
        if place is None:
            rings = [list(ring) for ring in artifact.polygons]
            ungrounded.append({"position": position, **values, **({"polygons": rings} if rings else {})})
            _report_ungrounded(artifact, where)
            continue
        if values["artifact_id"] == str(len(groundings)):
            del values["artifact_id"]
        if artifact.phrase == place.key:
            del values["phrase"]
        elif not artifact.phrase:
            values["phrase"] = ""
        rle = to_rle(artifact.polygons, record.width, record.height)
        if not rle_area(rle):
            region = where.at(region=f"artifact {artifact.artifact_id}")
            region.warn("mask.empty", "its outline covers no pixel, so its mask is empty", "draw it larger")
        grounding = {"token_positives": list(place.span), "rle_masks": [write_rle(rle)], **values}
        if not _is_outline(artifact.polygons, rle):
            grounding["polygons"] = [list(ring) for ring in artifact.polygons]
        groundings[place.key] = grounding
    if any(without_marks(text) != text for text in _texts(record)):
        where.warn(
            "caption.marks",
            "its texts hold marks such as [SEG], which a tokenizer takes for masks; they are taken apart",
            "write the texts without them",
        )
    entry: Json = {"file_name": name, "image_id": kept.get("image_id", record.image_id)}
    return {
        **entry,
        "caption": caption,
        "groundings": groundings,
        **_image_values(record, name, caption, split, bool(groundings)),
        **({"ungrounded": ungrounded} if ungrounded else {}),
        **{key: value for key, value in own(kept, "fields").items() if key not in entry},
    }


def _values(artifact: Artifact) -> Json:
    values = artifact_values(artifact, NAMESPACE)
    label = label_of(artifact)
    return values if label == UNLABELLED else {"category": label, **values}


def _image_values(record: ImageRecord, name: str, caption: str, split: str, grounded: bool) -> Json:
    """The record's fields, except those that a reader gets from the rest of the entry."""
    values = image_values(record, NAMESPACE)
    for key in ("image_id", "file_name", "caption", "status", "split"):
        values.pop(key, None)
    if record.file_name != name:
        values["original_file_name"] = record.file_name
    if record.caption != caption:
        values["original_caption"] = record.caption
    if record.status != ("annotated" if grounded else "unlabelled"):
        values["status"] = record.status
    if record.split != split:
        values["split"] = record.split
    if "image_id" in own(record.extra, NAMESPACE):
        values["sha256"] = record.image_id
    if not grounded:
        values |= {"width": record.width, "height": record.height}
    return values


def _report_ungrounded(artifact: Artifact, where: Where) -> None:
    what = "it has no outline" if not artifact.polygons else "it has neither a phrase nor an explanation"
    where.at(region=f"artifact {artifact.artifact_id}").warn(
        "loss.artifact.grounding",
        f"{what}: no loader can show it; it is kept under `ungrounded`",
        "draw it" if not artifact.polygons else "name its place",
    )


def _is_outline(polygons: tuple[Ring, ...], rle: Json) -> bool:
    """Whether the rings are those that a reader gets from the mask."""
    on_grid = all(value.is_integer() for ring in polygons for value in ring)
    return on_grid and from_rle(rle) == polygons


def _texts(record: ImageRecord) -> Iterator[str]:
    yield record.caption
    for artifact in record.artifacts:
        yield artifact.phrase
        yield artifact.explanation
