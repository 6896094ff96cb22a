"""labelme: one JSON file beside each image, with the shapes drawn on it. Both ways.

As labelme 5 to 7 writes it (https://github.com/wkentaro/labelme, `labelme/_label_file.py`)::

    {"version": "6.3.1", "flags": {}, "shapes": [
        {"label": "structure", "points": [[x, y], ...], "group_id": null, "description": "...",
         "shape_type": "polygon", "flags": {}, "mask": null}, ...],
     "imagePath": "a.png", "imageData": null or base64, "imageHeight": 512, "imageWidth": 512}

Coordinates are pixels of the upright image: labelme turns an image by its EXIF orientation before it shows
it. labelme keeps keys that it does not know, at the top and in shapes: the fields of records stand there
under their own names. `description` is the explanation; the rings of one artifact share a `group_id`. Splits
are subfolders.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from synthscars.converters.fields import (
    artifact_values,
    image_values,
    own,
    read_artifact_values,
    read_image_values,
    settle_status,
)
from synthscars.converters.holds import everything_but, narrow
from synthscars.converters.labelme_images import images_of, json_files, read_picture, upright_copy
from synthscars.converters.labelme_shapes import WITHOUT_AREA, read_shape, rings_of, write_shape
from synthscars.converters.losses import Losses
from synthscars.converters.parts import Drawn, apart, groups, join, whole_number
from synthscars.converters.pictures import (
    NO_PICTURES,
    Names,
    Picture,
    SourcePictures,
    TargetPictures,
    base_name,
)
from synthscars.converters.reading import (
    Json,
    Where,
    kind,
    label_of,
    load_json,
    text,
    unknown_fields,
)
from synthscars.problems import FormatError, Problems, UsageError
from synthscars.records import Artifact, ImageRecord

__all__ = ["HOLDS", "images_of", "read", "write"]

NAMESPACE = "labelme"
VERSION = "6.3.1"
"""Of labelme, whose files this was compared with; 7.9 reads and writes the same, and a key `locked`."""

HOLDS = everything_but(
    namespace=NAMESPACE,
    note="Rectangles, circles and masks come back as such unless their outline was changed. Lines and points "
    "are no regions; they stay in `extra` and come back. An image that is not stored upright is embedded as "
    "an upright copy.",
)

_TOP = ("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth")
_WITHOUT_OUTLINE = "artifacts_without_outline"
_REJECTED = "rejected_shapes"
_SPLITS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
_FOLDER_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


# Reading


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read one JSON file, or all in a folder and its subfolders, in the order of their names.

    images: where the images are, if not where `imagePath` says. An image that is in none of these places is
    taken from `imageData`; the record of one that is nowhere has the size that the file says, and an id made
    of its path. A first subfolder named train, validation (val) or test is the split.

    A file in a folder that cannot be read, and a shape that cannot be used, is reported and left out; the
    latter is kept in `extra`. Raises `FormatError` if `source` is a file and cannot be read, or a folder of
    files and none of them is JSON.
    """
    if not source.is_dir():
        pictures = SourcePictures([images, source.parent], NAMESPACE)
        yield _read_file(source, PurePosixPath(source.name), problems, pictures)
        return
    folder: Path | None = None
    all_pictures = SourcePictures([], NAMESPACE)
    for path in json_files(source):
        name = PurePosixPath(path.relative_to(source).as_posix())
        if path.parent != folder:
            folder = path.parent
            pictures = all_pictures.within([images and images / name.parent, images, folder])
        try:
            yield _read_file(path, name, problems, pictures)
        except FormatError as error:
            what = error.message.removeprefix(f"{path}: ")
            problems.add("file.unreadable", what, fix=error.fix, file=str(path))


