"""Which image a task of Label Studio shows: ours says so by its id, any other by the place of its file."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from synthscars.converters.labelstudio_tasks import IMAGE, Json
from synthscars.converters.pictures import Picture, SourcePictures, base_name
from synthscars.converters.reading import Where, text

OUR_DATA = frozenset({IMAGE, "image_id", "width", "height", "file_name"})
"""Fields of the task data that synthscars writes itself."""

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".svg"}
# Files that were uploaded through the browser get eight digits before their name.
_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?P<name>.+)")


def image_key(data: object, *, foreign: bool) -> str:
    """Equal for tasks that show the same image, `""` if a task's data name none.

    foreign: an image may also be named by the place of its file.
    """
    if not isinstance(data, dict):
        return ""
    if text(data.get("image_id")) or not foreign:
        return text(data.get("image_id"))
    url = image_url(data)
    # Never equal to an id of ours.
    return f"url {url}" if url else ""


def image_url(data: Json) -> str:
    """Where the image is: the field `image`, else the first that looks like the place of an image."""
    if text(data.get(IMAGE)):
        return text(data[IMAGE])
    places = [value for value in data.values() if isinstance(value, str) and _is_place(value)]
    images = (place for place in places if PurePosixPath(name_in(place)).suffix.lower() in _IMAGE_SUFFIXES)
    return next(images, places[0] if places else "")


def _is_place(value: str) -> bool:
    if len(value) > 4000 or "\n" in value:
        return False
    suffix = PurePosixPath(value).suffix.lower()
    return (
        suffix in _IMAGE_SUFFIXES
        or value.startswith("/data/")
        or re.match(r"[a-z][a-z0-9+.-]*://", value) is not None
    )


def name_in(url: str) -> str:
    """The name of the file in a URL or path, as far as it has one."""
    path, _, served_file = url.partition("?d=")
    if path == "/data/local-files/" and _PLAIN.fullmatch(served_file):
        return base_name(served_file)
    try:
        parts = urlsplit(url)
        served = parse_qs(parts.query).get("d", [])
    except ValueError:
        return base_name(url)
    # A place that is no URL may have `?` or `#` in the name of its file.
    plain = not parts.scheme and not url.startswith("/data/")
    return base_name(served[0] if served else url if plain else unquote(parts.path))


def find_image(
    url: str, size: tuple[int, int], pictures: SourcePictures, where: Where
) -> tuple[str, Picture]:
    """Name and picture of an image that is known by its place only."""
    name = name_in(url)
    uploaded = _UPLOADED.fullmatch(name) if url.startswith("/data/upload/") else None
    if uploaded and not pictures.has(name):
        name = uploaded["name"]
    return name, pictures.find(name, where, size=size, stand_in=url)
