"""Which images and label files a YOLO dataset has, in which split, and the names of its classes.

Read are the layout of Ultralytics (`images/train/a.jpg`, `labels/train/a.txt`), that of Roboflow
(`train/images/a.jpg`, `train/labels/a.txt`), labels beside the images, and the `classes.txt` that labelImg
and Label Studio write instead of `data.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from synthscars.converters.reading import Where, is_number, kind
from synthscars.problems import FormatError, Problems

SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "unsplit": "",
}
"""Splits by keys of `data.yaml` and names of folders; `unsplit` is our own."""

IMAGE_SUFFIXES = frozenset(
    (
        ".avif",
        ".bmp",
        ".dng",
        ".gif",
        ".heic",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".pfm",
        ".png",
        ".tif",
        ".tiff",
        ".webp",
    )
)
"""What Ultralytics takes for images, and some more: one that cannot be read is reported, not overlooked."""

_MOST_BYTES = 4 * 1024 * 1024


class Item(NamedTuple):
    """One image. image: its file. label: its label file; `None`: there is none.

    name: path below the dataset, without suffix where there is no image.
    """

    split: str
    name: str
    image: Path | None
    label: Path | None


class Dataset(NamedTuple):
    """names: of the classes, by number. items: sorted by name."""

    names: dict[int, str]
    items: list[Item]


def find_dataset(source: Path, problems: Problems, images: Path | None) -> Dataset:
    """Everything there is of a dataset: a folder, or its `data.yaml`.

    images: where images are looked for that are not in their place. Raises `FormatError` if there are neither
    label files nor images where a YOLO dataset has them.
    """
    root = source.parent if source.is_file() else source
    config = _read_config(source if source.is_file() else _find_config(root), problems)
    where = Where(problems, str(config.path or root))
    names = config.names if config.names is not None else _class_list(root)
    found: dict[str, _Files] = {}
    for key, texts in config.splits.items():
        for text in texts:
            folder = _inside(root, config.base, text)
            if folder is None:
                what = f"{key}: {text[:200]} is not in {root}"
                where.warn("split.missing", what, "mend the path, or add the folder")
                continue
            for file in _files_of(root, folder):
                _add(found, file).splits.add(SPLITS[key])
    for folder in _usual_folders(root):
        for file in _files_of(root, folder):
            _add(found, file)
    if not found and config.path is None:
        raise FormatError(
            f"{source}: no data.yaml, and no images or labels where YOLO has them",
            fix="give the folder that holds data.yaml, or images/ and labels/",
        )
    return Dataset(names, list(_items(found, root, where, images)))


# The configuration


class _Config(NamedTuple):
    path: Path | None
    names: dict[int, str] | None
    base: str
    splits: dict[str, list[str]]


def _find_config(root: Path) -> Path | None:
    if not root.is_dir():
        raise FormatError(f"{root}: there is no such folder")
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (root / name).is_file():
            return root / name
    others = sorted(path for path in root.glob("*.y*ml") if path.is_file())
    return others[0] if len(others) == 1 else None


def _read_config(path: Path | None, problems: Problems) -> _Config:
    import yaml  # type: ignore[import-untyped, unused-ignore]

    nothing = _Config(path, None, "", {})
    if path is None:
        return nothing
    where = Where(problems, str(path))
    fix = "mend it: train, val and names are what it has to say"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
        # Aliases that multiply are harmless: nothing here walks through nested values.
        values = yaml.safe_load(path.read_bytes())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        what = f"it cannot be read: {str(error)[:300]}; classes have numbers only"
        where.add("config.damaged", what, fix)
        return nothing
    if not isinstance(values, dict):
        where.add("config.damaged", "it has no keys; classes have numbers only", fix)
        return nothing
    splits = {key: _texts(values.get(key)) for key in SPLITS if values.get(key)}
    for key, texts in splits.items():
        if not texts:
            where.warn("config.wrong_type", f"{key} is no path and no list of paths", fix)
    base = values.get("path")
    return _Config(path, _names(values.get("names"), where), base if isinstance(base, str) else "", splits)


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, str)]


def _names(value: Any, where: Where) -> dict[int, str] | None:
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, list):
        pairs = enumerate(value)
    elif isinstance(value, dict):
        pairs = value.items()
    elif value is not None:
        where.warn("config.wrong_type", "names is no list and no mapping", "write `0: name` line by line")
    names: dict[int, str] = {}
    for number, name in pairs:
        # YAML knows numbers that are too long to be written in digits.
        index = str(number) if isinstance(number, str) or is_number(number) else kind(number)
        if index.isdecimal() and len(index) < 10 and (isinstance(name, (str, bool)) or is_number(name)):
            names[int(index)] = str(name)
        else:
            what = f"{index[:40]}: no number and name of a class"
            where.warn("config.wrong_type", what, "write `0: name` line by line")
    return None if value is None else names


def _class_list(root: Path) -> dict[int, str]:
    for path in (root / "classes.txt", root / "labels" / "classes.txt"):
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            return {number: line.strip() for number, line in enumerate(lines) if line.strip()}
    return {}


# The files


class _Files:
    """The images and the label file of one name."""

    def __init__(self) -> None:
        self.images: dict[str, Path] = {}
        self.label: Path | None = None
        self.splits: set[str] = set()


def _inside(root: Path, base: str, text: str) -> PurePosixPath | None:
    """A path of `data.yaml` below the dataset, wherever the dataset was when it was written.

    `../train/images` and `/home/somebody/data/images/train` are looked for by their ends.
    """
    parts = [
        part
        for part in PurePosixPath(f"{base}/{text}".replace("\\", "/")).parts
        if part != ".." and part.strip("/") and not part.endswith(":") and "\0" not in part
    ]
    for start in range(len(parts)):
        tail = PurePosixPath(*parts[start:])
        try:
            if (root / tail).exists() or (root / _label_place(tail)).exists():
                return tail
        except OSError:  # a name that is too long
            continue
    return None


def _label_place(path: PurePosixPath) -> PurePosixPath:
    """Where the labels of a folder of images are: the last `images` of its path becomes `labels`."""
    return _with_part(path, "images", "labels")


def _with_part(path: PurePosixPath, old: str, new: str) -> PurePosixPath:
    parts = list(path.parts)
    if old not in parts:
        return path
    last = len(parts) - 1 - parts[::-1].index(old)
    return PurePosixPath(*parts[:last], new, *parts[last + 1 :])


def _usual_folders(root: Path) -> Iterator[PurePosixPath]:
    """Folders of images where datasets have them, whether or not `data.yaml` names them."""
    for above in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
        is_part = above != root and above.name in ("images", "labels")
        if not is_part and ((above / "images").is_dir() or (above / "labels").is_dir()):
            yield PurePosixPath(above.relative_to(root).as_posix()) / "images"


def _files_of(root: Path, folder: PurePosixPath) -> Iterator[PurePosixPath]:
    """Images and label files of a folder, or of a list of images; relative to the dataset."""
    if (root / folder).is_file():
        yield from _listed(root, folder)
        return
    for place in dict.fromkeys((folder, _label_place(folder))):
        for path in sorted((root / place).rglob("*")) if (root / place).is_dir() else ():
            suffix = path.suffix.lower()
            if (suffix in IMAGE_SUFFIXES or suffix == ".txt") and path.is_file():
                yield PurePosixPath(path.relative_to(root).as_posix())


def _listed(root: Path, path: PurePosixPath) -> Iterator[PurePosixPath]:
    if path.suffix.lower() != ".txt" or (root / path).stat().st_size > 64 * _MOST_BYTES:
        return
    for line in (root / path).read_text(encoding="utf-8-sig", errors="replace").splitlines():
        image = _inside(root, path.parent.as_posix(), line.strip()) if line.strip() else None
        if image is not None:
            yield image
            label = _label_place(image).with_suffix(".txt")
            if (root / label).is_file():
                yield label


def _add(found: dict[str, _Files], file: PurePosixPath) -> _Files:
    is_label = file.suffix.lower() == ".txt"
    place = _with_part(file, "labels", "images") if is_label else file
    files = found.setdefault(place.with_suffix("").as_posix(), _Files())
    if is_label:
        files.label = Path(file)
    else:
        files.images[file.as_posix()] = Path(file)
    return files


def _items(found: dict[str, _Files], root: Path, where: Where, images: Path | None) -> Iterator[Item]:
    elsewhere: _Elsewhere | None = None
    several = 0
    for name, files in sorted(found.items()):
        several += len(files.splits) > 1 and "" not in files.splits
        split = _split(name, files.splits)
        label = root / files.label if files.label else None
        if not files.images:
            if elsewhere is None:
                elsewhere = _Elsewhere(images)
            image = elsewhere.find(name)
            if image is None and label is not None and label.name == "classes.txt":
                continue  # the names of classes, as labelImg leaves them everywhere
            yield Item(split, image.name if image else name, image, label)
        for place, path in files.images.items():
            if len(files.images) > 1 and label:
                what = f"{len(files.images)} images of this name share {files.label}"
                where.at(image=place).warn("image.same_label", what, "rename one of them")
            yield Item(split, place, root / path, label)
    if several:
        what = f"{several} images are in several splits: read without a split"
        where.warn("split.several", what, "decide to which split they belong")


def _split(name: str, splits: set[str]) -> str:
    if splits:
        return next(iter(splits)) if len(splits) == 1 else ""
    known = [SPLITS[part] for part in PurePosixPath(name).parts[:-1] if part in SPLITS]
    return known[-1] if known else ""


class _Elsewhere:
    """Images outside the dataset, by the ends of their paths without suffix."""

    def __init__(self, folder: Path | None) -> None:
        self._by_place: dict[str, Path] = {}
        self._by_stem: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")) if folder else ():
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                place = path.relative_to(folder).with_suffix("") if folder else path
                self._by_place.setdefault(place.as_posix(), path)
                self._by_stem.setdefault(path.stem, []).append(path)

    def find(self, name: str) -> Path | None:
        """The image at the longest end of the path `name`, or the only one of its stem."""
        parts = PurePosixPath(name).parts
        for start in range(len(parts)):
            if path := self._by_place.get("/".join(parts[start:])):
                return path
        same = self._by_stem.get(parts[-1], [])
        return same[0] if len(same) == 1 else None