def _read_file(path: Path, name: PurePosixPath, problems: Problems, pictures: SourcePictures) -> ImageRecord:
    given = load_json(path)
    if not isinstance(given, dict) or not ("shapes" in given or "imagePath" in given):
        raise FormatError(
            f"{path}: no file of labelme: it has no shapes and no imagePath",
            fix="leave it out of the folder, or save it again with labelme",
        )
    image_path = text(given.get("imagePath"))
    file_name = base_name(image_path) or name.stem
    where = Where(problems, str(path), file_name)
    fields, rest = read_image_values(unknown_fields(given, _TOP), where)
    # Empty fields are left out of what we write: only another's file is asked what its name and place say.
    ours = "image_id" in fields
    split = _SPLITS.get(name.parts[0], "") if len(name.parts) > 1 else ""
    picture = read_picture(given, image_path or file_name, name, fields.get("image_id", ""), pictures, where)
    rejected: list[Any] = _as_list(rest.pop(_REJECTED, None))
    without_outline = _as_list(rest.pop(_WITHOUT_OUTLINE, None))
    drawn, other = _read_shapes(given.get("shapes"), picture, where, rejected)
    artifacts = _with_regionless(drawn, without_outline, where, rejected)
    kept: Json = {
        "imagePath": image_path if image_path != file_name else "",
        "flags": given.get("flags"),
        "rest": rest,
        "other_shapes": other,
        "rejected": rejected,
    }
    kept = {key: value for key, value in kept.items() if value}
    return ImageRecord(
        **{
            "file_name": file_name,
            "source": "" if ours else name.as_posix(),
            "split": "" if ours else split,
            **fields,
            "image_id": picture.image_id,
            "width": picture.width,
            "height": picture.height,
            "artifacts": artifacts,
            "status": settle_status(fields.get("status"), bool(artifacts), bool(rejected or other), where),
            "extra": {**fields.get("extra", {}), **({NAMESPACE: kept} if kept else {})},
        }
    )


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _read_shapes(
    shapes: Any, picture: Picture, where: Where, rejected: list[Any]
) -> tuple[list[Drawn], list[Json]]:
    """The regions, and the shapes without an area; those that cannot be used are added to `rejected`."""
    drawn: list[Drawn] = []
    other: list[Json] = []
    if not isinstance(shapes, list):
        where.add("shapes.not_a_list", f"the shapes are {kind(shapes)}, not a list", "save it again")
        if shapes is not None:
            rejected.append(shapes)
        return drawn, other
    for number, shape in enumerate(shapes):
        here = where.at(region=f"shapes[{number}]")
        if not isinstance(shape, dict):
            here.add("shape.not_an_object", f"it is {kind(shape)}", "draw it again; it is kept in extra")
            rejected.append(shape)
        elif shape.get("shape_type") in WITHOUT_AREA:
            here.add(
                "shape.no_area",
                f"{shape['shape_type']!r} has no area and is no region",
                "draw a polygon around the place; the shape is kept in extra",
            )
            other.append(shape)
        elif found := read_shape(shape, picture.width, picture.height, here, f"shape-{number}"):
            drawn.append(found)
        else:
            rejected.append(shape)
    return drawn, other


def _with_regionless(
    drawn: list[Drawn], without_outline: list[Any], where: Where, rejected: list[Any]
) -> tuple[Artifact, ...]:
    """The artifacts, with those that have no outline in their places among them."""
    places: list[int] = []
    for number, one in enumerate(without_outline):
        here = where.at(region=f"{_WITHOUT_OUTLINE}[{number}]")
        if not isinstance(one, dict):
            here.add("artifact.not_an_object", f"it is {kind(one)}", "remove it; it is kept in extra")
            rejected.append(one)
            continue
        fields, rest = read_artifact_values(unknown_fields(one, ("label", "index")), here)
        index = whole_number(one.get("index"))
        places.append(len(drawn) if index is None else index)
        drawn.append(Drawn(one.get("label"), (), fields, here, f"artifact-{number}", {}, rest))
    artifacts = list(join(drawn, NAMESPACE))
    regionless = artifacts[len(artifacts) - len(places) :]
    del artifacts[len(artifacts) - len(places) :]
    for place, artifact in sorted(zip(places, regionless, strict=True), key=lambda pair: pair[0]):
        artifacts.insert(min(max(place, 0), len(artifacts)), artifact)
    return tuple(artifacts)


