"""Reads COCO instances as records; see `synthscars.converters.coco` for the format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from synthscars.converters.coco_files import Source, image_folders, sources
from synthscars.converters.coco_model import (
    DATASET_FIELDS,
    INFO,
    NAMESPACE,
    POSITION,
    REJECTED,
    SUPERCATEGORY,
    WITHOUT_OUTLINE,
)
from synthscars.converters.coco_regions import (
    Label,
    Sizes,
    kept_id,
    key_of,
    read_annotation,
    read_label_of,
    sound_rings_of,
)
from synthscars.converters.fields import read_image_values, settle_status
from synthscars.converters.pictures import SourcePictures, base_name
from synthscars.converters.reading import (
    Json,
    Where,
    classify,
    is_number,
    kind,
    load_json,
    text,
    unknown_fields,
    usable_ring,
    whole,
)
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, ImageRecord, Review, Ring, Status, from_builtins

_TAKEN = (
    "id",
    "width",
    "height",
    "file_name",
    "license",
    "sha256",
    "original_name",
    "rater_list",
    REJECTED,
    WITHOUT_OUTLINE,
)
_LISTS = ("images", "annotations", "categories", "licenses")


def read(source: Path, problems: Problems, *, images: Path | None = None) -> Iterator[ImageRecord]:
    """Read one file, or all files of a folder, image by image in the order of `images`.

    images: where the images are, if not where they usually are. The record of an image that is not at hand
    has the size that the file says, and an id made of its name. The split is that of the image, else of the
    name of the file. In a file of another tool an image without annotations is `unlabelled`, unless its
    `rater_list` names raters: they looked at it.

    What cannot be used is reported and left out, and kept in `extra`; so is whatever records have no field
    for. Raises `FormatError` if a file (the only one, or all of a folder) cannot be read.
    """
    found = sources(source)
    failures: list[FormatError] = []
    for each in found:
        try:
            data = _load(each.path)
        except FormatError as error:
            failures.append(error)
            if len(found) == len(failures):
                raise
            what = error.message.removeprefix(f"{each.path}: ")
            problems.add("file.unreadable", what, fix=error.fix, file=str(each.path))
            continue
        yield from _Reader(each, data, images, problems).records()


def _load(path: Path) -> Json:
    data = load_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("images"), list):
        raise FormatError(f"{path}: no COCO file: it has no list of images", fix="export it again as COCO")
    return data


class _Tally:
    """Counts what may be wrong with very many items, to be said once, with the first of them."""

    def __init__(self, where: Where) -> None:
        self._where = where
        self._found: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, code: str, example: str) -> None:
        self._counts[code] = self._counts.get(code, 0) + 1
        examples = self._found.setdefault(code, [])
        if len(examples) < 3:
            examples.append(example)

    def report(self, code: str, what: str, fix: str, severity: Any) -> None:
        if code in self._counts:
            count, examples = self._counts[code], self._found[code]
            self._where.problems.add(
                code,
                f"{count} {what}; for instance {', '.join(examples)}",
                fix=fix,
                severity=severity,
                file=self._where.file,
                region=examples[0],
                count=count,
            )


_BATCH = 10_000
"""Annotations whose polygons are looked at together."""


class _Waiting(NamedTuple):
    """An annotation, and how problems name it. sound: its rings, see `sound_rings_of`."""

    raw: Json
    region: str
    sound: tuple[Ring, ...] | None


class _Reader:
    """Reads one file."""

    def __init__(self, source: Source, data: Json, images: Path | None, problems: Problems) -> None:
        self._source = source
        self._data = data
        self._where = Where(problems, str(source.path))
        self._tally = _Tally(self._where)
        names = (text(entry.get("file_name")) for entry in data["images"] if isinstance(entry, dict))
        self._pictures = SourcePictures(image_folders(source, images, names), NAMESPACE)
        self._categories = self._by_id("categories")
        self._licenses = self._by_id("licenses")
        self._labels: dict[str, Label] = {}
        self._annotation_number = 0

    def records(self) -> Iterator[ImageRecord]:
        """The records of all images."""
        for name in _LISTS:
            if name in self._data and not isinstance(self._data[name], list):
                what = f"{name} is {kind(self._data[name])}, not a list"
                self._where.add(f"{name}.wrong_type", what, "export the file again")
        waiting = self._annotations()
        dataset = self._dataset()
        seen: set[str] = set()
        number = 0
        for position, raw in enumerate(self._data["images"]):
            where = self._where.at(image=f"images[{position}]")
            if not isinstance(raw, dict):
                where.add("image.wrong_type", f"it is {kind(raw)}, not an object", "export the file again")
                continue
            key = key_of(raw.get("id"))
            where = where.at(image=text(raw.get("file_name"))[:200] or (f"{key}" if key else where.image))
            if not key:
                where.warn(
                    "image.no_id", f"its id is {str(raw.get('id'))[:60]}", "it is read without annotations"
                )
            elif key in seen:
                where.add(
                    "image.repeated_id",
                    f"another image has the id {key}, and gets all annotations of both",
                    "give each image an id of its own",
                )
                continue
            seen.add(key)
            number += 1
            record = self._record(raw, number, waiting.pop(key, []) if key else [], where)
            if dataset:
                kept = record.extra.get(NAMESPACE, {})
                extra = {**record.extra, NAMESPACE: {**kept, DATASET_FIELDS: dataset}}
                record = msgspec.structs.replace(record, extra=extra)
                dataset = {}
            yield record
        for key, left in waiting.items():
            for each in left:
                self._tally.add("annotation.no_image", f"{each.region} (image {key or 'unknown'})")
        self._report()

    def _report(self) -> None:
        self._tally.report(
            "annotation.no_image",
            "annotations are of images that the file does not have",
            "add the images, or remove the annotations",
            "error",
        )
        self._tally.report(
            "annotation.repeated_id",
            "annotations have the id of another one",
            "all are read, each with an id of its own",
            "warning",
        )
        self._tally.report(
            "annotation.box_only",
            "annotations have a box and no outline",
            "they are read as rectangles",
            "info",
        )

    def _list(self, name: str) -> list[Any]:
        value = self._data.get(name)
        return value if isinstance(value, list) else []

    def _by_id(self, name: str) -> dict[str, Json]:
        entries = [entry for entry in self._list(name) if isinstance(entry, dict)]
        return {key: entry for entry in entries if (key := key_of(entry.get("id")))}

    def _annotations(self) -> dict[str, list[_Waiting]]:
        """All annotations by the ids of their images."""
        known: list[tuple[str, Json, str]] = []
        ids: set[str] = set()
        for position, raw in enumerate(self._list("annotations")):
            region = f"annotations[{position}]"
            if not isinstance(raw, dict):
                what = f"it is {kind(raw)}, not an object"
                self._where.at(region=region).add("annotation.wrong_type", what, "export the file again")
                continue
            key = key_of(raw.get("id"))
            region = f"annotation {key}" if key else region
            if key and key in ids:
                self._tally.add("annotation.repeated_id", region)
            ids.add(key)
            known.append((key_of(raw.get("image_id")), raw, region))
        sizes: dict[str, tuple[int, int]] = {}
        for image in self._list("images"):
            if isinstance(image, dict):  # of several with one id, the first gets the annotations
                sizes.setdefault(key_of(image.get("id")), _said_size(image))
        found: dict[str, list[_Waiting]] = {}
        for start in range(0, len(known), _BATCH):
            some = known[start : start + _BATCH]
            on = [sizes.get(key, (0, 0)) for key, _, _ in some]
            sound = sound_rings_of([raw for _, raw, _ in some], on)
            for (key, raw, region), rings in zip(some, sound, strict=True):
                found.setdefault(key, []).append(_Waiting(raw, region, rings))
        return found

    def _dataset(self) -> Json:
        """What the file says of itself, as far as it is not what we write anyway."""
        kept = unknown_fields(self._data, _LISTS)
        if kept.get("info") == INFO:
            del kept["info"]
        plain = {"supercategory": SUPERCATEGORY}
        categories = [
            entry
            for entry in self._categories.values()
            if unknown_fields(entry, ("id", "name")) != plain and classify(text(entry.get("name")))[0] is None
        ]
        licenses = [
            entry
            for number, entry in enumerate(self._licenses.values(), start=1)
            if entry.get("id") != number or unknown_fields(entry, ("id", "name")) != {"url": ""}
        ]
        kept |= {"categories": categories} if categories else {}
        kept |= {"licenses": licenses} if licenses else {}
        return kept

    def _record(self, raw: Json, number: int, waiting: list[_Waiting], where: Where) -> ImageRecord:
        given = text(raw.get("file_name"))
        said = _said_size(raw)
        values = unknown_fields(raw, _TAKEN)
        if "sha256" in raw:
            values["image_id"] = raw["sha256"]
        if isinstance(raw.get("original_name"), str):
            values["file_name"] = raw["original_name"]
        fields, kept = read_image_values(values, where)
        ours = "image_id" in fields
        picture = self._pictures.find(
            given,
            where,
            image_id=fields.get("image_id", ""),
            size=said if all(said) else (0, 0),
            stand_in=f"{self._source.split}/{given}"
            if given
            else f"{self._source.path.stem}#{raw.get('id')}",
        )
        if not picture.width:
            what = f"its size is {raw.get('width')} x {raw.get('height')}"
            where.warn(
                "image.no_size", what, "give the folder of the images; vertices outside are not noticed"
            )
        kept |= kept_id(raw, number)
        if given != base_name(given) and "file_name" not in fields:
            kept["file_name"] = given
        sizes = Sizes((picture.width, picture.height), said)
        artifacts, rejected = self._artifacts(waiting, sizes, where)
        artifacts = _with_regionless(artifacts, raw.get(WITHOUT_OUTLINE), rejected, sizes, where)
        earlier = raw.get(REJECTED)
        rejected += earlier if isinstance(earlier, list) else []
        if rejected:
            kept[REJECTED] = rejected
        license, unresolved = self._license(raw)
        if unresolved is not None:
            kept["license"] = unresolved
        reviews: tuple[Review, ...] = fields.get("reviews", ())
        if not ours:
            reviews = reviews or _reviews(raw.get("rater_list"), artifacts, rejected)
            kept |= {} if reviews or "rater_list" not in raw else {"rater_list": raw["rater_list"]}
        said_status: Status | None = fields.get("status") or ("clean" if reviews else None)
        return ImageRecord(
            **{
                "file_name": base_name(given),
                "split": "" if ours else self._source.split,
                **fields,
                "image_id": picture.image_id,
                "width": picture.width,
                "height": picture.height,
                "license": license,
                "status": settle_status(said_status, bool(artifacts), bool(rejected), where),
                "artifacts": tuple(artifacts),
                "reviews": reviews,
                "extra": {**fields.get("extra", {}), **({NAMESPACE: kept} if kept else {})},
            }
        )

    def _license(self, raw: Json) -> tuple[str, Any]:
        """The licence's name, and the number where that says nothing."""
        number = raw.get("license")
        if number is None:
            return "", None
        entry = self._licenses.get(key_of(number), {})
        name = text(entry.get("name")) or text(entry.get("url"))
        if not name and isinstance(number, str) and not self._licenses:
            return number, None
        return name, None if name else number

    def _artifacts(
        self, waiting: list[_Waiting], sizes: Sizes, where: Where
    ) -> tuple[list[Artifact], list[Any]]:
        """The artifacts of an image, and the annotations that cannot be used."""
        artifacts: list[Artifact] = []
        rejected: list[Any] = []
        taken: dict[str, set[str]] = {}
        for raw, region, sound in waiting:
            at = where.at(region=region)
            number = self._annotation_number + 1
            artifact = read_annotation(raw, self._label(raw, at), sizes, number, taken, at, sound)
            if artifact is None:
                rejected.append(raw)
                continue
            if raw.get("segmentation") in (None, []):
                self._tally.add("annotation.box_only", region)
            self._annotation_number = number
            artifacts.append(artifact)
        return artifacts, rejected

    def _label(self, raw: Json, where: Where) -> Label | None:
        key = key_of(raw.get("category_id"))
        if key not in self._categories:
            what = f"the file has no category {str(raw.get('category_id'))[:60]}"
            where.warn("category.missing", what, "it is read without a category")
            return None
        if key not in self._labels:
            self._labels[key] = read_label_of(self._categories[key], where.at(region=f"category {key}"))
        return self._labels[key]


