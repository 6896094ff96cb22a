"""Image files on both sides of a conversion: found by name when reading, put in place when writing.

Names in annotation files are untrusted: nothing is looked for outside the folders that were given, and
nothing is written under a name with a folder in it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from copy import copy
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Literal, NamedTuple

from synthscars.converters.losses import Losses
from synthscars.converters.reading import Where
from synthscars.files import is_temporary
from synthscars.problems import ImageError
from synthscars.records import ImageRecord

How = Literal["copy", "link", "embed", "none"]
"""What becomes of image files: copied, linked (symbolically), put into the annotation file, or left alone."""

HOWS: tuple[How, ...] = ("copy", "link", "embed", "none")

Finder = Callable[[str], Path | bytes | None]
"""From an image id to the file with its original bytes, or to these bytes if they are part of another file.

It may be called from several threads at a time, and more than once for an image.
"""


class Picture(NamedTuple):
    """What is known about an image; width and height (upright, pixels) are 0 where that is nothing."""

    image_id: str
    width: int
    height: int
    path: Path | None = None


class Look(NamedTuple):
    """What looking at an image file found, and why it cannot be used, if so."""

    picture: Picture
    error: ImageError | None = None


def look_at(path: Path) -> Look:
    """Decode an image file completely; one that cannot be used has size 0, an unreadable one no id."""
    from synthscars.images import inspect_image, sha256

    try:
        data = path.read_bytes()
    except OSError as error:
        what = f"it cannot be read: {error.strerror or error}"
        unreadable = ImageError(what, code="image.unreadable", fix="check that you may read it")
        return Look(Picture("", 0, 0, path), unreadable)
    try:
        info, _ = inspect_image(data)
    except ImageError as error:
        return Look(Picture(sha256(data), 0, 0, path), error)
    return Look(Picture(info.image_id, info.width, info.height, path))


_NOTED: ContextVar[dict[str, Path] | None] = ContextVar("noted", default=None)


@contextmanager
def noting() -> Iterator[Finder]:
    """While the block runs, note where readers find images; gives a finder of those.

    Each reader knows best where the images of its format lie, and has looked at them already.
    """
    noted: dict[str, Path] = {}
    token = _NOTED.set(noted)
    try:
        yield noted.get
    finally:
        _NOTED.reset(token)


class SourcePictures:
    """Ids and sizes of the images that an annotation file names, each file decoded once.

    folders: where to look, in this order, and at last anywhere below them for the only file of that name;
    without any, no image is looked at. format: makes the stand-in ids of images that are not there differ
    between formats. look: `look_at`, or one that has looked already.
    """

    def __init__(
        self,
        folders: Sequence[Path | None],
        format: str,
        *,
        look: Callable[[Path], Look] = look_at,
    ) -> None:
        self._folders = _existing(folders)
        self._format = format
        self._look_at = look
        self._known: dict[str, Picture] = {}
        self._names: dict[Path, dict[str, list[Path]]] = {}
        self._hashes: dict[Path, Finder] = {}

    def within(self, folders: Sequence[Path | None]) -> SourcePictures:
        """The same for other folders; no file that both look at is read twice."""
        other = copy(self)
        other._folders = _existing(folders)
        return other

    def find(
        self,
        name: str,
        where: Where,
        *,
        image_id: str = "",
        size: tuple[int, int] = (0, 0),
        stand_in: str = "",
    ) -> Picture:
        """The image of that name.

        image_id, size: what the annotation says about it. An image that is not there has that id, or one made
        of the format and `stand_in` (or its name), and that size. The file's own size and id hold where they
        differ; that is reported, as are missing and damaged files.
        """
        fallback = Picture(image_id or self.stand_in(stand_in or name), *size)
        if not self._folders:
            return fallback
        path = self.path(name) or (self._renamed(image_id) if image_id else None)
        if path is None:
            folders = ", ".join(map(str, self._folders))
            if alike := len(self._alike(name)):
                what = f"{alike} files below {folders} are called {base_name(name)[:200]}"
                where.warn("image.ambiguous", what, "name the folder in which the right one is")
            else:
                where.warn("image.missing", f"there is no {name[:200]} in {folders}", "add the image")
            return fallback
        key = str(path)
        if key not in self._known:
            self._known[key] = self._look(path, where)
        found = self._known[key]
        if (noted := _NOTED.get()) is not None:
            noted[found.image_id] = path
        if not found.width:
            known_id = found.image_id or fallback.image_id
            return found._replace(image_id=known_id, width=size[0], height=size[1])
        if image_id and found.image_id != image_id:
            where.warn(
                "image.differs",
                f"{name[:200]} is not the file that was annotated (its sha256 is another one)",
                "look whether the regions still fit, or find the original",
            )
        if all(size) and size != (found.width, found.height):
            swapped = size == (found.height, found.width)
            where.warn(
                "image.size_swapped" if swapped else "image.size_differs",
                f"{name[:200]} has {found.width} x {found.height} pixels upright, the annotation says "
                f"{size[0]} x {size[1]}",
                "look whether the regions lie where they should",
            )
        return found

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return self.path(name) is not None

    def stand_in(self, name: str) -> str:
        """An id for an image that is not there: equal for equal names of one format."""
        import hashlib

        # The name may be that of a file, which need not be UTF-8.
        return hashlib.sha256(f"{self._format}:{name}".encode("utf-8", "surrogatepass")).hexdigest()

    def path(self, name: str) -> Path | None:
        """The file of that name, `None` if there is none or it could be one of several."""
        given = PurePosixPath(name.replace("\\", "/"))
        if not given.name or "\0" in name:
            return None
        inside = ".." not in given.parts and not given.is_absolute()
        for folder in self._folders:
            for candidate in ([folder / given] if inside else []) + [folder / given.name]:
                try:
                    if candidate.is_file():
                        return candidate
                except OSError:  # a name that is too long
                    continue
        alike = self._alike(name)
        return alike[0] if len(alike) == 1 else None

    def _renamed(self, image_id: str) -> Path | None:
        """The file that was annotated, under another name."""
        for folder in self._roots():
            if folder not in self._hashes:
                self._hashes[folder] = by_hash([folder])
            if isinstance(found := self._hashes[folder](image_id), Path):
                return found
        return None

    def _alike(self, name: str) -> list[Path]:
        """The files of that name, in any case, anywhere below the folders."""
        found: dict[Path, Path] = {}
        for folder in self._roots():
            if folder not in self._names:
                self._names[folder] = _names_below(folder)
            for path in self._names[folder].get(base_name(name).casefold(), ()):
                if path.is_file():
                    found.setdefault(path.resolve(), path)
        return list(found.values())

    def _roots(self) -> list[Path]:
        """The folders that lie in none of the others."""
        return [one for one in self._folders if not any(each in one.parents for each in self._folders)]

    def _look(self, path: Path, where: Where) -> Picture:
        picture, error = self._look_at(path)
        if error is not None:
            where.warn(error.code, f"{path.name}: {error.message}", error.fix)
        return picture


def _existing(folders: Sequence[Path | None]) -> list[Path]:
    return [folder for folder in folders if folder is not None and folder.is_dir()]


def _names_below(folder: Path) -> dict[str, list[Path]]:
    """All files below a folder by their name in lower case, without what is being written there."""
    found: dict[str, list[Path]] = {}
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_temporary(Path(name)))
        for name in sorted(names):
            if Path(name).suffix:
                found.setdefault(name.casefold(), []).append(Path(place, name))
    return found


class TargetPictures:
    """Puts the image files of records where a format wants them.

    find: see `Finder`. how: see `How`; what is embedded in its source cannot be linked and is copied.
    """

    def __init__(self, find: Finder | None = None, how: How = "copy") -> None:
        self._find = find or (lambda _: None)
        self.how: How = how

    def find(self, record: ImageRecord) -> Path | bytes | None:
        """The file of an image, or its original bytes; `None` if it is not at hand."""
        return self._find(record.image_id)

    def place(self, record: ImageRecord, folder: Path, name: str, losses: Losses) -> bool:
        """Copy or link an image to `folder / name`; returns whether it is there now.

        An image that is not at hand is counted in `losses`, unless images are to be left alone.
        """
        target = folder / name
        if self.how == "none":
            return False
        if target.exists():
            return True
        found = self._found(record, losses)
        if found is None:
            return False
        folder.mkdir(parents=True, exist_ok=True)
        self._put(found, target)
        return True

    def _put(self, found: Path | bytes, target: Path) -> None:
        if isinstance(found, bytes):
            target.write_bytes(found)
        elif self.how == "link":
            target.symlink_to(found.resolve())
        else:
            shutil.copyfile(found, target)

    def data(self, record: ImageRecord, losses: Losses) -> bytes | None:
        """The original bytes of an image, to embed them; `None` if it is not at hand, which is counted."""
        found = self._found(record, losses)
        return found.read_bytes() if isinstance(found, Path) else found

    def suffix(self, record: ImageRecord) -> str:
        """The suffix of the file of an image, `""` if it is not at hand."""
        found = None if self.how == "none" else self.find(record)
        if isinstance(found, bytes):
            return _suffix_of(found)
        return found.suffix if found else ""

    def _found(self, record: ImageRecord, losses: Losses) -> Path | bytes | None:
        found = self.find(record)
        if found is None:
            losses.count(
                "image",
                "image files are not at hand and were left out",
                record,
                severity="warning",
                fix="pass --images FOLDER with the folder where the images are",
            )
        return found


def _suffix_of(data: bytes) -> str:
    """The suffix for the format that an image's first bytes tell, `""` if they tell none."""
    import io

    from PIL import Image, UnidentifiedImageError

    from synthscars.images import SUFFIXES

    try:
        with Image.open(io.BytesIO(data), formats=list(SUFFIXES)) as image:
            return SUFFIXES.get(image.format or "", ".jpg")  # .jpg: a JPEG with more pictures behind it
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""


