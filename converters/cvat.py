"""CVAT for images 1.1: one XML file with the shapes of all images. Both ways.

Source of the format: https://docs.cvat.ai/docs/other/xml_format, and
`cvat/apps/dataset_manager/formats/cvat.py` in https://github.com/cvat-ai/cvat::

    <annotations>
      <version>1.1</version>
      <meta><task><labels><label><name>structure</name><attributes>...</attributes></label></labels></task></meta>
      <image id="0" name="a.png" width="512" height="512">
        <polygon label="structure" source="manual" occluded="0" points="1.5,2.0;3.0,4.0;5.0,2.0" z_order="0">
          <attribute name="phrase">the left hand</attribute>
        </polygon>
        <tag label="image" source="manual"><attribute name="status">annotated</attribute></tag>
      </image>
    </annotations>

Coordinates are pixels of the upright image. Fields of an artifact are text attributes of its shapes, those
of an image attributes of a tag `image`, so that CVAT shows and keeps them; the rings of one artifact share a
`group_id`; an artifact without an outline is a tag with its category. Images lie in `images/`, or, where
there are splits, in a folder for each subset, as CVAT exports projects. CVAT writes two decimals; here all
are kept.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element

from synthscars.converters.cvat_meta import IMAGE_TAG, OF_IMAGE, USUAL, head
from synthscars.converters.cvat_shapes import (
    REJECTED,
    SHAPES,
    WITHOUT_AREA,
    attribute_elements,
    other_elements,
    read_region,
    read_shape,
    rings_of,
    values_of,
    write_shape,
)
from synthscars.converters.cvat_xml import BrokenXmlError, elements, start_tag, tag, to_json, writable
from synthscars.converters.fields import (
    artifact_values,
    image_values,
    own,
    read_image_values,
    settle_status,
)
from synthscars.converters.holds import everything_but, narrow
from synthscars.converters.losses import Losses
from synthscars.converters.parts import Drawn, apart, groups, join, whole_number
from synthscars.converters.pictures import NO_PICTURES, Names, SourcePictures, TargetPictures, base_name
from synthscars.converters.reading import (
    UNLABELLED,
    Json,
    Where,
    classify,
    label_of,
    shown_files,
    text,
    whole,
)
from synthscars.problems import FormatError, Problems
from synthscars.records import STATUSES, ImageRecord
from synthscars.taxonomy import load_taxonomy

NAMESPACE = "cvat"
HOLDS = everything_but(
    namespace=NAMESPACE,
    text=writable,
    note="XML has no control characters: they are replaced. Boxes, ellipses and masks come back as such "
    "unless their outline was changed. Polylines, points, cuboids and skeletons are no regions; they stay in "
    "`extra` and come back. What `<meta>` says about the task does not. CVAT itself cuts texts off after "
    "4,096 characters and knows only the attributes that its labels declare.",
)

_DEFAULT = "default"
_IMAGE_KEYS = ("id", "name", "width", "height", "subset")
_FOLDER_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


# Reading


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read an XML file, or those in a folder; records in the order of the file.

    images: where the images are, if not in the `images` folder beside the file, or its folder for the subset.
    Where there is no such folder, no image is looked at.

    A shape that cannot be used is reported and kept in `extra`; tracks of videos are reported. Of a file that
    breaks off, the images before the break are read. Raises `FormatError` if a file is no XML of CVAT or
    declares a DOCTYPE.
    """
    paths = [source]
    if source.is_dir():
        paths = shown_files(source, "*.xml")
        if not paths:
            raise FormatError(f"{source}: no XML file in it", fix="give the folder with annotations.xml")
    for path in paths:
        count = 0
        try:
            for record in _read_file(path, problems, images):
                yield record
                count += 1
        except BrokenXmlError as error:
            if not count:
                raise
            what = error.message.removeprefix(f"{path}: ")
            problems.add(
                "file.truncated",
                f"it breaks off; the images before that were read: {what}",
                fix=error.fix,
                file=str(path),
            )


def _read_file(path: Path, problems: Problems, images: Path | None) -> Iterator[ImageRecord]:
    pictures: dict[str, SourcePictures] = {}
    all_pictures = SourcePictures([], NAMESPACE)
    position = tracks = 0
    for element in elements(path, "annotations"):
        if element.tag == "track":
            tracks += 1
        if element.tag != "image":
            continue
        subset = element.get("subset", "")
        if subset not in pictures:
            folders = [images, path.parent / "images"]
            inner = [root / subset for root in folders if root and _FOLDER_NAME.fullmatch(subset)]
            pictures[subset] = all_pictures.within([*inner, *folders])
        where = Where(problems, str(path), base_name(element.get("name", "")) or f"number {position}")
        yield _read_image(element, position, path.name, pictures[subset], where)
        position += 1
    if tracks:
        problems.add(
            "cvat.tracks",
            f"{tracks} tracks of a video were not read",
            fix="export it as 'CVAT for images 1.1'",
            file=str(path),
            count=tracks,
        )


