"""One file of LISA's reasoning segmentation, to a record. See `lisa` for the layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthscars.converters.captions import without_marks
from synthscars.converters.fields import read_artifact_values, read_image_values, settle_status
from synthscars.converters.parts import Drawn, join, whole_number
from synthscars.converters.pictures import Picture, SourcePictures, base_name
from synthscars.converters.reading import (
    Json,
    Where,
    decode_json,
    flat_ring,
    kind,
    read_bytes,
    text,
    unknown_fields,
    usable_ring,
    whole,
)
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, ImageRecord

NAMESPACE = "lisa"
EXPLANATORY = "explanatory"
TARGET = "target"
"""The label of what is to be segmented, whatever its category."""

_FILE = ("text", "is_sentence", "shapes", "width", "height")
_SHAPE = ("points", "category")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp")


def split_of(folder: str) -> str:
    """The split that a folder of that name is."""
    return "validation" if folder == "val" else folder if folder in ("train", "validation", "test") else ""


def shape_frame(label: str, image_name: str, group: Any) -> Json:
    """The keys that every shape of ReasonSeg has, besides its points."""
    return {
        "label": label,
        "labels": [label],
        "shape_type": "polygon",
        "image_name": image_name,
        "group_id": group,
        "group_ids": [group],
        "flags": {},
    }


def outputs_of(artifacts: Sequence[Artifact]) -> str:
    """What is wrong with an image, in words: all explanations."""
    return without_marks(" ".join(each.explanation for each in artifacts if each.explanation))


def read_file(
    path: Path, problems: Problems, pictures: SourcePictures, explanatory: dict[str, Json]
) -> ImageRecord:
    """The record of one file. explanatory: what is said about each image in words, by its name.

    Raises `FormatError` if it is no such file.
    """
    given = _load(path)
    if not isinstance(given, dict) or not ("shapes" in given or "text" in given):
        what = f"{path}: it is no file of LISA: it has neither shapes nor text"
        raise FormatError(what, fix="leave it out of the folder")
    where = Where(problems, str(path), f"{path.stem}.jpg")
    fields, rest = read_image_values(unknown_fields(given, _FILE), where)
    picture, name = _picture(path, given, fields, pictures, where)
    size = (picture.width, picture.height)
    texts = _texts(given.get("text"), where)
    kept: Json = {"fields": rest} if rest else {}
    if len(texts) != 1:
        kept["text"] = texts
    if given.get("is_sentence", True) is not True:
        kept["is_sentence"] = given["is_sentence"]
    drawn, others, rejected = _shapes(given.get("shapes"), size, name, where)
    said = explanatory.get(f"{path.stem}.jpg", {})
    if len(drawn) == 1 and text(said.get("outputs")):
        drawn = [drawn[0]._replace(fields={"explanation": said["outputs"], **drawn[0].fields})]
    artifacts = join(drawn, NAMESPACE)
    if said and (said.get("query"), said.get("outputs")) != (*texts[:1], outputs_of(artifacts)):
        kept[EXPLANATORY] = said
    kept |= {
        **({"others": others} if others else {}),
        **({"rejected": rejected} if rejected else {}),
    }
    # Somebody looked, and said that it cannot be told.
    only_ignored = bool(others) and not artifacts and not rejected
    state = fields.get("status", "skipped" if only_ignored else None)
    return ImageRecord(
        **{
            "file_name": name,
            "split": split_of(path.resolve().parent.name),
            "caption": texts[0] if texts else "",
            **fields,
            "image_id": picture.image_id,
            "width": size[0],
            "height": size[1],
            "artifacts": artifacts,
            "status": settle_status(state, bool(artifacts), bool(rejected), where),
            "extra": {**fields.get("extra", {}), **({NAMESPACE: kept} if kept else {})},
        }
    )


def _load(path: Path) -> Any:
    content = read_bytes(path)
    try:
        content.decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "cp1252"
    return decode_json(content, str(path), encoding=encoding)


def _picture(
    path: Path, given: Json, fields: Json, pictures: SourcePictures, where: Where
) -> tuple[Picture, str]:
    """The image of a file, and its name: as LISA wants it, with another suffix, or as it was once called."""
    names = [path.stem + suffix for suffix in _SUFFIXES]
    shapes = given.get("shapes")
    first_shapes = shapes[:1] if isinstance(shapes, list) else []
    said = [shape.get("image_name") for shape in first_shapes if isinstance(shape, dict)]
    names += [base_name(each) for each in (*said, fields.get("file_name")) if isinstance(each, str)]
    size = (whole(given.get("width")), whole(given.get("height")))
    first: tuple[Picture, str, Problems] | None = None
    for name in filter(None, dict.fromkeys(names)):
        quiet = Problems()
        image_id = fields.get("image_id", "")
        here = where._replace(problems=quiet)
        picture = pictures.find(name, here, image_id=image_id, size=size, stand_in=str(path.stem))
        first = first or (picture, name, quiet)
        if picture.path is not None:
            first = (picture, name, quiet)
            break
    assert first is not None  # there are always names to look for
    where.problems.extend(first[2])
    return first[0], first[1]


def _texts(value: Any, where: Where) -> list[str]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    if isinstance(value, str):
        where.warn("text.wrong_type", "the text is not in a list", "put it into a list; LISA spells it out")
        return [value]
    what = f"text is {kind(value)}" if not isinstance(value, list) else "text holds something that is no text"
    where.add("text.wrong_type", what, "write a list of questions")
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _shapes(
    shapes: Any, size: tuple[int, int], name: str, where: Where
) -> tuple[list[Drawn], list[Json], list[Any]]:
    """What is drawn; shapes that are no artifacts, with their position; and what cannot be used."""
    drawn: list[Drawn] = []
    others: list[Json] = []
    rejected: list[Any] = []
    if not isinstance(shapes, list):
        where.add("shapes.wrong_type", f"shapes is {kind(shapes)}, not a list", "draw the shapes")
        return drawn, others, rejected if shapes is None else [shapes]
    for number, shape in enumerate(shapes):
        here = where.at(region=f"shapes[{number}]")
        if not isinstance(shape, dict) or not isinstance(shape.get("label", ""), str):
            what = (
                "its label is no text" if isinstance(shape, dict) else f"it is {kind(shape)}, not an object"
            )
            here.add("shape.wrong_type", what, "draw it again; its raw form is kept in extra")
            rejected.append(shape)
            continue
        label = shape.get("label", TARGET)
        if "ignore" in label.lower() or label.lower() == "flag":
            others.append({"position": number, "shape": shape})
            continue
        ring = usable_ring(flat_ring(shape.get("points")), *size, here)
        if ring is None:
            rejected.append(shape)
            continue
        group = whole_number(shape.get("group_id"))
        category = shape.get("category", None if label == TARGET else label)
        usual = shape_frame(TARGET, name, group)
        fields, rest = read_artifact_values(unknown_fields(shape, (*usual, *_SHAPE)), here)
        rest |= {key: shape[key] for key, value in usual.items() if shape.get(key, value) != value}
        drawn.append(Drawn(category, (ring,), fields, here, f"shape-{number}", {}, rest, group))
    return drawn, others, rejected