# Writing


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
) -> int:
    """Write one JSON file an image into a new folder, in a subfolder for each split; returns how many.

    pictures: put beside their JSON files, or embedded in them. Raises `WorkspaceError` if the folder exists,
    `UsageError` if `target` is named like a file.
    """
    from synthscars.files import atomic_folder

    if target.suffix.lower() == ".json":
        raise UsageError(f"{target}: labelme has a file for each image", fix="name a folder")
    losses = Losses(str(target), problems)
    count = 0
    with atomic_folder(target) as folder:
        splits: dict[str, _Folder] = {}
        for record in narrow(records, HOLDS, losses):
            split = record.split if _FOLDER_NAME.fullmatch(record.split) else ""
            if split not in splits:
                splits[split] = _Folder(folder / split)
            splits[split].add(record, pictures, losses)
            count += 1
    losses.report()
    return count


class _Folder:
    """Writes the files of one split."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(exist_ok=True)
        self._names = Names(unique_stems=True)
        self._stems: set[str] = set()

    def add(self, record: ImageRecord, pictures: TargetPictures, losses: Losses) -> None:
        name = self._name(record, pictures)
        data: bytes | None = None
        placed = False
        if pictures.how == "embed":
            data = upright_copy(pictures.data(record, losses), record, losses)
        else:
            placed = pictures.place(record, self._folder, name, losses)
        given = _as_labelme(record, name, placed, data)
        stem, number = PurePosixPath(name).stem, 1
        # Two records of one image share its file.
        while (free := stem if number == 1 else f"{stem}~{number}").casefold() in self._stems:
            number += 1
        self._stems.add(free.casefold())
        content = msgspec.json.format(msgspec.json.encode(given), indent=2)
        (self._folder / f"{free}.json").write_bytes(content)

    def _name(self, record: ImageRecord, pictures: TargetPictures) -> str:
        if record.file_name.lower().endswith(".json"):  # the place of the annotation
            record = msgspec.structs.replace(record, file_name="")
        # The record's own name is written as well where it is another: nothing is lost.
        return self._names.give(record, Losses("", Problems()), pictures.suffix(record))


def _as_labelme(record: ImageRecord, name: str, placed: bool, data: bytes | None) -> Json:
    kept = own(record.extra, NAMESPACE)
    values = image_values(record, NAMESPACE)
    image_path = name if placed or base_name(text(kept.get("imagePath"))) != name else kept["imagePath"]
    if values["file_name"] == name:
        del values["file_name"]
    shapes: list[Json] = []
    without_outline: list[Json] = []
    parts = [apart(artifact, NAMESPACE, rings_of) for artifact in record.artifacts]
    numbers = groups(record.artifacts, [len(each) for each in parts], NAMESPACE)
    for index, artifact in enumerate(record.artifacts):
        label, fields = label_of(artifact), artifact_values(artifact, NAMESPACE)
        if artifact.polygons:
            shapes += [write_shape(part, label, fields, numbers[index]) for part in parts[index]]
        else:
            rest = parts[index][0].rest
            without_outline.append({**rest, "index": index, "label": label, **fields})
    if without_outline:
        values[_WITHOUT_OUTLINE] = without_outline
    if rejected := kept.get("rejected"):
        values[_REJECTED] = rejected
    return {
        "version": VERSION,
        "flags": own(kept, "flags"),
        "shapes": shapes + _as_list(kept.get("other_shapes")),
        "imagePath": image_path,
        "imageData": base64.b64encode(data).decode() if data else None,
        "imageHeight": record.height or None,
        "imageWidth": record.width or None,
        **own(kept, "rest"),
        **values,
    }
