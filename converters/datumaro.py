"""Datumaro's own JSON: one file for each subset, the images in folders beside. Both ways.

Source of the format: `datumaro/plugins/data_formats/datumaro/{base,exporter}.py` in
https://github.com/open-edge-platform/datumaro::

    annotations/train.json       images/train/*.jpg

    {"dm_format_version": "1.0", "media_type": 2, "infos": {},
     "categories": {"label": {"labels": [{"name": "structure", "parent": "", "attributes": []}], ...}},
     "items": [{"id": "a", "attr": {...}, "image": {"path": "a.jpg", "size": [height, width]},
                "annotations": [{"id": 0, "type": "polygon", "attributes": {...}, "group": 0,
                                 "label_id": 0, "points": [x0, y0, ...], "z_order": 0}]}]}

Coordinates are pixels of the upright image. Attributes hold any JSON: the fields of artifacts stand there,
and those of images in `attr`, under their own names. The caption is a `caption` annotation, an artifact
without an outline a `label`; the rings of one artifact share a `group`. Images without a split are in the
subset `default`, as Datumaro calls it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import msgspec

from synthscars.converters.datumaro_annotations import Annotations, rings_of, write_annotation
from synthscars.converters.fields import (
    artifact_values,
    image_values,
    own,
    read_image_values,
    settle_status,
)
from synthscars.converters.holds import everything_but, narrow
from synthscars.converters.losses import Losses
from synthscars.converters.parts import apart, groups, join
from synthscars.converters.pictures import NO_PICTURES, Names, SourcePictures, TargetPictures, base_name
from synthscars.converters.reading import (
    UNLABELLED,
    Json,
    Where,
    decode_json,
    kind,
    label_of,
    read_bytes,
    shown_files,
    text,
    unknown_fields,
    whole,
)
from synthscars.problems import FormatError, Problems
from synthscars.records import ImageRecord
from synthscars.taxonomy import load_taxonomy

NAMESPACE = "datumaro"

HOLDS = everything_but(
    namespace=NAMESPACE,
    note="Boxes, ellipses and masks come back as such unless their outline was changed. Points, polylines "
    "and cuboids are no regions; they stay in `extra` and come back. Of the categories only the names of the "
    "labels do.",
)

_DEFAULT = "default"
_SPLITS = frozenset({"train", "validation", "val", "test"})
_FOLDER_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_REJECTED = "rejected_annotations"
_MOST_SUBSETS = 64
"""Files that are open at once; images of further splits are written to the subset `default`."""


# Reading


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read the file of one subset, or all those of a dataset's folder; records in the order of the files.

    images: where the images are, if not in `images/SUBSET` beside the folder of the annotations. Where there
    is no such folder, no image is looked at.

    Whatever is wrong with an item or annotation is reported with its place, the rest is read. Raises
    `FormatError` if there is no such file or one is not of Datumaro.
    """
    if not source.is_dir():
        split = source.stem if source.parent.name == "annotations" or source.stem in _SPLITS else ""
        yield from _read_file(source, source.name, split, problems, images)
        return
    folder = source / "annotations" if (source / "annotations").is_dir() else source
    paths = shown_files(folder, "*.json")
    if not paths and folder == source:
        raise FormatError(f"{source}: no annotations in it", fix="give the folder that Datumaro exported to")
    for path in paths:
        name = path.relative_to(source).as_posix()
        yield from _read_file(path, name, path.stem, problems, images)


def _read_file(
    path: Path, name: str, subset: str, problems: Problems, images: Path | None
) -> Iterator[ImageRecord]:
    items, labels = _contents(path, problems)
    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    inner = root / "images" / subset if _FOLDER_NAME.fullmatch(subset) else None
    pictures = SourcePictures([images, inner, root / "images"], NAMESPACE)
    split = "" if subset == _DEFAULT else "validation" if subset == "val" else subset
    for number, raw in enumerate(items):
        where = Where(problems, str(path))
        try:
            item = decode_json(bytes(raw), str(path)) if isinstance(raw, msgspec.Raw) else raw
        except FormatError as error:
            what = error.message.removeprefix(f"{path}: ")
            where.at(region=f"items[{number}]").add("item.unreadable", what, error.fix)
            continue
        if not isinstance(item, dict):
            where.at(region=f"items[{number}]").add(
                "item.not_an_object", f"it is {kind(item)}, not an object", "export the dataset again"
            )
            continue
        record = _read_item(item, number, name, split, labels, pictures, where)
        if record is not None:
            yield record