def _read_image(
    element: Element, position: int, source: str, pictures: SourcePictures, where: Where
) -> ImageRecord:
    name, subset = element.get("name", ""), element.get("subset", "")
    if not base_name(name):
        where.add("image.no_name", f"image {element.get('id')!r} has no name", "write its file name")
    size = (_pixels(element.get("width")), _pixels(element.get("height")))
    tags = [child for child in element if child.tag == "tag" and child.get("label") == IMAGE_TAG]
    values, rest = values_of(tags[0], where) if tags else ({}, {})
    fields, unread = read_image_values(values, where)
    rejected = unread.pop(REJECTED, [])
    if unread:
        rest["attributes"] = unread
    ours = "image_id" in fields
    picture = pictures.find(
        name,
        where,
        image_id=fields.get("image_id", ""),
        size=size,
        stand_in=f"{source}/{subset}/{name or position}",
    )
    seen = _Seen(picture.width, picture.height, tags[0] if tags else None)
    for number, child in enumerate(element):
        seen.add(child, number, where)
    artifacts = join(seen.drawn, NAMESPACE)
    given_id = element.get("id", "")
    kept: Json = {
        "name": name if name != base_name(name) else "",
        "xml": {key: value for key, value in element.attrib.items() if key not in _IMAGE_KEYS},
        "tag": rest,
        "other": seen.other,
        "rejected": [*(rejected if isinstance(rejected, list) else [rejected]), *seen.rejected],
    }
    kept = {key: value for key, value in kept.items() if value}
    if given_id != str(position):
        kept["id"] = given_id
    said = fields.get("status", seen.status)
    wrong = bool(kept.get("rejected")) or any(each["element"] in WITHOUT_AREA for each in seen.other)
    return ImageRecord(
        **{
            "file_name": base_name(name),
            "source": "" if ours else source,
            "split": "" if ours or subset == _DEFAULT else subset,
            **fields,
            "image_id": picture.image_id,
            "width": picture.width,
            "height": picture.height,
            "artifacts": artifacts,
            "status": settle_status(said, bool(artifacts), wrong, where),
            "extra": {**fields.get("extra", {}), **({NAMESPACE: kept} if kept else {})},
        }
    )


def _pixels(value: Any) -> int:
    return whole(int(value)) if isinstance(value, str) and re.fullmatch("[0-9]{1,7}", value) else 0


class _Seen:
    """What the elements of one image are."""

    def __init__(self, width: int, height: int, image_tag: Element | None) -> None:
        self._size = (width, height)
        self._image_tag = image_tag
        self.drawn: list[Drawn] = []
        self.other: list[Json] = []
        self.rejected: list[Json] = []
        self.status: Any = None

    def add(self, element: Element, number: int, where: Where) -> None:
        here = where.at(region=f"{element.tag}[{number}]")
        if element is self._image_tag:
            return
        if element.tag in SHAPES:
            found = read_shape(element, *self._size, here, f"shape-{number}")
            if found is None:
                self.rejected.append(to_json(element))
            else:
                self.drawn.append(found)
        elif element.tag == "tag" and self._is_artifact(element):
            self.drawn.append(read_region(element, (), here, f"tag-{number}"))
        elif element.tag == "tag" and element.get("label") in STATUSES:
            self.status = element.get("label")
        else:
            if element.tag in WITHOUT_AREA:
                here.add(
                    "shape.no_area",
                    f"{element.tag!r} has no area and is no region",
                    "draw a polygon around the place; the shape is kept in extra",
                )
            elif element.tag != "tag":
                here.warn("shape.unknown", f"<{element.tag[:40]}> is not known", "it is kept in extra")
            self.other.append(to_json(element))

    def _is_artifact(self, element: Element) -> bool:
        label = element.get("label", "")
        named = any(child.get("name") == "artifact_id" for child in element)
        return named or label == UNLABELLED or classify(label)[0] is not None


# Writing


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    *,
    pictures: TargetPictures = NO_PICTURES,
) -> int:
    """Write one `.xml` file, or a new folder with `annotations.xml` and `images`; returns how many images.

    pictures: put into the folder (not beside a single file). Raises `WorkspaceError` if the folder exists.
    """
    from synthscars.files import atomic_file, atomic_folder

    losses = Losses(str(target), problems)
    narrowed = narrow(records, HOLDS, losses)
    if target.suffix.lower() == ".xml":
        with atomic_file(target) as file, _Writer(None, NO_PICTURES, losses) as writer:
            count = writer.write(narrowed, file, target.stem)
    else:
        with (
            atomic_folder(target) as folder,
            (folder / "annotations.xml").open("wb") as file,
            _Writer(folder / "images", pictures, losses) as writer,
        ):
            count = writer.write(narrowed, file, target.name)
    losses.report()
    return count


