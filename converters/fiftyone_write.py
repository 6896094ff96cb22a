"""Makes the samples of a FiftyOne dataset folder out of records."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

import msgspec

from synthscars.converters.fields import artifact_values, image_values, own
from synthscars.converters.fiftyone_schema import (
    FIELD,
    NAMESPACE,
    OF_ANY_LABEL,
    OID,
    may_be_attribute,
    may_be_field,
    metadata,
    object_id,
)
from synthscars.converters.losses import Losses
from synthscars.converters.pictures import Names, TargetPictures
from synthscars.converters.reading import Json, label_of, text
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord, Ring
from synthscars.taxonomy import load_taxonomy


class SampleWriter:
    """Makes samples, and remembers which fields they have: FiftyOne wants them declared."""

    def __init__(self, folder: Path, name: str, pictures: TargetPictures, losses: Losses) -> None:
        self.count = 0
        self._folder = folder
        self._name = name
        self._pictures = pictures
        self._losses = losses
        self._names = Names()
        self._ids: set[str] = set()
        self._dataset_id = object_id(name)
        self._regions: dict[str, Json] = {FIELD: {}}
        self._others: Json = {}

    def metadata(self) -> Json:
        """The document of the dataset, once all samples are made."""
        classes = list(load_taxonomy().category_ids)
        return metadata(self._name, self._dataset_id, self._regions, self._others, classes)

    def sample(self, record: ImageRecord) -> Json:
        """One sample, with its image put into `data/`."""
        self.count += 1
        # The name of the file is a field of its own: it is no loss if it cannot be that of a file.
        silent = Losses("", Problems())
        name = self._names.give(record, silent, self._pictures.suffix(record))
        placed = self._pictures.place(record, self._folder / "data", name, self._losses)
        kept = dict(own(record.extra, NAMESPACE))
        values = image_values(record, NAMESPACE)
        if generation := values.get("generation"):
            values["generation"] = _embedded(generation, "parameters", "raw")
            if (
                "seed" in generation
            ):  # Some are beyond 64 bits with a sign, and few of the App's numbers beyond 53.
                values["generation"]["seed"] = str(generation["seed"])
        if reviews := values.get("reviews"):
            values["reviews"] = [_embedded(review, "extra") for review in reviews]
        fields = kept.pop("fields", {})
        fields = fields if isinstance(fields, dict) else {}
        regions = self._labels(record)
        others = {
            field: value
            for field, value in fields.items()
            if may_be_field(field, value) and field not in regions
        }
        self._others.update((field, value) for field, value in others.items() if field not in self._others)
        if unwritten := {field: value for field, value in fields.items() if field not in others}:
            kept["fields"] = unwritten
        tags = kept.pop("tags", [])
        tags = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
        wanted = kept.pop("id", None)
        if extra := _extra(values, kept):
            values["extra"] = extra
        return {
            "_id": {"$oid": self._new_id(wanted, record.image_id)},
            "filepath": f"data/{name}",
            "tags": [*([record.split] if record.split else []), *tags],
            "metadata": self._file_facts(record, name, placed),
            "_media_type": "image",
            "_rand": int(object_id(record.image_id, "rand")[:13], 16) / 16**13,
            "_dataset_id": {"$oid": self._dataset_id},
            "origin": record.origin,
            **values,
            **others,
            **regions,
        }

    def _file_facts(self, record: ImageRecord, name: str, placed: bool) -> Json:
        return {
            "_cls": "ImageMetadata",
            "size_bytes": (self._folder / "data" / name).stat().st_size if placed else None,
            "mime_type": mimetypes.guess_type(name)[0],
            "width": record.width,
            "height": record.height,
            "num_channels": None,
        }

    def _new_id(self, wanted: Any, image_id: str) -> str:
        found = wanted if isinstance(wanted, str) and OID.fullmatch(wanted) else object_id(image_id)
        number = 1
        while found in self._ids:
            number += 1
            found = object_id(image_id, str(number))
        self._ids.add(found)
        return found

    def _labels(self, record: ImageRecord) -> Json:
        """The fields with the artifacts of an image. One without any has an empty one, if somebody looked."""
        found: dict[str, list[Json]] = {FIELD: []} if record.status != "unlabelled" else {}
        for artifact in record.artifacts:
            kept = dict(own(artifact.extra, NAMESPACE))
            field = text(kept.get("field"))
            if may_be_field(field, {}) and field not in self._others:
                del kept["field"]
            else:
                field = FIELD
            found.setdefault(field, []).append(self._label(artifact, field, kept, record))
        return {field: {"_cls": "Polylines", "polylines": labels} for field, labels in found.items()}

    def _label(self, artifact: Artifact, field: str, kept: Json, record: ImageRecord) -> Json:
        attributes = kept.pop("attributes", {})
        attributes = attributes if isinstance(attributes, dict) else {}
        others = {name: value for name, value in attributes.items() if may_be_attribute(name, value)}
        if unwritten := {name: value for name, value in attributes.items() if name not in others}:
            kept["attributes"] = unwritten
        declared = self._regions.setdefault(field, {})
        for name, value in others.items():
            if name not in OF_ANY_LABEL:
                declared.setdefault(name, value)
        values = artifact_values(artifact, NAMESPACE)
        if extra := _extra(values, kept):
            values["extra"] = extra
        wanted = artifact.artifact_id
        mine = OID.fullmatch(wanted) is not None
        return {
            "_id": {"$oid": wanted if mine else object_id(record.image_id, artifact.rater_id, wanted)},
            "_cls": "Polyline",
            "tags": [],
            "attributes": {},
            "label": label_of(artifact),
            "points": [_fractions(ring, record.width, record.height) for ring in artifact.polygons],
            "closed": True,
            "filled": True,
            **others,
            **values,
        }


def _extra(values: Json, kept: Json) -> str:
    """`extra` as JSON text, with what could not be written as fields of FiftyOne; `""` if that is nothing."""
    extra = values.pop("extra", {})
    if kept:
        extra = {**extra, NAMESPACE: kept}
    return _as_text(extra) if extra else ""


def _embedded(values: Json, *nested: str) -> Json:
    texts = {name: _as_text(value) for name, value in values.items() if name in nested}
    return {"_cls": "DynamicEmbeddedDocument", **values, **texts}


def _as_text(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


def _fractions(ring: Ring, width: int, height: int) -> list[tuple[float, float]]:
    return [(x / width, y / height) for x, y in zip(ring[::2], ring[1::2], strict=True)]
