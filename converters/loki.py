"""LOKI's questions about images (arXiv 2410.09732): boxes with text, in `open_ended_vqa.json`. Only read.

https://github.com/opendatalab/LOKI, `data_json/image/open_ended_vqa.json`, UTF-16, 229 images. Nobody wrote
the layout down; it is what the two programs read that use it, `lm_evaluate/tasks/loki.py` of LOKI and
`eval/utils.py` (`generate_loki_mask`) of https://github.com/opendatalab/LEGION::

    [{"id": "...", "image_path": "media_data/image/UUID.jpg", "question": "...", "question_type": "...",
      "metric": "image-model-as-judge", "modality": "image-text",
      "problems": {"global": [{"desc": "why the image as a whole looks made"}],
                   "regional": [{"region": [x, y, width, height], "desc": "what is wrong here"}, ...]}}, ...]

Boxes are `[x, y, width, height]` in pixels: both programs add the last two to the first two. Images are
synthetic unless `question_type` says otherwise (`image_tf_image_real_...`). The other files of LOKI
(`true_or_false.json`) have the same items without `problems`.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synthscars.converters.holds import Holds
from synthscars.converters.pictures import SourcePictures, base_name
from synthscars.converters.reading import (
    Json,
    Where,
    decode_json,
    is_number,
    kind,
    read_bytes,
    text,
    unknown_fields,
    usable_ring,
)
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, ImageRecord, Origin, Ring, Status
from synthscars.shapes import rectangle_ring

NAMESPACE = "loki"
FILE = "open_ended_vqa.json"

HOLDS = Holds(
    image=frozenset({"file_name", "origin", "caption", "source"}),
    artifact=frozenset({"artifact_id", "outline", "explanation"}),
    statuses=frozenset(),
    outlines="boxes",
    several_rings=False,
    namespace=NAMESPACE,
    note="Only read. What is wrong with an image as a whole becomes its caption.",
)

_PLACES = (FILE, f"image/{FILE}", f"data_json/image/{FILE}", f"data/image/image_{FILE}")
_MEDIA = "media_data"
# By the marks that a file may start with; the longer ones first.
_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_SAID = "You are trained on data up to October 2023."
"""What the translator of LOKI made of descriptions that were empty."""


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read `open_ended_vqa.json`, or a folder that has it; records in its order.

    images: a folder with the images, or with LOKI's `media_data`, which is else looked for beside the file
    and up to three folders above it. A box becomes an artifact with a rectangle, and its text the
    explanation; the text about the whole image becomes the caption. The rest of an item is kept in `extra`.

    Every defect is reported with file, image and region; a box that cannot be used is kept in `extra`. Raises
    `FormatError` if there is no such file or it is not a list of questions.
    """
    path = _file(source)
    content = read_bytes(path)
    items = decode_json(content, str(path), encoding=_encoding(content))
    if not isinstance(items, list):
        raise FormatError(f"{path}: it is {kind(items)}, not a list of questions", fix=f"give {FILE}")
    folders = [images] if images else _folders(path)
    pictures = SourcePictures(folders, NAMESPACE)
    if items and not folders:
        problems.add(
            "image.no_folder",
            f"there is no {_MEDIA} beside it: sizes are unknown, and ids are made of file names",
            fix="say where the images are",
            severity="warning",
            file=str(path),
        )
    seen: set[str] = set()
    for number, item in enumerate(items):
        record = _read_item(item, number, pictures, seen, Where(problems, str(path)))
        if record is not None:
            yield record


def _file(source: Path) -> Path:
    if not source.is_dir():
        return source
    found = next((source / place for place in _PLACES if (source / place).is_file()), None)
    if found is None:
        raise FormatError(f"{source}: there is no {FILE} in it", fix="give the file itself")
    return found


def _encoding(content: bytes) -> str:
    """UTF-16 as published; UTF-8 as it is where somebody saved it again. Told by how it starts."""
    marked = next((name for mark, name in _ENCODINGS if content.startswith(mark)), None)
    if marked:
        return marked
    # Without a mark: the first character of JSON is ASCII, so in UTF-16 one of two bytes is 0.
    zeros = [index for index, byte in enumerate(content[:2]) if byte == 0]
    return {0: "utf-16-be", 1: "utf-16-le"}[zeros[0]] if len(zeros) == 1 else "utf-8"


def _folders(path: Path) -> list[Path]:
    above = list(path.resolve().parents)[:4]
    return [folder for folder in above if (folder / _MEDIA).is_dir()][:1]