class _Writer:
    """Writes the images to a temporary file, because the labels in front of them are known at the end."""

    def __init__(self, images: Path | None, pictures: TargetPictures, losses: Losses) -> None:
        self._images = images
        self._pictures = pictures
        self._losses = losses
        self._body: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._names: dict[str, Names] = {}
        self._ids: set[int] = set()
        self._next = 0
        self._subsets: dict[str, int] = {}
        # Taxonomy first, then as they come; for each label the attributes of its shapes.
        self._labels: dict[str, dict[str, None]] = {
            each: dict.fromkeys(USUAL) for each in (*load_taxonomy().category_ids, UNLABELLED)
        }
        self._of_image = dict.fromkeys(OF_IMAGE)

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._body.close()

    def write(self, records: Iterable[ImageRecord], file: IO[bytes], name: str) -> int:
        count = 0
        for record in records:
            self._body.write(self._image(record).encode())
            count += 1
        splits = set(self._subsets) - {_DEFAULT}
        file.write(head(name, self._labels, self._of_image, self._subsets if splits else {}, count).encode())
        # `_image` leaves a NUL, which XML cannot hold, where the subset of an image without a split belongs.
        subset = f' subset="{_DEFAULT}"'.encode() if splits else b""
        self._body.seek(0)
        while chunk := self._body.read(1 << 20):
            file.write(chunk.replace(b"\0", subset))
        file.write(b"</annotations>\n")
        if self._images is not None:
            self._settle_images(bool(splits))
        return count

    def _settle_images(self, splits: bool) -> None:
        """Images without a split lie in `images`, but in `images/default` where others have one."""
        images = self._images
        default = images / _DEFAULT if images else None
        if images and default and default.is_dir() and not splits:
            loose = images.with_name("images-default")
            default.rename(loose)
            images.rmdir()
            loose.rename(images)

    def _image(self, record: ImageRecord) -> str:
        kept = own(record.extra, NAMESPACE)
        split = record.split if _FOLDER_NAME.fullmatch(record.split) else _DEFAULT
        self._subsets[split] = self._subsets.get(split, 0) + 1
        # The record's own name is written as well where it is another: nothing is lost.
        names = self._names.setdefault(split, Names(unique_stems=True))
        name = names.give(record, Losses("", Problems()), self._pictures.suffix(record))
        placed = self._images is not None and self._pictures.place(
            record, self._images / split, name, self._losses
        )
        values = image_values(record, NAMESPACE)
        if values["file_name"] == name:
            del values["file_name"]
        if rejected := kept.get("rejected"):
            values[REJECTED] = rejected
        if not placed and base_name(text(kept.get("name"))) == name:
            name = kept["name"]
        opened = start_tag(
            "image",
            {
                "id": str(self._id(kept)),
                "name": name,
                "width": str(record.width),
                "height": str(record.height),
                **({"subset": split} if split != _DEFAULT else {}),
                **{key: text(value) for key, value in own(kept, "xml").items()},
            },
            "  ",
        )
        if split == _DEFAULT:
            opened = f"{opened[:-1]}\0>"
        image_tag = own(kept, "tag")
        values = {**own(image_tag, "attributes"), **values}
        self._of_image.update(dict.fromkeys(values))
        children = attribute_elements(values, " " * 6)
        lines = [
            opened,
            "\n",
            *self._shapes(record),
            *other_elements({"elements": kept.get("other")}, "    "),
            tag(
                "tag",
                {"label": IMAGE_TAG, "source": "manual"},
                "    ",
                children=children + other_elements(image_tag, " " * 6),
            ),
            "  </image>\n",
        ]
        return "".join(lines)

    def _id(self, kept: Json) -> int:
        wanted = whole_number(kept.get("id"))
        if wanted is None or wanted in self._ids:
            while self._next in self._ids:
                self._next += 1
            wanted = self._next
        self._ids.add(wanted)
        return wanted

    def _shapes(self, record: ImageRecord) -> Iterator[str]:
        parts = [apart(artifact, NAMESPACE, rings_of) for artifact in record.artifacts]
        numbers = groups(record.artifacts, [len(each) for each in parts], NAMESPACE)
        for artifact, each, number in zip(record.artifacts, parts, numbers, strict=True):
            label, values = label_of(artifact), artifact_values(artifact, NAMESPACE)
            declared = self._labels.setdefault(label, dict.fromkeys(USUAL))
            declared.update(dict.fromkeys(values))
            for part in each:
                declared.update(dict.fromkeys(own(part.rest, "attributes")))
                yield write_shape(part, label, values, number, "    ")
