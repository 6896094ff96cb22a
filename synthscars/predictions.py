"""What a model says about images, and the file in which any model can say it.

JSON Lines, UTF-8. The first line may be a header, an object with `"format": "synthscars.predictions"`,
`"version": 1`, `"model"` (a name to show) and whatever else its writer wants to keep. Every other line is one
`Prediction`, each image once, in any order.

Coordinates are those of `synthscars.records`: pixels in the *upright* image, origin at the top left corner of
the top left pixel, rings flat and not closed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from synthscars.files import atomic_file
from synthscars.problems import FormatError, Problems
from synthscars.records import ImageRecord, Ring

FORMAT = "synthscars.predictions"
VERSION = 1

MAX_LINE = 64 * 2**20
"""Bytes of one line: a longer one is no prediction, and would have to be held in memory."""

_Pixels = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Rle(msgspec.Struct, frozen=True, kw_only=True):
    """A mask in COCO's compressed run-length encoding. size: (height, width) in pixels; counts: its text."""

    size: tuple[_Pixels, _Pixels]
    counts: str


class PredictedRegion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One artifact that a model sees.

    phrase: names the place; explanation: says why it is impossible. category, subtype: ids of the taxonomy,
    `None` if the model does not say. polygons: rings whose union is the region; rle: its mask, which counts
    if both are given. score: how sure the model is, only its order matters (`None`: it does not say).
    """

    phrase: str = ""
    explanation: str = ""
    category: str | None = None
    subtype: str | None = None
    polygons: tuple[Ring, ...] = ()
    rle: Rle | None = None
    score: float | None = None


class Prediction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model says about one image.

    image_id: of the record, the sha256 of the image's bytes. width, height: pixels, upright. text: the whole
    answer, in the grammar of `synthscars.caption`. synthetic: the probability that the image is generated,
    `None` if the model does not say. regions: empty says that there is nothing to see.
    """

    image_id: str
    width: _Pixels
    height: _Pixels
    text: str = ""
    synthetic: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    regions: tuple[PredictedRegion, ...] = ()


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy and torch, which models have, as Python's own."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON")


_encoder = msgspec.json.Encoder(order="deterministic", enc_hook=_plain)
_decoder = msgspec.json.Decoder(Prediction)
_any_decoder = msgspec.json.Decoder()


def encode_prediction(prediction: Prediction) -> bytes:
    """One line of JSON (UTF-8, no newline).

    Raises `FormatError` naming the image if a number is not finite or a field has a value that
    `decode_prediction` would refuse.
    """
    numbers = [
        value
        for region in prediction.regions
        for value in (region.score or 0.0, *(value for ring in region.polygons for value in ring))
    ]
    # JSON has no NaN; a null would say something else.
    if not all(map(math.isfinite, (prediction.synthetic or 0.0, *numbers))):
        raise FormatError(
            f"image {prediction.image_id}: a coordinate, score or probability is not finite",
            fix="leave it out",
        )
    try:
        line = _encoder.encode(prediction)
        _decoder.decode(line)
    except (msgspec.ValidationError, TypeError, UnicodeEncodeError) as error:
        raise FormatError(f"image {prediction.image_id}: {error}") from error
    return line


def decode_prediction(line: bytes | str, source: str = "prediction") -> Prediction:
    """Read one line. Unknown fields are passed over. Raises `FormatError` naming `source` if it is none."""
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{source}: {error}") from error


def write_predictions(
    path: Path, predictions: Iterable[Prediction], header: Mapping[str, Any] | None = None
) -> int:
    """Write a file of predictions, atomically, as they come; returns how many.

    header: what its first line holds beside `format` and `version`, `model` above all. Equal predictions and
    headers give equal bytes.
    """
    count = 0
    with atomic_file(path) as file:
        first = {"model": "", **(header or {}), "format": FORMAT, "version": VERSION}
        file.write(_encoder.encode(first) + b"\n")
        for prediction in predictions:
            file.write(encode_prediction(prediction) + b"\n")
            count += 1
    return count