def _read_item(
    item: Any, number: int, pictures: SourcePictures, seen: set[str], where: Where
) -> ImageRecord | None:
    place = where.at(region=f"item {number}")
    if not isinstance(item, dict):
        place.add("item.wrong_type", f"it is {kind(item)}, not an object", "write image_path and problems")
        return None
    path = text(item.get("image_path"))
    if not base_name(path):
        what = f"image_path is {kind(item.get('image_path'))}" if not path else f"{path[:60]!r} is no file"
        place.add("item.no_image", f"{what}: it is about no image, or about several", "leave it out")
        return None
    if "problems" not in item and path in seen:
        return None  # another question about the same image, which says nothing about it
    where = where.at(image=base_name(path))
    if path in seen:
        where.at(region=f"item {number}").warn(
            "image.repeated", "an item before it is about the same image", "look whether they are the same"
        )
    seen.add(path)
    picture = pictures.find(path, where, stand_in=path)
    rest = unknown_fields(item, ("image_path", "problems"))
    kept: Json = {"image_path": path, **({"fields": rest} if rest else {})}
    artifacts, rejected = _regional(item.get("problems"), (picture.width, picture.height), where)
    caption, other = _global(item.get("problems"), where)
    if rejected:
        kept["rejected"] = rejected
    if other:
        kept["problems"] = other
    status: Status = "annotated" if artifacts or rejected or caption else "unlabelled"
    origin: Origin = (
        "real" if "_real_" in text(item.get("question_type")).partition("_ask_")[0] + "_" else "synthetic"
    )
    return ImageRecord(
        image_id=picture.image_id,
        file_name=base_name(path),
        width=picture.width,
        height=picture.height,
        origin=origin,
        status=status,
        caption=caption,
        artifacts=tuple(artifacts),
        source=Path(where.file).name,
        extra={NAMESPACE: kept},
    )


def _regional(problems: Any, size: tuple[int, int], where: Where) -> tuple[list[Artifact], list[Any]]:
    """The artifacts of the regions, and what could not be used."""
    regions = problems.get("regional", []) if isinstance(problems, dict) else []
    if problems is not None and not isinstance(problems, dict):
        where.add("problems.wrong_type", f"problems is {kind(problems)}, not an object", "write the problems")
        return [], [problems]
    if not isinstance(regions, list):
        where.add("regional.wrong_type", f"regional is {kind(regions)}, not a list", "list the regions")
        return [], [regions]
    artifacts: list[Artifact] = []
    rejected: list[Any] = []
    for number, region in enumerate(regions):
        here = where.at(region=f"regional[{number}]")
        ring = _ring(region, size, here)
        if ring is None:
            rejected.append(region)
            continue
        said = region.get("desc", "")
        if not isinstance(said, str):
            here.warn("desc.wrong_type", f"desc is {kind(said)}, not a text", "it is kept in extra")
        elif said == _NOT_SAID:
            _report_not_said(here)
        rest = unknown_fields(region, ("region", "desc"))
        if not isinstance(said, str) or said == _NOT_SAID:
            rest["desc"] = said
        artifacts.append(
            Artifact(
                artifact_id=f"region-{number}",
                polygons=(ring,),
                explanation="" if "desc" in rest else said,
                extra={NAMESPACE: rest} if rest else {},
            )
        )
    return artifacts, rejected


def _ring(region: Any, size: tuple[int, int], where: Where) -> Ring | None:
    box = region.get("region") if isinstance(region, dict) else None
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        what = f"its region is {str(box)[:60]}" if isinstance(region, dict) else f"it is {kind(region)}"
        where.add(
            "box.wrong_type", f"{what}, not [x, y, width, height]", "draw it again; it is kept in extra"
        )
        return None
    x, y, width, height = map(float, box)
    if width <= 0 or height <= 0:
        what = f"its region {box} has the width {width:g} and the height {height:g}"
        where.add("box.no_area", what, "draw it again; it is kept in extra")
        return None
    outside = size[0] > 0 and (x + width > size[0] + 1 or y + height > size[1] + 1)
    if outside and width <= size[0] and height <= size[1] and width > x and height > y:
        where.warn(
            "box.corners",
            f"its region {box} would lie on the image if it were two corners; it is read as "
            "[x, y, width, height], as everything that uses LOKI does",
            "look at it",
        )
    return usable_ring(rectangle_ring(x, y, width, height), *size, where)


def _global(problems: Any, where: Where) -> tuple[str, Json]:
    """What is wrong with the image as a whole, and what else is said about its problems."""
    if not isinstance(problems, dict):
        return "", {}
    other = unknown_fields(problems, ("regional", "global"))
    entries = problems.get("global", [])
    said = [text(each.get("desc")) for each in entries if isinstance(each, dict)] if _is_list(entries) else []
    if not _is_list(entries) or len(said) < len(entries):
        where.warn("global.wrong_type", "global is no list of descriptions", "it is kept in extra")
        other["global"] = entries
    elif any(set(each) != {"desc"} for each in entries) or _NOT_SAID in said:
        other["global"] = entries
    if _NOT_SAID in said:
        _report_not_said(where.at(region="global"))
    return " ".join(each for each in said if each and each != _NOT_SAID), other


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _report_not_said(where: Where) -> None:
    where.warn(
        "desc.not_said",
        f"{_NOT_SAID!r} is what a translator made of an empty description; it is taken for none",
        "write the description",
    )