def _without_position(entry: Any) -> Artifact:
    if not isinstance(entry, dict):
        return msgspec.convert(entry, Artifact)  # which says what is wrong
    return from_builtins({key: value for key, value in entry.items() if key != POSITION}, Artifact)


def _with_regionless(
    artifacts: list[Artifact], entries: Any, rejected: list[Any], sizes: Sizes, where: Where
) -> list[Artifact]:
    """The artifacts, and those that have no outline, in their places; unusable entries go to `rejected`."""
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        at = where.at(region=f"{WITHOUT_OUTLINE}[{number}]")
        try:
            artifact = _without_position(entry)
        except msgspec.ValidationError as error:
            at.add("artifact.wrong_type", str(error), "correct it; its raw form is kept in extra")
            rejected.append(entry)
            continue
        if any(usable_ring(ring, *sizes.image, at) is None for ring in artifact.polygons):
            rejected.append(entry)
            continue
        position = entry.get(POSITION)
        known = is_number(position) and 0 <= position < len(artifacts)
        artifacts.insert(int(position) if known else len(artifacts), artifact)
    return artifacts


def _reviews(raters: Any, artifacts: list[Artifact], rejected: list[Any]) -> tuple[Review, ...]:
    """What a `rater_list` says: these raters looked, and those without annotations found nothing."""
    if not isinstance(raters, list) or not all(isinstance(each, (str, int)) for each in raters):
        return ()
    drew = {artifact.rater_id for artifact in artifacts}
    drew |= {str(raw.get("rater_id")) for raw in rejected if isinstance(raw, dict)}
    return tuple(
        Review(rater_id=rater, status="annotated" if rater in drew else "clean")
        for rater in dict.fromkeys(map(str, raters))
    )


def _said_size(image: Json) -> tuple[int, int]:
    """Width and height as the entry of an image says them."""
    return _pixels(image.get("width")), _pixels(image.get("height"))


def _pixels(value: Any) -> int:
    """A size in pixels, also one that was written as a text; 0 for anything else."""
    return whole(int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 9 else value)