def _contents(path: Path, problems: Problems) -> tuple[list[Any], list[str]]:
    """The items, each still to be decoded where possible, and the names of the labels."""
    content = read_bytes(path)
    top: Any
    items: Any
    try:
        # Item by item: an object takes ten times the memory of its text.
        top = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        items = msgspec.json.decode(top["items"], type=list[msgspec.Raw]) if "items" in top else None
        categories = decode_json(bytes(top["categories"]), str(path)) if "categories" in top else {}
    except (ValueError, RecursionError):  # also of keys that are not UTF-8
        top = decode_json(content, str(path))
        items = top.get("items") if isinstance(top, dict) else None
        categories = top.get("categories") if isinstance(top, dict) else None
    if not isinstance(items, list):
        raise FormatError(f"{path}: no list of items in it", fix="give a file that Datumaro exported")
    where = Where(problems, str(path))
    listed = own(own({"categories": categories}, "categories"), "label").get("labels", [])
    if not isinstance(listed, list):
        where.add("categories.no_labels", f"the labels are {kind(listed)}", "export the dataset again")
        return items, []
    labels = [text(each.get("name")) if isinstance(each, dict) else "" for each in listed]
    for number, label in enumerate(labels):
        if not label:
            where.warn("categories.no_name", f"label {number} has no name", "its regions have no category")
    return items, labels


def _read_item(
    item: Json,
    number: int,
    source: str,
    split: str,
    labels: list[str],
    pictures: SourcePictures,
    where: Where,
) -> ImageRecord | None:
    image = own(item, "image")
    item_id = item.get("id")
    given_id = str(item_id) if isinstance(item_id, (str, int)) else ""
    path = text(image.get("path")) or (f"{given_id}.jpg" if given_id else "")
    file_name = base_name(path)
    where = where.at(image=file_name or f"items[{number}]")
    if "image" not in item and any(key in item for key in ("point_cloud", "video", "video_frame")):
        where.add("item.no_image", "it is a video or a point cloud", "leave it out")
        return None
    if not file_name:
        where.add("item.no_image", "it has neither an id nor the path of an image", "export it again")
        return None
    size = image.get("size")
    height, width = map(whole, size) if isinstance(size, list) and len(size) == 2 else (0, 0)
    fields, rest = read_image_values(own(item, "attr"), where)
    found_before = rest.pop(_REJECTED, [])
    ours = "image_id" in fields
    picture = pictures.find(
        path,
        where,
        image_id=fields.get("image_id", ""),
        size=(width, height),
        stand_in=f"{source}/{path}",
    )
    found = Annotations(labels, picture.width, picture.height)
    annotations = item.get("annotations", [])
    if not isinstance(annotations, list):
        where.add("annotations.not_a_list", f"the annotations are {kind(annotations)}", "export it again")
        found.rejected.append(annotations)
        annotations = []
    for index, annotation in enumerate(annotations):
        found.add(annotation, index, where.at(region=f"annotation {_id(annotation, index)}"))
    if found.caption and "caption" in fields:
        found.other.append(
            {"id": 0, "type": "caption", "attributes": {}, "group": 0, "caption": found.caption}
        )
    artifacts = join(found.drawn, NAMESPACE)
    stem = file_name.rpartition(".")[0] or file_name
    kept: Json = {
        "id": item_id if given_id != stem else None,
        "path": path if path != file_name else "",
        "attr": rest,
        "image": unknown_fields(image, ("path", "size")),
        "keys": unknown_fields(item, ("id", "attr", "image", "annotations")),
        "other": found.other,
        "rejected": [*(found_before if isinstance(found_before, list) else [found_before]), *found.rejected],
    }
    kept = {key: value for key, value in kept.items() if value or (value == 0 and key == "id")}
    said = fields.get("status", found.status)
    wrong = found.has_other_shapes or "rejected" in kept
    return ImageRecord(
        **{
            "file_name": file_name,
            "caption": found.caption or "",
            "source": "" if ours else source,
            "split": "" if ours else split,
            **fields,
            "image_id": picture.image_id,
            "width": picture.width,
            "height": picture.height,
            "artifacts": artifacts,
            "status": settle_status(said, bool(artifacts), wrong, where),
            "extra": {**fields.get("extra", {}), **({NAMESPACE: kept} if kept else {})},
        }
    )


def _id(annotation: Any, index: int) -> str:
    number = annotation.get("id") if isinstance(annotation, dict) else None
    return f"{number}" if isinstance(number, int) and number else f"number {index}"


# Writing


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
) -> int:
    """Write one `.json` file, or a new folder with a file for each split; returns how many images.

    pictures: put into the folder (not beside a single file). Raises `WorkspaceError` if the folder exists.
    """
    from synthscars.files import atomic_file, atomic_folder

    losses = Losses(str(target), problems)
    narrowed = narrow(records, HOLDS, losses)
    with ExitStack() as stack:
        writer = _Writer(stack, pictures, losses)
        if target.suffix.lower() == ".json":
            file = stack.enter_context(atomic_file(target))
            for record in narrowed:
                writer.add(record, _DEFAULT, None)
            writer.finish(_DEFAULT, file)
        else:
            folder = stack.enter_context(atomic_folder(target))
            (folder / "annotations").mkdir()
            for record in narrowed:
                writer.add(record, record.split, folder / "images")
            for subset in writer.subsets:
                with (folder / "annotations" / f"{subset}.json").open("wb") as file:
                    writer.finish(subset, file)
    losses.report()
    return writer.count