NO_PICTURES = TargetPictures(how="none")


class Names:
    """Gives every image of one target folder a usable file name of its own.

    unique_stems: also the names without their suffix must differ (formats with one annotation file an image).
    """

    def __init__(self, *, unique_stems: bool = False) -> None:
        self._unique_stems = unique_stems
        self._taken: dict[str, str] = {}

    def give(self, record: ImageRecord, losses: Losses, suffix: str = "") -> str:
        """The name for an image: its own, or its id with `suffix` where that is unusable or taken."""
        name = base_name(record.file_name)
        fits = bool(name) and len(name.encode()) <= 200 and name.isprintable() and name == name.strip(" .")
        if not fits or self._is_taken(name, record):
            stem, number = _id_as_name(record.image_id), 1
            suffix = suffix or (PurePosixPath(name).suffix if fits else "")
            name = f"{stem}{suffix}"
            while self._is_taken(name, record):  # another image was called like this one's id
                number += 1
                name = f"{stem}-{number}{suffix}"
        if name != record.file_name:
            losses.count("file_name", "file names were unusable or taken, and were changed", record)
        self._taken[self._key(name)] = record.image_id
        return name

    def _is_taken(self, name: str, record: ImageRecord) -> bool:
        return self._taken.get(self._key(name), record.image_id) != record.image_id

    def _key(self, name: str) -> str:
        # Some file systems do not tell A.png from a.png.
        return (PurePosixPath(name).stem if self._unique_stems else name).casefold()


