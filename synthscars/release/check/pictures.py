"""The image file: is it the right one, does it decode, how large is it, what does its metadata give away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from synthscars.images import difference_hash, open_image, sha256, upright
from synthscars.problems import ImageError, Problem
from synthscars.release.check.annotations import check_raters_regions, check_record
from synthscars.release.check.items import Item
from synthscars.release.check.languages import Told, languages_of
from synthscars.release.check.personal import (
    check_findings,
    image_findings,
    record_findings,
    regions_findings,
)
from synthscars.release.check.texts import Text, check_texts, texts_of
from synthscars.release.check.viewer import check_picture
from synthscars.release.personal import Finding

_FETCH = "fetch the release again, or build it again from the originals"


class Seen(NamedTuple):
    """What looking at one image by itself found. phash: of the upright image, `""` if it was not decoded.
    at_hand: false if there are no bytes of it, which only a release promises."""

    item: Item
    problems: list[Problem]
    texts: list[Text]
    languages: list[Told]
    phash: str
    at_hand: bool

    @property
    def decoded(self) -> bool:
        """Whether the whole image could be decoded."""
        return bool(self.phash)


def look(item: Item) -> Seen:
    """Check one image by itself; pure, and may run in any thread."""
    problems = [*check_record(item), *check_raters_regions(item)]
    texts = texts_of(item)
    problems += check_texts(item, texts)
    findings = [*record_findings(item.record), *regions_findings(item.regions)]
    phash = ""
    data = _bytes(item, problems)
    if data is not None:
        phash = _look_at(item, data, problems, findings)
    problems += check_findings(item, findings)
    # The bytes are of no use any more, and many results may wait.
    light = item._replace(row={} if item.released else None, regions=(), load=_nothing)
    return Seen(light, problems, texts, languages_of(texts), phash, data is not None)


def _nothing() -> None:
    return None


def _bytes(item: Item, problems: list[Problem]) -> bytes | None:
    try:
        found = item.load()
        data = found.read_bytes() if isinstance(found, Path) else found
    except OSError as error:
        what = f"the image cannot be read: {error.strerror or error}"
        problems.append(item.problem("image.unreadable", what, "check that you may read it"))
        return None
    if data is None and item.released:
        problems.append(item.problem("image.missing", "the row has no image in it", _FETCH))
    return data


def _look_at(item: Item, data: bytes, problems: list[Problem], findings: list[Finding]) -> str:
    problems += _identity(item, data)
    try:
        image = open_image(data)
        turned = upright(image)
    except ImageError as error:
        problems.append(item.problem(error.code, error.message, error.fix or _FETCH))
        return ""
    record = item.record
    if turned.size != (record.width, record.height):
        what = f"it is {turned.width} x {turned.height} pixels upright, the record says {record.width} x "
        fix = "correct the size: outlines that were drawn on another size are elsewhere"
        problems.append(item.problem("image.size", f"{what}{record.height}", fix))
    problems += check_picture(item, turned)
    findings += image_findings(image)
    return difference_hash(turned)


def _identity(item: Item, data: bytes) -> Iterator[Problem]:
    if sha256(data) != item.record.image_id:
        what = "the image is another file than the one of this id (sha256 differs)"
        yield item.problem("image.altered", what, _FETCH)
