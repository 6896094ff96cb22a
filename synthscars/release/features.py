"""The columns of a release: records to rows and back.

Everything of an `ImageRecord` but its `split` is in its row (the split is the file the row is in), so a
release can be turned back into the records it was built from. Fields without a closed shape (`extra`,
generation parameters, raw metadata chunks) are JSON text. Closed vocabularies are class labels in the order
of the taxonomy.

The raw chunks and the image bytes are the originals and may hold personal data, such as paths of the computer
that generated the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from synthscars.problems import FormatError
from synthscars.records import ORIGINS, STATUSES, Artifact, Generation, ImageRecord, Review
from synthscars.release.measures import Measures, measures
from synthscars.taxonomy import load_taxonomy

if TYPE_CHECKING:
    import datasets

Row = dict[str, Any]
"""One row as plain Python values, class labels as integers."""

MAX_SEED = 2**64 - 1
MAX_INT = 2**63 - 1
MAX_SIDE = 2**31 - 1

_SAME = ("image_id", "file_name", "width", "height", "caption", "group_id", "source", "license")
"""Columns that are fields of a record under the same name and of the same type."""

_encoder = msgspec.json.Encoder(order="deterministic")


@cache
def features() -> datasets.Features:
    """The columns of a release, with coordinates as float64 pixels of the upright image.

    The config `default` has all of them, others have some (`synthscars.release.configs`).
    """
    from datasets import ClassLabel, Features, Image, List, Value

    taxonomy = load_taxonomy()
    text, integer, number = Value("string"), Value("int64"), Value("float64")
    content_type = ClassLabel(names=list(taxonomy.content_type_ids))
    status = ClassLabel(names=list(STATUSES))
    artifact = {
        "artifact_id": text,
        "category": ClassLabel(names=list(taxonomy.category_ids)),
        "subtype": ClassLabel(names=list(taxonomy.subtype_ids)),
        "polygons": List(List(number)),
        "bbox": List(number, length=4),
        "area": number,
        "phrase": text,
        "explanation": text,
        "rater_id": text,
        "votes": Value("int32"),
        "agreement": number,
        "extra": text,
    }
    review = {
        "rater_id": text,
        "status": status,
        "content_type": content_type,
        "scene": text,
        "seconds": number,
        "extra": text,
    }
    generation = {
        "tool": text,
        "model": text,
        "model_hash": text,
        "prompt": text,
        "negative_prompt": text,
        "seed": Value("uint64"),
        "steps": integer,
        "sampler": text,
        "cfg_scale": number,
        "width": integer,
        "height": integer,
        "loras": List(text),
        "parameters": text,
        "raw": text,
    }
    return Features(
        {
            "image": Image(),
            "image_id": text,
            "file_name": text,
            "width": Value("int32"),
            "height": Value("int32"),
            "origin": ClassLabel(names=list(ORIGINS)),
            "content_type": content_type,
            "status": status,
            "caption": text,
            "artifacts": List(artifact),
            "rater_list": List(text),
            "reviews": List(review),
            "rater_artifacts": List(artifact),
            "generation": generation,
            "group_id": text,
            "source": text,
            "license": text,
            "extra": text,
        }
    )


DESCRIPTIONS: dict[str, str] = {
    "image": "the original file, byte for byte; decoded upright by `datasets`",
    "image_id": "sha256 of the original bytes, lower-case hex",
    "file_name": "name of the file when it was ingested",
    "width": "pixels, upright (after EXIF orientation)",
    "height": "pixels, upright (after EXIF orientation)",
    "origin": "whether the image was generated or photographed",
    "content_type": "what the picture is about; null if unknown",
    "status": "`annotated` has artifacts; `clean` was looked at and has none",
    "caption": "scene sentence, then each artifact as `phrase:explanation`",
    "artifacts.artifact_id": "unique within the image",
    "artifacts.category": "one of the categories below; null if unknown",
    "artifacts.subtype": "one of the subtypes below; null if unknown",
    "artifacts.polygons": "rings `[x0, y0, x1, y1, ...]` whose union is the region; float64 pixels of the "
    "upright image, origin at the top left corner, not closed",
    "artifacts.bbox": "`[x, y, width, height]` of all rings, pixels",
    "artifacts.area": "exact area of the union of the rings, square pixels",
    "artifacts.phrase": "where the artifact is, in words",
    "artifacts.explanation": "why what is seen there is impossible or wrong",
    "artifacts.rater_id": "who drew it; where several did, whose outline and texts these are; empty if "
    "unknown",
    "artifacts.votes": "raters who drew it, if several looked",
    "artifacts.agreement": "mean mask IoU of the other raters' regions with this one, 0 to 1; null if only "
    "one drew it",
    "artifacts.extra": "other fields of the source, JSON",
    "rater_list": "everyone who finished the image, also those who found nothing",
    "reviews": "what each of them answered about the whole image: `rater_id`, `status`, `content_type`, "
    "`scene`, `seconds` spent, `extra` (JSON)",
    "rater_artifacts": "every rater's regions before they were merged, in the shape of `artifacts`, each "
    "with its `rater_id`; null where they are not known",
    "generation": "how the image was generated, as far as its metadata tell, null if nothing is known: "
    "`tool`, `model`, `model_hash`, `prompt`, `negative_prompt`, `seed`, `steps`, `sampler`, `cfg_scale`, "
    "`width`, `height`, `loras`, `parameters` and `raw` (JSON: other settings, metadata chunks as found)",
    "group_id": "images that share it are near-duplicates or variants and are in one split",
    "source": "where the image comes from",
    "license": "licence of the image",
    "extra": "other fields of the source, JSON",
}
"""What each column holds, for the dataset card."""


def to_row(
    record: ImageRecord,
    image_bytes: bytes,
    drawn: Sequence[Artifact] | None = None,
    measured: Measures | None = None,
) -> Row:
    """The row of a record; `image_bytes` are embedded as they are.

    drawn: every rater's regions before merging, `None` if they are not known. Box and area are derived from
    the polygons, which must be usable (see `geometry.ring_faults`). measured: those of the record's artifacts
    and then of the drawn ones, if they are known. Raises `FormatError` naming the image if a label is not in
    the vocabulary or a number does not fit its column.
    """
    where = f"image {record.image_id}"
    labels = load_taxonomy()
    if measured is None:
        measured = measures((*record.artifacts, *(drawn or ())))
    merged = len(record.artifacts)
    return {
        "image": {"bytes": image_bytes, "path": record.file_name},
        "image_id": record.image_id,
        "file_name": record.file_name,
        "width": _fits(record.width, MAX_SIDE, "width", where),
        "height": _fits(record.height, MAX_SIDE, "height", where),
        "origin": _label(record.origin, ORIGINS, "origin", where),
        "content_type": _label(record.content_type, labels.content_type_ids, "content type", where),
        "status": _label(record.status, STATUSES, "status", where),
        "caption": record.caption,
        "artifacts": _artifact_rows(record.artifacts, measured[:merged], where),
        "rater_list": list(record.raters),
        "reviews": [_review_row(review, where) for review in record.reviews],
        "rater_artifacts": None if drawn is None else _artifact_rows(drawn, measured[merged:], where),
        "generation": None if record.generation is None else _generation_row(record.generation, where),
        "group_id": record.group_id,
        "source": record.source,
        "license": record.license,
        "extra": _json(record.extra),
    }


def _artifact_rows(artifacts: Sequence[Artifact], measured: Measures, image: str) -> list[Row]:
    both = zip(artifacts, measured, strict=True)
    return [_artifact_row(artifact, box, size, image) for artifact, (box, size) in both]


def _artifact_row(artifact: Artifact, box: list[float], size: float, image: str) -> Row:
    where = f"{image}, artifact {artifact.artifact_id}"
    labels = load_taxonomy()
    return {
        "artifact_id": artifact.artifact_id,
        "category": _label(artifact.category, labels.category_ids, "category", where),
        "subtype": _label(artifact.subtype, labels.subtype_ids, "subtype", where),
        "polygons": list(map(list, artifact.polygons)),
        "bbox": box,
        "area": size,
        "phrase": artifact.phrase,
        "explanation": artifact.explanation,
        "rater_id": artifact.rater_id,
        "votes": _fits(artifact.votes, MAX_SIDE, "votes", where),
        "agreement": artifact.agreement,
        "extra": _json(artifact.extra),
    }


def _review_row(review: Review, where: str) -> Row:
    return {
        "rater_id": review.rater_id,
        "status": _label(review.status, STATUSES, "status", where),
        "content_type": _label(review.content_type, load_taxonomy().content_type_ids, "content type", where),
        "scene": review.scene,
        "seconds": review.seconds,
        "extra": _json(review.extra),
    }


def _generation_row(generation: Generation, where: str) -> Row:
    row = msgspec.structs.asdict(generation)
    return {
        **row,
        "seed": _fits(generation.seed, MAX_SEED, "seed", where, least=0),
        "steps": _fits(generation.steps, MAX_INT, "steps", where),
        "width": _fits(generation.width, MAX_INT, "width", where),
        "height": _fits(generation.height, MAX_INT, "height", where),
        "loras": list(generation.loras),
        "parameters": _json(generation.parameters),
        "raw": _json(generation.raw),
    }


def _label(value: str | None, names: Sequence[str], field: str, where: str) -> int | None:
    if value is None:
        return None
    try:
        return names.index(value)
    except ValueError:
        raise FormatError(f"{where}: {field} {value!r} is not one of {', '.join(names)}") from None


def _fits(value: int | None, most: int, field: str, where: str, *, least: int | None = None) -> int | None:
    if value is not None and not (-most - 1 if least is None else least) <= value <= most:
        raise FormatError(f"{where}: {field} {value} does not fit its column")
    return value


def _json(value: Mapping[str, Any]) -> str:
    return _encoder.encode(value).decode()


def from_row(row: Mapping[str, Any], split: str = "", *, raters: bool = False) -> ImageRecord:
    """The record of a row, as read by `datasets` or pyarrow; the image itself is not looked at.

    split: the split that the row was found in. raters: the artifacts are every rater's, not the merged ones;
    none where they are not known. Raises `FormatError` if the row does not fit the features.
    """
    labels = load_taxonomy()
    try:
        fields = {
            **{name: row[name] for name in _SAME},
            "origin": _required(row["origin"], ORIGINS),
            "content_type": _name(row["content_type"], labels.content_type_ids),
            "status": _required(row["status"], STATUSES),
            "artifacts": [
                _artifact(each) for each in (row["rater_artifacts"] or () if raters else row["artifacts"])
            ],
            "reviews": [_review(review) for review in row["reviews"]],
            "generation": _generation(row["generation"]),
            "split": split,
            "extra": _from_json(row["extra"]),
        }
        # `convert` checks the types: a struct takes whatever it is given.
        return msgspec.convert(fields, ImageRecord)
    except (KeyError, IndexError, TypeError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        what = str(error) if isinstance(error, msgspec.MsgspecError) else repr(error)
        raise FormatError(
            f"image {row.get('image_id', '?')}: the row does not fit the features: {what}"
        ) from error


def _artifact(row: Mapping[str, Any]) -> Row:
    labels = load_taxonomy()
    return {
        "artifact_id": row["artifact_id"],
        "category": _name(row["category"], labels.category_ids),
        "subtype": _name(row["subtype"], labels.subtype_ids),
        "polygons": row["polygons"],
        "phrase": row["phrase"],
        "explanation": row["explanation"],
        "rater_id": row["rater_id"],
        "votes": row["votes"],
        "agreement": row["agreement"],
        "extra": _from_json(row["extra"]),
    }


def _review(row: Mapping[str, Any]) -> Row:
    return {
        "rater_id": row["rater_id"],
        "status": _required(row["status"], STATUSES),
        "content_type": _name(row["content_type"], load_taxonomy().content_type_ids),
        "scene": row["scene"],
        "seconds": row["seconds"],
        "extra": _from_json(row["extra"]),
    }


def _generation(row: Mapping[str, Any] | None) -> Row | None:
    if row is None:
        return None
    return {
        **{name: row[name] for name in Generation.__struct_fields__},
        "parameters": _from_json(row["parameters"]),
        "raw": _from_json(row["raw"]),
    }


def _required(label: int, names: Sequence[str]) -> str:
    if label < 0:
        raise IndexError(f"there is no class {label}")
    return names[label]


def _name(label: float | None, names: Sequence[str]) -> str | None:
    # Old readers give -1 for a null in class labels; pandas makes floats of a column with nulls.
    if label is None or label < 0 or label != label:
        return None
    return names[int(label) if isinstance(label, float) and label.is_integer() else label]  # type: ignore[index]


def _from_json(text: str) -> dict[str, Any]:
    value = msgspec.json.decode(text)
    if not isinstance(value, dict):
        raise TypeError(f"{text[:40]!r} is not a JSON object")
    return value
