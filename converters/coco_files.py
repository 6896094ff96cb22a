"""Where the annotation files and the images of a COCO data set are: the usual folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from synthscars.converters.coco_model import DEFAULT_SPLIT
from synthscars.converters.detection import Evidence
from synthscars.converters.pictures import base_name
from synthscars.converters.reading import shown_files
from synthscars.problems import FormatError

ROBOFLOW = "_annotations.coco.json"
PATTERNS = (
    "annotations/instances_*.json",
    "annotations/*.json",
    f"*/{ROBOFLOW}",
    ROBOFLOW,
    "*.json",
)
"""Of annotation files in a folder, best first: COCO has captions and keypoints beside the instances."""

_SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
_PROBES = 50


class Source(NamedTuple):
    """One annotation file. split: what it is by its name. folders: where its images may be, best first."""

    path: Path
    split: str
    folders: tuple[Path, ...]


def looks_like_coco(path: Path) -> bool:
    """Whether a file is an object with images and annotations."""
    return {"images", "annotations"} <= Evidence(path).keys


def sources(source: Path) -> list[Source]:
    """The annotation files of a folder, or the one file. Raises `FormatError` if a folder has none."""
    if not source.is_dir():
        return [_source(source, source.parent)]
    for pattern in PATTERNS:
        found = shown_files(source, pattern)
        # Whatever else lies there; a file that is called instances, though, is told to be damaged if it is.
        if pattern != PATTERNS[0]:
            found = [path for path in found if looks_like_coco(path)]
        if found:
            return [_source(path, source) for path in found]
    raise FormatError(
        f"{source}: no COCO annotations in it",
        fix=f"they are looked for as {', '.join(PATTERNS)}; or give the file itself",
    )


def _source(path: Path, root: Path) -> Source:
    name = path.parent.name if path.name == ROBOFLOW else path.stem.removeprefix("instances_")
    root = root.parent if root.name == "annotations" else root
    folders = (
        *(folder / name for folder in (root / "images", root)),
        root / "images",
        root / "data",
        path.parent,
        root,
    )
    return Source(path, _split(path, name), folders)


def _split(path: Path, name: str) -> str:
    for word in re.findall("[a-z]+", name.lower()):
        if word in _SPLITS:
            return _SPLITS[word]
    return name if path.stem.startswith("instances_") and name != DEFAULT_SPLIT else ""


def image_folders(source: Source, given: Path | None, names: Iterable[str]) -> list[Path]:
    """The folders to look for images in: those `given`, else those that hold any of the first `names`."""
    if given is not None:
        return [given / folder.name for folder in source.folders[:1]] + [given]
    wanted = [part for _, name in zip(range(_PROBES), names, strict=False) for part in _parts(name)]
    folders = dict.fromkeys(source.folders)
    return [folder for folder in folders if any(_is_file(folder / each) for each in wanted)]


def _parts(name: str) -> Iterator[str]:
    given = PurePosixPath(name.replace("\\", "/"))
    if ".." not in given.parts and not given.is_absolute() and given.name and "\0" not in name:
        yield str(given)
    if base_name(name):
        yield base_name(name)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
