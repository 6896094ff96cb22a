"""What `metadata.json` of a FiftyOne dataset folder declares: the fields of samples and labels, with types.

FiftyOne's importer takes the declarations as they stand, and its App shows and filters by what is declared.
The names of the types are those of FiftyOne (`fiftyone.core.fields`, `fiftyone.core.labels`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from synthscars.converters.reading import Json, text

NAMESPACE = "fiftyone"
"""Key of `extra`. Of an image: `id`, `tags`, `fields` (other fields) and `rejected` labels; of an artifact:
its `field` and other `attributes`."""

FIELD = "artifacts"
"""The field of a sample that has the artifacts, unless they came from another field."""

VERSION = "1.0.0"
"""Of FiftyOne: it brings folders of older versions up to date, and refuses those of newer ones."""

LABELS = frozenset(
    {
        "Classification",
        "Classifications",
        "Detection",
        "Detections",
        "Polyline",
        "Polylines",
        "Keypoint",
        "Keypoints",
        "Segmentation",
        "Heatmap",
        "Regression",
        "GeoLocation",
        "GeoLocations",
    }
)
"""Classes of labels that a field may have."""

OID = re.compile(r"[0-9a-f]{24}")
"""An id as MongoDB has them."""

OF_ANY_LABEL = ("tags", "attributes", "confidence", "index")
"""Attributes that FiftyOne itself gives labels, and records have no field for."""

_FIELDS = "fiftyone.core.fields."
_DYNAMIC = "fiftyone.core.odm.embedded_document.DynamicEmbeddedDocument"
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_RESERVED = frozenset(
    {"id", "filepath", "tags", "metadata", "created_at", "last_modified_at", "media_type", "frames", "group"}
)


def _field(
    name: str,
    kind: str,
    *,
    doc: str | None = None,
    of: str | None = None,
    fields: list[Json] | None = None,
    db: str = "",
    read_only: bool = False,
) -> Json:
    return {
        "name": name,
        "ftype": _FIELDS + kind,
        "embedded_doc_type": doc,
        "subfield": of and _FIELDS + of,
        "fields": fields or [],
        "db_field": db or name,
        "description": None,
        "info": None,
        "read_only": read_only,
    }


def _fields(kinds: Mapping[str, str]) -> list[Json]:
    return [_field(name, kind) for name, kind in kinds.items()]


_SAMPLE = [
    _field("id", "ObjectIdField", db="_id"),
    _field("filepath", "StringField"),
    _field("tags", "ListField", of="StringField"),
    _field(
        "metadata",
        "EmbeddedDocumentField",
        doc="fiftyone.core.metadata.ImageMetadata",
        fields=_fields(
            {
                "size_bytes": "IntField",
                "mime_type": "StringField",
                "width": "IntField",
                "height": "IntField",
                "num_channels": "IntField",
            }
        ),
    ),
    _field("_media_type", "StringField"),
    _field("_rand", "FloatField"),
    _field("_dataset_id", "ObjectIdField"),
    _field("created_at", "DateTimeField", read_only=True),
    _field("last_modified_at", "DateTimeField", read_only=True),
]
_RECORD = [
    *_fields(
        dict.fromkeys(
            (
                "status",
                "content_type",
                "origin",
                "split",
                "caption",
                "file_name",
                "image_id",
                "group_id",
                "source",
                "license",
                "extra",
            ),
            "StringField",
        )
    ),
    _field(
        "generation",
        "EmbeddedDocumentField",
        doc=_DYNAMIC,
        fields=[
            *_fields(
                {
                    "tool": "StringField",
                    "model": "StringField",
                    "model_hash": "StringField",
                    "prompt": "StringField",
                    "negative_prompt": "StringField",
                    "seed": "StringField",
                    "steps": "IntField",
                    "sampler": "StringField",
                    "cfg_scale": "FloatField",
                    "width": "IntField",
                    "height": "IntField",
                }
            ),
            _field("loras", "ListField", of="StringField"),
            *_fields({"parameters": "StringField", "raw": "StringField"}),
        ],
    ),
    _field(
        "reviews",
        "ListField",
        doc=_DYNAMIC,
        of="EmbeddedDocumentField",
        fields=_fields(
            {
                "rater_id": "StringField",
                "status": "StringField",
                "content_type": "StringField",
                "scene": "StringField",
                "seconds": "FloatField",
                "extra": "StringField",
            }
        ),
    ),
]
_LABEL = {
    "label": "StringField",
    "points": "PolylinePointsField",
    "confidence": "FloatField",
    "index": "IntField",
    "closed": "BooleanField",
    "filled": "BooleanField",
    "artifact_id": "StringField",
    "rater_id": "StringField",
    "category": "StringField",
    "subtype": "StringField",
    "phrase": "StringField",
    "explanation": "StringField",
    "votes": "IntField",
    "agreement": "FloatField",
    "extra": "StringField",
}
RECORD_FIELDS = frozenset(field["name"] for field in _RECORD)
LABEL_FIELDS = frozenset({*_LABEL, "id", "tags", "attributes"})


def _polylines(name: str, others: Mapping[str, Any]) -> Json:
    labels = _field(
        "polylines",
        "ListField",
        doc="fiftyone.core.labels.Polyline",
        of="EmbeddedDocumentField",
        fields=[
            _field("id", "ObjectIdField", db="_id"),
            _field("tags", "ListField", of="StringField"),
            _field(
                "attributes", "DictField", doc="fiftyone.core.labels.Attribute", of="EmbeddedDocumentField"
            ),
            *_fields(_LABEL),
            *(declared(name, value) for name, value in others.items()),
        ],
    )
    return _field(name, "EmbeddedDocumentField", doc="fiftyone.core.labels.Polylines", fields=[labels])


def metadata(
    name: str, dataset_id: str, regions: Mapping[str, Json], others: Mapping[str, Any], classes: list[str]
) -> Json:
    """The document of a dataset.

    regions: the names of the fields with regions, each with other attributes of its labels and a value of
    each. others: other fields of samples, with a value of each.
    """
    fields = [
        *_SAMPLE,
        *_RECORD,
        *(_polylines(field, attributes) for field, attributes in regions.items()),
        *(declared(field, value) for field, value in others.items()),
    ]
    return {
        "_id": {"$oid": dataset_id},
        "name": name,
        "slug": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "synthscars",
        "version": VERSION,
        "persistent": False,
        "media_type": "image",
        "group_media_types": {},
        "tags": [],
        "info": {},
        "classes": dict.fromkeys(regions, classes),
        "default_classes": classes,
        "mask_targets": {},
        "default_mask_targets": {},
        "skeletons": {},
        "sample_fields": fields,
        "frame_fields": [],
        "saved_views": [],
        "workspaces": [],
        "annotation_runs": {},
        "brain_methods": {},
        "evaluations": {},
        "runs": {},
    }


def may_be_field(name: Any, value: Any) -> bool:
    """Whether a field that came from FiftyOne can be written to a sample again."""
    fits = isinstance(name, str) and _PLAIN_NAME.fullmatch(name) is not None
    if not fits or name in _RESERVED or name in RECORD_FIELDS or value is None:
        return False
    return not _has_class(value) or text(value["_cls"]) in LABELS


def may_be_attribute(name: Any, value: Any) -> bool:
    """Whether an attribute of a label that came from FiftyOne can be written again."""
    if name in OF_ANY_LABEL:
        return True
    fits = isinstance(name, str) and _PLAIN_NAME.fullmatch(name) is not None
    return fits and name not in LABEL_FIELDS and value is not None and not _has_class(value)


def _has_class(value: Any) -> bool:
    return isinstance(value, dict) and "_cls" in value


def declared(name: str, value: Any) -> Json:
    """The declaration of a field, made from a value that it has (BSON as extended JSON)."""
    if isinstance(value, dict):
        return _declared_object(name, value)
    if isinstance(value, list):
        if value and all(isinstance(entry, str) for entry in value):
            return _field(name, "ListField", of="StringField")
        return _field(name, "ListField")
    for kind, field in (
        (bool, "BooleanField"),
        (int, "IntField"),
        (float, "FloatField"),
        (str, "StringField"),
    ):
        if isinstance(value, kind):
            return _field(name, field)
    return _field(name, "DictField")


def _declared_object(name: str, value: Json) -> Json:
    if text(value.get("_cls")) in LABELS:
        return _field(name, "EmbeddedDocumentField", doc=f"fiftyone.core.labels.{value['_cls']}")
    for key, kind in (("$date", "DateTimeField"), ("$oid", "ObjectIdField"), ("$binary", "ArrayField")):
        if key in value:
            return _field(name, kind)
    return _field(name, "DictField")


def object_id(*parts: str) -> str:
    """An id as MongoDB has them, the same for the same parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
