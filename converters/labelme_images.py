"""The images of labelme's files: beside the JSON, or embedded in it as base64."""

from __future__ import annotations

import base64
import io
from pathlib import Path, PurePosixPath
from threading import Lock

import msgspec

from synthscars.converters.losses import Losses
from synthscars.converters.pictures import Finder, Picture, SourcePictures
from synthscars.converters.reading import Json, Where, whole
from synthscars.images import open_image, orientation, sha256, upright
from synthscars.problems import FormatError, ImageError
from synthscars.records import ImageRecord


def json_files(folder: Path) -> list[Path]:
    """All JSON files in a folder, folder by folder. Raises `FormatError` if all files in it are others."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    # What a Mac adds to archives is named like the file it belongs to.
    found = [path for path in files if path.suffix.lower() == ".json" and not path.name.startswith("._")]
    if files and not found:
        raise FormatError(f"{folder}: no JSON file in it", fix="give the folder that labelme saved to")
    return sorted(found, key=lambda path: (path.parent, path.name))


def read_picture(
    given: Json, image_path: str, name: PurePosixPath, image_id: str, pictures: SourcePictures, where: Where
) -> Picture:
    """The image of a file: where `imagePath` says, else what is embedded, else what the file says of it."""
    size = (whole(given.get("imageWidth")), whole(given.get("imageHeight")))
    stand_in = (name.parent / image_path).as_posix()
    embedded = given.get("imageData")
    if isinstance(embedded, str) and embedded and not pictures.has(image_path):
        said = Picture(image_id or pictures.stand_in(stand_in), *size)
        return _embedded(embedded, said, bool(image_id), where)
    return pictures.find(image_path, where, image_id=image_id, size=size, stand_in=stand_in)


def _embedded(data: str, said: Picture, has_id: bool, where: Where) -> Picture:
    """The image that is in the JSON. labelme shows it as it is stored, so its size is the upright one."""
    try:
        content = base64.b64decode(data)
        size = open_image(content).size
    except (ImageError, ValueError) as error:
        what = error.message if isinstance(error, ImageError) else f"it is no base64: {error}"
        where.warn("image.damaged", f"imageData: {what}", "add the image itself")
        return said
    if said.width and said.height and size != (said.width, said.height):
        where.warn(
            "image.size_differs",
            f"imageData has {size[0]} x {size[1]} pixels, the file says {said.width} x {said.height}",
            "look whether the regions lie where they should",
        )
    # It may be an upright copy of the image that the id is of.
    return Picture(said.image_id if has_id else sha256(content), *size)


class _Embedded(msgspec.Struct, rename="camel"):
    image_data: str | None = None


def images_of(source: Path) -> Finder:
    """Finds the images that are embedded in a file or in the files of a folder, which are read when asked."""
    waiting = [source]
    places: dict[str, Path] = {}
    lock = Lock()

    def find(image_id: str) -> bytes | None:
        with lock:
            while waiting:
                one = waiting.pop()
                for path in json_files(one) if one.is_dir() else [one]:
                    if data := _data_in(path):
                        places.setdefault(sha256(data), path)
        return _data_in(places[image_id]) if image_id in places else None

    return find


def _data_in(path: Path) -> bytes | None:
    try:
        data = msgspec.json.decode(path.read_bytes(), type=_Embedded).image_data
        return base64.b64decode(data) if data else None
    except (OSError, ValueError, RecursionError):
        return None  # whoever reads the file says what is wrong with it


def upright_copy(data: bytes | None, record: ImageRecord, losses: Losses) -> bytes | None:
    """The image as labelme embeds it: the file itself, or an upright PNG where that is turned by EXIF."""

    if data is None:
        return None
    try:
        image = open_image(data)
        if orientation(image) == 1:
            return data
        copy = io.BytesIO()
        upright(image).save(copy, format="PNG", exif=b"")
    except ImageError:
        losses.count("image", "images are damaged and were not embedded", record, severity="warning")
        return None
    return copy.getvalue()