class _Writer:
    """Writes the items of each subset to a temporary file: the labels before them are known at the end."""

    def __init__(self, stack: ExitStack, pictures: TargetPictures, losses: Losses) -> None:
        self._stack = stack
        self._pictures = pictures
        self._losses = losses
        self._names: dict[str, Names] = {}
        self._ids: dict[str, set[str]] = {}
        self._labels = {
            each: number for number, each in enumerate((*load_taxonomy().category_ids, UNLABELLED))
        }
        self.subsets: dict[str, IO[bytes]] = {}
        self.count = 0

    def add(self, record: ImageRecord, split: str, images: Path | None) -> None:
        """Write one record to its subset, and its image into a folder of that name in `images`."""
        subset = split if _FOLDER_NAME.fullmatch(split) else _DEFAULT
        if subset not in self.subsets:
            if len(self.subsets) >= _MOST_SUBSETS:
                subset = _DEFAULT
            if subset not in self.subsets:
                body = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
                self.subsets[subset] = body
                self._names[subset] = Names(unique_stems=True)
                self._ids[subset] = set()
        # The record's own name is written as well where it is another: nothing is lost.
        suffix = self._pictures.suffix(record)
        name = self._names[subset].give(record, Losses("", Problems()), suffix)
        placed = images is not None and self._pictures.place(record, images / subset, name, self._losses)
        item = msgspec.json.encode(self._item(record, subset, name, placed))
        file = self.subsets[subset]
        file.write(b",\n" + item if file.tell() else item)
        self.count += 1

    def _item(self, record: ImageRecord, subset: str, name: str, placed: bool) -> Json:
        kept = own(record.extra, NAMESPACE)
        values = image_values(record, NAMESPACE)
        if values["file_name"] == name:
            del values["file_name"]
        path = text(kept.get("path"))
        path = name if placed or base_name(path) != name else path
        annotations = list(self._annotations(record))
        if caption := values.pop("caption", ""):
            annotations.append(_caption(caption))
        annotations += [self._as_it_was(one) for one in _listed(kept.get("other"))]
        if rejected := kept.get("rejected"):
            values[_REJECTED] = rejected
        return {
            "id": self._item_id(kept.get("id"), name, subset),
            "annotations": annotations,
            "attr": {**own(kept, "attr"), **values},
            "image": {"path": path, "size": [record.height, record.width], **own(kept, "image")},
            **own(kept, "keys"),
        }

    def _annotations(self, record: ImageRecord) -> Iterator[Json]:
        parts = [apart(artifact, NAMESPACE, rings_of) for artifact in record.artifacts]
        numbers = groups(record.artifacts, [len(each) for each in parts], NAMESPACE)
        for artifact, each, group in zip(record.artifacts, parts, numbers, strict=True):
            label, values = self._label(label_of(artifact)), artifact_values(artifact, NAMESPACE)
            for part in each:
                yield write_annotation(part, label, values, group)

    def _label(self, name: str) -> int:
        return self._labels.setdefault(name, len(self._labels))

    def _as_it_was(self, annotation: Any) -> Any:
        if isinstance(annotation, dict) and isinstance(annotation.get("label"), str):
            return {**unknown_fields(annotation, ("label",)), "label_id": self._label(annotation["label"])}
        return annotation

    def _item_id(self, kept: Any, name: str, subset: str) -> str:
        wanted = str(kept) if isinstance(kept, (str, int)) else name.rpartition(".")[0] or name
        found, number = wanted, 2
        while found in self._ids[subset]:
            found, number = f"{wanted}~{number}", number + 1
        self._ids[subset].add(found)
        return found

    def finish(self, subset: str, file: IO[bytes]) -> None:
        """Write the whole file of a subset; the labels are the same in all."""
        labels = [{"name": name, "parent": "", "attributes": []} for name in self._labels]
        head = {
            "dm_format_version": "1.0",
            "media_type": 2,
            "infos": {},
            "categories": {"label": {"labels": labels, "label_groups": [], "attributes": []}},
        }
        file.write(msgspec.json.encode(head)[:-1] + b',"items":[')
        if subset in self.subsets:
            body = self.subsets[subset]
            body.seek(0)
            while chunk := body.read(1 << 20):
                file.write(chunk)
        file.write(b"]}\n")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _caption(caption: str) -> Json:
    return {"id": 0, "type": "caption", "attributes": {}, "group": 0, "caption": caption}
