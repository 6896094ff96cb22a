"""The columns of a release as Croissant 1.1 describes them: record sets, fields and enumerations.

Everything is made from `datasets` features, so that a column which is added to a release is here as well.
Structs become sub-fields that take their value out of the column by a JSON path, which is how mlcroissant
reads them. Class labels are integers that refer to an enumeration of their names.

Source: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synthscars.taxonomy import Taxonomy, load_taxonomy

if TYPE_CHECKING:
    from datasets import ClassLabel

Json = dict[str, Any]

SPLITS_ID = "splits"

_SPLIT_URLS = {
    "train": "cr:TrainingSplit",
    "validation": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}
_SPLIT_REGEX = r"^(train|validation|test)(?:-.+\.parquet)?$"
"""mlcroissant applies it a second time to what it found."""

_KINDS = {"string": "sc:Text", "float64": "sc:Float", "float32": "sc:Float", "bool": "sc:Boolean"}
_MEANINGS = {
    "bbox": ["cr:BoundingBox"],
    "polygons": ["cr:SegmentationMask", "sc:GeoShape"],
}
"""What a column of numbers is beyond numbers, by its name."""

_ENUMERATIONS = {
    "origin": "origins",
    "content_type": "content_types",
    "status": "statuses",
    "category": "categories",
    "subtype": "subtypes",
}
"""Column of class labels → id of the enumeration of its names, which columns of one name share."""


def splits(names: Sequence[str]) -> Json:
    """The record set of the splits, which fields called `split` refer to."""
    return {
        "@type": "cr:RecordSet",
        "@id": SPLITS_ID,
        "name": SPLITS_ID,
        "description": "What each part of the data is meant for.",
        "dataType": "cr:Split",
        "key": {"@id": f"{SPLITS_ID}/name"},
        "field": [
            _plain(f"{SPLITS_ID}/name", "sc:Text", "name of the split"),
            _plain(f"{SPLITS_ID}/url", "sc:URL", "what a split of this name is for"),
        ],
        "data": [{f"{SPLITS_ID}/name": name, f"{SPLITS_ID}/url": _SPLIT_URLS[name]} for name in names],
    }


def enumerations(features: Mapping[str, Any]) -> list[Json]:
    """A record set for every vocabulary that class labels among these features are of."""
    found: dict[str, ClassLabel] = {}
    for path, label in class_labels(features):
        found.setdefault(_enumeration_id(path), label)
    texts = _definitions(load_taxonomy())
    return [
        {
            "@type": "cr:RecordSet",
            "@id": id,
            "name": id,
            "description": f"The names of the classes of {id.replace('_', ' ')}, by their number.",
            "dataType": "sc:Enumeration",
            "key": {"@id": f"{id}/id"},
            "field": [
                _plain(f"{id}/id", "sc:Integer", "number of the class, as stored"),
                _plain(f"{id}/name", "sc:Text", "name of the class"),
                _plain(f"{id}/description", "sc:Text", "what it means"),
            ],
            "data": [
                {
                    f"{id}/id": number,
                    f"{id}/name": name,
                    f"{id}/description": texts.get((id, name), name),
                }
                for number, name in enumerate(label.names)
            ],
        }
        for id, label in sorted(found.items())
    ]


def record_set(
    config: str, features: Mapping[str, Any], file_set: str, descriptions: Mapping[str, str], about: str
) -> Json:
    """The record set of a config: one field per column, and one for the split that the row is in.

    descriptions: by path of the column, as in `features.DESCRIPTIONS`.
    """
    split = {
        "@type": "cr:Field",
        "@id": f"{config}/split",
        "name": "split",
        "description": "split of the row, which the name of its file tells",
        "dataType": "sc:Text",
        "source": {
            "fileSet": {"@id": file_set},
            "extract": {"fileProperty": "filename"},
            "transform": {"regex": _SPLIT_REGEX},
        },
        "references": {"field": {"@id": f"{SPLITS_ID}/name"}},
    }
    return {
        "@type": "cr:RecordSet",
        "@id": config,
        "name": config,
        "description": about,
        "key": {"@id": f"{config}/image_id"},
        "field": [
            split,
            *(_column(config, name, feature, file_set, descriptions) for name, feature in features.items()),
        ],
    }


def class_labels(features: Mapping[str, Any], parent: str = "") -> Iterator[tuple[str, ClassLabel]]:
    """Path and feature of every column of class labels."""
    from datasets import ClassLabel

    for name, feature in features.items():
        inner, _ = _unlisted(feature)
        if isinstance(inner, ClassLabel):
            yield f"{parent}{name}", inner
        elif isinstance(inner, dict):
            yield from class_labels(inner, f"{parent}{name}.")


def _column(config: str, path: str, feature: Any, file_set: str, descriptions: Mapping[str, str]) -> Json:
    """The field of a column, or of a part of one: `artifacts.category` is a part of `artifacts`."""
    from datasets import ClassLabel, Image

    inner, shape = _unlisted(feature)
    column, *parts = path.split(".")
    field: Json = {
        "@type": "cr:Field",
        "@id": f"{config}/{path.replace('.', '/')}",
        "name": path.rpartition(".")[2],
        "description": _description(path, inner, descriptions),
    }
    if shape:
        field |= {"isArray": True, "arrayShape": ",".join(map(str, shape))}
    if isinstance(inner, dict):
        field["subField"] = [
            _column(config, f"{path}.{name}", part, file_set, descriptions) for name, part in inner.items()
        ]
        return field
    if isinstance(inner, Image):
        field["dataType"] = "sc:ImageObject"
        parts = ["bytes"]
    elif isinstance(inner, ClassLabel):
        field["dataType"] = ["sc:Integer", "cr:Label"]
        field["description"] += f" (class number: see `{_enumeration_id(path)}`)"
        if parts:
            # mlcroissant 1.1.1 makes a join of a reference on the top level, keeps every row in memory for
            # it, and cannot read a single split any more. The one of `split` does no such harm.
            field["references"] = {"field": {"@id": f"{_enumeration_id(path)}/id"}}
    else:
        kinds = [_kind(inner.dtype), *_MEANINGS.get(field["name"], ())]
        field["dataType"] = kinds if len(kinds) > 1 else kinds[0]
    field["source"] = {"fileSet": {"@id": file_set}, "extract": {"column": column}}
    if parts:
        field["source"]["transform"] = {"jsonPath": ".".join(parts)}
    return field


def _unlisted(feature: Any) -> tuple[Any, list[int]]:
    """What a feature is a list of, and the length of each dimension, -1 if it varies."""
    from datasets import List

    shape = []
    while isinstance(feature, List):
        shape.append(feature.length)
        feature = feature.feature
    return feature, shape


def _kind(dtype: str) -> str:
    return "sc:Integer" if "int" in dtype else _KINDS[dtype]


def _enumeration_id(path: str) -> str:
    name = path.rpartition(".")[2]
    return _ENUMERATIONS.get(name, f"{name}_classes")


def _description(path: str, inner: Any, descriptions: Mapping[str, str]) -> str:
    """The text about a column; about a part that has none, what is said of the whole."""
    if path in descriptions:
        return descriptions[path]
    parent, _, name = path.rpartition(".")
    if isinstance(inner, dict):
        return f"a struct of {', '.join(inner)}"
    # `rater_artifacts` has the struct of `artifacts`, whose parts are described.
    same = descriptions.get(f"artifacts.{name}") if "artifacts" in parent else None
    return same or (f"{name.replace('_', ' ')} of {parent}" if parent else name)


def _definitions(taxonomy: Taxonomy) -> dict[tuple[str, str], str]:
    """(id of the enumeration, name of the class) → what it means."""
    return {
        **{("categories", each.id): each.definition for each in taxonomy.categories},
        **{
            ("subtypes", each.id): f"{each.definition} (of the category {each.category})"
            for each in taxonomy.subtypes
        },
        **{("content_types", each.id): each.definition for each in taxonomy.content_types},
        ("origins", "synthetic"): "made by a generator",
        ("origins", "real"): "a photograph",
        ("statuses", "annotated"): "somebody looked and something is wrong",
        ("statuses", "clean"): "somebody looked and nothing is wrong",
        ("statuses", "unlabelled"): "nobody looked",
        ("statuses", "skipped"): "somebody looked, but it cannot be judged",
    }


def _plain(id: str, kind: str, description: str) -> Json:
    return {
        "@type": "cr:Field",
        "@id": id,
        "name": id.rpartition("/")[2],
        "description": description,
        "dataType": kind,
    }
