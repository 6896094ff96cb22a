"""Personal data in metadata and texts: user names in paths, e-mail addresses, keys, places, names.

What is found is told without repeating it, because the report is saved beside the release. The rules are
those by which `scrub_record` and `scrub_image` take it out, so that they leave nothing that is found here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from PIL import Image

from synthscars.ingest.metadata.chunks import read_chunks
from synthscars.problems import Problem, Problems
from synthscars.records import Artifact, ImageRecord
from synthscars.release.check.items import Item
from synthscars.release.personal import PEOPLE_CHUNKS, Finding, is_email, scrub_chunk
from synthscars.release.scrub import scrub_artifact, scrub_record
from synthscars.release.scrub_exif import EXIF_IFD, GPS_IFD, PEOPLE_EXIF, PEOPLE_TAGS

_FIX_RECORD = "build the next version with --scrub, or take it out of the record"
_FIX_FILE = (
    "build the next version with --scrub, or strip the metadata of the file and ingest it again: it becomes "
    "another image"
)


def record_findings(record: ImageRecord) -> tuple[Finding, ...]:
    """What is personal in a record: what would be taken out of it."""
    return scrub_record(record)[1]


def regions_findings(regions: Iterable[Artifact]) -> list[Finding]:
    """What is personal in the texts of raters' regions before they were merged."""
    found: list[Finding] = []
    for region in regions:
        scrub_artifact(region, found)
    return found


def image_findings(image: Image.Image) -> Iterator[Finding]:
    """What is personal in the metadata of a decoded image: text chunks, comments, XMP, EXIF.

    Read by Pillow, and not with what takes it out, so that one notices what the other leaves.
    """
    for name, text in read_chunks(image, Problems()).items():
        yield from scrub_chunk(name, text, f"image file, {name[:60]}")[1]
    try:
        exif = image.getexif()
        gps, inner = exif.get_ifd(GPS_IFD), exif.get_ifd(EXIF_IFD)
    except Exception:  # a damaged block raises nearly anything; nobody else can read it either
        return
    if set(gps) - {0}:  # 0 is the version of the block
        yield Finding("personal.gps", "where it was taken (GPS)", "image file, EXIF")
    people = [(name, exif.get(tag)) for tag, name in PEOPLE_TAGS.items()]
    people += [(name, inner.get(tag)) for tag, name in PEOPLE_EXIF.items()]
    for name, value in people:
        if f"exif:{name}" not in PEOPLE_CHUNKS and value and str(value).strip("\0 "):
            yield Finding("personal.exif", f"who or what made it ({name})", "image file, EXIF")


def check_findings(item: Item, findings: Iterable[Finding]) -> Iterator[Problem]:
    """One problem for each kind of finding in an image, with all its places."""
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in dict.fromkeys(findings):
        found[finding.code].append(finding)
    for code, group in found.items():
        whats = list(dict.fromkeys(each.what for each in group))
        places = list(dict.fromkeys(each.place for each in group))
        more = f" and {len(places) - 4} more places" if len(places) > 4 else ""
        in_file = any(place.startswith("image file") for place in places)
        yield item.problem(
            code,
            ", ".join(whats[:3]) + (f" and {len(whats) - 3} more" if len(whats) > 3 else ""),
            _FIX_FILE if in_file else _FIX_RECORD,
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
        self._found |= set(filter(is_email, names))

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