def _id_as_name(image_id: str) -> str:
    # Ids in records from elsewhere may be anything, also a path.
    from synthscars.images import sha256

    return image_id if re.fullmatch(r"[0-9A-Za-z_-]{1,100}", image_id) else sha256(image_id.encode())


def base_name(name: str) -> str:
    """A file name without its folders; `""` if there is none."""
    base = name.replace("\\", "/").rpartition("/")[2]
    return "" if base in {"", ".", ".."} or "\0" in base else base


def by_hash(folders: Sequence[Path]) -> Finder:
    """Find image files by their sha256; the folders are read only when the first image is wanted."""
    from synthscars.images import SUFFIXES, sha256

    found: dict[str, Path] = {}
    waiting = list(folders)
    lock = Lock()

    def find(image_id: str) -> Path | None:
        with lock:
            while waiting:
                for path in sorted(waiting.pop(0).rglob("*")):
                    if path.suffix.lower() in {*SUFFIXES.values(), ".jpeg", ".jpe", ".jfif"}:
                        # A folder with the name of a file, or a file that may not be read, is not at hand.
                        with suppress(OSError):
                            found.setdefault(sha256(path.read_bytes()), path)
        return found.get(image_id)

    return find


def first_of(*finders: Finder) -> Finder:
    """Ask one after the other, until one has the image."""
    return lambda image_id: next((found for find in finders if (found := find(image_id)) is not None), None)
