"""Makes records out of the samples of a FiftyOne dataset folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from synthscars.converters.fields import (
    ARTIFACT_NAMES,
    IMAGE_NAMES,
    own,
    read_artifact_values,
    read_image_values,
    settle_id,
    settle_status,
    settle_subtype,
)
from synthscars.converters.fiftyone_labels import (
    ELSEWHERE,
    REGIONS,
    SETS,
    Folder,
    of_segmentation,
    rings_of,
    simple,
)
from synthscars.converters.fiftyone_schema import FIELD, NAMESPACE, object_id
from synthscars.converters.pictures import SourcePictures, base_name
from synthscars.converters.reading import (
    Json,
    Where,
    decode_items,
    decode_json,
    load_json,
    plain,
    read_bytes,
    read_label,
    text,
    whole,
)
from synthscars.problems import FormatError
from synthscars.records import Artifact, ImageRecord, Ring

_SPLITS = frozenset({"train", "val", "validation", "test"})
_KNOWN = frozenset({"_id", "filepath", "tags", "metadata", "_media_type", "_rand", "_dataset_id"}) | {
    "created_at",
    "last_modified_at",
}
_OF_LABEL = frozenset(
    {"_id", "_cls", "label", "points", "closed", "filled", "bounding_box", "mask", "mask_path"}
)


def samples(source: Path, where: Where) -> Iterator[tuple[str, Any]]:
    """The samples one by one, each with its place: from `samples.json`, or a folder with a file for each."""
    for name, load in _places(source):
        try:
            sample = load()
        except (FormatError, RecursionError) as error:
            what = error.message if isinstance(error, FormatError) else "it is nested too deeply"
            where.at(image=name).add("sample.unreadable", what, "export the dataset again")
            continue
        yield name, sample


def _places(source: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    path = source / "samples.json"
    if not path.is_file() and (source / "samples").is_dir():
        for each in sorted((source / "samples").glob("[!.]*.json")):
            yield f"samples/{each.name}", partial(_of_file, each)
        return
    content = read_bytes(path)
    try:
        items: Any = msgspec.json.decode(content, type=_Samples).samples
    except (msgspec.DecodeError, RecursionError):
        found = decode_items(content, str(path))
        items = found.get("samples") if isinstance(found, dict) else None
    if not isinstance(items, list):
        raise FormatError(f"{path}: it holds no list of samples", fix="export the dataset again")
    for number, item in enumerate(items):
        yield f"samples[{number}]", partial(_of_item, item, str(path))


class _Samples(msgspec.Struct):
    samples: list[msgspec.Raw]


def _of_file(path: Path) -> Any:
    return plain(simple(load_json(path)))


def _of_item(item: Any, name: str) -> Any:
    if not isinstance(item, msgspec.Raw):
        return plain(simple(item))
    content = bytes(item)
    found = decode_json(content, name)
    return plain(simple(found)) if b'"$number' in content else found


class _Found(NamedTuple):
    """What was found in one sample: artifacts, labels that cannot be used, fields that are no regions."""

    artifacts: list[Artifact]
    rejected: list[Json]
    others: Json


class SampleReader:
    """Reads the samples of one folder; `said` are the fields that were reported already."""

    def __init__(self, source: Path, pictures: SourcePictures, where: Where) -> None:
        self._pictures = pictures
        self._where = where
        self._folder = Folder(source, _targets(source, where))
        self._said: set[str] = set()

    def record(self, name: str, sample: Any) -> ImageRecord | None:
        """The record of one sample, `None` if it is no image; `name` is its place in the file."""
        where = self._where.at(image=name)
        if not isinstance(sample, dict):
            where.add("sample.not_an_object", "it is not a JSON object", "export the dataset again")
            return None
        filepath = text(sample.get("filepath"))
        kind = sample.get("_media_type")
        if kind not in (None, "image"):
            where.at(image=filepath or name).add(
                "sample.not_an_image", f"it is of the media type {kind!r}", "export images only"
            )
            return None
        where = where.at(image=base_name(filepath) or name)
        fields, rest = read_image_values(_image_values(sample), where)
        facts = sample.get("metadata")
        facts = facts if isinstance(facts, dict) else {}
        picture = self._pictures.find(
            filepath,
            where,
            image_id=fields.pop("image_id", ""),
            size=(whole(facts.get("width")), whole(facts.get("height"))),
            stand_in=filepath or name,
        )
        labels = self._labels(sample, (picture.width, picture.height), where)
        extra = dict(fields.pop("extra", {}))
        kept = dict(own(extra, NAMESPACE))
        tags = [tag for tag in _listed(sample.get("tags")) if isinstance(tag, str)]
        split = fields.pop("split", "") or next((tag for tag in tags if tag in _SPLITS), "")
        if split in tags:
            tags.remove(split)
        oid = _oid_in(sample.get("_id"))
        for key, value in (
            ("id", oid if oid != object_id(picture.image_id) else ""),
            ("tags", tags),
            ("fields", {**own(kept, "fields"), **labels.others, **rest}),
            ("rejected", [*_listed(kept.get("rejected")), *labels.rejected]),
        ):
            if value:
                kept[key] = value
        if kept or own(extra, NAMESPACE):
            extra.pop(NAMESPACE, None)
        status = settle_status(
            fields.pop("status", None), bool(labels.artifacts), bool(labels.rejected), where
        )
        return ImageRecord(
            **{"file_name": base_name(filepath), **fields},
            image_id=picture.image_id,
            width=picture.width,
            height=picture.height,
            split=split,
            status=status,
            artifacts=tuple(labels.artifacts),
            extra={**extra, **({NAMESPACE: kept} if kept else {})},
        )

    def _labels(self, sample: Json, size: tuple[int, int], where: Where) -> _Found:
        found = _Found([], [], {})
        taken: dict[str, set[str]] = {}
        for field, value in sample.items():
            if field in _KNOWN or field in IMAGE_NAMES or value is None:
                continue
            kind = text(value.get("_cls")) if isinstance(value, dict) else ""
            if kind not in REGIONS:
                found.others[field] = value
                if kind in ELSEWHERE and field not in self._said:
                    self._said.add(field)
                    what = f"the field {field!r} has {kind}, which is no region with an outline"
                    where.at(image="").warn("field.no_region", what, "it is kept in extra")
                continue
            labels = value.get(SETS[kind]) if kind in SETS else [value]
            for number, label in enumerate(_listed(labels)):
                at = where.at(region=f"{field}[{number}]" if kind in SETS else field)
                self._read(label, field, size, taken, found, at)
            if kind in SETS and not isinstance(labels, list) and labels is not None:
                where.at(region=field).add("field.not_a_list", f"{SETS[kind]} is no list", "export again")
                found.rejected.append({"field": field, "label": value})
        return found

    def _read(
        self,
        label: Any,
        field: str,
        size: tuple[int, int],
        taken: dict[str, set[str]],
        found: _Found,
        at: Where,
    ) -> None:
        """Read one label into `found`."""
        if not isinstance(label, dict):
            at.add("label.not_an_object", "it is not a JSON object", "export the dataset again")
        elif not all(size):
            at.add(
                "image.no_size", "the size of the image is not known", "add the image, or compute_metadata()"
            )
        elif label.get("_cls") == "Segmentation":
            regions = list(of_segmentation(label, field, size, self._folder, at))
            for name, rings in regions:
                part = {key: value for key, value in label.items() if key != "_id"}
                found.artifacts.append(self._artifact({**part, "label": name}, rings, [], field, taken, at))
            if regions or label.get("mask") is None is label.get("mask_path"):
                return
        else:
            mine = isinstance(label.get("artifact_id"), str)
            rings_found, bad = rings_of(label, size, mine, self._folder, at)
            if rings_found is not None:
                found.artifacts.append(self._artifact(label, rings_found, bad, field, taken, at))
                return
        found.rejected.append({"field": field, "label": label})

    def _artifact(
        self,
        label: Json,
        rings: tuple[Ring, ...],
        bad: list[Any],
        field: str,
        taken: dict[str, set[str]],
        at: Where,
    ) -> Artifact:
        values = {name: value for name, value in label.items() if name in ARTIFACT_NAMES}
        fields, rest = read_artifact_values({**values, **_unpacked(values, "extra")}, at)
        others = {
            name: value
            for name, value in label.items()
            if name not in ARTIFACT_NAMES and name not in _OF_LABEL and value not in (None, [], {})
        }
        name = label.get("label")
        # A category that is none of the taxonomy is told from an unknown label by its own field.
        if fields.get("category") is not None and fields["category"] == name:
            category, subtype, unknown = fields.pop("category"), None, Json()
        else:
            fields.pop("category", None)
            category, subtype, unknown = read_label(name, at)
        wanted = fields.pop("artifact_id", "") or _oid_in(label.get("_id"))
        artifact_id = settle_id(wanted, at.region, fields.get("rater_id", ""), taken, at)
        extra = dict(fields.pop("extra", {}))
        kept = dict(own(extra, NAMESPACE))
        for key, value in (
            ("field", field if field != FIELD else ""),
            ("attributes", {**own(kept, "attributes"), **others, **rest}),
            ("rejected_points", bad),
        ):
            if value:
                kept[key] = value
        if kept or own(extra, NAMESPACE):
            extra.pop(NAMESPACE, None)
        return Artifact(
            **{**fields, "subtype": settle_subtype(category, fields.pop("subtype", None), at) or subtype},
            artifact_id=artifact_id,
            category=category,
            polygons=rings,
            extra={**unknown, **extra, **({NAMESPACE: kept} if kept else {})},
        )


def _targets(source: Path, where: Where) -> Json:
    """Names of the values of segmentations, by field; `""` has those of all other fields."""
    try:
        found = load_json(source / "metadata.json")
    except FormatError as error:
        where.warn("metadata.unreadable", error.message, "export the dataset again")
        return {}
    if not isinstance(found, dict):
        return {}
    return {**own(found, "mask_targets"), "": own(found, "default_mask_targets")}


def _image_values(sample: Json) -> Json:
    """The fields of a sample that are those of an image record, JSON text taken apart."""
    values = {name: value for name, value in sample.items() if name in IMAGE_NAMES and value is not None}
    for name in ("status", "content_type", "origin", "split", "license"):
        if isinstance(values.get(name), dict) and values[name].get("_cls") == "Classification":
            values[name] = values[name].get("label")
    values |= _unpacked(values, "extra")
    if isinstance(generation := values.get("generation"), dict):
        generation = _known({**generation, **_unpacked(generation, "parameters", "raw")})
        seed = generation.get("seed")
        if isinstance(seed, str) and re.fullmatch(r"-?[0-9]{1,30}", seed):
            generation["seed"] = int(seed)
        values["generation"] = generation
    if isinstance(reviews := values.get("reviews"), list):
        values["reviews"] = [
            _known({**review, **_unpacked(review, "extra")}) if isinstance(review, dict) else review
            for review in reviews
        ]
    return values


def _known(values: Json) -> Json:
    """An embedded document without its class and the fields that nobody filled in."""
    return {name: value for name, value in values.items() if name != "_cls" and value is not None}


def _unpacked(values: Json, *names: str) -> Json:
    found: Json = {}
    for name in names:
        if isinstance(values.get(name), str):
            try:
                found[name] = decode_json(values[name].encode(), name)
            except FormatError:
                continue
    return found


def _oid_in(value: Any) -> str:
    found = value.get("$oid") if isinstance(value, dict) else value
    return found if isinstance(found, str) else ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
