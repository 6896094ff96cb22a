"""The pictures that the annotations name: each decoded once, and which of them look alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from synthscars.converters.pictures import Look, Picture, SourcePictures
from synthscars.converters.synthscars_json import AnnotationFile
from synthscars.converters.synthscars_json_entries import file_name
from synthscars.engine import map_ordered
from synthscars.lookalikes import Thumbnail, likeness, mean_error, near_hashes, thumbnail
from synthscars.problems import ImageError
from synthscars.records import ImageRecord

Known = Mapping[str, ImageRecord]
"""Images that were decoded before, by their id."""


class Seen(NamedTuple):
    """An image file: what looking at it found, and its perceptual hash (`""` if it cannot be decoded)."""

    look: Look
    phash: str


class Alike(NamedTuple):
    """Two images that look alike, by their ids. same: one picture, encoded or scaled anew. error: mean
    absolute difference of the pixels at a small size, in levels of 255."""

    first: str
    second: str
    same: bool
    error: float


def named_files(files: Iterable[AnnotationFile]) -> list[Path]:
    """The image files that annotations name and that are there, each once, as `read_file` finds them."""
    found: dict[Path, None] = {}
    for file in files:
        pictures = SourcePictures([file.images], "")
        for item in file.entries:
            for entry in item.values() if isinstance(item, dict) else ():
                name = file_name(entry) if isinstance(entry, dict) else ""
                path = pictures.path(name) if name else None
                if path is not None:
                    found[path] = None
    return list(found)


def look_at_all(
    paths: Iterable[Path],
    known: Known,
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[Path, Seen]:
    """Look at every file, several at a time; what is known already is not decoded again."""
    found: dict[Path, Seen] = {}
    for path, seen in map_ordered(lambda path: (path, _look(path, known)), paths, workers=workers):
        found[path] = seen
        if progress:
            progress(1)
    return found


def _look(path: Path, known: Known) -> Seen:
    from synthscars.images import inspect_image, sha256

    try:
        data = path.read_bytes()
    except OSError as error:
        what = f"it cannot be read: {error.strerror or error}"
        unreadable = ImageError(what, code="image.unreadable", fix="check that you may read it")
        return Seen(Look(Picture("", 0, 0, path), unreadable), "")
    image_id = sha256(data)
    record = known.get(image_id)
    phash: Any = record.extra.get("phash") if record else None
    if record and isinstance(phash, str):
        return Seen(Look(Picture(image_id, record.width, record.height, path)), phash)
    try:
        info, _ = inspect_image(data)
    except ImageError as error:
        return Seen(Look(Picture(image_id, 0, 0, path), error), "")
    return Seen(Look(Picture(image_id, info.width, info.height, path)), info.phash)


def find_alike(seen: Iterable[Seen], *, workers: int | None = None) -> list[Alike]:
    """Pairs of images that look alike though their bytes differ, in the order of the images; of each with
    at most `MOST_NEAR` later ones, which still links all of a kind with each other."""
    by_id: dict[str, Seen] = {}
    for each in seen:
        if each.phash:
            by_id.setdefault(each.look.picture.image_id, each)
    images = list(by_id.values())
    pairs = near_hashes([each.phash for each in images]).pairs
    wanted = sorted({index for pair in pairs for index in pair})
    small = dict(
        zip(wanted, map_ordered(lambda index: _small(images[index]), wanted, workers=workers), strict=True)
    )
    return list(_alike(images, pairs, small))


def _alike(
    images: list[Seen], pairs: Iterable[tuple[int, int]], small: Mapping[int, Thumbnail | None]
) -> Iterator[Alike]:
    for i, j in sorted(pairs):
        first, second = small[i], small[j]
        if first is None or second is None:
            continue
        found = likeness(first, second)
        if found:
            one, other = (images[index].look.picture.image_id for index in (i, j))
            yield Alike(one, other, found == "same", mean_error(first, second))


def _small(seen: Seen) -> Thumbnail | None:
    from synthscars.images import open_image, upright

    path = seen.look.picture.path
    assert path is not None
    try:
        return thumbnail(upright(open_image(path.read_bytes())))
    except (ImageError, OSError):  # it was whole a moment ago
        return None


def linked(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The group of every image that is in a pair: the smallest id among all that are linked to each other."""
    parent: dict[str, str] = {}

    def root(image_id: str) -> str:
        while parent.setdefault(image_id, image_id) != image_id:
            image_id = parent[image_id]
        return image_id

    for first, second in pairs:
        one, other = root(first), root(second)
        parent[max(one, other)] = min(one, other)
    return {image_id: root(image_id) for image_id in list(parent)}
