"""The data model in the middle: images, the artifacts drawn on them, and how the images were generated.

Coordinates are float64 pixels in the *upright* image (after EXIF orientation), origin at the top left corner
of the top left pixel, x to the right, y down. A ring is a flat tuple `(x0, y0, x1, y1, ...)`, not closed.

JSON keeps every field; fields that this version does not know are kept in `extra`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeVar

import msgspec

from synthscars.problems import FormatError

Ring = tuple[float, ...]
Origin = Literal["synthetic", "real"]
Status = Literal["unlabelled", "clean", "annotated", "skipped"]

ORIGINS: tuple[Origin, ...] = ("synthetic", "real")
STATUSES: tuple[Status, ...] = ("unlabelled", "clean", "annotated", "skipped")

Extra = dict[str, Any]
"""Fields of the source that the data model has no place for; any JSON."""


class Artifact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One visible artifact.

    artifact_id: unique within its image and rater.
    category, subtype: ids of the taxonomy; the subtype may be unknown (`None`).
    polygons: rings whose union is the region; see the module for coordinates.
    phrase: names the place ("the left hand"). explanation: says why it is impossible.
    rater_id: who drew it (`""`: unknown).
    votes: raters who drew it, once adjudicated; agreement: their mean mask IoU with this region, in [0, 1].
    """

    artifact_id: str
    category: str | None = None
    subtype: str | None = None
    polygons: tuple[Ring, ...] = ()
    phrase: str = ""
    explanation: str = ""
    rater_id: str = ""
    votes: int | None = None
    agreement: float | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class Review(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one rater answered about a whole image, whether or not they drew anything.

    scene: the scene sentence; seconds: time the rater spent, if known.
    """

    rater_id: str
    status: Status
    content_type: str | None = None
    scene: str = ""
    seconds: float | None = None
    extra: Extra = msgspec.field(default_factory=dict)


class Generation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How an image was generated, as far as its metadata tell.

    width, height: the size that was asked for, in pixels; the image may have been scaled afterwards.
    parameters: every other setting, by the generator's own name. raw: the metadata chunks as they were found.
    """

    tool: str = ""
    model: str = ""
    model_hash: str = ""
    prompt: str = ""
    negative_prompt: str = ""
    seed: int | None = None
    steps: int | None = None
    sampler: str = ""
    cfg_scale: float | None = None
    width: int | None = None
    height: int | None = None
    loras: tuple[str, ...] = ()
    parameters: dict[str, str] = msgspec.field(default_factory=dict)
    raw: dict[str, str] = msgspec.field(default_factory=dict)


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One image and all that is known about it.

    image_id: lower-case hex sha256 of the original bytes. width, height: pixels, upright.
    status: `clean` was looked at and has no artifact, `unlabelled` was not looked at, `skipped` cannot be
    judged.
    caption: scene sentence and artifacts in the grammar of `synthscars.caption`.
    reviews: one per rater who finished the image, also those who found nothing.
    group_id: shared by images that must not be split (near-duplicates, variants).
    split: a split that the source prescribes, `""` if none.
    """

    image_id: str
    file_name: str
    width: int
    height: int
    origin: Origin = "synthetic"
    content_type: str | None = None
    status: Status = "unlabelled"
    caption: str = ""
    artifacts: tuple[Artifact, ...] = ()
    reviews: tuple[Review, ...] = ()
    generation: Generation | None = None
    group_id: str = ""
    split: str = ""
    source: str = ""
    license: str = ""
    extra: Extra = msgspec.field(default_factory=dict)

    @property
    def raters(self) -> tuple[str, ...]:
        """Everyone who finished the image, also those who found nothing."""
        return tuple(review.rater_id for review in self.reviews)


def source_name(source: str) -> str:
    """What was ingested: the folder or archive that an image's `source` starts with, not the file in it."""
    return source.split("/", 1)[0]


_Record = TypeVar("_Record", ImageRecord, Artifact, Review, Generation)
_NESTED: dict[str, type[Artifact] | type[Review]] = {"artifacts": Artifact, "reviews": Review}
_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder()
_typed_decoder = msgspec.json.Decoder(ImageRecord)


def encode_record(record: ImageRecord) -> bytes:
    """One line of JSON (UTF-8, no newline). Equal records give equal bytes.

    Raises `FormatError` if a coordinate is not finite (JSON has no NaN, and a `null` would lose it), or if a
    field has a value that `decode_record` would refuse.
    """
    for artifact in record.artifacts:
        if not all(math.isfinite(value) for ring in artifact.polygons for value in ring):
            raise FormatError(
                f"image {record.image_id}, artifact {artifact.artifact_id}: a coordinate is not finite",
                fix="drop or mend the region before it becomes a record",
            )
    try:
        # As a reader gets it: 7 and 7.0, lists and tuples are equal to Python, but would be other bytes.
        same = _typed_decoder.decode(_encoder.encode(record))
    except (msgspec.ValidationError, TypeError, UnicodeEncodeError) as error:
        raise FormatError(f"image {record.image_id}: {error}") from error
    return _encoder.encode(_without_negative_zero(same))


def _without_negative_zero(record: ImageRecord) -> ImageRecord:
    if not any(
        value == 0 and math.copysign(1, value) < 0
        for artifact in record.artifacts
        for ring in artifact.polygons
        for value in ring
    ):
        return record
    artifacts = tuple(
        msgspec.structs.replace(
            artifact, polygons=tuple(tuple(value + 0.0 for value in ring) for ring in artifact.polygons)
        )
        for artifact in record.artifacts
    )
    return msgspec.structs.replace(record, artifacts=artifacts)


def decode_record(line: bytes | str, source: str = "record") -> ImageRecord:
    """Read what `encode_record` wrote, or what a later version of it will write.

    Unknown fields are kept in `extra` (of a `Generation`: in `parameters`). Raises `FormatError` naming
    `source` if the line is not such a record.
    """
    try:
        return _typed_decoder.decode(line)
    except msgspec.ValidationError:
        pass  # a field of a later version, or a wrong one: taken apart below
    except msgspec.DecodeError as error:
        raise FormatError(f"{source}: {error}") from error
    try:
        raw = _decoder.decode(line)
        if not isinstance(raw, dict):
            raise FormatError(f"{source}: not a JSON object")
        return from_builtins(raw, ImageRecord)
    except msgspec.DecodeError as error:
        raise FormatError(f"{source}: {error}") from error


def from_builtins(raw: dict[str, Any], kind: type[_Record]) -> _Record:
    """A record, or a part of one, from decoded JSON; unknown fields are kept, see `decode_record`.

    Raises `msgspec.ValidationError` if a field has another type.
    """
    known = kind.__struct_encode_fields__
    unknown = {key: value for key, value in raw.items() if key not in known}
    fields = {key: value for key, value in raw.items() if key in known}
    for name, nested in _NESTED.items():
        if isinstance(fields.get(name), list):
            fields[name] = [_nested(item, nested) for item in fields[name]]
    if isinstance(fields.get("generation"), dict):
        fields["generation"] = _nested(fields["generation"], Generation)
    if unknown and kind is Generation:
        texts = {
            key: value if isinstance(value, str) else _encoder.encode(value).decode()
            for key, value in unknown.items()
        }
        _merge(fields, "parameters", texts)
    elif unknown:
        _merge(fields, "extra", unknown)
    return msgspec.convert(fields, kind)


def _merge(fields: dict[str, Any], name: str, unknown: dict[str, Any]) -> None:
    known = fields.get(name, {})
    # Anything but an object is left for the check of the types to refuse.
    fields[name] = {**unknown, **known} if isinstance(known, dict) else known


def _nested(raw: Any, kind: type[Any]) -> Any:
    return from_builtins(raw, kind) if isinstance(raw, dict) else raw


def encode_lines(records: Iterable[ImageRecord]) -> Iterator[bytes]:
    """Records as JSON Lines, one `bytes` with its newline per record."""
    for record in records:
        yield encode_record(record) + b"\n"