def read_header(path: Path) -> dict[str, Any]:
    """The header of a file of predictions, `{}` if it has none.

    Raises `FormatError` if it is of a later version, or not a file of predictions.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(MAX_LINE)
        header = _any_decoder.decode(line) if line.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}  # `read_predictions` says what is wrong with the line
    except OSError as error:
        raise FormatError(f"{path}: it cannot be read: {error}") from error
    if not isinstance(header, dict) or "format" not in header:
        return {}
    if header["format"] != FORMAT or header.get("version") != VERSION:
        raise FormatError(
            f"{path}: it is {header['format']} {header.get('version')}, not {FORMAT} {VERSION}",
            fix="write it with `synthscars legion predict`, or as docs/how-to/evaluate.md says",
        )
    return header


def read_predictions(path: Path, problems: Problems) -> Iterator[Prediction]:
    """Read a file of predictions, one line at a time.

    A line that is none (`prediction.line`) and a second one of the same image (`prediction.twice`) are
    problems and passed over. Raises `FormatError` as `read_header` does.
    """
    for _, found in _read(path, problems):
        yield found


class PredictionFile:
    """A file of predictions that gives them by image, in any order, without holding them in memory.

    It is read once from end to end first, with the problems of `read_predictions`. Use it as
    `with PredictionFile(path, problems) as file`.
    """

    def __init__(self, path: Path, problems: Problems) -> None:
        self.header = read_header(path)
        self._places = {found.image_id: offset for offset, found in _read(path, problems)}
        self._file = path.open("rb")

    def __enter__(self) -> PredictionFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        """The ids of the images, in the order of the file."""
        return iter(self._places)

    def get(self, image_id: str) -> Prediction | None:
        """The prediction of an image, `None` if there is none."""
        if image_id not in self._places:
            return None
        self._file.seek(self._places[image_id])
        return decode_prediction(self._file.readline(MAX_LINE))


def _read(path: Path, problems: Problems) -> Iterator[tuple[int, Prediction]]:
    """The predictions of a file, each with the place where its line starts."""
    read_header(path)
    seen: set[str] = set()
    with path.open("rb") as file:
        for number, (offset, line) in enumerate(_lines(file), start=1):
            if not line.strip() or (number == 1 and _is_header(line)):
                continue
            try:
                if len(line) > MAX_LINE:
                    raise FormatError(f"the line is longer than {MAX_LINE:,} bytes")
                found = decode_prediction(line, "not a prediction")
            except FormatError as error:
                problems.add(
                    "prediction.line",
                    error.message,
                    fix="write one JSON object a line, as docs/how-to/evaluate.md says",
                    file=f"{path.name}, line {number}",
                )
                continue
            if found.image_id in seen:
                problems.add(
                    "prediction.twice",
                    "a second prediction of the same image; the first one counts",
                    fix="write each image once",
                    file=f"{path.name}, line {number}",
                    image=found.image_id,
                )
                continue
            seen.add(found.image_id)
            yield offset, found


def _lines(file: Any) -> Iterator[tuple[int, bytes]]:
    """Where each line starts, and the line; of one that is too long its beginning, longer than `MAX_LINE`."""
    while line := file.readline(MAX_LINE + 1):
        yield file.tell() - len(line), line
        while len(line) > MAX_LINE and not line.endswith(b"\n"):
            if not (line := file.readline(MAX_LINE + 1)):
                return


def _is_header(line: bytes) -> bool:
    try:
        return isinstance(found := _any_decoder.decode(line), dict) and "format" in found
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def to_prediction(record: ImageRecord) -> Prediction:
    """The answer of a model that knows the truth: for tests, and as the ceiling of every metric."""
    return Prediction(
        image_id=record.image_id,
        width=record.width,
        height=record.height,
        text=record.caption,
        synthetic=1.0 if record.origin == "synthetic" else 0.0,
        regions=tuple(
            PredictedRegion(
                phrase=artifact.phrase,
                explanation=artifact.explanation,
                category=artifact.category,
                subtype=artifact.subtype,
                polygons=artifact.polygons,
                score=1.0,
            )
            for artifact in record.artifacts
        ),
    )
