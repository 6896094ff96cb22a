"""Personal data in metadata: user names in paths, e-mail addresses, places, names of people and cameras.

What is found is told without repeating it, because the report is saved beside the release. It is looked for
by its form: a name in a sentence is not found.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from PIL import Image

from synthscars.ingest.metadata.chunks import read_chunks
from synthscars.problems import Problem, Problems
from synthscars.records import ImageRecord
from synthscars.release.check.items import Item, region_of

# Each part is bounded, so that no text makes them slow. An address in the web (`//host/home/x`) is none.
_POSIX = re.compile(
    r"(?<![\w./:])(?:file://)?(?:/[\w.-]{1,64}){0,3}/(?:home|Users)/([^/\\\s\"'<>|:*?,;]{1,64})"
)
_WINDOWS = re.compile(
    r"(?<![A-Za-z])[A-Za-z]:[\\/]{1,4}(?:Users|Documents and Settings)[\\/]{1,4}([^\\/\r\n\"'<>|:*?]{1,64})",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"(?<![\w.+-])([\w.+-]{1,64})@(?:[A-Za-z0-9-]{1,63}\.){1,8}([A-Za-z]{2,24})(?![\w-])")
_NOBODY = frozenset(["all users", "default", "default user", "public", "shared", "user", "username"])
# `logo@2x.png` is a file.
_SUFFIXES = frozenset(
    re.split(" ", "avif bmp gif jpeg jpg json png safetensors svg tif tiff txt webp yaml yml zip")
)

_GPS_IFD, _EXIF_IFD = 0x8825, 0x8769
_PEOPLE_TAGS = {0x013B: "Artist", 0x013C: "HostComputer", 0x9C9D: "XPAuthor"}
_PEOPLE_EXIF = {0xA430: "CameraOwnerName", 0xA431: "BodySerialNumber"}
_XMP_GPS = re.compile(r"exif:GPSL(?:at|ong)itude\b")


class Trace(NamedTuple):
    """Something personal. what: without the data themselves; place: where it is."""

    code: str
    what: str
    place: str


def traces_in(text: str, place: str) -> Iterator[Trace]:
    """Paths with user names and e-mail addresses in a text."""
    if "@" in text:
        for found in _EMAIL.finditer(text):
            if found[2].lower() not in _SUFFIXES:
                yield Trace("personal.email", f"an e-mail address ({found[1][0]}…@…)", place)
                break
    for pattern in (_POSIX, _WINDOWS):
        for found in pattern.finditer(text):
            name = found[1].strip()
            if name and name.casefold() not in _NOBODY:
                start = found[0][: found.start(1) - found.start()]
                yield Trace("personal.path", f"a path with a user name ({start}{name[0]}…)", place)
                break


def record_traces(record: ImageRecord) -> Iterator[Trace]:
    """What is personal in the metadata of a record."""
    fields: dict[str, Any] = {
        "file_name": record.file_name,
        "source": record.source,
        "license": record.license,
        "extra": record.extra,
    }
    if record.generation is not None:
        generation = msgspec.to_builtins(record.generation)
        fields |= {f"generation.{name}": value for name, value in generation.items()}
    fields |= {f"{region_of(each)} extra": each.extra for each in record.artifacts}
    fields |= {f"review {number} extra": each.extra for number, each in enumerate(record.reviews)}
    for place, value in fields.items():
        for name, text in _texts(value):
            yield from traces_in(text, f"{place}{name}")


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a JSON value, also keys, with its place."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield name, str(key)
            yield from _texts(entry, f"{name}.{str(key)[:40]}")
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _texts(entry, name)


def image_traces(image: Image.Image) -> Iterator[Trace]:
    """What is personal in the metadata of a decoded image: text chunks, comments, XMP, EXIF."""
    for name, text in read_chunks(image, Problems()).items():
        yield from traces_in(text, f"image file, {name[:60]}")
        if name == "xmp" and _XMP_GPS.search(text):
            yield Trace("personal.gps", "where it was taken (GPS)", "image file, xmp")
    try:
        exif = image.getexif()
        gps, inner = exif.get_ifd(_GPS_IFD), exif.get_ifd(_EXIF_IFD)
    except Exception:  # a damaged block raises nearly anything; nobody else can read it either
        return
    if set(gps) - {0}:  # 0 is the version of the block
        yield Trace("personal.gps", "where it was taken (GPS)", "image file, EXIF")
    people = [(name, exif.get(tag)) for tag, name in _PEOPLE_TAGS.items()]
    people += [(name, inner.get(tag)) for tag, name in _PEOPLE_EXIF.items()]
    for name, value in people:
        if value and str(value).strip("\0 "):
            yield Trace("personal.exif", f"who or what made it ({name})", "image file, EXIF")


def check_traces(item: Item, traces: Iterable[Trace]) -> Iterator[Problem]:
    """One problem for each kind of trace in an image, with all its places."""
    found: dict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        found[trace.code].append(trace)
    for code, group in found.items():
        whats = list(dict.fromkeys(trace.what for trace in group))
        places = list(dict.fromkeys(trace.place for trace in group))
        more = f" and {len(places) - 4} more places" if len(places) > 4 else ""
        in_file = any(place.startswith("image file") for place in places)
        yield item.problem(
            code,
            ", ".join(whats[:3]) + (f" and {len(whats) - 3} more" if len(whats) > 3 else ""),
            "strip the metadata of the file and ingest it again: it becomes another image"
            if in_file
            else "take it out of the record, and build the next version",
            severity="warning",
            region=", ".join(places[:4]) + more,
            count=len(group),
        )


class Raters:
    """Counts raters whose id is an e-mail address, over all images."""

    def __init__(self) -> None:
        self._found: set[str] = set()

    def add(self, record: ImageRecord) -> None:
        """Take in one image."""
        names = {*record.raters, *(artifact.rater_id for artifact in record.artifacts)}
        self._found |= {name for name in names if _EMAIL.fullmatch(name)}

    def problems(self) -> Iterator[Problem]:
        """One problem for all of them."""
        if self._found:
            yield Problem(
                code="personal.rater",
                what=f"the ids of {len(self._found)} raters are their e-mail addresses",
                fix="give raters ids that are not addresses, or ask them",
                severity="warning",
                region="rater_id",
                count=len(self._found),
            )
